//! Which tools of a server jobs may call: their names, or beginnings of them.

/// A tool's name, or the beginning of one before a `*`.
#[derive(Debug)]
pub(super) enum Pattern {
    Name(String),
    Beginning(String),
}

impl Pattern {
    pub(super) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Name(this) => this == name,
            Self::Beginning(beginning) => name.starts_with(beginning),
        }
    }
}

pub(super) fn patterns(texts: Vec<String>, key: &str) -> Result<Vec<Pattern>, String> {
    let pattern = |text: String| match text.find('*') {
        None if !text.is_empty() => Ok(Pattern::Name(text)),
        Some(at) if at + 1 == text.len() => Ok(Pattern::Beginning(text[..at].to_owned())),
        _ => Err(format!(
            "{key}: expected names of tools, or beginnings like read_*, found “{text}”"
        )),
    };
    texts.into_iter().map(pattern).collect()
}
