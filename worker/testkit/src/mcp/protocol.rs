//! From a request to what is done about it: eras, sessions, the list of tools.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::answer::{self, Call};
use super::{LostSession, Mcp, McpEra, fault};
use crate::server::{Answerer, Body, Closed, Received, Visit, lock};

impl Answerer for Mcp {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        let request = Received::read(request).await?;
        if let Some(answer) = self.oauth.as_ref().and_then(|oauth| oauth.answer(&request)) {
            visit.end();
            return Ok(answer);
        }
        let message = serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
        let method = match request.method() {
            &Method::POST => message["method"].as_str().unwrap_or_default().to_owned(),
            other => other.to_string(),
        };
        *lock(&self.methods).entry(method.clone()).or_default() += 1;
        let is_refused = self.is_refused(&request);
        let session = self.session(&request);
        lock(&self.requests).push(request);
        self.traffic.count_request();
        if is_refused {
            visit.end();
            return Ok(answer::challenge());
        }
        let id = message["id"].clone();
        match (method.as_str(), session) {
            ("initialize" | "server/discover", _) if self.era == McpEra::Future => {
                Ok(answer::json(400, &unsupported(&id)))
            }
            ("GET", _) => Ok(answer::status(405)),
            ("DELETE", _) => Ok(answer::status(200)),
            ("initialize", _) if self.era != McpEra::Modern => Ok(self.initialize(&id)),
            ("server/discover", _) if self.era == McpEra::Modern => {
                Ok(answer::result(&id, &discovered()))
            }
            ("server/discover", _) if self.era == McpEra::Silent => std::future::pending().await,
            _ if self.era == McpEra::Vague && !id.is_null() && method == "server/discover" => {
                Ok(answer::result(&id, &json!({})))
            }
            (_, Session::Lost) => Ok(self.session_lost()),
            _ if id.is_null() => Ok(answer::status(202)),
            ("tools/list", _) => Ok(answer::result(&id, &self.list(&message))),
            ("tools/call", _) => {
                let call = Call::new(id, &message["params"]);
                *lock(&self.calls).entry(call.tool.clone()).or_default() += 1;
                return fault::behave(&self, call, visit).await;
            }
            _ => Ok(answer::error(&id, -32601, "no such method")),
        }
        .inspect(|_| visit.end())
    }
}

enum Session {
    Fine,
    Lost,
}

impl Mcp {
    fn is_refused(&self, request: &Received) -> bool {
        let token = lock(&self.token);
        token.as_deref().is_some_and(|token| request.header("authorization") != Some(token))
            || self.oauth.as_ref().is_some_and(|oauth| !oauth.lets_in(request))
    }

    fn session(&self, request: &Received) -> Session {
        let is_known = request
            .header("mcp-session-id")
            .is_some_and(|session| lock(&self.sessions).contains(session));
        match self.era {
            McpEra::Modern => Session::Fine,
            _ if is_known => Session::Fine,
            _ => Session::Lost,
        }
    }

    fn session_lost(&self) -> Response<Body> {
        match self.lost_session {
            LostSession::NotFound => answer::status(404),
            LostSession::WithoutId => {
                let message = "Bad Request: No valid session ID provided";
                let error = json!({"code": -32000, "message": message});
                answer::json(400, &json!({"jsonrpc": "2.0", "error": error, "id": null}))
            }
        }
    }

    fn initialize(&self, id: &Value) -> Response<Body> {
        let session = format!("session-{}", self.numbers.fetch_add(1, SeqCst) + 1);
        lock(&self.sessions).insert(session.clone());
        let result = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "fake", "version": "1.0.0"},
        });
        let id = self.initialize_id.as_ref().unwrap_or(id);
        answer::with_session(answer::result(id, &result), &session)
    }

    fn list(&self, message: &Value) -> Value {
        let tools = lock(&self.tools);
        let from = message["params"]["cursor"].as_str().and_then(|cursor| cursor.parse().ok());
        let from: usize = from.unwrap_or(0);
        let page: Vec<Value> = tools.iter().skip(from).take(self.page).cloned().collect();
        let next = from.saturating_add(self.page);
        let mut result = json!({"tools": page});
        if next < tools.len() {
            result["nextCursor"] = next.to_string().into();
        } else if self.endless_list.load(SeqCst) {
            result["nextCursor"] = "0".into();
        }
        if let Some(ttl_ms) = self.ttl_ms {
            result["ttlMs"] = ttl_ms.into();
        }
        for (name, member) in &*lock(&self.beside_tools) {
            result[name] = member.clone();
        }
        result
    }
}

fn unsupported(id: &Value) -> Value {
    let data = json!({"supported": ["2099-01-01"], "requested": "another"});
    let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": data});
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}

fn discovered() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "fake", "version": "1.0.0"},
        "ttlMs": 0,
        "cacheScope": "private",
    })
}
