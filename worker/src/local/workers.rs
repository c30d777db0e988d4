//! Which processes that share the file are alive: each holds a lock on a file of its own, and the
//! system drops the lock with the process, however it dies. So nobody waits for a lease whose
//! owner is known to be gone.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use uuid::Uuid;

use super::sqlite::OpenError;

/// This process, for as long as it lives.
pub(super) struct Worker {
    id: String,
    folder: PathBuf,
    _lock: File,
}

impl Worker {
    /// Makes this process known. The lock is held before the row can be seen.
    pub(super) fn register(connection: &Connection, database: &Path) -> Result<Self, OpenError> {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".workers");
        let folder = PathBuf::from(folder);
        let id = Uuid::now_v7().to_string();
        let lock = lock_file(&folder, &id)
            .map_err(|error| OpenError::Worker { path: folder.clone(), error })?;
        connection
            .execute("INSERT INTO workers (id) VALUES (?1)", [&id])
            .map_err(|error| OpenError::Sqlite { path: database.to_owned(), error })?;
        Ok(Self { id, folder, _lock: lock })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The others whose lock nobody holds any more.
    pub(super) fn dead_ones(&self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare_cached("SELECT id FROM workers WHERE id <> ?1")?;
        let others = statement.query_map([&self.id], |row| row.get::<_, String>(0))?;
        let mut dead = Vec::new();
        for other in others {
            let other = other?;
            if self.is_dead(&other) {
                dead.push(other);
            }
        }
        Ok(dead)
    }

    fn is_dead(&self, other: &str) -> bool {
        match File::open(self.folder.join(other)) {
            Ok(file) => !matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Forgets a dead worker with its private queue: whoever filled that fills it again.
    pub(super) fn forget(&self, connection: &Connection, dead: &str) -> rusqlite::Result<()> {
        connection.execute("DELETE FROM messages WHERE queue = ?1", [private_queue(dead)])?;
        connection.execute("DELETE FROM workers WHERE id = ?1", [dead])?;
        let _ = fs::remove_file(self.folder.join(dead));
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The row goes with the next process that opens the file and finds nobody's lock.
        let _ = fs::remove_file(self.folder.join(&self.id));
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The name of the queue that lives and dies with a worker.
pub(super) fn private_queue(worker: &str) -> String {
    format!("private-{worker}")
}

fn lock_file(folder: &Path, id: &str) -> io::Result<File> {
    // Another process that ends may remove the folder in between.
    let create = || fs::create_dir_all(folder).and_then(|()| File::create(folder.join(id)));
    let file = create().or_else(|_| create())?;
    file.try_lock().map_err(io::Error::other)?;
    Ok(file)
}
