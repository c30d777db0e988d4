//! The right to make a call: through one gate, or through all that are on a job's way.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Blocked, Closed, Gate, TOOL_SETTINGS};
use crate::error::JobError;

/// The right to make one call. Dropped before it is used, it counts towards no rate.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    is_used: bool,
}

impl Pass {
    /// Through this gate, which counts it already.
    pub(super) fn of(gate: Arc<Gate>) -> Self {
        Self { gate, is_used: false }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.state().leave(self.is_used, Instant::now());
        self.gate.changed.notify_waiters();
    }
}

/// All gates on a job's way: that of its tool, where it has one, and that of the model or server behind
/// it. They are told how calls end.
#[derive(Clone, Debug)]
pub struct Gates {
    /// Of the model or server.
    pub upstream: Arc<Gate>,
    /// Of the tool.
    pub tool: Option<Arc<Gate>>,
}

impl Gates {
    /// Lets a call through all of them, or none.
    pub fn enter(&self) -> Result<Passes, Blocked> {
        let tool = match &self.tool {
            Some(gate) => Some(gate.enter().ok_or_else(|| gate.blocked())?),
            None => None,
        };
        let upstream = self.upstream.enter().ok_or_else(|| self.upstream.blocked())?;
        Ok(Passes([tool, Some(upstream)]))
    }

    /// Waits at each of them in turn.
    pub async fn wait(&self) -> Result<Passes, Blocked> {
        let tool = match &self.tool {
            Some(gate) => Some(gate.wait().await?),
            None => None,
        };
        Ok(Passes([tool, Some(self.upstream.wait().await?)]))
    }

    /// A call was answered: tool and upstream are well.
    pub fn succeeded(&self) {
        self.upstream.succeeded();
        if let Some(tool) = &self.tool {
            tool.recovered();
        }
    }

    /// The failure as it must be read after those before it.
    pub fn weigh(&self, error: JobError) -> JobError {
        self.upstream.weigh(error)
    }

    /// A call failed, and one gate is told: what is wrong with a tool must not close a model to others.
    /// Answers whether the failure is no fault of the job's.
    pub fn failed(&self, error: &JobError, retry_after: Option<Duration>) -> bool {
        match &self.tool {
            Some(tool) if error.code == TOOL_SETTINGS => tool.failed(error, retry_after),
            _ => self.upstream.failed(error, retry_after),
        }
    }

    /// Why no call should be begun now, if the state of one of them is the reason.
    pub fn closed(&self) -> Option<Closed> {
        let of_tool = self.tool.as_ref().and_then(|gate| gate.closed());
        of_tool.into_iter().chain(self.upstream.closed()).max_by_key(Closed::until)
    }

    /// Counts one more call of a job that is through already towards all rates, and waits until it may
    /// be made. `false`: none may before `latest`.
    pub(in crate::tool) async fn take_another(&self, latest: Instant) -> bool {
        if let Some(tool) = &self.tool
            && !tool.take_another(latest).await
        {
            return false;
        }
        self.upstream.take_another(latest).await
    }

    /// When a job that does not wait in line should come back: jobs that ask one after another get
    /// through one after another.
    pub fn turn(&self) -> Duration {
        let of_tool = self.tool.as_ref().map(|gate| gate.turn());
        self.upstream.turn().max(of_tool.unwrap_or_default())
    }
}

impl From<Arc<Gate>> for Gates {
    fn from(upstream: Arc<Gate>) -> Self {
        Self { upstream, tool: None }
    }
}

/// The right to make one call through all its gates, for as long as it is held.
#[derive(Debug, Default)]
pub struct Passes([Option<Pass>; 2]);

impl Passes {
    /// For what needs none.
    pub fn none() -> Self {
        Self::default()
    }

    /// The call is made.
    pub fn use_up(&mut self) {
        for pass in self.0.iter_mut().flatten() {
            pass.is_used = true;
        }
    }
}
