//! A file that says how far something got, so that whoever was killed goes on from there: lines of JSON, one process's at a
//! time, of which one that was cut off in the middle is forgotten.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Seek, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The lines of a file that this process alone may write.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    file: File,
    /// The bytes of the whole lines; what follows goes with the next write.
    sound: u64,
}

/// Why a file cannot be used so.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It cannot be read or written.
    File(io::Error),
    /// Another process has it.
    Taken,
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl Lines {
    /// Takes the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, Unusable> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        // What it was asked for may hold what is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), file, sound: 0 }),
            Err(TryLockError::WouldBlock) => Err(Unusable::Taken),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands over each whole line. A file that is refused by that is left as it is.
    pub(crate) fn read<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = BufReader::new(&self.file);
        let (mut sound, mut text) = (0, String::new());
        while reader.read_line(&mut text)? > 0 && text.ends_with('\n') {
            each(&text)?;
            sound += text.len() as u64;
            text.clear();
        }
        self.sound = sound;
        Ok(())
    }

    /// Adds lines, in one write after the last whole one: a kill leaves each of them out, or whole. Durable on return.
    pub(crate) fn append<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.file.set_len(self.sound)?;
        self.file.seek(io::SeekFrom::Start(self.sound))?;
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        self.sound += text.len() as u64;
        Ok(())
    }

    /// Nothing is to be gone on with.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Result<(Lines, Vec<String>), Unusable> {
        let (mut lines, mut read) = (Lines::open(path)?, Vec::new());
        lines.read(|line| {
            read.push(line.trim_end().to_owned());
            io::Result::Ok(())
        })?;
        Ok((lines, read))
    }

    #[test]
    fn a_line_that_was_cut_off_is_forgotten_and_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let (mut first, _) = lines(&path).expect("a new one");
        first.append(&[1, 2]).expect("written");
        assert!(matches!(lines(&path), Err(Unusable::Taken)));
        drop(first);
        fs::write(&path, "1\n2\n{\"cut").expect("it is cut off");
        let (mut second, read) = lines(&path).expect("it is free");
        assert_eq!(read, ["1", "2"]);
        second.append(&[3]).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("lines"), "1\n2\n3\n");
        second.remove().expect("removed");
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_something_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letter");
        fs::write(&path, "Dear all,\nhello").expect("a file");
        let refused = Lines::open(&path)
            .expect("it is free")
            .read(|_| Err::<(), _>(io::Error::other("no journal")));
        assert!(refused.is_err());
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "Dear all,\nhello");
    }
}
