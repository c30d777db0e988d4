//! What the Lambda worker costs: the deployed binary, built with the profile `dist`, works off
//! batches against a loopback LLM, AWS, receiver of callbacks and Runtime API. It has one CPU to
//! itself, they share another. `make bench` measures everything, `cargo bench --bench lambda --
//! NAME` one scenario. It prints, and fails only when a run was not correct.
//! `MCP_BATCH_BENCH_BINARY` names another binary to be measured, or a script that starts it.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod event;
mod row;
mod scenario;
mod stage;

use std::{env, path::PathBuf, thread};

use anyhow::{Context, bail, ensure};
use mcp_batch_testkit::run_on_cpu;

use self::{row::Row, scenario::Scenario};

/// The worker's CPU; the rest of the world runs on the next one.
const WORKER_CPU: usize = 0;

/// What the words of the table mean.
const LEGEND: &str = "\
ideal: the requests of one job one after another and no CPU, claim 3 ms, LLM, complete 3 ms, callback
10 ms, mark 3 ms; cold: the first batch of a process, which makes all connections; warm: the median
of the batches after it";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is measured: this is for `cargo bench`");
        return Ok(());
    }
    let chosen = chosen(args.into_iter().find(|arg| !arg.starts_with('-')).as_deref())?;
    let binary = binary()?;
    // All sides of all connections are in this process or a child of it.
    rlimit::increase_nofile_limit(u64::MAX).context("the limit of open files")?;
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let shared = if run_on_cpu(WORKER_CPU + 1) { "" } else { ", which the stand-ins share" };
    println!("the worker on one CPU of {cpus}{shared}\n\n{}", Row::HEAD);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for scenario in chosen {
        let rows = runtime.block_on(scenario.measure(&binary));
        for row in rows.with_context(|| format!("scenario {}", scenario.name()))? {
            println!("{row}");
        }
    }
    println!("\n{LEGEND}");
    Ok(())
}

fn chosen(name: Option<&str>) -> anyhow::Result<Vec<Scenario>> {
    let Some(name) = name else { return Ok(Scenario::ALL.into()) };
    let mut known = Scenario::ALL.into_iter().chain([Scenario::Few]);
    let Some(one) = known.find(|one| one.name() == name) else {
        let known = Scenario::ALL.map(Scenario::name).join(", ");
        bail!("no such scenario; expected one of {known}, {}", Scenario::Few.name());
    };
    Ok(vec![one])
}

/// The one that is named, or that beside the build of this very benchmark.
fn binary() -> anyhow::Result<PathBuf> {
    if let Some(named) = env::var_os("MCP_BATCH_BENCH_BINARY") {
        return Ok(named.into());
    }
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("dist");
    let binary = target.join("mcp-batch-lambda");
    let command = "cargo build --profile dist --bin mcp-batch-lambda";
    ensure!(binary.is_file(), "{} is missing; expected what `{command}` makes", binary.display());
    Ok(binary)
}
