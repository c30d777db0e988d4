//! Where results go: standard output, or a file that appears whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
};

/// An output that is being written.
pub(super) enum Output {
    Stdout(BufWriter<Stdout>),
    File(Partial),
}

/// A file under another name until it is finished; without that it is removed again.
pub(super) struct Partial {
    file: BufWriter<File>,
    path: PathBuf,
    beside: PathBuf,
}

impl Output {
    /// Begins to write; `-` is standard output.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let beside = PathBuf::from(name);
        let file = BufWriter::new(File::create(&beside)?);
        Ok(Self::File(Partial { file, path: path.to_owned(), beside }))
    }

    /// Says before anything is paid whether that would work.
    pub(super) fn check(path: &Path) -> io::Result<()> {
        Self::create(path).map(drop)
    }

    /// Everything was written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match &self {
            Self::Stdout(_) => Ok(()),
            Self::File(Partial { file, path, beside }) => {
                file.get_ref().sync_all()?;
                fs::rename(beside, path)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(partial) => partial.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(partial) => partial.file.flush(),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once it is finished there is nothing under that name.
        let _ = fs::remove_file(&self.beside);
    }
}
