//! AWS, as `MiniStack` plays it: SQS, Lambda, `DynamoDB`, Secrets Manager and S3 on the loopback.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::served::Served;

/// The endpoint of a server that all tests of a run share, as `scripts/ministack run` sets it.
const SHARED: &str = "MCP_BATCH_TEST_AWS_ENDPOINT";

/// A loopback AWS: the shared one of this run of the tests, or else one of its own, which ends
/// when this is dropped and when this process dies.
///
/// On the shared one tests meet: name everything by [`MiniStack::unique`].
#[derive(Debug)]
pub struct MiniStack {
    endpoint: String,
    _own: Option<Served>,
}

impl MiniStack {
    /// Its region.
    pub const REGION: &'static str = "us-east-1";

    /// The access key and the secret key of its root user. Signatures are not checked.
    pub const KEY: &'static str = "test";

    /// Uses the shared server, or starts one. Without a Python to run it there is none: that is
    /// told on stderr, and the test has to return.
    ///
    /// # Panics
    ///
    /// When it can't be installed or started, and under `CI=true` also without a Python.
    pub async fn start() -> Option<Self> {
        if let Ok(endpoint) = env::var(SHARED) {
            return Some(Self { endpoint, _own: None });
        }
        let starting = tokio::task::spawn_blocking(|| Served::start("ministack", &[]));
        let (own, endpoint) = starting.await.expect("MiniStack starts")?;
        Some(Self { endpoint, _own: Some(own) })
    }

    /// Its base URL, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What a child process has to find in its environment to use it.
    pub fn env(&self) -> [(&'static str, String); 5] {
        Self::env_at(&self.endpoint)
    }

    /// [`Self::env`] with another endpoint: that of a proxy in front.
    pub fn env_at(endpoint: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", Self::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", Self::KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Self::KEY.to_owned()),
            // Nobody else answers on the loopback: no search for credentials elsewhere.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// A name nobody else uses, that begins with `stem`.
    pub fn unique(stem: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        format!("{stem}-{now:x}-{:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Relaxed))
    }
}
