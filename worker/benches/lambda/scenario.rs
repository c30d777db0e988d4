//! What is measured, by name.

mod cost;
mod huge;
mod makespan;
mod memory;
mod start;

use std::{path::Path, time::Duration};

use self::makespan::Makespan;
use super::row::Row;

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Scenario {
    /// The start of a process.
    Start,
    /// Batches of 100 without any latency.
    Small,
    /// The same, but few batches: for a profiler, under which everything takes long.
    Few,
    /// Batches of 1,000 without any latency.
    Wide,
    /// Batches whose LLM takes its time.
    Makespan(Makespan),
    /// Many large jobs at once.
    Memory,
    /// As many messages as one event holds.
    Huge,
}

impl Scenario {
    /// What is measured where nothing is named.
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
            Self::Few => "few",
            Self::Wide => "wide",
            Self::Makespan(makespan) => makespan.name,
            Self::Memory => "memory",
            Self::Huge => "huge",
        }
    }

    pub(crate) async fn measure(self, binary: &Path) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Start => start::measure(binary).await,
            Self::Small => cost::small(binary).await,
            Self::Few => cost::few(binary).await,
            Self::Wide => cost::wide(binary).await,
            Self::Makespan(makespan) => makespan.measure(binary).await,
            Self::Memory => memory::measure(binary).await,
            Self::Huge => huge::measure(binary).await,
        }
    }
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
