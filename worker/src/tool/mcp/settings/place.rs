//! Where an MCP server is, at a URL or on this machine, and what is shown to it.

use std::{collections::BTreeMap, mem};

use url::Url;

use super::ServerSpec;
#[cfg(feature = "stdio")]
use crate::secret::Secrets;
#[cfg(feature = "stdio")]
use crate::tool::mcp::credentials::Text;
use crate::tool::mcp::{
    credentials::{HeaderSpec, Shown},
    oauth::OAuthSpec,
};

/// Where a server is.
#[derive(Debug)]
pub(in crate::tool::mcp) enum Place {
    /// At a URL, with what is shown to it, and how a token is had that is shown as well.
    Remote(Url, Shown, Option<OAuthSpec>),
    /// On this machine.
    #[cfg(feature = "stdio")]
    Program(ProgramSpec),
}

/// How a program is started.
#[cfg(feature = "stdio")]
#[derive(Debug)]
pub(in crate::tool::mcp) struct ProgramSpec {
    pub(in crate::tool::mcp) program: String,
    pub(in crate::tool::mcp) arguments: Vec<String>,
    pub(in crate::tool::mcp) env: Vec<(String, Text)>,
}

#[cfg(feature = "stdio")]
impl ProgramSpec {
    /// What no message may repeat: the secrets that it is given.
    pub(in crate::tool::mcp) fn hidden(&self, secrets: &Secrets) -> Vec<String> {
        let keys = secrets.current();
        let secrets = self.env.iter().filter(|(_, text)| text.is_secret());
        secrets.filter_map(|(_, text)| text.with(&keys).ok()).collect()
    }
}

/// Where the server is: the other half of its table.
pub(in crate::tool::mcp) fn place(spec: &mut ServerSpec) -> Result<Place, String> {
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
