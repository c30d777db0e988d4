//! Everything embedded: queue and ledger in one SQLite file inside the program.

mod attention;
mod batches;
mod dead_letters;
mod ledger;
mod prune;
mod queue;
mod record_row;
mod spending;
mod sqlite;
mod workers;

pub use self::{
    dead_letters::SqliteDeadLetters,
    ledger::SqliteLedger,
    queue::SqliteQueue,
    sqlite::{Database, OpenError},
};
