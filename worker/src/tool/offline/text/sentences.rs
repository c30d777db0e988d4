//! Where one sentence ends and the next begins.
//!
//! Two passes, each over every character a bounded number of times: line breaks that end a
//! paragraph, a heading or a list item are told from those that only wrap a line; then each
//! paragraph is cut at its full stops, unless one belongs to an abbreviation or a number.

use super::is_stop_word;

/// A longer stretch without an end is no sentence but a table, a log or noise: it is cut.
const LONGEST_SENTENCE_BYTES: usize = 2_000;
/// Nobody wraps prose in fewer columns: shorter lines in a row are a list or verse.
const NARROWEST_WRAP: usize = 40;
/// Longer words are no abbreviations, and are not worth copying to find out.
const LONGEST_ABBREVIATION_BYTES: usize = 8;

const CLOSERS: &[char] = &['"', '\'', ')', ']', '}', '”', '’', '»', '」', '』', '）'];
const OPENERS: &[char] = &['"', '\'', '(', '[', '{', '“', '‘', '«', '¿', '¡', '*', '_', '—'];

/// A sentence goes on after these, whatever follows.
const NEVER_LAST: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "messrs", "mme", "st", "gen", "col", "lt", "capt", "cmdr",
    "sgt", "maj", "adm", "gov", "sen", "rep", "rev", "hon", "pres", "supt", "vs", "cf", "e.g",
    "i.e", "viz", "eg", "ie", "ft", "mt",
];
/// These are abbreviations before a number only: "No. 5", but "He said no."
const BEFORE_NUMBERS: &[&str] = &[
    "no", "nos", "vol", "vols", "fig", "figs", "p", "pp", "par", "sec", "art", "ch", "eq", "ver",
    "stat", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
];
/// These may end a sentence: they do when a word follows that often begins one.
const OFTEN_INSIDE: &[&str] = &[
    "jr", "sr", "inc", "ltd", "co", "corp", "bros", "dept", "etc", "al", "ph.d", "approx", "est",
    "ave", "blvd", "rd", "univ", "assn", "gov't",
];

/// The sentences, headings and list items of a text, in its order: trimmed, otherwise as they
/// stand there, wrapped lines included. What has no letter, digit or symbol is left out.
pub(in super::super) fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for paragraph in blocks(text).into_iter().flat_map(paragraphs) {
        split_paragraph(paragraph, &mut found);
    }
    found
}

/// The text between blank lines.
fn blocks(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            found.extend(text.get(start..at).filter(|block| !block.is_empty()));
            start = at + line.len();
        }
        at += line.len();
    }
    found.extend(text.get(start..));
    found
}

/// The parts of a block within which a line break is only a wrap.
fn paragraphs(block: &str) -> Vec<&str> {
    let width = block.lines().map(columns).max().unwrap_or(0);
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    let mut lines = block.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        at += line.len();
        if lines.peek().is_none_or(|next| !is_wrapped(line, next, width)) {
            found.extend(block.get(start..at));
            start = at;
        }
    }
    found
}

fn columns(line: &str) -> usize {
    line.trim_end().chars().count()
}

/// A line was wrapped if the next one goes on in lower case, or begins with a word for which
/// there was no room left.
fn is_wrapped(line: &str, next: &str, width: usize) -> bool {
    let first = next.split_whitespace().next().unwrap_or_default();
    if is_list_marker(first) || line.trim_start().starts_with('#') {
        return false;
    }
    let no_room = columns(line) + 1 + columns(first) > width;
    first.starts_with(char::is_lowercase) || (width >= NARROWEST_WRAP && no_room)
}

fn is_list_marker(word: &str) -> bool {
    let number = word.strip_suffix(['.', ')']);
    let is_numbered = number.is_some_and(|n| n.len() < 3 && n.bytes().all(|b| b.is_ascii_digit()));
    is_numbered || ["-", "*", "•", "–"].contains(&word)
}

