//! The right to make a call: through one gate, or through all that are on a job's way.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Blocked, Gate};

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
        let mut state = self.gate.state();
        state.in_flight -= 1;
        if !self.is_used
            && let Some(bucket) = &mut state.bucket
        {
            bucket.put_back();
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }
}

/// All gates on a job's way: that of its tool, where the catalog limits it, and that of the model
/// or server behind it, which is the one that is told how calls end.
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
