//! What a thousand jobs in flight take.

use std::{path::Path, time::Duration};

use anyhow::ensure;

use super::super::{
    row::{Row, Unit},
    stage::{Setup, Stage},
};

pub(super) async fn measure(binary: &Path) -> anyhow::Result<Vec<Row>> {
    let setup = Setup { text_bytes: 4_000, ..Setup::with_llm(Duration::from_secs(2), 1_000) };
    let mut stage = Stage::start(binary, setup).await;
    stage.batch(1_000).await?;
    let at_once = stage.llm.max_in_flight();
    ensure!(at_once == 1_000, "only {at_once} jobs were in flight at once");
    let peak = stage.peak_mib()?;
    let about = "peak memory, 1,000 jobs of 4 KB at once";
    Ok(vec![Row::new(about, peak, Unit::MiB).limit(48.0).aim(48.0)])
}