fn split_paragraph<'t>(untrimmed: &'t str, found: &mut Vec<&'t str>) {
    let paragraph = untrimmed.trim();
    let (mut start, mut read) = (0, 0);
    for (at, mark) in paragraph.char_indices() {
        if at < read || !is_end_mark(mark) {
            continue;
        }
        read = at + paragraph.get(at..).map_or(0, length_of_marks);
        let before = paragraph.get(start..at).unwrap_or_default();
        let after = paragraph.get(read..).unwrap_or_default();
        if ends_sentence(before, mark, after) {
            push_bounded(paragraph.get(start..read).unwrap_or_default(), found);
            start = paragraph.len() - after.trim_start().len();
        }
    }
    push_bounded(paragraph.get(start..).unwrap_or_default(), found);
}

fn is_end_mark(letter: char) -> bool {
    matches!(letter, '.' | '!' | '?' | '…' | '؟' | '۔' | '።' | '։') || needs_no_space(letter)
}

/// End marks of scripts that put no space after them.
fn needs_no_space(mark: char) -> bool {
    matches!(mark, '。' | '！' | '？' | '｡' | '।' | '॥')
}

/// How far `?!"`, `.)`, `...` and `. . .` reach, in bytes.
fn length_of_marks(marks: &str) -> usize {
    let mut rest = marks;
    loop {
        rest = rest.trim_start_matches(|c: char| is_end_mark(c) || CLOSERS.contains(&c));
        let Some(next_dot) = rest.strip_prefix(" .") else { break };
        rest = next_dot;
    }
    marks.len() - rest.len()
}

fn ends_sentence(before: &str, mark: char, after: &str) -> bool {
    let rest = after.trim_start();
    if rest.is_empty() || needs_no_space(mark) {
        return true;
    }
    let next = rest.trim_start_matches(OPENERS);
    let has_space = rest.len() < after.len();
    has_space
        && !next.starts_with(char::is_lowercase)
        && !(mark == '.' && is_abbreviation(before, next))
}

fn is_abbreviation(before: &str, next: &str) -> bool {
    let last = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = last.trim_start_matches(OPENERS);
    if word.is_empty() || word.len() > LONGEST_ABBREVIATION_BYTES {
        return false;
    }
    let lowercase = word.to_lowercase();
    let known = |list: &[&str]| list.contains(&lowercase.as_str());
    let is_first = before.len() == last.len();
    (is_first && is_numbering(word))
        || known(NEVER_LAST)
        || (known(BEFORE_NUMBERS) && next.starts_with(|c: char| c.is_ascii_digit()))
        || ((known(OFTEN_INSIDE) || is_initials(word)) && !begins_sentence(next))
}

/// "3." or "IV." at the very beginning numbers what follows.
fn is_numbering(word: &str) -> bool {
    let digits = word.len() < 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    digits || word.bytes().all(|byte| b"IVX".contains(&byte))
}

/// "J", "U.S" or "a.m", but not "I", which is a pronoun more often.
fn is_initials(word: &str) -> bool {
    let is_letter = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
    };
    word != "I" && word.split('.').all(is_letter)
}

/// Whether the text goes on with a word such as "The" or "It", seldom part of a name.
fn begins_sentence(next: &str) -> bool {
    let first = next.split_whitespace().next().unwrap_or_default();
    let word = first.trim_end_matches([',', ';', ':']);
    word.len() <= LONGEST_ABBREVIATION_BYTES && is_stop_word(&word.to_lowercase())
}

fn push_bounded<'t>(sentence: &'t str, found: &mut Vec<&'t str>) {
    let mut rest = sentence.trim();
    while rest.len() > LONGEST_SENTENCE_BYTES {
        let limit = rest.floor_char_boundary(LONGEST_SENTENCE_BYTES);
        let head = rest.get(..limit).unwrap_or_default();
        let cut = head.rfind(char::is_whitespace).filter(|cut| *cut > 0).unwrap_or(limit);
        let (piece, tail) = rest.split_at_checked(cut).unwrap_or((rest, ""));
        found.extend(Some(piece.trim()).filter(|piece| says_something(piece)));
        rest = tail.trim_start();
    }
    found.extend(Some(rest).filter(|rest| says_something(rest)));
}

