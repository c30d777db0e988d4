//! What a thousand jobs in flight take.

use std::{path::Path, time::Duration};

use anyhow::ensure;

use super::super::{
    row::{Row, Unit},
    stage::{Setup, Stage},
};

/// What a thousand jobs are run with where nobody says otherwise.
const JOBS_AT_ONCE: usize = 512;
const CALLBACKS_AT_ONCE: usize = 5;

pub(super) async fn measure(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let setup = Setup { text_bytes: 4_000, ..Setup::with_llm(Duration::from_secs(8), 1_000) };
    let few_callbacks = Setup { callbacks_at_once: CALLBACKS_AT_ONCE, ..setup };
    let by_default = Setup { concurrency: JOBS_AT_ONCE, ..few_callbacks };
    let row = |about: &str, peak| Row::new(about, peak, Unit::MiB).limit(48.0).aim(48.0);
    Ok(vec![
        row("peak memory, 1,000 jobs of 4 KB at once", peak_mib(binary, setup).await?),
        row("the same, 5 callbacks at once as by default", peak_mib(binary, few_callbacks).await?),
        row("the same, 512 jobs at once as by default", peak_mib(binary, by_default).await?),
    ])
}

async fn peak_mib(binary: &Path, setup: Setup) -> anyhow::Result<f64> {
    let concurrency = setup.concurrency;
    let mut stage = Stage::start(binary, setup).await;
    stage.batch(1_000).await?;
    let at_once = stage.llm.max_in_flight();
    ensure!(at_once == concurrency, "{at_once} jobs were in flight at once, not {concurrency}");
    stage.peak_mib()
}
