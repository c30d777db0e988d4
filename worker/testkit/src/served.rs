//! Somebody else's server, run by a script of the repository for as long as it is needed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// How the scripts end where there is no Python for them.
const LEFT_OUT: i32 = 77;

/// A server of its own: `scripts/NAME serve`, which runs until its stdin is closed. The kernel closes
/// that for a process that is killed.
#[derive(Debug)]
pub(crate) struct Served(Child);

impl Served {
    /// Starts it with these variables; answers its endpoint as well. Without a Python to run it there
    /// is none, which is told on stderr.
    pub(crate) fn start(script: &str, variables: &[(&str, String)]) -> Option<(Self, String)> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(script);
        let mut child = Command::new(path)
            .arg("serve")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script runs");
        let stdout = child.stdout.take().expect("its output is piped");

        let mut endpoint = String::new();
        BufReader::new(stdout).read_line(&mut endpoint).expect("it prints text");
        match endpoint.trim_end() {
            "" => end_without_server(script, child.wait().expect("it ends")),
            endpoint => Some((Self(child), endpoint.to_owned())),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It cleans up after itself; how it ends tells a test nothing.
        let _ = self.0.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that was left out must say so")]
fn end_without_server(script: &str, status: ExitStatus) -> Option<(Served, String)> {
    assert_eq!(status.code(), Some(LEFT_OUT), "scripts/{script} serve said above what is wrong");
    eprintln!("skipped: this test needs {script}, and that a python3 of at least 3.11");
    None
}
