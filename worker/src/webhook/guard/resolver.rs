//! Names are looked up by the connection that dials them, and what is not public is left out: the
//! address that was judged is the one that is dialled, so that a name which answers something else
//! the next time gains nothing.

use std::{
    error::Error, future::Future, io, iter::successors, net::SocketAddr, pin::Pin, sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::is_public;

/// Finds the addresses of a name: the machine's resolver, or another one.
pub trait Lookup: Send + Sync + 'static {
    /// All its addresses; the port is of no account.
    fn addresses(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// A resolver that knows public addresses alone.
#[derive(Clone)]
pub(in crate::webhook) struct PublicOnly(Arc<dyn Lookup>);

impl PublicOnly {
    pub(in crate::webhook) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self(lookup)
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let looked_up = self.0.addresses(name.as_str().to_owned());
        Box::pin(async move {
            let public = public_of(looked_up.await?)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Nothing is refused where nothing was answered: that is a name which does not exist now.
pub(super) fn public_of(
    addresses: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found = addresses.len();
    let public: Vec<_> = addresses.into_iter().filter(|one| is_public(one.ip())).collect();
    match (found, public.is_empty()) {
        (0, _) => Err("the name has no address".into()),
        (_, true) => Err(NoPublicAddress.into()),
        (_, false) => Ok(public),
    }
}

/// All addresses of a name are refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NoPublicAddress;

/// Whether a connection failed because of that.
pub(in crate::webhook) fn is_refused(error: &reqwest::Error) -> bool {
    successors(Some(error as &(dyn Error + 'static)), |&error| error.source())
        .any(<dyn Error>::is::<NoPublicAddress>)
}
