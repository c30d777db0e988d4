//! The command `mcp-batch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_batch::cli::main()
}
