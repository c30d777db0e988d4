//! The rows of a file, whatever it holds, and the file that can be read twice.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    csv::Table,
    draft::{Defaults, Drafts},
    mapping::Mapping,
};
use crate::{cli::input::Items, error::JobError, job::InvalidJob};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One job a line, or an array of them.
    Jsonl,
    /// One job a row, below the names of the columns.
    Csv,
}

/// One row, not judged yet.
pub(super) struct Row {
    /// The line it begins on, from 1.
    pub(super) line: u64,
    /// A job's text, perhaps without all that it needs, or why it cannot be one.
    pub(super) text: Result<Bytes, JobError>,
}

/// A file that is read twice: to judge it, and to send it.
pub(super) struct Source {
    file: File,
    mapping: Option<Mapping>,
}

impl Source {
    /// Opens the file. Standard input is kept in a temporary one, since it comes once.
    pub(super) fn open(path: &Path, mapping: Option<Mapping>) -> io::Result<Self> {
        let file = match path == Path::new("-") {
            true => {
                let mut kept = tempfile::tempfile()?;
                io::copy(&mut io::stdin().lock(), &mut kept)?;
                kept
            }
            false => File::open(path)?,
        };
        if file.metadata()?.is_dir() {
            return Err(io::Error::other("it is a folder; expected a file of jobs"));
        }
        Ok(Self { file, mapping })
    }

    /// All of its rows, from the beginning, made into jobs.
    pub(super) fn drafts(&self, defaults: &Defaults) -> anyhow::Result<Drafts> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        let digest = SharedDigest::default();
        let reader = Digesting { file, digest: digest.clone() };
        let reader = BufReader::with_capacity(64 * 1024, reader);
        let rows = match &self.mapping {
            None => Rows::Lines(Items::new(reader)?),
            Some(mapping) => Rows::Table(Box::new(Table::new(reader, mapping)?)),
        };
        Ok(Drafts::new(rows, defaults.clone(), digest))
    }
}

/// The rows of a file, in order.
pub(super) enum Rows {
    Lines(Items<BufReader<Digesting>>),
    Table(Box<Table<BufReader<Digesting>>>),
}

impl Iterator for Rows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        match self {
            Self::Table(table) => table.next().transpose(),
            Self::Lines(items) => items.next().map(|item| {
                let item = item?;
                let text = match item.is_whole() {
                    true => Ok(item.text.into()),
                    false => Err(InvalidJob::too_large(item.bytes).error()),
                };
                Ok(Row { line: item.line, text })
            }),
        }
    }
}

/// What was read of a file, as a digest.
#[derive(Clone, Default)]
pub(super) struct SharedDigest(Arc<Mutex<Sha256>>);

impl SharedDigest {
    pub(super) fn finish(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize().into()
    }
}

/// A file whose digest is taken as it is read.
pub(super) struct Digesting {
    file: File,
    digest: SharedDigest,
}

impl Read for Digesting {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes)?;
        let mut digest = self.digest.0.lock().unwrap_or_else(PoisonError::into_inner);
        digest.update(bytes.get(..read).unwrap_or_default());
        Ok(read)
    }
}
