//! **Held jobs**, and what a person decides about them: whether the call that nobody saw the end of is made again, or how it ended.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    clock::{Deadline, UnixMs},
    environment::Post,
    error::{ErrorClass, JobError},
    job::{Job, JobId, JobKey, Namespace, with_fields},
    lease::{Attention, Decision, Found, Ledger, LedgerError, Record, Refusal, State},
    queue::{NewMessage, Queue, QueueError},
    resend::resend,
};

/// The most held jobs that are looked at for a list, of all namespaces together.
pub const MOST_LISTED: usize = 1_000;

/// The held jobs of a namespace, those that were held first first, and whether there may be more than were looked at. It asks
/// an index, never the whole ledger.
pub async fn list<L: Ledger>(
    ledger: &L,
    namespace: &Namespace,
) -> Result<(Vec<Record>, bool), LedgerError> {
    let found = ledger.attention(Attention::Held, UnixMs(i64::MAX), MOST_LISTED).await?;
    let is_cut_off = found.len() == MOST_LISTED;
    let own = |found| match found {
        Found::Job(record) if record.namespace == *namespace => Some(*record),
        Found::Job(_) | Found::Batch(..) => None,
    };
    Ok((found.into_iter().filter_map(own).collect(), is_cut_off))
}

/// How long a callback may take, beside what the courier allows.
const MARGIN: Duration = Duration::from_secs(5);

/// The failure of a job that a person gave up, told in these words.
pub fn given_up(message: impl Into<String>) -> JobError {
    JobError::new(ErrorClass::Permanent, "decided", message)
}

/// Runs a job again that is held, has failed or was cancelled. The ledger keeps no inputs, so the job comes along; it may
/// differ from what was sent first.
///
/// Its message is sent first, and bears the run that ended: whoever receives it lets the job be claimed again, and does so once,
/// though nobody else got so far. Before that the ledger is told here, so that whoever asks sees it.
pub async fn run_again<L: Ledger, Q: Queue>(
    (ledger, queue): (&L, &Q),
    namespace: &Namespace,
    (job, body): (&Job, Bytes),
    now: UnixMs,
) -> Result<Result<Record, Refusal>, NotRunAgain> {
    let key = JobKey::of(namespace, job.id());
    let Some(ended) = one(ledger, key).await? else { return Ok(Err(Refusal::Unknown)) };
    let payload_hash = job.payload_hash();
    let is_mine = |record: &Record| record.payload_hash == Some(payload_hash);
    let message = NewMessage::of(namespace, job, body, now.max(ended.settled));
    let epoch = ended.epoch;
    match ended.state {
        State::Held(_) | State::Failed(_) | State::Cancelled => {
            queue.send(vec![NewMessage { replay_of: Some(epoch), ..message }]).await?;
        }
        // Another such decision got as far as that.
        State::Retry(None) if is_mine(&ended) => {
            queue.send(vec![message]).await?;
            return Ok(Ok(ended));
        }
        state => return Ok(Err(Refusal::State(state.name()))),
    }
    match ledger.decide(key, Decision::Replay { epoch, payload_hash }, now).await? {
        Ok(record) => Ok(Ok(record)),
        Err(refusal) => {
            let by_message = |record: &Record| {
                let is_freed = matches!(record.state, State::Retry(None));
                is_mine(record) && (is_freed || record.epoch > epoch)
            };
            Ok(one(ledger, key).await?.filter(by_message).ok_or(refusal))
        }
    }
}

async fn one<L: Ledger>(ledger: &L, key: JobKey) -> Result<Option<Record>, LedgerError> {
    Ok(ledger.read(vec![key]).await?.into_iter().next().flatten())
}

/// Whether a message that asks for the run of `epoch` again, and was first seen at `first_seen`, has the job run again.
/// What was cancelled since then stays so.
pub fn is_to_run_again(record: &Record, epoch: u64, first_seen: UnixMs) -> bool {
    record.epoch == epoch
        && match record.state {
            State::Failed(_) | State::Held(_) => true,
            State::Cancelled => record.settled <= first_seen,
            State::Running { .. } | State::Retry(_) | State::Done(_) => false,
        }
}

/// A job cannot be run again, and nobody knows whether it will be.
#[derive(Debug, thiserror::Error)]
pub enum NotRunAgain {
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The queue did not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The text of a job with the id that it is known by, unless it has one.
pub fn with_id(id: &JobId, text: Bytes) -> Bytes {
    let Ok(object) = str::from_utf8(&text).map(str::trim) else { return text };
    let fields = serde_json::from_str::<Map<String, Value>>(object);
    match fields.is_ok_and(|fields| !fields.contains_key("id")) {
        true => with_fields(&Map::from_iter([("id".to_owned(), id.as_str().into())]), object),
        false => text,
    }
}

/// Says how a held job ended, and tells its callback once; where the receiver does not take that now, a sweep looks after
/// it, as it does where nobody gets that far. No message comes back for a job that was held.
pub async fn end<L: Ledger>(
    post: Post<'_, L>,
    key: JobKey,
    decision: Decision,
) -> Result<Result<Record, Refusal>, LedgerError> {
    let record = match post.ledger.decide(key, decision, post.clock.now()).await? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if record.callback.is_some() {
        let deadline = Deadline::after(post.courier.longest_delivery() + MARGIN);
        resend(post, key, deadline).await?;
    }
    Ok(Ok(one(post.ledger, key).await?.unwrap_or(record)))
}
