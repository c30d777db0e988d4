//! All that a job may touch: the ports, the courier, the clock, and the rules for giving up.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    clock::Clock,
    error::JobError,
    job::{Job, JobKey, Namespace},
    lease::{Delivery, Ledger, Lost, Record, State, Usage},
    queue::Queue,
    retry::Backoff,
    tool::{CallPlan, Tools},
    trace::Tracer,
    webhook::{Courier, Schedule},
};

/// Which implementations stand behind the ports.
pub trait Ports: Send + Sync + 'static {
    /// The ledger.
    type Ledger: Ledger;
    /// The queue.
    type Queue: Queue;
    /// The tools.
    type Tools: Tools;
}

/// All that a job may touch, shared by all jobs of a process.
pub struct Environment<P: Ports> {
    /// Who owns which job, and what became of it.
    pub ledger: P::Ledger,
    /// Where messages are deferred and dead letters go.
    pub queue: P::Queue,
    /// What jobs may call.
    pub tools: P::Tools,
    /// Who posts outcomes.
    pub courier: Courier,
    /// The wall clock.
    pub clock: Clock,
    /// When to give up, how long to wait.
    pub policy: Policy,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Who traces it.
    pub tracer: Tracer,
}

impl<P: Ports> Environment<P> {
    /// Says before anything is paid whether a job makes sense: its callbacks, its tool, its input.
    pub(crate) fn check(&self, job: &Job) -> Result<CallPlan, JobError> {
        self.courier.check(job)?;
        self.tools.check(job)
    }

    /// What it takes to tell outcomes.
    pub fn post(&self) -> Post<'_, P::Ledger> {
        Post {
            ledger: &self.ledger,
            courier: &self.courier,
            clock: &self.clock,
            policy: &self.policy,
            observer: &*self.observer,
        }
    }
}

/// What it takes to tell outcomes: neither a queue nor a tool.
pub struct Post<'a, L> {
    /// Who is owed what.
    pub ledger: &'a L,
    /// Who posts it.
    pub courier: &'a Courier,
    /// The wall clock.
    pub clock: &'a Clock,
    /// When to give up.
    pub policy: &'a Policy,
    /// Who is told what happens.
    pub observer: &'a dyn Observer,
}

impl<L> Clone for Post<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Post<'_, L> {}

/// When to give up, and how long to wait before that.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose jobs these are.
    pub namespace: Namespace,
    /// Calls begun before a job is given up.
    pub max_attempts: u32,
    /// Age since first seen at which a job that keeps failing is given up.
    pub max_age: Duration,
    /// How long the ledger keeps a record.
    pub record_lives: Duration,
    /// Time kept free for saving an outcome before an invocation ends.
    pub settle_margin: Duration,
    /// Time between an invocation's end and that of its leases, for clocks that differ.
    pub lease_grace: Duration,
    /// The delay after a transient failure.
    pub backoff: Backoff,
    /// The longest a message waits for a lease that another worker holds before it looks again.
    pub busy_wait: Duration,
    /// When a callback that was not taken is tried again, and given up.
    pub callbacks: Schedule,
    /// The age since first seen at which a job is given up whose callback has a host that nobody knows.
    pub callback_name_wait: Duration,
    /// The largest body of a batch's callback: results that do not fit are left out of it.
    pub max_batch_body_bytes: usize,
    /// What is done with the jobs of a lost worker: [`Lost::Leave`] runs them one at a time.
    pub lost: Lost,
    /// How leases and visibility are kept up where jobs outlive them.
    pub heartbeat: Option<Heartbeat>,
}

/// Leases and visibility that are moved on while a job runs.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// How often.
    pub every: Duration,
    /// How far each beat moves their end from the present.
    pub lasts: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            max_attempts: 3,
            max_age: Duration::from_secs(259_200),
            record_lives: Duration::from_secs(45 * 86_400),
            settle_margin: Duration::from_secs(2),
            lease_grace: Duration::from_secs(2),
            backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(900) },
            busy_wait: Duration::MAX,
            callbacks: Schedule::default(),
            callback_name_wait: Duration::from_secs(3_600),
            max_batch_body_bytes: 4 * 1024 * 1024,
            lost: Lost::Leave,
            heartbeat: None,
        }
    }
}

