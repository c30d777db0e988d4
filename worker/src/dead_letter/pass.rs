//! One way through the dead letters: each is seen once, and what was not deleted is put back at the end.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{DeadLetters, Letter, LetterId};
use crate::{
    batch::Stop,
    queue::{QueueError, Receipt},
};

/// Letters that are taken at once.
const PAGE: usize = 100;

/// One way through the dead letters.
pub(super) struct Pass<'a, S> {
    source: &'a S,
    /// The most letters that are looked at.
    limit: usize,
    /// For how long letters that somebody else hides are waited for, and who may end that.
    patience: Option<(Duration, Stop)>,
    was_told: bool,
    seen: HashSet<LetterId>,
    held: HashMap<LetterId, Receipt>,
    /// Letters that came again since the last new one.
    again: usize,
}

impl<'a, S: DeadLetters> Pass<'a, S> {
    /// A pass that sees what is there; `limit` letters at most.
    pub(super) fn of(source: &'a S, limit: usize) -> Self {
        Self {
            source,
            limit,
            patience: None,
            was_told: false,
            seen: HashSet::new(),
            held: HashMap::new(),
            again: 0,
        }
    }

    /// The same, which waits for letters that somebody else hides, a process that was killed perhaps.
    pub(super) fn patient(self, stop: &Stop) -> Self {
        let patience = self.source.hidden_for() + Duration::from_secs(1);
        Self { patience: Some((patience, stop.clone())), ..self }
    }

    /// Letters that were not seen before; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Letter>, QueueError> {
        let began = Instant::now();
        loop {
            let most = PAGE.min(self.limit.saturating_sub(self.seen.len()));
            let taken = self.source.take(most).await?;
            let was_empty = taken.is_empty();
            let count = taken.len();
            let new = self.keep(taken);
            if !new.is_empty() {
                self.again = 0;
                return Ok(new);
            }
            self.again += count;
            let is_round = was_empty || self.again > self.held.len();
            if most == 0 || (is_round && !self.waits(began).await?) {
                return Ok(new);
            }
        }
    }

    /// A letter that came again was hidden for too short a time: its old receipt is worth nothing.
    fn keep(&mut self, taken: Vec<Letter>) -> Vec<Letter> {
        let mut new = Vec::new();
        for letter in taken {
            self.held.insert(letter.id.clone(), letter.receipt.clone());
            if self.seen.insert(letter.id.clone()) {
                new.push(letter);
            }
        }
        new
    }

    async fn waits(&mut self, began: Instant) -> Result<bool, QueueError> {
        let Some((patience, stop)) = &self.patience else { return Ok(false) };
        if began.elapsed() >= *patience || stop.is_draining() {
            return Ok(false);
        }
        let letters = self.hidden_elsewhere().await?;
        if letters > 0 && !self.was_told {
            let most_s = patience.as_secs();
            tracing::warn!(
                letters,
                "waiting up to {most_s} s for letters that somebody else hides"
            );
            self.was_told = true;
        }
        Ok(letters > 0)
    }

    /// About how many letters somebody else hides.
    pub(super) async fn hidden_elsewhere(&self) -> Result<usize, QueueError> {
        Ok(self.source.hidden().await?.saturating_sub(self.held.len()))
    }

    /// How many letters were seen.
    pub(super) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// Whether there may be more than were looked at.
    pub(super) fn is_cut_off(&self) -> bool {
        self.seen.len() >= self.limit
    }

    /// Deletes letters.
    pub(super) async fn delete(&mut self, ids: &[LetterId]) -> Result<(), QueueError> {
        let receipts = ids.iter().filter_map(|id| self.held.get(id).cloned()).collect();
        self.source.delete(receipts).await?;
        for id in ids {
            self.held.remove(id);
        }
        Ok(())
    }

    /// Puts the rest back. What cannot be put back comes back by itself.
    pub(super) async fn end(self) {
        let receipts: Vec<Receipt> = self.held.into_values().collect();
        if let Err(error) = self.source.put_back(receipts).await {
            let after_s = self.source.hidden_for().as_secs();
            tracing::warn!(%error, "some dead letters stay hidden for {after_s} s more");
        }
    }
}
