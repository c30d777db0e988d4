//! What the worker on AWS is made of, the same in Lambda and in `mcp-batch poll`.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};

use super::{clients::Clients, dynamo::DynamoLedger, secrets, sqs::SqsQueue};
use crate::{
    batch::{Order, Worker},
    clock::Clock,
    config::{self, Source},
    environment::{Environment, Heartbeat, Policy, Ports, Unobserved},
    secret::Secrets,
    tool::{Catalog, LlmClient},
    webhook::Courier,
};

/// Ledger in DynamoDB, queue in SQS, tools from the catalog.
pub struct AwsPorts;

impl Ports for AwsPorts {
    type Ledger = DynamoLedger;
    type Queue = SqsQueue;
    type Tools = Catalog;
}

/// What answers where no LLM is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nobody: that is an error.
    Refused,
    /// The offline model, as asked.
    Offline,
}
