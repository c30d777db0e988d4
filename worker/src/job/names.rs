//! The names a job carries, each with its alphabet and length.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{
    JobKey,
    fields::{self, Problem},
};

/// What a name may look like.
struct Rule {
    expected: &'static str,
    max_chars: usize,
    allowed: fn(char) -> bool,
}

impl Rule {
    fn parse(&self, value: Value) -> Result<String, Problem> {
        let text = fields::string(value, self.expected)?;
        match self.fault(&text) {
            Some(found) => Err(Problem::invalid(self.expected, found)),
            None => Ok(text),
        }
    }

    /// Says what is wrong with a name by position and kind, so that the text itself is not quoted.
    fn fault(&self, text: &str) -> Option<String> {
        if text.is_empty() {
            return Some("an empty string".to_owned());
        }
        if let Some(place) = text.chars().position(|c| !(self.allowed)(c)) {
            let bad = text.chars().nth(place).unwrap_or_default();
            return Some(format!("{} at character {}", describe(bad), place + 1));
        }
        let chars = text.chars().count();
        (chars > self.max_chars).then(|| format!("{chars} characters"))
    }
}

fn describe(bad: char) -> String {
    match bad {
        ' ' => "a space".to_owned(),
        c if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
        c => format!("“{c}”"),
    }
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._:-".contains(c)
}

const ID: Rule = Rule {
    expected: "1 to 128 characters of A-Z a-z 0-9 . _ : -",
    max_chars: 128,
    allowed: is_id_char,
};

const TOOL: Rule = Rule {
    expected: "a tool's name, or server/tool, of A-Z a-z 0-9 . _ -, each part up to 64 characters, \
               a server's tool up to 128",
    max_chars: 193,
    allowed: |c| c.is_ascii_alphanumeric() || "._-/".contains(c),
};

const MODEL: Rule = Rule {
    expected: "1 to 128 visible ASCII characters",
    max_chars: 128,
    allowed: |c| c.is_ascii_graphic(),
};

/// SQS's alphabet for a `MessageGroupId`, which a tenant becomes.
const TENANT: Rule = Rule {
    expected: "1 to 128 ASCII letters, digits and punctuation",
    max_chars: 128,
    allowed: |c| c.is_ascii_graphic(),
};

/// The rules of a name, as a type that only a checked text can become. Its clones share the text: a job has
/// many.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub(super) fn parse(value: Value) -> Result<Self, Problem> {
                ($parse)(value).map(|text| Self(text.into()))
            }

            /// The name as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::parse(Value::String(text.to_owned()))
                    .map_err(|problem| fields::error(&[problem]).message)
            }
        }
    };
}

name! {
    /// The caller's idempotency key: within a namespace one id is run and paid once.
    JobId, |value| ID.parse(value)
}

impl JobId {
    /// An id made of a UUID, whose characters every id may have.
    pub fn of_uuid(uuid: uuid::Uuid) -> Self {
        Self(uuid.to_string().into())
    }

    /// What stands for the id of a refused message whose own cannot be read.
    pub(crate) fn of_refused(key: JobKey) -> Self {
        Self(format!("refused-{}", key.to_string().split_at(16).0).into())
    }
}

name! {
    /// The id of a batch that is counted.
    BatchId, |value| ID.parse(value)
}

name! {
    /// A model's name as the LLM router knows it.
    ModelName, |value| MODEL.parse(value)
}

name! {
    /// Whose fair share a job counts towards.
    Tenant, |value| TENANT.parse(value)
}

name! {
    /// A tool's name: `summarize`, or `server/tool` for a remote MCP server's.
    ToolName, ToolRule::parse
}

impl ToolName {
    /// The name of a tool that nobody named.
    pub(crate) fn unknown() -> Self {
        Self("unknown".into())
    }
}

/// [`TOOL`], and the shape of its parts.
struct ToolRule;

impl ToolRule {
    fn parse(value: Value) -> Result<String, Problem> {
        let text = TOOL.parse(value)?;
        let is_sound = match text.split_once('/') {
            None => (1..=64).contains(&text.len()),
            Some((server, tool)) => {
                (1..=64).contains(&server.len())
                    && (1..=128).contains(&tool.len())
                    && !tool.contains('/')
            }
        };
        if is_sound { Ok(text) } else { Err(Problem::invalid(TOOL.expected, "another shape")) }
    }
}

impl ToolName {
    /// The two parts of a remote tool's name.
    pub fn server_and_tool(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }
}
