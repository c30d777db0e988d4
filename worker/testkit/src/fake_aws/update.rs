//! Update expressions, where they only set and remove whole attributes.

use serde_json::value::RawValue;

use super::item::{Fields, Item, text};

/// What stands behind the placeholders of an expression.
pub(super) struct Placeholders<'a> {
    pub(super) names: Fields<'a>,
    pub(super) values: Fields<'a>,
}

impl<'a> Placeholders<'a> {
    /// The name of an attribute, which may stand there itself.
    fn name(&self, written: &'a str) -> Option<&'a str> {
        match written.starts_with('#') {
            true => text(self.names.get(written)?),
            false => Some(written),
        }
    }

    fn value(&self, written: &str) -> Option<&'a RawValue> {
        self.values.get(written).copied()
    }

    /// The expression with its names put in, as far as conditions are looked at.
    pub(super) fn spelled_out(&self, expression: &str) -> String {
        let names = self.names.iter().filter_map(|(written, name)| Some((written, text(name)?)));
        names.fold(expression.to_owned(), |spelled, (written, name)| spelled.replace(written, name))
    }
}

/// Applies `SET a = :v, …` and `REMOVE a, …`; leaves out what is computed.
pub(super) fn apply<'a>(item: &mut Item, expression: &'a str, placeholders: &Placeholders<'a>) {
    let words: Vec<&str> = words(expression).collect();
    let mut is_removing = false;
    for (at, word) in words.iter().enumerate() {
        match *word {
            "SET" | "ADD" | "DELETE" => is_removing = false,
            "REMOVE" => is_removing = true,
            name if is_removing => {
                placeholders.name(name).into_iter().for_each(|name| item.remove(name));
            }
            name => {
                if let Some(["=", value]) = words.get(at + 1..at + 3)
                    && let (Some(name), Some(value)) =
                        (placeholders.name(name), placeholders.value(value))
                {
                    item.set(name, value);
                }
            }
        }
    }
}

/// Names, placeholders, keywords and equals signs.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    let gap = |character: char| character.is_whitespace() || character == ',';
    expression.split(gap).filter(|word| !word.is_empty())
}
