//! Where spans go to, and how their sender proves who it is.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use hyper::HeaderMap;
use url::Url;

/// A signature's headers, or why there are none now.
pub type Signature<'a> = Pin<Box<dyn Future<Output = Result<HeaderMap, String>> + Send + 'a>>;

/// Signs exports for a collector that wants to know who sends them.
pub trait Sign: fmt::Debug + Send + Sync + 'static {
    /// The headers that prove who posts this body there.
    fn sign<'a>(&'a self, endpoint: &'a Url, body: &'a [u8]) -> Signature<'a>;
}

/// Where spans go to.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// The whole URL, path included.
    pub endpoint: Url,
    /// What is sent along; values may be secret.
    pub headers: HeaderMap,
    /// Exports are to be signed for X-Ray of this region.
    pub sign_for: Option<String>,
    /// Who does that.
    pub signer: Option<Arc<dyn Sign>>,
    /// How long one POST may take.
    pub timeout: Duration,
    /// Spans that may wait; what comes beyond is dropped.
    pub max_waiting: usize,
    /// How often what waits is sent, by a process that goes on.
    pub every: Duration,
    /// Who tells.
    pub resource: Vec<(String, String)>,
}
