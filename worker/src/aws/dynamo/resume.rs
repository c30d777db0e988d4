//! Jobs that were found between their end and their count, which [`alone`](super::alone) writes one
//! after the other: whoever finds one counts it. Nobody writes the item of such a job anew before that.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    DynamoLedger,
    attributes::{PK, Reader},
    batch_item::{self, KnownBatch, Taken},
    item::{self, Known},
    patience::Patience,
    places::{Pending, StoredPlaces},
    table::{Table, Written},
    tell,
};
use crate::{
    fan_in::{BatchKey, Holder},
    lease::LedgerError,
};

/// How long a batch is looked through for such jobs before it is closed for its time.
const LOOKING_TAKES: Duration = Duration::from_secs(10);

/// What came of a pending place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// The batch's item has counted it.
    Counted,
    /// The batch was over before.
    Over,
    /// There is no such batch any more, or no such place in it.
    Gone,
    /// The job's item tells by now what came of it.
    Told,
}

/// Counts a job at its pending place, unless it is.
pub(super) async fn count(
    table: &Table,
    pending: Pending,
    job_pk: &str,
) -> Result<Count, LedgerError> {
    let Pending { batch, index, .. } = pending;
    let batch_pk = batch_item::batch_pk(batch);
    let mut patience = Patience::new("count");
    loop {
        // The round first, and then whether the job is still pending.
        let (known, place) = look_at_place(table, batch, index).await?;
        let Some(job) = table.get(job_pk.to_owned()).await? else { return Ok(Count::Gone) };
        if StoredPlaces::take(&mut Reader::new(job))?.pending != Some(pending) {
            return Ok(Count::Told);
        }
        let is_its_place = place.is_some_and(|place| {
            let is_holder = |job| item::pk(job) == job_pk;
            matches!(place.holder, Holder::Job(job) if is_holder(job))
                && place.counted_end.is_none()
        });
        let Some(known) = known.filter(|_| is_its_place) else { return Ok(Count::Gone) };
        if known.alone.has(index) {
            return Ok(Count::Counted);
        }
        if !known.takes(index) {
            return Ok(Count::Over);
        }
        let told = tell::if_full(table, batch, &known.alone).await?;
        let (update, condition) = known.alone.joined_by(index, &told);
        if matches!(table.update(batch_pk.clone(), update, condition).await?, Written::Done) {
            return Ok(Count::Counted);
        }
        patience.again().await?;
    }
}

async fn look_at_place(
    table: &Table,
    batch: BatchKey,
    index: u64,
) -> Result<(Option<KnownBatch>, Option<Taken>), LedgerError> {
    let page_pk = batch_item::page_pk(batch, index);
    let (mut known, mut place) = (None, None);
    for item in table.get_many(&[batch_item::batch_pk(batch), page_pk.clone()]).await? {
        if item::text_of(&item, PK) == page_pk {
            let places = batch_item::to_places(&item)?;
            place = places.into_iter().find(|place| place.index == index);
        } else {
            known = Some(batch_item::to_batch(item)?);
        }
    }
    Ok((known, place))
}

impl DynamoLedger {
    /// What is known of a job, of which nothing is pending any more.
    pub(super) async fn resumed(
        &self,
        mut known: Option<Known>,
    ) -> Result<Option<Known>, LedgerError> {
        let mut patience = Patience::new("resume");
        while let Some(Known { record, stored, .. }) = &known
            && let Some(pending) = stored.pending
        {
            let pk = item::pk(record.key);
            let count = count(&self.table, pending, &pk).await?;
            if count != Count::Told {
                // A batch that is gone is never to count it: another one may have its name.
                let is_counted = count != Count::Over;
                tell::settle(&self.table, pk, stored, pending, is_counted).await?;
            }
            known = self.look(record.key).await?;
            patience.again().await?;
        }
        Ok(known)
    }

    /// Counts what of a batch has ended without being counted, since it is about to be closed: for as
    /// long as there is time, from the first place on. What cannot be looked at does not keep it open.
    pub(super) async fn resume_batch(&self, key: BatchKey) {
        match timeout(LOOKING_TAKES, self.resume_members(key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(batch = ?key, %error, "jobs that ended uncounted could not all be looked for");
            }
            Err(_) => {
                tracing::warn!(batch = ?key, "there was no time to look for jobs that ended uncounted");
            }
        }
    }

    async fn resume_members(&self, key: BatchKey) -> Result<(), LedgerError> {
        let Some(batch) = self.look_at_batch(key).await? else { return Ok(()) };
        for pages in batch.pages_from(0) {
            let places = self.places_in(key, pages).await?;
            let mut pks: Vec<_> = places.iter().filter_map(waiting_job).collect();
            pks.sort_unstable();
            pks.dedup();
            for item in self.table.get_many(&pks).await? {
                let pk = item::text_of(&item, PK);
                let stored = StoredPlaces::take(&mut Reader::new(item))?;
                if let Some(pending) = stored.pending.filter(|pending| pending.batch == key)
                    && !batch.alone.has(pending.index)
                {
                    count(&self.table, pending, &pk).await?;
                }
            }
        }
        Ok(())
    }
}

fn waiting_job(place: &Taken) -> Option<String> {
    match place.holder {
        Holder::Job(job) if place.counted_end.is_none() => Some(item::pk(job)),
        _ => None,
    }
}
