//! Rows of jobs: what was asked for, and what became of it.

use cas_http::document::{JobParameters, JobStatus};
use cas_http::json::Document as _;
use cas_http::{ByteRange, JobId, Marker, Timestamp, TreeHash};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::archives::{self, Archive, BLOB_COLUMNS, Blob, blob};
use super::database::{optional_time, parsed, time, unreadable};
use super::expiry::alive_since;
use crate::failure::{Failure, Outcome};

/// A job whose record has not expired.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) vault: i64,
    pub(crate) job_id: JobId,
    pub(crate) parameters: JobParameters,
    pub(crate) created: Timestamp,
    /// When its time has come.
    pub(crate) ready: Timestamp,
    pub(crate) completed: Option<Timestamp>,
    pub(crate) status: JobStatus,
    pub(crate) message: Option<String>,
    /// The archive it reads, or has made.
    pub(crate) archive: Option<Archive>,
    /// Which bytes of it.
    pub(crate) range: Option<ByteRange>,
    /// The tree hash of those bytes, when they are one sub-tree.
    pub(crate) tree_hash: Option<TreeHash>,
    /// The inventory it has made.
    pub(crate) output: Option<Blob>,
    /// Where the next inventory goes on.
    pub(crate) marker: Option<Marker>,
}

/// A job that is about to begin.
#[derive(Clone, Debug)]
pub(crate) struct NewJob {
    pub(crate) job_id: JobId,
    pub(crate) parameters: JobParameters,
    pub(crate) created: Timestamp,
    pub(crate) ready: Timestamp,
    pub(crate) archive: Option<(i64, ByteRange, Option<TreeHash>)>,
}

/// What became of a job.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It is done, and nothing besides what was known before has to be kept.
    Succeeded,
    /// It made an inventory: the row of its file, and where the next one goes on.
    Inventory(i64, Option<Marker>),
    /// It made an archive.
    Archive(i64),
    /// It failed, and why.
    Failed(String),
}

/// Begins a job.
pub(crate) fn insert(tx: &Transaction<'_>, vault: i64, job: &NewJob) -> Outcome<()> {
    let sql = "INSERT INTO job (vault, job_id, parameters, created, ready, status, archive, range_start, range_end, tree_hash)
               VALUES (?, ?, ?, ?, ?, 'InProgress', ?, ?, ?, ?)";
    let parameters = String::from_utf8_lossy(&job.parameters.to_json()).into_owned();
    let (archive, range, hash) = match job.archive {
        Some((archive, range, hash)) => (Some(archive), Some(range), hash),
        None => (None, None, None),
    };
    tx.prepare_cached(sql)?.execute(params![
        vault,
        job.job_id.as_str(),
        parameters,
        job.created.unix_millis(),
        job.ready.unix_millis(),
        archive,
        range.map(ByteRange::start),
        range.map(ByteRange::end),
        hash.map(|hash| *hash.as_bytes()),
    ])?;
    Ok(())
}

fn select(rest: &str) -> String {
    format!(
        "SELECT job.id, job.vault, job.job_id, job.parameters, job.created, job.completed, job.status, job.message, job.archive,
                job.range_start, job.range_end, job.tree_hash, job.marker, job.ready, {BLOB_COLUMNS}
         FROM job LEFT JOIN blob ON blob.id = job.output {rest}"
    )
}

/// The job of a row, and the row of its archive, which is read by another statement.
fn job(row: &Row<'_>) -> rusqlite::Result<(Job, Option<i64>)> {
    let parameters: String = row.get(3)?;
    let range = match row.get::<_, Option<u64>>(9)? {
        Some(start) => Some(ByteRange::new(start, row.get(10)?).map_err(|error| unreadable(9, error.to_string()))?),
        None => None,
    };
    let job = Job {
        id: row.get(0)?,
        vault: row.get(1)?,
        job_id: parsed(row, 2)?,
        parameters: JobParameters::from_json(parameters.as_bytes())
            .map_err(|error| unreadable(3, error.to_string()))?,
        created: time(row, 4)?,
        ready: time(row, 13)?,
        completed: optional_time(row, 5)?,
        status: parsed(row, 6)?,
        message: row.get(7)?,
        archive: None,
        range,
        tree_hash: row.get::<_, Option<[u8; 32]>>(11)?.map(TreeHash::from_bytes),
        output: row.get::<_, Option<i64>>(14)?.map(|_| blob(row, 14)).transpose()?,
        marker: row.get::<_, Option<String>>(12)?.and_then(|text| Marker::parse(text).ok()),
    };
    Ok((job, row.get(8)?))
}

