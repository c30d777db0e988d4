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
    let setup = |concurrency| Setup {
        text_bytes: 4_000,
        ..Setup::with_llm(Duration::from_secs(8), concurrency)
    };
    let all = peak_mib(binary, setup(1_000)).await?;
    let by_default = Setup { callbacks_at_once: CALLBACKS_AT_ONCE, ..setup(JOBS_AT_ONCE) };
    let by_default = peak_mib(binary, by_default).await?;
    Ok(vec![
        Row::new("peak memory, 1,000 jobs of 4 KB at once", all, Unit::MiB).limit(48.0).aim(48.0),
        Row::new("the same, 512 jobs and 5 callbacks at once as by default", by_default, Unit::MiB)
            .limit(48.0)
            .aim(48.0),
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
