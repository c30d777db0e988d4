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

    /// Who, for the audit lines [default: the name of the user].
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
        let user = || env::var("USER").or_else(|_| env::var("LOGNAME")).ok();
        let who = self.who.clone().or_else(user).filter(|who| !who.is_empty());
        let who = who.unwrap_or_else(|| "unknown".to_owned());
        Ok(Audit::open(&self.audit, By { who, why })?)
    }
}
