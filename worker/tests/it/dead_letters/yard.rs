//! Where letters lie: in a file, or in SQS with the ledger in DynamoDB.

use std::{future::Future, time::Duration};

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use mcp_batch::{
    aws::{
        clients::Clients,
        dynamo::{DynamoLedger, DynamoSettings, create_table},
    },
    clock::Clock,
    lease::Ledger,
    local::{Database, SqliteLedger, SqliteQueue},
    queue::Queue,
};
use mcp_batch_testkit::MiniStack;
use rusqlite::Connection;
use tokio::task::JoinSet;

use super::rig::Buried;
use crate::{
    aws::clients_at,
    helpers::{Folder, Run},
};

/// A place for dead letters, with a queue and a ledger.
pub(super) trait Yard: Sized + Sync {
    type Ledger: Ledger;

    /// An empty one; `None` on a machine that has none.
    fn open() -> impl Future<Output = Option<Self>>;

    fn folder(&self) -> &Folder;

    fn ledger(&self) -> Self::Ledger;

    /// Lays letters as they are.
    async fn bury(&self, letters: Vec<Buried>);

    /// How many letters, and how many messages.
    async fn counts(&self) -> (usize, usize);

    /// A command of this world.
    fn command(&self, name: &str) -> Run<'_>;

    /// What a replay needs that will be killed, so that its letters come back soon.
    fn flags_of_the_killed(&self) -> &'static [&'static str];

    /// A worker, about to start.
    fn worker(&self) -> Run<'_>;

    /// What it says when it works.
    fn ready(&self) -> &'static str;
}

/// One file.
pub(super) struct FileYard {
    folder: Folder,
    database: Database,
}

impl FileYard {
    fn count(&self, table: &str) -> usize {
        let connection = Connection::open(self.folder.path("mcp-batch.db")).expect("the file");
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = connection.query_row(&count, (), |row| row.get(0)).expect("a count");
        usize::try_from(count).expect("a small count")
    }
}

impl Yard for FileYard {
    type Ledger = SqliteLedger;

    async fn open() -> Option<Self> {
        let folder = Folder::new();
        let database = Database::open(&folder.path("mcp-batch.db"), Clock::system());
        Some(Self { database: database.expect("it opens"), folder })
    }

    fn folder(&self) -> &Folder {
        &self.folder
    }

    fn ledger(&self) -> SqliteLedger {
        SqliteLedger::new(self.database.clone())
    }

    async fn bury(&self, letters: Vec<Buried>) {
        let queue = SqliteQueue::shared(self.database.clone());
        let mut burying = JoinSet::new();
        for Buried { letter, has_reason } in letters {
            let queue = queue.clone();
            if has_reason {
                burying.spawn(async move { queue.bury(letter).await.expect("it is buried") });
                continue;
            }
            let connection = Connection::open(self.folder.path("mcp-batch.db")).expect("the file");
            connection.busy_timeout(Duration::from_secs(30)).expect("it waits");
            connection.pragma_update(None, "synchronous", "OFF").expect("it need not last");
            connection
                .execute(
                    "INSERT INTO dead_letters (body, message_group, attributes, buried_ms)
                     VALUES (?1, ?2, '{}', ?3)",
                    (&*letter.body, letter.group, Clock::system().now().0),
                )
                .expect("it is buried");
        }
        while let Some(buried) = burying.join_next().await {
            buried.expect("it is buried");
        }
    }

    async fn counts(&self) -> (usize, usize) {
        (self.count("dead_letters"), self.count("messages"))
    }

    fn command(&self, name: &str) -> Run<'_> {
        self.folder.command(name)
    }

    fn flags_of_the_killed(&self) -> &'static [&'static str] {
        &[]
    }

    fn worker(&self) -> Run<'_> {
        self.folder.command("serve").args(["--listen", "127.0.0.1:0"])
    }

    fn ready(&self) -> &'static str {
        "Serving http://"
    }
}

