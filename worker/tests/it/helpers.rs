//! A folder of its own for each test, and the command run in it.

mod log;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, Once},
    time::{Duration, Instant},
};

use mcp_batch::telemetry::{self, Level};
use mcp_batch_testkit::{FakeLlm, PATIENCE, log_of, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::log::Log;

/// The repository's fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

/// The JSON values of a text with one a line.
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A job that summarizes `text`.
pub(crate) fn summarize(id: &str, text: &str) -> Value {
    json!({"id": id, "tool": "summarize", "input": {"text": text}})
}

/// A job with a model, and so an upstream, of its own.
pub(crate) fn apart(id: &str, text: &str) -> Value {
    let mut job = summarize(id, text);
    job["model"] = format!("model-of-{id}").into();
    job
}

/// A folder with a ledger, gone with the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).expect("a file is written");
        self.path(name)
    }

    /// A file of jobs, one a line.
    pub(crate) fn jobs(&self, jobs: &[Value]) -> PathBuf {
        let lines: Vec<String> = jobs.iter().map(Value::to_string).collect();
        self.write("jobs.jsonl", lines.join("\n"))
    }

    /// `mcp-batch run FILE` in this folder.
    pub(crate) fn run(&self, file: impl Into<PathBuf>) -> Run<'_> {
        let mut run = self.command("run");
        run.command.arg(file.into());
        run
    }

    /// `mcp-batch COMMAND` in this folder, with none of the caller's settings.
    pub(crate) fn command(&self, name: &str) -> Run<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-batch"));
        for (name, _) in std::env::vars_os() {
            if ["MCP_BATCH_", "AWS_", "OTEL_"]
                .iter()
                .any(|ours| name.to_string_lossy().starts_with(ours))
            {
                command.env_remove(name);
            }
        }
        command.current_dir(self.0.path()).arg(name).stdin(Stdio::null());
        Run { folder: self, command, input: None }
    }

    /// The results of the latest run.
    pub(crate) fn results(&self) -> Vec<Value> {
        json_lines(&fs::read_to_string(self.path("results.jsonl")).expect("a results file"))
    }

    /// The same by the job's id.
    pub(crate) fn results_by_id(&self) -> BTreeMap<String, Value> {
        let id = |line: &Value| line["id"].as_str().expect("an id").to_owned();
        self.results().into_iter().map(|line| (id(&line), line)).collect()
    }

    /// The bytes of every file in the folder.
    pub(crate) fn all_bytes(&self) -> Vec<u8> {
        let entries = fs::read_dir(self.0.path()).expect("the folder").flatten();
        let files = entries.filter(|entry| entry.path().is_file());
        files.flat_map(|entry| fs::read(entry.path()).expect("a file")).collect()
    }
}

/// A run about to start.
pub(crate) struct Run<'a> {
    folder: &'a Folder,
    command: Command,
    input: Option<Vec<u8>>,
}

impl Run<'_> {
    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn llm(self, llm: &FakeLlm) -> Self {
        self.args(["--llm-url", &llm.url()])
    }

    /// With this limit of open files.
    pub(crate) fn open_files(mut self, limit: u32) -> Self {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
        limited.arg(self.command.get_program()).args(self.command.get_args());
        limited.current_dir(self.folder.0.path()).stdin(Stdio::null());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        self.command = limited;
        self
    }

    pub(crate) fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Starts it; what it prints goes to files, so that it never waits for a reader.
    pub(crate) fn start(mut self) -> Running {
        let own = |kind| {
            let (file, path) = tempfile::Builder::new()
                .prefix(kind)
                .tempfile_in(self.folder.0.path())
                .and_then(|file| Ok(file.keep()?))
                .expect("a file for its output");
            (Stdio::from(file), path)
        };
        let ((stdout, out_path), (stderr, err_path)) = (own("stdout"), own("stderr"));
        let child = self.command.stdout(stdout).stderr(stderr).spawn();
        let mut child = child.expect("the binary starts");
        if let Some(input) = self.input {
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(&input).expect("the input is read");
        }
        Running { child, out_path, err_path }
    }

    /// Runs it to its end.
    pub(crate) async fn finish(self) -> Ended {
        self.start().finish().await
    }

    /// Runs it to its end with `--json`.
    pub(crate) async fn summary(self) -> Value {
        let ended = self.args(["--json"]).finish().await;
        let mut summary: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        summary["exit"] = ended.code.into();
        summary
    }
}

/// A run that goes on; killed if the test ends before it.
pub(crate) struct Running {
    child: Child,
    out_path: PathBuf,
    err_path: PathBuf,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.err_path).expect("what it said")
    }

    pub(crate) async fn wait_until_it_says(&self, words: &str) {
        wait_until(words, || self.stderr().contains(words)).await;
    }

    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
    }

    /// SIGKILL: it has no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    pub(crate) async fn finish(self) -> Ended {
        self.finish_within(PATIENCE).await
    }

    /// The same for a command that has much to do.
    pub(crate) async fn finish_within(mut self, patience: Duration) -> Ended {
        let mut status: Option<ExitStatus> = None;
        let began = Instant::now();
        while status.is_none() {
            assert!(began.elapsed() < patience, "waited {patience:?} in vain until it ends");
            tokio::time::sleep(Duration::from_millis(5)).await;
            status = self.child.try_wait().expect("its status");
        }
        Ended {
            code: status.and_then(|status| status.code()),
            stdout: fs::read_to_string(&self.out_path).expect("what it printed"),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its folder may be gone already.
        let log = fs::read(&self.err_path).unwrap_or_default();
        log_of("command").write_all(&log).expect("the folder of logs takes it");
    }
}

/// Keeps what the library logs in this process, at every level there is.
pub(crate) fn log_this_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| telemetry::init_to(Mutex::new(log_of("process")), Level::Trace));
}

/// An address that nobody listens on.
pub(crate) fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/v1", listener.local_addr().expect("its address"))
}
