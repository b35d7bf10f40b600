//! What the emulator remembers: facts in SQLite, bytes in files, both in one directory that one process holds at a time.
//!
//! Everything here blocks; [`Store::read`] and [`Store::write`] move it off the async threads. A file is safely in place before a row that
//! names it is committed, and a row is gone before its file is removed, so a process may be killed at any moment.

pub(crate) mod archives;
mod blobs;
mod buffers;
mod content;
mod database;
mod directory;
pub(crate) mod expiry;
pub(crate) mod fsck;
mod growing;
mod intake;
pub(crate) mod jobs;
pub(crate) mod uploads;
pub(crate) mod vaults;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use cas_http::error_body::code;
use http::StatusCode;
use rusqlite::Transaction;

pub(crate) use blobs::{BlobFiles, BlobWriter, NewBlob, SealedBlob};
pub(crate) use content::{ContentReader, PIECE};
pub(crate) use directory::{DataDirectory, create_durably, sync};
pub(crate) use intake::Intake;

use crate::error::{Error, ErrorKind};
use crate::failure::{Failure, Outcome};
use database::{Database, Unwritten};

/// The state of one emulator.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    pub(crate) files: BlobFiles,
    /// Takes what comes in to its files.
    pub(crate) intake: Intake,
    /// How many times this directory was opened, this time included.
    pub(crate) run: u64,
    /// False when the directory may be somebody else's by now. Whoever writes holds it for reading.
    open: RwLock<bool>,
    /// Dropped last: it holds the lock, and removes the directory if it was a temporary one.
    directory: DataDirectory,
}

