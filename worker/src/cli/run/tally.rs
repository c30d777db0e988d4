//! What has happened so far in a run: counted while it happens, for the progress bar, for the
//! table, and to know when it is over.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::entry::Fate;
use crate::{
    environment::{End, Observation, Observer},
    error::{ErrorClass, JobError},
    job::{JobId, JobKey},
    lease::{Delivery, Record, State, Usage},
};

/// A job that came back this often for the configuration's sake, with nothing finished in
/// between, will come back again. Few of the jobs behind one closed gate are called themselves.
const HOPELESS_REFUSALS: u32 = 3;

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    /// With an outcome, of this run or of an earlier one.
    Settled {
        /// It did what it should.
        is_success: bool,
        /// No tool was called for it in this run.
        is_earlier: bool,
    },
    /// Its id belongs to another job.
    Rejected(Box<JobError>),
}

/// Why a job is not finished yet.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) reason: JobError,
    pause: Duration,
    refusals: u32,
    /// How many jobs had ended when it was last refused: once another ends, there is hope again.
    ended: usize,
}

/// One tool's figures.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolTally {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) already: u64,
    pub(super) waiting: u64,
    pub(super) latencies: Vec<Duration>,
    pub(super) usage: Usage,
}

/// What has happened so far.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) in_flight: u64,
    endings: HashMap<JobKey, Ending>,
    /// How further messages of jobs ended that had ended before.
    later_endings: HashMap<JobKey, Ending>,
    /// The messages that ended.
    pub(super) ended: HashSet<Box<str>>,
    pub(super) waiting: HashMap<JobKey, Waiting>,
    pub(super) tools: BTreeMap<String, ToolTally>,
    pub(super) failed: u64,
    /// Callbacks that were given up.
    pub(super) dead_callbacks: u64,
    /// How many messages will end, once that is known.
    expected: Option<u64>,
    /// Jobs whose tool was called in this run, however that ended.
    called: HashSet<JobId>,
    /// When something finished last.
    patient_since: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            calls: 0,
            in_flight: 0,
            endings: HashMap::new(),
            later_endings: HashMap::new(),
            ended: HashSet::new(),
            waiting: HashMap::new(),
            tools: BTreeMap::new(),
            failed: 0,
            dead_callbacks: 0,
            expected: None,
            called: HashSet::new(),
            patient_since: Instant::now(),
        }
    }
}

impl Tally {
    fn ended(&mut self, message_id: &str, key: JobKey, end: &End<'_>) {
        self.waiting.remove(&key);
        self.patient_since = Instant::now();
        let is_known = !self.ended.insert(message_id.into());
        let is_later = !is_known && self.endings.contains_key(&key);
        let ending = match end {
            End::Fresh(record) => self.settled(record, false),
            // A job whose callback had to be tried again comes back as a finished one.
            End::HandedOff(record) | End::Duplicate(record) => {
                self.settled(record, is_later || !self.called.contains(&record.job_id))
            }
            End::Rejected(error) => {
                self.failed += 1;
                Ending::Rejected(Box::new((*error).clone()))
            }
        };
        match is_later {
            true => self.later_endings.insert(key, ending),
            false => self.endings.insert(key, ending),
        };
    }

    /// How an item of this fate ended, if it was sent and has.
    pub(super) fn ending_of(&self, fate: &Fate) -> Option<&Ending> {
        match fate {
            Fate::Sent(key) => self.endings.get(key),
            Fate::SentAgain(key) => self.later_endings.get(key),
            Fate::Rejected(_) | Fate::Duplicate { .. } => None,
        }
    }

    fn settled(&mut self, record: &Record, is_earlier: bool) -> Ending {
        let is_success = matches!(record.state, State::Done(_));
        let tool = self.tools.entry(record.tool.to_string()).or_default();
        match (is_success, is_earlier) {
            (true, true) => tool.already += 1,
            (true, false) => tool.done += 1,
            (false, _) => tool.failed += 1,
        }
        if !is_earlier {
            tool.usage = tool.usage.plus(&record.usage);
        }
        self.failed += u64::from(!is_success);
        Ending::Settled { is_success, is_earlier }
    }

    fn returned(&mut self, key: JobKey, reason: &JobError, pause: Duration) {
        // That it was not begun now says less than why it came back before.
        if reason.code == "not_started" && self.waiting.contains_key(&key) {
            return;
        }
        let ended = self.endings.len();
        let before = self.waiting.get(&key).filter(|waiting| waiting.ended == ended);
        let is_refusal = reason.class == ErrorClass::Configuration;
        let refusals = before.map_or(0, |waiting| waiting.refusals) + u32::from(is_refusal);
        self.waiting.insert(key, Waiting { reason: reason.clone(), pause, refusals, ended });
    }

    /// Whether every message that was sent has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.expected == Some(self.ended.len() as u64)
    }

    /// Why going on makes no sense without a person, if it does not. While calls run, it may.
    pub(super) fn hopeless(&self) -> Option<&JobError> {
        let is_refused = |waiting: &&Waiting| {
            waiting.refusals >= HOPELESS_REFUSALS
                && waiting.ended == self.endings.len()
                && waiting.reason.class == ErrorClass::Configuration
        };
        let refused = self.waiting.values().find(is_refused).filter(|_| self.in_flight == 0);
        refused.map(|waiting| &waiting.reason)
    }

    /// Whether nothing has finished for `patience` beyond the longest pause there is to wait for,
    /// and no call is running.
    pub(super) fn is_stuck(&self, patience: Duration) -> bool {
        let longest = self.waiting.values().map(|waiting| waiting.pause).max().unwrap_or_default();
        self.in_flight == 0 && self.patient_since.elapsed() > patience.saturating_add(longest)
    }
}

/// The tally, shared by all jobs of a run.
#[derive(Debug, Default)]
pub(super) struct SharedTally {
    tally: Mutex<Tally>,
    complete: Notify,
}

impl SharedTally {
    /// A poisoned lock holds figures that are at worst one job behind.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many messages will end.
    pub(super) fn expect(&self, messages: u64) {
        let mut tally = self.lock();
        tally.expected = Some(messages);
        if tally.is_complete() {
            self.complete.notify_one();
        }
    }

    /// Returns when as many messages have ended as are expected.
    pub(super) async fn completed(&self) {
        self.complete.notified().await;
    }
}

impl Observer for SharedTally {
    fn observe(&self, observation: Observation<'_>) {
        let mut tally = self.lock();
        match observation {
            Observation::CallBegan => {
                tally.calls += 1;
                tally.in_flight += 1;
            }
            Observation::CallEnded { job, latency, .. } => {
                tally.in_flight -= 1;
                tally.called.insert(job.id().clone());
                tally.tools.entry(job.tool().to_string()).or_default().latencies.push(latency);
            }
            Observation::Ended { message_id, key: Some(key), end } => {
                tally.ended(message_id, key, &end);
                if tally.is_complete() {
                    self.complete.notify_one();
                }
            }
            Observation::Returned { key: Some(key), reason, after, .. }
            | Observation::Waits { key, reason, about: after } => {
                tally.returned(key, reason, after);
            }
            Observation::Delivered { delivery: Delivery::Dead(_), .. } => tally.dead_callbacks += 1,
            Observation::BatchBegan { .. }
            | Observation::LedgerAnswered { .. }
            | Observation::TakenOver
            | Observation::Settled(_)
            | Observation::Buried
            | Observation::Delivered { .. }
            | Observation::Ended { key: None, .. }
            | Observation::Returned { key: None, .. }
            | Observation::Refused { .. } => {}
        }
    }
}
