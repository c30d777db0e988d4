//! **5. The tool.** What a job asks for, looked up in the catalog and called. In comes a job, out
//! goes an [`Outcome`] or a [`ToolError`], whose class says whether another try makes sense.

mod catalog;
mod gate;
mod limits;
mod listing;
mod llm;
mod masks;
mod mcp;
mod models;
mod offline;
mod panics;
mod prices;
mod prompt;
mod schema;
mod words;

use std::{future::Future, time::Duration};

pub(crate) use self::panics::catching_panics;
pub use self::{
    catalog::{Catalog, CatalogError},
    gate::{Blocked, Closed, Gate, Gates, Passes},
    limits::Limits,
    listing::{Listing, Problem, ToolListing},
    llm::{ApiKey, LlmApi, LlmClient, LlmSettings},
};
use crate::{
    error::JobError,
    job::Job,
    lease::{Outcome, Repeat, Usage},
};

/// Connections to one MCP server beside those of its calls: for what it sends by itself, and for
/// what cancels calls.
pub const CONNECTIONS_BESIDE_CALLS: usize = 2;

/// The tools that jobs may call. The catalog is the real one.
pub trait Tools: Send + Sync + 'static {
    /// Sees to it that what [`Tools::check`] looks at is there, where that takes asking somebody.
    /// A failure is not the job's: it says why nothing can be said of the job now.
    fn prepare(&self, job: &Job) -> impl Future<Output = Result<(), ToolError>> + Send {
        let _ = job;
        async { Ok(()) }
    }

    /// What is known about a job's call before it is paid: the tool is there, the input fits.
    fn check(&self, job: &Job) -> Result<CallPlan, JobError>;

    /// Calls the job's tool. Dropping the future stops the call; the upstream may bill it.
    fn call(
        &self,
        job: &Job,
        context: &CallContext,
    ) -> impl Future<Output = Result<Outcome, ToolError>> + Send;

    /// Whether the call's outcome would replace one of the offline model.
    fn supersedes_offline(&self) -> bool;

    /// Every tool that jobs may call now.
    fn list(&self) -> impl Future<Output = Listing> + Send;

    /// The gates on the job's way: whether its tool and its upstream take calls now. That of the
    /// upstream is told how calls end.
    fn gates(&self, job: &Job) -> Gates;
}

/// What is known about a call before it is made.
#[derive(Clone, Copy, Debug)]
pub struct CallPlan {
    /// The longest the call may take.
    pub timeout: Duration,
    /// Whether it may be made again when nobody saw how it ended.
    pub repeat: Repeat,
}

/// What a call hands on to the upstream.
#[derive(Clone, Copy, Debug)]
pub struct CallContext {
    /// The longest the call may take.
    pub timeout: Duration,
    /// Calls of this job begun, this one included.
    pub attempt: u32,
    /// The claim it runs under.
    pub epoch: u64,
    /// What is known that the job has spent before, in US dollars.
    pub spent_usd: f64,
}

/// A call that brought no outcome.
#[derive(Clone, Debug)]
pub struct ToolError {
    /// Why, and so what is done about it.
    pub error: JobError,
    /// What it used all the same.
    pub usage: Usage,
    /// The pause the upstream asked for.
    pub retry_after: Option<Duration>,
    /// Nobody saw how the call ended: it may have had its effect.
    pub is_ambiguous: bool,
}

impl ToolError {
    /// A failure that cost nothing and named no pause.
    pub fn free(error: JobError) -> Self {
        Self { error, usage: Usage::free(), retry_after: None, is_ambiguous: false }
    }

    /// A failure after which the upstream may go on, and bill.
    pub fn ambiguous(error: JobError) -> Self {
        Self { usage: Usage::unknown(), is_ambiguous: true, ..Self::free(error) }
    }
}
