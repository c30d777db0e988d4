//! **6. The webhook.** An outcome that is stored goes to the job's callback: one POST in the shape
//! of Standard Webhooks, signed, and a verdict on the answer. In comes an [`Event`], out goes an
//! [`Attempt`]; nothing here touches the ledger.

mod answer;
mod breaker;
mod event;
mod guard;
mod judge;
mod pauses;
mod schedule;
mod sign;
mod turns;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, header::CONTENT_TYPE};
use tokio::time::Instant;

use self::{
    answer::Answer,
    guard::{Leads, Names, PublicOnly, Refused, Way},
    pauses::Pauses,
    turns::Turns,
};
pub use self::{
    event::{Event, data, error_data},
    guard::{AllowedHosts, HostError, Lookup, SystemLookup},
    schedule::Schedule,
    sign::{NewSecret, SecretError, SigningSecret},
};
use crate::{
    clock::{Clock, Deadline},
    error::{ErrorClass, JobError, code},
    http,
    job::{Callback, Job},
    lease::{CallbackSlot, Delivery, WhyDead},
    secret::Secrets,
    trace,
};

/// With less time than this nothing is posted: it would count as a failure of the receiver's.
pub(crate) const LEAST_TIME: Duration = Duration::from_secs(1);

/// The most deliveries at once: each holds a connection, which takes some 30 KB.
const MOST_IN_ALL: usize = 96;

/// How callbacks are sent.
#[derive(Clone, Debug)]
pub struct CourierSettings {
    /// Deliveries at once to one host and port.
    pub per_host: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a receiver may take in all.
    pub timeout: Duration,
    /// How long a delivery waits for others before it is put off.
    pub longest_wait: Duration,
    /// Hosts that may be private, and without TLS.
    pub hosts: AllowedHosts,
}

impl Default for CourierSettings {
    fn default() -> Self {
        Self {
            per_host: 5,
            connect_timeout: http::CONNECT_TIMEOUT,
            timeout: Duration::from_secs(30),
            longest_wait: Duration::from_secs(25),
            hosts: AllowedHosts::default(),
        }
    }
}

impl CourierSettings {
    /// Deliveries at once to all hosts together.
    pub fn total(&self) -> usize {
        self.per_host.clamp(64, MOST_IN_ALL)
    }
}

/// Delivers events; clones share its connections.
#[derive(Clone, Debug)]
pub struct Courier {
    /// Reaches any address.
    any: Client,
    /// Reaches public addresses alone.
    public: Client,
    turns: Arc<Turns>,
    pauses: Arc<Pauses>,
    names: Arc<Names>,
    settings: Arc<CourierSettings>,
    secrets: Secrets,
    clock: Clock,
    has_warned: Arc<AtomicBool>,
}

/// One try that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub delivery: Delivery,
    /// The pause that the receiver asked for.
    pub retry_after: Option<Duration>,
    /// How long the receiver took.
    pub took: Duration,
}

/// Why nothing was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// Too many others are on their way there.
    NoTurn,
    /// The deadline is less than 1 s away.
    NoTime,
    /// The receiver failed again and again, or asked all to wait.
    Failing {
        /// How long it is left alone.
        after: Duration,
    },
}

impl Courier {
    /// A courier that signs with the present keys of `secrets`.
    pub fn new(settings: CourierSettings, secrets: Secrets, clock: Clock) -> Result<Self, String> {
        Self::looking_up(SystemLookup, settings, secrets, clock)
    }

    /// The same, which finds hosts that are not listed by `lookup`.
    pub fn looking_up(
        lookup: impl Lookup,
        settings: CourierSettings,
        secrets: Secrets,
        clock: Clock,
    ) -> Result<Self, String> {
        let most_idle = settings.per_host.min(MOST_IN_ALL);
        let builder =
            || Ok::<_, String>(http::builder(most_idle)?.connect_timeout(settings.connect_timeout));
        let lookup: Arc<dyn Lookup> = Arc::new(lookup);
        let names = Names::new(Arc::clone(&lookup), settings.connect_timeout);
        let public = builder()?.dns_resolver(PublicOnly::new(lookup));
        Ok(Self {
            any: http::build(builder()?)?,
            public: http::build(public)?,
            turns: Arc::new(Turns::new(settings.per_host, settings.total())),
            pauses: Arc::default(),
            names: Arc::new(names),
            settings: Arc::new(settings),
            secrets,
            clock,
            has_warned: Arc::default(),
        })
    }

