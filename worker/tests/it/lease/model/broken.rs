//! Ledgers with one fault each, to show that the model would see it.

use mcp_batch::{
    clock::UnixMs,
    error::JobError,
    fan_in::{BatchKey, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection},
    job::{BodyHash, JobKey, Membership, Namespace, RequestKey},
    lease::{
        Attention, Claim, ClaimRequest, Decision, Delivery, Found, Lease, Ledger, LedgerError,
        Mark, Outcome, OwnerToken, Record, Refusal, Settled, Settlement, State,
    },
};

/// Forwards what a broken ledger does right.
macro_rules! forward_the_rest {
    () => {
        async fn extend(&self, lease: &Lease, ends: UnixMs) -> Answer<bool> {
            self.0.extend(lease, ends).await
        }

        async fn mark(&self, key: JobKey, epoch: u64, mark: Mark, now: UnixMs) -> Answer<()> {
            self.0.mark(key, epoch, mark, now).await
        }

        async fn cancel(&self, request: ClaimRequest) -> Answer<Result<Record, Refusal>> {
            self.0.cancel(request).await
        }

        async fn decide(
            &self,
            key: JobKey,
            decision: Decision,
            now: UnixMs,
        ) -> Answer<Result<Record, Refusal>> {
            self.0.decide(key, decision, now).await
        }

        async fn batch(&self, key: BatchKey) -> Answer<Option<BatchRecord>> {
            self.0.batch(key).await
        }

        async fn take_batch(
            &self,
            key: BatchKey,
            now: UnixMs,
            until: UnixMs,
        ) -> Answer<Option<BatchRecord>> {
            self.0.take_batch(key, now, until).await
        }

        async fn members(&self, key: BatchKey, from: u64, limit: usize) -> Answer<Vec<Member>> {
            self.0.members(key, from, limit).await
        }

        async fn mark_batch(&self, key: BatchKey, delivery: Delivery, now: UnixMs) -> Answer<()> {
            self.0.mark_batch(key, delivery, now).await
        }

        async fn refuse(&self, request: ClaimRequest, error: JobError) -> Answer<Record> {
            self.0.refuse(request, error).await
        }

        async fn reject(
            &self,
            namespace: Namespace,
            membership: Membership,
            rejection: Rejection,
        ) -> Answer<()> {
            self.0.reject(namespace, membership, rejection).await
        }

        async fn close_batch(
            &self,
            key: BatchKey,
            size: u64,
            now: UnixMs,
        ) -> Answer<Result<BatchRecord, CloseRefusal>> {
            self.0.close_batch(key, size, now).await
        }

        async fn renew_batch(&self, key: BatchKey, now: UnixMs) -> Answer<Option<BatchRecord>> {
            self.0.renew_batch(key, now).await
        }

        async fn cancel_batch(&self, key: BatchKey) -> Answer<Result<BatchRecord, CancelRefusal>> {
            self.0.cancel_batch(key).await
        }

        async fn attention(
            &self,
            what: Attention,
            now: UnixMs,
            limit: usize,
        ) -> Answer<Vec<Found>> {
            self.0.attention(what, now, limit).await
        }

        async fn note_request(
            &self,
            key: RequestKey,
            body: BodyHash,
            now: UnixMs,
            expires: UnixMs,
        ) -> Answer<BodyHash> {
            self.0.note_request(key, body, now, expires).await
        }

        async fn read(&self, keys: Vec<JobKey>) -> Answer<Vec<Option<Record>>> {
            self.0.read(keys).await
        }
    };
}

type Answer<T> = Result<T, LedgerError>;

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
