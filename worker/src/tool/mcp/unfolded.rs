//! How large a server's schema is once its references are followed: a few lines of them can be more
//! than any machine gets through.

use std::collections::HashMap;

use serde_json::Value;

/// The most parts of a schema with which inputs are checked here.
const MOST_PARTS: u64 = 100_000;

/// The most references that are followed one out of the other.
const MOST_REFERENCES: usize = 100;

/// Says why a schema must not be used, if it unfolds too far or into what cannot be followed.
pub(super) fn problem(schema: &Value) -> Option<String> {
    let mut walk = Walk { root: schema, targets: HashMap::new(), references: 0, is_foreign: false };
    let parts = walk.parts(schema, true);
    if walk.is_foreign {
        return Some("it refers to something else than a place in itself (#/…)".to_owned());
    }
    (parts > MOST_PARTS).then(|| {
        format!(
            "it unfolds into more than {MOST_PARTS} parts, or {MOST_REFERENCES} references deep"
        )
    })
}

struct Walk<'a> {
    root: &'a Value,
    /// Parts of what references point at; none yet of those that are being followed.
    targets: HashMap<&'a str, Option<u64>>,
    /// How many of those there are.
    references: usize,
    is_foreign: bool,
}

impl<'a> Walk<'a> {
    fn parts(&mut self, schema: &'a Value, is_root: bool) -> u64 {
        match schema {
            Value::Array(items) => items.iter().map(|item| self.parts(item, false)).sum_up(),
            Value::Object(members) => {
                // A name of its own gives the references in it another meaning.
                self.is_foreign |= !is_root && members.get("$id").is_some_and(Value::is_string);
                let inner = members.values().map(|member| self.parts(member, false)).sum_up();
                let references =
                    ["$ref", "$dynamicRef", "$recursiveRef"].map(|key| members.get(key));
                let targets = references.into_iter().flatten().filter_map(Value::as_str);
                let followed = targets.map(|target| self.followed(target)).sum_up();
                1_u64.saturating_add(inner).saturating_add(followed)
            }
            _ => 0,
        }
    }

    /// The parts behind a reference. One that leads back to itself goes as deep as the input.
    fn followed(&mut self, target: &'a str) -> u64 {
        if let Some(known) = self.targets.get(target) {
            return known.unwrap_or(0);
        }
        if self.references == MOST_REFERENCES {
            return u64::MAX;
        }
        let place = target.strip_prefix('#').filter(|it| it.is_empty() || it.starts_with('/'));
        let Some(place) = place.and_then(|place| self.root.pointer(place)) else {
            self.is_foreign = true;
            return 0;
        };
        self.targets.insert(target, None);
        self.references += 1;
        let parts = self.parts(place, std::ptr::eq(place, self.root));
        self.references -= 1;
        self.targets.insert(target, Some(parts));
        parts
    }
}

trait SumUp: Iterator<Item = u64> + Sized {
    fn sum_up(self) -> u64 {
        self.fold(0, u64::saturating_add)
    }
}

impl<I: Iterator<Item = u64>> SumUp for I {}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    /// Each definition asks for the next one twice.
    fn doubling(definitions: usize) -> Value {
        let mut defs = Map::new();
        for n in 0..definitions {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs.insert(format!("d{n}"), json!({"allOf": [next, next]}));
        }
        defs.insert(format!("d{definitions}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    }

    #[test]
    fn what_unfolds_for_ever_is_not_used() {
        assert_eq!(problem(&doubling(10)), None);
        let mut chain = doubling(0);
        for n in 0..50_000 {
            chain["$defs"][format!("d{n}")] = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        }
        chain["$defs"]["d50000"] = json!({});
        for schema in [doubling(17), doubling(60), doubling(300), chain] {
            let problem = problem(&schema).expect("too many");
            assert!(problem.contains("unfolds"), "{problem}");
        }
    }

    #[test]
    fn a_tree_that_holds_itself_is_no_larger_for_it() {
        for schema in [
            json!({}),
            json!(true),
            json!({"$ref": "#"}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
                   "$ref": "#/$defs/a"}),
            json!({"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"},
                                  "more": {"items": {"$ref": "#"}}}}),
            json!({"$id": "https://example.com/a", "$defs": {"a b": {}}, "$ref": "#/$defs/a b"}),
        ] {
            assert_eq!(problem(&schema), None, "{schema}");
        }
    }

    #[test]
    fn what_refers_elsewhere_is_not_followed() {
        for schema in [
            json!({"$ref": "https://example.com/a"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}}),
            json!({"$ref": "#/$defs/none"}),
            json!({"properties": {"a": {"$id": "other", "$ref": "#/$defs/a"}}}),
        ] {
            assert!(problem(&schema).is_some_and(|it| it.contains("refers")), "{schema}");
        }
    }
}
