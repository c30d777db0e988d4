//! What a month of jobs will cost, line by line, each with its arithmetic.

use serde::Serialize;

use super::prices::{AwsPrices, ModelPrices};

const MILLION: f64 = 1_000_000.0;

/// Log lines of one job, in bytes, at level info.
const LOG_BYTES_A_JOB: f64 = 500.0;

/// The share of invocations that are traced.
const TRACED: f64 = 0.05;

/// A worker's time in an invocation beside the calls, in seconds: claims, outcomes, the answer.
const OVERHEAD_S: f64 = 0.1;

/// What a month brings.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Load {
    pub(super) jobs_a_month: f64,
    pub(super) input_tokens: f64,
    pub(super) output_tokens: f64,
    pub(super) latency_s: f64,
    pub(super) has_callback: bool,
}

/// How it is worked off.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) name: &'static str,
    /// Jobs that share one invocation.
    pub(super) batch_size: f64,
    /// Of these, jobs at once.
    pub(super) concurrency: f64,
    pub(super) memory_gb: f64,
    pub(super) way: Way,
}

/// How jobs come to the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// Each by a request that waits for its answer.
    Request,
    /// Through the queue, with a ledger.
    Queue,
}

/// One line of a forecast.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) part: &'static str,
    pub(super) usd_a_month: f64,
    pub(super) arithmetic: String,
}

impl Setup {
    /// The lines of a month, the model's last.
    pub(super) fn forecast(&self, load: &Load, aws: &AwsPrices, model: &ModelPrices) -> Vec<Line> {
        let mut lines = vec![self.compute(load, aws), self.invocations(load, aws)];
        match self.way {
            Way::Request => lines.push(requests(load, aws)),
            Way::Queue => lines.extend([self.queue(load, aws), ledger(load, aws)]),
        }
        lines.extend([logs(load, aws), self.traces(load, aws), secret(aws), tokens(load, model)]);
        lines
    }

    fn invocations_a_month(&self, load: &Load) -> f64 {
        (load.jobs_a_month / self.batch_size).ceil()
    }

    /// An invocation lasts as long as its waves of calls: it is billed once, however many share it.
    fn compute(&self, load: &Load, aws: &AwsPrices) -> Line {
        let invocations = self.invocations_a_month(load);
        let waves = (self.batch_size.min(load.jobs_a_month) / self.concurrency).ceil();
        let seconds = waves * load.latency_s + OVERHEAD_S;
        let gb_s = invocations * seconds * self.memory_gb;
        Line {
            part: "Lambda, compute",
            usd_a_month: gb_s * aws.lambda_arm64_gb_s,
            arithmetic: format!(
                "{invocations} invocations × {seconds:.1} s × {} GB = {gb_s:.0} GB-s × ${}",
                self.memory_gb, aws.lambda_arm64_gb_s
            ),
        }
    }

    fn invocations(&self, load: &Load, aws: &AwsPrices) -> Line {
        let invocations = self.invocations_a_month(load);
        by_million("Lambda, requests", invocations, "requests", aws.lambda_million_requests)
    }

    /// Sent, received and deleted in tens; empty receives are left out.
    fn queue(&self, load: &Load, aws: &AwsPrices) -> Line {
        let requests = (3.0 * load.jobs_a_month / self.batch_size.min(10.0)).ceil();
        by_million("SQS", requests, "requests of up to ten", aws.sqs_million_requests)
    }

    fn traces(&self, load: &Load, aws: &AwsPrices) -> Line {
        let traces = (TRACED * self.invocations_a_month(load)).ceil();
        by_million("X-Ray, 5 % sampled", traces, "traces", aws.xray_million_traces)
    }
}

fn requests(load: &Load, aws: &AwsPrices) -> Line {
    let price = aws.api_gateway_http_million_requests;
    by_million("API Gateway", load.jobs_a_month, "requests", price)
}

/// Claim and outcome; with a callback also that it was sent.
fn ledger(load: &Load, aws: &AwsPrices) -> Line {
    let units = if load.has_callback { 3.0 } else { 2.0 };
    let written = units * load.jobs_a_month;
    by_million("DynamoDB", written, "write units", aws.dynamodb_million_write_units)
}

fn logs(load: &Load, aws: &AwsPrices) -> Line {
    let gb = load.jobs_a_month * LOG_BYTES_A_JOB / 1e9;
    Line {
        part: "CloudWatch Logs",
        usd_a_month: gb * aws.logs_gb,
        arithmetic: format!(
            "{} jobs × {LOG_BYTES_A_JOB} B = {gb:.3} GB × ${}",
            load.jobs_a_month, aws.logs_gb
        ),
    }
}

fn secret(aws: &AwsPrices) -> Line {
    Line {
        part: "Secrets Manager",
        usd_a_month: aws.secret_month,
        arithmetic: format!("1 secret × ${}", aws.secret_month),
    }
}

fn tokens(load: &Load, model: &ModelPrices) -> Line {
    let a_job = (load.input_tokens * model.input + load.output_tokens * model.output) / MILLION;
    Line {
        part: "LLM",
        usd_a_month: load.jobs_a_month * a_job,
        arithmetic: format!(
            "{} jobs × ({} × ${} + {} × ${}) / 1,000,000 = {} × ${a_job:.4}",
            load.jobs_a_month,
            load.input_tokens,
            model.input,
            load.output_tokens,
            model.output,
            load.jobs_a_month
        ),
    }
}

fn by_million(part: &'static str, count: f64, of: &str, usd_a_million: f64) -> Line {
    Line {
        part,
        usd_a_month: count * usd_a_million / MILLION,
        arithmetic: format!("{count} {of} × ${usd_a_million} / 1,000,000"),
    }
}
