//! Rows of archives, of the blobs they are made of, and what an inventory lists.

use cas_api::inventory::InventoryEntry;
use cas_http::{ArchiveId, Description, Marker, Timestamp, TreeHash};
use cas_treehash::{Leaves, combine, is_tree_aligned};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::NewBlob;
use super::database::{optional_time, parsed, time, tree_hash, unreadable};
use super::expiry::alive_since;
use crate::failure::{Failure, Outcome};

/// An archive, or what is remembered of one that was deleted.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) id: i64,
    pub(crate) archive_id: ArchiveId,
    pub(crate) size: u64,
    pub(crate) tree_hash: TreeHash,
    pub(crate) deleted: Option<Timestamp>,
}

/// An archive that is about to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewArchive {
    pub(crate) archive_id: ArchiveId,
    pub(crate) size: u64,
    pub(crate) tree_hash: TreeHash,
    pub(crate) description: Option<Description>,
    pub(crate) created: Timestamp,
}

/// One file's worth of an archive.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Where it begins in the archive.
    pub(crate) start: u64,
    pub(crate) blob: Blob,
}

/// A row of a blob, without its leaves.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) tree_hash: TreeHash,
}

/// The columns of `blob` that make a [`Blob`], from this column of a row on.
pub(super) const BLOB_COLUMNS: &str = "blob.id, blob.name, blob.size, blob.tree_hash";

pub(super) fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Blob> {
    Ok(Blob {
        id: row.get(column)?,
        name: row.get(column + 1)?,
        size: row.get(column + 2)?,
        tree_hash: tree_hash(row, column + 3)?,
    })
}

const COLUMNS: &str = "id, archive_id, size, tree_hash, deleted";

fn archive(row: &Row<'_>) -> rusqlite::Result<Archive> {
    Ok(Archive {
        id: row.get(0)?,
        archive_id: parsed(row, 1)?,
        size: row.get(2)?,
        tree_hash: tree_hash(row, 3)?,
        deleted: optional_time(row, 4)?,
    })
}

/// Notes a file that is in place. Its row's number is what parts, segments and jobs name it by.
pub(crate) fn insert_blob(tx: &Transaction<'_>, blob: &NewBlob) -> Outcome<i64> {
    let leaves = if blob.leaves.len() > 1 {
        let mut bytes = Vec::new();
        blob.leaves.write_to(&mut bytes).map_err(super::storage)?;
        Some(bytes)
    } else {
        None
    };
    let sql = "INSERT INTO blob (name, size, sha256, tree_hash, leaves) VALUES (?, ?, ?, ?, ?)";
    let payload = &blob.payload;
    tx.prepare_cached(sql)?.execute(params![
        blob.name,
        payload.size,
        payload.sha256.as_bytes(),
        payload.tree_hash.as_bytes(),
        leaves
    ])?;
    Ok(tx.last_insert_rowid())
}

/// Keeps an archive that is one file. Returns its row's number.
pub(crate) fn insert_with_blob(tx: &Transaction<'_>, vault: i64, archive: &NewArchive, blob: &NewBlob) -> Outcome<i64> {
    let blob = insert_blob(tx, blob)?;
    let archive = insert(tx, vault, archive)?;
    tx.prepare_cached("INSERT INTO segment (archive, start, blob) VALUES (?, 0, ?)")?.execute([archive, blob])?;
    Ok(archive)
}

/// Keeps an archive whose segments follow. Returns its row's number.
pub(crate) fn insert(tx: &Transaction<'_>, vault: i64, archive: &NewArchive) -> Outcome<i64> {
    let sql =
        "INSERT INTO archive (vault, archive_id, size, tree_hash, description, created) VALUES (?, ?, ?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![
        vault,
        archive.archive_id.as_str(),
        archive.size,
        archive.tree_hash.as_bytes(),
        archive.description.as_ref().map_or("", Description::as_str),
        archive.created.unix_millis()
    ])?;
    Ok(tx.last_insert_rowid())
}

/// The archive of this name, also if it was deleted.
pub(crate) fn find(tx: &Transaction<'_>, vault: i64, id: &ArchiveId) -> Outcome<Option<Archive>> {
    let sql = format!("SELECT {COLUMNS} FROM archive WHERE vault = ? AND archive_id = ?");
    Ok(tx.prepare_cached(&sql)?.query_row(params![vault, id.as_str()], archive).optional()?)
}

/// The archive with this row number.
pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Outcome<Archive> {
    let sql = format!("SELECT {COLUMNS} FROM archive WHERE id = ?");
    Ok(tx.prepare_cached(&sql)?.query_row([id], archive)?)
}

/// Deletes an archive. Its bytes stay while an output that was retrieved from them can be read.
pub(crate) fn delete(tx: &Transaction<'_>, vault: i64, id: &ArchiveId, now: Timestamp) -> Outcome<()> {
    let sql = "UPDATE archive SET deleted = ? WHERE vault = ? AND archive_id = ? AND deleted IS NULL RETURNING id";
    let deleted = tx.prepare_cached(sql)?.query_row(params![now.unix_millis(), vault, id.as_str()], |row| row.get(0));
    let archive: i64 = deleted.optional()?.ok_or_else(|| Failure::not_found("archive"))?;
    let sql = format!("DELETE FROM segment WHERE archive = (SELECT id FROM archive WHERE {UNNEEDED} AND id = ?)");
    tx.prepare_cached(&sql)?.execute([alive_since(now), archive])?;
    Ok(())
}

