//! What a call costs beyond the request that it is: a prompt's against a bare POST of the same body, an
//! MCP tool's against a bare client of rmcp. Both sides of a pair take turns in one run, against one
//! server on loopback, one call after another; of each side the median round counts, so that what else
//! the machine does meets both. CPU is that of the calling thread alone: servers have threads of their own.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod mcp;
mod pair;
mod prompt;
mod thread_cpu;

use std::env;

use self::pair::Pair;

const HEAD: &str = concat!(
    "call                       time: bare       ours   ratio",
    "        CPU: bare       ours   ratio"
);

fn main() -> anyhow::Result<()> {
    if !env::args().any(|arg| arg == "--bench") {
        println!("nothing is measured: this is for `cargo bench`");
        return Ok(());
    }
    // A second start in one process keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{} rounds of {} calls a side\n\n{HEAD}", pair::ROUNDS, pair::CALLS);
    runtime.block_on(async {
        println!("{}", prompt::Prompt::open().await?.measure("prompt, bare POST").await?);
        println!("{}", mcp::Mcp::open().await?.measure("MCP tool, bare rmcp").await?);
        Ok(())
    })
}
