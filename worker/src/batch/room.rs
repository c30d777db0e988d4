//! How many messages are in the process, running or waiting: for a permit, or in line at a gate.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// How long no more is received than fits in line, before it is looked whether the queue has other
/// jobs as well.
const NARROW: Duration = Duration::from_secs(30);

/// Counts the messages in the process.
#[derive(Default)]
pub(crate) struct Room {
    state: Mutex<State>,
    less: Notify,
}

#[derive(Default)]
struct State {
    messages: usize,
    narrow: Option<Narrow>,
}

/// More messages than these found no place in line lately, and nobody found an open gate.
struct Narrow {
    limit: usize,
    until: Instant,
}

/// One message's place, free again when it is dropped.
pub(super) struct Place(Arc<Room>);

impl Place {
    pub(super) fn take(room: &Arc<Room>) -> Self {
        room.state().messages += 1;
        Self(Arc::clone(room))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().messages -= 1;
        self.0.less.notify_waiters();
    }
}

impl Room {
    /// Waits until there is room for `least` more below `limit`; answers for how many. While jobs
    /// are turned away at their gates, `limit` is what found a place there: whatever else is
    /// received would go back to the queue at once.
    pub(super) async fn wait(&self, limit: usize, least: usize) -> usize {
        loop {
            let less = self.less.notified();
            let (room, widens) = self.state().room(limit);
            if room >= least.max(1) {
                return room;
            }
            match widens {
                // Something is less, or time is over: both are looked at.
                Some(at) => drop(timeout_at(at, less).await),
                None => less.await,
            }
        }
    }

    /// A job found its gate shut and no place in line.
    pub(crate) fn turned_away(&self) {
        let mut state = self.state();
        let others = state.messages.saturating_sub(1);
        match &mut state.narrow {
            Some(narrow) => narrow.limit = narrow.limit.min(others),
            None => state.narrow = Some(Narrow { limit: others, until: Instant::now() + NARROW }),
        }
    }

    /// A job found its gate open: the queue has something to do.
    pub(crate) fn let_in(&self) {
        let was_narrow = self.state().narrow.take().is_some();
        if was_narrow {
            self.less.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many more there may be, and when that may change by itself.
    fn room(&mut self, limit: usize) -> (usize, Option<Instant>) {
        if self.narrow.as_ref().is_some_and(|narrow| narrow.until <= Instant::now()) {
            self.narrow = None;
        }
        let narrow = self.narrow.as_ref();
        let limit = narrow.map_or(limit, |narrow| narrow.limit.min(limit));
        (limit.saturating_sub(self.messages), narrow.map(|narrow| narrow.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_jobs_are_turned_away_there_is_room_for_what_found_a_place() {
        let room = Arc::<Room>::default();
        let mut in_line: Vec<_> = (0..64).map(|_| Place::take(&room)).collect();
        let mut others: Vec<_> = (0..32).map(|_| Place::take(&room)).collect();
        while let Some(place) = others.pop() {
            room.turned_away();
            drop(place);
        }
        assert_eq!(room.state().room(96).0, 0);
        in_line.truncate(40);
        assert_eq!(room.state().room(96).0, 24);
        room.let_in();
        assert_eq!(room.state().room(96), (56, None), "somebody else's gate was open");
    }

    #[test]
    fn the_queue_is_looked_at_again_after_a_while() {
        let room = Arc::<Room>::default();
        let _in_line: Vec<_> = (0..64).map(|_| Place::take(&room)).collect();
        room.turned_away();
        let (none, widens) = room.state().room(96);
        assert!(none == 0 && widens > Some(Instant::now()));
        if let Some(narrow) = &mut room.state().narrow {
            narrow.until = Instant::now();
        }
        assert_eq!(room.state().room(96), (32, None));
    }
}
