//! A queue whose hidden messages are not waited for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_sqs::Client;
use mcp_batch_testkit::{Source, SqsMessage, SqsQueue};

/// Before each receive, all that was received and not deleted is made visible: as if the time had
/// passed for which the function hid it. What was sent anew with a delay is waited for.
pub(crate) struct Impatient {
    queue: SqsQueue,
    client: Client,
    hidden: Mutex<Vec<String>>,
}

impl Impatient {
    pub(super) fn new(queue: SqsQueue, client: Client) -> Self {
        Self { queue, client, hidden: Mutex::default() }
    }

    fn take_hidden(&self) -> Vec<String> {
        std::mem::take(&mut *self.hidden.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hide(&self, receipts: impl IntoIterator<Item = String>) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).extend(receipts);
    }

    async fn show(&self, receipt: String) {
        let request = self.client.change_message_visibility().queue_url(self.queue.url());
        let shown = request.receipt_handle(receipt).visibility_timeout(0).send().await;
        shown.expect("a hidden message is shown");
    }
}

impl Source for Impatient {
    fn arn(&self) -> &str {
        self.queue.arn()
    }

    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }

    async fn receive(&self, max: usize) -> Vec<SqsMessage> {
        for receipt in self.take_hidden() {
            self.show(receipt).await;
        }
        let messages = self.queue.receive(max).await;
        let receipt = |message: &SqsMessage| message["ReceiptHandle"].as_str().map(str::to_owned);
        self.hide(messages.iter().filter_map(receipt));
        messages
    }

    async fn delete(&self, receipts: Vec<String>) {
        let hidden = self.take_hidden().into_iter();
        self.hide(hidden.filter(|receipt| !receipts.contains(receipt)).collect::<Vec<_>>());
        self.queue.delete(receipts).await;
    }

    async fn remaining(&self) -> usize {
        self.queue.remaining().await
    }
}
