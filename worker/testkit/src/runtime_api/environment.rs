//! One execution environment: a Runtime API of its own, and the process that polls it.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;

use super::exchange::Exchange;
use super::process::{Logs, Process};
use super::{Function, Invocation};
use crate::server::{Listen, Server, Traffic};
use crate::wait_until;

/// A replaced process gets a new one, so that no poll of the old is taken for its own.
#[derive(Debug)]
pub(super) struct Environment {
    exchange: Arc<Exchange>,
    server: Server,
}

impl Environment {
    pub(super) async fn start(function: Option<&Function>, logs: &Logs) -> Self {
        let exchange = Arc::<Exchange>::default();
        let traffic = Arc::<Traffic>::default();
        let server = Server::start(Listen::default(), Arc::clone(&exchange), traffic).await;
        let server = server.expect("the Runtime API starts");
        let address = server.address().to_string();
        if let Some(function) = function {
            let started = exchange.start(function, || Process::start(function, &address, logs));
            started.expect("the function's process starts");
        }
        Self { exchange, server }
    }

    pub(super) fn address(&self) -> String {
        self.server.address().to_string()
    }

    pub(super) fn process(&self) -> Option<Arc<Process>> {
        self.exchange.process()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process().is_some_and(|process| process.ended().is_some())
    }

    pub(super) fn polls(&self) -> usize {
        self.exchange.polls()
    }

    pub(super) fn late_answers(&self) -> usize {
        self.exchange.late_answers()
    }

    /// On the server's own runtime, so that the clock of the caller's does not matter.
    pub(super) async fn invoke(&self, event: Bytes, timeout: Duration) -> Invocation {
        let exchange = Arc::clone(&self.exchange);
        self.server.run(exchange.invoke(event, timeout)).await
    }

    pub(super) async fn kill(&self) {
        if let Some(process) = self.process() {
            process.signal(Signal::KILL);
            process.end().await;
        }
    }

    pub(super) async fn shut_down(&self, grace: Duration) -> Option<ExitStatus> {
        let process = self.process()?;
        self.exchange.thaw();
        if self.exchange.has_extension() {
            process.signal(Signal::TERM);
            let dying = Arc::clone(&process);
            self.server
                .run(async move {
                    // Whether it ends in time is told by how it ends.
                    let _ = tokio::time::timeout(grace, dying.end()).await;
                })
                .await;
        }
        process.signal(Signal::KILL);
        Some(process.end().await)
    }

    pub(super) async fn first_poll(&self) -> Duration {
        wait_until("the function polls", || self.exchange.first_poll().is_some()).await;
        self.exchange.first_poll().expect("it has just been seen")
    }

    pub(super) async fn wait_until_frozen(&self) {
        wait_until("the function is frozen", || self.exchange.is_frozen()).await;
    }
}
