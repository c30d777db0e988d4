//! Which dead letters are meant.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{Assignment, Letter, Standing};
use crate::{clock::UnixMs, error::ErrorClass};

/// Which dead letters are meant: those that meet every condition, and of the values of one condition any.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Filter {
    /// Of these classes; `None` is that of letters which a queue's redrive policy put there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Option<ErrorClass>>,
    /// Of these tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Of these tenants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// Of jobs that stand so in the ledger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standings: Vec<Standing>,
    /// Buried longer ago than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Duration>,
    /// Buried since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer_than: Option<Duration>,
    /// With these fields in the job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Assignment>,
}

/// What a filter looks at in a letter's body.
pub(super) struct Told<'a> {
    pub(super) job: &'a Value,
    pub(super) tool: Option<&'a str>,
    pub(super) tenant: Option<&'a str>,
}

impl Filter {
    /// Whether every letter is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a letter is meant, as far as it tells itself.
    pub(super) fn admits(&self, letter: &Letter, told: &Told<'_>, now: UnixMs) -> bool {
        let class = letter.reason.as_ref().map(|reason| reason.class);
        let age = now.since(letter.buried);
        is_any(&self.classes, |wanted| *wanted == class)
            && is_any(&self.tools, |wanted| Some(&**wanted) == told.tool)
            && is_any(&self.tenants, |wanted| Some(&**wanted) == told.tenant)
            && self.older_than.is_none_or(|least| age >= least)
            && self.newer_than.is_none_or(|most| age < most)
            && self.fields.iter().all(|field| field.is_met_by(told.job))
    }

    /// Whether a letter of a job that stands so is meant.
    pub(super) fn admits_standing(&self, standing: Standing) -> bool {
        is_any(&self.standings, |wanted| *wanted == standing)
    }
}

fn is_any<T>(wanted: &[T], is_it: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_it)
}
