//! The process of a function.

use std::fs;
use std::io::{self, BufRead as _, BufReader, PipeReader, Write as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::Function;
use crate::cpu::start_on;
use crate::log_of;
use crate::server::lock;

/// What Linux counts CPU time in, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// The lines that processes wrote.
#[derive(Debug, Default, Clone)]
pub(super) struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }

    /// Takes in whole lines, until nobody can write any more.
    fn read(&self, output: PipeReader) {
        let mut output = BufReader::new(output);
        let (mut line, mut kept) = (Vec::new(), log_of("function"));
        while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            kept.write_all(&line).expect("the folder of logs takes it");
            lock(&self.0).append(&mut line);
        }
    }
}

/// One process, killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    pub(super) started: Instant,
    status: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    pub(super) fn start(function: &Function, address: &str, logs: &Logs) -> io::Result<Self> {
        let (output, written) = io::pipe()?;
        let mut command = function.command(address);
        command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
        let started = Instant::now();
        let child = start_on(function.cpu, || command.spawn())?;
        // It still has the ends that are written to: without this the output would never end.
        drop(command);
        let pid = Pid::from_child(&child);

        let logs = logs.clone();
        std::thread::Builder::new().name("logs".into()).spawn(move || logs.read(output))?;
        Ok(Self { pid, started, status: reap(child)? })
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    /// Waits for its end.
    pub(super) async fn end(&self) -> ExitStatus {
        let mut status = self.status.clone();
        let ended = status.wait_for(Option::is_some).await;
        ended.ok().and_then(|status| *status).expect("a child can be waited for")
    }

    /// Sends a signal. A process that has ended does not mind.
    pub(super) fn signal(&self, signal: Signal) {
        if self.ended().is_none() {
            // It may have ended just now.
            let _ = kill_process(self.pid, signal);
        }
    }

    pub(super) fn cpu(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero())).ok()?;
        // The name before it is in parentheses, and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND))
    }

    pub(super) fn peak_kib(&self) -> Option<u64> {
        let file = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let status = fs::read_to_string(file).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Waits for a child on a thread of its own.
fn reap(mut child: Child) -> io::Result<watch::Receiver<Option<ExitStatus>>> {
    let (ended, status) = watch::channel(None);
    std::thread::Builder::new().name("reaper".into()).spawn(move || {
        // Nobody may be left to be told.
        let _ = ended.send(child.wait().ok());
    })?;
    Ok(status)
}
