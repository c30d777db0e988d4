//! The real thing behind the proxy.

use bytes::Bytes;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::server::{Body, Closed, Received, read_body};

/// What belongs to one connection, and is set anew for the next.
const HOP_BY_HOP: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// An answer of upstream's, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: hyper::http::response::Parts,
    pub(super) body: Bytes,
}

/// A client of one endpoint.
#[derive(Debug)]
pub(super) struct Upstream {
    endpoint: String,
    client: Client<HttpConnector, Body>,
}

impl Upstream {
    pub(super) fn new(endpoint: &str) -> Self {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Self { endpoint, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request on, with this body.
    pub(super) async fn forward(&self, request: &Received, body: Bytes) -> Result<Answer, Closed> {
        let path = request.path();
        let query = request.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut headers = request.headers().clone();
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        self.ask(request.method().clone(), &format!("{path}{query}"), headers, body).await
    }

    /// Asks `DynamoDB` a question of the proxy's own, as the one who sent `like` could.
    pub(super) async fn dynamodb(&self, like: &Received, operation: &str, body: &Value) -> Value {
        let target = format!("DynamoDB_20120810.{operation}");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        headers.insert("x-amz-target", HeaderValue::try_from(target).expect("an operation's name"));
        headers
            .extend(like.headers().get(AUTHORIZATION).map(|value| (AUTHORIZATION, value.clone())));
        let asked = self.ask(Method::POST, "/", headers, body.to_string().into()).await;
        asked.map_or(Value::Null, |answer| answer.json())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Closed> {
        let uri = format!("{}{path}", self.endpoint);
        let mut request = Request::new(Body::Whole(body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from(uri).expect("an endpoint and a path make a URL");
        *request.headers_mut() = headers;
        let response = self.client.request(request).await.map_err(|_| Closed)?;
        let (head, incoming) = response.into_parts();
        Ok(Answer { head, body: read_body(incoming).await? })
    }
}

impl Answer {
    /// A good answer that upstream was not asked for.
    pub(super) fn ok(body: Bytes) -> Self {
        let (head, ()) = Response::new(()).into_parts();
        Self { head, body }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of an error in AWS's JSON protocols, without its namespace.
    pub(super) fn error_code(&self) -> Option<String> {
        if self.head.status.is_success() {
            return None;
        }
        let body = self.json();
        body["__type"].as_str()?.rsplit('#').next().map(str::to_owned)
    }

    /// The same answer for the client.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::Whole(self.body));
        *response.status_mut() = self.head.status;
        *response.headers_mut() = self.head.headers;
        for name in HOP_BY_HOP {
            response.headers_mut().remove(name);
        }
        response
    }
}
