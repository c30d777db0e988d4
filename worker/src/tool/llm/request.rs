//! What an LLM is asked: the body of a chat completion, and to whose account it goes.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::ToolError;
use crate::{
    error::{ErrorClass, JobError},
    job::{Job, Tenant},
    tool::{gate::Gates, models::Models},
};

/// LiteLLM gives up by itself this much before we do, so that nothing is billed afterwards.
const UPSTREAM_GIVES_UP_EARLIER: Duration = Duration::from_secs(1);

/// The longest `user` that providers take, in characters.
const MAX_USER_CHARS: usize = 64;

/// One chat completion.
#[derive(Debug, Serialize)]
pub(in crate::tool) struct Completion<'a> {
    pub(in crate::tool) model: &'a str,
    pub(in crate::tool) messages: Vec<ChatMessage<'a>>,
    /// The longest answer, under the one name or the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) max_completion_tokens: Option<u32>,
    /// Seconds until LiteLLM gives the provider up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) timeout: Option<f64>,
    /// On whose behalf the provider works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) user: Option<&'a str>,
    /// For LiteLLM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) metadata: Option<Attribution<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tool) response_format: Option<Value>,
}

/// One message of it.
#[derive(Debug, Serialize)]
pub(in crate::tool) struct ChatMessage<'a> {
    pub(in crate::tool) role: &'static str,
    pub(in crate::tool) content: &'a str,
}

impl Completion<'_> {
    /// The request's body.
    pub(in crate::tool) fn to_body(&self) -> Result<String, ToolError> {
        serde_json::to_string(self).map_err(|error| {
            let message = format!("the request cannot be written: {error}");
            ToolError::free(JobError::new(ErrorClass::Permanent, "request", message))
        })
    }
}

/// Whose call it is: for LiteLLM's spend logs, which keep tags and `spend_logs_metadata`. Names
/// alone, each of at most 129 characters; inputs and secrets never.
#[derive(Debug, Serialize)]
pub(in crate::tool) struct Attribution<'a> {
    tags: Vec<String>,
    spend_logs_metadata: Names<'a>,
}

#[derive(Debug, Serialize)]
struct Names<'a> {
    job: &'a str,
    tool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    attempt: u32,
}

impl<'a> Attribution<'a> {
    pub(in crate::tool) fn of(job: &'a Job, attempt: u32) -> Self {
        let names = Names {
            job: job.id().as_str(),
            tool: job.tool().as_str(),
            batch: job.batch().map(|batch| batch.id().as_str()),
            tenant: job.tenant().map(Tenant::as_str),
            attempt,
        };
        let tags = [("tool", Some(names.tool)), ("batch", names.batch), ("tenant", names.tenant)];
        let tags = tags.into_iter().filter_map(|(kind, name)| Some(format!("{kind}:{}", name?)));
        Self { tags: tags.collect(), spend_logs_metadata: names }
    }
}

/// On whose behalf the provider is told that it works.
pub(in crate::tool) fn as_user(tenant: &Tenant) -> &str {
    let name = tenant.as_str();
    name.get(..MAX_USER_CHARS).unwrap_or(name)
}

/// What a call is made under.
#[derive(Clone, Copy, Debug)]
pub(in crate::tool) struct CallTerms<'a> {
    /// Its id is echoed by LiteLLM and kept in its spend logs.
    pub(in crate::tool) job: &'a Job,
    pub(in crate::tool) model: &'a str,
    /// What is known of models: their prices, where the upstream tells no cost.
    pub(in crate::tool) models: &'a Models,
    /// On its way: whoever calls again counts towards their rates again.
    pub(in crate::tool) gates: &'a Gates,
    pub(in crate::tool) timeout: Duration,
    /// Calls of this job begun, this one included.
    pub(in crate::tool) attempt: u32,
    /// What is known that the job has spent before, in US dollars.
    pub(in crate::tool) spent_usd: f64,
}

impl CallTerms<'_> {
    /// Whether the job itself named the model: then a wrong name is the job's fault.
    pub(super) fn job_named_model(&self) -> bool {
        self.job.model().is_some()
    }

    /// Whether no other call may be paid once this much more is spent.
    pub(in crate::tool) fn is_spent_with(&self, usd: Option<f64>) -> bool {
        let spent = self.spent_usd + usd.unwrap_or(0.0);
        self.job.max_cost_usd().is_some_and(|most| spent >= most)
    }

    /// When the upstream is to give up. Where there is hardly time, it is given half of it.
    pub(super) fn upstream_timeout(&self) -> Duration {
        self.timeout.saturating_sub(UPSTREAM_GIVES_UP_EARLIER).max(self.timeout / 2)
    }
}
