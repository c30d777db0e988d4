//! The files of jobs.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::json;

/// Writes `count` jobs, each with a text of its own of `text_bytes`.
pub(crate) fn write(path: &Path, count: usize, text_bytes: usize) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..count {
        let sentence = format!("This is sentence after sentence of text {number}. ");
        let text: String = sentence.chars().cycle().take(text_bytes).collect();
        let id = format!("job-{number:06}");
        writeln!(file, "{}", json!({"id": id, "tool": "summarize", "input": {"text": text}}))?;
    }
    file.flush()
}
