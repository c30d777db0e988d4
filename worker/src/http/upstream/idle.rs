//! Connections that no call needs just now. They are kept for a while: the next call saves a dialling.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::{Instant, sleep};

use super::{super::IDLE_CONNECTION, Shared, connection::Connection};

/// The most of them. When a thousand calls end together, few of their connections are needed again soon,
/// and each holds 25 KB.
pub(super) const MOST_IDLE: usize = 128;

/// Unused connections, the one that was used last on top.
#[derive(Default)]
pub(super) struct Idle(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    connections: Vec<(Instant, Connection)>,
    /// Somebody closes what gets too old.
    is_swept: bool,
}

impl Idle {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is open and was used within [`IDLE_CONNECTION`]. Those below it are not looked at: there
    /// are many, and this is done for every request.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        while let Some(one) = kept.connections.pop() {
            if is_of_use(&one) {
                return Some(one.1);
            }
        }
        None
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept().connections.len()
    }

    fn push(&self, shared: &Arc<Shared>, connection: Connection) {
        let mut kept = self.kept();
        if kept.connections.len() >= MOST_IDLE {
            return;
        }
        kept.connections.push((Instant::now(), connection));
        if !kept.is_swept {
            kept.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(shared)));
        }
    }
}

fn is_of_use((since, connection): &(Instant, Connection)) -> bool {
    since.elapsed() < IDLE_CONNECTION && !connection.is_closed()
}

/// Keeps a connection whose last answer has been read, once it has done with it.
pub(super) fn keep(shared: &Arc<Shared>, mut connection: Connection) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        if connection.is_ready().await
            && let Some(shared) = shared.upgrade()
        {
            shared.idle.push(&shared, connection);
        }
    });
}

/// Closes connections as they get too old, until there are none.
async fn sweep(shared: Weak<Shared>) {
    loop {
        sleep(IDLE_CONNECTION).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut kept = shared.idle.kept();
        kept.connections.retain(is_of_use);
        if kept.connections.is_empty() {
            kept.is_swept = false;
            return;
        }
    }
}
