//! Whether a process may open as many connections as its settings ask for.

use super::source::ConfigError;

/// Files a process holds beside its connections: libraries, logs, the runtime, name look-ups.
const OTHER_FILES: u64 = 124;

/// The most connections of each pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connections {
    /// To the LLM: as many as jobs run at once.
    pub llm: usize,
    /// To the ledger.
    pub ledger: usize,
    /// To the bucket for results.
    pub bucket: usize,
    /// To the queue.
    pub queue: usize,
    /// To receivers of callbacks.
    pub callbacks: usize,
    /// From clients of the HTTP face.
    pub clients: usize,
}

impl Connections {
    /// Compares their sum with the process's limit of open files (`ulimit -n`; 1,024 in Lambda).
    pub fn check(&self, open_files: u64) -> Result<(), ConfigError> {
        let Self { llm, ledger, bucket, queue, callbacks, clients } = *self;
        let most = open_files.saturating_sub(OTHER_FILES);
        let sum = llm + ledger + bucket + queue + callbacks + clients;
        if sum as u64 <= most {
            return Ok(());
        }
        Err(ConfigError {
            name: "open files".to_owned(),
            expected: format!(
                "at most {most} connections (the limit of {open_files} less {OTHER_FILES})"
            ),
            found: format!(
                "{sum}: {llm} to the LLM, {ledger} to the ledger, {bucket} to the bucket, \
                 {queue} to the queue, {callbacks} to callbacks, {clients} from clients; lower MCP_BATCH_CONCURRENCY or \
                 MCP_BATCH_CALLBACK_CONCURRENCY, or raise the limit (ulimit -n)"
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
