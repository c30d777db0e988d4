//! Where the dead letters lie, the queue they came from, and the ledger that knows their jobs.

#[cfg(feature = "aws")]
use std::time::Duration;

#[cfg(feature = "aws")]
use crate::aws::{dynamo::DynamoLedger, setup::AwsStore, sqs::SqsDeadLetters};
use crate::{
    batch::Stop,
    cli::{
        ledger::{self, LedgerArgs},
        no_server::NoServerArgs,
        setup::Signals,
        store::{FileStore, Store},
    },
    config::Source,
    dead_letter::Desk,
    lease::Ledger,
    local::{SqliteDeadLetters, SqliteLedger},
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

    #[command(flatten)]
    no_server: NoServerArgs,

    /// The most letters that are looked at.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_one)]
    pub(super) limit: usize,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a number of letters, from 1".to_owned())
}

/// An open place.
pub(super) enum Place {
    /// In the file of the ledger.
    File(SqliteDeadLetters, Box<Sweep<SqliteLedger>>),
    /// In SQS, with the ledger in DynamoDB.
    #[cfg(feature = "aws")]
    Aws(SqsDeadLetters, Box<Sweep<DynamoLedger>>),
}

impl PlaceArgs {
    fn source(&self) -> Source {
        let source = self.ledger.source();
        #[cfg(feature = "aws")]
        let source = source
            .with("MCP_BATCH_QUEUE_URL", self.queue_url.as_ref())
            .with("MCP_BATCH_DLQ_URL", self.dlq_url.as_ref());
        source
    }

    fn typed(&self) -> Option<ledger::Place> {
        #[cfg(feature = "aws")]
        if self.queue_url.is_some() || self.dlq_url.is_some() {
            return Some(ledger::Place::Aws);
        }
        self.ledger.typed()
    }

    /// Opens it to look at it: a file stays as it is.
    pub(super) async fn open_to_read(&self) -> anyhow::Result<Place> {
        self.open_by(FileStore::open_to_read).await
    }

    /// Opens it. A file that does not exist is not made.
    pub(super) async fn open(&self) -> anyhow::Result<Place> {
        self.open_by(FileStore::open).await
    }

    async fn open_by(
        &self,
        file: fn(Source) -> anyhow::Result<FileStore>,
    ) -> anyhow::Result<Place> {
        let source = self.source();
        if self.typed().is_none() {
            NoServerArgs::check(&source)?;
        }
        match self.typed().unwrap_or_else(|| ledger::Place::of(&source)) {
            ledger::Place::File => {
                let store = file(source)?;
                Ok(Place::File(store.dead_letters(), Box::new(store.desk()?)))
            }
            #[cfg(feature = "aws")]
            ledger::Place::Aws => {
                let store = AwsStore::open(source).await?;
                let hidden_for = Duration::from_secs(self.hide_s);
                Ok(Place::Aws(store.dead_letters(hidden_for)?, Box::new(store.desk()?)))
            }
        }
    }
}

/// Who judges letters: by this ledger, and by the contract alone.
pub(super) fn desk<L: Ledger>(sweep: &Sweep<L>) -> Desk<'_, L> {
    Desk {
        ledger: &sweep.ledger,
        namespace: &sweep.policy.namespace,
        clock: &sweep.clock,
        check: &|_| Ok(()),
    }
}

/// What is under way is ended in order.
pub(super) fn stop_at_signal() -> anyhow::Result<Stop> {
    let (stop, mut signals) = (Stop::default(), Signals::new()?);
    let asked = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        asked.drain();
    });
    Ok(stop)
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
