//! What the messages of a process know of each other, so that no two do the same at once, and many do
//! not wait for what one of them sees to.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{fan_in::BatchKey, job::JobKey};

/// Batches above which all are forgotten: that costs their messages a way back.
const MOST_BATCHES: usize = 10_000;

/// The messages beside each other.
#[derive(Default)]
pub(crate) struct Beside {
    answering: Mutex<HashMap<BatchKey, JobKey>>,
    calling: InHand,
}

/// Jobs that one message each has in hand.
#[derive(Default)]
pub(super) struct InHand {
    jobs: Mutex<HashSet<JobKey>>,
    one_less: Notify,
}

/// A job in hand, until this is dropped.
pub(super) struct Hold<'a> {
    all: &'a InHand,
    job: JobKey,
}

impl Beside {
    /// The message that answers for the callback of `batch` from now on: it is not finished before that
    /// is settled.
    pub(super) fn answer(&self, batch: BatchKey, message: JobKey) {
        let mut answering = of(&self.answering);
        if answering.len() >= MOST_BATCHES {
            answering.clear();
        }
        answering.insert(batch, message);
    }

    /// Whether another message does; if none does, this one does from now on.
    pub(super) fn is_left_to_another(&self, batch: BatchKey, message: JobKey) -> bool {
        let another = of(&self.answering).get(&batch).copied();
        if another.is_none() {
            self.answer(batch, message);
        }
        another.is_some_and(|another| another != message)
    }

    /// The callback of `batch` is settled.
    pub(super) fn settled(&self, batch: BatchKey) {
        of(&self.answering).remove(&batch);
    }

    /// The right to deliver the callback of `job`, unless another message is at it.
    pub(super) fn call(&self, job: JobKey) -> Option<Hold<'_>> {
        self.calling.take(job)
    }
}

impl InHand {
    /// Takes a job in hand that no other message has there.
    pub(super) fn take(&self, job: JobKey) -> Option<Hold<'_>> {
        let is_first = of(&self.jobs).insert(job);
        is_first.then(|| Hold { all: self, job })
    }

    /// The same, once none has.
    pub(super) async fn take_next(&self, job: JobKey) -> Hold<'_> {
        loop {
            let one_less = self.one_less.notified();
            match self.take(job) {
                Some(hold) => return hold,
                None => one_less.await,
            }
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        of(&self.all.jobs).remove(&self.job);
        self.all.one_less.notify_waiters();
    }
}

/// A poisoned lock holds what is at worst one message behind.
fn of<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
