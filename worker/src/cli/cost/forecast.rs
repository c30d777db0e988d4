//! `mcp-batch cost forecast`: what a month of jobs will cost, line by line, each with its arithmetic.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use serde_json::json;

use super::{
    guide,
    prices::{AwsPrices, ModelPrice, Prices},
};

const MILLION: f64 = 1_000_000.0;

/// A worker's time in an invocation beside the calls, in seconds: claims, outcomes, the answer.
const OVERHEAD_S: f64 = 0.1;

/// The share of invocations that are traced.
const TRACED: f64 = 0.05;

/// Lambda polls an empty queue with five long polls of 20 s each, all month.
const IDLE_POLLS_A_MONTH: f64 = 5.0 * 30.0 * 86_400.0 / 20.0;

/// Says what a month of jobs will cost on AWS and at the model.
///
/// Without flags it is the reference guide's own scenario: 12,000 queries a month of 800 tokens in, 400 out
/// and 8 s each, with the guide's figures beside what they come to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Jobs a month.
    #[arg(long, value_name = "N", default_value_t = 12_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,

    /// Tokens of a prompt.
    #[arg(long, value_name = "N", default_value_t = 800)]
    input_tokens: u32,

    /// Tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = 400)]
    output_tokens: u32,

    /// How long a call takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0, value_parser = latency)]
    latency_s: f64,

    /// Jobs that share an invocation, as they come: a batch that is not full costs as much as a full one.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_size: u32,

    /// Of these, jobs at once.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,

    /// The function's memory.
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    memory_mb: u32,

    /// What a job writes to the log.
    #[arg(long, value_name = "BYTES", default_value_t = 500)]
    log_bytes: u32,

    /// Jobs have no callback.
    #[arg(long)]
    no_callback: bool,

    /// Jobs have a tenant: SQS takes more for its fair queues.
    #[arg(long)]
    tenants: bool,

    /// The model that answers.
    #[arg(long, value_name = "NAME", default_value = "claude-sonnet-4-5")]
    model: String,

    /// A file with other prices.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn latency(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.001..=900.0).contains(number));
    number.ok_or_else(|| "expected 0.001 to 900 seconds".to_owned())
}

/// One line of a forecast.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) part: &'static str,
    pub(super) usd: f64,
    pub(super) arithmetic: String,
}

/// A month.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Month {
    /// How it is done.
    pub(super) way: &'static str,
    pub(super) lines: Vec<Line>,
    pub(super) usd: f64,
    pub(super) usd_by_1000_jobs: f64,
}

impl Month {
    fn new(way: &'static str, jobs: f64, lines: Vec<Line>) -> Self {
        let usd: f64 = lines.iter().map(|line| line.usd).sum();
        Self { way, lines, usd, usd_by_1000_jobs: usd / jobs * 1_000.0 }
    }
}

