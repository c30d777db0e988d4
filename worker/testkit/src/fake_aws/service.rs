//! From a request to the service and the operation it names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::dynamo::{self, Table};
use super::reply::Reply;
use super::sqs;
use crate::server::{Answerer, Body, Closed, Received, Traffic, Visit, lock};

/// What the server's thread and the benchmark share.
#[derive(Debug)]
pub(super) struct Aws {
    pub(super) dynamo_latency: Duration,
    pub(super) sqs_latency: Duration,
    pub(super) table: Mutex<Table>,
    pub(super) requests: Mutex<HashMap<Box<str>, usize>>,
    pub(super) traffic: Arc<Traffic>,
}

impl Answerer for Aws {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        let request = Received::read(request).await?;
        let target = request.header("x-amz-target").unwrap_or("no target");
        self.count(target);
        let (latency, reply) = self.handle(target, request.body());
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        visit.end();
        Ok(reply.into_response())
    }
}

impl Aws {
    fn count(&self, target: &str) {
        let mut requests = lock(&self.requests);
        match requests.get_mut(target) {
            Some(count) => *count += 1,
            None => drop(requests.insert(target.into(), 1)),
        }
        drop(requests);
        self.traffic.count_request();
    }

    /// What comes of a request, and how long that takes.
    fn handle(&self, target: &str, body: &[u8]) -> (Duration, Reply) {
        if let Some(operation) = target.strip_prefix(dynamo::TARGET) {
            (self.dynamo_latency, lock(&self.table).handle(operation, body))
        } else if let Some(operation) = target.strip_prefix(sqs::TARGET) {
            (self.sqs_latency, sqs::handle(operation, body))
        } else {
            (Duration::ZERO, Reply::unknown_operation())
        }
    }
}
