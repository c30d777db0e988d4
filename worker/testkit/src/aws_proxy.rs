//! A proxy between a client of AWS and an AWS, on the wire: it sees all, counts what it would
//! cost, and makes it fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

mod call;

mod chance;

mod entries;

mod exchange;

mod fault;

mod meter;

mod plan;

mod rule;

mod rules;

mod units;

mod upstream;

pub use self::call::AwsCall;
pub use self::fault::Fault;
pub use self::rule::Rule;
pub use self::rules::Watch;
pub use self::units::Units;

use self::exchange::Exchange;
use self::meter::Meter;
use self::rules::Rules;
use self::upstream::Upstream;
use crate::MiniStack;
use crate::server::{Listen, Server, Traffic, lock};

/// A loopback proxy in front of an AWS. Clients are pointed at its [endpoint](Self::endpoint);
/// signatures are handed on as they are, for an AWS that does not check them.
///
/// What it is to do to requests is told by [rules](Rule). It stops when dropped.
#[derive(Debug)]
pub struct AwsProxy {
    server: Server,
    exchange: Arc<Exchange>,
}

impl AwsProxy {
    /// Starts one in front of `endpoint`, such as [`MiniStack::endpoint`].
    ///
    /// # Panics
    ///
    /// When it can't listen on 127.0.0.1.
    pub async fn start(endpoint: &str) -> Self {
        let traffic = Arc::<Traffic>::default();
        let exchange = Arc::new(Exchange {
            upstream: Upstream::new(endpoint),
            meter: Meter::default(),
            rules: Rules::default(),
            calls: Mutex::default(),
            traffic: Arc::clone(&traffic),
        });
        let server = Server::start(Listen::default(), Arc::clone(&exchange), traffic).await;
        Self { server: server.expect("it listens on 127.0.0.1"), exchange }
    }

    /// Its base URL, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What a child process has to find in its environment to go through it.
    pub fn env(&self) -> [(&'static str, String); 5] {
        MiniStack::env_at(&self.endpoint())
    }

    /// Applies a rule from now on, after those set before; the first that fails or loses a request
    /// is the last one for it.
    pub fn rule(&self, rule: Rule) -> Watch {
        self.exchange.rules.add(rule)
    }

    /// Drops all rules.
    pub fn clear_rules(&self) {
        self.exchange.rules.clear();
    }

    /// Forgets the requests seen so far.
    pub fn forget(&self) {
        lock(&self.exchange.calls).clear();
    }

    /// All requests, in the order in which they ended.
    pub fn calls(&self) -> Vec<AwsCall> {
        lock(&self.exchange.calls).clone()
    }

    /// How many requests there were to `name`, an operation or a service.
    pub fn count(&self, name: &str) -> usize {
        lock(&self.exchange.calls).iter().filter(|call| call.is(name)).count()
    }

    /// How many requests there were, by operation.
    pub fn tally(&self) -> BTreeMap<String, usize> {
        let mut tally = BTreeMap::new();
        for call in &*lock(&self.exchange.calls) {
            *tally.entry(call.operation.clone()).or_default() += 1;
        }
        tally
    }

    /// What `DynamoDB` would have billed for all requests.
    pub fn units(&self) -> Units {
        let mut units = Units::default();
        for call in &*lock(&self.exchange.calls) {
            units += call.units;
        }
        units
    }

    /// Waits until at least `n` requests ended since the start.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for_calls(&self, n: usize) {
        self.server.wait_for(n, "requests to AWS", Traffic::requests).await;
    }
}
