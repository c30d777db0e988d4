//! Who did what to which job, when and why: a line of JSON each, appended to a file. A line holds
//! hashes, never an input or a result.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::clock::UnixMs;

/// The audit file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the audit line cannot be written: {error}; name another file by --audit")]
pub struct AuditError {
    path: PathBuf,
    error: io::Error,
}

/// Who acts, and why.
#[derive(Clone, Debug, Serialize)]
pub struct By {
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

/// A file to which lines are appended; durable when that returns.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: File,
    by: By,
}

/// What every line tells.
#[derive(Serialize)]
struct Line<'a, T> {
    at: String,
    #[serde(flatten)]
    by: &'a By,
    #[serde(flatten)]
    what: &'a T,
}

impl Audit {
    /// Opens the file, or makes it.
    pub fn open(path: &Path, by: By) -> Result<Self, AuditError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| AuditError { path: path.to_owned(), error })?;
        Ok(Self { path: path.to_owned(), file, by })
    }

    /// Appends a line for each.
    pub fn append<T: Serialize>(&mut self, now: UnixMs, all: &[T]) -> Result<(), AuditError> {
        if all.is_empty() {
            return Ok(());
        }
        let written = self.write(now, all);
        written.map_err(|error| AuditError { path: self.path.clone(), error })
    }

    /// In one write: lines of several processes do not mix.
    fn write<T: Serialize>(&mut self, now: UnixMs, all: &[T]) -> io::Result<()> {
        let mut text = Vec::new();
        for what in all {
            serde_json::to_writer(&mut text, &Line { at: now.rfc3339(), by: &self.by, what })?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
    }
}
