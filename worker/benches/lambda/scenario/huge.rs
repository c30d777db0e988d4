//! 10,000 messages in one batch: about the 6 MB that an event may have.

use std::{path::Path, time::Duration};

use super::{
    super::{
        row::{Row, Unit},
        stage::{Setup, Stage},
    },
    cost::Cost,
    millis,
};

const MESSAGES: usize = 10_000;

/// Jobs at once.
const AT_ONCE: usize = 1_000;

const TOOL: Duration = Duration::from_millis(50);

pub(super) async fn measure(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let mut usual = Stage::start(binary, Setup::with_llm(TOOL, 100)).await;
    let usual = Cost::measure(&mut usual, 100, 50).await?;

    let setup = Setup::with_llm(TOOL, AT_ONCE);
    let mut stage = Stage::start(binary, setup).await;
    let wall = stage.batch(MESSAGES).await?;
    let cpu_ms = millis(stage.cpu()?) / 10_000.0;
    let ideal = setup.one_job() * 10;
    Ok(vec![
        Row::new(
            "10,000 messages, 1,000 at once, 50 ms: makespan ÷ ideal",
            wall.div_duration_f64(ideal),
            Unit::Times,
        ),
        Row::new("the same: peak memory", stage.peak_mib()?, Unit::MiB),
        Row::new("the same: CPU a message, start included", cpu_ms, Unit::Milliseconds),
        // What Lambda bills: the time of an invocation, at one memory.
        Row::new(
            "the same: time a message ÷ that of batches of 100",
            wall.as_secs_f64() / 10_000.0 * usual.jobs_per_second,
            Unit::Times,
        )
        .limit(1.0)
        .aim(1.0),
        Row::new(
            "the same: CPU a message ÷ that of batches of 100",
            cpu_ms / usual.cpu_ms,
            Unit::Times,
        )
        .limit(1.0)
        .aim(1.0),
    ])
}
