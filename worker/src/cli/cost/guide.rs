//! What the reference guide says of its own scenario, and what its own arithmetic comes to.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    forecast::{Line, Month, usd},
    prices::AwsPrices,
};

/// The model of its scenario.
pub(super) const MODEL: &str = "claude-sonnet-4-5";

/// The memory of its function.
pub(super) const MEMORY_GB: f64 = 0.5;

/// What it says that it logs in a month.
const LOGS_GB: f64 = 5.0;

/// A month of 12,000 queries, by part, as it says.
const CLAIMS: [(&str, f64); 6] = [
    ("Lambda, compute", 0.22),
    ("API Gateway", 0.012),
    ("CloudWatch Logs", 2.50),
    ("X-Ray, 5 %", 0.05),
    ("Secrets Manager", 0.40),
    ("LLM", 3.60),
];

/// Its sum.
const CLAIMED_USD: f64 = 6.78;

/// Its logs, of which it says how much they are.
pub(super) fn logs(aws: &AwsPrices) -> Line {
    Line {
        part: "CloudWatch Logs",
        usd: LOGS_GB * aws.logs_gb.usd,
        arithmetic: format!("{LOGS_GB} GB × ${}", aws.logs_gb.usd),
    }
}

/// Its figures, for programs.
pub(super) fn claims() -> Value {
    let lines = CLAIMS.map(|(part, usd)| json!({"part": part, "usd": usd}));
    json!({"lines": lines, "usd": CLAIMED_USD})
}

/// Its figures beside what they come to.
pub(super) fn table(month: &Month) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([month.way, "the guide", "USD a month", "arithmetic"]);
    for line in &month.lines {
        let claim = CLAIMS.iter().find(|(part, _)| *part == line.part);
        let claim = claim.map_or_else(|| "–".to_owned(), |(_, claim)| usd(*claim));
        table.add_row([line.part, &claim, &usd(line.usd), &line.arithmetic]);
    }
    let by_1000 = format!("${:.4} by 1,000 jobs", month.usd_by_1000_jobs);
    table.add_row(["in all", &usd(CLAIMED_USD), &usd(month.usd), &by_1000]);
    for index in [1, 2] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
