//! A queue in which no time passes: whatever is given back comes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcp_batch_testkit::{RuntimeApi, Source as _};
use serde_json::Value;

use crate::event::{Record, event};
use crate::rig::{Letter, Rig};
use crate::wire::sent_to;

/// What AWS wants of a standard queue's redrive policy here, and of a FIFO queue's: a message that
/// is received more often is lost among the dead letters, without a reason.
const MOST_RECEIVES: u32 = 100;
const MOST_RECEIVES_FIFO: u32 = 1_000;

/// The messages of the rig's queue, as far as the worker can tell. It hands them to the function
/// all at once, and takes in what the function sends anew.
pub(crate) struct Timeless<'a> {
    rig: &'a Rig,
    messages: Vec<Record>,
    sent: usize,
}

impl<'a> Timeless<'a> {
    /// With one message for each job, all of one group if the queue is a FIFO queue.
    pub(crate) fn new(rig: &'a Rig, jobs: &[Value]) -> Self {
        let mut queue = Self { rig, messages: Vec::new(), sent: 0 };
        for job in jobs {
            queue.take_in(&job.to_string(), BTreeMap::new());
        }
        queue
    }

    /// With these dead letters, as somebody put them back.
    pub(crate) fn of(rig: &'a Rig, letters: &[Letter]) -> Self {
        let mut queue = Self::new(rig, &[]);
        for letter in letters {
            queue.take_in(&letter.body, letter.attributes.clone());
        }
        queue
    }

    fn take_in(&mut self, body: &str, attributes: BTreeMap<String, String>) {
        self.sent += 1;
        let record = Record::new(&format!("message-{}", self.sent), body);
        let record = Record { attributes, arn: Some(self.arn().to_owned()), ..record };
        let group = self.is_fifo().then(|| "all".to_owned());
        self.messages.push(Record { receive_count: 0, group, ..record });
    }

    fn arn(&self) -> &str {
        self.rig.source.queue().arn()
    }

    fn is_fifo(&self) -> bool {
        self.arn().strip_suffix(".fifo").is_some()
    }

    /// How many messages were ever sent to it.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Delivers all messages in one event; what is listed in the answer stays, and what was sent
    /// anew is a message of its own.
    pub(crate) async fn deliver(&mut self, function: &RuntimeApi, timeout: Duration) {
        let most = if self.is_fifo() { MOST_RECEIVES_FIFO } else { MOST_RECEIVES };
        for message in &mut self.messages {
            message.receive_count += 1;
            assert!(message.receive_count <= most, "the queue's own redrive policy would take it");
        }
        self.rig.proxy.forget();
        let answer = function.invoke(&event(&self.messages), timeout).await.json();
        let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
        let listed: BTreeSet<&str> =
            failures.filter_map(|failure| failure["itemIdentifier"].as_str()).collect();
        self.messages.retain(|message| listed.contains(&*message.id));
        for entry in sent_to(self.rig.aws.queue_url(), &self.rig.proxy.calls()) {
            let attributes = entry["MessageAttributes"].as_object().into_iter().flatten();
            let text = |value: &Value| value["StringValue"].as_str().unwrap_or_default().to_owned();
            let attributes = attributes.map(|(name, value)| (name.clone(), text(value))).collect();
            self.take_in(entry["MessageBody"].as_str().expect("a body"), attributes);
        }
    }

    /// Delivers until nothing is left. Answers how many deliveries that took.
    pub(crate) async fn until_empty(&mut self, function: &RuntimeApi, timeout: Duration) -> usize {
        let mut deliveries = 0;
        while self.len() > 0 {
            self.deliver(function, timeout).await;
            deliveries += 1;
        }
        deliveries
    }
}
