//! What became of a file of jobs, for people or as JSON.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Args,
    draft::{Judged, KEPT, Ready},
    journal::SoFar,
    send::Sent,
};
use crate::cli::{SOME_FAILED, words::counted};

/// Lines that are told while the file is judged; `--json` has more of them.
const TOLD: usize = 20;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// All was sent.
    Sent,
    /// Somebody stopped it.
    Stopped,
    /// It was only judged.
    Judged,
}

/// The counts.
pub(super) struct Report {
    jobs: u64,
    repeated: u64,
    bad: u64,
    bad_told: Vec<(u64, String)>,
    so_far: SoFar,
    resumed_at: u64,
}

impl Report {
    /// Tells of lines that are no jobs.
    pub(super) fn new(judged: &Judged, is_json: bool) -> Self {
        if !is_json {
            tell(&judged.told, judged.bad);
        }
        Self {
            jobs: judged.jobs,
            repeated: judged.repeated,
            bad: judged.bad,
            bad_told: judged.told.clone(),
            so_far: SoFar::default(),
            resumed_at: 0,
        }
    }

    /// Goes on from what was done before.
    pub(super) fn take_up(&mut self, so_far: &SoFar) {
        self.resumed_at = so_far.passed;
        self.so_far = so_far.clone();
    }

    pub(super) fn so_far(&self) -> &SoFar {
        &self.so_far
    }

    /// A group was answered.
    pub(super) fn add(&mut self, group: &[Ready], sent: Vec<Sent>) {
        let SoFar { passed, accepted, duplicates, refused, told } = &mut self.so_far;
        for (job, sent) in group.iter().zip(sent) {
            *passed += 1;
            match sent {
                Sent::Accepted => *accepted += 1,
                Sent::Duplicate => *duplicates += 1,
                Sent::Refused(why) => {
                    *refused += 1;
                    if told.len() < KEPT {
                        told.push((job.line, why));
                    }
                }
            }
        }
    }

    pub(super) fn finish(
        &self,
        args: &Args,
        elapsed: Duration,
        how: How,
    ) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        if args.json {
            writeln!(out, "{}", self.json(elapsed, how))?;
        } else {
            tell(&self.so_far.told, self.so_far.refused);
            writeln!(out, "{}", self.text(elapsed, how))?;
            if let (Some(batch), How::Sent) = (&args.batch, how) {
                writeln!(out, "Batch {batch}: `mcp-batch batch {batch} --watch` waits for it")?;
            }
        }
        let is_clean = self.bad + self.so_far.refused == 0 && how != How::Stopped;
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }

    fn text(&self, elapsed: Duration, how: How) -> String {
        let SoFar { passed, accepted, duplicates, refused, .. } = &self.so_far;
        let jobs = self.jobs;
        let mut text = match how {
            How::Judged => format!("{}, nothing sent", counted(jobs, "job", "jobs")),
            How::Sent => {
                let jobs = counted(*accepted, "job", "jobs");
                format!("Sent {jobs} in {:.1} s", elapsed.as_secs_f64())
            }
            How::Stopped => {
                let jobs = counted(jobs, "job", "jobs");
                format!("Stopped after {passed} of {jobs}; the same command goes on from there")
            }
        };
        let parts = [
            (*duplicates, "known already", "known already"),
            (self.repeated, "repeated in the file", "repeated in the file"),
            (self.bad, "line is no job", "lines are no jobs"),
            (*refused, "refused", "refused"),
        ];
        for (count, one, many) in parts.into_iter().filter(|(count, ..)| *count > 0) {
            text = format!("{text}, {}", counted(count, one, many));
        }
        match self.resumed_at {
            0 => text,
            earlier => format!("{text} ({earlier} of them by an earlier command)"),
        }
    }

    fn json(&self, elapsed: Duration, how: How) -> Value {
        let SoFar { passed, accepted, duplicates, refused, told } = &self.so_far;
        json!({
            "jobs": self.jobs,
            "passed": passed,
            "resumed_at": self.resumed_at,
            "accepted": accepted,
            "duplicates": duplicates,
            "refused": refused,
            "repeated": self.repeated,
            "bad": self.bad,
            "bad_lines": lines(&self.bad_told),
            "refused_lines": lines(told),
            "stopped": how == How::Stopped,
            "took_s": elapsed.as_secs_f64(),
        })
    }
}

fn lines(told: &[(u64, String)]) -> Vec<Value> {
    told.iter().map(|(line, why)| json!({"line": line, "message": why})).collect()
}

fn tell(told: &[(u64, String)], count: u64) {
    for (line, why) in told.iter().take(TOLD) {
        eprintln!("line {line}: {why}");
    }
    let shown = told.len().min(TOLD) as u64;
    if count > shown {
        eprintln!("… and {} more; --json has the first {KEPT}", count - shown);
    }
}
