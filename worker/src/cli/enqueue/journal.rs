//! How far the sending of a file got, so that it goes on from there after a kill: one line a group,
//! written when all of the group was answered. What was sent and not noted is sent again, under the
//! same ids.

use std::path::Path;

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::journal::{Lines, Unusable};

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
    lines: Option<Lines>,
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
        let Some(path) = path else { return Ok(Self { lines: None, so_far: SoFar::default() }) };
        let named = || format!("--journal: {}", path.display());
        let mut lines = match Lines::open(path) {
            Ok(lines) => lines,
            Err(Unusable::Taken) => bail!("{}: another process is at it", named()),
            Err(Unusable::File(error)) => return Err(error).with_context(named),
        };
        let found = if anew { None } else { read(&mut lines).with_context(named)? };
        let so_far = match found {
            None => {
                lines.append(&[work]).with_context(named)?;
                SoFar::default()
            }
            Some((found, so_far)) if found == *work => so_far,
            Some(_) => bail!(
                "{}: it tells of another file, or of other options; --restart begins anew: what is \
                 sent a second time under the same ids is not paid again",
                named()
            ),
        };
        Ok(Self { lines: Some(lines), so_far })
    }

    pub(super) fn so_far(&self) -> &SoFar {
        &self.so_far
    }

    /// Notes that a group was answered.
    pub(super) fn note(&mut self, so_far: &SoFar) -> anyhow::Result<()> {
        let known = self.so_far.told.len();
        let new = so_far.told.get(known..).unwrap_or_default().to_vec();
        if let Some(lines) = &mut self.lines {
            let written = lines.append(&[SoFar { told: new, ..so_far.clone() }]);
            written.with_context(|| format!("--journal: {}", lines.path().display()))?;
        }
        self.so_far = so_far.clone();
        Ok(())
    }

    /// There is nothing to go on with.
    pub(super) fn close(self) -> anyhow::Result<()> {
        let Some(lines) = self.lines else { return Ok(()) };
        let named = format!("--journal: {}", lines.path().display());
        lines.remove().context(named)
    }
}

/// What a journal says.
fn read(lines: &mut Lines) -> anyhow::Result<Option<(Work, SoFar)>> {
    let mut found: Option<(Work, SoFar)> = None;
    let read = lines.read(|line| {
        found = Some(match found.take() {
            None => (serde_json::from_str(line)?, SoFar::default()),
            Some((work, so_far)) => {
                let noted: SoFar = serde_json::from_str(line)?;
                let told = [so_far.told, noted.told.clone()].concat();
                (work, SoFar { told, ..noted })
            }
        });
        anyhow::Ok(())
    });
    read.context("it is no journal")?;
    Ok(found)
}
