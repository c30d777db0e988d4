//! The table as the ledger needs it. In production it is Terraform's to make; this makes one to try
//! things with.

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
    },
};

use super::{
    attention::INDEX,
    attributes::{PK, RECORD_EXPIRES_S},
    failure,
};
use crate::lease::LedgerError;

/// Makes a table with its index and its time to live, paid by request.
pub async fn create_table(client: &Client, name: &str) -> Result<(), LedgerError> {
    let keys = [key(INDEX.hash, KeyType::Hash)?, key(INDEX.range, KeyType::Range)?];
    let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX.name)
        .set_key_schema(Some(keys.into()))
        .projection(keys_only)
        .build()
        .map_err(LedgerError::of)?;
    let attributes = [
        attribute(PK, ScalarAttributeType::S)?,
        attribute(INDEX.hash, ScalarAttributeType::S)?,
        attribute(INDEX.range, ScalarAttributeType::N)?,
    ];
    client
        .create_table()
        .table_name(name)
        .key_schema(key(PK, KeyType::Hash)?)
        .set_attribute_definitions(Some(attributes.into()))
        .global_secondary_indexes(index)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .map_err(|error| failure::of_request("CreateTable", &error))?;
    let ttl = TimeToLiveSpecification::builder().attribute_name(RECORD_EXPIRES_S).enabled(true);
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl.build().map_err(LedgerError::of)?)
        .send()
        .await
        .map_err(|error| failure::of_request("UpdateTimeToLive", &error))?;
    Ok(())
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, LedgerError> {
    let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
    key.build().map_err(LedgerError::of)
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, LedgerError> {
    let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
    attribute.build().map_err(LedgerError::of)
}
