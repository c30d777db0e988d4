//! The end of a run: a table a tool, or one JSON object; and the exit code.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    super::{
        SOME_FAILED,
        words::{cost, counted},
    },
    entry::{Entries, Fate},
    tally::{Ending, Tally, ToolTally},
};
use crate::error::JobError;

/// The row of items that name no tool of the catalog.
const NO_TOOL: &str = "(no such tool)";

/// What a run came to.
pub(super) struct Summary {
    tools: BTreeMap<String, ToolTally>,
    items: usize,
    duplicates: u64,
    calls: u64,
    dead_callbacks: u64,
    elapsed: Duration,
    results: PathBuf,
    stopped_by: Option<JobError>,
    /// Why jobs wait, by code: how many, and the message of one of them.
    waiting_for: BTreeMap<String, (u64, String)>,
}

impl Summary {
    pub(super) fn of(
        entries: &Entries,
        tally: &Tally,
        elapsed: Duration,
        results: PathBuf,
    ) -> Self {
        let mut summary = Self {
            tools: tally.tools.clone(),
            items: entries.iter().len(),
            duplicates: 0,
            calls: tally.calls,
            dead_callbacks: tally.dead_callbacks,
            elapsed,
            results,
            stopped_by: tally.hopeless().cloned(),
            waiting_for: BTreeMap::new(),
        };
        for entry in entries.iter() {
            let tool = entry.tool.as_ref().map_or(NO_TOOL, |tool| tool.as_str());
            summary.add(tool, &entry.fate, tally);
        }
        summary
    }

    /// Counts what the tally, which sees only jobs that end, has not.
    fn add(&mut self, tool: &str, fate: &Fate, tally: &Tally) {
        let ending = match fate {
            Fate::Sent(_) | Fate::SentAgain(_) => tally.ending_of(fate),
            Fate::Rejected(_) => {
                let is_known = self.tools.contains_key(tool);
                self.tool(if is_known { tool } else { NO_TOOL }).failed += 1;
                return;
            }
            Fate::Duplicate { .. } => {
                self.duplicates += 1;
                return;
            }
        };
        match ending {
            None => {
                self.tool(tool).waiting += 1;
                self.waits(fate, tally);
            }
            Some(Ending::Rejected(_)) => self.tool(tool).failed += 1,
            Some(Ending::Settled { .. }) => {}
        }
    }

    fn waits(&mut self, fate: &Fate, tally: &Tally) {
        let (Fate::Sent(key) | Fate::SentAgain(key)) = fate else { return };
        let Some(waiting) = tally.waiting.get(key) else { return };
        let reason = &waiting.reason;
        let first = || (0, reason.message.clone());
        self.waiting_for.entry(reason.code.to_string()).or_insert_with(first).0 += 1;
    }

    fn tool(&mut self, name: &str) -> &mut ToolTally {
        self.tools.entry(name.to_owned()).or_default()
    }

    fn sum(&self, figure: impl Fn(&ToolTally) -> u64) -> u64 {
        self.tools.values().map(figure).sum()
    }

