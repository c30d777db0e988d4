//! How long a batch takes, by what it would take if nothing but the answers had to be waited for.

use std::{path::Path, time::Duration};

use super::{
    super::{
        row::{Row, Unit},
        stage::{Setup, Stage},
    },
    median,
};

/// A batch whose LLM takes its time, all of it at once.
#[derive(Clone, Copy)]
pub(crate) struct Makespan {
    pub(super) name: &'static str,
    pub(super) jobs: usize,
    pub(super) llm: Duration,
    /// Batches after the first, whose median is shown.
    pub(super) warm_batches: usize,
    /// By the ideal.
    pub(super) aim: f64,
}

impl Makespan {
    pub(super) async fn measure(self, binary: &Path) -> anyhow::Result<Vec<Row>> {
        let mut stage = Stage::start(binary, Setup::with_llm(self.llm, self.jobs)).await;
        let cold = stage.batch(self.jobs).await?;
        let mut warm = Vec::new();
        for _ in 0..self.warm_batches {
            warm.push(stage.batch(self.jobs).await?);
        }
        Ok(vec![self.row("cold", cold), self.row("warm", median(warm))])
    }

    fn row(self, which: &str, wall: Duration) -> Row {
        let Self { jobs, llm, aim, .. } = self;
        let about = format!("makespan ÷ ideal, batch {jobs}, LLM {} ms, {which}", llm.as_millis());
        let ideal = Setup::with_llm(llm, jobs).one_job();
        Row::new(about, wall.div_duration_f64(ideal), Unit::Times).aim(aim)
    }
}
