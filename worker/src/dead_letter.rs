//! **Dead letters** and how they come back. A letter is joined with the ledger ([`Standing`]), that says
//! what a replay does with it ([`Action`]): send its job anew, have its callback told, drop the letter, or leave
//! it. This file is the port to where letters lie; `dead_letter/replay.rs` holds the order of things: send
//! first, write down, delete last. A process that dies in between sends a job twice at worst, and the ledger
//! runs it once.

mod audit;
mod case;
mod edit;
mod filter;
mod journal;
mod letter;
mod outlook;
mod pass;
mod purge;
mod replay;
mod standing;
mod survey;

use std::{future::Future, time::Duration};

pub use self::{
    audit::{Audit, AuditError, By},
    case::{Action, Case, Desk, LeftBecause},
    edit::{Assignment, Edits},
    filter::Filter,
    journal::{Journal, JournalError},
    letter::{Letter, LetterId, Reason, Replay},
    outlook::FailureLimit,
    purge::{Purged, purge},
    replay::{Asked, Replayed, StoppedBy, replay},
    standing::Standing,
    survey::{Age, Group, Kind, Survey, survey},
};
use crate::queue::{QueueError, Receipt};

/// Where dead letters lie, and the queue that they came from. A value is good for one pass through them.
///
/// - What was taken is hidden from others for a while and then comes back by itself, unless it is
///   deleted; where a store hides nothing, two passes at once may take the same letter.
/// - An empty list is a success that does nothing.
pub trait DeadLetters: Send + Sync + 'static {
    /// What tells it from others, for people and for the journal.
    fn name(&self) -> String;

    /// Up to `max` letters, in no order; none if there are none now. A letter whose time is over
    /// may be taken again, under a new receipt.
    fn take(&self, max: usize) -> impl Future<Output = Result<Vec<Letter>, QueueError>> + Send;

    /// About how many letters are hidden, whoever hides them.
    fn hidden(&self) -> impl Future<Output = Result<usize, QueueError>> + Send;

    /// How long a taken letter stays hidden.
    fn hidden_for(&self) -> Duration;

    /// Lets letters be seen again at once.
    fn put_back(
        &self,
        receipts: Vec<Receipt>,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Sends jobs to the queue of jobs, durable on return; one answer each, in the same order.
    fn send(
        &self,
        replays: Vec<Replay>,
    ) -> impl Future<Output = Vec<Result<(), QueueError>>> + Send;

    /// Deletes letters.
    fn delete(&self, receipts: Vec<Receipt>)
    -> impl Future<Output = Result<(), QueueError>> + Send;
}
