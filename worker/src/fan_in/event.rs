//! What a batch's callback says: totals, the cost and, while they fit, all results in the order of
//! their index.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{BatchKey, BatchRecord};
use crate::{
    clock::UnixMs,
    lease::{Record, State, Usage},
    webhook::{Event, data},
};

/// The largest body, in bytes; n8n takes 16 MiB.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A job of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its place, from 0.
    pub index: u64,
    /// Its record.
    pub record: Record,
}

/// A batch as it is told, gathered member by member: sums, and the results while they fit.
#[derive(Debug, Default)]
pub(super) struct Account {
    members: u64,
    /// How many are in which state.
    states: BTreeMap<&'static str, u64>,
    /// How many failed in which class.
    errors: BTreeMap<&'static str, u64>,
    usage: Usage,
    first_seen: Option<UnixMs>,
    finished: Option<UnixMs>,
    results: Results,
}

impl Account {
    /// Takes up the next member, in the order of their index.
    pub(super) fn add(&mut self, member: &Member) {
        let record = &member.record;
        self.members += 1;
        *self.states.entry(record.state.name()).or_default() += 1;
        if let State::Failed(error) = &record.state {
            *self.errors.entry(error.class.as_str()).or_default() += 1;
        }
        self.usage = self.usage.plus(&record.usage);
        self.first_seen =
            Some(self.first_seen.map_or(record.first_seen, |first| first.min(record.first_seen)));
        self.finished = self.finished.max(Some(record.settled));
        self.results.add(member);
    }

    /// How many members were taken up.
    pub(super) fn members(&self) -> u64 {
        self.members
    }

    /// The event of a complete batch. Without its results if they do not fit.
    pub(super) fn event(self, key: BatchKey, batch: &BatchRecord) -> Event {
        let timestamp = self.finished.unwrap_or(batch.opened).rfc3339();
        let mut data = self.totals(batch);
        match self.results {
            Results::Fit { results, .. } => data.insert("results".to_owned(), results.into()),
            Results::Omitted => data.insert("results_omitted".to_owned(), true.into()),
        };
        Event::new(
            "batch.completed",
            &timestamp,
            &data,
            &[key.as_bytes(), &batch.opened.0.to_be_bytes()],
        )
    }

    fn totals(&self, batch: &BatchRecord) -> Map<String, Value> {
        let count = |state| self.states.get(state).copied().unwrap_or_default();
        let totals = json!({
            "id": batch.id.as_str(),
            "size": batch.size,
            "succeeded": count("done"),
            "failed": count("failed"),
            "held": count("held"),
            "cancelled": count("cancelled"),
            "errors": self.errors,
            // Many jobs have no one model.
            "usage": Usage { model: None, requested_model: None, ..self.usage.clone() },
            "first_seen_at": self.first_seen.map(UnixMs::rfc3339),
            "finished_at": self.finished.map(UnixMs::rfc3339),
        });
        match totals {
            Value::Object(totals) => totals,
            _ => Map::new(),
        }
    }
}

/// What the members answered: forgotten as soon as it is too much, since a batch may have a million.
#[derive(Debug)]
enum Results {
    Fit { results: Vec<Value>, bytes: usize },
    Omitted,
}

impl Default for Results {
    fn default() -> Self {
        Self::Fit { results: Vec::new(), bytes: 0 }
    }
}

impl Results {
    fn add(&mut self, member: &Member) {
        let Self::Fit { results, bytes } = self else { return };
        let result = result(member);
        *bytes += result.to_string().len() + 1;
        match *bytes <= MAX_BODY_BYTES {
            true => results.push(result),
            false => *self = Self::Omitted,
        }
    }
}

fn result(member: &Member) -> Value {
    let mut result = Map::new();
    result.insert("index".to_owned(), member.index.into());
    let status = match member.record.state {
        State::Done(_) => "succeeded",
        ref state => state.name(),
    };
    result.insert("status".to_owned(), status.into());
    result.extend(data(&member.record, None));
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::{Callback, JobKey, Namespace},
        lease::{CallbackSlot, DeadLetterState, OwnerToken},
    };

    fn batch() -> BatchRecord {
        let callback = Callback::from_url("http://127.0.0.1/".to_owned()).expect("a URL");
        BatchRecord {
            id: "b".parse().expect("an id"),
            size: Some(5),
            counted: 5,
            callback: CallbackSlot::pending(callback),
            delivery_ends: UnixMs::default(),
            opened: UnixMs(1_000),
            expires: UnixMs(9_000),
        }
    }

    /// A member with a result of so many bytes.
    fn member(index: u64, bytes: usize) -> Member {
        let (namespace, job_id) = (Namespace::default(), "a".parse().expect("an id"));
        let record = Record {
            key: JobKey::of(&namespace, &job_id),
            namespace,
            job_id,
            tool: "summarize".parse().expect("a tool"),
            tenant: None,
            payload_hash: None,
            state: State::Done("x".repeat(bytes).into()),
            token: OwnerToken::fresh(),
            epoch: 1,
            attempts: 1,
            usage: Usage { input_tokens: 3, cost_usd: Some(0.5), ..Usage::free() },
            callback: None,
            dead_letter: DeadLetterState::None,
            offline: false,
            first_seen: UnixMs(2_000),
            claimed: UnixMs(3_000),
            settled: UnixMs(4_000 + i64::try_from(index).expect("a small number")),
            expires: UnixMs(9_000),
        };
        Member { index, record }
    }

    fn account(bytes: &[usize]) -> Account {
        let mut account = Account::default();
        for (index, bytes) in (0..).zip(bytes) {
            account.add(&member(index, *bytes));
        }
        account
    }

    fn told(account: Account) -> Value {
        let event = account.event(BatchKey([0; 32]), &batch());
        let body: Value = serde_json::from_slice(&event.body).expect("JSON");
        body["data"].clone()
    }

    #[test]
    fn results_that_fit_are_told_in_the_order_of_their_index() {
        let data = told(account(&[1, 2, 3]));
        let lengths = data["results"].as_array().expect("results").iter();
        let lengths: Vec<_> =
            lengths.map(|result| result["result"].as_str().map(str::len)).collect();
        assert_eq!(lengths, [Some(1), Some(2), Some(3)]);
        assert_eq!(data.get("results_omitted"), None);
    }

    #[test]
    fn results_are_forgotten_once_they_do_not_fit_and_the_sums_go_on() {
        let account = account(&[MAX_BODY_BYTES / 2, MAX_BODY_BYTES / 2, 1, 1, 1]);
        assert!(matches!(account.results, Results::Omitted));
        assert_eq!(account.members(), 5);

        let data = told(account);

        assert_eq!((&data["results_omitted"], data.get("results")), (&true.into(), None));
        assert_eq!((&data["succeeded"], &data["failed"]), (&5.into(), &0.into()));
        let usage = &data["usage"];
        assert_eq!((&usage["input_tokens"], &usage["cost_usd"]), (&15.into(), &2.5.into()));
        assert_eq!(data["finished_at"], UnixMs(4_004).rfc3339());
    }
}
