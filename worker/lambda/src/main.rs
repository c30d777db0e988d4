//! The Lambda function `mcp-batch-lambda`.

fn main() -> std::process::ExitCode {
    mcp_batch::aws::lambda::main()
}
