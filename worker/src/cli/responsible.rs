//! Who changes something, and why: written down for each job.

use std::{env, path::PathBuf};

use anyhow::ensure;

use crate::dead_letter::{Audit, By};

/// Who and why.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Audit")]
pub(super) struct ResponsibleArgs {
    /// Why, for the audit lines.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who, for the audit lines [default: the name of the user, or else the user's number].
    #[arg(long, value_name = "NAME")]
    who: Option<String>,

    /// The file to which a line is appended for each job.
    #[arg(long, value_name = "FILE", default_value = "mcp-batch-audit.jsonl")]
    audit: PathBuf,
}

impl ResponsibleArgs {
    /// Why.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason.clone()
    }

    /// The file, for somebody who said why.
    pub(super) fn open(&self) -> anyhow::Result<Audit> {
        let why = self.reason.clone().unwrap_or_default();
        ensure!(!why.trim().is_empty(), "--reason: expected why this is done, found nothing");
        let named = |name| env::var(name).ok().filter(|who: &String| !who.is_empty());
        let user = || named("USER").or_else(|| named("LOGNAME"));
        let who = self.who.clone().filter(|who| !who.is_empty()).or_else(user);
        let who = who.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
        Ok(Audit::open(&self.audit, By { who, why })?)
    }
}
