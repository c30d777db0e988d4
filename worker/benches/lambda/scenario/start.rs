//! How soon a new process is ready, and how large it lies on the disk.

use std::path::Path;

use super::{
    super::{
        row::{Row, Unit},
        stage::{Setup, Stage},
    },
    median, millis,
};

/// Starts of a process.
const STARTS: usize = 9;

pub(super) async fn measure(binary: &Path) -> anyhow::Result<Vec<Row>> {
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
