//! CSV taken apart: records of bounded size, each made into the text of a job by its mapping.

use std::{
    io::{self, BufRead},
    iter,
};

use anyhow::{Context, bail};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::{
    mapping::{Field, Kind, Mapping},
    rows::Row,
};
use crate::{
    cli::input::skip_byte_order_mark,
    error::{ErrorClass, JobError},
    job::MAX_BODY_BYTES,
};

/// The longest record, in bytes of its cells: a job has no more, and what it hands back.
const MAX_RECORD_BYTES: usize = 2 * MAX_BODY_BYTES;

/// The most cells of a record.
const MAX_CELLS: usize = 4_096;

/// The records of a file, in order.
struct Records<R> {
    reader: R,
    core: Reader,
    line: u64,
    /// The cells' bytes, one after another, and where each of them ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// One record.
struct Record {
    /// The line it begins on, from 1.
    line: u64,
    /// What is wrong with it: a quote that is not closed, too long, or not UTF-8.
    cells: Result<Vec<String>, JobError>,
}

impl<R: BufRead> Records<R> {
    fn new(mut reader: R, delimiter: u8) -> io::Result<Self> {
        skip_byte_order_mark(&mut reader)?;
        let core = ReaderBuilder::new().delimiter(delimiter).build();
        let (bytes, ends) = (vec![0; 64 * 1024], vec![0; 64]);
        Ok(Self { reader, core, line: 1, bytes, ends })
    }

