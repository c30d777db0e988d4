//! Which column of a CSV file becomes which field of a job.

use std::str::FromStr;

use anyhow::bail;
use serde_json::{Map, Value};

/// How CSV is read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "CSV")]
pub(super) struct CsvArgs {
    /// The column that a field of the input comes from, as text; FIELD:json=COLUMN reads its cells
    /// as JSON: numbers, lists. May be given several times [default: every column not used
    /// otherwise, under its own name].
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    maps: Vec<Field>,

    /// Fields of every input, a JSON object; those of the columns go before them.
    #[arg(long, value_name = "JSON", value_parser = object)]
    input: Option<Map<String, Value>>,

    /// The column with the jobs' ids [default: they are made of what is called].
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,

    /// A column that is handed back with the outcome; may be given several times.
    #[arg(long, value_name = "COLUMN")]
    metadata: Vec<String>,

    /// What stands between the cells [default: a comma].
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
}

/// One field of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) kind: Kind,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Json,
}

/// The columns that were asked for.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    /// None: all that are left.
    pub(super) fields: Vec<Field>,
    pub(super) input: Map<String, Value>,
    pub(super) id: Option<String>,
    pub(super) metadata: Vec<String>,
    /// A comma, if nobody said so.
    pub(super) delimiter: Option<u8>,
}

impl Field {
    /// A column that is a field under its own name.
    pub(super) fn of_column(name: &str) -> Self {
        Self { name: name.to_owned(), column: name.to_owned(), kind: Kind::Text }
    }
}

impl FromStr for Field {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let expected = "expected FIELD=COLUMN, or FIELD:json=COLUMN";
        let (name, column) = text.split_once('=').ok_or(expected)?;
        let (name, kind) = match name.strip_suffix(":json") {
            Some(name) => (name, Kind::Json),
            None => (name, Kind::Text),
        };
        if name.is_empty() || column.is_empty() {
            return Err(expected);
        }
        Ok(Self { name: name.to_owned(), column: column.to_owned(), kind })
    }
}

fn object(text: &str) -> Result<Map<String, Value>, &'static str> {
    serde_json::from_str(text).map_err(|_| "expected a JSON object")
}

fn delimiter(text: &str) -> Result<u8, &'static str> {
    match (text, text.as_bytes()) {
        ("\\t" | "tab", _) => Ok(b'\t'),
        (_, [byte]) if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err("expected one ASCII character, such as ; or tab"),
    }
}

impl CsvArgs {
    /// Whether anything was asked for.
    pub(super) fn is_used(&self) -> bool {
        let Self { maps, input, id_column, metadata, delimiter } = self;
        !maps.is_empty()
            || input.is_some()
            || id_column.is_some()
            || !metadata.is_empty()
            || delimiter.is_some()
    }

    pub(super) fn mapping(&self) -> anyhow::Result<Mapping> {
        for (place, field) in self.maps.iter().enumerate() {
            if self.maps.iter().take(place).any(|earlier| earlier.name == field.name) {
                bail!("--map: expected one column for each field, found two for {}", field.name);
            }
        }
        Ok(Mapping {
            fields: self.maps.clone(),
            input: self.input.clone().unwrap_or_default(),
            id: self.id_column.clone(),
            metadata: self.metadata.clone(),
            delimiter: self.delimiter,
        })
    }
}
