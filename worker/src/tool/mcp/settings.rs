//! One `[servers.NAME]` of the catalog: where an MCP server is, what is shown to it, how its tools
//! are called.

mod pattern;
mod place;

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use self::pattern::{Pattern, patterns};
#[cfg(feature = "stdio")]
pub(super) use self::place::ProgramSpec;
pub(super) use self::place::{Place, place};
use super::oauth::OAuthSpec;
use crate::{lease::Repeat, tool::Limits};

/// How long connecting may take, with handshake and list of tools, where the catalog does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest result, in bytes as it is sent.
const MAX_RESULT_BYTES: usize = 4 * 1024 * 1024;

/// The most that `max_result_bytes` may be: results are held in memory.
const MOST_RESULT_BYTES: usize = 256 * 1024 * 1024;

/// The least that `max_result_bytes` may be: handshake and list of tools are as bounded.
const LEAST_RESULT_BYTES: usize = 1024;

/// One `[servers.NAME]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::tool) struct ServerSpec {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    bearer: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    oauth: Option<OAuthSpec>,
    #[serde(default)]
    era: Era,
    #[serde(default)]
    connect_timeout_s: Option<f64>,
    #[serde(default)]
    timeout_s: Option<f64>,
    #[serde(default)]
    idle_timeout_s: Option<f64>,
    #[serde(default)]
    retry: Option<RetrySpec>,
    #[serde(default)]
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    max_result_bytes: Option<usize>,
    #[serde(default)]
    rate_per_minute: Option<f64>,
    #[serde(default)]
    concurrency: Option<usize>,
    #[serde(default)]
    tools: BTreeMap<String, ToolSpec>,
}

/// One `[servers.NAME.tools.TOOL]`: what differs for a single tool.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolSpec {
    #[serde(default)]
    timeout_s: Option<f64>,
    #[serde(default)]
    idle_timeout_s: Option<f64>,
    #[serde(default)]
    retry: Option<RetrySpec>,
    #[serde(default)]
    rate_per_minute: Option<f64>,
    #[serde(default)]
    concurrency: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RetrySpec {
    Safe,
    Never,
}

/// How a server is spoken to: the protocol's revision 2026-07-28 knows no session, those before it
/// begin with `initialize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Era {
    /// Asked for, and remembered.
    #[default]
    Auto,
    /// Revision 2026-07-28 and later.
    Modern,
    /// Up to revision 2025-11-25.
    Legacy,
}

/// A server's settings, checked as a whole.
#[derive(Debug)]
pub(super) struct ServerSettings {
    pub(super) era: Era,
    pub(super) connect_timeout: Duration,
    pub(super) max_result_bytes: usize,
    pub(super) limits: Limits,
    timeouts: Timeouts,
    repeat: Option<Repeat>,
    allow: Option<Vec<Pattern>>,
    deny: Vec<Pattern>,
    tools: BTreeMap<String, ToolSettings>,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From first to last.
    pub(super) total: Duration,
    /// Without an answer or a progress.
    pub(super) idle: Duration,
}

#[derive(Debug)]
struct ToolSettings {
    timeouts: Timeouts,
    repeat: Option<Repeat>,
    limits: Limits,
}

impl ServerSettings {
    /// Checks a server of the catalog; the error names the key at fault.
    pub(super) fn new(spec: ServerSpec) -> Result<Self, String> {
        let timeouts = timeouts(spec.timeout_s, spec.idle_timeout_s, None)?;
        let repeat = spec.retry.map(Repeat::from);
        let tools = spec.tools.into_iter().map(|(name, tool)| {
            let problem = |problem| format!("tools.{name}.{problem}");
            let limits = Limits::new(tool.rate_per_minute, tool.concurrency).map_err(problem)?;
            let timeouts = self::timeouts(tool.timeout_s, tool.idle_timeout_s, Some(timeouts));
            let timeouts = timeouts.map_err(problem)?;
            let repeat = tool.retry.map(Repeat::from);
            Ok::<_, String>((name, ToolSettings { timeouts, repeat, limits }))
        });
        Ok(Self {
            tools: tools.collect::<Result<_, _>>()?,
            era: spec.era,
            connect_timeout: seconds("connect_timeout_s", spec.connect_timeout_s)?
                .unwrap_or(CONNECT_TIMEOUT),
            max_result_bytes: max_result_bytes(spec.max_result_bytes)?,
            limits: Limits::new(spec.rate_per_minute, spec.concurrency)?,
            timeouts,
            repeat,
            allow: spec.allow.map(|names| patterns(names, "allow")).transpose()?,
            deny: patterns(spec.deny, "deny")?,
        })
    }

