//! The server that a command talks to instead of a file or AWS.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::{
    llm::http_url,
    source::{ConfigError, Source, required},
};

/// A server's HTTP face, and who asks.
#[derive(Debug)]
pub struct ClientSettings {
    /// `MCP_BATCH_API_URL`: what its routes, `/v1/…`, are added to.
    pub url: Url,
    /// What is shown to it; on a loopback address it needs nothing.
    pub key: Option<ClientKey>,
}

/// Where a key is. No flag holds one: a command line can be seen by others.
#[derive(Debug)]
pub enum ClientKey {
    /// `MCP_BATCH_API_KEY`.
    Here(SecretString),
    /// `MCP_BATCH_API_KEY_FILE`: in this file.
    In(PathBuf),
}

/// `MCP_BATCH_API_URL`, `_API_KEY_FILE`, else `_API_KEY`.
pub fn client(source: &Source) -> Result<ClientSettings, ConfigError> {
    let url = "MCP_BATCH_API_URL";
    let expected = "an http or https URL such as http://127.0.0.1:8080";
    let given = source.parse(url, expected, http_url)?;
    let file = source.get("MCP_BATCH_API_KEY_FILE").map(|file| ClientKey::In(file.into()));
    let here = || source.get("MCP_BATCH_API_KEY").map(|key| ClientKey::Here(key.into()));
    Ok(ClientSettings { url: required(url, expected, given)?, key: file.or_else(here) })
}