    fn next(&mut self) -> io::Result<Option<Record>> {
        self.skip_line_ends()?;
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let (mut filled, mut cells, mut is_whole) = (0, 0, true);
        loop {
            let input = self.reader.fill_buf()?;
            // The last record need not end its line. An end of input would also end a quote, and with it a cell that
            // took all rows behind it; a line's end does not.
            let is_end = input.is_empty();
            let input = if is_end { b"\n".as_slice() } else { input };
            let (bytes, ends) = (self.bytes.get_mut(filled..), self.ends.get_mut(cells..));
            let (bytes, ends) = (bytes.unwrap_or_default(), ends.unwrap_or_default());
            let (result, read, written, ended) = self.core.read_record(input, bytes, ends);
            let lines = input.iter().take(read).filter(|byte| **byte == b'\n').count();
            self.line += lines as u64;
            self.reader.consume(if is_end { 0 } else { read });
            (filled, cells) = (filled + written, cells + ended);
            match result {
                ReadRecordResult::InputEmpty if is_end => {
                    let cells = Err(if is_whole { unclosed() } else { too_long() });
                    return Ok(Some(Record { line, cells }));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if filled < MAX_RECORD_BYTES => {
                    self.bytes.resize((2 * filled).min(MAX_RECORD_BYTES), 0);
                }
                ReadRecordResult::OutputEndsFull if cells < MAX_CELLS => {
                    self.ends.resize((2 * cells).min(MAX_CELLS), 0);
                }
                // What is too much is read to its end, and not kept.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (filled, cells, is_whole) = (0, 0, false);
                }
                ReadRecordResult::Record => {
                    let cells = if is_whole { self.cells(cells) } else { Err(too_long()) };
                    return Ok(Some(Record { line, cells }));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Empty lines are no records.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        while let Some(byte @ (b'\n' | b'\r')) = self.reader.fill_buf()?.first() {
            self.line += u64::from(*byte == b'\n');
            self.reader.consume(1);
        }
        Ok(())
    }

    fn cells(&self, count: usize) -> Result<Vec<String>, JobError> {
        let ends = self.ends.iter().take(count).copied();
        let starts = iter::once(0).chain(ends.clone());
        let cell = |(start, end)| {
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            str::from_utf8(bytes).map(str::to_owned)
        };
        let cells: Result<_, _> = starts.zip(ends).map(cell).collect();
        cells.map_err(|_| invalid("not_utf8", "expected UTF-8, found another text encoding"))
    }
}

fn unclosed() -> JobError {
    let message = "expected a closing quote, found the end of the file: a quote that this row opens takes all \
                   that is behind it";
    invalid("unclosed_quote", message)
}

fn too_long() -> JobError {
    let message = format!(
        "expected at most {MAX_RECORD_BYTES} bytes and {MAX_CELLS} cells, found more: is a \
         closing quote missing?"
    );
    invalid("too_large", message)
}

fn invalid(code: &'static str, message: impl Into<String>) -> JobError {
    JobError::new(ErrorClass::Invalid, code, message)
}

/// The jobs of a file, in order.
pub(super) struct Table<R> {
    records: Records<R>,
    columns: usize,
    id: Option<usize>,
    fields: Vec<(String, usize, Kind)>,
    metadata: Vec<(String, usize)>,
    input: Map<String, Value>,
}

impl<R: BufRead> Table<R> {
    /// Reads the names of the columns; one that is asked for and not there is an error.
    pub(super) fn new(reader: R, mapping: &Mapping) -> anyhow::Result<Self> {
        let mut records = Records::new(reader, mapping.delimiter.unwrap_or(b','))?;
        let Some(names) = records.next()? else {
            bail!("expected a first row with the names of the columns, found an empty file");
        };
        let names = names.cells.context("the row of names")?;
        let names: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
        if let ([only], None) = (&*names, mapping.delimiter)
            && only.contains([';', '\t', '|'])
        {
            bail!(
                "the only column is “{only}”; say by --delimiter what stands between the columns, and \
                 by --delimiter , that it is one"
            );
        }
        let column = |wanted: &str| column(&names, wanted);
        let id = mapping.id.as_deref().map(column).transpose()?;
        let metadata = mapping.metadata.iter().map(|name| Ok((name.clone(), column(name)?)));
        let metadata = metadata.collect::<anyhow::Result<Vec<_>>>()?;
        let is_used =
            |name: &String| mapping.id.as_ref() == Some(name) || mapping.metadata.contains(name);
        let mut fields = mapping.fields.clone();
        if fields.is_empty() {
            let left = names.iter().filter(|name| !is_used(name));
            fields.extend(left.map(|name| Field::of_column(name)));
        }
        let field = |Field { name, column: wanted, kind }| Ok((name, column(&wanted)?, kind));
        let fields = fields.into_iter().map(field).collect::<anyhow::Result<_>>()?;
        let input = mapping.input.clone();
        Ok(Self { records, columns: names.len(), id, fields, metadata, input })
    }

    /// The next row as the text of a job that lacks its tool.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let Some(Record { line, cells }) = self.records.next()? else { return Ok(None) };
        let text = cells.and_then(|cells| self.job(&cells));
        Ok(Some(Row { line, text: text.map(|job| Value::Object(job).to_string().into()) }))
    }

    fn job(&self, cells: &[String]) -> Result<Map<String, Value>, JobError> {
        if cells.len() != self.columns {
            let message = format!("expected {} cells, found {}", self.columns, cells.len());
            return Err(invalid("cells", message));
        }
        let cell = |place: usize| cells.get(place).map_or("", String::as_str);
        let mut job = Map::new();
        if let Some(place) = self.id {
            job.insert("id".to_owned(), cell(place).trim().into());
        }
        let mut input = self.input.clone();
        // An empty cell is a field that is left out.
        let given = self.fields.iter().filter(|(_, place, _)| !cell(*place).is_empty());
        for (name, place, kind) in given {
            input.insert(name.clone(), value(name, cell(*place), *kind)?);
        }
        job.insert("input".to_owned(), input.into());
        let metadata = self.metadata.iter();
        let metadata: Map<_, _> =
            metadata.map(|(name, place)| (name.clone(), cell(*place).into())).collect();
        if !metadata.is_empty() {
            job.insert("metadata".to_owned(), metadata.into());
        }
        Ok(job)
    }
}

fn value(name: &str, cell: &str, kind: Kind) -> Result<Value, JobError> {
    match kind {
        Kind::Text => Ok(cell.into()),
        Kind::Json => serde_json::from_str(cell).map_err(|_| {
            let field = format!("input.{name}");
            invalid("not_json", format!("{field}: expected JSON, found another text")).at(&field)
        }),
    }
}

/// The place of a column that there is once.
fn column(names: &[String], wanted: &str) -> anyhow::Result<usize> {
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted);
    match (found.next(), found.next()) {
        (Some((place, _)), None) => Ok(place),
        (None, _) => bail!("there is no column “{wanted}”; there are {}", names.join(", ")),
        (Some(_), Some(_)) => bail!("expected one column “{wanted}”, found several"),
    }
}
