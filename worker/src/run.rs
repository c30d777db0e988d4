//! **4. The run.** One message end to end: parse, claim, call the tool, save the outcome, hand it
//! off. In comes a [`Message`], out goes a [`Verdict`]: whether the message is finished or comes
//! back. The outcome is stored before anybody is told of it.
//!
//! | file | what lives in it |
//! |---|---|
//! | `plan.rs` | what is known of a job before it is claimed |
//! | `admission.rs` | whether it may be begun |
//! | `copies.rs` | several messages of one job in a batch |
//! | `claim.rs` | who may run it |
//! | `suspect.rs` | a job that may have killed its worker |
//! | `attempt.rs`, `failure.rs` | the call and how it ended |
//! | `handoff.rs`, `callback.rs` | what is owed after that |
//! | `beside.rs` | what messages beside each other do once |
//! | `rejection.rs` | a message that cannot become a run |
//! | `verdict.rs`, `journal.rs` | what becomes of the message, and what is logged of it |

mod admission;
mod attempt;
mod beside;
mod callback;
mod claim;
mod copies;
mod failure;
mod handoff;
mod journal;
mod plan;
mod rejection;
mod suspect;
mod verdict;

use std::{
    future::ready,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::sleep};

pub use self::verdict::Verdict;
use self::{
    admission::Admitted,
    attempt::After,
    claim::Claimed,
    plan::{Plan, Subject},
    verdict::{LEDGER_AGAIN, SPREAD, jitter},
};
pub(crate) use self::{
    beside::Beside,
    copies::Copies,
    journal::span,
    verdict::{not_started, not_started_after},
};
use crate::{
    batch::{Bounds, Stop},
    clock::Deadline,
    environment::{End, Environment, Ports},
    error::{ErrorClass, JobError, code},
    job::{InvalidJob, Job, Namespace},
    lease::{Claim, LedgerError, OwnerToken, Record},
    queue::Message,
    trace::{self, TraceContext},
};

/// One message on its way. While its call waits, nothing else of it takes room: the steps before and
/// behind that are boxed.
pub(crate) struct Run<'a, P: Ports> {
    pub(crate) environment: &'a Environment<P>,
    pub(crate) message: &'a Message,
    pub(crate) bounds: &'a Bounds,
    pub(crate) copies: &'a Copies,
    pub(crate) deadline: Deadline,
    pub(crate) stop: &'a Stop,
    /// The span of the event that brought it.
    pub(crate) event: Option<TraceContext>,
    /// The class of the error that the job ended with.
    pub(crate) failed: OnceLock<&'static str>,
}