    /// How long one delivery may take, its wait for a turn included.
    pub fn longest_delivery(&self) -> Duration {
        self.settings.longest_wait + self.settings.timeout
    }

    /// Judges where the job's callbacks go, before anything is paid for it.
    pub fn check(&self, job: &Job) -> Result<(), JobError> {
        for (field, callback) in callbacks_of(job) {
            self.settings.hosts.way(callback).map_err(|refused| refused.of_job(field))?;
        }
        Ok(())
    }

    /// The same of what their names lead to, which takes a moment. A name that cannot be looked up is
    /// no refusal: that error is transient.
    pub(crate) async fn check_names(&self, job: &Job) -> Result<(), JobError> {
        for (field, callback) in callbacks_of(job) {
            let way = self.settings.hosts.way(callback);
            if way != Ok(Way::Public) || callback.literal().is_some() {
                continue;
            }
            match self.names.leads(callback.host()).await {
                Leads::Public => {}
                Leads::Private => return Err(Refused::Resolved.of_job(field)),
                Leads::Nowhere => return Err(unknown_name(field)),
            }
        }
        Ok(())
    }

    /// One try to deliver, once it is its turn; it ends at `deadline` at the latest. The timestamp is
    /// this try's, the id the event's.
    pub async fn deliver(
        &self,
        slot: &CallbackSlot,
        event: &Event,
        deadline: Deadline,
    ) -> Result<Attempt, NotTried> {
        let callback = &slot.callback;
        let Ok(way) = self.settings.hosts.way(callback) else {
            let delivery = Delivery::Dead(WhyDead::AddressRefused);
            return Ok(Attempt { delivery, retry_after: None, took: Duration::ZERO });
        };
        let can_wait = deadline.time_left().checked_sub(LEAST_TIME).ok_or(NotTried::NoTime)?;
        let longest_wait = self.settings.longest_wait.min(can_wait);
        self.pauses.check(callback, Instant::now())?;
        let turn = self.turns.next(callback.address(), longest_wait).await?;
        // Those before it may have been asked for a pause.
        self.pauses.check(callback, Instant::now())?;
        let time = self.settings.timeout.min(deadline.time_left());
        let (mut span, began) = (trace::callback(callback), Instant::now());
        let answer = span.scope(self.post(way, callback, event, time)).await;
        let took = began.elapsed();
        trace::delivered(&mut span, answer.status());
        turn.note(&answer);
        self.pauses.note(callback, &answer, Instant::now());
        let delivery = judge::judge(&answer, slot, self.clock.now());
        Ok(Attempt { delivery, retry_after: answer.retry_after(), took })
    }

    async fn post(&self, way: Way, callback: &Callback, event: &Event, time: Duration) -> Answer {
        let now = self.clock.now();
        let keys = self.secrets.current();
        let client = match way {
            Way::Listed => &self.any,
            Way::Public => &self.public,
        };
        let mut request = client
            .post(callback.expose_url())
            .timeout(time)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", now.seconds());
        match sign::signatures(&keys.signing, event, now.seconds()) {
            Some(signature) => request = request.header("webhook-signature", signature),
            None => self.warn_once(),
        }
        if let Some(context) = trace::current() {
            request = request.header("traceparent", context.to_string());
        }
        if let Some((name, value)) = &keys.callback_header {
            request = request.header(name, value.clone());
        }
        Answer::of(request.body(event.body.clone()).send().await, now).await
    }

    fn warn_once(&self) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "callbacks are sent unsigned: receivers cannot tell them from others'; set \
                 MCP_BATCH_CALLBACK_SECRETS to what `mcp-batch secret new` prints"
            );
        }
    }
}

fn callbacks_of(job: &Job) -> impl Iterator<Item = (&'static str, &Callback)> {
    let of_batch = job.batch().map(|batch| ("batch.callback", batch.callback()));
    let own = job.callback().map(|callback| ("callback", callback));
    own.into_iter().chain(of_batch)
}

fn unknown_name(field: &str) -> JobError {
    let message = format!(
        "{field}: expected a host whose name can be looked up, found one for which there is no \
         address now"
    );
    JobError::new(ErrorClass::Transient, code::CALLBACK_NAME, message).at(field)
}
