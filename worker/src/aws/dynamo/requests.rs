//! Requests of callers that may come twice: items `request#…`, each written once.

use super::{
    DynamoLedger,
    attributes::{Item, PK, RECORD_EXPIRES_S, Reader, bytes, number, text},
    table::{Expression, Written},
};
use crate::{
    clock::UnixMs,
    job::{BodyHash, RequestKey},
    lease::LedgerError,
};

const BODY_HASH: &str = "body_hash";

const IS_NEW: &str = "attribute_not_exists(pk) OR record_expires_s <= :now";

impl DynamoLedger {
    /// Writes the request, unless it is there; the hash of the body that stands.
    pub(super) async fn note_once(
        &self,
        key: RequestKey,
        body: BodyHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> Result<BodyHash, LedgerError> {
        let item = Item::from([
            (PK.to_owned(), text(format!("request#{key}"))),
            (BODY_HASH.to_owned(), bytes(body.as_bytes().to_vec())),
            (RECORD_EXPIRES_S.to_owned(), number(expires.seconds())),
        ]);
        let is_new =
            Expression { text: IS_NEW.into(), values: vec![(":now", number(now.seconds()))] };
        match self.table.put(item, is_new).await? {
            Written::Done => Ok(body),
            Written::Refused(Some(item)) => {
                Reader::new(item).array(BODY_HASH).map(BodyHash::from_bytes)
            }
            Written::Refused(None) | Written::InTheWay => {
                Err(LedgerError("somebody else was at the request just then".to_owned()))
            }
        }
    }
}
