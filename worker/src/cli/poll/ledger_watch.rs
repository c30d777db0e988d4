//! Looks whether the ledger can be read: a worker without it pays for nothing and finishes nothing.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    batch::Stop,
    environment::{Environment, Ports},
    job::{JobKey, Namespace},
    lease::Ledger,
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(30);

/// The same while it cannot be read.
const AGAIN: Duration = Duration::from_secs(5);

/// What is known of the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// Nobody has looked yet.
    Unknown,
    /// It was read.
    Read,
    /// It cannot be read.
    Unread {
        /// The first time.
        since: Instant,
        /// It was read before.
        ever: bool,
    },
}

impl Standing {
    fn after_failure(self) -> Self {
        match self {
            Self::Unread { .. } => self,
            Self::Unknown => Self::Unread { since: Instant::now(), ever: false },
            Self::Read => Self::Unread { since: Instant::now(), ever: true },
        }
    }
}

/// Looks until `stop` drains, by a key that no job has.
pub(super) async fn watch<P: Ports>(
    environment: Arc<Environment<P>>,
    standing: watch::Sender<Standing>,
    stop: Stop,
) {
    let nobodys = JobKey::of_refused(&Namespace::default(), b"");
    loop {
        let read = environment.ledger.read(vec![nobodys]).await;
        let pause = if read.is_ok() { EVERY } else { AGAIN };
        let before = *standing.borrow();
        match read {
            Ok(_) => drop(standing.send_replace(Standing::Read)),
            Err(error) => {
                if !matches!(before, Standing::Unread { .. }) {
                    tracing::error!(
                        %error,
                        "the ledger cannot be read: expected a DynamoDB table by the name in \
                         MCP_BATCH_TABLE, in this region, that these credentials may read \
                         (dynamodb:GetItem and BatchGetItem)"
                    );
                }
                standing.send_replace(before.after_failure());
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.draining() => return,
        }
    }
}
