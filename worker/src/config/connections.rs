//! Whether a process may open as many connections as its settings ask for.

use super::source::{ConfigError, Source};

/// Files a process holds beside its connections: libraries, logs, the runtime, name look-ups.
const OTHER_FILES: u64 = 124;

/// The most connections of each pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connections {
    /// To LLM and MCP servers: as many as jobs run at once.
    pub llm: usize,
    /// To MCP servers beside their calls: what they send by themselves, what cancels calls.
    pub servers: usize,
    /// To the ledger.
    pub ledger: usize,
    /// To the bucket for results.
    pub bucket: usize,
    /// To the queue.
    pub queue: usize,
    /// To receivers of callbacks.
    pub callbacks: usize,
    /// To Lambda, which hands over several invocations at once.
    pub invocations: usize,
    /// From clients of the HTTP face.
    pub clients: usize,
}

/// The most invocations that Lambda has at once in one process.
const MAX_INVOCATIONS: usize = 1_600;

/// `AWS_LAMBDA_MAX_CONCURRENCY`: invocations at once in this process, which Lambda sets on Managed
/// Instances; 0 elsewhere, where one after another needs no more than what every process holds.
pub fn invocations(source: &Source) -> Result<usize, ConfigError> {
    let told = source.number("AWS_LAMBDA_MAX_CONCURRENCY", 1..=MAX_INVOCATIONS)?;
    Ok(told.unwrap_or_default())
}

impl Connections {
    /// Compares their sum with the process's limit of open files (`ulimit -n`; 1,024 in Lambda).
    pub fn check(&self, open_files: u64) -> Result<(), ConfigError> {
        let Self { llm, servers, ledger, bucket, queue, callbacks, invocations, clients } = *self;
        let most = open_files.saturating_sub(OTHER_FILES);
        let sum = llm + servers + ledger + bucket + queue + callbacks + invocations + clients;
        if sum as u64 <= most {
            return Ok(());
        }
        Err(ConfigError {
            name: "open files".to_owned(),
            expected: format!(
                "at most {most} connections (the limit of {open_files} less {OTHER_FILES})"
            ),
            found: format!(
                "{sum}: {llm} to the LLM, {servers} to MCP servers, {ledger} to the ledger, {bucket} to the bucket, \
                 {queue} to the queue, {callbacks} to callbacks, {invocations} to Lambda, {clients} from clients; lower \
                 MCP_BATCH_CONCURRENCY or MCP_BATCH_CALLBACK_CONCURRENCY, or raise the limit (ulimit -n)"
            ),
        })
    }

    /// The same against the limit this process has; nothing is checked where there is none.
    pub fn check_process(&self) -> Result<(), ConfigError> {
        match rlimit::getrlimit(rlimit::Resource::NOFILE) {
            Ok((soft, _)) => self.check(soft),
            Err(_) => Ok(()),
        }
    }
}
