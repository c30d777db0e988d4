//! The hosts that the operator vouches for.

use std::net::IpAddr;

use url::Host;

use crate::job::Callback;

/// Hosts that may be private, and reached without TLS, on the listed port or any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Allowed>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowed {
    pattern: Pattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Address(IpAddr),
    /// In lower case, without a full stop at the end.
    Name(String),
    /// Every name that ends in this one, which begins with a full stop.
    Under(String),
}

/// Why an entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is a URL, or a part of one.
    #[error("“{0}”, which is more than a host; write it without scheme and path")]
    MoreThanAHost(String),
    /// Its star is not a whole label at the beginning.
    #[error("“{0}”; a star stands for the labels before a name, as in *.example.com")]
    Star(String),
    /// It is no host.
    #[error("“{0}”, which is no host")]
    NoHost(String),
    /// Its port is none.
    #[error("“{0}”, whose port is not a number from 1 to 65535")]
    Port(String),
}

impl AllowedHosts {
    /// Reads entries separated by spaces or commas: `n8n.example.com`, `*.example.com`,
    /// `127.0.0.1:5678`, `[::1]:5678`, `::1`; without a port any port is meant.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let entries = entries.filter(|entry| !entry.is_empty()).map(Allowed::parse);
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the callback's host and port are listed.
    pub(super) fn contain(&self, callback: &Callback) -> bool {
        self.0.iter().any(|allowed| allowed.covers(callback))
    }
}

impl Allowed {
    fn parse(entry: &str) -> Result<Self, HostError> {
        if entry.contains(['/', '@', '?', '#', '\\']) {
            return Err(HostError::MoreThanAHost(entry.to_owned()));
        }
        let (host, port) = split_port(entry)?;
        Ok(Self { pattern: Pattern::parse(host, entry)?, port })
    }

    fn covers(&self, callback: &Callback) -> bool {
        let is_its_port = self.port.is_none_or(|port| port == callback.port());
        let is_its_host = match (&self.pattern, callback.literal()) {
            (Pattern::Address(listed), Some(address)) => *listed == address.to_canonical(),
            (Pattern::Name(listed), None) => name_of(callback) == listed,
            (Pattern::Under(ending), None) => {
                let name = name_of(callback);
                name.len() > ending.len() && name.ends_with(ending.as_str())
            }
            _ => false,
        };
        is_its_port && is_its_host
    }
}

impl Pattern {
    fn parse(host: &str, entry: &str) -> Result<Self, HostError> {
        let no_host = || HostError::NoHost(entry.to_owned());
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let (name, is_ending) = match host.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (host, false),
        };
        if name.contains('*') {
            return Err(HostError::Star(entry.to_owned()));
        }
        match Host::parse(name).map_err(|_| no_host())? {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                match (name.is_empty(), is_ending) {
                    (true, _) => Err(no_host()),
                    (false, true) => Ok(Self::Under(format!(".{name}"))),
                    (false, false) => Ok(Self::Name(name.to_owned())),
                }
            }
            _ if is_ending => Err(HostError::Star(entry.to_owned())),
            Host::Ipv4(address) => Ok(Self::Address(IpAddr::V4(address))),
            Host::Ipv6(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
        }
    }
}

/// A colon parts host and port, but for those of an IPv6 address without brackets.
fn split_port(entry: &str) -> Result<(&str, Option<u16>), HostError> {
    let is_bare_v6 = entry.parse::<IpAddr>().is_ok();
    let Some((host, port)) = entry
        .rsplit_once(':')
        .filter(|(host, _)| !is_bare_v6 && (!host.starts_with('[') || host.ends_with(']')))
    else {
        return Ok((entry, None));
    };
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(HostError::Port(entry.to_owned())),
    }
}

fn name_of(callback: &Callback) -> &str {
    callback.host().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(list: &str, url: &str) -> bool {
        let callback = Callback::from_url(url.to_owned()).expect("a URL");
        AllowedHosts::parse(list).expect("a list").contain(&callback)
    }

    #[test]
    fn a_host_is_listed_by_name_ending_or_address_with_a_port_or_any() {
        for (list, url) in [
            ("n8n.example.com", "https://N8N.example.com/a"),
            ("n8n.example.com", "https://n8n.example.com.:8080/a"),
            ("N8N.EXAMPLE.COM.", "http://n8n.example.com/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("*.example.com", "https://a.b.example.com/"),
            ("*.example.com:81", "http://a.example.com:81/"),
            ("127.0.0.1:5678", "http://127.0.0.1:5678/"),
            ("0x7f.1", "http://127.0.0.1/"),
            ("::1", "http://[::1]:99/"),
            ("[::1]:99", "http://[0:0::1]:99/"),
            ("[::1]", "http://[::1]:99/"),
            ("::ffff:10.0.0.1", "http://10.0.0.1/"),
            ("a.example b.example,c.example", "http://c.example/"),
        ] {
            assert!(lists(list, url), "{list} has {url}");
        }
        for (list, url) in [
            ("", "https://n8n.example.com/"),
            ("n8n.example.com:443", "https://n8n.example.com:8443/"),
            ("*.example.com", "https://example.com/"),
            ("*.example.com", "https://example.com.evil.example/"),
            ("*.example.com", "https://badexample.com/"),
            ("example.com", "https://a.example.com/"),
            ("127.0.0.1", "http://localhost/"),
            ("[::1]:99", "http://[::1]:98/"),
        ] {
            assert!(!lists(list, url), "{list} has not {url}");
        }
    }

    #[test]
    fn an_entry_that_is_no_host_says_what_to_write() {
        let error = |list| AllowedHosts::parse(list).expect_err(list).to_string();
        assert!(error("https://n8n.example.com").contains("write it without scheme and path"));
        assert!(error("n8n.example.com/webhook").contains("write it without scheme and path"));
        assert!(error("me@n8n.example.com").contains("more than a host"));
        assert!(error("a.*.example.com").contains("as in *.example.com"));
        for list in ["*", "*.", "*example.com", "*.*.com", "*.127.0.0.1"] {
            assert!(AllowedHosts::parse(list).is_err(), "{list}");
        }
        for list in ["a:0", "a:65536", "a:", "a:b", "[::1]:x"] {
            assert!(error(list).contains("1 to 65535"), "{list}");
        }
        for list in ["[::1", "a b\u{7f}c", ".", "256.256.256.256"] {
            assert!(AllowedHosts::parse(list).is_err(), "{list}");
        }
    }
}
