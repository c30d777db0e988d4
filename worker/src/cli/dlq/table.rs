//! Groups of dead letters as people read them.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use crate::{
    cli::{SOME_FAILED, words::on_one_line},
    clock::UnixMs,
    dead_letter::{Age, Group, Kind, Survey},
};

/// What is said of a command that ended before its time.
pub(super) const GOES_ON: &str = "the same command goes on";

/// Columns of a table of groups.
pub(super) enum Columns {
    /// What they are.
    What,
    /// What a replay would do with them.
    Plan,
}

impl Columns {
    /// What they tell of a kind: groups that differ in nothing else are one row.
    fn told(&self, kind: &Kind) -> Kind {
        match self {
            Self::What => Kind { action: "", left_because: None, ..kind.clone() },
            Self::Plan => Kind { age: Age::Hour, ..kind.clone() },
        }
    }
}

/// A table with a row for each group.
fn table(groups: &[Group], columns: &Columns) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(match columns {
        Columns::What => ["letters", "class", "code", "tool", "dead for", "state", "for example"],
        Columns::Plan => ["letters", "action", "state", "class", "code", "tool", "for example"],
    });
    for group in groups {
        let kind = &group.kind;
        let class = kind.class.unwrap_or("none").to_owned();
        let code = kind.code.as_deref().map_or_else(none, on_one_line);
        let tool = kind.tool.as_deref().map_or_else(none, on_one_line);
        let state = kind.standing.as_str().to_owned();
        let letters = group.letters.to_string();
        let examples = on_one_line(&group.examples.join(", "));
        table.add_row(match columns {
            Columns::What => [letters, class, code, tool, age(kind.age), state, examples],
            Columns::Plan => {
                let action = match kind.left_because.filter(|why| *why != "standing") {
                    Some(why) => format!("{} ({why})", kind.action),
                    None => kind.action.to_owned(),
                };
                [letters, action, state, class, code, tool, examples]
            }
        });
    }
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn none() -> String {
    "–".to_owned()
}

fn age(age: Age) -> String {
    match age {
        Age::Hour => "< 1 h",
        Age::Day => "< 1 d",
        Age::Week => "< 7 d",
        Age::Older => "≥ 7 d",
    }
    .to_owned()
}

/// What the survey saw beside the groups, a line each.
fn remarks(survey: &Survey, limit: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    if survey.is_stopped {
        remarks.push(format!("Stopped: only {} letters were looked at.", survey.seen));
    }
    remarks.extend(survey.is_cut_off.then(|| cut_off(limit)));
    if survey.hidden > 0 {
        remarks.push(format!(
            "About {} more are hidden: somebody else looks at them, or was killed doing so.",
            survey.hidden
        ));
    }
    remarks
}

/// Why a replay leaves what it leaves, a line for each group.
fn problems(groups: &[Group]) -> impl Iterator<Item = String> {
    groups.iter().filter_map(|group| {
        let example = group.examples.first().map_or("", String::as_str);
        Some(on_one_line(&format!("{example} is left: {}", group.problem.as_deref()?)))
    })
}

/// All was seen, or not.
pub(super) fn exit_code(found: &Survey) -> ExitCode {
    if found.is_stopped { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS }
}

/// Prints what was found, and below it what follows from it, unless there is nothing.
pub(super) fn print(
    found: &Survey,
    columns: &Columns,
    limit: usize,
    conclusion: impl FnOnce(u64) -> Vec<String>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let groups = found.folded(|kind| columns.told(kind));
    match found.letters() {
        0 => eprintln!("{}", nothing_of(found.seen)),
        letters => {
            writeln!(out, "{}", table(&groups, columns))?;
            conclusion(letters).iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    // Only a replay leaves anything.
    let left = matches!(columns, Columns::Plan).then(|| problems(&groups));
    let lines = remarks(found, limit).into_iter().chain(left.into_iter().flatten());
    lines.into_iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// What is said where none of so many letters is meant.
pub(super) fn nothing_of(seen: usize) -> String {
    match seen {
        0 => "No dead letters.".to_owned(),
        seen => format!("No dead letters that are meant, of {seen} that were looked at."),
    }
}

/// A count below others.
pub(super) fn row(count: u64, one: &str, many: &str) -> String {
    format!("{count:>8}  {}", if count == 1 { one } else { many })
}

/// What is said of letters that something did not get to see: those beyond the limit, if it was reached, and those
/// that somebody else hides.
pub(super) fn unseen(limit: Option<usize>, hidden: usize) -> Vec<String> {
    let hidden = (hidden > 0).then(|| {
        format!("About {hidden} more are hidden by somebody else; the same command looks again.")
    });
    limit.map(cut_off).into_iter().chain(hidden).collect()
}

/// What is said where no more letters were looked at.
fn cut_off(limit: usize) -> String {
    format!("Only {limit} letters were looked at: there may be more (--limit).")
}

/// The same as one JSON object.
pub(super) fn as_json(survey: &Survey) -> Value {
    json!({
        "seen": survey.seen,
        "letters": survey.letters(),
        "is_cut_off": survey.is_cut_off,
        "is_stopped": survey.is_stopped,
        "hidden": survey.hidden,
        "groups": survey.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn group(group: &Group) -> Value {
    let mut value = serde_json::to_value(group).unwrap_or_default();
    value["oldest"] = UnixMs::rfc3339(group.oldest).into();
    value["latest"] = UnixMs::rfc3339(group.latest).into();
    value
}
