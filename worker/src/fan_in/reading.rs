//! How far the members of a batch were read, and what those come to: the sums of its callback. A batch
//! that cannot be read within one delivery is read on from here by the next one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{BatchRecord, Member, MemberKind, Rejection, event::status};
use crate::{
    clock::UnixMs,
    error::JobError,
    lease::{Record, State, Usage},
};

/// The most missing indexes that are told one by one.
const MAX_MISSING: usize = 1_000;

/// Every way in which a job is counted.
const STATUSES: [&str; 7] =
    ["succeeded", "failed", "held", "cancelled", "expired", "rejected", "replayed"];

/// What a batch's members come to, up to an index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// Deliveries whose time was over before everything was read.
    pub(super) cut_offs: u32,
    /// The index from which on nothing was read.
    pub(super) next: u64,
    /// How many are counted.
    pub(super) members: u64,
    /// How many are in which state.
    statuses: BTreeMap<String, u64>,
    /// How many came to nothing by a failure of which class.
    errors: BTreeMap<String, u64>,
    usage: Usage,
    first_seen: Option<UnixMs>,
    pub(super) finished: Option<UnixMs>,
    missing: Missing,
}

impl Reading {
    /// Takes up the next counted member, in the order of their index.
    pub(super) fn add(&mut self, member: &Member) {
        self.next = member.index + 1;
        self.members += 1;
        self.missing.skip_to(member.index);
        *self.statuses.entry(status(member).to_owned()).or_default() += 1;
        match &member.kind {
            MemberKind::Job(record) => self.add_record(record),
            MemberKind::Rejected(rejection) => self.add_rejection(rejection),
        }
    }

    fn add_record(&mut self, record: &Record) {
        if let State::Failed(error) = &record.state {
            self.add_error(error);
        }
        self.usage = self.usage.plus(&record.usage);
        self.add_times(record.first_seen, record.settled);
    }

    fn add_rejection(&mut self, rejection: &Rejection) {
        self.add_error(&rejection.error);
        self.add_times(rejection.rejected, rejection.rejected);
    }

    fn add_error(&mut self, error: &JobError) {
        *self.errors.entry(error.class.as_str().to_owned()).or_default() += 1;
    }

    fn add_times(&mut self, first_seen: UnixMs, finished: UnixMs) {
        self.first_seen = Some(self.first_seen.map_or(first_seen, |first| first.min(first_seen)));
        self.finished = self.finished.max(Some(finished));
    }

    /// Takes up a member that is not counted: its index is missing.
    pub(super) fn miss(&mut self, index: u64) {
        self.next = index + 1;
        self.missing.highest = self.missing.highest.max(index + 1);
    }

    /// The same, with one more delivery whose time was over.
    pub(super) fn cut_off(self) -> Self {
        Self { cut_offs: self.cut_offs.saturating_add(1), ..self }
    }

    /// Nothing of it but the deliveries whose time was over.
    pub(super) fn begun_anew(self) -> Self {
        Self { cut_offs: self.cut_offs, ..Self::default() }
    }

    /// What is told of the whole batch.
    pub(super) fn totals(mut self, batch: &BatchRecord) -> Map<String, Value> {
        self.missing.skip_to(batch.size.unwrap_or(self.missing.highest));
        let totals = json!({
            "id": batch.id.as_str(),
            "size": batch.size,
            "is_complete": batch.is_complete(),
            "counted": self.members,
            "missing": self.missing.count,
            "missing_indexes": self.missing.first,
            "errors": self.errors,
            // Many jobs have no one model.
            "usage": Usage { model: None, requested_model: None, ..self.usage },
            "opened_at": batch.opened.rfc3339(),
            "expires_at": batch.expires.rfc3339(),
            "first_seen_at": self.first_seen.map(UnixMs::rfc3339),
            "finished_at": self.finished.map(UnixMs::rfc3339),
        });
        let mut data = match totals {
            Value::Object(totals) => totals,
            _ => Map::new(),
        };
        for status in STATUSES {
            let count = self.statuses.get(status).copied().unwrap_or_default();
            data.insert(status.to_owned(), count.into());
        }
        data
    }
}

/// Indexes that nobody was counted for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Missing {
    /// One more than the highest index that somebody has who is not counted.
    highest: u64,
    next: u64,
    count: u64,
    first: Vec<u64>,
}

impl Missing {
    /// All from the next one on are missing, up to this one.
    fn skip_to(&mut self, index: u64) {
        let room = MAX_MISSING - self.first.len().min(MAX_MISSING);
        self.first.extend((self.next..index).take(room));
        self.count += index.saturating_sub(self.next);
        self.next = index + 1;
    }
}