/// Is told what happens, job by job. Called from many tasks at once; must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, observation: Observation<'_>);
}

/// What happens in the life of a job.
#[derive(Debug)]
pub enum Observation<'a> {
    /// Messages were taken in together.
    BatchBegan {
        /// How many.
        messages: usize,
    },
    /// The ledger answered a claim or a settlement, or failed to.
    LedgerAnswered {
        /// How long it took.
        latency: Duration,
    },
    /// The job's worker was lost, and it is another's now.
    TakenOver,
    /// Its tool is called.
    CallBegan,
    /// The call is over, however it ended.
    CallEnded {
        /// The job.
        job: &'a Job,
        /// How long the call took.
        latency: Duration,
        /// What it used.
        usage: &'a Usage,
    },
    /// A try to deliver a callback, of a job or of a batch.
    Delivered {
        /// How it ended.
        delivery: Delivery,
        /// How long the receiver took.
        latency: Duration,
    },
    /// A job came to its end, which is saved: told once, whatever is still owed then.
    Settled(&'a Record),
    /// A job lies with the dead letters.
    Buried,
    /// Its message needs no more work.
    Ended {
        /// The queue's id for the message.
        message_id: &'a str,
        /// The job's key, if the message was a job.
        key: Option<JobKey>,
        /// How.
        end: End<'a>,
    },
    /// It stands in line before it is claimed: its upstream takes no more calls now.
    Waits {
        /// The job's key.
        key: JobKey,
        /// Why.
        reason: &'a JobError,
        /// For about how long.
        about: Duration,
    },
    /// An upstream refused us rather than the job (class `configuration`), by a call or before one:
    /// a person has to act, so this is worth an alarm. The job's message comes back as well.
    Refused {
        /// The job that waits for it.
        job: &'a Job,
        /// Why.
        reason: &'a JobError,
    },
    /// Its message comes back.
    Returned {
        /// The queue's id for the message.
        message_id: &'a str,
        /// The job's key, if the message was a job.
        key: Option<JobKey>,
        /// Why.
        reason: &'a JobError,
        /// When, from now.
        after: Duration,
    },
}

/// How a message ended.
#[derive(Debug)]
pub enum End<'a> {
    /// Its job came to its end by it.
    Fresh(&'a Record),
    /// What its job still owed after an earlier receive was handed off, or left to the queue.
    HandedOff(&'a Record),
    /// Its job had ended before, and nothing was run.
    Duplicate(&'a Record),
    /// Without a record: it is no job, or another job has its id.
    Rejected(&'a JobError),
}

impl<'a> End<'a> {
    /// Why the job has no result, if it failed or waits for a person.
    pub(crate) fn error(&self) -> Option<&'a JobError> {
        match self {
            Self::Rejected(error) => Some(error),
            Self::Fresh(record) | Self::HandedOff(record) | Self::Duplicate(record) => {
                match &record.state {
                    State::Failed(error) | State::Held(error) => Some(error),
                    _ => None,
                }
            }
        }
    }
}

/// A call that runs. Its end is told however it comes, also if it is dropped in the middle.
pub(crate) struct RunningCall<'a> {
    observer: &'a dyn Observer,
    job: &'a Job,
    began: Instant,
    is_over: bool,
}

impl<'a> RunningCall<'a> {
    /// The job's tool is called.
    pub(crate) fn begin(observer: &'a dyn Observer, job: &'a Job) -> Self {
        observer.observe(Observation::CallBegan);
        Self { observer, job, began: Instant::now(), is_over: false }
    }

    /// The call ended, and used that.
    pub(crate) fn end(mut self, usage: &Usage) {
        self.tell(usage);
    }

    fn tell(&mut self, usage: &Usage) {
        self.is_over = true;
        let (job, latency) = (self.job, self.began.elapsed());
        self.observer.observe(Observation::CallEnded { job, latency, usage });
    }
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(&Usage::unknown());
        }
    }
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _: Observation<'_>) {}
}
