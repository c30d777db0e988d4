//! The one file: opened, migrated, and written by a single thread that commits many callers'
//! operations at once, so that they share the wait for the disk.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::{prune, workers::Worker};
use crate::clock::{Clock, UnixMs};

/// What makes each version of the tables out of the one before.
const MIGRATIONS: [&str; 9] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
];

/// The version of the tables that this program knows.
const SCHEMA_VERSION: i64 = 9;

/// The most operations one transaction carries: bounds how long the first one waits for the last.
const MAX_GROUP: usize = 256;

/// Operations that may wait for the writer before callers have to.
const MAX_WAITING: usize = 4_096;

/// The pause between tries where SQLite itself does not wait.
const BUSY_AGAIN: Duration = Duration::from_millis(10);

/// How long another process may hold the file before a write fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite's own cache, a quarter of what it would take. Jobs' texts pass through it just twice; the
/// system caches the file as well.
const PAGE_CACHE_KIB: i64 = 512;

/// Why the database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite refused it.
    #[error(
        "{path}: {error}; expected a file that mcp-batch made, in a folder where it may write, or a path where it may make one"
    )]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// It was written by a newer program.
    #[error(
        "{path} has schema version {found}, this program knows {SCHEMA_VERSION}: use a newer mcp-batch, or another --db"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// It was written by an older program, and whoever only reads leaves it as it is.
    #[error(
        "{path} has schema version {found}, this program reads {SCHEMA_VERSION}: what works with it, such as \
         mcp-batch serve or mcp-batch sweep, brings it up to date"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// It is a database, but not ours.
    #[error("{path} is a database of another program: name another file by --db")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The lock file beside it cannot be made.
    #[error("{path}: cannot make or lock the worker's file: {error}")]
    Worker {
        /// The lock file or its folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// An open database. Clones share the writer; the file is closed when the last one is dropped.
#[derive(Clone)]
pub struct Database {
    operations: mpsc::Sender<Box<dyn Operation>>,
    /// None for who only reads.
    worker: Option<Arc<Worker>>,
    clock: Clock,
}

/// What may be done with an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Database {
    /// Opens the file, or makes it. What processes that died held is free again afterwards.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let sqlite = |error| OpenError::Sqlite { path: path.to_owned(), error };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        prepare(&mut connection, path)?;
        let worker = Arc::new(Worker::register(&connection, path)?);
        recover(&connection, &worker, clock.now()).map_err(sqlite)?;
        let operations = serve(connection, Access::Write, clock.clone(), path)?;
        Ok(Self { operations, worker: Some(worker), clock })
    }

    /// Opens a file that is there, and changes nothing of it: neither its tables nor what processes hold that died.
    /// Whatever writes fails.
    pub fn open_to_read(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let sqlite = |error| OpenError::Sqlite { path: path.to_owned(), error };
        let connection = connect_to_read(path).map_err(sqlite)?;
        if is_foreign(&connection).map_err(sqlite)? {
            return Err(OpenError::Foreign { path: path.to_owned() });
        }
        match version(&connection).map_err(sqlite)? {
            SCHEMA_VERSION => {}
            found if found > SCHEMA_VERSION => {
                return Err(OpenError::Newer { path: path.to_owned(), found });
            }
            found => return Err(OpenError::Older { path: path.to_owned(), found }),
        }
        let operations = serve(connection, Access::Read, clock.clone(), path)?;
        Ok(Self { operations, worker: None, clock })
    }

    /// The id of this process among those that share the file.
    pub(super) fn worker_id(&self) -> &str {
        self.worker.as_deref().map_or("", Worker::id)
    }

    pub(super) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Frees what processes that died since then held.
    pub async fn recover(&self) -> Result<(), String> {
        let Some(worker) = self.worker.clone() else { return Ok(()) };
        let now = self.now();
        self.write(move |connection| recover(connection, &worker, now)).await
    }

    /// Runs `operation` in a transaction; its writes are durable when this returns.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { operation: Some(operation), result: None, reply };
        let gone = "the database's writer has stopped";
        self.operations.send(Box::new(pending)).await.map_err(|_| gone)?;
        answer.await.map_err(|_| gone)?
    }
}

/// A connection that can read. Even that takes files beside the database; where none can be made, and none is there, so that
/// nobody has it open, it is read as it lies.
fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let Err(error) = version(&connection) else { return Ok(connection) };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let as_it_lies = || {
        let mut url = Url::from_file_path(path.canonicalize().ok()?).ok()?;
        url.set_query(Some("immutable=1"));
        Some(url)
    };
    match as_it_lies().filter(|_| needs_files(&error) && !Path::new(&log).exists()) {
        Some(url) => Connection::open_with_flags(url.as_str(), flags | OpenFlags::SQLITE_OPEN_URI),
        None => Err(error),
    }
}

