//! Messages that come back in their time, or not at all: deferral, heartbeats, deletion.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};

use super::{
    SqsQueue, failure,
    outgoing::{Outgoing, whole_seconds},
    tens::{Answers, Index, call_at_once, tens},
};
use crate::{
    clock::{Clock, UnixMs},
    queue::{Message, QueueError, Receipt},
};

/// A message received so often is sent anew, which counts from one again: the queue's redrive
/// policy, with its `maxReceiveCount` of 100, is for messages that die before they are claimed.
const SENT_ANEW_FROM: u32 = 50;

/// A message of a FIFO queue, which cannot be sent anew, is hidden at least so long once it was
/// received so often. The 950 receives that its `maxReceiveCount` of 1,000 then leaves last longer
/// than any job is tried for: by its age a job is given up with a reason, by its receives without.
const FIFO_HIDDEN_AT_LEAST: Duration = Duration::from_mins(5);

/// A message may be hidden for 12 hours "from the time that Amazon SQS receives the
/// `ReceiveMessage` request" (`ChangeMessageVisibility`, API reference). What was received some
/// time ago has less left.
const LONGEST_HIDDEN: Duration = Duration::from_secs(10 * 3600);

impl SqsQueue {
    /// Hides each message for its own time, or sends it anew; answers the receipts of the latter.
    pub(super) async fn defer_all(&self, messages: Vec<(Message, Duration)>) -> Vec<Receipt> {
        let now = Clock::system().now();
        let is_sent_anew =
            |(message, wait): &(Message, Duration)| self.is_sent_anew(message, *wait, now);
        let (anew, hidden): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_sent_anew);
        let hidden = hidden.into_iter().map(|(message, wait)| {
            let wait = wait.max(self.least_hidden(&message));
            (message.receipt, wait)
        });
        let hidden = hidden.collect();
        let (anew, ()) = tokio::join!(self.send_anew(anew), self.hide_if_possible(hidden));
        self.hide_if_possible(anew.unsent).await;
        anew.sent
    }

    /// A message that is sent anew loses its place: never on a FIFO queue.
    fn is_sent_anew(&self, message: &Message, wait: Duration, now: UnixMs) -> bool {
        let is_due =
            wait > self.settings.visibility_budget || message.receive_count >= SENT_ANEW_FROM;
        let is_too_old = now.since(message.first_seen) >= self.settings.sent_anew_until;
        is_due && !is_too_old && !self.is_fifo()
    }

    fn least_hidden(&self, message: &Message) -> Duration {
        match self.is_fifo() && message.receive_count >= SENT_ANEW_FROM {
            true => FIFO_HIDDEN_AT_LEAST,
            false => Duration::ZERO,
        }
    }

    async fn send_anew(&self, messages: Vec<(Message, Duration)>) -> Anew {
        let mut anew = Anew::default();
        let (mut entries, mut deferred) = (Vec::new(), Vec::new());
        for (message, wait) in messages {
            match Outgoing::anew(&message, wait).into_entry(self.is_fifo()) {
                Ok(entry) => {
                    entries.push(entry);
                    deferred.push((message.receipt, wait));
                }
                // A message of full size, to which an attribute would be added.
                Err(_) => anew.unsent.push((message.receipt, wait)),
            }
        }
        let answers = self.send_entries(&self.settings.queue_url, entries).await;
        if let Some(error) = answers.error(deferred.len()) {
            tracing::warn!(%error, "messages cannot be sent anew; they are hidden instead");
        }
        let sent: HashSet<Index> = answers.done.into_iter().map(|(index, _)| index).collect();
        for (index, (receipt, wait)) in deferred.into_iter().enumerate() {
            match sent.contains(&index) {
                true => anew.sent.push(receipt),
                false => anew.unsent.push((receipt, wait)),
            }
        }
        anew
    }

    async fn hide_if_possible(&self, receipts: Vec<(Receipt, Duration)>) {
        if let Err(error) = self.hide(receipts).await {
            tracing::warn!(%error, "messages come back by their visibility timeout");
        }
    }

    /// Hides each message for its own time from now on.
    pub(super) async fn hide(&self, receipts: Vec<(Receipt, Duration)>) -> Result<(), QueueError> {
        let (count, queue, receipts) = (receipts.len(), self.clone(), Arc::new(receipts));
        let answers = call_at_once(tens(count), move |indexes| {
            let (queue, receipts) = (queue.clone(), Arc::clone(&receipts));
            async move {
                let hidden = queue.hide_ten(&receipts, &indexes).await;
                hidden.unwrap_or_else(|error| Answers::all_refused(&indexes, &error))
            }
        });
        answers.await.forgive_stale().error(count).map_or(Ok(()), Err)
    }

    async fn hide_ten(
        &self,
        receipts: &[(Receipt, Duration)],
        indexes: &[Index],
    ) -> Result<Answers<()>, QueueError> {
        let entry = |&index: &Index| {
            let (receipt, wait) = &receipts[index];
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.0)
                .visibility_timeout(whole_seconds(*wait.min(&LONGEST_HIDDEN)))
                .build()
        };
        let entries = indexes.iter().map(entry).collect::<Result<Vec<_>, _>>();
        let request = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.settings.queue_url)
            .set_entries(Some(entries.map_err(QueueError::of)?));
        let _permit = self.requests.acquire().await.map_err(QueueError::of)?;
        let hidden = request.send().await.map_err(|error| failure::told(&error))?;
        Ok(Answers::new(hidden.successful().iter().map(|entry| (entry.id(), ())), hidden.failed()))
    }

    /// Deletes messages.
    pub(super) async fn delete_all(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let (count, queue, receipts) = (receipts.len(), self.clone(), Arc::new(receipts));
        let answers = call_at_once(tens(count), move |indexes| {
            let (queue, receipts) = (queue.clone(), Arc::clone(&receipts));
            async move {
                let deleted = queue.delete_ten(&receipts, &indexes).await;
                deleted.unwrap_or_else(|error| Answers::all_refused(&indexes, &error))
            }
        });
        answers.await.forgive_stale().error(count).map_or(Ok(()), Err)
    }

    async fn delete_ten(
        &self,
        receipts: &[Receipt],
        indexes: &[Index],
    ) -> Result<Answers<()>, QueueError> {
        let entry = |&index: &Index| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipts[index].0)
                .build()
        };
        let entries = indexes.iter().map(entry).collect::<Result<Vec<_>, _>>();
        let request = self
            .client
            .delete_message_batch()
            .queue_url(&self.settings.queue_url)
            .set_entries(Some(entries.map_err(QueueError::of)?));
        let _permit = self.requests.acquire().await.map_err(QueueError::of)?;
        let deleted = request.send().await.map_err(|error| failure::told(&error))?;
        let done = deleted.successful().iter().map(|entry| (entry.id(), ()));
        Ok(Answers::new(done, deleted.failed()))
    }
}

/// What became of messages that were to be sent anew.
#[derive(Default)]
struct Anew {
    sent: Vec<Receipt>,
    unsent: Vec<(Receipt, Duration)>,
}
