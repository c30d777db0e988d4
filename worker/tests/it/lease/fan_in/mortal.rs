//! A ledger of a process that dies at chosen moments: from then on nothing comes back to it.

use std::{future::pending, sync::Arc};

use mcp_batch::lease::Delivery;
use tokio::sync::Notify;

use crate::forward::prelude::*;

/// After which step of a message's way the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    Claimed,
    Settled,
    /// It saw whether the batch is over.
    Looked,
    Taken,
    /// It read all members.
    Read,
    /// Its callback was posted, and not marked.
    Posted,
    Marked,
}

/// The death of a process.
#[derive(Clone, Default)]
pub(super) struct Death(Arc<Notify>);

impl Death {
    pub(super) async fn came(&self) {
        self.0.notified().await;
    }
}

pub(super) struct Mortal<L> {
    ledger: Arc<L>,
    dies: Box<dyn Fn(Moment) -> bool + Send + Sync>,
    death: Death,
}

impl<L> Mortal<L> {
    /// Dies where `dies` says so.
    pub(super) fn new(
        ledger: Arc<L>,
        dies: impl Fn(Moment) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { ledger, dies: Box::new(dies), death: Death::default() }
    }

    pub(super) fn death(&self) -> Death {
        self.death.clone()
    }

    async fn live_on_after(&self, moment: Moment) {
        if (self.dies)(moment) {
            self.death.0.notify_one();
            pending::<()>().await;
        }
    }
}

impl<L: Ledger> Ledger for Mortal<L> {
    async fn claim(&self, request: ClaimRequest) -> Answer<Claim> {
        let claim = self.ledger.claim(request).await;
        if matches!(claim, Ok(Claim::Owned(_))) {
            self.live_on_after(Moment::Claimed).await;
        }
        claim
    }

    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        let settled = self.ledger.settle(lease, how, now).await;
        self.live_on_after(Moment::Settled).await;
        settled
    }

    async fn batch(&self, key: BatchKey) -> Answer<Option<BatchRecord>> {
        let batch = self.ledger.batch(key).await;
        self.live_on_after(Moment::Looked).await;
        batch
    }

    async fn take_batch(&self, key: BatchKey, taking: Taking) -> Answer<Option<BatchRecord>> {
        let taken = self.ledger.take_batch(key, taking).await;
        if matches!(taken, Ok(Some(_))) {
            self.live_on_after(Moment::Taken).await;
        }
        taken
    }

    async fn members(&self, key: BatchKey, from: u64, limit: usize) -> Answer<Vec<Member>> {
        let members = self.ledger.members(key, from, limit).await;
        if members.as_ref().is_ok_and(Vec::is_empty) {
            self.live_on_after(Moment::Read).await;
        }
        members
    }

    async fn mark_batch(&self, key: BatchKey, mark: BatchMark, now: UnixMs) -> Answer<()> {
        let is_sent = matches!(mark, BatchMark::Delivery { delivery: Delivery::Sent, .. });
        if is_sent {
            self.live_on_after(Moment::Posted).await;
        }
        let marked = self.ledger.mark_batch(key, mark, now).await;
        if is_sent {
            self.live_on_after(Moment::Marked).await;
        }
        marked
    }

    forward! { ledger:
        extend mark cancel decide refuse reject close_batch renew_batch cancel_batch attention
        note_request read
    }
}
