//! Where settings come from, and what is said about one that cannot be used.

use std::{collections::HashMap, env, fmt, ops::RangeInclusive, str::FromStr};

use crate::secret::Values;

/// A setting that cannot be used. A secret's value is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("{name}: expected {expected}, found {found}")]
pub struct ConfigError {
    pub(super) name: String,
    pub(super) expected: String,
    pub(super) found: String,
}

/// Where settings come from: what the secret says, else what was typed, else the environment.
#[derive(Clone, Default)]
pub struct Source {
    secret: Values,
    typed: HashMap<&'static str, String>,
    environment: HashMap<String, String>,
}

/// Where a setting was found.
#[derive(Clone, Copy)]
enum Place {
    Secret,
    Typed,
    Environment,
}

impl Source {
    /// The process's environment, with nothing typed.
    pub fn from_env() -> Self {
        Self::of(env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// These variables, with nothing typed.
    pub fn of(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { environment: environment.into_iter().collect(), ..Self::default() }
    }

    /// The same with a flag's value in place of the variable's.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.typed.insert(name, value.to_string());
        }
        self
    }

    /// The same under other values of the secret, which go before all else.
    #[must_use]
    pub fn under(&self, secret: Values) -> Self {
        Self { secret, ..self.clone() }
    }

    /// What the secret says.
    pub(crate) fn secret_values(&self) -> &Values {
        &self.secret
    }

    /// The setting's text; an empty one is as good as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|(text, _)| text)
    }

    fn find(&self, name: &str) -> Option<(&str, Place)> {
        self.given(name).find(|(text, _)| !text.is_empty())
    }

    /// Every place that says something of a setting, be it nothing, the first that holds first.
    fn given(&self, name: &str) -> impl Iterator<Item = (&str, Place)> {
        let places = [
            (self.secret.get(name), Place::Secret),
            (self.typed.get(name).map(String::as_str), Place::Typed),
            (self.environment.get(name).map(String::as_str), Place::Environment),
        ];
        places.into_iter().filter_map(|(text, place)| Some((text?, place)))
    }

    /// Refuses a setting that is given as an empty text, where that would be as bad as it is easily
    /// overlooked: none at all has to be meant.
    pub(super) fn refuse_empty(
        &self,
        name: &'static str,
        expected: &str,
    ) -> Result<(), ConfigError> {
        match self.given(name).next() {
            Some(("", place)) => Err(ConfigError {
                name: place.shown(name),
                expected: expected.to_owned(),
                found: "an empty text".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn parse<T>(
        &self,
        name: &'static str,
        expected: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((text, place)) = self.find(name) else { return Ok(None) };
        let found = match place {
            Place::Secret => "something else".to_owned(),
            Place::Typed | Place::Environment => format!("“{text}”"),
        };
        let expected = expected.to_string();
        parse(text).map(Some).ok_or_else(|| ConfigError {
            name: place.shown(name),
            expected,
            found,
        })
    }

    /// A setting whose `parse` says itself what it found instead.
    pub(super) fn judged<T, E: fmt::Display>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        self.hidden(name, expected, |text| parse(text).map_err(|found| found.to_string()))
    }

    pub(super) fn number<T: FromStr + PartialOrd + fmt::Display>(
        &self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ConfigError> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let within = |number: &T| range.contains(number);
        self.parse(name, expected, |text| text.parse().ok().filter(within))
    }

    /// A setting whose text is never repeated; `Err` of `parse` says what it was instead.
    pub(super) fn hidden<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((text, place)) = self.find(name) else { return Ok(None) };
        parse(text).map(Some).map_err(|found| ConfigError {
            name: place.shown(name),
            expected: expected.to_owned(),
            found,
        })
    }
}

impl Place {
    /// A setting as the person who gave it wrote it.
    fn shown(self, name: &'static str) -> String {
        match (self, name.strip_prefix("MCP_BATCH_")) {
            (Self::Secret, _) => format!("{name} in the secret"),
            // The address is all that a person has to say of a server.
            (Self::Typed, Some("API_URL")) => "--api".to_owned(),
            (Self::Typed, Some(flag)) => format!("--{}", flag.to_lowercase().replace('_', "-")),
            _ => name.to_owned(),
        }
    }
}

/// Shows names alone: any value may be a secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.typed.keys().copied().chain(self.environment.keys().map(String::as_str));
        f.debug_set().entry(&self.secret).entries(names).finish()
    }
}

/// A setting without which nothing works.
pub(super) fn required<T>(name: &str, expected: &str, given: Option<T>) -> Result<T, ConfigError> {
    given.ok_or_else(|| ConfigError {
        name: name.to_owned(),
        expected: expected.to_owned(),
        found: "nothing".to_owned(),
    })
}