impl Store {
    /// Opens the state in a directory and puts right what a killed process may have left.
    pub(crate) fn open(directory: DataDirectory) -> Result<Self, Error> {
        let path = directory.path().to_owned();
        let durable = !directory.is_temporary();
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Storage, format!("the state in {} cannot be opened: {error}", path.display()))
        };
        let files = BlobFiles::open(&path, durable).map_err(|error| failed(&error))?;
        let database = path.join("cas.sqlite3");
        // Without its database every file would pass for one that nothing names, and be removed.
        let is_new = fs::metadata(&database).map_or(true, |found| found.len() == 0);
        if is_new && !files.names().map_err(|error| failed(&error))?.is_empty() {
            return Err(failed(&"there are files of bytes in blobs, and no database that names them in cas.sqlite3"));
        }
        let database = Database::open(&database, durable).map_err(|error| failed(&error))?;
        let run = database.write(|transaction| {
            let sql = "INSERT INTO meta VALUES ('runs', 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value";
            Ok(transaction.query_row(sql, [], |row| row.get(0))?)
        });
        let run = run.map_err(|unwritten| failed(&Failure::from(unwritten).message))?;
        let store = Store { database, files, intake: Intake::default(), run, open: RwLock::new(true), directory };
        store.remove_orphans().map_err(|error| failed(&error.message))?;
        Ok(store)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whether something can still be written; afterwards the directory may be somebody else's.
    pub(crate) fn is_open(&self) -> bool {
        *self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`, and nobody lets go of the directory meanwhile; `None` when that has been done.
    pub(crate) fn while_open<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.then(work)
    }

    /// Lets other processes use the directory, or removes it if it is a temporary one. What is being read or written is finished first; whatever
    /// comes later fails.
    pub(crate) fn release(&self) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = false;
        self.directory.release();
    }

    /// Runs `work` on one state of the database, off the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Transaction<'_>) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let store = self.clone();
        blocking(move || store.read_now(work)).await
    }

    /// Runs `work` in a transaction, off the async threads. It is committed, and safe, when this returns `Ok`.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Transaction<'_>) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let store = self.clone();
        blocking(move || store.write_now(work)).await
    }

    /// [`read`](Self::read) for code that is already off the async threads.
    pub(crate) fn read_now<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Outcome<T>) -> Outcome<T> {
        self.while_open(|| self.database.read(work)).unwrap_or_else(|| Err(ended()))
    }

    /// [`write`](Self::write) for code that is already off the async threads.
    pub(crate) fn write_now<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Outcome<T>) -> Outcome<T> {
        Ok(self.try_to_write(work)?)
    }

    fn try_to_write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Outcome<T>) -> Result<T, Unwritten> {
        let written = self.while_open(|| {
            let (result, doomed) = self.database.write(|transaction| Ok((work(transaction)?, doomed(transaction)?)))?;
            self.remove_doomed(&doomed);
            Ok(result)
        });
        written.unwrap_or_else(|| Err(ended().into()))
    }

    /// Puts a file in its place and runs `work` with it in a transaction. The file stays if that is committed, or may turn out to be. Blocks.
    pub(crate) fn keep<T>(
        &self,
        sealed: SealedBlob,
        work: impl FnOnce(&Transaction<'_>, &NewBlob) -> Outcome<T>,
    ) -> Outcome<T> {
        let blob = sealed.publish().map_err(storage)?;
        let written = self.try_to_write(|tx| work(tx, &blob));
        // A file that nothing names is removed at the next start; one that is missing then is lost.
        if let Ok(_) | Err(Unwritten::InDoubt(_)) = written {
            blob.keep();
        }
        Ok(written?)
    }

    /// Moves everything into the main file of the database, as before a clean end.
    pub(crate) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.database.checkpoint()
    }

    /// Removes files that nothing names any more. What cannot be removed now is tried again after the next write: what was committed before
    /// stays done, whatever becomes of this.
    fn remove_doomed(&self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let removed: Vec<&String> = names
            .iter()
            .filter(|name| match self.files.remove(name) {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, name, "a file that is not needed could not be removed");
                    false
                }
            })
            .collect();
        let forgotten = self.database.write(|transaction| {
            let mut delete = transaction.prepare_cached("DELETE FROM doomed WHERE name = ?")?;
            for name in removed {
                delete.execute([name])?;
            }
            Ok(())
        });
        if let Err(unwritten) = forgotten {
            tracing::warn!(
                message = Failure::from(unwritten).message,
                "files were removed, and are still listed as not needed"
            );
        }
    }

    /// Removes files that no row names: a process was killed between putting the file in place and committing the row, or between
    /// committing a removal and removing the file. Says so of rows whose file is not there.
    fn remove_orphans(&self) -> Outcome<()> {
        let named: HashSet<String> = self.database.read(|transaction| {
            let mut select = transaction.prepare("SELECT name FROM blob")?;
            let names = select.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })?;
        let present = self.files.names().map_err(|error| Failure::internal("listing the files", &error))?;
        let (needed, orphans): (Vec<&String>, Vec<&String>) = present.iter().partition(|name| named.contains(*name));
        for name in &orphans {
            self.files.remove(name).map_err(|error| Failure::internal("removing an unneeded file", &error))?;
        }
        if !orphans.is_empty() {
            tracing::warn!(removed = orphans.len(), "files that nothing names were removed");
        }
        let missing = named.len() - needed.len();
        if missing > 0 {
            tracing::error!(missing, "files are missing; `cas-emulator fsck` tells which archives they belong to");
        }
        let doomed = self.database.read(|transaction| Ok(doomed(transaction)?))?;
        self.remove_doomed(&doomed);
        Ok(())
    }
}

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Failure::internal("the work", &error)),
    }
}

/// What comes too late. Nobody needs to know, so this is not logged.
fn ended() -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, code::SERVICE_UNAVAILABLE, "the emulator has ended")
}

/// An error of a file, as an answer.
pub(crate) fn storage(error: io::Error) -> Failure {
    Failure::internal("storing or reading bytes", &error)
}

fn doomed(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    let mut select = transaction.prepare_cached("SELECT name FROM doomed")?;
    select.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit fails after its work has succeeded: the database finds a row that names nothing only then.
    const NAMES_NOTHING: &str =
        "PRAGMA defer_foreign_keys = ON; INSERT INTO segment (archive, start, blob) VALUES (9, 0, 9)";

    #[test]
    fn a_file_stays_unless_it_is_certain_that_nothing_names_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(DataDirectory::take(root.path()).unwrap()).unwrap();
        let sealed = |digit: &str| store.files.create(digit.repeat(40)).unwrap().seal();
        let names = || {
            let mut names = store.files.names().unwrap();
            names.sort();
            names
        };

        store.keep(sealed("1"), |_, _| Ok(())).unwrap();
        store.keep(sealed("2"), |_, _| Err::<(), _>(Failure::not_found("vault"))).unwrap_err();
        store.keep(sealed("3"), |tx, _| Ok(tx.execute_batch(NAMES_NOTHING)?)).unwrap_err();
        assert_eq!(names(), ["1".repeat(40)]);

        // Now the log cannot be overwritten either, so nobody knows what it says after a kill.
        let full = "CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
        store.write_now(|tx| Ok(tx.execute_batch(full)?)).unwrap();
        store.keep(sealed("4"), |tx, _| Ok(tx.execute_batch(NAMES_NOTHING)?)).unwrap_err();
        assert_eq!(names(), ["1", "4"].map(|digit| digit.repeat(40)));
    }
}
