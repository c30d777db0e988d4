//! `mcp-batch enqueue`: files of jobs into a file, SQS or a server.

mod hostile;
mod killed;
mod tables;
mod traces;
mod worlds;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::helpers::{Folder, Run};

/// `mcp-batch enqueue FILE` into the folder's file.
fn enqueue<'a>(folder: &'a Folder, file: &str) -> Run<'a> {
    folder.command("enqueue").args([file])
}

/// What lies in the queue of the folder's file, in the order in which it was sent.
fn queued(folder: &Folder) -> Vec<Value> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(folder.path("mcp-batch.db"), flags).expect("a file");
    let mut messages = file.prepare("SELECT body FROM messages ORDER BY id").expect("a table");
    let bodies = messages.query_map((), |row| row.get::<_, Vec<u8>>(0)).expect("messages");
    bodies.map(|body| serde_json::from_slice(&body.expect("a body")).expect("a job")).collect()
}
