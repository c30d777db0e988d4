//! The Lambda function `mcp-batch-lambda`.

#[cfg(not(panic = "unwind"))]
compile_error!("a panic must fail one job, not the process: build with `panic = \"unwind\"`");

fn main() -> std::process::ExitCode {
    mcp_batch::aws::lambda::main()
}
