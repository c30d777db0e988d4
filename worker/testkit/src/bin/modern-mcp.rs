//! A loopback MCP server of the revision 2026-07-28: prints its endpoint, then runs until it is
//! killed.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command prints")]

use std::process::ExitCode;

use mcp_batch_testkit::ModernMcp;

const USAGE: &str = "\
Usage: modern-mcp [--port N]

An MCP server of the revision 2026-07-28 on 127.0.0.1, with the tools echo, slow and refuse.
Prints its endpoint and runs until it is killed. Without --port it takes any free port.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let port = match arguments[..] {
        [] => Some(0),
        ["--port", port] => port.parse().ok(),
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let server = ModernMcp::start_at(port).await;
    println!("{}", server.url());
    std::future::pending().await
}
