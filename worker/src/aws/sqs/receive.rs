//! Receiving: one long poll, and where that comes back full, more at once.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::{
    config::{Config, timeout::TimeoutConfig},
    types::{Message as SqsMessage, MessageSystemAttributeName as System},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Envelope, SqsQueue, attributes::attribute, failure, outgoing::whole_seconds, tens::TEN,
};
use crate::{
    clock::Clock,
    queue::{Cause, Message, QueueError},
};

/// "`WaitTimeSeconds`": at most 20 (`ReceiveMessage`, API reference).
const LONGEST_POLL: Duration = Duration::from_secs(20);

/// "`VisibilityTimeout`: 0 to 43,200 seconds" (`ReceiveMessage`, API reference).
const LONGEST_HIDDEN: Duration = Duration::from_secs(43_200);

/// How much longer than its poll one try of a request may take, and all its tries.
const ATTEMPT_GRACE: Duration = Duration::from_secs(5);
const OPERATION_GRACE: Duration = Duration::from_secs(30);

/// The system attributes that are read.
const READ: [System; 4] = [
    System::ApproximateReceiveCount,
    System::SentTimestamp,
    System::MessageGroupId,
    System::AwsTraceHeader,
];

impl SqsQueue {
    /// Up to `max` messages. Only the first call waits: an idle queue costs one request a poll.
    pub(super) async fn receive_up_to(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let received = self.receive_ten(max, wait, visibility_timeout).await;
        let mut messages = received.map_err(|error| match error.cause() {
            Cause::Settings => error.under("MCP_BATCH_QUEUE_URL"),
            _ => error,
        })?;
        if messages.len() == TEN {
            messages.extend(self.receive_more(max - TEN, visibility_timeout).await);
        }
        Ok(messages)
    }

    /// What else there is. What was received before must not be lost to an error here.
    async fn receive_more(&self, max: usize, visibility_timeout: Duration) -> Vec<Message> {
        let mut receiving = JoinSet::new();
        for start in (0..max).step_by(TEN) {
            let queue = self.clone();
            receiving.spawn(async move {
                queue.receive_ten(max - start, Duration::ZERO, visibility_timeout).await
            });
        }
        let mut messages = Vec::new();
        while let Some(received) = receiving.join_next().await {
            match received.map_err(QueueError::of).flatten() {
                Ok(received) => messages.extend(received),
                Err(error) => tracing::warn!(%error, "fewer messages are received than there are"),
            }
        }
        messages
    }

    /// One call.
    async fn receive_ten(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let received = self.receive_as_sent(max, wait, visibility_timeout).await?;
        let now = Clock::system().now();
        let envelopes = received.into_iter().filter_map(envelope);
        Ok(envelopes.map(|envelope| envelope.into_message(now)).collect())
    }

    /// One call, and what SQS answers to it.
    pub(super) async fn receive_as_sent(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> Result<Vec<SqsMessage>, QueueError> {
        let Some(max) = i32::try_from(max.min(TEN)).ok().filter(|max| *max > 0) else {
            return Ok(Vec::new());
        };
        let wait = wait.min(LONGEST_POLL);
        let _permit = self.requests.acquire().await.map_err(QueueError::of)?;
        let request = self
            .client
            .receive_message()
            .queue_url(&self.settings.queue_url)
            .set_message_system_attribute_names(Some(READ.to_vec()))
            .message_attribute_names("All")
            .max_number_of_messages(max)
            .wait_time_seconds(whole_seconds(wait))
            .visibility_timeout(whole_seconds(visibility_timeout.min(LONGEST_HIDDEN)))
            // Receives what an answer that was lost had brought.
            .set_receive_request_attempt_id(self.is_fifo().then(|| Uuid::new_v4().to_string()));
        let timeouts = Config::builder().timeout_config(timeouts(wait));
        let received = request.customize().config_override(timeouts).send().await;
        let received = received.map_err(|error| failure::told(&error))?;
        Ok(received.messages.unwrap_or_default())
    }
}

fn timeouts(wait: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(wait + ATTEMPT_GRACE)
        .operation_timeout(wait + OPERATION_GRACE)
        .build()
}

/// Without a receipt nothing can be done with a message; it comes back.
fn envelope(message: SqsMessage) -> Option<Envelope> {
    let system = message.attributes.unwrap_or_default().into_iter();
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    Some(Envelope {
        receipt: message.receipt_handle?,
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default().into(),
        system: system
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect::<HashMap<_, _>>()
            .into(),
        attributes: attributes.filter_map(|(name, value)| attribute(name, value)).collect(),
    })
}
