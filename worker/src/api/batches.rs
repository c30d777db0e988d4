//! One batch: how far it is, its closing and cancelling, and its results, page by page.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    Api,
    access::Caller,
    answer,
    body::{JsonBody, named},
    problem::Problem,
    view::BatchView,
};
use crate::{
    clock::Deadline,
    environment::{Environment, Ports},
    fan_in::{
        BatchKey, BatchRecord, CancelRefusal, CloseRefusal, Member, deliver_patiently, member_data,
    },
    job::{BatchId, MAX_BATCH_JOBS},
    lease::Ledger,
};

/// A page ends with the result that makes it as large as this: Lambda answers with 6 MB at most, of
/// which the text of a document takes up to twice its bytes.
const PAGE_BYTES: usize = 1024 * 1024;

/// A result as large as this is not told in a page.
const LARGEST_BYTES: usize = 2 * 1024 * 1024;

/// Members that are read at once.
const READ_AT_ONCE: usize = 100;

/// For how long a batch's callback is tried that a request made due; then it is left to the sweep.
const PATIENCE: Duration = Duration::from_mins(10);

/// How long the request waits for it.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Some results of a batch.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct ResultPage {
    /// In the order of their `index`; what has not ended is not among them.
    #[cfg_attr(test, schema(value_type = Vec<super::openapi::BatchResult>))]
    results: Vec<Value>,
    /// Where the next page begins; `null` after the last result there is now.
    next_cursor: Option<String>,
    /// Every job of the batch has ended: what has been told by the last page is all there is.
    complete: bool,
}

/// How many jobs a batch has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Size {
    /// Needed unless its jobs have said so.
    #[serde(default)]
    #[cfg_attr(test, schema(minimum = 1, maximum = 1_000_000, nullable = false))]
    size: Option<u64>,
}

/// Answers `GET /v1/batches/{id}`.
pub(super) async fn get<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = named(path, "id")?;
    let (_, batch) = api.batch(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &BatchView::from(&batch)))
}

/// Answers `GET /v1/batches/{id}/results`.
pub(super) async fn results<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = named(path, "id")?;
    let cursor = cursor_of(query.as_deref())?;
    let page = api.results(&caller, &id, cursor.as_deref()).await?;
    Ok(answer(StatusCode::OK, &page))
}

/// Answers `POST /v1/batches/{id}/close`. If all of its jobs have ended, its callback is delivered.
pub(super) async fn close<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let id = named(path, "id")?;
    let (key, batch) = api.batch(&caller, &id).await?;
    let size = size_of(&body)?.or(batch.size).ok_or_else(|| {
        let detail = "expected how many jobs the batch has, which no job of it has said: what \
                      still lies in the queue is not known yet";
        Problem::bad_request("missing_field", detail).at("size")
    })?;
    let now = api.environment.clock.now();
    match api.environment.ledger.close_batch(key, size, now).await? {
        Ok(_) => {}
        Err(CloseRefusal::Unknown) => return Err(Problem::not_found("batch")),
        Err(CloseRefusal::Misfit(error)) => {
            let field = error.field.clone().unwrap_or_default();
            return Err(Problem::conflict("batch_size", error.message).at(&field));
        }
    }
    deliver_soon(&api.environment, [key]).await;
    let (_, batch) = api.batch(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &BatchView::from(&batch)))
}

fn size_of(body: &[u8]) -> Result<Option<u64>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    // A struct would also be read from an array.
    let fields: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    let size = fields.and_then(|fields| serde_json::from_value(fields.into()).ok());
    let size = size.map(|Size { size }| size);
    let is_sound = |size: &Option<u64>| size.is_none_or(|it| (1..=MAX_BATCH_JOBS).contains(&it));
    size.filter(is_sound).ok_or_else(|| {
        let detail = format!("expected {{\"size\": …}} from 1 to {MAX_BATCH_JOBS}");
        Problem::bad_request("invalid_field", detail).at("size")
    })
}

/// Answers `DELETE /v1/batches/{id}`: what has not started is cancelled when its turn comes, and
/// counted.
pub(super) async fn cancel<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: BatchId = named(path, "id")?;
    let key = BatchKey::of(&caller.namespace, &id);
    match api.environment.ledger.cancel_batch(key).await? {
        Ok(batch) => Ok(answer(StatusCode::OK, &BatchView::from(&batch))),
        Err(CancelRefusal::Unknown) => Err(Problem::not_found("batch")),
        Err(refusal @ CancelRefusal::Over(_)) => {
            Err(Problem::conflict("batch_state", refusal.to_string()))
        }
    }
}