fn says_something(sentence: &str) -> bool {
    let is_mute = |c: char| c.is_whitespace() || c.is_control() || c.is_ascii_punctuation();
    !sentence.chars().all(is_mute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_initials_and_latin_do_not_end_a_sentence() {
        let text = "Mr. J. F. Lee met Dr. Wu, e.g. at St. Paul. They spoke.";
        assert_eq!(sentences(text), ["Mr. J. F. Lee met Dr. Wu, e.g. at St. Paul.", "They spoke."]);
    }

    #[test]
    fn an_abbreviation_ends_a_sentence_when_a_common_opening_word_follows() {
        let text = "He came to the U.S. The U.S. Senate met at 9 a.m. It sat till noon.";
        assert_eq!(
            sentences(text),
            ["He came to the U.S.", "The U.S. Senate met at 9 a.m.", "It sat till noon."]
        );
    }

    #[test]
    fn decimals_versions_and_hosts_stay_whole() {
        let text = "Revenue rose 3.4% to $1.2 million on example.com. Version 2.0.1 helped.";
        assert_eq!(sentences(text).len(), 2);
        assert_eq!(sentences("See No. 5 of Jan. 3. He said no. Nobody asked.").len(), 3);
    }

    #[test]
    fn quotes_belong_to_the_sentence_they_close() {
        let text = "“Is it so?” he asked. \"It is.\" She left (at last). Then (quietly) he did.";
        assert_eq!(
            sentences(text),
            [
                "“Is it so?” he asked.",
                "\"It is.\"",
                "She left (at last).",
                "Then (quietly) he did."
            ]
        );
    }

    #[test]
    fn runs_of_marks_and_spaced_dots_end_one_sentence() {
        let text = "What?! It goes on . . . . Then it ends... Or does it…";
        assert_eq!(
            sentences(text),
            ["What?!", "It goes on . . . .", "Then it ends...", "Or does it…"]
        );
    }

    #[test]
    fn a_wrapped_line_goes_on_and_a_heading_does_not() {
        let text = "The Report\nThe committee met on Tuesday in the old hall of\nWestminster and \
                    heard the witnesses in private.\nNobody spoke for long.\n\n# Next\nMore";
        assert_eq!(
            sentences(text),
            [
                "The Report",
                "The committee met on Tuesday in the old hall of\nWestminster and heard the \
                 witnesses in private.",
                "Nobody spoke for long.",
                "# Next",
                "More"
            ]
        );
    }

    #[test]
    fn list_items_are_apart_and_keep_their_numbers() {
        let text = "Please bring:\n1. Bread. Not toast.\n2. Milk\n- salt\r\n\r\n* pepper";
        assert_eq!(
            sentences(text),
            ["Please bring:", "1. Bread.", "Not toast.", "2. Milk", "- salt", "* pepper"]
        );
    }

    #[test]
    fn other_scripts_end_sentences_with_their_own_marks() {
        assert_eq!(sentences("今日は晴れ。明日は雨！").len(), 2);
        assert_eq!(sentences("यह एक है। यह दो है।").len(), 2);
        assert_eq!(sentences("هل هذا صحيح؟ نعم.").len(), 2);
    }

    #[test]
    fn a_stretch_without_end_is_cut_into_pieces_of_bounded_size() {
        for text in ["a".repeat(1 << 20), "word ".repeat(1 << 18), "é日".repeat(1 << 17)] {
            let found = sentences(&text);
            assert!(found.iter().all(|s| s.len() <= LONGEST_SENTENCE_BYTES && !s.is_empty()));
            assert!(found.len() <= text.len() / (LONGEST_SENTENCE_BYTES / 2));
        }
    }

    #[test]
    fn text_that_says_nothing_has_no_sentences() {
        for text in ["", " \n\n\t", "\0\0\0", "--- *** ...", "\r\n\r\n. . ."] {
            assert!(sentences(text).is_empty(), "{text:?}");
        }
    }
}
