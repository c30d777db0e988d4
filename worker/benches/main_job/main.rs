//! How fast and how lean the main job is: the release binary runs files of jobs against an LLM on
//! loopback, as a person would run it. `cargo bench` measures everything, `cargo bench -- NAME` one
//! scenario. It prints, and fails only when a run was not correct.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod child;
mod jobs;
mod report;
mod scenario;

use std::{env, path::Path, thread};

use anyhow::{Context, bail};

use self::{
    report::Report,
    scenario::{SCENARIOS, Scenario},
};

/// Runs of a scenario; the best and the median are shown.
const RUNS: usize = 3;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is measured: this is for `cargo bench`");
        return Ok(());
    }
    let chosen = chosen(args.into_iter().find(|arg| !arg.starts_with('-')).as_deref())?;
    // The LLM's side of the connections needs file descriptors too.
    rlimit::increase_nofile_limit(u64::MAX).context("the limit of open files")?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{RUNS} runs each on {cores} cores, which the LLM shares\n\n{}", Report::HEAD);
    // Beside the build, so that what is synced goes to a disk even where /tmp is memory.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for scenario in chosen {
        let report = runtime.block_on(measure(scenario, Path::new(env!("CARGO_TARGET_TMPDIR"))));
        println!("{}", report.with_context(|| format!("scenario {}", scenario.name))?);
    }
    Ok(())
}

fn chosen(name: Option<&str>) -> anyhow::Result<Vec<&'static Scenario>> {
    let chosen: Vec<_> =
        SCENARIOS.iter().filter(|one| name.is_none_or(|name| one.name == name)).collect();
    if chosen.is_empty() {
        let known = SCENARIOS.map(|scenario| scenario.name).join(", ");
        bail!("no such scenario; expected one of {known}");
    }
    Ok(chosen)
}

async fn measure(scenario: &'static Scenario, tmp: &Path) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir_in(tmp)?;
    let file = folder.path().join("jobs.jsonl");
    jobs::write(&file, scenario.jobs, scenario.text_bytes)?;
    let mut figures = Vec::new();
    for run in 0..RUNS {
        let folder = folder.path().join(run.to_string());
        let run = scenario.run(&file, &folder).await.with_context(|| format!("run {run}"))?;
        figures.extend(scenario.figure.of(&run, scenario.jobs));
    }
    Ok(Report::new(scenario, figures))
}
