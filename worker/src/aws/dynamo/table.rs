//! The table on the wire: a handful of requests, each under a permit, so that a thousand jobs at
//! once do not open a thousand connections. Reads are strongly consistent. Each is sent from a box: the
//! SDK's futures take 5 KB and more, which a job would keep room for while it waits for its LLM.

use std::collections::HashMap;

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
pub(super) struct Expression {
    pub(super) text: &'static str,
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
            .condition_expression(condition.text)
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
        update: &'static str,
        condition: Expression,
    ) -> Result<Written, LedgerError> {
        let _permit = self.permit().await?;
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(PK, text(pk))
            .update_expression(update)
            .condition_expression(condition.text)
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
            .condition_expression(condition.text)
            .set_expression_attribute_values(values(condition));
        let put = put.build().map_err(LedgerError::of)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// [`Self::update`] as a part of a transaction.
    pub(super) fn change(
        &self,
        pk: String,
        update: &'static str,
        condition: Expression,
    ) -> Result<TransactWriteItem, LedgerError> {
        let update = Update::builder()
            .table_name(&self.name)
            .key(PK, text(pk))
            .update_expression(update)
            .condition_expression(condition.text)
            .set_expression_attribute_values(values(condition));
        let update = update.build().map_err(LedgerError::of)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Writes all or nothing. `false`: a condition does not hold, or somebody else was at one of
    /// the items. The SDK sends a token along, by which a repeated request is recognised.
    pub(super) async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<bool, LedgerError> {
        let _permit = self.permit().await?;
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                    if cancelled.cancellation_reasons().iter().all(is_in_the_way) =>
                {
                    Ok(false)
                }
                _ => Err(failure::of_request("TransactWriteItems", &error)),
            },
        }
    }
}

/// Not a fault of the request: by another look it may succeed.
fn is_in_the_way(reason: &CancellationReason) -> bool {
    let code = reason.code().unwrap_or("None");
    matches!(code, "None" | "ConditionalCheckFailed" | "TransactionConflict")
}

/// DynamoDB refuses an empty map.
fn values(expression: Expression) -> Option<HashMap<String, AttributeValue>> {
    let named = |(name, value): (&str, _)| (name.to_owned(), value);
    let values: HashMap<_, _> = expression.values.into_iter().map(named).collect();
    (!values.is_empty()).then_some(values)
}
