//! **6. The webhook.** An outcome that is stored goes to the job's callback: one POST in the shape
//! of Standard Webhooks, signed, and a verdict on the answer. In comes an [`Event`], out goes a
//! [`Delivery`]; nothing here touches the ledger.

mod event;
mod sign;

use std::time::Duration;

use reqwest::{
    Client,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    redirect::Policy,
};

pub use self::{
    event::{Event, data, error_data},
    sign::{SecretError, SigningSecret},
};
use crate::{clock::Clock, job::Callback, lease::Delivery};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a receiver may take in all.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What callbacks are sent with.
#[derive(Clone, Debug, Default)]
pub struct CourierSettings {
    /// Each signs; none: callbacks go out unsigned.
    pub secrets: Vec<SigningSecret>,
    /// Sent beside the signature.
    pub header: Option<(HeaderName, HeaderValue)>,
}

/// Delivers events; clones share its connections.
#[derive(Clone, Debug)]
pub struct Courier {
    http: Client,
    settings: CourierSettings,
    clock: Clock,
}

impl Courier {
    /// A courier that sends with `settings`.
    pub fn new(settings: CourierSettings, clock: Clock) -> Result<Self, String> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| format!("cannot make an HTTP client: {error}"))?;
        Ok(Self { http, settings, clock })
    }

    /// One try to deliver. The timestamp is this try's, the id the event's.
    pub async fn deliver(&self, callback: &Callback, event: &Event) -> Delivery {
        let timestamp = self.clock.now().seconds();
        let mut request = self
            .http
            .post(callback.expose_url())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp);
        if let Some(signature) = sign::signatures(&self.settings.secrets, event, timestamp) {
            request = request.header("webhook-signature", signature);
        }
        if let Some((name, value)) = &self.settings.header {
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
