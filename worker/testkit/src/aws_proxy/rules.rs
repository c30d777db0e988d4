//! The rules in force, and what they come to for one request.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::call::AwsCall;
use super::chance::Chance;
use super::fault::Fault;
use super::rule::{Moment, Rule, Step};
use crate::server::lock;

/// The rules in force, in the order they were set.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<Vec<Arc<Active>>>);

/// A rule in force.
#[derive(Debug)]
struct Active {
    rule: Rule,
    hits: AtomicUsize,
    releases: Semaphore,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Fate {
    GoOn,
    Lose,
    Fail(Fault),
    FailEntries(Chance),
    LeaveOut(Chance),
}

/// A rule in force, as the test sees it.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Active>);

impl Watch {
    /// How many requests it was applied to, counted before its first step.
    pub fn hits(&self) -> usize {
        self.0.hits.load(SeqCst)
    }

    /// Waits until it was applied to at least `n` requests.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for_hits(&self, n: usize) {
        crate::wait_until("a rule of the proxy was applied", || self.hits() >= n).await;
    }

    /// Lets `requests` of those it [holds](Rule::hold) go on, or the next to come.
    pub fn release(&self, requests: usize) {
        self.0.releases.add_permits(requests);
    }
}

impl Rules {
    pub(super) fn add(&self, rule: Rule) -> Watch {
        let active =
            Arc::new(Active { rule, hits: AtomicUsize::new(0), releases: Semaphore::new(0) });
        lock(&self.0).push(Arc::clone(&active));
        Watch(active)
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Applies each rule whose turn it is, until one decides the request's fate.
    pub(super) async fn apply(&self, moment: Moment, call: &AwsCall) -> Fate {
        let rules = lock(&self.0).clone();
        for active in rules {
            if active.rule.takes(moment, call) {
                match active.carry_out().await {
                    Fate::GoOn => {}
                    fate => return fate,
                }
            }
        }
        Fate::GoOn
    }
}

impl Active {
    async fn carry_out(&self) -> Fate {
        self.hits.fetch_add(1, SeqCst);
        for step in &self.rule.steps {
            match step {
                Step::Run(action) => (action.0)(),
                Step::Delay(delay) => tokio::time::sleep(*delay).await,
                Step::Hold => self.wait_for_release().await,
                Step::Lose => return Fate::Lose,
                Step::Fail(fault) => return Fate::Fail(fault.clone()),
                Step::FailEntries(chance) => return Fate::FailEntries(lock(chance).fork()),
                Step::LeaveOut(chance) => return Fate::LeaveOut(lock(chance).fork()),
            }
        }
        Fate::GoOn
    }

    async fn wait_for_release(&self) {
        if let Ok(permit) = self.releases.acquire().await {
            permit.forget();
        }
    }
}
