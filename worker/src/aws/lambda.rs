//! The worker as a Lambda function: the only file that knows Lambda's types.

use std::process::ExitCode;

/// Starts the function.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
