//! Which ledger a command talks to that needs neither queue nor tools: a file, or a table.

use std::sync::Arc;

#[cfg(feature = "aws")]
use crate::aws::{dynamo::DynamoLedger, setup::AwsStore};
use crate::{
    cli::store::{FileStore, Store},
    config::{self, Source},
    job::Namespace,
    local::SqliteLedger,
    sweep::Sweep,
};

/// Where the ledger is.
#[derive(Debug, clap::Args)]
pub(super) struct LedgerArgs {
    /// Queue and ledger of `run` and `serve`, an SQLite file [env: MCP_BATCH_DB] [default:
    /// mcp-batch.db, unless another place is named].
    #[arg(long, value_name = "FILE")]
    db: Option<String>,

    /// The ledger on AWS, a DynamoDB table [env: MCP_BATCH_TABLE].
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "NAME", conflicts_with = "db")]
    table: Option<String>,

    /// Whose jobs and batches these are [env: MCP_BATCH_NAMESPACE] [default: default].
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Where a ledger can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File,
    #[cfg(feature = "aws")]
    Aws,
}

/// An open ledger, with all it takes to tell what it owes.
pub(super) enum OpenLedger {
    File(Arc<Sweep<SqliteLedger>>),
    #[cfg(feature = "aws")]
    Table(Arc<Sweep<DynamoLedger>>),
}

impl LedgerArgs {
    /// The settings, with what was typed.
    pub(super) fn source(&self) -> Source {
        let source = Source::from_env()
            .with("MCP_BATCH_DB", self.db.as_ref())
            .with("MCP_BATCH_NAMESPACE", self.namespace.as_ref());
        #[cfg(feature = "aws")]
        let source = source.with("MCP_BATCH_TABLE", self.table.as_ref());
        source
    }

    /// A flag that was typed.
    pub(super) fn flag(&self) -> Option<&'static str> {
        #[cfg(feature = "aws")]
        if self.table.is_some() {
            return Some("--table");
        }
        let namespace = self.namespace.as_ref().map(|_| "--namespace");
        self.db.as_ref().map(|_| "--db").or(namespace)
    }

    /// The place that was typed.
    pub(super) fn typed(&self) -> Option<Place> {
        #[cfg(feature = "aws")]
        if self.table.is_some() {
            return Some(Place::Aws);
        }
        self.db.is_some().then_some(Place::File)
    }

    /// Whose jobs and batches.
    pub(super) fn namespace(&self) -> anyhow::Result<Namespace> {
        Ok(config::policy(&self.source())?.namespace)
    }

    /// Opens it to look at it: a file stays as it is.
    pub(super) async fn open_to_read(&self) -> anyhow::Result<OpenLedger> {
        self.open_by(FileStore::open_to_read).await
    }

    /// Opens it. A file that does not exist is not made.
    pub(super) async fn open(&self) -> anyhow::Result<OpenLedger> {
        self.open_by(FileStore::open).await
    }

    async fn open_by(
        &self,
        file: fn(Source) -> anyhow::Result<FileStore>,
    ) -> anyhow::Result<OpenLedger> {
        let source = self.source();
        match self.typed().unwrap_or_else(|| Place::of(&source)) {
            Place::File => {
                let desk = file(source)?.desk()?;
                Ok(OpenLedger::File(Arc::new(desk)))
            }
            #[cfg(feature = "aws")]
            Place::Aws => {
                let desk = AwsStore::open(source).await?.desk()?;
                Ok(OpenLedger::Table(Arc::new(desk)))
            }
        }
    }
}

impl Place {
    /// Whether the settings name a place at all.
    pub(super) fn is_named(source: &Source) -> bool {
        source.get("MCP_BATCH_DB").is_some() || Self::of(source) != Self::File
    }

    /// The place that the settings name: a file before AWS, since it is nearer.
    pub(super) fn of(source: &Source) -> Self {
        #[cfg(feature = "aws")]
        if source.get("MCP_BATCH_DB").is_none()
            && ["MCP_BATCH_TABLE", "MCP_BATCH_QUEUE_URL"].iter().any(|it| source.get(it).is_some())
        {
            return Self::Aws;
        }
        let _ = source;
        Self::File
    }
}
