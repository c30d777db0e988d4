//! Jobs that this process saw finished, so that their duplicates cost no request. Only what can't
//! change any more is kept: jobs that are done and owe nothing to anybody.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use crate::{
    clock::UnixMs,
    job::JobKey,
    lease::{Claim, ClaimRequest, Mark, Record, State, Step},
};

/// A bounded number of records whose results are small.
pub(super) struct Finished(Mutex<LruCache<JobKey, Record>>);

impl Finished {
    /// Room for `most` records.
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(most)))
    }

    fn records(&self) -> MutexGuard<'_, LruCache<JobKey, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a claim, if it is the same whatever happened elsewhere.
    pub(super) fn answer(&self, request: &ClaimRequest) -> Option<Claim> {
        if request.membership.is_some() {
            return None;
        }
        let record = self.records().get(&request.key).filter(|record| !record.owes()).cloned()?;
        match Record::claim(Some(record), request) {
            Step { write: None, answer: answer @ Claim::Finished(_) } => Some(answer),
            _ => None,
        }
    }

    /// The latest that the table holds of a job: kept if it is done, and small.
    pub(super) fn see(&self, record: &Record, is_small: bool) {
        let mut records = self.records();
        match is_small && matches!(record.state, State::Done(_)) {
            true => records.put(record.key, record.clone()),
            false => records.pop(&record.key),
        };
    }

    /// Notes what the table was told as well.
    pub(super) fn mark(&self, key: JobKey, epoch: u64, mark: &Mark, now: UnixMs) {
        let mut records = self.records();
        let Some(record) = records.pop(&key) else { return };
        let step = Record::mark(Some(record.clone()), epoch, mark, now);
        records.put(key, step.write.unwrap_or(record));
    }
}
