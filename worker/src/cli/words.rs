//! Words that people read.

use crate::lease::Usage;

/// A count with its noun, or with what is said of it: one job, two jobs.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A text of somebody else's, without what could command the terminal.
pub(super) fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Dollars; with calls that told no cost just a lower bound, or unknown.
pub(super) fn cost(usage: &Usage) -> String {
    match (usage.cost_usd, usage.unpriced_calls) {
        (Some(usd), 0) => format!("${usd:.4}"),
        (Some(usd), _) => format!("≥ ${usd:.4}"),
        (None, 0) => "–".to_owned(),
        (None, _) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_as_one() {
        let told = |count| counted(count, "job waits", "jobs wait");
        assert_eq!([told(0), told(1), told(2)], ["0 jobs wait", "1 job waits", "2 jobs wait"]);
    }
}
