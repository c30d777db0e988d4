//! Batches that are counted: their members, their size, and the delivery of their one callback.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde_json::json;

use super::{
    DynamoLedger,
    alone::Alone,
    attributes::{
        ATTENTION, ATTENTION_MS, CALLBACK_DUE_MS, CALLBACK_FAILING_SINCE_MS,
        CALLBACK_REFUSED_SINCE_MS, KEPT_UNTIL_S, PK, RECORD_EXPIRES_S, number, shard_of, text,
    },
    batch_item::{self, KnownBatch, MAX_BODY_BYTES, PAGE, READING, Taken},
    item,
    patience::Patience,
    table::{Expression, Written},
};
use crate::{
    clock::UnixMs,
    fan_in::{
        BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Holder, Member, MemberKind,
        Place, Taking,
    },
    lease::{CallbackState, LedgerError},
};

impl DynamoLedger {
    pub(super) async fn look_at_batch(
        &self,
        key: BatchKey,
    ) -> Result<Option<KnownBatch>, LedgerError> {
        let item = self.table.get(batch_item::batch_pk(key)).await?;
        item.map(batch_item::to_batch).transpose()
    }

    /// Takes the delivery of a batch's callback, if it is due. One that is closed by that counts first what
    /// has ended.
    pub(super) async fn take_delivery(
        &self,
        key: BatchKey,
        taking: Taking,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        let is_closed_by_it = |known: &Option<KnownBatch>| {
            known.as_ref().is_some_and(|known| known.record.is_closed_at(taking.now))
        };
        let take = |batch: BatchRecord| batch.take(taking);
        let known = self.look_at_batch(key).await?;
        if !is_closed_by_it(&known) {
            return self.change_known_batch(key, known, take).await;
        }
        // Of all whose jobs end just then, one looks through it.
        let _turn = self.closing.lock().await;
        if is_closed_by_it(&self.look_at_batch(key).await?) {
            self.resume_batch(key).await;
        }
        self.change_batch(key, take).await
    }

    /// Notes what became of a delivery.
    pub(super) async fn note_delivery(
        &self,
        key: BatchKey,
        mark: BatchMark,
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        let note = |mut batch: BatchRecord| {
            batch.note(mark.clone(), now);
            Some(batch)
        };
        self.change_batch(key, note).await.map(|_| ())
    }

    /// Makes a batch's callback due again.
    pub(super) async fn renew_delivery(
        &self,
        key: BatchKey,
        now: UnixMs,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        self.change_batch(key, |batch| batch.renew(now)).await
    }

    /// From now on, what has not started is cancelled when it is claimed.
    pub(super) async fn cancel_unstarted(
        &self,
        key: BatchKey,
    ) -> Result<Result<BatchRecord, CancelRefusal>, LedgerError> {
        let mut patience = Patience::new("batch");
        loop {
            let known = self.look_at_batch(key).await?;
            let cancelled = BatchRecord::cancel(known.as_ref().map(|known| known.record.clone()));
            match (cancelled, known) {
                (Ok(batch), Some(known)) if batch == known.record => return Ok(Ok(batch)),
                (Ok(batch), Some(known)) if self.save_batch(key, &known, &batch).await? => {
                    return Ok(Ok(batch));
                }
                (Ok(_), _) => patience.again().await?,
                (refused, _) => return Ok(refused),
            }
        }
    }

    /// Tells a batch its size.
    pub(super) async fn close_with_size(
        &self,
        key: BatchKey,
        size: u64,
        now: UnixMs,
    ) -> Result<Result<BatchRecord, CloseRefusal>, LedgerError> {
        let mut patience = Patience::new("batch");
        loop {
            let known = self.look_at_batch(key).await?;
            let highest = match &known {
                Some(known) => self.highest_from(key, known, size).await?,
                None => None,
            };
            let old = known.as_ref().map(|known| known.record.clone());
            let closed = match BatchRecord::close(old, size, highest, now) {
                Ok(closed) => closed,
                Err(refusal) => return Ok(Err(refusal)),
            };
            match known {
                Some(known) if closed == known.record => return Ok(Ok(closed)),
                // Nothing was counted meanwhile: it is complete, and due, if it says so.
                Some(known) if self.save_batch(key, &known, &closed).await? => {
                    return Ok(Ok(closed));
                }
                _ => patience.again().await?,
            }
        }
    }

    /// The highest place that is taken of those from `size` on, of a batch without a size.
    pub(super) async fn highest_from(
        &self,
        key: BatchKey,
        batch: &KnownBatch,
        size: u64,
    ) -> Result<Option<u64>, LedgerError> {
        if batch.record.size.is_some() {
            return Ok(None);
        }
        let pages = size / PAGE..batch.pages.unwrap_or(0);
        let taken = self.places_in(key, pages).await?;
        Ok(taken.last().map(|place| place.index).filter(|index| *index >= size))
    }