fn needs_files(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::ReadOnly, ErrorCode::CannotOpen];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}

/// Starts the thread that carries out what is asked for.
fn serve(
    connection: Connection,
    access: Access,
    clock: Clock,
    path: &Path,
) -> Result<mpsc::Sender<Box<dyn Operation>>, OpenError> {
    let (operations, queued) = mpsc::channel(MAX_WAITING);
    thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || carry_out_all(connection, queued, access, &clock))
        .map_err(|error| OpenError::Worker { path: path.to_owned(), error })?;
    Ok(operations)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::Sqlite { path: path.to_owned(), error };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    if is_foreign(connection).map_err(sqlite)? {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    // Takes effect only in a new file, before its first table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(sqlite)?;
    write_ahead(connection).map_err(sqlite)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    let found = migrate(connection).map_err(sqlite)?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found });
    }
    Ok(())
}

/// A database of somebody else's is left as it is.
fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    let transaction = connection.unchecked_transaction()?;
    let version = version(&transaction)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(version == 0 && tables > 0)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// SQLite does not wait by itself for another process that makes the same new file.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && began.elapsed() < BUSY_TIMEOUT => {
                thread::sleep(BUSY_AGAIN);
            }
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Brings the tables up to date, those of a new file included; answers with the version that was
/// there.
fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    for (migration, version) in MIGRATIONS.into_iter().zip(1_i64..) {
        if found < version {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", version)?;
        }
    }
    transaction.commit()?;
    Ok(found)
}

/// Ends the leases and receives of processes that died, and deletes what has expired.
fn recover(connection: &Connection, worker: &Worker, now: UnixMs) -> rusqlite::Result<()> {
    for dead in worker.dead_ones(connection)? {
        connection.execute(
            "UPDATE jobs SET lease_ends_ms = ?2 WHERE worker = ?1 AND lease_ends_ms > ?2",
            (&dead, now.0),
        )?;
        connection
            .execute("UPDATE messages SET visible_at_ms = ?2 WHERE worker = ?1", (&dead, now.0))?;
        worker.forget(connection, &dead)?;
    }
    Ok(())
}

/// One caller's work, and the way back to it.
trait Operation: Send {
    fn run(&mut self, connection: &Connection);
    fn answer(self: Box<Self>, committed: &Result<(), String>);
}

struct Pending<F, T> {
    operation: Option<F>,
    result: Option<Result<T, String>>,
    reply: oneshot::Sender<Result<T, String>>,
}

impl<T, F> Operation for Pending<F, T>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) {
        let Some(operation) = self.operation.take() else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| in_savepoint(connection, operation)));
        self.result = Some(match outcome {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("the operation panicked".to_owned()),
        });
    }

    fn answer(self: Box<Self>, committed: &Result<(), String>) {
        let result = self.result.unwrap_or_else(|| Err("the operation was not run".to_owned()));
        // A caller that left does not want to know.
        let _ = self.reply.send(committed.clone().and(result));
    }
}

/// A failed operation takes back its own writes, not those of the others in the transaction.
fn in_savepoint<T>(
    connection: &Connection,
    operation: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT operation")?.execute(())?;
    let result = operation(connection);
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO operation")?.execute(())?;
    }
    connection.prepare_cached("RELEASE operation")?.execute(())?;
    result
}

/// The file's thread: takes what has gathered, runs it in one transaction, answers after the
/// commit, and so on until the last sender is gone.
fn carry_out_all(
    mut connection: Connection,
    mut queued: mpsc::Receiver<Box<dyn Operation>>,
    access: Access,
    clock: &Clock,
) {
    let mut prune_at = UnixMs(0);
    while let Some(first) = queued.blocking_recv() {
        let mut group = vec![first];
        while group.len() < MAX_GROUP
            && let Ok(next) = queued.try_recv()
        {
            group.push(next);
        }
        let committed = commit(&mut connection, &mut group, access);
        let committed = committed.map_err(|error| error.to_string());
        for operation in group {
            operation.answer(&committed);
        }
        if access == Access::Write {
            prune_at = prune::when_due(&connection, prune_at, clock.now());
        }
    }
}

fn commit(
    connection: &mut Connection,
    group: &mut [Box<dyn Operation>],
    access: Access,
) -> rusqlite::Result<()> {
    let behavior = match access {
        Access::Read => TransactionBehavior::Deferred,
        Access::Write => TransactionBehavior::Immediate,
    };
    let transaction = connection.transaction_with_behavior(behavior)?;
    for operation in group {
        operation.run(&transaction);
    }
    transaction.commit()
}
