//! The table on the wire: a handful of requests, each under a permit, so that a thousand jobs at
//! once do not open a thousand connections. Reads are strongly consistent. Each is sent from a box: the
//! SDK's futures take 5 KB and more, which a job would keep room for while it waits for its LLM.

use std::{borrow::Cow, collections::HashMap};

use aws_sdk_dynamodb::{
    Client,
    operation::{
        put_item::PutItemError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError,
    },
    types::{
        AttributeValue, CancellationReason, KeysAndAttributes, Put,
        ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    attributes::{Item, PK, text},
    failure,
    patience::Patience,
};
use crate::lease::LedgerError;

/// The most items one request reads.
const MAX_READ: usize = 100;

/// A condition, or an update with its condition: an expression of placeholders and their values.
#[derive(Clone)]
pub(super) struct Expression {
    pub(super) text: Cow<'static, str>,
    pub(super) values: Vec<(&'static str, AttributeValue)>,
}

/// What became of a write under a condition.
pub(super) enum Written {
    /// It stands.
    Done,
    /// The condition does not hold for the item that is there, if one is.
    Refused(Option<Item>),
    /// A transaction was at the item just then.
    InTheWay,
}

/// One table.
pub(super) struct Table {
    client: Client,
    name: String,
    permits: Semaphore,
}

impl Table {
    pub(super) fn new(client: Client, name: String, max_requests: usize) -> Self {
        Self { client, name, permits: Semaphore::new(max_requests) }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, LedgerError> {
        self.permits.acquire().await.map_err(LedgerError::of)
    }

    pub(super) async fn get(&self, pk: String) -> Result<Option<Item>, LedgerError> {
        let _permit = self.permit().await?;
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let answer = Box::pin(request.key(PK, text(pk)).send()).await;
        answer.map(|answer| answer.item).map_err(|error| failure::of_request("GetItem", &error))
    }

    /// The items under `pks`, which are all different, in any order; those that there are.
    pub(super) async fn get_many(&self, pks: &[String]) -> Result<Vec<Item>, LedgerError> {
        let mut items = Vec::with_capacity(pks.len());
        for some in pks.chunks(MAX_READ) {
            let keys = some.iter().map(|pk| HashMap::from([(PK.to_owned(), text(pk))])).collect();
            self.get_some(keys, &mut items).await?;
        }
        Ok(items)
    }

    /// An answer may leave out what would make it too large.
    async fn get_some(
        &self,
        mut keys: Vec<HashMap<String, AttributeValue>>,
        items: &mut Vec<Item>,
    ) -> Result<(), LedgerError> {
        let mut patience = Patience::new("BatchGetItem");
        loop {
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            let wanted = wanted.build().map_err(LedgerError::of)?;
            let permit = self.permit().await?;
            let request = self.client.batch_get_item().request_items(&self.name, wanted);
            let answer = Box::pin(request.send()).await;
            drop(permit);
            let answer = answer.map_err(|error| failure::of_request("BatchGetItem", &error))?;
            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
            let left = answer.unprocessed_keys.unwrap_or_default().remove(&self.name);
            match left {
                Some(left) if !left.keys.is_empty() => keys = left.keys,
                _ => return Ok(()),
            }
            patience.again().await?;
        }
    }

    /// Writes a whole item, if `condition` holds for the one it replaces.
    pub(super) async fn put(
        &self,
        item: Item,
        condition: Expression,
    ) -> Result<Written, LedgerError> {
        let _permit = self.permit().await?;
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression(condition.text.clone())
            .set_expression_attribute_values(values(condition))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match Box::pin(request.send()).await {
            Ok(_) => Ok(Written::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Written::Refused(refusal.item.clone()))
                }
                Some(PutItemError::TransactionConflictException(_)) => Ok(Written::InTheWay),
                _ => Err(failure::of_request("PutItem", &error)),
            },
        }
    }

    /// Changes an item, if `condition` holds. It knows the update's values too.
    pub(super) async fn update(
        &self,
        pk: String,
        update: impl Into<String>,
        condition: Expression,
    ) -> Result<Written, LedgerError> {
        let _permit = self.permit().await?;
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(PK, text(pk))
            .update_expression(update)
            .condition_expression(condition.text.clone())
            .set_expression_attribute_values(values(condition))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match Box::pin(request.send()).await {
            Ok(_) => Ok(Written::Done),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Written::Refused(refusal.item.clone()))
                }
                Some(UpdateItemError::TransactionConflictException(_)) => Ok(Written::InTheWay),
                _ => Err(failure::of_request("UpdateItem", &error)),
            },
        }
    }

    /// [`Self::put`] as a part of a transaction.
    pub(super) fn replace(
        &self,
        item: Item,
        condition: Expression,
    ) -> Result<TransactWriteItem, LedgerError> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression(condition.text.clone())
            .set_expression_attribute_values(values(condition));
        let put = put.build().map_err(LedgerError::of)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// [`Self::update`] as a part of a transaction.
    pub(super) fn change(
        &self,
        pk: String,
        update: impl Into<String>,
        condition: Expression,
    ) -> Result<TransactWriteItem, LedgerError> {
        let update = Update::builder()
            .table_name(&self.name)
            .key(PK, text(pk))
            .update_expression(update)
            .condition_expression(condition.text.clone())
            .set_expression_attribute_values(values(condition));
        let update = update.build().map_err(LedgerError::of)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Writes all or nothing. The SDK sends a token along, by which a repeated request is
    /// recognised.
    pub(super) async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Transacted, LedgerError> {
        let _permit = self.permit().await?;
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        let Err(error) = Box::pin(request.send()).await else { return Ok(Transacted::Done) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        {
            let reasons: Option<Vec<_>> =
                cancelled.cancellation_reasons().iter().map(reason).collect();
            if let Some(reasons) = reasons {
                return Ok(Transacted::Cancelled(reasons));
            }
        }
        Err(failure::of_request("TransactWriteItems", &error))
    }

    /// A page of the attributes `names` of all items whose hash key begins so, in no order, after the
    /// hash key `after`; the last hash key that was looked at, if there is more.
    pub(super) async fn scan(
        &self,
        prefix: &str,
        names: &[&str],
        after: Option<String>,
    ) -> Result<(Vec<Item>, Option<String>), LedgerError> {
        let _permit = self.permit().await?;
        // Some are words that DynamoDB keeps for itself.
        let aliases = (0..names.len()).map(|n| format!("#{n}"));
        let mut request = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .filter_expression(format!("begins_with({PK}, :prefix)"))
            .expression_attribute_values(":prefix", text(prefix))
            .projection_expression(aliases.clone().collect::<Vec<_>>().join(", "))
            .set_exclusive_start_key(after.map(|pk| HashMap::from([(PK.to_owned(), text(pk))])));
        for (alias, name) in aliases.zip(names) {
            request = request.expression_attribute_names(alias, *name);
        }
        let answer = Box::pin(request.send()).await;
        let answer = answer.map_err(|error| failure::of_request("Scan", &error))?;
        let last = answer.last_evaluated_key.and_then(|mut key| key.remove(PK));
        let last = last.and_then(|pk| pk.as_s().ok().cloned());
        Ok((answer.items.unwrap_or_default(), last))
    }

    /// The hash keys of up to `limit` items under a hash key of an index, the lowest range keys
    /// first, none above `until`. An index comes late: it is a hint.
    pub(super) async fn query(
        &self,
        index: &Index,
        hash: String,
        until: AttributeValue,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        let _permit = self.permit().await?;
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(index.name)
            .key_condition_expression(format!(
                "{} = :hash AND {} <= :until",
                index.hash, index.range
            ))
            .expression_attribute_values(":hash", text(hash))
            .expression_attribute_values(":until", until)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| failure::of_query(&self.name, index.name, &error))?;
        let items = answer.items.unwrap_or_default();
        Ok(items.iter().filter_map(|item| item.get(PK)?.as_s().ok().cloned()).collect())
    }
}

/// An index of the table: its name and its keys.
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) hash: &'static str,
    pub(super) range: &'static str,
}

/// What a transaction came to.
pub(super) enum Transacted {
    /// All of it stands.
    Done,
    /// Nothing was written; why, by each write.
    Cancelled(Vec<Reason>),
}

/// What a write had to do with the end of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Nothing.
    None,
    /// Its condition does not hold.
    Refused,
    /// Somebody else was at its item.
    InTheWay,
}

/// `None` is a fault of the request: by another look it would not succeed.
fn reason(reason: &CancellationReason) -> Option<Reason> {
    match reason.code().unwrap_or("None") {
        "None" => Some(Reason::None),
        "ConditionalCheckFailed" => Some(Reason::Refused),
        "TransactionConflict" => Some(Reason::InTheWay),
        _ => None,
    }
}

/// DynamoDB refuses an empty map.
fn values(expression: Expression) -> Option<HashMap<String, AttributeValue>> {
    let named = |(name, value): (&str, _)| (name.to_owned(), value);
    let values: HashMap<_, _> = expression.values.into_iter().map(named).collect();
    (!values.is_empty()).then_some(values)
}
