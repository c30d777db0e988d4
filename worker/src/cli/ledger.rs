//! Which ledger a command talks to that needs neither queue nor tools: a file, or a table.

use std::sync::Arc;

use anyhow::bail;

#[cfg(feature = "aws")]
use crate::aws::{dynamo::DynamoLedger, setup::AwsSweep};
use crate::{
    clock::Clock,
    config::{self, Source},
    environment::Unobserved,
    job::Namespace,
    local::{Database, SqliteLedger},
    secret::Secrets,
    sweep::Sweep,
    webhook::Courier,
};

/// Where the ledger is.
#[derive(Debug, clap::Args)]
pub(super) struct LedgerArgs {
    /// The ledger of `run`, an SQLite file [env: MCP_BATCH_DB] [default: mcp-batch.db, unless
    /// MCP_BATCH_TABLE is set].
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

/// An open ledger, with all it takes to tell what it owes.
pub(super) enum OpenLedger {
    File(Arc<Sweep<SqliteLedger>>),
    #[cfg(feature = "aws")]
    Table(Arc<Sweep<DynamoLedger>>),
}

impl LedgerArgs {
    fn source(&self) -> Source {
        let source = Source::from_env()
            .with("MCP_BATCH_DB", self.db.as_ref())
            .with("MCP_BATCH_NAMESPACE", self.namespace.as_ref());
        #[cfg(feature = "aws")]
        let source = source.with("MCP_BATCH_TABLE", self.table.as_ref());
        source
    }

    /// Whose jobs and batches.
    pub(super) fn namespace(&self) -> anyhow::Result<Namespace> {
        Ok(config::policy(&self.source())?.namespace)
    }

    /// Opens it. A file that does not exist is not made.
    pub(super) async fn open(&self) -> anyhow::Result<OpenLedger> {
        let source = self.source();
        #[cfg(feature = "aws")]
        if self.table.is_some() || (self.is_file_unnamed(&source) && has_table(&source)) {
            let sweep = AwsSweep::open(source).await?;
            return Ok(OpenLedger::Table(Arc::clone(sweep.sweep())));
        }
        Self::open_file(source).map(OpenLedger::File)
    }

    #[cfg(feature = "aws")]
    fn is_file_unnamed(&self, source: &Source) -> bool {
        self.db.is_none() && source.get("MCP_BATCH_DB").is_none()
    }

    fn open_file(source: Source) -> anyhow::Result<Arc<Sweep<SqliteLedger>>> {
        let path = config::database(&source);
        if !path.exists() {
            bail!("{}: there is no ledger; name one by --db", path.display());
        }
        let clock = Clock::system();
        let policy = config::policy(&source)?;
        let courier = config::courier(&source)?;
        let secrets = Secrets::fixed(source)?;
        Ok(Arc::new(Sweep {
            ledger: SqliteLedger::new(Database::open(&path, clock.clone())?),
            courier: Courier::new(courier, secrets, clock.clone()).map_err(anyhow::Error::msg)?,
            clock,
            policy,
            observer: Arc::new(Unobserved),
        }))
    }
}

#[cfg(feature = "aws")]
fn has_table(source: &Source) -> bool {
    source.get("MCP_BATCH_TABLE").is_some()
}
