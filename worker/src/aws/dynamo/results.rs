//! Where a result lies: as text in its item while both fit one write unit, else compressed; in a
//! bucket once that is cheaper, or the item would be too large.

use std::io::Read;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    MAX_OBJECT_REQUESTS,
    attributes::{Item, Reader, bytes, text, weight},
    failure::{Failure, malformed},
};
use crate::{
    aws::objects::Objects,
    lease::{LedgerError, Record, Settlement, State},
};

/// What one write unit pays for.
const WRITE_UNIT: usize = 1024;

/// The largest item: DynamoDB's 400 KB, less twenty places in batches, which are not weighed with it.
const MAX_ITEM: usize = 400 * 1024 - 2 * 1024;

/// What an item may still grow by once it has its result: the longest callback and metadata, and notes
/// on hand-offs.
const GROWS_BY: usize = 12 * 1024;

/// A bucket's PUT costs what eight write units do.
const WRITES_A_PUT_COSTS: usize = 8;

/// The largest result that is kept at all, as text.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// The level of compression: the least that is well below the text.
const LEVEL: i32 = 3;

const RESULT: &str = "result";
const RESULT_ZSTD: &str = "result_zstd";
const RESULT_OBJECT: &str = "result_object";

/// Puts results where they belong, and gets them from there.
pub(super) struct ResultStore {
    objects: Objects,
    bucket: Option<String>,
    permits: Semaphore,
}

/// Whether the item that is replaced has the result already.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    Newly,
    Already,
}

/// What became of a result in the bucket.
enum Outside {
    /// It lies there under this key.
    Stored(String),
    /// There is no bucket, or the item is cheaper.
    NotWanted,
    /// The bucket did not take it.
    Refused,
}

impl ResultStore {
    pub(super) fn new(objects: Objects, bucket: Option<String>) -> Self {
        Self { objects, bucket, permits: Semaphore::new(MAX_OBJECT_REQUESTS) }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, LedgerError> {
        self.permits.acquire().await.map_err(LedgerError::of)
    }

    /// Whether the result of a settlement may have to be sent to the bucket.
    pub(super) fn may_go_outside(&self, settlement: &Settlement) -> bool {
        let Settlement::Complete(outcome) = settlement else { return false };
        self.bucket.is_some() && outcome.result.to_string().len() > WRITE_UNIT
    }

    /// Adds the record's result to its item; one that goes to the bucket is there before this
    /// returns. What the bucket does not take stays in the item if it fits: its call is paid.
    pub(super) async fn put(
        &self,
        item: &mut Item,
        record: &Record,
        kept: Kept,
    ) -> Result<(), Failure> {
        let State::Done(result) = &record.state else { return Ok(()) };
        let json = result.to_string();
        if json.len() > MAX_TEXT {
            return Err(Failure::ResultTooLarge(json.len()));
        }
        if weight(item) + RESULT.len() + json.len() <= WRITE_UNIT {
            item.insert(RESULT.to_owned(), text(json));
            return Ok(());
        }
        let packed = zstd::bulk::compress(json.as_bytes(), LEVEL).map_err(LedgerError::of)?;
        let inside = RESULT_ZSTD.len() + packed.len().min(json.len());
        let grows_by = match kept {
            Kept::Newly => GROWS_BY,
            Kept::Already => 0,
        };
        let fits_item = weight(item) + inside + grows_by <= MAX_ITEM;
        let (name, value) = match self.put_outside(record, &packed).await {
            Outside::Stored(key) => (RESULT_OBJECT, text(key)),
            Outside::NotWanted if !fits_item => return Err(Failure::ResultTooLarge(json.len())),
            Outside::Refused if !fits_item => return Err(Failure::ResultNotStored(json.len())),
            _ if packed.len() < json.len() => (RESULT_ZSTD, bytes(packed)),
            _ => (RESULT, text(json)),
        };
        item.insert(name.to_owned(), value);
        Ok(())
    }

    /// Takes the result out of an item that has one.
    pub(super) async fn take(&self, item: &mut Reader) -> Result<Option<Value>, LedgerError> {
        if let Some(result) = item.maybe_json(RESULT)? {
            return Ok(Some(result));
        }
        if let Some(packed) = item.maybe_bytes(RESULT_ZSTD)? {
            return unpack(&packed, RESULT_ZSTD).map(Some);
        }
        let Some(key) = item.maybe_text(RESULT_OBJECT)? else { return Ok(None) };
        let packed = self.download(&key).await?;
        unpack(&packed, RESULT_OBJECT).map(Some)
    }

    async fn put_outside(&self, record: &Record, packed: &[u8]) -> Outside {
        let Some(bucket) = &self.bucket else { return Outside::NotWanted };
        if !is_cheaper_outside(record, packed.len()) {
            return Outside::NotWanted;
        }
        let key = object_key(record, packed);
        match self.upload(bucket, &key, packed.to_vec()).await {
            Ok(()) => Outside::Stored(key),
            Err(error) => {
                tracing::error!(%error, "the bucket for results did not take one");
                Outside::Refused
            }
        }
    }

    async fn upload(&self, bucket: &str, key: &str, packed: Vec<u8>) -> Result<(), LedgerError> {
        let _permit = self.permit().await?;
        let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
        let put = Box::pin(self.objects.put(bucket, key, packed.into(), &headers)).await;
        put.map_err(|error| LedgerError(format!("PutObject: {error}")))
    }

    async fn download(&self, key: &str) -> Result<Vec<u8>, LedgerError> {
        let Some(bucket) = &self.bucket else {
            return Err(malformed(RESULT_OBJECT, "none, since no bucket is set"));
        };
        let _permit = self.permit().await?;
        let got = Box::pin(self.objects.get(bucket, key, MAX_TEXT)).await;
        got.map_err(|error| LedgerError(format!("GetObject: {error}")))
    }
}

/// Whether an item's result takes no more memory than the item: it is text, and not compressed or
/// elsewhere.
pub(super) fn is_small(item: &Item) -> bool {
    item.contains_key(RESULT) && weight(item) <= WRITE_UNIT
}

/// The result is written, and billed, with its outcome, and once more with its callback's end.
fn is_cheaper_outside(record: &Record, packed_bytes: usize) -> bool {
    let writes = if record.callback.is_some() { 2 } else { 1 };
    packed_bytes * writes > WRITES_A_PUT_COSTS * WRITE_UNIT
}

/// The epoch keeps an older owner's result apart, the digest another result of the same epoch's:
/// an object is never replaced by another one.
fn object_key(record: &Record, packed: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(packed).into();
    let start = u64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ]);
    format!("results/{}/{}-{start:016x}.json.zst", record.key, record.epoch)
}

fn unpack(packed: &[u8], attribute: &str) -> Result<Value, LedgerError> {
    let broken = || malformed(attribute, "JSON compressed by zstd, 16 MiB at most");
    let mut json = Vec::new();
    let decoder = zstd::Decoder::with_buffer(packed).map_err(|_| broken())?;
    let read = decoder.take(MAX_TEXT as u64 + 1).read_to_end(&mut json);
    if read.is_err() || json.len() > MAX_TEXT {
        return Err(broken());
    }
    serde_json::from_slice(&json).map_err(|_| broken())
}
