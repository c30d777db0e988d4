//! A server that is a program of this machine: started when it is first needed, spoken to over its
//! standard input and output, ended with us.

use std::{
    env, io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rmcp::{service::RoleClient, transport::async_rw::AsyncRwTransport};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::settings::ProgramSpec;
use crate::secret::Secrets;

/// How long a program may take to end by itself before it is killed.
const ENDS_WITHIN: Duration = Duration::from_millis(300);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// What a program needs of our environment in order to start, by names in lower case. The rest is
/// ours, with our secrets.
const PASSED_ON: [&str; 21] = [
    "path",
    "home",
    "user",
    "logname",
    "shell",
    "term",
    "tmpdir",
    "tz",
    "lang",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ssl_cert_file",
    "ssl_cert_dir",
    "node_extra_ca_certs",
    "nvm_dir",
    "npm_config_cache",
    "npm_config_prefix",
    "npm_config_registry",
    "npm_config_userconfig",
];

/// What its messages go through.
pub(super) type Pipes = AsyncRwTransport<RoleClient, Receiver, Sender>;

/// A program that runs, with all that it started. It ends when this is dropped; should we be
/// killed, its standard input ends.
pub(super) struct Program(Child);

impl Program {
    /// Starts it in a process group of its own: an interrupt on the terminal is ours alone. The
    /// error says why it cannot be.
    pub(super) fn start(
        spec: &ProgramSpec,
        secrets: &Secrets,
        max_bytes: usize,
    ) -> Result<(Self, Pipes), String> {
        let mut command = Command::new(&spec.program);
        command.args(&spec.arguments).env_clear();
        command.envs(env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed_on)));
        for (name, text) in &spec.env {
            command.env(name, text.with(&secrets.current()).map_err(|error| error.to_string())?);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.process_group(0).spawn();
        let mut program = Self(child.map_err(|error| format!("{}: {error}", spec.program))?);
        let pipes = program.pipes().map_err(|error| format!("{}: {error}", spec.program))?;
        Ok((program, pipes.with_max_line_length(max_bytes)))
    }

    fn pipes(&mut self) -> io::Result<Pipes> {
        let (Some(stdin), Some(stdout)) = (self.0.stdin.take(), self.0.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let reads = Receiver::from_owned_fd(OwnedFd::from(stdout))?;
        let writes = Sender::from_owned_fd(OwnedFd::from(stdin))?;
        Ok(AsyncRwTransport::new_client(reads, writes))
    }

    fn signal(&self, signal: Signal) {
        // One that has gone already cannot be signalled.
        let _ = i32::try_from(self.0.id())
            .ok()
            .and_then(Pid::from_raw)
            .map(|group| kill_process_group(group, signal));
    }
}

fn is_passed_on(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("lc_") || PASSED_ON.contains(&&*name)
}

impl Drop for Program {
    /// Asked first, and killed if it takes too long. What it started goes with it either way.
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + ENDS_WITHIN;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}