    /// Lets the sweep look after a batch that a rejection completed.
    pub(super) async fn due_if_complete(
        &self,
        key: BatchKey,
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        let rule = |batch: BatchRecord| {
            let due = batch.clone().due_if_complete(now);
            (due != batch).then_some(due)
        };
        self.change_batch(key, rule).await.map(|_| ())
    }

    /// Read, decide, write if nobody else was at it; the batch as `rule` left it, if it changed it.
    async fn change_batch(
        &self,
        key: BatchKey,
        rule: impl Fn(BatchRecord) -> Option<BatchRecord>,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        let known = self.look_at_batch(key).await?;
        self.change_known_batch(key, known, rule).await
    }

    /// The same of one that was just read.
    async fn change_known_batch(
        &self,
        key: BatchKey,
        mut known: Option<KnownBatch>,
        rule: impl Fn(BatchRecord) -> Option<BatchRecord>,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        let mut patience = Patience::new("batch");
        loop {
            let Some(old) = known else { return Ok(None) };
            let Some(changed) = rule(old.record.clone()) else { return Ok(None) };
            if self.save_batch(key, &old, &changed).await? {
                return Ok(Some(changed));
            }
            patience.again().await?;
            known = self.look_at_batch(key).await?;
        }
    }

    /// Writes all of a batch but its count, if nobody else changed it.
    async fn save_batch(
        &self,
        key: BatchKey,
        old: &KnownBatch,
        new: &BatchRecord,
    ) -> Result<bool, LedgerError> {
        let new_version = fastrand::u64(..);
        let (update, condition) = change(key, old, new, new_version);
        match self.table.update(batch_item::batch_pk(key), update, condition).await? {
            Written::Done => Ok(true),
            Written::Refused(None) | Written::InTheWay => Ok(false),
            // Ours after all: its answer was lost, and it was sent again.
            Written::Refused(Some(item)) => Ok(batch_item::to_batch(item)?.version == new_version),
        }
    }

