//! What needs attention, found by a sparse index: an item stands in it only while it has the two
//! attributes. It comes late, so that what it names is read anew, and believed only then.

use super::{
    DynamoLedger,
    attributes::{ATTENTION, ATTENTION_MS, PK, SHARDS, number, shard},
    batch_item, item,
    table::Index,
};
use crate::{
    clock::UnixMs,
    lease::{Attention, Found, LedgerError},
};

/// Hash key [`ATTENTION`], range key [`ATTENTION_MS`], keys only.
pub(super) const INDEX: Index = Index { name: "attention", hash: ATTENTION, range: ATTENTION_MS };

impl DynamoLedger {
    /// Up to `limit` of what needs it and is due by `now`, the earliest first.
    pub(super) async fn find(
        &self,
        what: Attention,
        now: UnixMs,
        limit: usize,
    ) -> Result<Vec<Found>, LedgerError> {
        let mut pks = Vec::new();
        for part in 0..SHARDS {
            let hash = shard(what, part);
            pks.extend(self.table.query(&INDEX, hash, number(now.0), limit).await?);
        }
        let mut found = Vec::with_capacity(pks.len());
        for item in self.table.get_many(&pks).await? {
            let pk = item.get(PK).and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
            let (one, attention) = if let Some(key) = item::batch_of(&pk) {
                let batch = batch_item::to_batch(item)?.record;
                let attention = batch.attention();
                (Found::Batch(key, Box::new(batch)), attention)
            } else {
                let record = self.known(item).await?.record;
                let attention = record.attention();
                (Found::Job(Box::new(record)), attention)
            };
            if let Some((_, from)) = attention.filter(|(kind, from)| *kind == what && *from <= now)
            {
                found.push((from, one));
            }
        }
        found.sort_by_key(|(from, _)| *from);
        found.truncate(limit);
        Ok(found.into_iter().map(|(_, one)| one).collect())
    }
}
