//! Which calls have made progress: a server that works on is not silent.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProgressNotificationParam, ProgressToken,
    },
    service::{NotificationContext, RoleClient},
};
use tokio::sync::Notify;

/// What hears a server's notifications. Clones hear the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    calls: Mutex<HashMap<ProgressToken, Arc<Notify>>>,
    list_changed: AtomicBool,
}

/// One call's progress; it is listened for until this is dropped.
pub(super) struct Progress {
    listener: Listener,
    token: ProgressToken,
    made: Arc<Notify>,
}

impl Listener {
    /// Listens for the progress of the call with that token.
    pub(super) fn progress(&self, token: ProgressToken) -> Progress {
        let made = Arc::<Notify>::default();
        self.calls().insert(token.clone(), Arc::clone(&made));
        Progress { listener: self.clone(), token, made }
    }

    /// Whether the list of tools has changed since it was last asked for.
    pub(super) fn list_has_changed(&self) -> bool {
        self.0.list_changed.load(Ordering::Relaxed)
    }

    pub(super) fn forget_list_changed(&self) {
        self.0.list_changed.store(false, Ordering::Relaxed);
    }

    pub(super) fn note_list_changed(&self) {
        self.0.list_changed.store(true, Ordering::Relaxed);
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<ProgressToken, Arc<Notify>>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Returns when the call has made progress.
    pub(super) async fn made(&self) {
        self.made.notified().await;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.listener.calls().remove(&self.token);
    }
}

impl ClientHandler for Listener {
    /// Nothing is declared that a server could ask of us: nobody would answer.
    fn get_info(&self) -> ClientConfig {
        let program = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), program)
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        if let Some(made) = self.calls().get(&progress.progress_token) {
            made.notify_one();
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.note_list_changed();
    }
}
