//! The database file: how it is opened, and how a closure gets a transaction of it. What the tables mean is in `schema.sql`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cas_http::{Timestamp, TreeHash};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

use crate::failure::{Failure, Outcome};

/// One connection that writes, and some that read what was last committed.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    durable: bool,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

/// How many idle connections are kept for reading.
const IDLE_READERS: usize = 4;

impl Database {
    /// Opens the database, making it if there is none. Commits of a durable one survive a power cut.
    pub(crate) fn open(path: &Path, durable: bool) -> rusqlite::Result<Self> {
        let mut writer = connect(path, durable)?;
        migrate(&mut writer)?;
        Ok(Database { path: path.to_owned(), durable, writer: Mutex::new(writer), readers: Mutex::default() })
    }

    /// Runs `work` in a transaction that is committed when it succeeds and undone when it fails.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Outcome<T>) -> Result<T, Unwritten> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Failure::from)?;
        let result = work(&transaction)?;
        let Err(error) = transaction.commit() else { return Ok(result) };
        let failure = Failure::from(error);
        // All of it may stand in the log, though the disk did not say that it is safe. Who reads the log after a kill takes it for committed,
        // unless something else stands there by then.
        match overwrite_the_log(&writer) {
            Ok(()) => Err(Unwritten::Undone(failure)),
            Err(_) => Err(Unwritten::InDoubt(failure)),
        }
    }

    /// Runs `work` on one state of the database, whatever is written meanwhile.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Outcome<T>) -> Outcome<T> {
        let idle = lock(&self.readers).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => connect(&self.path, self.durable)?,
        };
        let transaction = reader.transaction()?;
        let result = work(&transaction);
        transaction.finish()?;
        let mut readers = lock(&self.readers);
        if readers.len() < IDLE_READERS {
            readers.push(reader);
        }
        result
    }

    /// SQLite's own check of the file, and of what refers to what: one line for each thing that is wrong.
    pub(crate) fn integrity(&self) -> rusqlite::Result<Vec<String>> {
        let writer = lock(&self.writer);
        let mut check = writer.prepare("PRAGMA integrity_check")?;
        let lines: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut wrong: Vec<String> = lines.into_iter().filter(|line| line != "ok").collect();
        let mut check = writer.prepare("PRAGMA foreign_key_check")?;
        let dangling = check.query_map([], |row| Ok((row.get(0)?, row.get(2)?)))?;
        for row in dangling {
            let (table, parent): (String, String) = row?;
            wrong.push(format!("a row of {table} names a missing row of {parent}"));
        }
        Ok(wrong)
    }

    /// Moves everything committed into the main file, as before a clean end.
    pub(crate) fn checkpoint(&self) -> rusqlite::Result<()> {
        lock(&self.readers).clear();
        lock(&self.writer).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn connect(path: &Path, durable: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "OFF" })?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "busy_timeout", 5000)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Why nothing was committed.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// Nothing is left of it.
    Undone(Failure),
    /// So far nothing is there of it. When the process is killed before anything else is committed, all of it may be there.
    InDoubt(Failure),
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Self {
        Unwritten::Undone(failure)
    }
}

impl From<Unwritten> for Failure {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Undone(failure) | Unwritten::InDoubt(failure) => failure,
        }
    }
}

/// Commits something that changes nothing, in the place of what was written last and not committed.
fn overwrite_the_log(writer: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta VALUES ('failed commits', 1) ON CONFLICT DO UPDATE SET value = value + 1";
    writer.execute(sql, []).map(drop)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => transaction.execute_batch(include_str!("schema.sql"))?,
        1 => {}
        other => return Err(unreadable(0, format!("the database has version {other}, this program knows version 1"))),
    }
    transaction.commit()
}

/// Takes a lock also after a panic elsewhere: a transaction that was not committed is undone, so what the lock guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A column that holds the text of some type.
pub(crate) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| unreadable(column, error.to_string()))
}

/// A column that holds a moment.
pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let millis = row.get(column)?;
    Timestamp::from_unix_millis(millis).map_err(|error| unreadable(column, error.to_string()))
}

/// A column that may hold a moment.
pub(crate) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => time(row, column).map(Some),
    }
}

/// A column that holds a tree hash.
pub(crate) fn tree_hash(row: &Row<'_>, column: usize) -> rusqlite::Result<TreeHash> {
    row.get(column).map(TreeHash::from_bytes)
}

/// A column whose value is not what the column holds.
pub(crate) fn unreadable(column: usize, why: String) -> rusqlite::Error {
    let why: Box<dyn Error + Send + Sync> = why.into();
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why)
}
