//! The server in a folder of its own, and a client of it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use mcp_batch_testkit::{FakeLlm, Method, wait_until_async};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::helpers::{Ended, Folder, Run, Running};

/// Longer than the server takes for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: String,
    pub(super) retry_after: Option<String>,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON document")
    }

    /// The document, if it was answered with this status.
    pub(super) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The code of the problem it is.
    pub(super) fn problem(&self, status: u16) -> String {
        let document = self.expect(status);
        assert_eq!(self.kind, "application/problem+json");
        assert_eq!(document["status"], status);
        document["code"].as_str().expect("a code").to_owned()
    }
}

/// `mcp-batch serve`, its LLM, and a client.
pub(super) struct Serve {
    pub(super) llm: FakeLlm,
    pub(super) folder: Folder,
    running: Option<Running>,
    pub(super) base: String,
    variables: Vec<(String, String)>,
    http: Client,
}

impl Serve {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(variables: &[(&str, &str)]) -> Self {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut serve = Self {
            llm: FakeLlm::start().await,
            folder: Folder::new(),
            running: None,
            base: String::new(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            http: Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client"),
        };
        serve.start_again().await;
        serve
    }

    /// The command, about to start.
    pub(super) fn command(&self) -> Run<'_> {
        let run = self.folder.command("serve").args(["--listen", "127.0.0.1:0"]).llm(&self.llm);
        let run = run.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
        self.variables.iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    pub(super) async fn start_again(&mut self) {
        let running = self.command().start();
        running.wait_until_it_says("Serving http://").await;
        let said = running.stderr();
        let address = said.split("Serving ").nth(1).and_then(|said| said.split(' ').next());
        address.expect("where it listens").clone_into(&mut self.base);
        self.running = Some(running);
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    pub(super) fn terminate(&self) {
        self.running.as_ref().expect("it runs").terminate();
    }

    pub(super) async fn finish(&mut self) -> Ended {
        self.running.take().expect("it runs").finish().await
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub(super) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        send(self.request(Method::POST, path).header("content-type", "application/json").body(body))
            .await
    }

    /// The same under an Idempotency-Key.
    pub(super) async fn post_named(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        send(request.header("idempotency-key", key).body(body.to_string())).await
    }

    /// Waits until the job is in this state; what is told of it then.
    pub(super) async fn until(&self, id: &str, state: &str) -> Value {
        let mut told = Value::Null;
        wait_until_async(&format!("job {id} is {state}"), async || {
            let answer = self.get(&format!("/v1/jobs/{id}")).await;
            if answer.status == 200 {
                told = answer.json();
            }
            told["state"] == state
        })
        .await;
        told
    }

    /// Waits until as many jobs of the batch have ended.
    pub(super) async fn until_ended(&self, batch: &str, jobs: u64) {
        wait_until_async(&format!("{jobs} jobs of {batch} have ended"), async || {
            let answer = self.get(&format!("/v1/batches/{batch}")).await;
            answer.status == 200 && answer.json()["ended"] == jobs
        })
        .await;
    }

    /// Sends bytes as they are; what comes back until the server closes or has said enough.
    pub(super) async fn raw(&self, bytes: Vec<u8>) -> String {
        let address = self.base.trim_start_matches("http://").to_owned();
        let spoken = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            // It may answer, and close, before it has read all.
            let _ = stream.write_all(&bytes);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        });
        spoken.await.expect("an answer")
    }

    /// It still does what it is for.
    pub(super) async fn is_alive(&self) -> bool {
        let answer = self.post("/v1/tools/summarize", &json!({"text": "One. Two."})).await;
        answer.status == 200 && self.get("/readyz").await.status == 200
    }
}

pub(super) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("it answers");
    let header =
        |name| response.headers().get(name).map(|it| it.to_str().expect("text").to_owned());
    Answer {
        status: response.status().as_u16(),
        kind: header("content-type").unwrap_or_default(),
        retry_after: header("retry-after"),
        text: response.text().await.expect("a body"),
    }
}

/// A job without an id.
pub(super) fn nameless(text: &str) -> Value {
    json!({"tool": "summarize", "input": {"text": text}})
}
