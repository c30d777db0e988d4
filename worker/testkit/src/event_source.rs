//! The event source mapping from SQS to Lambda, rule by rule.
//!
//! What stands in quotes is AWS's: from the Lambda developer guide's pages on SQS ("Creating and
//! configuring an Amazon SQS event source mapping", "Lambda parameters for Amazon SQS event source
//! mappings", "Handling errors for an SQS event source in Lambda") and from the API reference of
//! `CreateEventSourceMapping`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

mod answer;

mod event;

mod mapping;

mod report;

mod sqs;

pub use self::mapping::{Mapping, Refused};
pub use self::report::{Report, WholeBatch};
pub use self::sqs::SqsQueue;

use self::event::Event;
use crate::{PATIENCE, RuntimeApi};

/// "By default, Lambda polls up to 10 messages in your queue at once and sends that batch to your
/// function." So does the API of SQS.
const MAX_RECEIVE: usize = 10;

/// A received message, as SQS's `ReceiveMessage` describes it in JSON.
pub type SqsMessage = Value;

/// The queue that a mapping polls: [`SqsQueue`], or what a test plays.
pub trait Source {
    /// Its ARN, which ends in `.fifo` for a FIFO queue.
    fn arn(&self) -> &str;

    /// How long a received message stays hidden.
    fn visibility_timeout(&self) -> Duration;

    /// Receives up to `max` messages, at most 10; none if there are none.
    fn receive(&self, max: usize) -> impl Future<Output = Vec<SqsMessage>> + Send;

    /// Deletes messages by their receipt handles.
    fn delete(&self, receipts: Vec<String>) -> impl Future<Output = ()> + Send;

    /// How many messages it still holds, hidden and delayed ones too.
    fn remaining(&self) -> impl Future<Output = usize> + Send;
}

/// A mapping between a queue and a function. It polls when a test says so, and tells what came of
/// each batch.
#[derive(Debug)]
pub struct EventSource<S> {
    source: S,
    mapping: Mapping,
    /// Received, but too much for the batch before.
    left_over: VecDeque<SqsMessage>,
}

impl<S: Source> EventSource<S> {
    /// Creates the mapping.
    ///
    /// # Errors
    ///
    /// As AWS refuses a mapping: see [`Refused`].
    pub fn create(source: S, mapping: Mapping) -> Result<Self, Refused> {
        mapping.check(source.arn(), source.visibility_timeout())?;
        Ok(Self { source, mapping, left_over: VecDeque::new() })
    }

    /// The queue.
    pub fn queue(&self) -> &S {
        &self.source
    }

    /// Gathers one batch, invokes the function with it, and deletes what its answer allows.
    /// `None` if there is no message to be had.
    pub async fn poll(&mut self, function: &RuntimeApi) -> Option<Report> {
        let event = self.gather().await?;
        let invocation = function.invoke(&event.json(), self.mapping.function_timeout).await;
        let verdict = match self.mapping.reports_failures {
            true => answer::judge(event.ids(), &invocation),
            false => answer::judge_unread(&invocation),
        };
        let report = Report::new(event.ids(), verdict, invocation);
        self.source.delete(event.receipts(&report.deleted)).await;
        Some(report)
    }

    /// Works off this many batches.
    ///
    /// # Panics
    ///
    /// When there is no message for [`PATIENCE`].
    pub async fn batches(&mut self, function: &RuntimeApi, count: usize) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut last = Instant::now();
        while reports.len() < count {
            match self.poll(function).await {
                Some(report) => {
                    reports.push(report);
                    last = Instant::now();
                }
                None => self.wait(last).await,
            }
        }
        reports
    }

    /// Works off batches until the queue holds nothing any more, not even hidden messages.
    ///
    /// # Panics
    ///
    /// When it holds messages that do not appear for [`PATIENCE`].
    pub async fn until_empty(&mut self, function: &RuntimeApi) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut last = Instant::now();
        loop {
            match self.poll(function).await {
                Some(report) => {
                    reports.push(report);
                    last = Instant::now();
                }
                None if self.source.remaining().await == 0 => return reports,
                None => self.wait(last).await,
            }
        }
    }

    async fn wait(&self, since: Instant) {
        let waited = since.elapsed();
        assert!(waited < PATIENCE, "no message came from {} for {waited:?}", self.source.arn());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    /// "Lambda invokes your function when one of the following three criteria is met: The batching
    /// window reaches its maximum value. The batch size is met. The payload size reaches 6 MB."
    ///
    /// An empty receive ends the window too: only the test sends, and nobody has to wait for it.
    async fn gather(&mut self) -> Option<Event> {
        let mut event = Event::new(self.source.arn());
        let mut window_ends = None;
        loop {
            while let Some(message) = self.left_over.pop_front() {
                if let Err(too_much) = event.push(message) {
                    self.left_over.push_front(too_much);
                    return Some(event);
                }
            }
            let missing = self.mapping.batch_size - event.len();
            let is_over = window_ends.is_some_and(|ends| Instant::now() >= ends);
            if missing == 0 || is_over {
                break;
            }
            let messages = self.source.receive(missing.min(MAX_RECEIVE)).await;
            if messages.is_empty() {
                break;
            }
            self.left_over.extend(messages);
            window_ends.get_or_insert_with(|| Instant::now() + self.mapping.window);
        }
        (event.len() > 0).then_some(event)
    }
}
