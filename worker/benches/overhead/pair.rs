//! Two ways to make the same call, measured side by side.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::thread_cpu;

/// Rounds of each side, in turns.
pub(crate) const ROUNDS: usize = 15;

/// Calls of a round.
pub(crate) const CALLS: u32 = 500;

/// The same call, bare and as a job makes it.
pub(crate) trait Pair: Sized {
    /// The request alone.
    async fn bare(&self) -> anyhow::Result<()>;

    /// All that a job's call does.
    async fn ours(&self) -> anyhow::Result<()>;

    /// Both, in turns, after a round that makes the connections.
    async fn measure(self, name: &'static str) -> anyhow::Result<Report> {
        let (mut bare, mut ours) = (Side::default(), Side::default());
        for round in 0..=ROUNDS {
            let of_bare = timed(async || self.bare().await).await?;
            let of_ours = timed(async || self.ours().await).await?;
            if round > 0 {
                bare.add(of_bare);
                ours.add(of_ours);
            }
        }
        Ok(Report { name, bare: bare.median(), ours: ours.median() })
    }
}

/// Microseconds a call.
#[derive(Clone, Copy)]
struct Cost {
    time: f64,
    cpu: f64,
}

#[derive(Default)]
struct Side {
    times: Vec<f64>,
    cpus: Vec<f64>,
}

impl Side {
    fn add(&mut self, cost: Cost) {
        self.times.push(cost.time);
        self.cpus.push(cost.cpu);
    }

    fn median(self) -> Cost {
        Cost { time: median(self.times), cpu: median(self.cpus) }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn timed(call: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let (began, cpu) = (Instant::now(), thread_cpu::used()?);
    for _ in 0..CALLS {
        call().await?;
    }
    let (time, cpu) = (began.elapsed(), thread_cpu::used()?.saturating_sub(cpu));
    let a_call = |whole: Duration| whole.as_secs_f64() * 1e6 / f64::from(CALLS);
    Ok(Cost { time: a_call(time), cpu: a_call(cpu) })
}

/// A row of the table.
pub(crate) struct Report {
    name: &'static str,
    bare: Cost,
    ours: Cost,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bare, ours } = self;
        let row =
            |bare: f64, ours: f64| format!("{bare:>7.0} µs {ours:>7.0} µs {:>5.2} ×", ours / bare);
        write!(f, "{name:<25} {}     {}", row(bare.time, ours.time), row(bare.cpu, ours.cpu))
    }
}
