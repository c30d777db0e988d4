//! What test ledgers leave to the ledger they stand before.

/// Methods of the ledger's port that are left to the field `$to`; [`prelude`] has their types.
macro_rules! forward {
    ($to:tt: $($method:ident)*) => {
        $(forward_one! { $to $method })*
    };
}

macro_rules! forward_one {
    ($to:tt claim) => {
        forward_one! { $to claim(request: ClaimRequest) -> Claim }
    };
    ($to:tt extend) => {
        forward_one! { $to extend(lease: &Lease, ends: UnixMs) -> bool }
    };
    ($to:tt settle) => {
        forward_one! { $to settle(lease: &Lease, how: Settlement, now: UnixMs) -> Settled }
    };
    ($to:tt mark) => {
        forward_one! { $to mark(key: JobKey, epoch: u64, mark: Mark, now: UnixMs) -> () }
    };
    ($to:tt cancel) => {
        forward_one! { $to cancel(request: ClaimRequest) -> Result<Record, Refusal> }
    };
    ($to:tt decide) => {
        forward_one! {
            $to decide(key: JobKey, decision: Decision, now: UnixMs)
                -> Result<Record, Refusal>
        }
    };
    ($to:tt read) => {
        forward_one! { $to read(keys: Vec<JobKey>) -> Vec<Option<Record>> }
    };
    ($to:tt refuse) => {
        forward_one! { $to refuse(request: ClaimRequest, why: JobError) -> Record }
    };
    ($to:tt reject) => {
        forward_one! {
            $to reject(namespace: Namespace, place: Membership, rejection: Rejection)
                -> ()
        }
    };
    ($to:tt batch) => {
        forward_one! { $to batch(key: BatchKey) -> Option<BatchRecord> }
    };
    ($to:tt close_batch) => {
        forward_one! {
            $to close_batch(key: BatchKey, size: u64, now: UnixMs)
                -> Result<BatchRecord, CloseRefusal>
        }
    };
    ($to:tt renew_batch) => {
        forward_one! { $to renew_batch(key: BatchKey, now: UnixMs) -> Option<BatchRecord> }
    };
    ($to:tt cancel_batch) => {
        forward_one! { $to cancel_batch(key: BatchKey) -> Result<BatchRecord, CancelRefusal> }
    };
    ($to:tt take_batch) => {
        forward_one! {
            $to take_batch(key: BatchKey, taking: Taking) -> Option<BatchRecord>
        }
    };
    ($to:tt members) => {
        forward_one! { $to members(key: BatchKey, from: u64, limit: usize) -> Vec<Member> }
    };
    ($to:tt mark_batch) => {
        forward_one! { $to mark_batch(key: BatchKey, mark: BatchMark, now: UnixMs) -> () }
    };
    ($to:tt note_request) => {
        forward_one! {
            $to note_request(key: RequestKey, body: BodyHash, now: UnixMs, expires: UnixMs)
                -> BodyHash
        }
    };
    ($to:tt attention) => {
        forward_one! { $to attention(what: Attention, now: UnixMs, limit: usize) -> Vec<Found> }
    };
    ($to:tt $method:ident($($name:ident: $type:ty),*) -> $answer:ty) => {
        async fn $method(&self, $($name: $type),*) -> Answer<$answer> {
            self.$to.$method($($name),*).await
        }
    };
}

/// What the port's methods take and answer.
pub(crate) mod prelude {
    pub(crate) use mcp_batch::{
        clock::UnixMs,
        error::JobError,
        fan_in::{
            BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection,
            Taking,
        },
        job::{BodyHash, JobKey, Membership, Namespace, RequestKey},
        lease::{
            Attention, Claim, ClaimRequest, Decision, Found, Lease, Ledger, LedgerError, Mark,
            Record, Refusal, Settled, Settlement,
        },
    };

    pub(crate) type Answer<T> = Result<T, LedgerError>;
}
