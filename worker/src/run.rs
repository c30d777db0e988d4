//! **4. The run.** One message end to end: parse, claim, call the tool, save the outcome, hand it
//! off. In comes a [`Message`], out goes a [`Verdict`]: whether the message is finished or comes
//! back. The outcome is stored before anybody is told of it.

mod admission;
mod attempt;
mod callback;
mod failure;
mod handoff;
mod journal;
mod rejection;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

pub(crate) use self::journal::span;
use self::{admission::Admitted, attempt::After};
use crate::{
    batch::{Bounds, Stop},
    clock::Deadline,
    environment::{End, Environment, Observation, Ports},
    error::{ErrorClass, JobError, code},
    held,
    job::{InvalidJob, Job, JobKey, Namespace},
    lease::{
        Claim, ClaimRequest, Decision, Ledger, LedgerError, Lost, OwnerToken, Record, Repeat, State,
    },
    queue::{Burial, Message},
    tool::{CallPlan, Gates, ToolError, Tools},
    trace::{self, TraceContext},
};

/// A message that was not begun comes back within this.
const NOT_STARTED: Duration = Duration::from_secs(5);

/// A message that must wait for something comes back up to this much later than it could.
const SPREAD: Duration = Duration::from_millis(500);

/// A message whose ledger cannot be reached comes back after about this, or later the more often it
/// was received.
const LEDGER_AGAIN: Duration = Duration::from_secs(5);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its job is settled: delete it.
    Finished,
    /// It comes back after this time.
    Return(Duration),
    /// Its job is settled, but the message stays in the queue until that puts it with the dead
    /// letters itself: neither delete nor defer it.
    Leave,
}

/// One message on its way. While its call waits, nothing else of it takes room: the steps before and
/// behind that are boxed.
pub(crate) struct Run<'a, P: Ports> {
    pub(crate) environment: &'a Environment<P>,
    pub(crate) message: &'a Message,
    pub(crate) bounds: &'a Bounds,
    pub(crate) deadline: Deadline,
    pub(crate) stop: &'a Stop,
    /// The span of the event that brought it.
    pub(crate) event: Option<TraceContext>,
    /// The class of the error that the job ended with.
    pub(crate) failed: OnceLock<&'static str>,
}

/// The message's job, and what is known of it before it is claimed.
struct Subject {
    job: Job,
    key: JobKey,
    gates: Gates,
    plan: Plan,
    /// The ledger probably has a record of it.
    is_known: bool,
}

/// How a claim was answered, and the token that it was made with.
struct Claimed {
    claim: Claim,
    token: OwnerToken,
}

/// What is known of a job's call before it is claimed.
enum Plan {
    /// It can be made.
    Call(CallPlan),
    /// Not now: nobody knows where a callback's name leads. The job is claimed all the same, so that
    /// its batch is open, and given back.
    NotYet(CallPlan, JobError),
    /// It never can: the job fails.
    Never(JobError),
}

impl Plan {
    fn call(&self) -> Option<CallPlan> {
        match self {
            Self::Call(plan) => Some(*plan),
            Self::NotYet(..) | Self::Never(_) => None,
        }
    }

    fn repeat(&self) -> Repeat {
        match self {
            Self::Call(plan) | Self::NotYet(plan, _) => plan.repeat,
            Self::Never(_) => Repeat::Safe,
        }
    }
}

