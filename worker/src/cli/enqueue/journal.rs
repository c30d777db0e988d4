//! How far the sending of a file got, so that it goes on from there after a kill: one line a group,
//! written when all of the group was answered. What was sent and not noted is sent again, under the
//! same ids.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufRead, BufReader, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Which file goes where, and as which jobs: what a journal is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// The version of the journal's lines.
    journal: u32,
    work: String,
}

/// What was done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SoFar {
    /// Jobs of the file that were answered, from the first on.
    pub(super) passed: u64,
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    /// Of those some: line and reason. In the journal, those that are new.
    pub(super) told: Vec<(u64, String)>,
}

/// A journal that nobody else writes.
pub(super) struct Journal {
    file: Option<(File, PathBuf)>,
    so_far: SoFar,
}

impl Work {
    pub(super) fn of(digest: &[u8; 32], place: &str, wishes: &str) -> Self {
        let mut hasher = Sha256::new_with_prefix(digest);
        for text in [place, wishes] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        Self { journal: 1, work: URL_SAFE_NO_PAD.encode(digest) }
    }
}

impl Journal {
    /// Takes up the journal at `path`, or begins it; with none, nothing is noted.
    pub(super) fn open(path: Option<&Path>, work: &Work, anew: bool) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, so_far: SoFar::default() }) };
        let named = || format!("--journal: {}", path.display());
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.with_context(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{}: another process is at it", named()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(named),
        }
        let read = if anew { None } else { read(&file).with_context(named)? };
        let (so_far, end) = match read {
            None => (SoFar::default(), 0),
            Some((found, so_far, end)) if found == *work => (so_far, end),
            Some(_) => bail!(
                "{}: it tells of another file, or of other options; --restart begins anew: what is \
                 sent a second time under the same ids is not paid again",
                named()
            ),
        };
        // A line that was being written when the process died is gone by that.
        file.set_len(end).with_context(named)?;
        file.seek(std::io::SeekFrom::End(0)).with_context(named)?;
        if end == 0 {
            write(&mut file, work).with_context(named)?;
        }
        Ok(Self { file: Some((file, path.to_owned())), so_far })
    }

    pub(super) fn so_far(&self) -> &SoFar {
        &self.so_far
    }

    /// Notes that a group was answered.
    pub(super) fn note(&mut self, so_far: &SoFar) -> anyhow::Result<()> {
        let known = self.so_far.told.len();
        let new = so_far.told.get(known..).unwrap_or_default().to_vec();
        if let Some((file, path)) = &mut self.file {
            let line = SoFar { told: new, ..so_far.clone() };
            write(file, &line).with_context(|| format!("--journal: {}", path.display()))?;
        }
        self.so_far = so_far.clone();
        Ok(())
    }

    /// All was sent: there is nothing to go on with.
    pub(super) fn close(self) -> anyhow::Result<()> {
        let Some((_, path)) = self.file else { return Ok(()) };
        fs::remove_file(&path).with_context(|| format!("--journal: {}", path.display()))
    }
}

/// A line in one write: a kill leaves it out, or whole, but for a full disk.
fn write(file: &mut File, line: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    Ok(file.write_all(text.as_bytes())?)
}

/// What a journal says, up to the end of its last whole line.
fn read(file: &File) -> anyhow::Result<Option<(Work, SoFar, u64)>> {
    let mut lines = BufReader::new(file);
    let (mut work, mut so_far, mut end) = (None, SoFar::default(), 0);
    loop {
        let mut line = String::new();
        let bytes = lines.read_line(&mut line).context("it is no journal")?;
        if !line.ends_with('\n') {
            return Ok(work.map(|work| (work, so_far, end)));
        }
        if work.is_none() {
            work = Some(serde_json::from_str(&line).context("it is no journal")?);
        } else {
            let noted: SoFar = serde_json::from_str(&line).context("it is no journal")?;
            let told = [so_far.told, noted.told.clone()].concat();
            so_far = SoFar { told, ..noted };
        }
        end += bytes as u64;
    }
}
