//! **6. The webhook.** An outcome that is stored goes to the job's callback: one POST in the shape
//! of Standard Webhooks, signed, and a verdict on the answer. In comes an [`Event`], out goes a
//! [`Delivery`]; nothing here touches the ledger.

mod event;
mod sign;
mod turns;

use std::{sync::Arc, time::Duration};

use reqwest::{Client, header::CONTENT_TYPE};
use tokio::time::timeout;

use self::turns::Turns;
pub use self::{
    event::{Event, data, error_data},
    sign::{SecretError, SigningSecret},
};
use crate::{
    clock::{Clock, Deadline},
    http,
    job::Callback,
    lease::Delivery,
    secret::Secrets,
};

/// With less time than this nothing is posted: it would count as a failure of the receiver's.
pub(crate) const LEAST_TIME: Duration = Duration::from_secs(1);

/// The most deliveries at once: each holds a connection, which takes some 30 KB.
const MOST_IN_ALL: usize = 128;

/// How callbacks are sent.
#[derive(Clone, Copy, Debug)]
pub struct CourierSettings {
    /// Deliveries at once to one host and port.
    pub per_host: usize,
    /// How long a receiver may take in all.
    pub timeout: Duration,
    /// How long a delivery waits for others before it is put off. With `timeout` it stays below the
    /// minute for which the delivery of a batch's callback is taken.
    pub longest_wait: Duration,
}

impl Default for CourierSettings {
    fn default() -> Self {
        Self {
            per_host: 5,
            timeout: Duration::from_secs(30),
            longest_wait: Duration::from_secs(25),
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
    http: Client,
    turns: Arc<Turns>,
    settings: CourierSettings,
    secrets: Secrets,
    clock: Clock,
}

/// Why nothing was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// Too many others are on their way there.
    NoTurn,
    /// The deadline is less than 1 s away.
    NoTime,
}

impl Courier {
    /// A courier that signs with the present keys of `secrets`.
    pub fn new(settings: CourierSettings, secrets: Secrets, clock: Clock) -> Result<Self, String> {
        let http = http::client(settings.per_host.min(MOST_IN_ALL))?;
        let turns = Arc::new(Turns::new(settings.per_host, settings.total()));
        Ok(Self { http, turns, settings, secrets, clock })
    }

    /// One try to deliver, once it is its turn; it ends at `deadline` at the latest. The timestamp is
    /// this try's, the id the event's.
    pub async fn deliver(
        &self,
        callback: &Callback,
        event: &Event,
        deadline: Deadline,
    ) -> Result<Delivery, NotTried> {
        let can_wait = deadline.time_left().checked_sub(LEAST_TIME).ok_or(NotTried::NoTime)?;
        let longest_wait = self.settings.longest_wait.min(can_wait);
        let turn = timeout(longest_wait, self.turns.next(callback.address()));
        let _turn = turn.await.map_err(|_| NotTried::NoTurn)?;
        let time = self.settings.timeout.min(deadline.time_left());
        Ok(self.post(callback, event, time).await)
    }

    async fn post(&self, callback: &Callback, event: &Event, time: Duration) -> Delivery {
        let timestamp = self.clock.now().seconds();
        let keys = self.secrets.current();
        let mut request = self
            .http
            .post(callback.expose_url())
            .timeout(time)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp);
        if let Some(signature) = sign::signatures(&keys.signing, event, timestamp) {
            request = request.header("webhook-signature", signature);
        }
        if let Some((name, value)) = &keys.callback_header {
            request = request.header(name, value.clone());
        }
        match request.body(event.body.clone()).send().await {
            Ok(response) => judge(response.status().as_u16()),
            Err(_) => Delivery::Failed,
        }
    }
}

/// What an answer means for the callback.
fn judge(status: u16) -> Delivery {
    match status {
        200..=299 => Delivery::Sent,
        410 => Delivery::Dead,
        _ => Delivery::Failed,
    }
}
