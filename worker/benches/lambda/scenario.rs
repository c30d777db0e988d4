//! What is measured, and against what.

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};

use super::{
    row::{Row, Unit},
    stage::{Setup, Stage},
};

/// What the ratios are of.
pub(crate) const IDEAL: &str = "\
ideal: the requests of one job, one after another, and no CPU: claim 3 ms, LLM, complete 3 ms, \
callback 10 ms, mark 3 ms
cold: the first batch of a process, with all its connections to be made; warm: the median of the next";

/// Starts of a process.
const STARTS: usize = 9;

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Scenario {
    Start,
    Small,
    Wide,
    Makespan(Makespan),
    Memory,
    Huge,
}

/// A batch whose LLM takes its time.
#[derive(Clone, Copy)]
pub(crate) struct Makespan {
    name: &'static str,
    jobs: usize,
    llm: Duration,
    warm_batches: usize,
    /// By the ideal.
    aim: f64,
}

impl Scenario {
    pub(crate) const ALL: [Self; 8] = [
        Self::Start,
        Self::Small,
        Self::Wide,
        Self::Makespan(Makespan {
            name: "makespan-100",
            jobs: 100,
            llm: Duration::from_millis(200),
            warm_batches: 9,
            aim: 1.10,
        }),
        Self::Makespan(Makespan {
            name: "makespan-1000",
            jobs: 1_000,
            llm: Duration::from_millis(200),
            warm_batches: 9,
            aim: 1.6,
        }),
        Self::Makespan(Makespan {
            name: "makespan-slow",
            jobs: 1_000,
            llm: Duration::from_secs(8),
            warm_batches: 1,
            aim: 1.05,
        }),
        Self::Memory,
        Self::Huge,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Small => "small",
            Self::Wide => "wide",
            Self::Makespan(makespan) => makespan.name,
            Self::Memory => "memory",
            Self::Huge => "huge",
        }
    }

    pub(crate) async fn measure(self, binary: &Path) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Start => start(binary).await,
            Self::Small => small(binary).await,
            Self::Wide => wide(binary).await,
            Self::Makespan(makespan) => makespan.measure(binary).await,
            Self::Memory => memory(binary).await,
            Self::Huge => huge(binary).await,
        }
    }
}

async fn start(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let stage = Stage::start(binary, Setup::instant(100)).await;
        starts.push(stage.lambda.first_poll().await);
    }
    let bytes = u32::try_from(binary.metadata()?.len())?;
    let about = format!("start to first poll, median of {STARTS}");
    Ok(vec![
        Row::new(about, millis(median(starts)), Unit::Milliseconds).limit(20.0).aim(15.0),
        Row::new("size of the binary", f64::from(bytes) / 1e6, Unit::Megabytes).limit(15.0),
    ])
}

/// Batches of 100 without any latency: throughput, CPU, and what DynamoDB would bill.
async fn small(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut stage = Stage::start(binary, Setup::instant(100)).await;
    let cost = cost(&mut stage, 100, 60).await?;
    let jobs = count(stage.jobs)?;
    let requests = count(stage.aws.dynamo_requests())? / jobs;
    let units = count(stage.aws.write_units())? / jobs;
    Ok(vec![
        Row::new("CPU a job, batch 100", cost.cpu_ms, Unit::Milliseconds).limit(0.5).aim(0.15),
        Row::new(
            "throughput without latency, batch 100",
            cost.jobs_per_second,
            Unit::JobsPerSecond,
        )
        .limit(2_000.0)
        .aim(6_000.0),
        Row::new("DynamoDB requests a job with callback", requests, Unit::Each).limit(3.0).aim(3.0),
        Row::new("DynamoDB write units a job with callback", units, Unit::Each).limit(3.0).aim(3.0),
    ])
}

async fn wide(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut stage = Stage::start(binary, Setup::instant(1_000)).await;
    let cost = cost(&mut stage, 1_000, 10).await?;
    Ok(vec![
        Row::new("CPU a job, batch 1,000", cost.cpu_ms, Unit::Milliseconds),
        Row::new(
            "throughput without latency, batch 1,000",
            cost.jobs_per_second,
            Unit::JobsPerSecond,
        ),
    ])
}

impl Makespan {
    async fn measure(self, binary: &Path) -> anyhow::Result<Vec<Row>> {
        let Self { jobs, llm, warm_batches, aim, .. } = self;
        let setup = Setup::with_llm(llm, jobs);
        let mut stage = Stage::start(binary, setup).await;
        let cold = stage.batch(jobs).await?;
        let mut warm = Vec::new();
        for _ in 0..warm_batches {
            warm.push(stage.batch(jobs).await?);
        }
        let row = |which: &str, wall: Duration| {
            let about =
                format!("makespan ÷ ideal, batch {jobs}, LLM {} ms, {which}", llm.as_millis());
            Row::new(about, wall.div_duration_f64(setup.one_job()), Unit::Times).aim(aim)
        };
        Ok(vec![row("cold", cold), row("warm", median(warm))])
    }
}

async fn memory(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let setup = Setup { text_bytes: 4_000, ..Setup::with_llm(Duration::from_secs(2), 1_000) };
    let mut stage = Stage::start(binary, setup).await;
    stage.batch(1_000).await?;
    let at_once = stage.llm.max_in_flight();
    ensure!(at_once == 1_000, "only {at_once} jobs were in flight at once");
    let peak = stage.peak_mib()?;
    Ok(vec![
        Row::new("peak memory, 1,000 jobs of 4 KB at once", peak, Unit::MiB).limit(48.0).aim(48.0),
    ])
}

/// 10,000 messages in one batch, which fill the 6 MB that an event may have.
async fn huge(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let tool = Duration::from_millis(50);
    let usual = cpu_of_messages(binary, Setup::with_llm(tool, 100), 100, 50).await?;
    let setup = Setup::with_llm(tool, 1_000);
    let mut stage = Stage::start(binary, setup).await;
    let before = stage.cpu()?;
    let wall = stage.batch(10_000).await?;
    let cpu = millis(stage.cpu()? - before) / 10_000.0;
    let ideal = setup.one_job() * 10;
    let ratio = wall.div_duration_f64(ideal);
    Ok(vec![
        Row::new("10,000 messages, 1,000 at once, 50 ms: makespan ÷ ideal", ratio, Unit::Times),
        Row::new("the same: peak memory", stage.peak_mib()?, Unit::MiB),
        Row::new("the same: CPU a message", cpu, Unit::Milliseconds),
        Row::new("the same: CPU a message ÷ that in batches of 100", cpu / usual, Unit::Times)
            .limit(1.0)
            .aim(1.0),
    ])
}

async fn cpu_of_messages(
    binary: &Path,
    setup: Setup,
    jobs: usize,
    batches: usize,
) -> anyhow::Result<f64> {
    Ok(cost(&mut Stage::start(binary, setup).await, jobs, batches).await?.cpu_ms)
}

/// What jobs cost in a process that is warm.
struct Cost {
    cpu_ms: f64,
    jobs_per_second: f64,
}

async fn cost(stage: &mut Stage, jobs: usize, batches: usize) -> anyhow::Result<Cost> {
    stage.batch(jobs).await.context("the first batch")?;
    let cpu = stage.cpu()?;
    let mut walls = Vec::new();
    for _ in 0..batches {
        walls.push(stage.batch(jobs).await?);
    }
    let cpu = stage.cpu()? - cpu;
    Ok(Cost {
        cpu_ms: millis(cpu) / count(jobs * batches)?,
        jobs_per_second: count(jobs)? / median(walls).as_secs_f64(),
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn count(number: usize) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(number)?))
}
