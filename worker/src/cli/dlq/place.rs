//! Where the dead letters lie, the queue they came from, and the ledger that knows their jobs.

use std::{sync::Arc, time::Duration};

use anyhow::Context;

#[cfg(feature = "aws")]
use crate::aws::{clients::Clients, dynamo::DynamoLedger, sqs::SqsDeadLetters};
use crate::{
    cli::ledger::{LedgerArgs, OpenLedger},
    clock::Clock,
    config::{self, Source},
    local::{Database, SqliteDeadLetters, SqliteLedger},
    sweep::Sweep,
};

/// Where.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where")]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    ledger: LedgerArgs,

    /// The queue on AWS that replays go to [env: MCP_BATCH_QUEUE_URL].
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    queue_url: Option<String>,

    /// The queue of dead letters on AWS [env: MCP_BATCH_DLQ_URL].
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    dlq_url: Option<String>,

    /// How long a letter on AWS that is looked at stays hidden from others, should this be killed before it
    /// puts it back.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(2..=43_200))]
    hide_s: u64,

    /// The most letters that are looked at.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(super) limit: usize,
}

/// An open place.
pub(super) enum Place {
    /// In the file of the ledger.
    File(SqliteDeadLetters, Arc<Sweep<SqliteLedger>>),
    /// In SQS, with the ledger in DynamoDB.
    #[cfg(feature = "aws")]
    Aws(SqsDeadLetters, Arc<Sweep<DynamoLedger>>),
}

impl PlaceArgs {
    pub(super) fn source(&self) -> Source {
        let source = self.ledger.source();
        #[cfg(feature = "aws")]
        let source = source
            .with("MCP_BATCH_QUEUE_URL", self.queue_url.as_ref())
            .with("MCP_BATCH_DLQ_URL", self.dlq_url.as_ref());
        source
    }

    pub(super) async fn open(&self) -> anyhow::Result<Place> {
        Ok(match self.ledger.open().await? {
            OpenLedger::File(desk) => {
                let path = config::database(&self.source());
                let database = Database::open(&path, Clock::system())?;
                Place::File(SqliteDeadLetters::new(database, &path), desk)
            }
            #[cfg(feature = "aws")]
            OpenLedger::Table(desk) => Place::Aws(self.letters().await?, desk),
        })
    }

    #[cfg(feature = "aws")]
    async fn letters(&self) -> anyhow::Result<SqsDeadLetters> {
        let source = self.source();
        let url = |name: &str, flag: &str| {
            let url = source.get(name).map(str::to_owned);
            url.with_context(|| {
                format!(
                    "{name}: expected the URL of an SQS queue, found nothing; name it by {flag}"
                )
            })
        };
        let letters = url("MCP_BATCH_DLQ_URL", "--dlq-url")?;
        let jobs = url("MCP_BATCH_QUEUE_URL", "--queue-url")?;
        let hidden_for = Duration::from_secs(self.hide_s);
        Ok(SqsDeadLetters::new(&Clients::from_env().await.sqs, &letters, &jobs, hidden_for))
    }
}

/// Runs a block for whichever place it is.
macro_rules! at {
    ($place:expr, |$letters:ident, $desk:ident| $block:expr) => {
        match $place {
            $crate::cli::dlq::place::Place::File($letters, $desk) => $block,
            #[cfg(feature = "aws")]
            $crate::cli::dlq::place::Place::Aws($letters, $desk) => $block,
        }
    };
}

pub(super) use at;