/// Delivers the callbacks of those batches that are over, and waits a little for that: on Lambda
/// nothing goes on once a request is answered. What takes longer goes on by itself, or is the sweep's.
pub(super) async fn deliver_soon<P: Ports>(
    environment: &Arc<Environment<P>>,
    keys: impl IntoIterator<Item = BatchKey>,
) {
    let begun: Vec<_> = keys.into_iter().map(|key| deliver(environment, key)).collect();
    let _ = timeout(TOLD_WITHIN, join_all(begun)).await;
}

/// Delivers the batch's callback if it is over, whether the caller goes on waiting or not.
fn deliver<P: Ports>(environment: &Arc<Environment<P>>, key: BatchKey) -> JoinHandle<()> {
    let environment = Arc::clone(environment);
    tokio::spawn(async move {
        let patience = Deadline::after(PATIENCE);
        if let Err(error) = deliver_patiently(environment.post(), key, patience).await {
            tracing::warn!(%error, "a batch's callback is left to the sweep");
        }
    })
}

fn cursor_of(query: Option<&str>) -> Result<Option<String>, Problem> {
    let mut cursor = None;
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "cursor" || cursor.is_some() {
            let detail = "expected at most one cursor, and nothing else";
            return Err(Problem::bad_request("unknown_field", detail).at("cursor"));
        }
        cursor = Some(value.into_owned());
    }
    Ok(cursor)
}

impl<P: Ports> Api<P> {
    pub(super) async fn batch(
        &self,
        caller: &Caller,
        id: &BatchId,
    ) -> Result<(BatchKey, BatchRecord), Problem> {
        let key = BatchKey::of(&caller.namespace, id);
        let batch = self.environment.ledger.batch(key).await?;
        batch.map(|batch| (key, batch)).ok_or_else(|| Problem::not_found("batch"))
    }

    /// The results from the cursor on, as many as a page holds.
    pub(super) async fn results(
        &self,
        caller: &Caller,
        id: &BatchId,
        cursor: Option<&str>,
    ) -> Result<ResultPage, Problem> {
        // What has ended by now is among the members that are read later.
        let (key, batch) = self.batch(caller, id).await?;
        let mut from = cursor.map_or(Ok(0), |cursor| Cursor::read(cursor, key))?;
        let (mut results, mut bytes) = (Vec::new(), 0);
        loop {
            let members = self.environment.ledger.members(key, from, READ_AT_ONCE).await?;
            let is_last = members.len() < READ_AT_ONCE;
            for member in members {
                from = member.index + 1;
                if !member.is_counted {
                    continue;
                }
                let (result, takes) = told(&member);
                results.push(result);
                bytes += takes;
                if bytes >= PAGE_BYTES {
                    let next_cursor = Some(Cursor::write(from, key));
                    return Ok(ResultPage { results, next_cursor, complete: batch.is_complete() });
                }
            }
            if is_last {
                return Ok(ResultPage {
                    results,
                    next_cursor: None,
                    complete: batch.is_complete(),
                });
            }
        }
    }
}

/// A member as it is told, and the bytes that it takes.
fn told(member: &Member) -> (Value, usize) {
    let mut told = member_data(member);
    let bytes = told.to_string().len();
    if bytes < LARGEST_BYTES {
        return (told, bytes);
    }
    if let Value::Object(fields) = &mut told {
        fields.insert("result".to_owned(), Value::Null);
        fields.insert("result_omitted".to_owned(), true.into());
    }
    (told, PAGE_BYTES / 1000)
}

/// Where a page begins, as a text that nobody is to read: it holds for its batch alone.
struct Cursor;

impl Cursor {
    fn write(from: u64, batch: BatchKey) -> String {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&batch.as_bytes()[..4]);
        bytes[4..].copy_from_slice(&from.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str, batch: BatchKey) -> Result<u64, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 12);
        let of_batch = bytes.filter(|bytes| bytes[..4] == batch.as_bytes()[..4]);
        let from = of_batch.and_then(|bytes| bytes[4..].try_into().ok()).map(u64::from_be_bytes);
        // As a signed number a store counts no further.
        from.filter(|from| i64::try_from(*from).is_ok()).ok_or_else(|| {
            let detail = "expected a next_cursor of an earlier page of this batch";
            Problem::bad_request("invalid_field", detail).at("cursor")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Namespace;

    #[test]
    fn a_cursor_holds_for_its_own_batch_alone() {
        let key = |id: &str| BatchKey::of(&Namespace::default(), &id.parse().expect("an id"));
        let cursor = Cursor::write(4_711, key("a"));
        assert_eq!(Cursor::read(&cursor, key("a")).ok(), Some(4_711));
        assert!(Cursor::read(&cursor, key("b")).is_err());
        for nonsense in ["", "4711", "////", "AAAAAAAAAAAAAAAA", &Cursor::write(u64::MAX, key("a"))]
        {
            assert!(Cursor::read(nonsense, key("a")).is_err(), "{nonsense}");
        }
    }
}