    /// Up to `limit` members from index `from` on, in order. No index is asked, since those come
    /// late: all places there can be are read.
    pub(super) async fn members_from(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Member>, LedgerError> {
        let Some(batch) = self.look_at_batch(key).await? else { return Ok(Vec::new()) };
        let mut members = Vec::new();
        for pages in batch.pages_from(from) {
            let mut places = self.places_in(key, pages).await?;
            places.retain(|place| {
                place.index >= from && batch.record.size.is_none_or(|size| place.index < size)
            });
            // A place may have no member yet: the next one takes its turn.
            while members.len() < limit && !places.is_empty() {
                let most = places.len().min(limit - members.len());
                let next: Vec<_> = places.drain(..most).collect();
                members.extend(self.members_at(key, &next, &batch.alone).await?);
            }
            if members.len() >= limit {
                break;
            }
        }
        Ok(members)
    }

    /// The places of these pages, in order.
    pub(super) async fn places_in(
        &self,
        key: BatchKey,
        pages: std::ops::Range<u64>,
    ) -> Result<Vec<Taken>, LedgerError> {
        let pks: Vec<_> = pages.map(|page| batch_item::page_pk(key, page * PAGE)).collect();
        let mut places = Vec::new();
        for page in self.table.get_many(&pks).await? {
            places.extend(batch_item::to_places(&page)?);
        }
        places.sort_unstable_by_key(|place| place.index);
        Ok(places)
    }

    async fn members_at(
        &self,
        key: BatchKey,
        places: &[Taken],
        alone: &Alone,
    ) -> Result<Vec<Member>, LedgerError> {
        let pk = |place: &Taken| match place.holder {
            Holder::Job(job) => item::pk(job),
            Holder::Rejected => batch_item::rejection_pk(key, place.index),
        };
        // A job may have several places.
        let mut pks: Vec<_> = places.iter().map(pk).collect();
        pks.sort_unstable();
        pks.dedup();
        let (mut jobs, mut rejections) = (HashMap::new(), HashMap::new());
        let mut items = Vec::with_capacity(pks.len());
        for item in self.table.get_many(&pks).await? {
            match item.get(PK).and_then(|pk| pk.as_s().ok()).cloned() {
                Some(pk) if pk.starts_with("rejected#") => {
                    rejections.insert(pk, batch_item::to_rejection(item)?);
                }
                _ => items.push(item),
            }
        }
        // Side by side, as far as the bucket is asked at once: results may lie there.
        for known in try_join_all(items.into_iter().map(|item| self.known(item))).await? {
            jobs.insert(known.record.key, known);
        }
        let member = |place: &Taken| {
            let (counted_end, kind) = match place.holder {
                Holder::Rejected => {
                    let pk = batch_item::rejection_pk(key, place.index);
                    (Some(0), MemberKind::Rejected(Box::new(rejections.get(&pk)?.clone())))
                }
                Holder::Job(job) => {
                    let known = jobs.get(&job)?;
                    let counted = known.stored.counted_end(key, place.index, alone);
                    (place.counted_end.or(counted), MemberKind::Job(Box::new(known.record.clone())))
                }
            };
            let (is_counted, end) = (counted_end.is_some(), counted_end.unwrap_or_default());
            Some(Member { index: place.index, is_counted, end, kind })
        };
        Ok(places.iter().filter_map(member).collect())
    }

    /// Of these places, those in which a job may be counted that ends now.
    pub(super) async fn countable(&self, places: &[Place]) -> Result<Vec<Place>, LedgerError> {
        let mut countable = Vec::new();
        for place in places.iter().filter(|place| place.counted_end.is_none()) {
            let batch = self.look_at_batch(place.batch).await?;
            let takes = batch.is_some_and(|batch| batch.takes(place.index));
            countable.extend(takes.then_some(*place));
        }
        Ok(countable)
    }
}

/// All of a batch but its count, as one update. What is closed for its time, or learns its size, does
/// so at exactly the count and the size that were read: what is counted stays within its size.
fn change(
    key: BatchKey,
    old: &KnownBatch,
    new: &BatchRecord,
    new_version: u64,
) -> (String, Expression) {
    let slot = &new.callback;
    let mut values = vec![
        (":version", number(old.version)),
        (":new_version", number(new_version)),
        (":state", text(slot.state.name())),
        (":failures", number(slot.failures)),
        (":refusals", number(slot.refusals)),
        (":maybe", AttributeValue::Bool(slot.may_have_arrived)),
        (":ends", number(new.delivery_ends.0)),
        (":after", number(new.look_after.0)),
    ];
    let mut update = "SET version = :new_version, callback_state = :state, \
         callback_failures = :failures, callback_refusals = :refusals, \
         callback_maybe = :maybe, delivery_ends_ms = :ends, look_after_ms = :after"
        .to_owned();
    let mut condition = "version = :version".to_owned();
    let learns_its_size = new.size.is_some() && old.record.size.is_none();
    if learns_its_size || (new.expired.is_some() && old.record.expired.is_none()) {
        let unchanged = old.count_is_unchanged();
        condition.extend([" AND ", &*unchanged.text]);
        values.extend(unchanged.values);
        if old.record.size.is_none() {
            condition.push_str(" AND attribute_not_exists(batch_size)");
        }
    }
    let mut set = |name: &str, placeholder: &'static str, value| {
        update.extend([", ", name, " = ", placeholder]);
        values.push((placeholder, value));
    };
    if let Some((what, from)) = new.attention() {
        set(ATTENTION, ":attention", text(shard_of(what, key.as_bytes())));
        set(ATTENTION_MS, ":attention_ms", number(from.0));
    }
    if let Some(size) = new.size.filter(|_| old.record.size.is_none()) {
        set("batch_size", ":size", number(size));
    }
    if let Some(reading) = new.reading.as_ref().filter(|_| new.reading != old.record.reading) {
        set(READING, ":reading", text(json!(reading).to_string()));
    }
    if let Some(bytes) = new.max_body_bytes.filter(|_| old.record.max_body_bytes.is_none()) {
        set(MAX_BODY_BYTES, ":max_body_bytes", number(bytes));
    }
    if new.is_cancelled {
        set("is_cancelled", ":yes", AttributeValue::Bool(true));
    }
    if let Some(expired) = new.expired.filter(|_| old.record.expired.is_none()) {
        set("expired_ms", ":expired", number(expired.0));
    }
    let mut gone = Vec::new();
    for (name, placeholder, since) in [
        (CALLBACK_FAILING_SINCE_MS, ":failing", slot.failing_since),
        (CALLBACK_REFUSED_SINCE_MS, ":refused", slot.refused_since),
        (CALLBACK_DUE_MS, ":due", slot.due),
    ] {
        match since {
            Some(since) => set(name, placeholder, number(since.0)),
            None => gone.push(name),
        }
    }
    if slot.state == CallbackState::Pending {
        gone.push(RECORD_EXPIRES_S);
    } else {
        update.extend([", ", RECORD_EXPIRES_S, " = ", KEPT_UNTIL_S]);
    }
    if new.attention().is_none() {
        gone.extend([ATTENTION, ATTENTION_MS]);
    }
    if !gone.is_empty() {
        update.extend([" REMOVE ", &gone.join(", ")]);
    }
    (update, Expression { text: condition.into(), values })
}
