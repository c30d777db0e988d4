//! What of somebody else's text may be shown.

/// Whether a character commands whoever shows it, instead of being shown: a control character, or one that turns the
/// order in which the others are read (Unicode Standard Annex 9, "Explicit Directional Formatting Characters").
pub(crate) fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
