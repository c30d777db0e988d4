//! A queue, its dead letters, a table, an LLM, a receiver: all that the command needs.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use mcp_batch::aws::{clients::Clients, dynamo::create_table};
use mcp_batch_testkit::{AwsProxy, FakeLlm, MiniStack, Receiver, wait_until_async};
use serde_json::{Value, json};

use crate::{
    aws::clients_at,
    helpers::{Ended, Folder, Run, Running, summarize},
};

/// The shortest visibility timeout there is.
const HIDDEN: Duration = Duration::from_secs(6);

pub(super) struct Rig {
    pub(super) llm: FakeLlm,
    pub(super) receiver: Receiver,
    pub(super) proxy: AwsProxy,
    clients: Clients,
    queue_url: String,
    table: String,
    folder: Folder,
    _aws: MiniStack,
}

impl Rig {
    pub(super) async fn new() -> Option<Self> {
        let aws = MiniStack::start().await?;
        let clients = clients_at(aws.endpoint()).await;
        let created = clients.sqs.create_queue().queue_name(MiniStack::unique("jobs"));
        let created = created.send().await.expect("a queue is created");
        let table = MiniStack::unique("ledger");
        create_table(&clients.dynamodb, &table).await.expect("a table");
        Some(Self {
            llm: FakeLlm::start().await,
            receiver: Receiver::start().await,
            proxy: AwsProxy::start(aws.endpoint()).await,
            queue_url: created.queue_url.expect("its URL"),
            clients,
            table,
            folder: Folder::new(),
            _aws: aws,
        })
    }

    /// Sends a job with a callback for each id.
    pub(super) async fn send(&self, ids: &[String]) {
        let entry = |id: &String| {
            let mut job = summarize(id, "One. Two.");
            job["callback"] = self.receiver.url("/").into();
            let entry =
                SendMessageBatchRequestEntry::builder().id(id).message_body(job.to_string());
            entry.build().expect("an entry")
        };
        for ids in ids.chunks(10) {
            let entries = ids.iter().map(entry).collect();
            let request = self.clients.sqs.send_message_batch().queue_url(&self.queue_url);
            let sent = request.set_entries(Some(entries)).send().await.expect("SQS answers");
            assert_eq!(sent.failed(), []);
        }
    }

    pub(super) fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// `mcp-batch poll`, about to start.
    pub(super) fn command(&self) -> Run<'_> {
        let settings = [
            ("MCP_BATCH_QUEUE_URL", &*self.queue_url),
            ("MCP_BATCH_TABLE", &*self.table),
            ("MCP_BATCH_LLM_URL", &*self.llm.url()),
            ("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1"),
            ("MCP_BATCH_LOG", "info"),
        ];
        let run = self.folder.command("poll").args(["--health", "127.0.0.1:0"]);
        let hidden = HIDDEN.as_secs().to_string();
        let run = run.args(["--visibility-timeout-s", &hidden]);
        let run = settings.into_iter().fold(run, |run, (name, value)| run.env(name, value));
        self.proxy.env().into_iter().fold(run, |run, (name, value)| run.env(name, &value))
    }

    pub(super) async fn start(&self) -> Poll {
        self.start_with(&[]).await
    }

    pub(super) async fn start_with(&self, args: &[&str]) -> Poll {
        let run = args.iter().fold(self.command(), |run, arg| run.args([arg]));
        Poll::new(run.start()).await
    }

    /// The ids of the jobs whose success was told.
    pub(super) fn succeeded(&self) -> BTreeSet<String> {
        self.told().iter().map(|told| told["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The attempts that the callback of a job told.
    pub(super) fn attempts(&self, id: &str) -> u64 {
        let told = self.told();
        let of_job = told.iter().find(|told| told["id"] == id).expect("it was told");
        of_job["attempts"].as_u64().expect("a number")
    }

    fn told(&self) -> Vec<Value> {
        let events = self.receiver.deliveries().into_iter().map(|delivery| delivery.json());
        let succeeded = events.filter(|event| event["type"] == json!("job.succeeded"));
        succeeded.map(|mut event| event["data"].take()).collect()
    }

    pub(super) async fn until_empty(&self) {
        wait_until_async("the queue is empty", async || self.counts().await == (0, 0)).await;
    }

    pub(super) async fn until_visible(&self, messages: usize) {
        let what = format!("{messages} messages are visible");
        wait_until_async(&what, async || self.counts().await == (messages, 0)).await;
    }

    /// How many messages are visible, and how many hidden.
    async fn counts(&self) -> (usize, usize) {
        let visible = QueueAttributeName::ApproximateNumberOfMessages;
        let hidden = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let asked = self.clients.sqs.get_queue_attributes().queue_url(&self.queue_url);
        let names = vec![visible.clone(), hidden.clone()];
        let told = asked.set_attribute_names(Some(names)).send().await.expect("SQS answers");
        let told = told.attributes.expect("attributes");
        let number = |name| told[&name].parse().expect("a number");
        (number(visible), number(hidden))
    }
}

/// The command while it runs.
pub(super) struct Poll {
    running: Running,
    health: String,
}

impl Poll {
    async fn new(running: Running) -> Self {
        running.wait_until_it_says("/healthz").await;
        let stderr = running.stderr();
        let mut said = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let address = said.find_map(|line| Some(line["address"].as_str()?.to_owned()));
        Self { running, health: address.expect("where it answers") }
    }

    /// The status of `GET /healthz`; 0 where nobody listens.
    pub(super) async fn health(&self) -> u16 {
        let address = self.health.clone();
        tokio::task::spawn_blocking(move || get(&address).unwrap_or(0)).await.expect("an answer")
    }

    pub(super) async fn wait_for_health(&self, status: u16) {
        let what = format!("/healthz answers {status}");
        wait_until_async(&what, async || self.health().await == status).await;
    }

    pub(super) fn log(&self) -> String {
        self.running.stderr()
    }

    pub(super) fn terminate(&self) {
        self.running.terminate();
    }

    pub(super) fn kill(self) {
        self.running.kill();
    }

    pub(super) async fn finish(self) -> Ended {
        self.running.finish().await
    }
}

fn get(address: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET /healthz HTTP/1.1\r\nhost: poll\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