    /// Whether jobs may call the tool of that name.
    pub(super) fn allows(&self, tool: &str) -> bool {
        let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(tool));
        self.allow.as_deref().is_none_or(is_in) && !is_in(&self.deny)
    }

    /// The tools that the catalog names, and allows.
    pub(super) fn named_tools(&self) -> impl Iterator<Item = &str> {
        let allowed = self.allow.iter().flatten().filter_map(|pattern| match pattern {
            Pattern::Name(name) => Some(name.as_str()),
            Pattern::Beginning(_) => None,
        });
        let all = allowed.chain(self.tools.keys().map(String::as_str));
        all.filter(|name| self.allows(name))
    }

    /// How long a call of the tool may take.
    pub(super) fn timeouts(&self, tool: &str) -> Timeouts {
        self.tools.get(tool).map_or(self.timeouts, |tool| tool.timeouts)
    }

    /// The longest any call may take.
    pub(super) fn longest_timeout(&self) -> Duration {
        let totals = self.tools.values().map(|tool| tool.timeouts.total);
        totals.fold(self.timeouts.total, Duration::max)
    }

    /// The tools that the catalog limits.
    pub(super) fn limited_tools(&self) -> impl Iterator<Item = (&str, Limits)> {
        let limits = self.tools.iter().map(|(name, tool)| (name.as_str(), tool.limits));
        limits.filter(|(_, limits)| !limits.is_none())
    }

    /// What the catalog says about calling the tool again when nobody saw how a call ended.
    pub(super) fn repeat(&self, tool: &str) -> Option<Repeat> {
        self.tools.get(tool).and_then(|tool| tool.repeat).or(self.repeat)
    }
}

impl From<RetrySpec> for Repeat {
    fn from(spec: RetrySpec) -> Self {
        match spec {
            RetrySpec::Safe => Self::Safe,
            RetrySpec::Never => Self::Never,
        }
    }
}

fn timeouts(
    total_s: Option<f64>,
    idle_s: Option<f64>,
    base: Option<Timeouts>,
) -> Result<Timeouts, String> {
    let given = seconds("timeout_s", total_s)?;
    let total = given.or(base.map(|base| base.total)).unwrap_or(CALL_TIMEOUT);
    // A tool with a time of its own is not bounded by the shorter one of its server.
    let inherited = base.filter(|_| given.is_none()).map(|base| base.idle);
    let idle = seconds("idle_timeout_s", idle_s)?.or(inherited).unwrap_or(total);
    Ok(Timeouts { total, idle: idle.min(total) })
}

fn seconds(key: &str, given: Option<f64>) -> Result<Option<Duration>, String> {
    let Some(given) = given else { return Ok(None) };
    let sound = (0.001..=86_400.0).contains(&given);
    let duration = Duration::try_from_secs_f64(given).ok().filter(|_| sound);
    let duration =
        duration.ok_or_else(|| format!("{key}: expected 0.001 to 86400 seconds, found {given}"))?;
    Ok(Some(duration))
}

