//! The table from one end to the other, by a scan: each megabyte of it costs 256 read units.

use super::{
    DynamoLedger,
    attributes::{Item, Reader},
    item,
    places::{PLACES, StoredPlaces},
};
use crate::{
    clock::UnixMs,
    lease::LedgerError,
    spending::{Books, Page, Spent},
};

/// What is read of a job.
const READ: [&str; 7] = ["namespace", "tool", "tenant", "settled_ms", "usage", item::STATE, PLACES];

impl Books for DynamoLedger {
    async fn page(&self, after: Option<String>) -> Result<Page, LedgerError> {
        let (items, next) = self.table.scan("job#", &READ, after).await?;
        let jobs = items.into_iter().map(spent).collect::<Result<_, _>>()?;
        Ok(Page { jobs, next })
    }
}

fn spent(item: Item) -> Result<Spent, LedgerError> {
    let mut item = Reader::new(item);
    let places = StoredPlaces::take(&mut item)?.places;
    Ok(Spent {
        namespace: item.parsed("namespace")?,
        tool: item.parsed("tool")?,
        tenant: item.has("tenant").then(|| item.parsed("tenant")).transpose()?,
        batches: places.into_iter().map(|place| place.batch).collect(),
        settled: UnixMs(item.number("settled_ms")?),
        is_done: item.text(item::STATE)? == "done",
        usage: item.maybe_json("usage")?.unwrap_or_default(),
    })
}
