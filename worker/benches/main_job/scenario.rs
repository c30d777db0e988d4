//! What is measured, against what, and whether a run was correct.

use std::{fs, path::Path, time::Duration};

use anyhow::ensure;
use mcp_batch_testkit::FakeLlm;
use serde_json::Value;

use super::child::{self, Run};

/// One row of the table.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) jobs: usize,
    pub(crate) text_bytes: usize,
    /// `None` is what the program takes by itself.
    pub(crate) concurrency: Option<usize>,
    pub(crate) latency: Duration,
    pub(crate) kind: Kind,
    pub(crate) figure: Figure,
    /// What it would be if nothing but the LLM, or the texts, were there.
    pub(crate) ideal: Option<f64>,
    pub(crate) target: Option<f64>,
}

/// What has to be true of a run besides that all succeeded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each job is called once.
    First,
    /// The same, all of them at once.
    AllAtOnce,
    /// The second run on one ledger: nothing is called.
    Again,
}

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    WallSeconds,
    JobsPerSecond,
    PeakMiB,
    CpuMicrosPerJob,
}

const SMALL: Scenario = Scenario {
    name: "small",
    about: "10,000 small jobs, LLM at once, default concurrency",
    jobs: 10_000,
    text_bytes: 100,
    concurrency: None,
    latency: Duration::ZERO,
    kind: Kind::First,
    figure: Figure::JobsPerSecond,
    ideal: None,
    target: Some(2_000.0),
};

pub(crate) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "one",
        about: "one job, LLM 200 ms: what a run costs by itself",
        jobs: 1,
        latency: Duration::from_millis(200),
        figure: Figure::WallSeconds,
        ideal: Some(0.2),
        target: None,
        ..SMALL
    },
    Scenario {
        name: "wide",
        about: "1,000 jobs, LLM 200 ms, concurrency 1,000",
        jobs: 1_000,
        concurrency: Some(1_000),
        latency: Duration::from_millis(200),
        figure: Figure::WallSeconds,
        ideal: Some(0.2),
        target: Some(1.0),
        ..SMALL
    },
    Scenario {
        name: "waves",
        about: "1,000 jobs, LLM 200 ms, concurrency 64",
        jobs: 1_000,
        concurrency: Some(64),
        latency: Duration::from_millis(200),
        figure: Figure::WallSeconds,
        ideal: Some(3.2),
        target: Some(3.52),
        ..SMALL
    },
    SMALL,
    Scenario {
        name: "small-256",
        about: "the same with concurrency 256",
        concurrency: Some(256),
        ..SMALL
    },
    Scenario {
        name: "cpu",
        about: "CPU of the same with default concurrency, a job",
        figure: Figure::CpuMicrosPerJob,
        target: None,
        ..SMALL
    },
    Scenario {
        name: "again",
        about: "the same file again: all done before",
        kind: Kind::Again,
        target: None,
        ..SMALL
    },
    Scenario {
        name: "memory",
        about: "1,000 jobs of 10 KB in flight at once",
        jobs: 1_000,
        text_bytes: 10_000,
        concurrency: Some(1_000),
        latency: Duration::from_secs(2),
        kind: Kind::AllAtOnce,
        figure: Figure::PeakMiB,
        ideal: Some(9.54),
        target: Some(64.0),
    },
];

impl Scenario {
    /// Runs it once, on a ledger of its own in `folder`.
    pub(crate) async fn run(&self, file: &Path, folder: &Path) -> anyhow::Result<Run> {
        fs::create_dir(folder)?;
        let llm = FakeLlm::builder().latency(self.latency).keep_prompts(false).start().await;
        let run = || child::run(file, folder, &llm.url(), self.concurrency);
        let first = run()?;
        self.check(&first, self.jobs)?;
        let run = if self.kind == Kind::Again { run()? } else { first };
        self.check(&run, if self.kind == Kind::Again { 0 } else { self.jobs })?;
        self.check_calls(&llm)?;
        let results = fs::read_to_string(folder.join("results.jsonl"))?;
        let succeeded = results.lines().filter(|line| line.contains(r#""status":"succeeded""#));
        ensure!(succeeded.count() == self.jobs, "not every job has a result");
        Ok(run)
    }

    fn check(&self, run: &Run, calls: usize) -> anyhow::Result<()> {
        let number = |field: &str| run.summary.get(field).and_then(Value::as_u64);
        ensure!(run.is_success, "it failed: {}", run.summary);
        ensure!(number("succeeded") == Some(self.jobs as u64), "lost jobs: {}", run.summary);
        ensure!(number("tool_calls") == Some(calls as u64), "wrong calls: {}", run.summary);
        Ok(())
    }

    fn check_calls(&self, llm: &FakeLlm) -> anyhow::Result<()> {
        let by_job = llm.calls_by_id();
        let each_once = by_job.len() == self.jobs && llm.calls() == self.jobs;
        ensure!(each_once, "{} calls for {} jobs", llm.calls(), by_job.len());
        let at_once = llm.max_in_flight();
        let is_at_once = self.kind != Kind::AllAtOnce || at_once == self.jobs;
        ensure!(is_at_once, "only {at_once} jobs were in flight at once");
        Ok(())
    }
}

impl Figure {
    /// The figure of one run, where it can be measured.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn of(self, run: &Run, jobs: usize) -> Option<f64> {
        Some(match self {
            Self::WallSeconds => run.wall.as_secs_f64(),
            Self::JobsPerSecond => jobs as f64 / run.wall.as_secs_f64(),
            Self::PeakMiB => run.peak_kib? as f64 / 1024.0,
            Self::CpuMicrosPerJob => run.cpu?.as_secs_f64() * 1e6 / jobs as f64,
        })
    }
}
