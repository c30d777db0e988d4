//! What SQS takes as text: "A message can include only XML, JSON, and unformatted text. The
//! following Unicode characters are allowed. #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD |
//! #x10000 to #x10FFFF" (`SendMessage`, API reference).

/// Whether SQS takes the character.
pub(super) fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// The same text with a question mark for whatever SQS refuses; never longer.
pub(super) fn with_allowed_only(bytes: &[u8]) -> String {
    let allowed = |c| if is_allowed(c) { c } else { '?' };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().chars().map(allowed));
        text.extend((!chunk.invalid().is_empty()).then_some('?'));
    }
    text
}

/// The longest beginning of `text` that has at most `most` bytes.
pub(super) fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqs_refuses_becomes_a_question_mark_and_the_rest_stays() {
        assert_eq!(with_allowed_only("ä\t\r\n🦀\u{fffd}".as_bytes()), "ä\t\r\n🦀\u{fffd}");
        assert_eq!(with_allowed_only(b"a\0\x1b\xffb\xe2\x82"), "a???b?");
        assert_eq!(with_allowed_only("\u{fffe}\u{ffff}\u{7f}".as_bytes()), "??\u{7f}");
        let every: Vec<u8> = (0..=u8::MAX).collect();
        assert!(with_allowed_only(&every).len() <= every.len());
    }

    #[test]
    fn texts_are_shortened_between_characters() {
        assert_eq!([shortened("äö", 3), shortened("äö", 4), shortened("äö", 0)], ["ä", "äö", ""]);
    }
}
