//! What is logged of a job: under which names every line about it is found, the one line that tells
//! of its end, and why it comes back until then. Neither input nor result is ever in one,
//! nor what an upstream said, which may repeat them.

use std::time::Duration;

use tracing::{Span, field::Empty};

use crate::{
    environment::End,
    error::JobError,
    job::{InvalidJob, Job, Membership, Tenant},
    lease::{Lease, Record, State},
    queue::{Burial, Message},
    telemetry::{rounded_ms, rounded_s},
    trace::TraceContext,
};

/// What a message's lines have in common. At the level of errors, so that it is there for each of them.
pub(crate) fn span(message: &Message) -> Span {
    tracing::error_span!(
        "job",
        message_id = message.id,
        job_id = Empty,
        batch_id = Empty,
        tool = Empty,
        tenant = Empty,
        attempt = Empty,
        epoch = Empty,
        trace_id = Empty,
    )
}

/// In which trace it is found.
pub(super) fn traced(context: Option<TraceContext>) {
    if let Some(context) = context {
        Span::current().record("trace_id", context.trace_id());
    }
}

/// Which job it is.
pub(super) fn name(job: &Job) {
    let span = Span::current();
    span.record("job_id", job.id().as_str());
    span.record("tool", job.tool().as_str());
    if let Some(batch) = job.batch().map(Membership::id) {
        span.record("batch_id", batch.as_str());
    }
    if let Some(tenant) = job.tenant().map(Tenant::as_str) {
        span.record("tenant", tenant);
    }
}

/// The same, as far as it can be read.
pub(super) fn name_invalid(invalid: &InvalidJob) {
    let span = Span::current();
    if let Some(id) = &invalid.id {
        span.record("job_id", id.as_str());
    }
    if let Some(tool) = &invalid.tool {
        span.record("tool", tool.as_str());
    }
    if let Some(batch) = invalid.membership.as_ref().map(Membership::id) {
        span.record("batch_id", batch.as_str());
    }
}

/// Under which claim it runs.
pub(super) fn claimed(lease: &Lease) {
    Span::current().record("epoch", lease.epoch);
}

/// By which of its attempts.
pub(super) fn called(lease: &Lease) {
    Span::current().record("attempt", lease.attempts);
}

/// The job has come to its end.
pub(super) fn settled(record: &Record) {
    of_record(record, End::Fresh(record).error(), "job ended", false);
}

/// The message needs no more work. Of a job that ended by it, that was told when it did.
pub(super) fn ended(end: &End<'_>, burial: Burial) {
    match (end, burial) {
        (End::Fresh(_), _) => {}
        (End::HandedOff(_), Burial::Taken) => {
            tracing::info!(outcome = "handed_off", "what the job still owed is handed off");
        }
        (End::HandedOff(_), Burial::LeftToQueue) => {
            tracing::info!(outcome = "left", "the job is left to the queue's redrive policy");
        }
        (End::Duplicate(record), _) => {
            of_record(record, end.error(), "job had ended before", true);
        }
        (End::Rejected(error), _) => rejected(error),
    }
}

/// The message comes back: why, and when.
pub(super) fn returned(reason: &JobError, after: Duration) {
    tracing::info!(
        outcome = "returned",
        error_class = reason.class.as_str(),
        error_code = &*reason.code,
        error = reason.in_log(),
        after_s = rounded_s(after),
        "job comes back"
    );
}

fn of_record(record: &Record, error: Option<&JobError>, message: &'static str, duplicate: bool) {
    let usage = &record.usage;
    tracing::info!(
        outcome = outcome(&record.state),
        duplicate,
        attempt = record.attempts,
        epoch = record.epoch,
        error_class = error.map(|error| error.class.as_str()),
        error_code = error.map(|error| &*error.code),
        error = error.map(JobError::in_log),
        duration_ms = rounded_ms(record.settled.since(record.claimed)),
        input_tokens = usage.input_tokens,
        output_tokens = usage.output_tokens,
        cost_usd = usage.cost_usd,
        model = usage.model,
        "{message}"
    );
}

fn outcome(state: &State) -> &'static str {
    match state {
        State::Done(_) => "succeeded",
        other => other.name(),
    }
}

fn rejected(error: &JobError) {
    let (error_class, error_code) = (error.class.as_str(), &*error.code);
    let error = error.in_log();
    tracing::info!(outcome = "rejected", error_class, error_code, error, "job rejected");
}