/// A queue, its dead letters and a table.
pub(super) struct AwsYard {
    folder: Folder,
    clients: Clients,
    pub(super) queue_url: String,
    pub(super) letters_url: String,
    table: String,
    aws: MiniStack,
}

impl AwsYard {
    pub(super) async fn fifo() -> Option<Self> {
        Self::new(".fifo").await
    }

    async fn new(suffix: &str) -> Option<Self> {
        let aws = MiniStack::start().await?;
        let clients = clients_at(aws.endpoint()).await;
        let table = MiniStack::unique("ledger");
        create_table(&clients.dynamodb, &table).await.expect("a table");
        Some(Self {
            folder: Folder::new(),
            queue_url: create(&clients, "jobs", suffix).await,
            letters_url: create(&clients, "dead", suffix).await,
            clients,
            table,
            aws,
        })
    }

    pub(super) fn sqs(&self) -> &aws_sdk_sqs::Client {
        &self.clients.sqs
    }

    pub(super) fn endpoint(&self) -> &str {
        self.aws.endpoint()
    }

    async fn count(&self, url: &str) -> usize {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let asked = self.clients.sqs.get_queue_attributes().queue_url(url);
        let told = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let told = told.expect("SQS answers").attributes.expect("attributes");
        names.iter().map(|name| told[name].parse::<usize>().expect("a number")).sum()
    }
}

async fn create(clients: &Clients, stem: &str, suffix: &str) -> String {
    let name = format!("{}{suffix}", MiniStack::unique(stem));
    let mut request = clients.sqs.create_queue().queue_name(name);
    if !suffix.is_empty() {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    request.send().await.expect("a queue is created").queue_url.expect("its URL")
}

impl Yard for AwsYard {
    type Ledger = DynamoLedger;

    async fn open() -> Option<Self> {
        Self::new("").await
    }

    fn folder(&self) -> &Folder {
        &self.folder
    }

    fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(&self.clients, DynamoSettings::of_table(&self.table))
    }

    async fn bury(&self, letters: Vec<Buried>) {
        for ten in letters.chunks(10) {
            let entries = ten.iter().enumerate().map(|(n, buried)| entry(n, buried)).collect();
            let request = self.clients.sqs.send_message_batch().queue_url(&self.letters_url);
            let sent = request.set_entries(Some(entries)).send().await.expect("SQS answers");
            assert_eq!(sent.failed(), []);
        }
    }

    async fn counts(&self) -> (usize, usize) {
        (self.count(&self.letters_url).await, self.count(&self.queue_url).await)
    }

    fn command(&self, name: &str) -> Run<'_> {
        let settings = [
            ("MCP_BATCH_QUEUE_URL", &*self.queue_url),
            ("MCP_BATCH_DLQ_URL", &*self.letters_url),
            ("MCP_BATCH_TABLE", &*self.table),
        ];
        let run = self.folder.command(name);
        let run = settings.into_iter().fold(run, |run, (name, value)| run.env(name, value));
        self.aws.env().into_iter().fold(run, |run, (name, value)| run.env(name, &value))
    }

    fn flags_of_the_killed(&self) -> &'static [&'static str] {
        &["--hide-s", "4"]
    }

    fn worker(&self) -> Run<'_> {
        self.command("poll").args(["--health", "127.0.0.1:0"]).env("MCP_BATCH_LOG", "info")
    }

    fn ready(&self) -> &'static str {
        "/healthz"
    }
}

fn entry(n: usize, buried: &Buried) -> SendMessageBatchRequestEntry {
    let Buried { letter, has_reason } = buried;
    let body = String::from_utf8_lossy(&letter.body);
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(n.to_string())
        .message_body(body)
        .set_message_group_id(letter.group.clone());
    for (name, value) in letter.attributes().into_iter().filter(|_| *has_reason) {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value);
        entry = entry.message_attributes(name, value.build().expect("an attribute"));
    }
    entry.build().expect("an entry")
}
