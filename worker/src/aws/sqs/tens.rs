//! SQS takes ten entries a call and may refuse some of them: calls are made at once, and what was
//! refused for no fault of its own is tried again.

use std::{future::Future, time::Duration};

use aws_sdk_sqs::types::BatchResultErrorEntry;
use tokio::task::JoinSet;

use super::failure::{is_stale, warn_if_foreign};
use crate::{
    queue::{Cause, QueueError},
    retry::Backoff,
};

/// "the maximum number of entries per request" (`SendMessageBatch` and its like, API reference).
pub(super) const TEN: usize = 10;

/// What is said where SQS says nothing.
pub(super) const NO_ANSWER: &str = "an entry has no answer";

/// Tries of one entry, each of which is tried again by the client as a whole request.
const TRIES: u32 = 5;

const PAUSE: Backoff =
    Backoff { base: Duration::from_millis(100), cap: Duration::from_millis(400) };

/// An entry's place in the list that was handed over, and its id in calls: callers' own ids are
/// longer than SQS allows.
pub(super) type Index = usize;

/// What became of the entries of a call.
pub(super) struct Answers<T> {
    pub(super) done: Vec<(Index, T)>,
    refused: Vec<Refusal>,
}

/// An entry that was refused, and why.
pub(super) struct Refusal {
    index: Index,
    code: String,
    why: QueueError,
    may_pass: bool,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self { done: Vec::new(), refused: Vec::new() }
    }
}

impl<T> Answers<T> {
    /// SQS's answer, by entry ids.
    pub(super) fn new<'a>(
        done: impl Iterator<Item = (&'a str, T)>,
        failed: &[BatchResultErrorEntry],
    ) -> Self {
        let index = |id: &str| id.parse::<Index>().ok();
        Self {
            done: done.filter_map(|(id, answer)| Some((index(id)?, answer))).collect(),
            refused: failed.iter().filter_map(Refusal::new).collect(),
        }
    }

    /// The whole call failed.
    pub(super) fn all_refused(indexes: &[Index], error: &QueueError) -> Self {
        let refusal =
            |&index| Refusal { index, code: String::new(), why: error.clone(), may_pass: false };
        Self { done: Vec::new(), refused: indexes.iter().map(refusal).collect() }
    }

    /// The answers of `count` entries, one each.
    pub(super) fn each(self, count: usize) -> Vec<Result<T, QueueError>> {
        let none = || Err(QueueError::of(NO_ANSWER));
        let mut each: Vec<_> = (0..count).map(|_| none()).collect();
        let refused = self.refused.into_iter().map(|refusal| (refusal.index, Err(refusal.why)));
        let done = self.done.into_iter().map(|(index, done)| (index, Ok(done)));
        for (index, answer) in refused.chain(done) {
            if let Some(place) = each.get_mut(index) {
                *place = answer;
            }
        }
        each
    }

    /// What is missing of `count` answers, if anything.
    pub(super) fn error(&self, count: usize) -> Option<QueueError> {
        let missing = count.saturating_sub(self.done.len());
        let first = self.refused.first().map(|refusal| refusal.why.clone());
        let why = first.unwrap_or_else(|| QueueError::of(NO_ANSWER));
        (missing > 0).then(|| why.under(&format!("{missing} of {count} messages")))
    }

    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.refused.extend(other.refused);
    }
}

impl Answers<()> {
    /// What belongs to others by now is done with.
    pub(super) fn forgive_stale(mut self) -> Self {
        let stale = self.refused.extract_if(.., |refusal| is_stale(&refusal.code));
        let stale = stale.inspect(|refusal| warn_if_foreign(&refusal.code));
        self.done.extend(stale.map(|refusal| (refusal.index, ())));
        self
    }
}

impl Refusal {
    fn new(entry: &BatchResultErrorEntry) -> Option<Self> {
        let why = format!("SQS answered {}: {}", entry.code, entry.message().unwrap_or_default());
        let cause = if entry.sender_fault { Cause::Message } else { Cause::Passing };
        Some(Self {
            index: entry.id.parse().ok()?,
            code: entry.code.clone(),
            why: QueueError::of(why).because(cause),
            may_pass: !entry.sender_fault,
        })
    }
}

/// Calls of ten entries each, `count` in all.
pub(super) fn tens(count: usize) -> Vec<Vec<Index>> {
    (0..count).step_by(TEN).map(|start| (start..count.min(start + TEN)).collect()).collect()
}

/// Makes all calls at once; the queue bounds its requests. An entry without an answer is in
/// neither list.
pub(super) async fn call_at_once<T, F>(
    calls: Vec<Vec<Index>>,
    call: impl Fn(Vec<Index>) -> F + Clone + Send + Sync + 'static,
) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Answers<T>> + Send,
{
    let mut tasks = JoinSet::new();
    for entries in calls {
        let call = call.clone();
        tasks.spawn(async move { persist(entries, &call).await });
    }
    let mut answers = Answers::default();
    while let Some(answered) = tasks.join_next().await {
        answers.add(answered.unwrap_or_default());
    }
    answers
}

/// Makes one call after another, none after one with refusals: what follows would overtake.
pub(super) async fn call_in_turn<T, F>(
    calls: Vec<Vec<Index>>,
    call: impl Fn(Vec<Index>) -> F,
) -> Answers<T>
where
    F: Future<Output = Answers<T>>,
{
    let mut answers = Answers::default();
    for entries in calls {
        answers.add(persist(entries, &call).await);
        if !answers.refused.is_empty() {
            break;
        }
    }
    answers
}

/// One call, and again what may pass.
async fn persist<T, F>(entries: Vec<Index>, call: &impl Fn(Vec<Index>) -> F) -> Answers<T>
where
    F: Future<Output = Answers<T>>,
{
    let mut answers = call(entries).await;
    for failures in 1..TRIES {
        let again = answers.refused.extract_if(.., |refusal| refusal.may_pass);
        let mut again: Vec<Index> = again.map(|refusal| refusal.index).collect();
        if again.is_empty() {
            break;
        }
        again.sort_unstable();
        tokio::time::sleep(PAUSE.delay(failures, fastrand::f64())).await;
        answers.add(call(again).await);
    }
    answers
}
