//! Where callbacks may go. Whoever sends a job names a URL, and must not reach by it what only this
//! machine can reach: a listed host may be anything; any other has to be public, under https, on a
//! usual port. A name is looked up before its job is paid for. What is judged is what is dialled: an address as the URL parser reads it, however it
//! was spelled, and what DNS answers for a name, in the connection's own resolver.

mod addresses;
mod hosts;
mod names;
mod resolver;

use std::net::IpAddr;

pub(super) use self::{
    addresses::is_public,
    names::{Leads, Names},
    resolver::{PublicOnly, is_refused},
};
pub use self::{
    hosts::{AllowedHosts, HostError},
    resolver::{Lookup, SystemLookup},
};
use crate::{
    error::{ErrorClass, JobError},
    job::Callback,
};

/// Where a host that is not listed may be reached.
const PORTS: [u16; 2] = [443, 8443];

/// The last labels of names that mean another machine on each network, or this one (RFC 6761, 6762,
/// 7686, 8375 and ICANN's `.internal`).
const PRIVATE_NAMES: [&str; 6] =
    [".localhost", ".local", ".internal", ".home.arpa", ".onion", ".intranet"];

/// Which of the two ways a callback takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To a host that the operator listed, whatever it resolves to.
    Listed,
    /// To public addresses alone.
    Public,
}

/// Why a callback may not be sent to its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("a URL that is not https")]
    Scheme,
    #[error("the port {0}")]
    Port(u16),
    #[error("the address {0}, which is not public")]
    Address(IpAddr),
    #[error("a host name that is not public")]
    Name,
    #[error("a host name all of whose addresses are not public")]
    Resolved,
}

impl Refused {
    /// The failure of a job whose `field` holds that URL.
    pub(super) fn of_job(self, field: &str) -> JobError {
        let [port, other] = PORTS;
        let message = format!(
            "{field}: expected https to a public host on port {port} or {other}, or a host of \
             MCP_BATCH_CALLBACK_HOSTS, found {self}"
        );
        JobError::new(ErrorClass::Permanent, "callback_refused", message).at(field)
    }
}

impl AllowedHosts {
    /// Judges all that can be known before a name is looked up.
    pub(super) fn way(&self, callback: &Callback) -> Result<Way, Refused> {
        if self.contain(callback) {
            return Ok(Way::Listed);
        }
        if !callback.is_https() {
            return Err(Refused::Scheme);
        }
        match callback.literal() {
            Some(address) if !is_public(address) => return Err(Refused::Address(address)),
            None if is_private_name(callback.host()) => return Err(Refused::Name),
            _ => {}
        }
        match PORTS.contains(&callback.port()) {
            true => Ok(Way::Public),
            false => Err(Refused::Port(callback.port())),
        }
    }
}

/// A name without a full stop is one of the local network, or of the machine's own list.
fn is_private_name(host: &str) -> bool {
    let name = host.trim_end_matches('.');
    !name.contains('.') || PRIVATE_NAMES.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(list: &str, url: &str) -> Result<Way, Refused> {
        let callback = Callback::from_url(url.to_owned()).expect("a URL");
        AllowedHosts::parse(list).expect("a list").way(&callback)
    }

    #[test]
    fn a_public_host_is_reached_by_https_on_a_usual_port_alone() {
        for url in [
            "https://n8n.example.com/webhook/1",
            "https://n8n.example.com:8443/",
            "https://n8n.example.com./",
            "https://8.8.8.8/",
            "https://[2001:4860:4860::8888]/",
            "https://[::ffff:8.8.8.8]/",
        ] {
            assert_eq!(judged("", url), Ok(Way::Public), "{url}");
        }
        assert_eq!(judged("", "http://n8n.example.com/"), Err(Refused::Scheme));
        for port in [1, 22, 25, 80, 5678, 8080, 9200, 65535] {
            let url = format!("https://n8n.example.com:{port}/");
            assert_eq!(judged("", &url), Err(Refused::Port(port)));
        }
    }

    #[test]
    fn names_that_mean_something_else_on_each_network_are_refused() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "n8n",
            "printer.local",
            "metadata.google.internal",
            "router.home.arpa.",
            "wiki.intranet",
        ] {
            assert_eq!(judged("", &format!("https://{host}/")), Err(Refused::Name), "{host}");
        }
    }

    #[test]
    fn a_listed_host_may_be_private_and_without_tls_on_any_port() {
        let list = "127.0.0.1:5678, n8n *.intra.example.com";
        for url in [
            "http://127.0.0.1:5678/",
            "http://2130706433:5678/",
            "http://[::ffff:127.0.0.1]:5678/",
            "http://n8n:5678/webhook",
            "https://n8n/",
            "http://a.b.intra.example.com:1/",
        ] {
            assert_eq!(judged(list, url), Ok(Way::Listed), "{url}");
        }
        assert_eq!(judged(list, "http://127.0.0.1:5679/"), Err(Refused::Scheme));
        assert_eq!(judged(list, "http://intra.example.com/"), Err(Refused::Scheme));
        assert_eq!(judged(list, "https://public.example.com/"), Ok(Way::Public));
    }

    #[test]
    fn a_refusal_names_the_field_and_never_the_url() {
        let refused = judged("", "https://127.0.0.1/webhook-waiting/1?signature=secret");
        let error = refused.expect_err("loopback").of_job("callback");
        assert_eq!((error.class, error.code.as_ref()), (ErrorClass::Permanent, "callback_refused"));
        assert_eq!(error.field.as_deref(), Some("callback"));
        assert_eq!(
            error.message,
            "callback: expected https to a public host on port 443 or 8443, or a host of \
             MCP_BATCH_CALLBACK_HOSTS, found the address 127.0.0.1, which is not public"
        );
    }
}
