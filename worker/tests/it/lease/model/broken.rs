//! Ledgers with one fault each, to show that the model would see it.

use mcp_batch::lease::{Outcome, OwnerToken, State};

use crate::forward::prelude::*;

/// Forwards what a broken ledger does right.
macro_rules! forward_the_rest {
    () => {
        forward! { 0:
            extend mark cancel decide batch take_batch members mark_batch refuse reject close_batch
            renew_batch cancel_batch attention note_request read
        }
    };
}

/// Lets anybody settle a running job, as a plain update by key would.
pub(super) struct Unfenced<L>(pub(super) L);

impl<L: Ledger> Ledger for Unfenced<L> {
    async fn claim(&self, request: ClaimRequest) -> Answer<Claim> {
        self.0.claim(request).await
    }

    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        let mut lease = lease.clone();
        if let Some(Some(record)) = self.0.read(vec![lease.key]).await?.first() {
            (lease.token, lease.epoch) = (record.token, record.epoch);
        }
        self.0.settle(&lease, how, now).await
    }

    forward_the_rest!();
}

/// Takes every lease for over.
pub(super) struct IgnoresLeases<L>(pub(super) L);

impl<L: Ledger> Ledger for IgnoresLeases<L> {
    async fn claim(&self, mut request: ClaimRequest) -> Answer<Claim> {
        if let Some(Some(record)) = self.0.read(vec![request.key]).await?.first()
            && let State::Running { lease_ends, .. } = record.state
        {
            request.now = request.now.max(lease_ends);
        }
        self.0.claim(request).await
    }

    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        self.0.settle(lease, how, now).await
    }

    forward_the_rest!();
}

/// Makes up a token for each claim it sees.
pub(super) struct ForgetsTokens<L>(pub(super) L);

impl<L: Ledger> Ledger for ForgetsTokens<L> {
    async fn claim(&self, request: ClaimRequest) -> Answer<Claim> {
        let made_up = ClaimRequest { token: OwnerToken::fresh(), ..request };
        self.0.claim(made_up).await
    }

    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        self.0.settle(lease, how, now).await
    }

    forward_the_rest!();
}

/// Runs a finished job again whenever somebody asks.
pub(super) struct RunsAgain<L>(pub(super) L);

impl<L: Ledger> Ledger for RunsAgain<L> {
    async fn claim(&self, request: ClaimRequest) -> Answer<Claim> {
        self.0.claim(ClaimRequest { supersedes_offline: true, ..request }).await
    }

    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        let how = match how {
            Settlement::Complete(outcome) => {
                Settlement::Complete(Outcome { offline: true, ..outcome })
            }
            other => other,
        };
        self.0.settle(lease, how, now).await
    }

    forward_the_rest!();
}