fn max_result_bytes(given: Option<usize>) -> Result<usize, String> {
    let bytes = given.unwrap_or(MAX_RESULT_BYTES);
    if (LEAST_RESULT_BYTES..=MOST_RESULT_BYTES).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!(
        "max_result_bytes: expected {LEAST_RESULT_BYTES} to {MOST_RESULT_BYTES}, found {bytes}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rest: &str) -> Result<ServerSettings, String> {
        let text = format!("url = \"https://mcp.example.com/mcp\"\n{rest}");
        let mut spec = toml::from_str(&text).map_err(|error| error.to_string())?;
        place(&mut spec)?;
        ServerSettings::new(spec)
    }

    fn seconds_of(timeouts: Timeouts) -> (u64, u64) {
        (timeouts.total.as_secs(), timeouts.idle.as_secs())
    }

    #[test]
    fn a_tools_own_settings_go_before_its_servers() {
        let settings = settings(
            "timeout_s = 90\nidle_timeout_s = 20\nretry = \"safe\"\n\
             [tools.slow]\ntimeout_s = 600\n[tools.pay]\nretry = \"never\"\n",
        );
        let settings = settings.expect("sound");
        assert_eq!(seconds_of(settings.timeouts("read")), (90, 20));
        assert_eq!(seconds_of(settings.timeouts("slow")), (600, 600));
        assert_eq!(seconds_of(settings.timeouts("pay")), (90, 20));
        assert_eq!(settings.longest_timeout().as_secs(), 600);
        assert_eq!(settings.repeat("read"), Some(Repeat::Safe));
        assert_eq!(settings.repeat("pay"), Some(Repeat::Never));
    }

    #[test]
    fn what_is_denied_is_not_allowed_and_a_list_of_the_allowed_is_all_of_them() {
        let settings = settings("allow = [\"read_*\", \"echo\"]\ndeny = [\"read_secrets\"]");
        let settings = settings.expect("sound");
        let allowed = ["echo", "echoes", "read_file", "read_secrets", "write"]
            .map(|name| settings.allows(name));
        assert_eq!(allowed, [true, false, true, false, false]);
        assert!(self::settings("").expect("sound").allows("anything"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_key() {
        let cases = [
            ("timeout_s = 0", "timeout_s: expected 0.001"),
            ("idle_timeout_s = -1.0", "idle_timeout_s: expected 0.001"),
            ("connect_timeout_s = 1e9", "connect_timeout_s: expected"),
            ("max_result_bytes = 12", "max_result_bytes: expected 1024 to"),
            ("allow = [\"a*b\"]", "allow: expected names"),
            ("deny = [\"\"]", "deny: expected names"),
            ("bearer = \"geheim\"", "bearer: expected secret:NAME"),
            ("era = \"new\"", "expected one of `auto`, `modern`, `legacy`"),
            ("concurrency = 0", "concurrency: expected"),
            ("retries = 3", "unknown field `retries`"),
            ("[tools.slow]\ntimeout_s = 0", "tools.slow.timeout_s: expected"),
            ("[tools.slow]\nrate_per_minute = 0", "tools.slow.rate_per_minute: expected"),
        ];
        for (text, expected) in cases {
            let error = settings(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
        for (text, expected) in [
            ("", "expected one of url and command"),
            ("url = \"https://a/\"\ncommand = [\"a\"]", "expected one of url and command"),
            ("command = []", "command: expected a program"),
            ("command = [\"a\"]\nbearer = \"secret:A\"", "bearer, headers, oauth: are for"),
            ("url = \"https://a/\"\nenv = { A = \"a\" }", "env: is for"),
        ] {
            let error = place(&mut toml::from_str(text).expect("TOML")).expect_err(text);
            assert!(error.starts_with(expected), "{error}");
        }
        for url in ["", "mcp.example.com", "ftp://a/b", "https://me:geheim@a/b", "https://"] {
            let mut spec = toml::from_str(&format!("url = \"{url}\"")).expect("TOML");
            let error = place(&mut spec).expect_err(url);
            assert!(error.starts_with("url: expected") && !error.contains("geheim"), "{error}");
        }
    }
}