fn with_archive(tx: &Transaction<'_>, (job, archive): (Job, Option<i64>)) -> Outcome<Job> {
    let archive = archive.map(|id| archives::by_id(tx, id)).transpose()?;
    Ok(Job { archive, ..job })
}

/// The job of this name, unless its record has expired.
pub(crate) fn require(tx: &Transaction<'_>, vault: i64, id: &JobId, now: Timestamp) -> Outcome<Job> {
    let sql = select("WHERE job.vault = ? AND job.job_id = ? AND (job.completed IS NULL OR job.completed > ?)");
    let found = tx.prepare_cached(&sql)?.query_row(params![vault, id.as_str(), alive_since(now)], job).optional()?;
    with_archive(tx, found.ok_or_else(|| Failure::not_found("job"))?)
}

/// The job with this row number, if it is still there.
pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Outcome<Option<Job>> {
    let found = tx.prepare_cached(&select("WHERE job.id = ?"))?.query_row([id], job).optional()?;
    found.map(|found| with_archive(tx, found)).transpose()
}

/// Which jobs of a vault are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFilter {
    pub(crate) completed: Option<bool>,
    pub(crate) status: Option<JobStatus>,
    /// The ID to begin with.
    pub(crate) from: String,
    pub(crate) count: u32,
}

/// Jobs of a vault by their IDs.
pub(crate) fn list(tx: &Transaction<'_>, vault: i64, filter: &JobFilter, now: Timestamp) -> Outcome<Vec<Job>> {
    let sql = select(
        "WHERE job.vault = ?1 AND job.job_id >= ?2 AND (job.completed IS NULL OR job.completed > ?3)
             AND (?4 IS NULL OR (job.completed IS NOT NULL) = ?4) AND (?5 IS NULL OR job.status = ?5)
         ORDER BY job.job_id LIMIT ?6",
    );
    let status = filter.status.as_ref().map(JobStatus::as_str);
    let values = params![vault, filter.from, alive_since(now), filter.completed, status, filter.count];
    let mut select = tx.prepare_cached(&sql)?;
    let found: Vec<_> = select.query_map(values, job)?.collect::<Result<_, _>>()?;
    found.into_iter().map(|found| with_archive(tx, found)).collect()
}

/// The rows of the jobs whose time has come, those that came first first.
pub(crate) fn due(tx: &Transaction<'_>, now: Timestamp) -> Outcome<Vec<i64>> {
    let sql = "SELECT id FROM job WHERE completed IS NULL AND ready <= ? ORDER BY ready, id";
    let mut select = tx.prepare_cached(sql)?;
    let rows = select.query_map([now.unix_millis()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next job's time comes, of those whose time has not come at `now`.
pub(crate) fn next_due(tx: &Transaction<'_>, now: Timestamp) -> Outcome<Option<Timestamp>> {
    let sql = "SELECT min(ready) FROM job WHERE completed IS NULL AND ready > ?";
    let ready: Option<i64> = tx.prepare_cached(sql)?.query_row([now.unix_millis()], |row| row.get(0))?;
    Ok(ready.and_then(|millis| Timestamp::from_unix_millis(millis).ok()))
}

/// Notes that a job ended at this moment. False when it has ended already, or is gone with its vault.
pub(crate) fn end(tx: &Transaction<'_>, id: i64, ending: &Ending, at: Timestamp) -> Outcome<bool> {
    let (status, message, output, marker, archive) = match ending {
        Ending::Succeeded => (JobStatus::Succeeded, None, None, None, None),
        Ending::Inventory(output, marker) => (JobStatus::Succeeded, None, Some(*output), marker.as_ref(), None),
        Ending::Archive(archive) => (JobStatus::Succeeded, None, None, None, Some(*archive)),
        Ending::Failed(why) => (JobStatus::Failed, Some(why), None, None, None),
    };
    let sql =
        "UPDATE job SET completed = ?, status = ?, message = ?, output = ?, marker = ?, archive = coalesce(?, archive)
               WHERE id = ? AND completed IS NULL";
    let marker = marker.map(Marker::as_str);
    let ended = tx.prepare_cached(sql)?.execute(params![
        at.unix_millis(),
        status.as_str(),
        message,
        output,
        marker,
        archive,
        id
    ])?;
    Ok(ended > 0)
}
