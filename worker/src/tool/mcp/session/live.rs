//! A connection to a server, with the list of tools that it offers.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rmcp::service::{Peer, RoleClient, RunningService};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::Session;
#[cfg(feature = "stdio")]
use crate::tool::mcp::program::Program;
use crate::tool::mcp::{failure, list::ToolList, progress::Listener, settings::Era};

/// A connection, with the tools it offers.
pub(in crate::tool::mcp) struct Live {
    service: RunningService<RoleClient, Listener>,
    /// The server, where it is a program that was started for us.
    #[cfg(feature = "stdio")]
    _program: Option<Program>,
    listener: Listener,
    made: Instant,
    tools: RwLock<Arc<ToolList>>,
    /// Held by the one who asks for the list again.
    reading: Mutex<()>,
}

impl Live {
    /// One that was just made.
    pub(super) fn new(
        service: RunningService<RoleClient, Listener>,
        #[cfg(feature = "stdio")] program: Option<Program>,
        listener: Listener,
        tools: ToolList,
    ) -> Self {
        Self {
            service,
            #[cfg(feature = "stdio")]
            _program: program,
            listener,
            made: Instant::now(),
            tools: RwLock::new(Arc::new(tools)),
            reading: Mutex::default(),
        }
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    pub(in crate::tool::mcp) fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    pub(in crate::tool::mcp) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(super) fn is_lost(&self) -> bool {
        self.service.is_closed() || self.service.is_transport_closed()
    }

    pub(super) fn era(&self) -> Era {
        let version = self.service.peer_info().map(|info| info.protocol_version.clone());
        match version.is_some_and(|version| !version.has_initialize()) {
            true => Era::Modern,
            false => Era::Legacy,
        }
    }

    /// The list of tools as it was last read.
    pub(in crate::tool::mcp) fn tools(&self) -> Arc<ToolList> {
        Arc::clone(&self.tools.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for the list again if it is old, or changed, or does not know `tool`. One asks for all;
    /// where that fails, the old list stays in use.
    pub(in crate::tool::mcp) async fn refresh(&self, tool: &str, session: &Session) {
        if !self.is_list_due(tool) {
            return;
        }
        let _reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            // Who knows the tool goes on with what there is.
            Err(_) if self.tools().get(tool).is_some() => return,
            Err(_) => self.reading.lock().await,
        };
        // Somebody may have asked meanwhile.
        if self.is_list_due(tool) {
            self.read_list(session).await;
        }
    }

    fn is_list_due(&self, tool: &str) -> bool {
        let list = self.tools();
        let is_known = list.get(tool).is_some();
        let has_changed = self.listener.list_has_changed();
        !list.is_fresh()
            || (has_changed && !is_known)
            || (!list.is_new() && (has_changed || !is_known))
    }

    async fn read_list(&self, session: &Session) {
        self.listener.forget_list_changed();
        let within = session.settings.connect_timeout;
        let read = ToolList::read(self.peer(), &session.name, &session.settings);
        let problem = match timeout(within, read).await {
            Ok(Ok(list)) => {
                *self.tools.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
                return;
            }
            Ok(Err(error)) => failure::of_list(&error, &session.terms()),
            Err(_) => failure::slow_handshake(within, &session.terms()),
        };
        tracing::warn!(error = problem.error.in_log(), "a list of tools cannot be read again yet");
        let old = self.tools().used_a_while_longer();
        *self.tools.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(old);
    }
}
