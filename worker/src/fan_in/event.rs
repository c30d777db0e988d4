//! What a batch's callback says: totals, the cost, what is missing and, while they fit, all results
//! in the order of their index.

use serde_json::{Map, Value, json};

use super::{BatchKey, BatchRecord, Member, MemberKind, Reading, Rejection};
use crate::{
    lease::State,
    webhook::{Event, data, error_data},
};

/// Room for what stands around the results in a body.
const ENVELOPE_BYTES: usize = 256;

/// Deliveries in a row that are cut off while all results would still fit: then it is told without.
const MOST_CUT_OFFS: u32 = 3;

/// A batch as it is told, gathered member by member: sums, and the results while they fit.
#[derive(Debug)]
pub(super) struct Account {
    reading: Reading,
    /// Where this delivery began to read.
    from: u64,
    results: Results,
    max_body_bytes: usize,
}

impl Account {
    /// An account that goes on where an earlier one was cut off. The body may have so many bytes.
    pub(super) fn from(reading: Option<Reading>, max_body_bytes: usize) -> Self {
        let reading = reading.unwrap_or_default();
        let results = match reading.next {
            0 => Results::Fit { results: Vec::new(), bytes: 0 },
            _ => Results::Omitted,
        };
        Self { from: reading.next, reading, results, max_body_bytes }
    }

    /// Takes up the next counted member, in the order of their index.
    pub(super) fn add(&mut self, member: &Member) {
        self.reading.add(member);
        self.results.add(member, self.max_body_bytes);
    }

    /// Takes up a member that is not counted: its index is missing.
    pub(super) fn miss(&mut self, index: u64) {
        self.reading.miss(index);
    }

    /// The index from which on nothing was read.
    pub(super) fn next(&self) -> u64 {
        self.reading.next
    }

    /// How many members were taken up.
    pub(super) fn members(&self) -> u64 {
        self.reading.members
    }

    /// What the next delivery goes on from, since there is no time for more; `None` where that is of no
    /// use. Results that may have been told must be told again, so those are read from the beginning.
    pub(super) fn cut_off(self, may_be_told: bool) -> Option<Reading> {
        if self.reading.next == self.from {
            return None;
        }
        let reading = self.reading.cut_off();
        match self.results {
            Results::Fit { .. } if may_be_told => None,
            Results::Fit { .. } if reading.cut_offs < MOST_CUT_OFFS => Some(reading.begun_anew()),
            Results::Fit { .. } | Results::Omitted => Some(reading),
        }
    }

    /// The event of a batch that is over. Without its results if they do not fit.
    pub(super) fn event(self, key: BatchKey, batch: &BatchRecord) -> Event {
        let timestamp = batch.expired.or(self.reading.finished).unwrap_or(batch.opened).rfc3339();
        let mut data = self.reading.totals(batch);
        let around = json!(data).to_string().len() + ENVELOPE_BYTES;
        if let Some(results) = self.results.within(self.max_body_bytes.saturating_sub(around)) {
            data.insert("results".to_owned(), results.into());
        } else {
            let command = format!("mcp-batch results {}", batch.id);
            data.insert("results_by".to_owned(), command.into());
            let path = format!("/v1/batches/{}/results", batch.id);
            data.insert("results_path".to_owned(), path.into());
            data.insert("results_omitted".to_owned(), true.into());
        }
        Event::new(
            "batch.completed",
            &timestamp,
            data,
            &[key.as_bytes(), &batch.opened.0.to_be_bytes()],
        )
    }
}

/// What the members answered: forgotten as soon as it is too much, since a batch may have a million.
#[derive(Debug)]
enum Results {
    Fit { results: Vec<Value>, bytes: usize },
    Omitted,
}

impl Results {
    fn add(&mut self, member: &Member, max_bytes: usize) {
        let Self::Fit { results, bytes } = self else { return };
        let result = member_data(member);
        *bytes += result.to_string().len() + 1;
        match *bytes <= max_bytes {
            true => results.push(result),
            false => *self = Self::Omitted,
        }
    }

    fn within(self, max_bytes: usize) -> Option<Vec<Value>> {
        match self {
            Self::Fit { results, bytes } if bytes <= max_bytes => Some(results),
            Self::Fit { .. } | Self::Omitted => None,
        }
    }
}

/// A member as it is told: its index, its status, and what a job's own callback would say.
pub fn member_data(member: &Member) -> Value {
    let mut result = Map::new();
    result.insert("index".to_owned(), member.index.into());
    result.insert("status".to_owned(), status(member).into());
    match &member.kind {
        MemberKind::Job(record) => result.extend(data(record)),
        MemberKind::Rejected(rejection) => result.extend(rejection_data(rejection)),
    }
    Value::Object(result)
}

