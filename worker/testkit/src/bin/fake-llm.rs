//! A loopback LLM to try things against: prints its base URL, then runs until it is killed.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command prints")]

use std::process::ExitCode;
use std::time::Duration;

use mcp_batch_testkit::{FakeLlm, FakeLlmBuilder};

const USAGE: &str = "\
Usage: fake-llm [--port N] [--latency-ms N]

Answers POST /v1/chat/completions on 127.0.0.1, prints its base URL, and runs until it is
killed. Without --port it takes any free port. A marker in a prompt, such as [[429:3]],
[[slow:2]] or [[drop]], makes it misbehave.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let builder = match parse(std::env::args().skip(1)) {
        Ok(Some(builder)) => builder,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("fake-llm: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match builder.try_start().await {
        Ok(llm) => run(&llm).await,
        Err(error) => {
            eprintln!("fake-llm: can't listen on 127.0.0.1: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(llm: &FakeLlm) -> ExitCode {
    println!("{}", llm.url());
    std::future::pending().await
}

/// What was asked for; nothing if that was help.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<FakeLlmBuilder>, String> {
    let mut builder = FakeLlm::builder().keep_prompts(false);
    while let Some(flag) = arguments.next() {
        builder = match flag.as_str() {
            "--port" => builder.port(number(&flag, arguments.next())?),
            "--latency-ms" => {
                builder.latency(Duration::from_millis(number(&flag, arguments.next())?))
            }
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown argument `{flag}`")),
        };
    }
    Ok(Some(builder))
}

fn number<N: std::str::FromStr>(flag: &str, value: Option<String>) -> Result<N, String> {
    let value = value.ok_or_else(|| format!("{flag} needs a number"))?;
    value.parse().map_err(|_| format!("{flag} needs a number, not `{value}`"))
}