/// Runs the command.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let prices = Prices::read(args.prices.as_deref())?;
    let model = prices.model(&args.model)?;
    let months = [args.one_by_one(&prices.aws, model), args.in_batches(&prices.aws, model)];
    let is_guides = args.is_guides_scenario();
    let mut out = io::stdout().lock();
    if args.json {
        let guide = is_guides.then(guide::claims);
        writeln!(out, "{}", json!({"months": months, "guide": guide, "prices": prices}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_guides {
        writeln!(out, "{}", guide::table(&months[0]))?;
    } else {
        writeln!(out, "{}", table(&months[0]))?;
    }
    writeln!(out, "{}", table(&months[1]))?;
    writeln!(out, "us-east-1, no free tier. Prices:")?;
    for line in prices.told(&args.model) {
        writeln!(out, "  {line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(month: &Month) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([month.way, "USD a month", "arithmetic"]);
    for line in &month.lines {
        table.add_row([line.part, &usd(line.usd), &line.arithmetic]);
    }
    let by_1000 = format!("${:.4} by 1,000 jobs", month.usd_by_1000_jobs);
    table.add_row(["in all", &usd(month.usd), &by_1000]);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Cents, and fractions of them where there is nothing else.
pub(super) fn usd(amount: f64) -> String {
    if amount < 0.095 { format!("{amount:.4}") } else { format!("{amount:.2}") }
}

impl Args {
    /// The scenario of the guide, whose figures are known for that alone.
    fn is_guides_scenario(&self) -> bool {
        let tokens = (self.input_tokens, self.output_tokens);
        let is_latency = (self.latency_s - 8.0).abs() < f64::EPSILON;
        self.jobs == 12_000 && tokens == (800, 400) && is_latency && self.model == guide::MODEL
    }

    fn jobs(&self) -> f64 {
        f64::from(self.jobs)
    }

    /// One request a job, for which a function of 512 MB waits, as the guide deploys it.
    fn one_by_one(&self, aws: &AwsPrices, model: &ModelPrice) -> Month {
        let jobs = self.jobs();
        let lines = vec![
            compute(jobs, self.latency_s, guide::MEMORY_GB, aws),
            by_million("Lambda, requests", jobs, "requests", aws.lambda_million_requests.usd),
            by_million("API Gateway", jobs, "requests", aws.api_gateway_million_requests.usd),
            if self.is_guides_scenario() { guide::logs(aws) } else { self.logs(aws) },
            traces(jobs, aws),
            secret(aws),
            self.tokens(model),
        ];
        Month::new("one by one, 512 MB", jobs, lines)
    }

    /// Through the queue, many jobs an invocation.
    fn in_batches(&self, aws: &AwsPrices, model: &ModelPrice) -> Month {
        let jobs = self.jobs();
        let batch = f64::from(self.batch_size).min(jobs);
        let invocations = (jobs / batch).ceil();
        let waves = (batch / f64::from(self.concurrency)).ceil();
        let seconds = waves * self.latency_s + OVERHEAD_S;
        let memory_gb = f64::from(self.memory_mb) / 1_024.0;
        let units = if self.no_callback { 2.0 } else { 3.0 };
        let write_units = aws.dynamodb_million_write_units.usd;
        let mut lines = vec![
            compute(invocations, seconds, memory_gb, aws),
            by_million(
                "Lambda, requests",
                invocations,
                "requests",
                aws.lambda_million_requests.usd,
            ),
            self.queue(aws, batch),
            by_million(
                "SQS, empty polls",
                IDLE_POLLS_A_MONTH,
                "requests",
                aws.sqs_million_requests.usd,
            ),
            by_million("DynamoDB", units * jobs, "write units", write_units),
            self.logs(aws),
            traces(invocations, aws),
            secret(aws),
            self.tokens(model),
        ];
        if self.tenants {
            let grouped = aws.sqs_million_grouped.usd;
            lines.insert(4, by_million("SQS, fair queues", jobs, "messages", grouped));
        }
        Month::new("in batches", jobs, lines)
    }

    /// Sent, received and deleted in tens at most.
    fn queue(&self, aws: &AwsPrices, batch: f64) -> Line {
        let requests = (3.0 * self.jobs() / batch.min(10.0)).ceil();
        by_million("SQS", requests, "requests of up to ten", aws.sqs_million_requests.usd)
    }

    fn logs(&self, aws: &AwsPrices) -> Line {
        let gb = self.jobs() * f64::from(self.log_bytes) / 1e9;
        Line {
            part: "CloudWatch Logs",
            usd: gb * aws.logs_gb.usd,
            arithmetic: format!(
                "{} jobs × {} B = {gb:.3} GB × ${}",
                self.jobs, self.log_bytes, aws.logs_gb.usd
            ),
        }
    }

    fn tokens(&self, model: &ModelPrice) -> Line {
        let (input, output) = (f64::from(self.input_tokens), f64::from(self.output_tokens));
        let a_job = (input * model.input_usd + output * model.output_usd) / MILLION;
        Line {
            part: "LLM",
            usd: self.jobs() * a_job,
            arithmetic: format!(
                "{} jobs × ({input} × ${} + {output} × ${}) / 1,000,000 = {} × ${a_job:.4}",
                self.jobs, model.input_usd, model.output_usd, self.jobs
            ),
        }
    }
}

fn compute(invocations: f64, seconds: f64, memory_gb: f64, aws: &AwsPrices) -> Line {
    let gb_s = invocations * seconds * memory_gb;
    Line {
        part: "Lambda, compute",
        usd: gb_s * aws.lambda_arm64_gb_s.usd,
        arithmetic: format!(
            "{invocations} × {seconds} s × {memory_gb} GB = {gb_s:.0} GB-s × ${}",
            aws.lambda_arm64_gb_s.usd
        ),
    }
}

fn traces(invocations: f64, aws: &AwsPrices) -> Line {
    let traces = (invocations * TRACED).ceil();
    by_million("X-Ray, 5 %", traces, "traces", aws.xray_million_traces.usd)
}

fn secret(aws: &AwsPrices) -> Line {
    Line {
        part: "Secrets Manager",
        usd: aws.secret_month.usd,
        arithmetic: format!("1 secret × ${}", aws.secret_month.usd),
    }
}

fn by_million(part: &'static str, count: f64, of: &str, usd_a_million: f64) -> Line {
    Line {
        part,
        usd: count * usd_a_million / MILLION,
        arithmetic: format!("{count} {of} × ${usd_a_million} / 1,000,000"),
    }
}