fn rejection_data(rejection: &Rejection) -> Map<String, Value> {
    let fields = [
        ("id", rejection.job_id.as_ref().map(|id| id.as_str().into())),
        ("tool", rejection.tool.as_ref().map(|tool| tool.as_str().into())),
        ("error", Some(error_data(&rejection.error))),
        ("attempts", Some(0.into())),
        ("finished_at", Some(rejection.rejected.rfc3339().into())),
        ("metadata", rejection.metadata.clone()),
    ];
    let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    present.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// How a member counts. A job that a person replays counts once, whatever becomes of it then.
pub(super) fn status(member: &Member) -> &'static str {
    match (&member.kind, member.is_counted) {
        (MemberKind::Rejected(_), _) => "rejected",
        (MemberKind::Job(record), is_counted) => match &record.state {
            State::Done(_) => "succeeded",
            State::Failed(error) if error.code == "expired" => "expired",
            State::Failed(_) => "failed",
            State::Held(_) => "held",
            State::Cancelled => "cancelled",
            State::Running { .. } | State::Retry(_) if is_counted => "replayed",
            State::Running { .. } => "running",
            State::Retry(_) => "waiting",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixMs,
        job::{Callback, JobKey, Namespace},
        lease::{CallbackSlot, DeadLetterState, OwnerToken, Record, Usage},
    };

    const MAX_BODY_BYTES: usize = 100_000;

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
            expired: None,
            is_cancelled: false,
            look_after: UnixMs(9_000),
            reading: None,
            max_body_bytes: None,
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
            metadata: Some(json!({"row": index})),
            is_awaited: true,
            deferred: None,
            past: Vec::new(),
        };
        Member { index, is_counted: true, end: 0, kind: MemberKind::Job(Box::new(record)) }
    }

    fn account(bytes: &[usize]) -> Account {
        let mut account = Account::from(None, MAX_BODY_BYTES);
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
        assert_eq!(data["results"][4]["metadata"], Value::Null);
        assert_eq!(data["results"][2]["metadata"], json!({"row": 2}));
    }

    #[test]
    fn a_body_never_exceeds_its_limit() {
        for bytes in (1..4_000).step_by(7).map(|bytes| MAX_BODY_BYTES - bytes) {
            let event = account(&[bytes]).event(BatchKey([0; 32]), &batch());
            assert!(event.body.len() <= MAX_BODY_BYTES, "{bytes}: {}", event.body.len());
        }
    }

    #[test]
    fn what_is_missing_is_named_one_by_one_up_to_a_bound() {
        let told = |counted: &[u64], missed: &[u64], size| {
            let mut account = Account::from(None, MAX_BODY_BYTES);
            for index in counted {
                account.add(&member(*index, 1));
            }
            for index in missed {
                account.miss(*index);
            }
            let batch = BatchRecord { size, expired: Some(UnixMs(9_000)), ..batch() };
            let event = account.event(BatchKey([0; 32]), &batch);
            let body: Value = serde_json::from_slice(&event.body).expect("JSON");
            let data = &body["data"];
            let first = data["missing_indexes"].as_array().expect("a list").clone();
            let first = first.iter().filter_map(Value::as_u64).collect::<Vec<_>>();
            (data["missing"].as_u64().expect("a number"), first)
        };
        assert_eq!(told(&[1, 3], &[], Some(5)), (3, vec![0, 2, 4]));
        assert_eq!(told(&[0, 1], &[], None), (0, vec![]));
        assert_eq!(told(&[1], &[0, 3], None), (3, vec![0, 2, 3]));
        let (count, first) = told(&[0], &[], Some(1_000_000));
        assert_eq!((count, first.len(), first.last()), (999_999, 1_000, Some(&1_000)));
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

    #[test]
    fn what_is_read_in_parts_comes_to_what_is_read_at_once() {
        let at_once = account(&[MAX_BODY_BYTES, 1, 2, 3]);
        let mut reading = None;
        for index in 0..4 {
            let mut part = Account::from(reading, MAX_BODY_BYTES);
            assert_eq!(part.next(), index);
            part.add(&member(index, if index == 0 { MAX_BODY_BYTES } else { 1 }));
            let stored = json!(part.cut_off(true).expect("it came further")).to_string();
            reading = serde_json::from_str(&stored).expect("a reading");
        }
        let in_parts = Account::from(reading, MAX_BODY_BYTES);
        let body = |account: Account| account.event(BatchKey([0; 32]), &batch()).body;
        assert_eq!(body(in_parts), body(at_once));
    }

    #[test]
    fn results_that_fit_are_left_out_only_when_nobody_can_have_been_told_them() {
        let mut cut_offs = None;
        for _ in 0..2 {
            let mut part = Account::from(cut_offs, MAX_BODY_BYTES);
            assert_eq!(part.next(), 0, "they are read from the beginning");
            part.add(&member(0, 1));
            cut_offs = part.cut_off(false);
        }
        for may_be_told in [true, false] {
            let mut last = Account::from(cut_offs.clone(), MAX_BODY_BYTES);
            last.add(&member(0, 1));
            let next = last.cut_off(may_be_told).map(|reading| reading.next);
            assert_eq!(next, (!may_be_told).then_some(1));
        }
        let nothing = Account::from(cut_offs, MAX_BODY_BYTES);
        assert_eq!(nothing.cut_off(false), None, "nothing was read");
    }
}