/// Lets go of the bytes of all deleted archives that no output needs any more.
pub(crate) fn release(tx: &Transaction<'_>, now: Timestamp) -> Outcome<()> {
    let sql = format!("DELETE FROM segment WHERE archive IN (SELECT id FROM archive WHERE {UNNEEDED})");
    tx.prepare_cached(&sql)?.execute([alive_since(now)])?;
    Ok(())
}

/// An archive that was deleted and of which no output is alive, one made after the moment that is the parameter.
const UNNEEDED: &str = "deleted IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM job WHERE job.archive = archive.id AND status = 'Succeeded' AND completed > ?)";

/// The files of an archive, in order.
pub(crate) fn segments(tx: &Transaction<'_>, archive: i64) -> Outcome<Vec<Segment>> {
    let sql = format!(
        "SELECT segment.start, {BLOB_COLUMNS} FROM segment JOIN blob ON blob.id = segment.blob
         WHERE segment.archive = ? ORDER BY segment.start"
    );
    let mut select = tx.prepare_cached(&sql)?;
    let segments = select.query_map([archive], |row| Ok(Segment { start: row.get(0)?, blob: blob(row, 1)? }))?;
    Ok(segments.collect::<Result<_, _>>()?)
}

/// The leaves of a blob.
pub(crate) fn leaves(tx: &Transaction<'_>, blob: &Blob) -> Outcome<Leaves> {
    let mut select = tx.prepare_cached("SELECT leaves FROM blob WHERE id = ?")?;
    let bytes: Option<Vec<u8>> = select.query_row([blob.id], |row| row.get(0))?;
    let damaged = |error: &dyn std::fmt::Display| Failure::internal("reading the leaves of a file", error);
    match bytes {
        Some(bytes) => Leaves::read_from(&*bytes).map_err(|error| damaged(&error)),
        None => {
            let mut leaves = Leaves::new();
            leaves.push(blob.tree_hash, blob.size).map_err(|error| damaged(&error))?;
            Ok(leaves)
        }
    }
}

/// The tree hash of a range of an archive, its end excluded, when the range is one sub-tree (`docs/protocol.md` §4.3). No bytes are read.
pub(crate) fn range_hash(
    tx: &Transaction<'_>,
    archive: &Archive,
    range: std::ops::Range<u64>,
) -> Outcome<Option<TreeHash>> {
    if !is_tree_aligned(range.clone(), archive.size) {
        return Ok(None);
    }
    if range == (0..archive.size) {
        return Ok(Some(archive.tree_hash));
    }
    let mut segments = segments(tx, archive.id)?;
    segments.retain(|segment| segment.start < range.end && segment.start + segment.blob.size > range.start);
    if let [segment] = &segments[..] {
        let within = range.start - segment.start..range.end - segment.start;
        return Ok(leaves(tx, &segment.blob)?.range_hash(within));
    }
    // A sub-tree that is larger than a part is made of whole parts.
    Ok(combine(segments.iter().map(|segment| (segment.blob.size, segment.blob.tree_hash))).ok())
}

/// Which archives an inventory lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct InventoryFilter {
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    pub(crate) marker: Option<Marker>,
    pub(crate) limit: u32,
}

/// The archives of a vault by their IDs, and the ID that the next inventory begins with.
pub(crate) fn inventory(
    tx: &Transaction<'_>,
    vault: i64,
    filter: &InventoryFilter,
) -> Outcome<(Vec<InventoryEntry>, Option<Marker>)> {
    // Filters have whole seconds and include both ends, so a second that is named is listed to its last millisecond.
    let from = filter.start.map_or(i64::MIN, |time| time.unix_seconds().saturating_mul(1000));
    let to = filter.end.map_or(i64::MAX, |time| time.unix_seconds().saturating_mul(1000).saturating_add(999));
    let sql = "SELECT archive_id, description, created, size, tree_hash FROM archive
               WHERE vault = ? AND deleted IS NULL AND archive_id >= ? AND created BETWEEN ? AND ?
               ORDER BY archive_id LIMIT ?";
    let first = filter.marker.as_ref().map_or("", Marker::as_str);
    let mut select = tx.prepare_cached(sql)?;
    let rows = select.query_map(params![vault, first, from, to, u64::from(filter.limit) + 1], |row| {
        let mut entry =
            InventoryEntry::new(parsed::<ArchiveId>(row, 0)?, time(row, 2)?, row.get(3)?, Some(tree_hash(row, 4)?));
        entry.description = row.get(1)?;
        Ok(entry)
    })?;
    let mut entries: Vec<InventoryEntry> = rows.collect::<Result<_, _>>()?;
    let marker = if entries.len() > filter.limit as usize { entries.pop() } else { None };
    let marker = marker.map(|entry| Marker::parse(&entry.archive_id)).transpose();
    Ok((entries, marker.map_err(|error| unreadable(0, error.to_string()))?))
}
