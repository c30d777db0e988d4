//! What a replay has sent and not yet deleted, in a file: whoever was killed goes on from there.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LetterId;
use crate::{
    job::JobKey,
    journal::{Lines, Unusable},
};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{path}: the journal cannot be used: {error}; name another file by --journal")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has it.
    #[error(
        "{path}: another replay is at work with this journal; wait for it, or name another file by --journal"
    )]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// It tells of a replay of something else.
    #[error(
        "{path}: the journal of another replay, which was not finished: {began_as}; give its command again, or name \
         another file by --journal"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// What that replay was asked for.
        began_as: String,
    },
}

/// What a replay has sent.
#[derive(Debug)]
pub struct Journal {
    lines: Lines,
    letters: HashSet<LetterId>,
    jobs: HashSet<JobKey>,
}

/// A job that was sent for a letter.
#[derive(Deserialize, Serialize)]
struct Line {
    letter: String,
    job: String,
}

impl Journal {
    /// Begins a journal of the replay that is described so, or goes on with it.
    pub fn open(path: &Path, asked: &Value) -> Result<Self, JournalError> {
        let told = |error| JournalError::File { path: path.to_owned(), error };
        let lines = Lines::open(path).map_err(|unusable| match unusable {
            Unusable::Taken => JournalError::Taken { path: path.to_owned() },
            Unusable::File(error) => told(error),
        })?;
        let mut journal = Self { lines, letters: HashSet::new(), jobs: HashSet::new() };
        match journal.read().map_err(told)? {
            None => journal.lines.append(&[asked]).map_err(told)?,
            Some(began_as) if began_as == *asked => {}
            Some(began_as) => {
                let began_as = without_values(began_as).to_string();
                return Err(JournalError::Other { path: path.to_owned(), began_as });
            }
        }
        Ok(journal)
    }

    /// What stands there. A line that was cut off is forgotten: what it told of was not deleted.
    fn read(&mut self) -> io::Result<Option<Value>> {
        let Self { lines, letters, jobs } = self;
        let mut began_as = None;
        lines.read(|text| {
            if began_as.is_none() {
                began_as = Some(serde_json::from_str(text)?);
                return Ok(());
            }
            let line: Line = serde_json::from_str(text)?;
            letters.insert(LetterId(line.letter));
            jobs.extend(JobKey::from_hex(&line.job));
            io::Result::Ok(())
        })?;
        Ok(began_as)
    }

    /// Whether a job was sent for the letter.
    pub(super) fn has_letter(&self, letter: &LetterId) -> bool {
        self.letters.contains(letter)
    }

    /// Whether the job was sent, for whichever letter.
    pub(super) fn has_job(&self, job: JobKey) -> bool {
        self.jobs.contains(&job)
    }

    /// Notes that these were sent; durable when this returns.
    pub(super) fn note(&mut self, sent: &[(LetterId, JobKey)]) -> Result<(), JournalError> {
        let line = |(letter, job): &(LetterId, JobKey)| Line {
            letter: letter.0.clone(),
            job: job.to_string(),
        };
        let lines: Vec<Line> = sent.iter().map(line).collect();
        let written = self.lines.append(&lines);
        let path = || self.lines.path().to_owned();
        written.map_err(|error| JournalError::File { path: path(), error })?;
        self.letters.extend(sent.iter().map(|(letter, _)| letter.clone()));
        self.jobs.extend(sent.iter().map(|(_, job)| *job));
        Ok(())
    }

    /// The replay is over: nothing that was sent lies with the dead letters any more.
    pub fn finish(self) -> Result<(), JournalError> {
        let path = self.lines.path().to_owned();
        self.lines.remove().map_err(|error| JournalError::File { path, error })
    }
}

/// The description of a replay with the fields' paths alone: their values are jobs' inputs.
fn without_values(mut described: Value) -> Value {
    for place in ["/set", "/which/fields"] {
        let fields = described.pointer_mut(place).and_then(Value::as_array_mut);
        for field in fields.into_iter().flatten() {
            let text = field.as_str().unwrap_or_default();
            *field = text.split_once('=').map_or("", |(path, _)| path).into();
        }
    }
    described
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use serde_json::json;

    use super::*;
    use crate::job::Namespace;

    fn sent(n: usize) -> (LetterId, JobKey) {
        let id = format!("job-{n}").parse().expect("an id");
        (LetterId(format!("letter-{n}")), JobKey::of(&Namespace::default(), &id))
    }

    #[test]
    fn a_journal_that_was_cut_off_is_gone_on_with_and_that_of_another_replay_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let fields = json!(["input.name=Jane=Doe"]);
        let asked = json!({"source": "here", "set": fields, "which": {"fields": fields}});
        let mut journal = Journal::open(&path, &asked).expect("a new one");
        journal.note(&[sent(1), sent(2)]).expect("noted");
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&path).expect("a file").permissions();
            let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
            assert_eq!(mode & 0o777, 0o600, "the values are nobody else's business");
        }
        assert!(matches!(Journal::open(&path, &asked), Err(JournalError::Taken { .. })));
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).expect("the file");
        file.write_all(b"{\"letter\":\"letter-3\",\"jo").expect("a line that is cut off");

        let other = Journal::open(&path, &json!({"source": "there"}));
        let Err(error @ JournalError::Other { .. }) = other else { panic!("{other:?}") };
        let told = error.to_string();
        assert!(told.contains("here") && told.contains("input.name"), "{told}");
        assert!(!told.contains("Doe"), "{told}");
        let mut journal = Journal::open(&path, &asked).expect("the same one");
        assert!(journal.has_letter(&sent(2).0) && journal.has_job(sent(1).1));
        assert!(!journal.has_letter(&sent(3).0));
        journal.note(&[sent(3)]).expect("noted");
        drop(journal);
        let journal = Journal::open(&path, &asked).expect("the same one");
        assert!(journal.has_letter(&sent(3).0));
        journal.finish().expect("removed");
        assert!(!path.exists());
    }
}
