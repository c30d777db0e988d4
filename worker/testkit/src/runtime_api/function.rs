//! What an execution environment runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The name all functions here go by.
const NAME: &str = "mcp-batch";

/// [`NAME`] in full.
pub(super) const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:mcp-batch";

/// The function whose process a [`RuntimeApi`](super::RuntimeApi) starts.
#[derive(Debug, Clone)]
#[must_use]
pub struct Function {
    binary: PathBuf,
    env: Vec<(OsString, OsString)>,
    open_files: Option<u32>,
    pub(super) at_once: usize,
    pub(super) cpu: Option<usize>,
    pub(super) freezes: bool,
}

impl Function {
    /// The function whose `bootstrap` is this binary. Its environment is what Lambda sets, and
    /// nothing of the test's.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let (binary, env) = (binary.into(), Vec::new());
        Self { binary, env, open_files: None, at_once: 1, cpu: None, freezes: true }
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets variables, such as those of [`MiniStack::env`](crate::MiniStack::env).
    pub fn envs<N: Into<OsString>, V: Into<OsString>>(
        self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        variables.into_iter().fold(self, |function, (name, value)| function.env(name, value))
    }

    /// Lets it have this many files open: 1,024 on Lambda. The test's own limit by default. A
    /// shell sets the limit first, which takes a millisecond.
    pub fn open_files(mut self, open_files: u32) -> Self {
        self.open_files = Some(open_files);
        self
    }

    /// Lets it run on this CPU alone, where that can be done.
    pub fn on_cpu(mut self, cpu: usize) -> Self {
        self.cpu = Some(cpu);
        self
    }

    /// Lets its process run on between invocations.
    pub fn without_freezing(mut self) -> Self {
        self.freezes = false;
        self
    }

    /// Puts it on Lambda Managed Instances, where one environment has so many invocations at once:
    /// "the execution environment remains continuously active, processing invocations as they arrive
    /// without freezing between invocations", and each has a timeout of its own.
    pub fn managed(mut self, at_once: usize) -> Self {
        self.at_once = at_once;
        self.freezes = false;
        self.env("AWS_LAMBDA_MAX_CONCURRENCY", at_once.to_string())
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
    }

    /// The command that starts it against the Runtime API at `address`.
    pub(super) fn command(&self, address: &str) -> Command {
        let mut command = match self.open_files {
            None => Command::new(&self.binary),
            Some(open_files) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {open_files}; exec \"$0\""));
                shell.arg(&self.binary);
                shell
            }
        };
        command.env_clear().envs(LAMBDA_ENV).env("AWS_LAMBDA_RUNTIME_API", address);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The variables that Lambda sets in each environment ("Defined runtime environment variables").
const LAMBDA_ENV: [(&str, &str); 15] = [
    ("_HANDLER", "bootstrap"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
    ("AWS_LAMBDA_FUNCTION_NAME", NAME),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/mcp-batch"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/23/[$LATEST]0"),
    ("AWS_REGION", "us-east-1"),
    ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    ("LAMBDA_TASK_ROOT", "/var/task"),
    ("LANG", "en_US.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
    ("TZ", ":UTC"),
];
