//! What a mapping did with a batch.

use super::answer::Verdict;
use crate::Invocation;

/// Why no message of a batch was deleted, whatever became of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WholeBatch {
    /// The function reported an error.
    Error,
    /// It did not answer in time.
    TimedOut,
    /// Its process ended.
    Crashed,
    /// It answered what is no response in JSON.
    InvalidJson,
    /// It listed an item without an `itemIdentifier`.
    BadKey,
    /// It listed one whose identifier is null, or no text at all.
    NullId,
    /// It listed one whose identifier is empty.
    EmptyId,
    /// It listed this message, which is not in the batch. As costly as an empty identifier.
    UnknownId(String),
    /// It listed this message twice. AWS does not say what it does then: nothing good is assumed.
    RepeatedId(String),
}

/// What became of one batch.
#[derive(Debug, Clone)]
pub struct Report {
    /// The messages of the batch, by id, in its order.
    pub ids: Vec<String>,
    /// Those that were deleted.
    pub deleted: Vec<String>,
    /// Those that come back when their visibility timeout ends: "After your queue's visibility
    /// timeout runs out, the message will again reappear in the queue."
    pub kept: Vec<String>,
    /// Why none was deleted, if that is not because all were listed.
    pub failure: Option<WholeBatch>,
    /// What the function answered.
    pub invocation: Invocation,
}

impl Report {
    pub(super) fn new(ids: &[String], verdict: Verdict, invocation: Invocation) -> Self {
        let ids = ids.to_vec();
        let (kept, deleted, failure) = match verdict {
            Err(failure) => (ids.clone(), Vec::new(), Some(failure)),
            Ok(listed) => {
                let (kept, deleted) = ids.iter().cloned().partition(|id| listed.contains(id));
                (kept, deleted, None)
            }
        };
        Self { ids, deleted, kept, failure, invocation }
    }
}
