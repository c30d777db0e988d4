//! Throughput, CPU, and what DynamoDB would bill.

use std::path::Path;

use anyhow::Context;

use super::{
    super::{
        row::{Row, Unit},
        stage::{Setup, Stage},
    },
    count, median, millis,
};

pub(super) async fn small(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut stage = Stage::start(binary, Setup::instant(100)).await;
    let Cost { cpu_ms, jobs_per_second } = Cost::measure(&mut stage, 100, 60).await?;
    let jobs = count(stage.jobs)?;
    let requests = count(stage.aws.dynamo_requests())? / jobs;
    let units = count(stage.aws.write_units())? / jobs;
    Ok(vec![
        Row::new("CPU a job, batch 100", cpu_ms, Unit::Milliseconds).limit(0.5).aim(0.15),
        Row::new("throughput without latency, batch 100", jobs_per_second, Unit::JobsPerSecond)
            .limit(2_000.0)
            .aim(6_000.0),
        Row::new("DynamoDB requests a job with callback", requests, Unit::Each).limit(3.0).aim(3.0),
        Row::new("DynamoDB write units a job with callback", units, Unit::Each).limit(3.0).aim(3.0),
    ])
}

/// Ten at once: a profiler would have each of more wait until its requests were given up.
pub(super) async fn few(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut stage = Stage::start(binary, Setup::instant(10)).await;
    // Under a profiler that takes longer than Lambda allows.
    stage.lambda.first_poll().await;
    let Cost { cpu_ms, .. } = Cost::measure(&mut stage, 100, 2).await?;
    Ok(vec![Row::new("CPU a job, 10 at once, 2 batches of 100", cpu_ms, Unit::Milliseconds)])
}

pub(super) async fn wide(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut stage = Stage::start(binary, Setup::instant(1_000)).await;
    let Cost { cpu_ms, jobs_per_second } = Cost::measure(&mut stage, 1_000, 10).await?;
    Ok(vec![
        Row::new("CPU a job, batch 1,000", cpu_ms, Unit::Milliseconds),
        Row::new("throughput without latency, batch 1,000", jobs_per_second, Unit::JobsPerSecond),
    ])
}

/// What jobs cost in a process that is warm.
pub(super) struct Cost {
    /// CPU of one job.
    pub(super) cpu_ms: f64,
    /// Jobs by the time of a batch, the median of all.
    pub(super) jobs_per_second: f64,
}

impl Cost {
    pub(super) async fn measure(
        stage: &mut Stage,
        jobs: usize,
        batches: usize,
    ) -> anyhow::Result<Self> {
        stage.batch(jobs).await.context("the first batch")?;
        let before = stage.cpu()?;
        let mut walls = Vec::new();
        for _ in 0..batches {
            walls.push(stage.batch(jobs).await?);
        }
        let cpu = stage.cpu()?.saturating_sub(before);
        Ok(Self {
            cpu_ms: millis(cpu) / count(jobs * batches)?,
            jobs_per_second: count(jobs)? / median(walls).as_secs_f64(),
        })
    }
}
