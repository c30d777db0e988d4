//! One `[servers.NAME]` of the catalog: where an MCP server is, what is shown to it, how its tools
//! are called.

use std::{collections::BTreeMap, mem, time::Duration};

use serde::Deserialize;
use url::Url;

#[cfg(feature = "stdio")]
use super::credentials::Text;
use super::{
    credentials::{HeaderSpec, Shown},
    oauth::OAuthSpec,
};
#[cfg(feature = "stdio")]
use crate::secret::Secrets;
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

/// Where a server is.
#[derive(Debug)]
pub(super) enum Place {
    /// At a URL, with what is shown to it, and how a token is had that is shown as well.
    Remote(Url, Shown, Option<OAuthSpec>),
    /// On this machine.
    #[cfg(feature = "stdio")]
    Program(ProgramSpec),
}

/// How a program is started.
#[cfg(feature = "stdio")]
#[derive(Debug)]
pub(super) struct ProgramSpec {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) env: Vec<(String, Text)>,
}

#[cfg(feature = "stdio")]
impl ProgramSpec {
    /// What no message may repeat: the secrets that it is given.
    pub(super) fn hidden(&self, secrets: &Secrets) -> Vec<String> {
        let keys = secrets.current();
        let secrets = self.env.iter().filter(|(_, text)| text.is_secret());
        secrets.filter_map(|(_, text)| text.with(&keys).ok()).collect()
    }
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

/// A tool's name, or the beginning of one before a `*`.
#[derive(Debug)]
enum Pattern {
    Name(String),
    Beginning(String),
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

impl Pattern {
    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Name(this) => this == name,
            Self::Beginning(beginning) => name.starts_with(beginning),
        }
    }
}

fn patterns(texts: Vec<String>, key: &str) -> Result<Vec<Pattern>, String> {
    let pattern = |text: String| match text.find('*') {
        None if !text.is_empty() => Ok(Pattern::Name(text)),
        Some(at) if at + 1 == text.len() => Ok(Pattern::Beginning(text[..at].to_owned())),
        _ => Err(format!(
            "{key}: expected names of tools, or beginnings like read_*, found “{text}”"
        )),
    };
    texts.into_iter().map(pattern).collect()
}

/// Where the server is: the other half of its table.
pub(super) fn place(spec: &mut ServerSpec) -> Result<Place, String> {
    match (spec.url.take(), spec.command.take()) {
        (Some(url), None) if spec.env.is_empty() => {
            let (bearer, headers) = (spec.bearer.take(), mem::take(&mut spec.headers));
            let shown = Shown::new(HeaderSpec { bearer, headers })?;
            if spec.oauth.is_some() && shown.authorizes() {
                return Err("oauth: there is a bearer or a header Authorization already".to_owned());
            }
            Ok(Place::Remote(self::url(&url)?, shown, spec.oauth.take()))
        }
        (Some(_), None) => Err("env: is for a server with a command".to_owned()),
        (None, Some(_))
            if spec.bearer.is_some() || !spec.headers.is_empty() || spec.oauth.is_some() =>
        {
            Err("bearer, headers, oauth: are for a server with a url".to_owned())
        }
        (None, Some(command)) => program(command, mem::take(&mut spec.env)),
        _ => Err("expected one of url and command".to_owned()),
    }
}

#[cfg(feature = "stdio")]
fn program(command: Vec<String>, env: BTreeMap<String, String>) -> Result<Place, String> {
    let mut command = command.into_iter();
    let program = command.next().filter(|program| !program.is_empty());
    let program =
        program.ok_or("command: expected a program and its arguments, found nothing".to_owned())?;
    let env = env.into_iter().map(|(name, text)| (name, Text::new(text))).collect();
    Ok(Place::Program(ProgramSpec { program, arguments: command.collect(), env }))
}

#[cfg(not(feature = "stdio"))]
fn program(_: Vec<String>, _: BTreeMap<String, String>) -> Result<Place, String> {
    Err("command: this program starts no others; expected the url of a server".to_owned())
}

fn url(text: &str) -> Result<Url, String> {
    let sound = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    };
    // What is wrong with it may be a secret in it.
    Url::parse(text).ok().filter(sound).ok_or_else(|| {
        "url: expected an http or https URL without user and password, found something else"
            .to_owned()
    })
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
