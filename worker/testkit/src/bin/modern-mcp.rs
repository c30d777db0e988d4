//! A loopback MCP server of the revision 2026-07-28: prints its endpoint, then runs until it is
//! killed.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command prints")]

use std::process::ExitCode;

use mcp_batch_testkit::ModernMcp;

const USAGE: &str = "\
Usage: modern-mcp [--port N | --sessions]

An MCP server of the revision 2026-07-28 on 127.0.0.1, with the tools echo, slow and refuse.
Prints its endpoint and runs until it is killed. Without --port it takes any free port. With
--sessions it is of the revision 2025-11-25.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = match arguments[..] {
        [] => ModernMcp::start().await,
        ["--sessions"] => ModernMcp::start_with_sessions().await,
        ["--port", port] if port.parse::<u16>().is_ok() => {
            ModernMcp::start_at(port.parse().unwrap_or_default()).await
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("{}", server.url());
    std::future::pending().await
}
