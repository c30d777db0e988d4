//! `mcp-batch cost`: what was spent, and what a month will cost.

mod forecast;
mod guide;
mod prices;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    ledger::{LedgerArgs, OpenLedger},
    no_server::NoServerArgs,
    words::{counted, on_one_line},
};
use crate::{
    cli::words::cost,
    clock::{Clock, UnixMs},
    lease::Ledger,
    spending::{Books, By, Meant, Spending, Sum, spending},
};

/// Says what the jobs of a ledger used, by tool, model, batch, tenant or day; `forecast`: what a month will cost.
///
/// It reads the whole ledger, as far as its records live; on AWS that is a scan. Costs are those that the LLM's API told or that
/// the catalog's prices give: with jobs of which none is known the sum is a lower bound.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// What jobs are added up by.
    #[arg(long, value_enum, default_value_t = Column::Tool)]
    by: Column,

    /// Only the jobs of --namespace; without it those of all namespaces.
    #[arg(long)]
    own: bool,

    /// Only jobs that came to their present state in the last so many days.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_650))]
    days: Option<u64>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    no_server: NoServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Forecast(forecast::Args),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Column {
    Tool,
    Model,
    Batch,
    Tenant,
    Day,
}

impl Column {
    fn by(self) -> By {
        match self {
            Self::Tool => By::Tool,
            Self::Model => By::Model,
            Self::Batch => By::Batch,
            Self::Tenant => By::Tenant,
            Self::Day => By::Day,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Model => "model",
            Self::Batch => "batch",
            Self::Tenant => "tenant",
            Self::Day => "day",
        }
    }
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(Command::Forecast(args)) = &args.command {
        return forecast::main(args);
    }
    NoServerArgs::check(&args.ledger.source())?;
    let told = match args.ledger.open_to_read().await? {
        OpenLedger::File(desk) => args.spending(&desk.ledger).await?,
        #[cfg(feature = "aws")]
        OpenLedger::Table(desk) => args.spending(&desk.ledger).await?,
    };
    let mut out = io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", as_json(&told, args.by.name()))?,
        false => print(&mut out, &told, args.by.name())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    async fn spending<L: Ledger + Books>(&self, ledger: &L) -> anyhow::Result<Spending> {
        let meant = Meant {
            namespace: self.own.then(|| self.ledger.namespace()).transpose()?,
            since: self.days.map(days_ago),
        };
        Ok(spending(ledger, self.by.by(), &meant).await?)
    }
}

fn days_ago(days: u64) -> UnixMs {
    let ms = days.saturating_mul(86_400_000).cast_signed();
    UnixMs(Clock::system().now().0.saturating_sub(ms))
}

fn as_json(told: &Spending, by: &str) -> Value {
    let group = |(name, sum): (&Option<String>, &Sum)| {
        let mut value = numbers(sum);
        value[by] = name.clone().into();
        value
    };
    json!({"by": by, "groups": told.groups.iter().map(group).collect::<Vec<_>>(), "all": numbers(&told.all)})
}

/// Several models may be in a sum, which names none.
fn numbers(sum: &Sum) -> Value {
    let mut value = serde_json::to_value(sum).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !matches!(&**name, "model" | "requested_model"));
    }
    value
}

fn print(out: &mut impl Write, told: &Spending, by: &str) -> io::Result<()> {
    if told.all.jobs == 0 {
        eprintln!("No jobs.");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([by, "jobs", "done", "tokens in", "tokens out", "cost"]);
    for (name, sum) in &told.groups {
        table.add_row(row(name.as_deref().unwrap_or("–"), sum));
    }
    table.add_row(row("in all", &told.all));
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    writeln!(out, "{table}")?;
    if told.all.unpriced_jobs > 0 {
        let jobs = counted(told.all.unpriced_jobs, "job", "jobs");
        writeln!(out, "A lower bound: of calls of {jobs} no cost is known.")?;
    }
    Ok(())
}

fn row(name: &str, sum: &Sum) -> [String; 6] {
    [
        on_one_line(name),
        sum.jobs.to_string(),
        sum.done.to_string(),
        sum.usage.input_tokens.to_string(),
        sum.usage.output_tokens.to_string(),
        cost(&sum.usage),
    ]
}
