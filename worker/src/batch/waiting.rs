//! The messages of a batch that were not begun yet, in the order in which they may be.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::room::Place;
use crate::queue::Message;

/// In which order the messages of a batch are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Any, all at once.
    Any,
    /// One after another within a group, groups at once; after one that comes back, the rest of its
    /// group comes back unprocessed (SQS FIFO queues).
    WithinGroups,
}

/// A message in the process.
pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    /// Kept while the message is here.
    #[expect(dead_code, reason = "it counts by being there")]
    pub(super) place: Place,
}

/// What waits: messages that may be begun, and those behind them in their group.
pub(super) struct Waiting {
    ready: VecDeque<Entry>,
    behind: HashMap<String, VecDeque<Entry>>,
    order: Order,
}

impl Waiting {
    pub(super) fn new(entries: impl Iterator<Item = Entry>, order: Order) -> Self {
        let mut waiting = Self { ready: VecDeque::new(), behind: HashMap::new(), order };
        match order {
            Order::Any => waiting.ready.extend(entries),
            Order::WithinGroups => entries.for_each(|entry| waiting.line_up(entry)),
        }
        waiting
    }

    fn line_up(&mut self, entry: Entry) {
        let group = group(&entry.message);
        if let Some(behind) = self.behind.get_mut(group) {
            behind.push_back(entry);
        } else {
            self.behind.insert(group.to_owned(), VecDeque::new());
            self.ready.push_back(entry);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.behind.values().all(VecDeque::is_empty)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        self.ready.pop_front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.ready.iter().chain(self.behind.values().flatten())
    }

    /// The next message of its group may be begun.
    pub(super) fn finished(&mut self, message: &Message) {
        if self.order == Order::WithinGroups {
            let behind = self.behind.get_mut(group(message));
            self.ready.extend(behind.and_then(VecDeque::pop_front));
        }
    }

    /// Takes out what must come back with this message: the rest of its group.
    pub(super) fn returned(&mut self, message: &Message) -> VecDeque<Entry> {
        match self.order {
            Order::Any => VecDeque::new(),
            Order::WithinGroups => self.behind.remove(group(message)).unwrap_or_default(),
        }
    }

    /// Takes out everything.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let behind = self.behind.drain().flat_map(|(_, entries)| entries);
        self.ready.drain(..).chain(behind).collect()
    }
}

fn group(message: &Message) -> &str {
    message.group.as_deref().unwrap_or_default()
}
