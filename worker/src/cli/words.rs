//! Words that people read.

use crate::{lease::Usage, text::is_command};

/// A count with its noun, or with what is said of it: one job, two jobs.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A text of somebody else's, without what could command the terminal.
pub(super) fn on_one_line(text: &str) -> String {
    text.replace(is_command, " ")
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
    fn what_commands_a_terminal_or_turns_what_is_read_is_left_out() {
        assert_eq!(on_one_line("a\n\u{1b}[2Jb\u{202e}c\u{2066}d"), "a  [2Jb c d");
    }

    #[test]
    fn one_is_told_as_one() {
        let told = |count| counted(count, "job waits", "jobs wait");
        assert_eq!([told(0), told(1), told(2)], ["0 jobs wait", "1 job waits", "2 jobs wait"]);
    }
}