impl<P: Ports> Run<'_, P> {
    /// Runs the message's job as far as it goes now.
    pub(crate) async fn to_verdict(&self, permit: OwnedSemaphorePermit) -> Verdict {
        let job = Job::parse(&self.message.body).map(Box::new);
        let (tracer, known) = (&self.environment.tracer, job.as_deref().ok());
        let mut span = trace::message(tracer, self.message, known, self.event);
        journal::traced(span.context());
        let verdict = span.scope(self.judge(job, permit)).await;
        if let Some(class) = self.failed.get() {
            trace::failed(&mut span, class);
        }
        verdict
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
        match self.try_once(&subject, permit).await {
            After::Verdict(verdict) => verdict,
            After::Again(delay) => Box::pin(self.try_again(subject, delay)).await,
        }
    }

    /// The job and what is known of it; the verdict on its message if its tool can say nothing now.
    async fn subject(
        &self,
        job: Box<Job>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Box<Subject>, OwnedSemaphorePermit), Verdict> {
        let key = JobKey::of(self.namespace(), job.id());
        let (plan, permit) = self.plan(&job, permit).await;
        let plan = match plan {
            Ok(plan) => plan,
            Err(failure) if self.is_too_old() => {
                Plan::Never(failure.error.exhausted(&self.too_old()))
            }
            Err(failure) => return Err(self.unprepared(&job, key, &failure)),
        };
        let subject = Box::new(Subject {
            gates: self.environment.tools.gates(&job),
            is_known: self.came_back(),
            key,
            plan,
            job: *job,
        });
        let permit = match permit {
            Some(permit) => permit,
            None => self.permit().await.ok_or_else(|| self.not_begun(&subject))?,
        };
        Ok((subject, permit))
    }

    /// The job's call, or why the job fails, within the time of the batch; the outer error says why
    /// neither is known now. The permit is given up if that takes a moment: an upstream that is silent
    /// must not hold up the jobs of all others.
    async fn plan(
        &self,
        job: &Job,
        permit: OwnedSemaphorePermit,
    ) -> (Result<Plan, ToolError>, Option<OwnedSemaphorePermit>) {
        let mut planning = pin!(self.plan_in_time(job));
        if let Poll::Ready(plan) = poll_once(planning.as_mut()).await {
            return (plan, Some(permit));
        }
        drop(permit);
        let plan = tokio::select! {
            biased;
            plan = planning => plan,
            () = self.stop.draining() => Err(ToolError::free(not_started())),
            () = self.deadline.reached() => Err(ToolError::free(not_started())),
        };
        (plan, None)
    }

    async fn plan_in_time(&self, job: &Job) -> Result<Plan, ToolError> {
        self.environment.tools.prepare(job).await?;
        let plan = match self.check(job) {
            Ok(plan) => plan,
            Err(error) => return Ok(Plan::Never(error)),
        };
        Ok(match self.environment.courier.check_names(job).await {
            Ok(()) => Plan::Call(plan),
            Err(error) if error.class.is_retryable() => Plan::NotYet(plan, error),
            Err(error) => Plan::Never(error),
        })
    }

    /// Nothing was claimed, and no attempt is counted.
    fn unprepared(&self, job: &Job, key: JobKey, failure: &ToolError) -> Verdict {
        let reason = &failure.error;
        if reason.class == ErrorClass::Interrupted {
            return self.returned(key, reason, not_started_after(self.stop));
        }
        if reason.class == ErrorClass::Configuration {
            self.environment.observer.observe(Observation::Refused { job, reason });
        }
        let backoff = &self.environment.policy.backoff;
        let delay = backoff.delay(self.message.receive_count, fastrand::f64());
        // Whoever names a pause lets it grow: how often the message was received says nothing of it.
        let after = failure.retry_after.unwrap_or(delay);
        self.returned(key, reason, after + jitter(SPREAD))
    }

    /// Whose job it is: the message says so, or it is of the worker's own.
    fn namespace(&self) -> &Namespace {
        self.message.namespace.as_ref().unwrap_or(&self.environment.policy.namespace)
    }

    fn check(&self, job: &Job) -> Result<CallPlan, JobError> {
        job.check_expiry(self.environment.clock.now())?;
        self.environment.check(job)
    }

    /// The second try within one batch is its last.
    async fn try_again(&self, mut subject: Box<Subject>, delay: Duration) -> Verdict {
        sleep(delay).await;
        subject.is_known = true;
        let Some(permit) = self.permit().await else { return self.not_begun(&subject) };
        match self.try_once(&subject, permit).await {
            After::Verdict(verdict) => verdict,
            After::Again(delay) => Verdict::Return(delay),
        }
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

    /// A dead letter that somebody redrove asks for a replay of the run it tells of, and so does a person who
    /// decides about a held job.
    async fn replay_if_asked(&self, subject: &Subject) -> Result<(), LedgerError> {
        let Some(epoch) = self.message.replay_of else { return Ok(()) };
        let ledger = &self.environment.ledger;
        let record = ledger.read(vec![subject.key]).await?.into_iter().next().flatten();
        let first_seen = self.message.first_seen;
        if record.is_some_and(|record| held::is_to_run_again(&record, epoch, first_seen)) {
            let replay = Decision::Replay { epoch, payload_hash: subject.job.payload_hash() };
            // Refused only if somebody else was quicker.
            let now = self.environment.clock.now();
            let _ = ledger.decide(subject.key, replay, now).await?;
        }
        Ok(())
    }

    /// The jobs of a lost worker run one at a time, and nothing beside them: should one of them have
    /// killed it, it will not take others with it.
    async fn run_alone(&self, subject: &Subject) -> After {
        if let Plan::NotYet(_, reason) = &subject.plan {
            return self.returned(subject.key, reason, jitter(NOT_STARTED)).into();
        }
        let alone = tokio::select! {
            biased;
            () = self.stop.draining() => return self.not_begun(subject).into(),
            () = self.deadline.reached() => return self.not_begun(subject).into(),
            alone = self.bounds.alone.lock() => alone,
        };
        let Some(permit) = self.permit().await else { return self.not_begun(subject).into() };
        let admitted = match self.admit(subject, permit).await {
            Ok(admitted) => admitted,
            Err(verdict) => return verdict.into(),
        };
        let admitted = match self.wait_for_others(subject, admitted).await {
            Ok(admitted) => admitted,
            Err(verdict) => return verdict.into(),
        };
        let claimed = self.claim(subject, Lost::RunAlone).await;
        let after = self.after_claim(subject, claimed, admitted).await;
        drop(alone);
        after
    }

    /// Takes all other permits as well, as soon as they are free: in the order in which jobs ask for
    /// them, so that those that come later wait. What will never be called endangers nobody.
    async fn wait_for_others(
        &self,
        subject: &Subject,
        mut admitted: Admitted,
    ) -> Result<Admitted, Verdict> {
        let Some(plan) = subject.plan.call() else { return Ok(admitted) };
        let others = self.bounds.concurrency - admitted.permit.num_permits();
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let all = tokio::select! {
            biased;
            () = self.stop.draining() => None,
            () = self.deadline.reached() => None,
            all = Arc::clone(&self.bounds.permits).acquire_many_owned(others) => all.ok(),
        };
        let needed = plan.timeout + self.environment.policy.settle_margin;
        match all.filter(|_| self.deadline.time_left() >= needed) {
            Some(all) => admitted.permit.merge(all),
            None => return Err(self.not_begun(subject)),
        }
        Ok(admitted)
    }

    async fn after_claim(
        &self,
        subject: &Subject,
        claimed: Result<Claimed, LedgerError>,
        admitted: Admitted,
    ) -> After {
        let Claimed { claim, token } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return self.unclaimed(subject, &error).into(),
        };
        match claim {
            Claim::Owned(lease) => self.attempt(subject, &lease, admitted).await,
            // It was left to be run alone, which is what this is.
            Claim::Suspect => self.not_begun(subject).into(),
            Claim::Finished(record) | Claim::Held(record) | Claim::Cancelled(record) => {
                drop(admitted);
                let end = self.end_of(&record, token);
                Box::pin(self.hand_off(subject, &record, end)).await.into()
            }
            Claim::Misplaced(error) => {
                drop(admitted);
                Box::pin(self.reject_job(subject, &error)).await.into()
            }
            Claim::Conflict(record) => {
                drop(admitted);
                Box::pin(self.reject_conflict(subject, &record)).await.into()
            }
            Claim::Busy { until } => {
                let left = until.since(self.environment.clock.now());
                let wait = left.min(self.environment.policy.busy_wait);
                let message = "another worker is running the job";
                let reason = JobError::new(ErrorClass::Busy, code::BUSY, message);
                self.returned(subject.key, &reason, wait + jitter(SPREAD)).into()
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

    fn unclaimed(&self, subject: &Subject, error: &LedgerError) -> Verdict {
        tracing::warn!(%error, job_id = %subject.job.id(), "the job cannot be claimed");
        let reason = JobError::new(ErrorClass::Transient, "ledger", error.to_string());
        let backoff = &self.environment.policy.backoff;
        let after = backoff.delay(self.message.receive_count, fastrand::f64()).max(LEDGER_AGAIN);
        self.returned(subject.key, &reason, after + jitter(SPREAD))
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

    async fn claim(&self, subject: &Subject, lost: Lost) -> Result<Claimed, LedgerError> {
        let policy = &self.environment.policy;
        let now = self.environment.clock.now();
        let lasts = policy.heartbeat.map_or(self.deadline.time_left(), |beat| beat.lasts);
        let request = ClaimRequest {
            key: subject.key,
            namespace: self.namespace().clone(),
            job_id: subject.job.id().clone(),
            tool: subject.job.tool().clone(),
            tenant: subject.job.tenant().cloned(),
            payload_hash: subject.job.payload_hash(),
            callback: subject.job.callback().cloned(),
            membership: subject.job.batch().cloned(),
            metadata: subject.job.metadata().cloned(),
            token: OwnerToken::fresh(),
            now,
            lease_ends: now.plus(lasts + policy.lease_grace),
            first_seen: self.message.first_seen,
            record_lives: policy.record_lives,
            max_attempts: policy.max_attempts,
            repeat: subject.plan.repeat(),
            supersedes_offline: self.environment.tools.supersedes_offline(),
            lost,
            redelivered: subject.is_known,
        };
        let (token, began) = (request.token, Instant::now());
        let claim = self.environment.ledger.claim(request).await;
        self.ledger_answered(began);
        let claimed = Claimed { claim: claim?, token };
        self.note_takeover(&claimed);
        Ok(claimed)
    }

    fn ledger_answered(&self, began: Instant) {
        let latency = began.elapsed();
        self.environment.observer.observe(Observation::LedgerAnswered { latency });
    }

    fn note_takeover(&self, Claimed { claim, token }: &Claimed) {
        let is_taken_over = match claim {
            Claim::Owned(lease) => matches!(lease.record.state, State::Running { alone: true, .. }),
            Claim::Held(record) => record.token == *token,
            _ => false,
        };
        if is_taken_over {
            self.environment.observer.observe(Observation::TakenOver);
        }
    }

    fn not_begun(&self, subject: &Subject) -> Verdict {
        self.returned(subject.key, &not_started(), not_started_after(self.stop))
    }

    fn returned(
        &self,
        key: impl Into<Option<JobKey>>,
        reason: &JobError,
        after: Duration,
    ) -> Verdict {
        journal::returned(reason, after);
        let (message_id, key) = (self.message.id.as_str(), key.into());
        let observation = Observation::Returned { message_id, key, reason, after };
        self.environment.observer.observe(observation);
        Verdict::Return(after)
    }

    /// The job has come to its end, and that is saved. What is owed may be put off: this is not.
    fn settled(&self, record: &Record) {
        journal::settled(record);
        self.environment.observer.observe(Observation::Settled(record));
    }

    fn ended(&self, key: Option<JobKey>, end: End<'_>, burial: Burial) -> Verdict {
        journal::ended(&end, burial);
        if let Some(error) = end.error() {
            // It ends once.
            let _ = self.failed.set(error.class.as_str());
        }
        let message_id = self.message.id.as_str();
        self.environment.observer.observe(Observation::Ended { message_id, key, end });
        match burial {
            Burial::Taken => Verdict::Finished,
            Burial::LeftToQueue => Verdict::Leave,
        }
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

/// Why a job that was not begun comes back.
pub(crate) fn not_started() -> JobError {
    let message = "there was no time left to begin the job";
    JobError::new(ErrorClass::Interrupted, code::NOT_STARTED, message)
}

/// When it does: at once where a worker stops, else soon.
pub(crate) fn not_started_after(stop: &Stop) -> Duration {
    if stop.is_draining() { Duration::ZERO } else { jitter(NOT_STARTED) }
}

/// What a future comes to without waiting.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// An even share of `most`.
fn jitter(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}
