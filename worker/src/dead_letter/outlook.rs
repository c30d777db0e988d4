//! What becomes of the jobs that a replay sent: while it goes on, the ledger tells how the first of
//! them ended. Where they fail again it makes no sense to send the rest.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    job::JobKey,
    lease::{Ledger, LedgerError, State},
};

/// The latest jobs that are looked after.
const WINDOW: usize = 200;

/// So many must have ended before anything is said of them.
const LEAST_ENDED: usize = 20;

/// The least time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The share of replayed jobs that may fail again, in percent.
#[derive(Clone, Copy, Debug)]
pub struct FailureLimit(pub u8);

/// The latest jobs that were sent.
#[derive(Debug)]
pub(super) struct Outlook {
    limit: FailureLimit,
    sent: VecDeque<(JobKey, Option<u64>)>,
    looked: Instant,
}

/// How they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Endings {
    pub(super) failed: usize,
    pub(super) ended: usize,
}

impl Outlook {
    pub(super) fn new(limit: FailureLimit) -> Self {
        Self { limit, sent: VecDeque::new(), looked: Instant::now() }
    }

    /// A job was sent that had run in this epoch before, if it had.
    pub(super) fn sent(&mut self, job: JobKey, epoch: Option<u64>) {
        self.sent.push_back((job, epoch));
        if self.sent.len() > WINDOW {
            self.sent.pop_front();
        }
    }

    /// Looks if it is time; answers how they ended if too many failed.
    pub(super) async fn too_many_failed<L: Ledger>(
        &mut self,
        ledger: &L,
    ) -> Result<Option<Endings>, LedgerError> {
        if self.looked.elapsed() < EVERY || self.sent.len() < LEAST_ENDED {
            return Ok(None);
        }
        self.looked = Instant::now();
        let endings = self.endings(ledger).await?;
        let is_told = endings.ended >= LEAST_ENDED;
        let is_over = endings.failed * 100 > endings.ended * usize::from(self.limit.0);
        Ok((is_told && is_over).then_some(endings))
    }

    async fn endings<L: Ledger>(&self, ledger: &L) -> Result<Endings, LedgerError> {
        let records = ledger.read(self.sent.iter().map(|(job, _)| *job).collect()).await?;
        let mut endings = Endings::default();
        for ((_, before), record) in self.sent.iter().zip(records) {
            let again = record.filter(|record| before.is_none_or(|epoch| record.epoch > epoch));
            match again.map(|record| record.state) {
                Some(State::Failed(_) | State::Held(_)) => {
                    endings.failed += 1;
                    endings.ended += 1;
                }
                Some(State::Done(_)) => endings.ended += 1,
                _ => {}
            }
        }
        Ok(endings)
    }
}
