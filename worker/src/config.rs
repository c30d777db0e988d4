//! Every setting, typed: read once from flags and environment, with a default, a unit and an
//! error that says what to write instead.

use std::{
    collections::HashMap, env, fmt, ops::RangeInclusive, path::PathBuf, str::FromStr,
    time::Duration,
};

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use crate::{
    environment::Policy,
    job::Namespace,
    tool::LlmSettings,
    webhook::{CourierSettings, SigningSecret},
};

/// Jobs at once in one process, where nothing else is said.
pub const DEFAULT_CONCURRENCY: usize = 64;

/// The most jobs at once in one process: each holds a connection.
const MAX_CONCURRENCY: usize = 10_000;

/// The longest an LLM may take, where nothing else is said.
const DEFAULT_LLM_TIMEOUT: Duration = Duration::from_mins(1);

/// The least days a record lives: the retention of queue and dead letters together.
const MIN_LEDGER_DAYS: u64 = 18;

/// A setting that cannot be used. A secret's value is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("{name}: expected {expected}, found {found}")]
pub struct ConfigError {
    name: String,
    expected: String,
    found: String,
}

/// Where settings come from: what was typed, else the environment.
#[derive(Clone, Debug, Default)]
pub struct Source {
    typed: HashMap<&'static str, String>,
    environment: HashMap<String, String>,
}

impl Source {
    /// The process's environment, with nothing typed.
    pub fn from_env() -> Self {
        let environment = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self { typed: HashMap::new(), environment: environment.collect() }
    }

    /// The same with a flag's value in place of the variable's.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.typed.insert(name, value.to_string());
        }
        self
    }

    /// The setting's text; an empty variable is as good as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.typed.get(name).or_else(|| self.environment.get(name));
        value.map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A setting as the person who gave it wrote it: a flag, or a variable.
    fn shown(&self, name: &'static str) -> String {
        match (self.typed.contains_key(name), name.strip_prefix("MCP_BATCH_")) {
            (true, Some(flag)) => format!("--{}", flag.to_lowercase().replace('_', "-")),
            _ => name.to_owned(),
        }
    }

    fn parse<T>(
        &self,
        name: &'static str,
        expected: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let error = || ConfigError {
            name: self.shown(name),
            expected: expected.to_string(),
            found: format!("“{text}”"),
        };
        parse(text).map(Some).ok_or_else(error)
    }

    fn number<T: FromStr + PartialOrd + fmt::Display>(
        &self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ConfigError> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let within = |number: &T| range.contains(number);
        self.parse(name, expected, |text| text.parse().ok().filter(within))
    }

    fn secret<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = "something else".to_owned();
        parse(text).map(Some).ok_or_else(|| ConfigError {
            name: self.shown(name),
            expected: expected.to_owned(),
            found,
        })
    }
}

/// `MCP_BATCH_CONCURRENCY`: jobs at once in one process; 64.
pub fn concurrency(source: &Source) -> Result<usize, ConfigError> {
    let given = source.number("MCP_BATCH_CONCURRENCY", 1..=MAX_CONCURRENCY)?;
    Ok(given.unwrap_or(DEFAULT_CONCURRENCY))
}

/// `MCP_BATCH_DB`: the SQLite file of queue and ledger; `mcp-batch.db` in the working folder.
pub fn database(source: &Source) -> PathBuf {
    source.get("MCP_BATCH_DB").unwrap_or("mcp-batch.db").into()
}

/// `MCP_BATCH_TOOLS`: the catalog's file; the one compiled in.
pub fn tools(source: &Source) -> Option<PathBuf> {
    source.get("MCP_BATCH_TOOLS").map(PathBuf::from)
}

/// `MCP_BATCH_LLM_URL`, `_LLM_API_KEY`, `_LLM_MODEL`, `_LLM_TIMEOUT_S` (60 s); `None` without a URL.
pub fn llm(source: &Source) -> Result<Option<LlmSettings>, ConfigError> {
    let expected = "an http or https URL such as http://127.0.0.1:4000/v1";
    let Some(url) = source.parse("MCP_BATCH_LLM_URL", expected, http_url)? else { return Ok(None) };
    let timeout = source.number("MCP_BATCH_LLM_TIMEOUT_S", 0.01..=86_400.0)?;
    let key = |text: &str| text.bytes().all(|b| b.is_ascii_graphic()).then(|| text.to_owned());
    let api_key = source.secret("MCP_BATCH_LLM_API_KEY", "visible ASCII characters", key)?;
    Ok(Some(LlmSettings {
        url,
        api_key: api_key.map(SecretString::from),
        model: source.get("MCP_BATCH_LLM_MODEL").map(str::to_owned),
        timeout: timeout.map_or(DEFAULT_LLM_TIMEOUT, Duration::from_secs_f64),
    }))
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// `MCP_BATCH_CALLBACK_SECRETS` (several, separated by spaces) and `MCP_BATCH_CALLBACK_HEADER`.
pub fn courier(source: &Source) -> Result<CourierSettings, ConfigError> {
    let mut secrets = Vec::new();
    for text in source.get("MCP_BATCH_CALLBACK_SECRETS").unwrap_or_default().split_whitespace() {
        secrets.push(SigningSecret::parse(text).map_err(|error| ConfigError {
            name: "MCP_BATCH_CALLBACK_SECRETS".to_owned(),
            expected: "whsec_ secrets separated by spaces".to_owned(),
            found: format!("one that is none ({error})"),
        })?);
    }
    let header = source.secret("MCP_BATCH_CALLBACK_HEADER", "Name: value", header)?;
    Ok(CourierSettings { secrets, header })
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// `MCP_BATCH_NAMESPACE`, `_MAX_ATTEMPTS` (3), `_MAX_AGE_S` (259,200), `_LEDGER_DAYS` (45).
pub fn policy(source: &Source) -> Result<Policy, ConfigError> {
    let standard = Policy::default();
    let expected = "1 to 128 characters of A-Z a-z 0-9 . _ : -";
    let namespace =
        source.parse("MCP_BATCH_NAMESPACE", expected, |text| text.parse::<Namespace>().ok())?;
    let max_attempts = source.number("MCP_BATCH_MAX_ATTEMPTS", 1..=1_000)?;
    let max_age_s = source.number("MCP_BATCH_MAX_AGE_S", 1..=1_209_600)?;
    let days = source.number("MCP_BATCH_LEDGER_DAYS", MIN_LEDGER_DAYS..=3_650)?;
    Ok(Policy {
        namespace: namespace.unwrap_or(standard.namespace),
        max_attempts: max_attempts.unwrap_or(standard.max_attempts),
        max_age: max_age_s.map_or(standard.max_age, Duration::from_secs),
        record_lives: days.map_or(standard.record_lives, |days| Duration::from_secs(days * 86_400)),
        ..standard
    })
}
