//! Batches that are counted: their members, and the delivery of their one callback.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoLedger,
    attributes::{number, text},
    batch_item::{self, KnownBatch, Place},
    patience::Patience,
    table::{Expression, Written},
};
use crate::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchRecord, Member},
    lease::{CallbackState, Delivery, LedgerError},
};

/// Places that are read at once.
const READ_AT_ONCE: u64 = 100;

const CHANGE: &str = "SET version = :new_version, callback_state = :state, \
     callback_failures = :failures, callback_refusals = :refusals, callback_maybe = :maybe, \
     delivery_ends_ms = :ends";

const CHANGE_FOR_GOOD: &str = "SET version = :new_version, callback_state = :state, \
     callback_failures = :failures, callback_refusals = :refusals, callback_maybe = :maybe, \
     delivery_ends_ms = :ends, record_expires_s = kept_until_s";

impl DynamoLedger {
    pub(super) async fn look_at_batch(
        &self,
        key: BatchKey,
    ) -> Result<Option<KnownBatch>, LedgerError> {
        let item = self.table.get(batch_item::batch_pk(key)).await?;
        item.map(batch_item::to_batch).transpose()
    }

    /// Takes the delivery of a batch's callback, if it is due.
    pub(super) async fn take_delivery(
        &self,
        key: BatchKey,
        now: UnixMs,
        until: UnixMs,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        self.change_delivery(key, |batch| batch.take(now, until)).await
    }

    /// Notes what became of a delivery.
    pub(super) async fn note_delivery(
        &self,
        key: BatchKey,
        delivery: Delivery,
    ) -> Result<(), LedgerError> {
        let note = |mut batch: BatchRecord| {
            batch.note(delivery);
            Some(batch)
        };
        self.change_delivery(key, note).await.map(|_| ())
    }

    /// Read, decide, write if nobody else was at it; the batch as `rule` left it, if it changed it.
    async fn change_delivery(
        &self,
        key: BatchKey,
        rule: impl Fn(BatchRecord) -> Option<BatchRecord>,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        let mut patience = Patience::new("batch");
        loop {
            let Some(known) = self.look_at_batch(key).await? else { return Ok(None) };
            let Some(changed) = rule(known.record) else { return Ok(None) };
            if self.save_delivery(key, known.version, &changed).await? {
                return Ok(Some(changed));
            }
            patience.again().await?;
        }
    }

    async fn save_delivery(
        &self,
        key: BatchKey,
        version: u64,
        batch: &BatchRecord,
    ) -> Result<bool, LedgerError> {
        let slot = &batch.callback;
        let new_version = fastrand::u64(..);
        let condition = Expression {
            text: "version = :version",
            values: vec![
                (":version", number(version)),
                (":new_version", number(new_version)),
                (":state", text(slot.state.name())),
                (":failures", number(slot.failures)),
                (":refusals", number(slot.refusals)),
                (":maybe", AttributeValue::Bool(slot.may_have_arrived)),
                (":ends", number(batch.delivery_ends.0)),
            ],
        };
        let update = match slot.state {
            CallbackState::Pending => CHANGE,
            CallbackState::Sent | CallbackState::Dead(_) => CHANGE_FOR_GOOD,
        };
        match self.table.update(batch_item::batch_pk(key), update, condition).await? {
            Written::Done => Ok(true),
            Written::Refused(None) | Written::InTheWay => Ok(false),
            // Ours after all: its answer was lost, and it was sent again.
            Written::Refused(Some(item)) => Ok(batch_item::to_batch(item)?.version == new_version),
        }
    }

    /// Up to `limit` counted members from index `from` on, in order. No index is asked, since those
    /// come late: all places there can be are read.
    pub(super) async fn counted_members(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Member>, LedgerError> {
        let Some(batch) = self.look_at_batch(key).await? else { return Ok(Vec::new()) };
        let ends = batch.record.size.or(batch.highest.map(|highest| highest + 1)).unwrap_or(0);
        let mut places = Vec::new();
        let mut next = from;
        while next < ends && places.len() < limit {
            let until = ends.min(next + READ_AT_ONCE);
            places.extend(self.counted_places_in(key, next, until).await?);
            next = until;
        }
        places.truncate(limit);
        self.members_at(&places).await
    }

    async fn counted_places_in(
        &self,
        key: BatchKey,
        from: u64,
        until: u64,
    ) -> Result<Vec<Place>, LedgerError> {
        let pks: Vec<_> = (from..until).map(|index| batch_item::place_pk(key, index)).collect();
        let items = self.table.get_many(&pks).await?;
        let mut places =
            items.into_iter().map(batch_item::to_place).collect::<Result<Vec<_>, _>>()?;
        places.retain(|place| place.is_counted);
        places.sort_unstable_by_key(|place| place.index);
        Ok(places)
    }

    async fn members_at(&self, places: &[Place]) -> Result<Vec<Member>, LedgerError> {
        let jobs: Vec<_> = places.iter().map(|place| place.job).collect();
        let records = self.look_at_all(&jobs).await?;
        let members = places.iter().zip(records).filter_map(|(place, record)| {
            record.map(|record| Member { index: place.index, record })
        });
        Ok(members.collect())
    }
}
