//! Sending: as many calls as ten messages and one MiB a call ask for.

use std::sync::Arc;

use super::{
    SqsQueue, failure,
    outgoing::{Entry, MAX_BYTES, Outgoing},
    tens::{Answers, Index, NO_ANSWER, TEN, call_at_once, call_in_turn},
};
use crate::{config::QueueUrl, queue::QueueError};

impl SqsQueue {
    /// Sends all or tells how many were not taken; the ids come in the order of the messages.
    /// Nothing is sent if one of them can't be.
    pub(super) async fn send_all(
        &self,
        queue_url: &QueueUrl,
        outgoing: Vec<Outgoing>,
    ) -> Result<Vec<String>, QueueError> {
        let entry = |(index, outgoing): (Index, Outgoing)| {
            let told = |error: QueueError| error.under(&format!("message {index}"));
            outgoing.into_entry(queue_url.is_fifo()).map_err(told)
        };
        let entries = outgoing.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        let count = entries.len();
        let mut answers = self.send_entries(queue_url, entries).await;
        if let Some(error) = answers.error(count) {
            return Err(error);
        }
        answers.done.sort_unstable();
        Ok(answers.done.into_iter().map(|(_, id)| id).collect())
    }

    /// Sends what can be sent; one answer a message, in their order. On a FIFO queue nothing is
    /// sent after one that was refused.
    pub(super) async fn send_what_can_be(
        &self,
        queue_url: &QueueUrl,
        outgoing: Vec<Outgoing>,
    ) -> Vec<Result<String, QueueError>> {
        let entries = outgoing.into_iter().map(|it| it.into_entry(queue_url.is_fifo()));
        let (mut sendable, mut answers) = (Vec::new(), Vec::new());
        for entry in entries {
            answers.push(entry.map(|entry| sendable.push(entry)));
        }
        let count = sendable.len();
        let mut sent = self.send_entries(queue_url, sendable).await.each(count).into_iter();
        let no_answer = || Err(QueueError::of(NO_ANSWER));
        let answer = |judged: Result<(), QueueError>| match judged {
            Ok(()) => sent.next().unwrap_or_else(no_answer),
            Err(error) => Err(error),
        };
        answers.into_iter().map(answer).collect()
    }

    /// Sends what can be sent, on a FIFO queue in the given order.
    pub(super) async fn send_entries(
        &self,
        queue_url: &QueueUrl,
        entries: Vec<Entry>,
    ) -> Answers<String> {
        let calls = calls(&entries);
        let (queue, url, entries) = (self.clone(), queue_url.clone(), Arc::new(entries));
        let call = move |indexes: Vec<Index>| {
            let (queue, url, entries) = (queue.clone(), url.clone(), Arc::clone(&entries));
            async move {
                let sent = queue.send_ten(&url, &entries, &indexes).await;
                sent.unwrap_or_else(|error| Answers::all_refused(&indexes, &error))
            }
        };
        if queue_url.is_fifo() {
            call_in_turn(calls, call).await
        } else {
            call_at_once(calls, call).await
        }
    }

    async fn send_ten(
        &self,
        queue_url: &QueueUrl,
        entries: &[Entry],
        indexes: &[Index],
    ) -> Result<Answers<String>, QueueError> {
        let requests = indexes.iter().map(|&index| entries[index].request(index));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let _permit = self.requests.acquire().await.map_err(QueueError::of)?;
        let request =
            self.client.send_message_batch().queue_url(queue_url).set_entries(Some(requests));
        let sent = Box::pin(request.send()).await.map_err(|error| failure::told(&error))?;
        let done = sent.successful().iter().map(|entry| (entry.id(), entry.message_id.clone()));
        Ok(Answers::new(done, sent.failed()))
    }
}

/// Which entries go together.
fn calls(entries: &[Entry]) -> Vec<Vec<Index>> {
    let mut calls: Vec<Vec<Index>> = Vec::new();
    let mut bytes = 0;
    for (index, entry) in entries.iter().enumerate() {
        bytes += entry.bytes;
        match calls.last_mut() {
            Some(call) if call.len() < TEN && bytes <= MAX_BYTES => call.push(index),
            _ => {
                bytes = entry.bytes;
                calls.push(vec![index]);
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(bytes: usize) -> Entry {
        let outgoing = Outgoing {
            body: vec![b'x'; bytes].into(),
            group: None,
            delay: Duration::ZERO,
            attributes: Vec::new(),
            others: Vec::new(),
            trace: None,
        };
        outgoing.into_entry(false).expect("it can be sent")
    }

    #[test]
    fn a_call_has_at_most_ten_entries_and_one_mib() {
        let of = |sizes: &[usize]| calls(&sizes.iter().copied().map(entry).collect::<Vec<_>>());
        assert_eq!(of(&[]), Vec::<Vec<Index>>::new());
        assert_eq!(of(&[1; 21]).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 1]);
        let half = MAX_BYTES / 2;
        assert_eq!(of(&[half, half, 1, half, half]), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(of(&[MAX_BYTES, MAX_BYTES]), [[0], [1]]);
    }
}
