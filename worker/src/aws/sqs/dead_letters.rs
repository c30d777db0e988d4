//! The dead letters in SQS. A queue cannot be listed: what is read is received, which hides it, counts a
//! receive, and is undone by making it visible again.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    types::{Message as SqsMessage, MessageSystemAttributeName as System, QueueAttributeName},
};
use tokio::task::JoinSet;

use super::{
    SqsQueue, SqsSettings,
    attributes::{attribute, unpacked},
    failure,
    outgoing::Outgoing,
    tens::TEN,
};
use crate::{
    clock::UnixMs,
    config::QueueUrl,
    dead_letter::{DeadLetters, Letter, LetterId, Replay},
    queue::{QueueError, Receipt},
};

/// How long a receive waits for letters: long enough for SQS to ask all its servers.
const WAIT: Duration = Duration::from_secs(1);

/// The dead letters of a queue, and the queue that their jobs go back to.
#[derive(Clone, Debug)]
pub struct SqsDeadLetters {
    letters: SqsQueue,
    jobs: SqsQueue,
    hidden_for: Duration,
}

impl SqsDeadLetters {
    /// Those at `letters_url` of the queue at `jobs_url`. What is looked at is hidden for `hidden_for`, or
    /// until it is put back.
    pub fn new(
        client: &Client,
        letters_url: QueueUrl,
        jobs_url: QueueUrl,
        hidden_for: Duration,
    ) -> Self {
        let queue = |url: QueueUrl| SqsQueue::new(client.clone(), SqsSettings::new(url));
        Self { letters: queue(letters_url), jobs: queue(jobs_url), hidden_for }
    }
}

impl DeadLetters for SqsDeadLetters {
    fn name(&self) -> String {
        self.letters.url().to_string()
    }

    /// Only the first call waits; what others received must not be lost to an error.
    async fn take(&self, max: usize) -> Result<Vec<Letter>, QueueError> {
        let first = self.letters.receive_as_sent(max, WAIT, self.hidden_for).await?;
        let mut receiving = JoinSet::new();
        for start in (TEN..max).step_by(TEN).take_while(|_| first.len() == TEN) {
            let (queue, hidden_for) = (self.letters.clone(), self.hidden_for);
            receiving.spawn(async move {
                queue.receive_as_sent(max - start, Duration::ZERO, hidden_for).await
            });
        }
        let mut letters: Vec<Letter> = first.into_iter().filter_map(letter).collect();
        while let Some(received) = receiving.join_next().await {
            match received.map_err(QueueError::of).flatten() {
                Ok(received) => letters.extend(received.into_iter().filter_map(letter)),
                Err(error) => tracing::warn!(%error, "fewer letters are read than there are"),
            }
        }
        Ok(letters)
    }

    async fn hidden(&self) -> Result<usize, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let asked = self.letters.client.get_queue_attributes().queue_url(self.name());
        let told = asked.attribute_names(name.clone()).send().await;
        let told = told.map_err(|error| failure::told(&error))?;
        let number = told.attributes.and_then(|mut told| told.remove(&name));
        Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
    }

    fn hidden_for(&self) -> Duration {
        self.hidden_for
    }

    async fn put_back(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let now = receipts.into_iter().map(|receipt| (receipt, Duration::ZERO));
        self.letters.hide(now.collect()).await
    }

    /// On a FIFO queue each has a fresh deduplication id: under its old one SQS would take it for sent,
    /// for five minutes, and drop it.
    async fn send(&self, replays: Vec<Replay>) -> Vec<Result<(), QueueError>> {
        let outgoing = replays.into_iter().map(Outgoing::replay).collect();
        let url = &self.jobs.settings.queue_url;
        let answers = self.jobs.send_what_can_be(url, outgoing).await;
        answers.into_iter().map(|answer| answer.map(drop)).collect()
    }

    async fn delete(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        self.letters.delete_all(receipts).await
    }
}

/// Without an id or a receipt nothing can be done with a message; it comes back.
fn letter(message: SqsMessage) -> Option<Letter> {
    let mut system = message.attributes.unwrap_or_default();
    let sent = system.get(&System::SentTimestamp).and_then(|moment| moment.parse().ok());
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    let letter = Letter {
        id: LetterId(message.message_id?),
        receipt: Receipt(message.receipt_handle?),
        body: message.body.unwrap_or_default().into(),
        buried: sent.map_or(UnixMs(0), UnixMs),
        group: system.remove(&System::MessageGroupId),
        trace: system.remove(&System::AwsTraceHeader),
        namespace: None,
        reason: None,
        others: Vec::new(),
    };
    let attributes = attributes.filter_map(|(name, value)| attribute(name, value));
    Some(letter.with_attributes(unpacked(attributes.collect())))
}
