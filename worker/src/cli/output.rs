//! Where results go: standard output, a device or a pipe, or a file that appears whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
};

/// An output that is being written.
pub(super) enum Output {
    Stdout(BufWriter<Stdout>),
    /// A device or a named pipe: nothing may take its place.
    Device(BufWriter<File>),
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
        let is_there = fs::metadata(path);
        if is_there.as_ref().is_ok_and(|it| !it.is_file() && !it.is_dir()) {
            let device = File::options().write(true).open(path)?;
            return Ok(Self::Device(BufWriter::new(device)));
        }
        // The file that a link leads to is replaced, not the link.
        let path = if is_there.is_ok() { fs::canonicalize(path)? } else { path.to_owned() };
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let beside = PathBuf::from(name);
        let file = BufWriter::new(File::create(&beside)?);
        Ok(Self::File(Partial { file, path, beside }))
    }

    /// Says before anything is paid whether that would work.
    pub(super) fn check(path: &Path) -> io::Result<()> {
        Self::create(path).map(drop)
    }

    /// Everything was written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match &self {
            Self::Stdout(_) | Self::Device(_) => Ok(()),
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
            Self::Device(device) => device.write(bytes),
            Self::File(partial) => partial.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Device(device) => device.flush(),
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

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, os::unix::fs::symlink, path::Path};

    use super::Output;

    fn write(path: &Path, text: &str) {
        let mut output = Output::create(path).unwrap();
        output.write_all(text.as_bytes()).unwrap();
        output.finish().unwrap();
    }

    #[test]
    fn a_device_stays_what_it_is() {
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("nowhere");
        symlink("/dev/null", &link).unwrap();

        write(&link, "a result");

        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn what_a_link_leads_to_is_written_and_the_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["results", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();

        write(&link, "new");

        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
