//! `mcp-batch cost`: what a month of jobs will cost, beside the same month one request at a time.

mod forecast;
mod prices;

use std::{io, process::ExitCode};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::json;

use self::{
    forecast::{Line, Load, Setup, Way},
    prices::Prices,
};

/// What a month of jobs will cost on AWS and at the model, with the arithmetic.
///
/// Beside it stands the same month with one request a job that a function waits for. Without flags it is
/// the scenario of 12,000 queries a month with 800 tokens in, 400 out and 8 s each.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Jobs a month.
    #[arg(long, value_name = "N", default_value_t = 12_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    jobs_a_month: u64,

    /// Tokens of a prompt.
    #[arg(long, value_name = "N", default_value_t = 800)]
    input_tokens: u32,

    /// Tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = 400)]
    output_tokens: u32,

    /// Seconds that a call takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0, value_parser = positive)]
    latency_s: f64,

    /// Jobs that share an invocation.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_size: u32,

    /// Of these, jobs at once.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,

    /// The function's memory.
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    memory_mb: u32,

    /// The model that answers.
    #[arg(long, value_name = "NAME", default_value = "claude-sonnet-4-5")]
    model: String,

    /// Leaves out the callbacks.
    #[arg(long)]
    no_callback: bool,

    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.001..=900.0).contains(number));
    number.ok_or_else(|| "expected 0.001 to 900 seconds".to_owned())
}

impl Args {
    #[expect(clippy::cast_precision_loss, reason = "jobs a month are far below 2^53")]
    fn load(&self) -> Load {
        Load {
            jobs_a_month: self.jobs_a_month as f64,
            input_tokens: f64::from(self.input_tokens),
            output_tokens: f64::from(self.output_tokens),
            latency_s: self.latency_s,
            has_callback: !self.no_callback,
        }
    }

    fn batches(&self) -> Setup {
        Setup {
            name: "in batches",
            batch_size: f64::from(self.batch_size),
            concurrency: f64::from(self.concurrency),
            memory_gb: f64::from(self.memory_mb) / 1_024.0,
            way: Way::Queue,
        }
    }
}

/// As the common guides deploy it.
const ONE_BY_ONE: Setup = Setup {
    name: "one by one",
    batch_size: 1.0,
    concurrency: 1.0,
    memory_gb: 0.5,
    way: Way::Request,
};

/// Runs the command.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let prices = Prices::known()?;
    let model = prices.of(&args.model)?;
    let load = args.load();
    let setups = [ONE_BY_ONE, args.batches()];
    let forecasts: Vec<_> = setups
        .iter()
        .map(|setup| (setup, setup.forecast(&load, &prices.aws, model)))
        .collect();
    let mut out = io::stdout().lock();
    match args.json {
        true => print_json(&mut out, &prices, &load, &forecasts)?,
        false => print_tables(&mut out, &prices, &load, &forecasts)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn total(lines: &[Line]) -> f64 {
    lines.iter().map(|line| line.usd_a_month).sum()
}

fn print_json(
    out: &mut impl io::Write,
    prices: &Prices,
    load: &Load,
    forecasts: &[(&Setup, Vec<Line>)],
) -> anyhow::Result<()> {
    let forecasts: Vec<_> = forecasts
        .iter()
        .map(|(setup, lines)| json!({"setup": setup, "lines": lines, "total_usd_a_month": total(lines)}))
        .collect();
    let told = json!({"prices_as_of": prices.as_of, "load": load, "forecasts": forecasts});
    writeln!(out, "{told}")?;
    Ok(())
}

fn print_tables(
    out: &mut impl io::Write,
    prices: &Prices,
    load: &Load,
    forecasts: &[(&Setup, Vec<Line>)],
) -> anyhow::Result<()> {
    for (setup, lines) in forecasts {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([setup.name, "USD a month", "arithmetic"]);
        for line in lines {
            table.add_row([line.part, &format!("{:.4}", line.usd_a_month), &line.arithmetic]);
        }
        let all = total(lines);
        let a_thousand = all / load.jobs_a_month * 1_000.0;
        table.add_row(["in all", &format!("{all:.2}"), &format!("${a_thousand:.4} by 1,000 jobs")]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
    }
    writeln!(out, "Prices of {}, us-east-1, without free tiers.", prices.as_of)?;
    Ok(())
}
