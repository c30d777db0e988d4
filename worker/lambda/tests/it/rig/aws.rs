//! A table and queues that nobody else uses.

use std::{collections::BTreeMap, time::Duration};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::{
    config::Credentials,
    types::{
        Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
        SendMessageBatchRequestEntry,
    },
};
use mcp_batch::{
    aws::{
        clients::Clients,
        dynamo::{DynamoLedger, DynamoSettings, create_table},
    },
    job::{JobKey, Namespace},
    lease::{Ledger as _, Record},
};
use mcp_batch_testkit::{MiniStack, SqsQueue};
use serde_json::{Value, json};

use super::{Queue, impatient::Impatient};

/// What a queue's redrive policy says where its followers are not counted, and where they are.
const MAX_RECEIVES: u32 = 100;
const MAX_RECEIVES_FIFO: u32 = 1_000;

/// What the queues are to be like.
pub(super) struct Queues {
    pub(super) visibility_timeout: Duration,
    pub(super) is_fifo: bool,
    /// Receives before the queue's own redrive policy takes a message.
    pub(super) max_receives: Option<u32>,
}

/// A dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) body: String,
    pub(crate) group: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A table, a queue and a queue of dead letters.
pub(crate) struct Aws {
    ministack: MiniStack,
    pub(super) clients: Clients,
    ledger: DynamoLedger,
    table: String,
    queue_url: String,
    dlq_url: String,
}

impl Aws {
    pub(super) async fn open(queues: Queues) -> Option<Self> {
        let Queues { visibility_timeout, is_fifo, max_receives } = queues;
        let ministack = MiniStack::start().await?;
        let clients = clients_at(ministack.endpoint()).await;
        let table = MiniStack::unique("jobs");
        create_table(&clients.dynamodb, &table).await.expect("a table");
        let visibility = (QueueAttributeName::VisibilityTimeout, visibility_timeout.as_secs());
        let visibility = [(visibility.0, visibility.1.to_string())];
        let usual = if is_fifo { MAX_RECEIVES_FIFO } else { MAX_RECEIVES };
        let max_receives = max_receives.unwrap_or(usual);
        let dlq_url = create_queue(&clients, "dead", is_fifo, visibility.clone()).await;
        let redrive = redrive_policy(&clients, &dlq_url, max_receives).await;
        let attributes = visibility.into_iter().chain([redrive]);
        let queue_url = create_queue(&clients, "jobs", is_fifo, attributes).await;
        let ledger = DynamoLedger::new(&clients, DynamoSettings::of_table(&table));
        Some(Self { ministack, clients, ledger, table, queue_url, dlq_url })
    }