impl<P: Ports> Run<'_, P> {
    /// Runs the message's job as far as it goes now.
    pub(crate) async fn to_verdict(&self, permit: OwnedSemaphorePermit) -> Verdict {
        let job = self.job();
        let (tracer, known) = (&self.environment.tracer, job.as_deref().ok());
        let mut span = trace::message(tracer, self.message, known, self.event);
        journal::traced(span.context());
        let verdict = span.scope(self.judge(job, permit)).await;
        if let Some(class) = self.failed.get() {
            trace::failed(&mut span, class);
        }
        verdict
    }

    fn job(&self) -> Result<Box<Job>, Box<InvalidJob>> {
        match &self.message.problems[..] {
            [] => Job::parse(&self.message.body).map(Box::new),
            problems => Err(Box::new(InvalidJob::of_message(problems.to_vec()))),
        }
    }

    async fn judge(
        &self,
        job: Result<Box<Job>, Box<InvalidJob>>,
        permit: OwnedSemaphorePermit,
    ) -> Verdict {
        let job = match job {
            Ok(job) => job,
            Err(invalid) => {
                drop(permit);
                return Box::pin(self.reject_unreadable(&invalid)).await;
            }
        };
        journal::name(&job);
        let (subject, permit) = match Box::pin(self.subject(job, permit)).await {
            Ok(prepared) => prepared,
            Err(verdict) => return verdict,
        };
        let (subject, permit, hold) = match Box::pin(self.after_its_copy(subject, permit)).await {
            Ok(held) => held,
            Err(verdict) => return verdict,
        };
        let key = subject.key;
        let verdict = match self.try_once(&subject, permit).await {
            After::Verdict(verdict) => verdict,
            After::Again(delay) => Box::pin(self.try_again(subject, delay)).await,
        };
        if let (Some(_), Verdict::Return(after)) = (&hold, verdict) {
            self.copies.give_back(key, after);
        }
        verdict
    }

    /// One claim and what follows from it. The permit is held while the tool is called, not while
    /// the outcome is delivered.
    async fn try_once(&self, subject: &Subject, permit: OwnedSemaphorePermit) -> After {
        let admitted = match Box::pin(self.admit(subject, permit)).await {
            Ok(admitted) => admitted,
            Err(verdict) => return verdict.into(),
        };
        if let Err(error) = Box::pin(self.replay_if_asked(subject)).await {
            return self.unclaimed(subject, &error).into();
        }
        match Box::pin(self.claim(subject, self.environment.policy.lost)).await {
            Ok(Claimed { claim: Claim::Suspect, .. }) => {
                drop(admitted);
                Box::pin(self.run_alone(subject)).await
            }
            claimed => self.after_claim(subject, claimed, admitted).await,
        }
    }

    /// Boxed, each for itself: a call that waits keeps no room for what else a claim may lead to.
    fn after_claim<'s>(
        &'s self,
        subject: &'s Subject,
        claimed: Result<Claimed, LedgerError>,
        admitted: Admitted,
    ) -> Pin<Box<dyn Future<Output = After> + Send + 's>> {
        let Claimed { claim, token } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return at_once(self.unclaimed(subject, &error)),
        };
        match claim {
            Claim::Owned(lease) => {
                Box::pin(async move { self.attempt(subject, &lease, admitted).await })
            }
            // It was left to be run alone, which is what this is.
            Claim::Suspect => at_once(self.not_begun(subject)),
            Claim::Finished(record) | Claim::Held(record) | Claim::Cancelled(record) => {
                drop(admitted);
                Box::pin(async move {
                    let end = self.end_of(&record, token);
                    self.hand_off(subject, &record, end).await.into()
                })
            }
            Claim::Misplaced(error) => {
                drop(admitted);
                Box::pin(async move { self.reject_job(subject, &error).await.into() })
            }
            Claim::Conflict(record) => {
                drop(admitted);
                Box::pin(async move { self.reject_conflict(subject, &record).await.into() })
            }
            Claim::Busy { until } => {
                let left = until.since(self.environment.clock.now());
                let wait = left.min(self.environment.policy.busy_wait);
                let message = "another worker is running the job";
                let reason = JobError::new(ErrorClass::Busy, code::BUSY, message);
                at_once(self.returned(subject.key, &reason, wait + jitter(SPREAD)))
            }
        }
    }

    /// How the message of a job that has ended ends. The claim may have ended it: then the record
    /// bears its token.
    fn end_of<'r>(&self, record: &'r Record, token: OwnerToken) -> End<'r> {
        if record.token == token {
            self.settled(record);
            return End::Fresh(record);
        }
        match self.came_back() && record.owes() {
            true => End::HandedOff(record),
            false => End::Duplicate(record),
        }
    }

    /// The second try within one batch is its last.
    async fn try_again(&self, mut subject: Box<Subject>, delay: Duration) -> Verdict {
        tokio::select! {
            () = sleep(delay) => {}
            () = self.stop.draining() => return self.not_begun(&subject),
        }
        subject.is_known = true;
        let Some(permit) = self.permit().await else { return self.not_begun(&subject) };
        match self.try_once(&subject, permit).await {
            After::Verdict(verdict) => verdict,
            After::Again(delay) => Verdict::Return(delay),
        }
    }

    /// Waits for a permit; `None` when no job is begun any more.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.stop.draining() => None,
            () = self.deadline.reached() => None,
            permit = Arc::clone(&self.bounds.permits).acquire_owned() => permit.ok(),
        }
    }

    /// Whose job it is: the message says so, or it is of the worker's own.
    fn namespace(&self) -> &Namespace {
        self.message.namespace.as_ref().unwrap_or(&self.environment.policy.namespace)
    }

    /// Whether the message was received before.
    fn came_back(&self) -> bool {
        self.message.receive_count > 1
    }

    fn is_too_old(&self) -> bool {
        let age = self.environment.clock.now().since(self.message.first_seen);
        age >= self.environment.policy.max_age
    }

    fn too_old(&self) -> String {
        let max_age_s = self.environment.policy.max_age.as_secs();
        format!("given up {max_age_s} s after it was first seen")
    }
}

/// What follows without waiting.
fn at_once<'s>(verdict: Verdict) -> Pin<Box<dyn Future<Output = After> + Send + 's>> {
    Box::pin(ready(verdict.into()))
}
