//! One run of the binary, and what it took.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

/// The pause between looks at the child's memory; its peak is kept by the system.
const LOOK: Duration = Duration::from_millis(2);

/// How often a child whose output has ended is looked at until it has exited.
const EXIT_LOOKS: usize = 1_000;

/// What Linux counts CPU time in, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one run said, and what it took.
pub(crate) struct Run {
    pub(crate) summary: Value,
    pub(crate) is_success: bool,
    /// From its start to the end of its output.
    pub(crate) wall: Duration,
    /// User and system; unknown where there is no `/proc`.
    pub(crate) cpu: Option<Duration>,
    /// The largest resident set, in KiB; the same.
    pub(crate) peak_kib: Option<u64>,
}

/// Runs the binary on `file` with its ledger in `folder`.
pub(crate) fn run(
    file: &Path,
    folder: &Path,
    llm_url: &str,
    concurrency: Option<usize>,
) -> anyhow::Result<Run> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-batch"));
    command.arg("run").arg(file).arg("--json").arg("--db").arg(folder.join("mcp-batch.db"));
    command.args(concurrency.map(|number| format!("--concurrency={number}")));
    command.env_clear().env("MCP_BATCH_LLM_URL", llm_url);
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = String::new();
    let mut pipe = child.stdout.take().context("its output is piped")?;
    let peak_kib = with_peak(child.id(), || pipe.read_to_string(&mut output))?;
    let wall = began.elapsed();
    let cpu = cpu_when_exited(&child);
    let is_success = child.wait()?.success();
    let summary = serde_json::from_str(&output).context("its output is no summary")?;
    Ok(Run { summary, is_success, wall, cpu, peak_kib })
}

/// Watches a process's peak while `work` goes on. What `wait4` reports is no use: a new process
/// begins with the peak of the one that started it.
fn with_peak<T>(
    process: u32,
    work: impl FnOnce() -> std::io::Result<T>,
) -> anyhow::Result<Option<u64>> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = None;
            while !is_over.load(Ordering::Relaxed) {
                peak = peak.max(peak_kib(process));
                thread::sleep(LOOK);
            }
            peak
        });
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        result?;
        watching.join().map_err(|_| anyhow::anyhow!("the watching of its memory panicked"))
    })
}

fn peak_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse().ok()
}

/// The CPU time of a child that has ended and was not waited for yet.
fn cpu_when_exited(child: &Child) -> Option<Duration> {
    for _ in 0..EXIT_LOOKS {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
        // The name before it is in parentheses, and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        if let [state, .., _] = fields.as_slice()
            && *state == "Z"
        {
            let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
            return Some(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND));
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}
