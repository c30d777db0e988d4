//! Waiting until a batch is over, with a bar on a terminal.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    cli::{setup::Signals, world::World},
    job::BatchId,
};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

const BAR: &str = "{bar:30} {pos}/{len} ended [{elapsed}]";

/// The batch once it is over, or as it is when somebody stops waiting. One that nobody has joined yet
/// is waited for: its jobs lie in the queue.
pub(super) async fn until_over(
    world: &World,
    id: &BatchId,
    is_json: bool,
) -> anyhow::Result<Option<Value>> {
    let bar = match io::stderr().is_terminal() && !is_json {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    let mut signals = Signals::new()?;
    loop {
        let batch = super::find(world, id).await?;
        if let Some(batch) = &batch {
            bar.set_length(batch["size"].as_u64().unwrap_or_default());
            bar.set_position(batch["ended"].as_u64().unwrap_or_default());
            if batch["state"] != "open" {
                bar.finish_and_clear();
                return Ok(Some(batch.clone()));
            }
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = signals.next() => {
                bar.finish_and_clear();
                return Ok(batch);
            }
        }
    }
}
