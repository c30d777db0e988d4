//! What a batch's callback says: totals, the cost and, while they fit, all results in the order of
//! their index.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{BatchKey, BatchRecord};
use crate::{
    clock::UnixMs,
    error::ErrorClass,
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

/// The event of a complete batch. Without its results if they do not fit.
pub(super) fn of_batch(key: BatchKey, batch: &BatchRecord, members: &[Member]) -> Event {
    let results: Vec<Value> = members.iter().map(result).collect();
    let finished = members.iter().map(|member| member.record.settled).max();
    let timestamp = finished.unwrap_or(batch.opened).rfc3339();
    let mut data = totals(batch, members);
    let bytes: usize = results.iter().map(|result| result.to_string().len() + 1).sum();
    if bytes <= MAX_BODY_BYTES {
        data.insert("results".to_owned(), Value::Array(results));
    } else {
        data.insert("results_omitted".to_owned(), true.into());
    }
    Event::new(
        "batch.completed",
        &timestamp,
        &data,
        &[key.as_bytes(), &batch.opened.0.to_be_bytes()],
    )
}

fn totals(batch: &BatchRecord, members: &[Member]) -> Map<String, Value> {
    let count = |name| members.iter().filter(|member| member.record.state.name() == name).count();
    let usage = members.iter().fold(Usage::free(), |sum, member| sum.plus(&member.record.usage));
    let first_seen = members.iter().map(|member| member.record.first_seen).min();
    let finished = members.iter().map(|member| member.record.settled).max();
    let totals = json!({
        "id": batch.id.as_str(),
        "size": batch.size,
        "succeeded": count("done"),
        "failed": count("failed"),
        "held": count("held"),
        "cancelled": count("cancelled"),
        "errors": errors(members),
        // Many jobs have no one model.
        "usage": Usage { model: None, ..usage },
        "first_seen_at": first_seen.map(UnixMs::rfc3339),
        "finished_at": finished.map(UnixMs::rfc3339),
    });
    match totals {
        Value::Object(totals) => totals,
        _ => Map::new(),
    }
}

/// How many failed in which class.
fn errors(members: &[Member]) -> BTreeMap<&'static str, usize> {
    let classes = members.iter().filter_map(|member| match &member.record.state {
        State::Failed(error) => Some(error.class),
        _ => None,
    });
    classes.fold(BTreeMap::new(), |mut counts, class: ErrorClass| {
        *counts.entry(class.as_str()).or_default() += 1;
        counts
    })
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
