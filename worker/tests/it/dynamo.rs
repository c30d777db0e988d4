//! The ledger in DynamoDB, on a table of MiniStack's: beyond the contract that every ledger keeps,
//! what it costs, where results lie, and what becomes of requests whose answers are lost.
#![expect(clippy::panic, reason = "an answer that a case rules out must fail it")]

mod alone;
mod costs;
mod crowds;
mod expiry;
mod keys;
mod lagging;
mod lost;
mod results;
mod sizes;
mod store;

pub(crate) use self::store::DynamoStore;
