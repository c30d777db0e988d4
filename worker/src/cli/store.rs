//! Ledger and queue that a command reaches itself: in a file, or on AWS. Each is opened when it is
//! needed, so that nobody has to name a queue to read the ledger.

use std::{path::Path, sync::Arc};

use anyhow::ensure;

#[cfg(feature = "aws")]
use crate::aws::{dynamo::DynamoLedger, setup::AwsStore, sqs::SqsQueue};
use crate::{
    clock::Clock,
    config::{self, Source},
    environment::{Policy, Unobserved},
    lease::Ledger,
    local::{Database, OpenError, SqliteDeadLetters, SqliteLedger, SqliteQueue},
    queue::Queue,
    secret::Secrets,
    sweep::Sweep,
    webhook::Courier,
};

/// Where jobs lie, and what became of them.
pub(super) trait Store: Send + Sync {
    type Ledger: Ledger;
    type Queue: Queue;

    /// The ledger, and what it takes to tell outcomes.
    fn desk(&self) -> anyhow::Result<Sweep<Self::Ledger>>;

    /// The queue that workers receive from.
    fn queue(&self) -> anyhow::Result<Self::Queue>;

    /// Whose jobs these are, and when they are given up.
    fn policy(&self) -> anyhow::Result<Policy>;

    /// Where the queue is.
    fn place(&self) -> anyhow::Result<String>;
}

/// Both in one file.
pub(super) struct FileStore {
    database: Database,
    clock: Clock,
    secrets: Secrets,
}

impl FileStore {
    /// Opens a file that is there, and changes nothing of it.
    pub(super) fn open_to_read(source: Source) -> anyhow::Result<Self> {
        Self::open_by(Database::open_to_read, there(source)?)
    }

    /// Opens a file that is there.
    pub(super) fn open(source: Source) -> anyhow::Result<Self> {
        Self::open_by(Database::open, there(source)?)
    }

    /// Opens the file, or makes it.
    pub(super) fn open_or_make(source: Source) -> anyhow::Result<Self> {
        Self::open_by(Database::open, source)
    }

    fn open_by(
        open: fn(&Path, Clock) -> Result<Database, OpenError>,
        source: Source,
    ) -> anyhow::Result<Self> {
        let (path, clock) = (config::database(&source), Clock::system());
        ensure!(!path.is_dir(), "{}: it is a folder; name a file by --db", path.display());
        let secrets = Secrets::fixed(source)?;
        Ok(Self { database: open(&path, clock.clone())?, clock, secrets })
    }

    /// The dead letters, for one pass.
    pub(super) fn dead_letters(&self) -> SqliteDeadLetters {
        let path = config::database(self.secrets.current().source());
        SqliteDeadLetters::new(self.database.clone(), &path)
    }
}

/// The settings, of a file that is there.
fn there(source: Source) -> anyhow::Result<Source> {
    let path = config::database(&source);
    ensure!(path.exists(), "{}: there is no ledger; name one by --db", path.display());
    Ok(source)
}

impl Store for FileStore {
    type Ledger = SqliteLedger;
    type Queue = SqliteQueue;

    fn desk(&self) -> anyhow::Result<Sweep<SqliteLedger>> {
        let keys = self.secrets.current();
        let courier = config::courier(keys.source())?;
        let courier = Courier::new(courier, self.secrets.clone(), self.clock.clone());
        Ok(Sweep {
            ledger: SqliteLedger::new(self.database.clone()),
            courier: courier.map_err(anyhow::Error::msg)?,
            clock: self.clock.clone(),
            policy: self.policy()?,
            observer: Arc::new(Unobserved),
        })
    }

    fn queue(&self) -> anyhow::Result<SqliteQueue> {
        Ok(SqliteQueue::shared(self.database.clone()))
    }

    fn policy(&self) -> anyhow::Result<Policy> {
        Ok(config::policy(self.secrets.current().source())?)
    }

    fn place(&self) -> anyhow::Result<String> {
        let path = config::database(self.secrets.current().source());
        Ok(path.canonicalize()?.display().to_string())
    }
}

#[cfg(feature = "aws")]
impl Store for AwsStore {
    type Ledger = DynamoLedger;
    type Queue = SqsQueue;

    fn desk(&self) -> anyhow::Result<Sweep<DynamoLedger>> {
        Self::desk(self)
    }

    fn queue(&self) -> anyhow::Result<SqsQueue> {
        Self::queue(self)
    }

    fn policy(&self) -> anyhow::Result<Policy> {
        Ok(config::policy(self.secrets().current().source())?)
    }

    fn place(&self) -> anyhow::Result<String> {
        Ok(config::queue(self.secrets().current().source())?.queue_url.to_string())
    }
}