    /// 0 if all succeeded, 1 if some failed or wait.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self.sum(|tool| tool.failed + tool.waiting) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(SOME_FAILED),
        }
    }

    /// Prints to standard output, or to standard error where the results have that.
    pub(super) fn print(&self, is_json: bool) -> io::Result<()> {
        let text = if is_json { self.json().to_string() } else { self.text() };
        match self.results == Path::new("-") {
            true => writeln!(io::stderr(), "{text}"),
            false => writeln!(io::stdout(), "{text}"),
        }
    }

    fn json(&self) -> Value {
        let tools = self.tools.iter().map(|(name, tool)| (name.clone(), tool_json(tool)));
        json!({
            "items": self.items,
            "succeeded": self.sum(|tool| tool.done + tool.already),
            "failed": self.sum(|tool| tool.failed),
            "already_done": self.sum(|tool| tool.already),
            "waiting": self.sum(|tool| tool.waiting),
            "duplicates": self.duplicates,
            "tool_calls": self.calls,
            "dead_callbacks": self.dead_callbacks,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "results": self.results,
            "stopped_by": self.stopped_by,
            "waiting_for": self.waiting_for.iter().map(|(code, (jobs, _))| (code, jobs))
                .collect::<BTreeMap<_, _>>(),
            "tools": tools.collect::<BTreeMap<_, _>>(),
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![self.table().to_string(), self.calls_line()];
        let waiting = self.sum(|tool| tool.waiting);
        if let Some(reason) = &self.stopped_by {
            lines.push(format!("Stopped, since a person has to act: {}.", reason.message));
        }
        if waiting > 0 {
            let one = "job waits; the same command goes on with it.";
            lines.push(counted(waiting, one, "jobs wait; the same command goes on with them."));
            let reasons = self.waiting_for.iter();
            lines.extend(reasons.map(|(code, (jobs, why))| format!("  {jobs} for {code}: {why}")));
        }
        if self.dead_callbacks > 0 {
            let one = "callback was given up; `mcp-batch callbacks resend` sends it again.";
            let many = "callbacks were given up; `mcp-batch callbacks resend` sends them again.";
            lines.push(counted(self.dead_callbacks, one, many));
        }
        lines.push(format!("Results: {}", self.results.display()));
        lines.join("\n")
    }

    fn calls_line(&self) -> String {
        let already = self.sum(|tool| tool.already);
        let secs = self.elapsed.as_secs_f64();
        let repeated = match self.duplicates {
            0 => String::new(),
            count => format!(", {count} repeated in the file"),
        };
        let items = counted(self.items as u64, "item", "items");
        let calls = counted(self.calls, "tool call", "tool calls");
        format!("{items} in {secs:.1} s, {calls}, {already} already done{repeated}")
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "tool",
            "done",
            "failed",
            "already done",
            "waiting",
            "p50",
            "p95",
            "tokens in",
            "tokens out",
            "cost",
        ]);
        for (name, tool) in &self.tools {
            table.add_row(row(name, tool));
        }
        table.column_iter_mut().skip(1).for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
        table
    }
}

fn row(name: &str, tool: &ToolTally) -> [String; 10] {
    let shown = |percent| percentile(tool, percent).map_or_else(|| "–".to_owned(), duration);
    [
        name.to_owned(),
        tool.done.to_string(),
        tool.failed.to_string(),
        tool.already.to_string(),
        tool.waiting.to_string(),
        shown(50),
        shown(95),
        tool.usage.input_tokens.to_string(),
        tool.usage.output_tokens.to_string(),
        cost(&tool.usage),
    ]
}

fn tool_json(tool: &ToolTally) -> Value {
    let millis = |percent| percentile(tool, percent).map(|time| time.as_secs_f64() * 1000.0);
    json!({
        "done": tool.done,
        "failed": tool.failed,
        "already_done": tool.already,
        "waiting": tool.waiting,
        "p50_ms": millis(50),
        "p95_ms": millis(95),
        "input_tokens": tool.usage.input_tokens,
        "cached_input_tokens": tool.usage.cached_input_tokens,
        "cache_write_tokens": tool.usage.cache_write_tokens,
        "output_tokens": tool.usage.output_tokens,
        "reasoning_tokens": tool.usage.reasoning_tokens,
        "fallbacks": tool.usage.fallbacks,
        "truncated_results": tool.usage.truncated_results,
        "cost_usd": tool.usage.cost_usd,
        "unpriced_calls": tool.usage.unpriced_calls,
    })
}

/// The latency that `percent` of the calls did not exceed (nearest rank).
fn percentile(tool: &ToolTally, percent: usize) -> Option<Duration> {
    let mut latencies = tool.latencies.clone();
    let rank = (latencies.len() * percent).div_ceil(100).checked_sub(1)?;
    let (_, latency, _) = latencies.select_nth_unstable(rank);
    Some(*latency)
}

fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        secs if secs < 0.01 => format!("{:.1} ms", secs * 1000.0),
        secs if secs < 1.0 => format!("{:.0} ms", secs * 1000.0),
        secs => format!("{secs:.1} s"),
    }
}
