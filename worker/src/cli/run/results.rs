//! The results file: one JSON object a line, in the order of the jobs' file, read from the ledger,
//! so that outcomes of earlier runs are in it too.

use std::{io::Write, path::Path};

use serde_json::{Map, Value, json};

use super::{
    super::output::Output,
    entry::{Entries, Entry, Fate},
    tally::{Ending, Tally},
};
use crate::{
    error::JobError,
    job::JobKey,
    lease::{CallbackState, Ledger, Record, State},
    webhook::{data, error_data},
};

/// Records that are read at once.
const READ_AT_ONCE: usize = 200;

/// Writes the results of all entries.
pub(super) async fn write<L: Ledger>(
    path: &Path,
    entries: &Entries,
    tally: &Tally,
    ledger: &L,
) -> anyhow::Result<()> {
    let mut out = Output::create(path)?;
    write_to(&mut out, entries, tally, ledger).await?;
    Ok(out.finish()?)
}

async fn write_to<L: Ledger>(
    out: &mut impl Write,
    entries: &Entries,
    tally: &Tally,
    ledger: &L,
) -> anyhow::Result<()> {
    let mut group = Vec::with_capacity(READ_AT_ONCE);
    for entry in entries.iter() {
        group.push(entry);
        if group.len() == READ_AT_ONCE {
            write_group(out, &group, entries, tally, ledger).await?;
            group.clear();
        }
    }
    write_group(out, &group, entries, tally, ledger).await
}

async fn write_group<L: Ledger>(
    out: &mut impl Write,
    group: &[&Entry],
    entries: &Entries,
    tally: &Tally,
    ledger: &L,
) -> anyhow::Result<()> {
    let keys: Vec<JobKey> = group.iter().filter_map(|entry| entry.key()).collect();
    let mut records = ledger.read(keys).await?.into_iter();
    for entry in group {
        let record = entry.key().and_then(|_| records.next().flatten());
        let line = line(entry, record.as_ref(), entries, tally);
        writeln!(out, "{}", Value::Object(line))?;
    }
    Ok(())
}

impl Entry {
    fn key(&self) -> Option<JobKey> {
        match self.fate {
            Fate::Sent(key) | Fate::SentAgain(key) => Some(key),
            Fate::Rejected(_) | Fate::Duplicate { .. } => None,
        }
    }
}

fn line(
    entry: &Entry,
    record: Option<&Record>,
    entries: &Entries,
    tally: &Tally,
) -> Map<String, Value> {
    match &entry.fate {
        Fate::Rejected(error) => refused(entry, "failed", error),
        Fate::Duplicate { of } => {
            let of_line = entries.get(*of).map(|entry| entry.line);
            let mut line = head(entry, "duplicate");
            line.insert("of_line".to_owned(), json!(of_line));
            line
        }
        Fate::Sent(key) | Fate::SentAgain(key) => match (tally.ending_of(&entry.fate), record) {
            (Some(Ending::Rejected(error)), _) => refused(entry, "failed", error),
            (Some(Ending::Settled { is_earlier, .. }), Some(record)) => {
                settled(entry, record, *is_earlier)
            }
            // Its outcome stands; what is not finished is its callback.
            (None, Some(record)) if record.is_final() => settled(entry, record, false),
            _ => waiting(entry, tally.waiting.get(key).map(|waiting| &waiting.reason)),
        },
    }
}

fn head(entry: &Entry, status: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("line".to_owned(), entry.line.into());
    line.insert("status".to_owned(), status.into());
    if let Some(id) = &entry.id {
        line.insert("id".to_owned(), id.as_str().into());
    }
    if let Some(tool) = &entry.tool {
        line.insert("tool".to_owned(), tool.as_str().into());
    }
    if let Some(metadata) = entry.metadata() {
        line.insert("metadata".to_owned(), metadata);
    }
    line
}

impl Entry {
    fn metadata(&self) -> Option<Value> {
        serde_json::from_str(self.metadata.as_deref()?).ok()
    }
}

fn refused(entry: &Entry, status: &str, error: &JobError) -> Map<String, Value> {
    let mut line = head(entry, status);
    line.insert("error".to_owned(), error_data(error));
    line
}

fn waiting(entry: &Entry, reason: Option<&JobError>) -> Map<String, Value> {
    match reason {
        Some(reason) => refused(entry, "waiting", reason),
        None => head(entry, "waiting"),
    }
}

fn settled(entry: &Entry, record: &Record, is_earlier: bool) -> Map<String, Value> {
    let status = match record.state {
        State::Done(_) => "succeeded",
        State::Failed(_) => "failed",
        State::Held(_) => "held",
        State::Cancelled => "cancelled",
        State::Running { .. } | State::Retry(_) => "waiting",
    };
    let mut line = head(entry, status);
    // What is handed through is this file's own.
    line.extend(data(record).into_iter().filter(|(name, _)| name != "metadata"));
    let untold = record.callback.as_ref().filter(|slot| slot.state != CallbackState::Sent);
    if let Some(slot) = untold {
        line.insert("callback".to_owned(), slot.state.name().into());
    }
    if is_earlier {
        line.insert("already_done".to_owned(), true.into());
    }
    line
}
