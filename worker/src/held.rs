//! **Held jobs**, and what a person decides about them: whether the call that nobody saw the end of is made again, or how it ended.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    clock::{Deadline, UnixMs},
    environment::Post,
    error::{ErrorClass, JobError},
    job::{Job, JobKey, Namespace},
    lease::{Decision, Ledger, LedgerError, Record, Refusal, State},
    queue::NewMessage,
    resend::resend,
};

/// How long a callback may take, beside what the courier allows.
const MARGIN: Duration = Duration::from_secs(5);

/// The failure of a job that a person gave up, told in these words.
pub fn given_up(message: impl Into<String>) -> JobError {
    JobError::new(ErrorClass::Permanent, "decided", message)
}

/// Lets a job be claimed again, with the payload of `job`. An earlier try may have got as far as that,
/// and been cut off before the job was sent.
pub async fn free<L: Ledger>(
    ledger: &L,
    key: JobKey,
    job: &Job,
    now: UnixMs,
) -> Result<Result<Record, Refusal>, LedgerError> {
    let seen = ledger.read(vec![key]).await?.into_iter().next().flatten();
    let Some(Record { epoch, .. }) = seen else { return Ok(Err(Refusal::Unknown)) };
    let payload_hash = job.payload_hash();
    let replay = Decision::Replay { epoch, payload_hash };
    let refusal = match ledger.decide(key, replay, now).await? {
        Ok(record) => return Ok(Ok(record)),
        Err(refusal) => refusal,
    };
    let is_freed = |record: &Record| {
        let is_same = record.payload_hash == Some(payload_hash);
        is_same && matches!(record.state, State::Retry(None))
    };
    let record = ledger.read(vec![key]).await?.into_iter().next().flatten();
    Ok(record.filter(is_freed).ok_or(refusal))
}

/// The message of a job that was freed.
pub fn message(namespace: &Namespace, job: &Job, body: Bytes, now: UnixMs) -> NewMessage {
    NewMessage {
        body,
        namespace: Some(namespace.clone()),
        job: Some(JobKey::of(namespace, job.id())),
        group: job.tenant().map(|tenant| tenant.as_str().to_owned()),
        first_seen: now,
        delay: Duration::ZERO,
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
    Ok(Ok(post.ledger.read(vec![key]).await?.into_iter().next().flatten().unwrap_or(record)))
}