    pub(super) fn endpoint(&self) -> &str {
        self.ministack.endpoint()
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    pub(super) fn env(&self) -> [(&'static str, String); 3] {
        [
            ("MCP_BATCH_TABLE", self.table.clone()),
            ("MCP_BATCH_QUEUE_URL", self.queue_url.clone()),
            ("MCP_BATCH_DLQ_URL", self.dlq_url.clone()),
        ]
    }

    pub(super) async fn source(&self) -> Queue {
        Queue::new(SqsQueue::new(self.endpoint(), &self.queue_url).await)
    }

    /// The queue without the waiting.
    pub(crate) async fn impatient(&self) -> Impatient {
        let queue = SqsQueue::new(self.endpoint(), &self.queue_url).await;
        Impatient::new(queue, self.clients.sqs.clone())
    }

    /// Sends jobs, or what claims to be some, to a standard queue.
    pub(crate) async fn send(&self, jobs: impl IntoIterator<Item = Value>) {
        let entry = |(at, job): (usize, Value)| {
            let entry = SendMessageBatchRequestEntry::builder().id(at.to_string());
            entry.message_body(job.to_string()).build().expect("an entry")
        };
        let entries: Vec<_> = jobs.into_iter().enumerate().map(entry).collect();
        for entries in entries.chunks(10) {
            let request = self.clients.sqs.send_message_batch().queue_url(&self.queue_url);
            let sent = request.set_entries(Some(entries.to_vec())).send().await;
            assert_eq!(sent.expect("SQS takes messages").successful.len(), entries.len());
        }
    }

    /// Sends a body to a group of a FIFO queue.
    pub(crate) async fn send_to_group(&self, group: &str, body: &str) {
        let request = self.clients.sqs.send_message().queue_url(&self.queue_url);
        let request = request.message_body(body).message_group_id(group);
        let request = request.message_deduplication_id(MiniStack::unique("message"));
        request.send().await.expect("SQS takes a message");
    }

    /// Sends a dead letter as the console's redrive does: body and attributes as they are, under a
    /// new message id.
    pub(crate) async fn put_back(&self, letter: &Letter) {
        let attribute = |(name, value): (&String, &String)| {
            let text = MessageAttributeValue::builder().data_type("String").string_value(value);
            (name.clone(), text.build().expect("an attribute"))
        };
        let request = self.clients.sqs.send_message().queue_url(&self.queue_url);
        let request = request.message_body(&letter.body);
        let attributes = letter.attributes.iter().map(attribute).collect();
        let request = request.set_message_attributes(Some(attributes));
        request.send().await.expect("SQS takes a message");
    }

    /// The queue's URL, as the function knows it.
    pub(crate) fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// The ARN of the queue of dead letters.
    pub(crate) async fn dlq_arn(&self) -> String {
        arn(&self.clients, &self.dlq_url).await
    }

    /// What the ledger holds of a job.
    pub(crate) async fn record(&self, id: &str) -> Option<Record> {
        let key = JobKey::of(&Namespace::default(), &id.parse().expect("a job id"));
        let records = self.ledger.read(vec![key]).await.expect("the ledger answers");
        records.into_iter().next().flatten()
    }

    /// Lets the pause before the next try of a job's callback be over.
    pub(crate) async fn end_callbacks_pause(&self, id: &str) {
        let key = JobKey::of(&Namespace::default(), &id.parse().expect("a job id"));
        let update = self.clients.dynamodb.update_item().table_name(&self.table);
        let update = update.key("pk", AttributeValue::S(format!("job#{key}")));
        let update = update.condition_expression("attribute_exists(pk)");
        let update = update.update_expression("REMOVE callback_due_ms").send().await;
        update.expect("the ledger knows the job");
    }

    /// The dead letters that came since the last time.
    pub(crate) async fn take_dead_letters(&self) -> Vec<Letter> {
        let mut letters = Vec::new();
        loop {
            let messages = self.receive_dead_letters().await;
            if messages.is_empty() {
                return letters;
            }
            for message in messages {
                let receipt = message.receipt_handle().expect("a receipt");
                let request = self.clients.sqs.delete_message().queue_url(&self.dlq_url);
                request.receipt_handle(receipt).send().await.expect("a deletion");
                letters.push(Letter::of(message));
            }
        }
    }

    async fn receive_dead_letters(&self) -> Vec<Message> {
        let request = self.clients.sqs.receive_message().queue_url(&self.dlq_url);
        let request = request.max_number_of_messages(10).message_attribute_names("All");
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        request.send().await.expect("SQS answers").messages.unwrap_or_default()
    }
}

impl Letter {
    fn of(message: Message) -> Self {
        let attributes = message.message_attributes.unwrap_or_default().into_iter();
        let attributes =
            attributes.map(|(name, value)| (name, value.string_value.expect("a text")));
        let mut system = message.attributes.unwrap_or_default();
        Self {
            body: message.body.unwrap_or_default(),
            group: system.remove(&MessageSystemAttributeName::MessageGroupId),
            attributes: attributes.collect(),
        }
    }

    /// An attribute; empty if there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

async fn clients_at(endpoint: &str) -> Clients {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(MiniStack::REGION))
        .credentials_provider(Credentials::new(MiniStack::KEY, MiniStack::KEY, None, None, "test"));
    Clients::load(loader).await
}

async fn create_queue(
    clients: &Clients,
    stem: &str,
    is_fifo: bool,
    attributes: impl IntoIterator<Item = (QueueAttributeName, String)>,
) -> String {
    let suffix = if is_fifo { ".fifo" } else { "" };
    let request =
        clients.sqs.create_queue().queue_name(format!("{}{suffix}", MiniStack::unique(stem)));
    let mut attributes: Vec<_> = attributes.into_iter().collect();
    if is_fifo {
        attributes.push((QueueAttributeName::FifoQueue, "true".to_owned()));
    }
    let request = request.set_attributes(Some(attributes.into_iter().collect()));
    request.send().await.expect("a queue").queue_url.expect("its URL")
}

async fn arn(clients: &Clients, url: &str) -> String {
    let request = clients.sqs.get_queue_attributes().queue_url(url);
    let answer = request.attribute_names(QueueAttributeName::QueueArn).send().await;
    let mut attributes = answer.expect("attributes").attributes.expect("an ARN");
    attributes.remove(&QueueAttributeName::QueueArn).expect("an ARN")
}

async fn redrive_policy(
    clients: &Clients,
    dlq_url: &str,
    max_receives: u32,
) -> (QueueAttributeName, String) {
    let arn = arn(clients, dlq_url).await;
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives});
    (QueueAttributeName::RedrivePolicy, policy.to_string())
}
