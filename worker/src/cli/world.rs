//! Which world a command works in: a file of this machine, AWS, or a server that is asked by HTTP.

mod client;

use anyhow::bail;

pub(super) use self::client::{Client, Refused};
#[cfg(feature = "aws")]
use crate::aws::setup::AwsStore;
use crate::{
    cli::{
        ledger::{LedgerArgs, Place},
        store::FileStore,
    },
    config::{self, Source},
};

/// Where jobs go, and where what became of them is asked for. Flags go before variables; of
/// variables, a server's goes first, then a file's, then those of AWS.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where")]
pub(super) struct WorldArgs {
    #[command(flatten)]
    ledger: LedgerArgs,

    /// The queue on AWS, an SQS queue [env: MCP_BATCH_QUEUE_URL].
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    queue_url: Option<String>,

    #[command(flatten)]
    server: ServerArgs,
}

/// A server, `mcp-batch serve` or the function with the role `api`.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// A server's address [env: MCP_BATCH_API_URL]; its key comes from MCP_BATCH_API_KEY.
    #[arg(long = "api", value_name = "URL")]
    api_url: Option<String>,

    /// A file with the server's key [env: MCP_BATCH_API_KEY_FILE].
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<String>,
}

/// An open world.
pub(super) enum World {
    /// Queue and ledger in one file.
    File(FileStore),
    /// The queue in SQS, the ledger in DynamoDB.
    #[cfg(feature = "aws")]
    Aws(AwsStore),
    /// Both behind a server.
    Server(Client),
}

impl WorldArgs {
    /// Opens the world that was typed, or else that of the variables, to look at it: a file stays as
    /// it is.
    pub(super) async fn open_to_read(&self) -> anyhow::Result<World> {
        self.open_by(FileStore::open_to_read).await
    }

    /// The same to change something. A file that does not exist is not made.
    pub(super) async fn open(&self) -> anyhow::Result<World> {
        self.open_by(FileStore::open).await
    }

    /// The same where there is something to write: a file that does not exist is made.
    pub(super) async fn open_or_make(&self) -> anyhow::Result<World> {
        self.open_by(FileStore::open_or_make).await
    }

    async fn open_by(
        &self,
        file: fn(Source) -> anyhow::Result<FileStore>,
    ) -> anyhow::Result<World> {
        let source = self.source();
        if self.server.is_chosen(&source, self.flag())? {
            return Ok(World::Server(Client::new(config::client(&source)?)?));
        }
        match self.typed().unwrap_or_else(|| Place::of(&source)) {
            Place::File => Ok(World::File(file(source)?)),
            #[cfg(feature = "aws")]
            Place::Aws => Ok(World::Aws(AwsStore::open(source).await?)),
        }
    }

    /// The settings, with what was typed.
    pub(super) fn source(&self) -> Source {
        let source = self.server.source(self.ledger.source());
        #[cfg(feature = "aws")]
        let source = source.with("MCP_BATCH_QUEUE_URL", self.queue_url.as_ref());
        source
    }

    fn typed(&self) -> Option<Place> {
        #[cfg(feature = "aws")]
        if self.queue_url.is_some() {
            return Some(Place::Aws);
        }
        self.ledger.typed()
    }

    /// A flag that was typed and means another world than a server.
    fn flag(&self) -> Option<&'static str> {
        #[cfg(feature = "aws")]
        if self.queue_url.is_some() {
            return Some("--queue-url");
        }
        self.ledger.flag()
    }
}

impl ServerArgs {
    /// The settings, with what was typed.
    pub(super) fn source(&self, source: Source) -> Source {
        source
            .with("MCP_BATCH_API_URL", self.api_url.as_ref())
            .with("MCP_BATCH_API_KEY_FILE", self.api_key_file.as_ref())
    }

    /// Whether a server is meant, unless `other`, a flag that means something else, was typed.
    pub(super) fn is_chosen(&self, source: &Source, other: Option<&str>) -> anyhow::Result<bool> {
        match (&self.api_url, other) {
            (Some(_), Some(other)) => bail!("--api cannot be used with {other}"),
            (Some(_), None) => Ok(true),
            (None, other) => Ok(other.is_none() && source.get("MCP_BATCH_API_URL").is_some()),
        }
    }
}
