//! Rows of multipart uploads and their parts.

use cas_http::{Description, PartSize, Timestamp, TreeHash, UploadId};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::NewBlob;
use super::archives::{self, NewArchive};
use super::database::{parsed, time, tree_hash, unreadable};
use super::expiry::alive_since;
use crate::failure::{Failure, Outcome};

/// A multipart upload that has not expired.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: i64,
    pub(crate) upload_id: UploadId,
    pub(crate) part_size: PartSize,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
}

/// A part that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredPart {
    /// Where it begins in the archive.
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) tree_hash: TreeHash,
}

const COLUMNS: &str = "id, upload_id, part_size, description, created";

fn upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    let part_size = PartSize::from_bytes(row.get(2)?).map_err(|error| unreadable(2, error.to_string()))?;
    Ok(Upload {
        id: row.get(0)?,
        upload_id: parsed(row, 1)?,
        part_size,
        description: row.get(3)?,
        created: time(row, 4)?,
    })
}

/// Begins an upload.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    vault: i64,
    id: &UploadId,
    part_size: PartSize,
    description: Option<&Description>,
    now: Timestamp,
) -> Outcome<()> {
    let sql = "INSERT INTO upload (vault, upload_id, part_size, description, created) VALUES (?, ?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![
        vault,
        id.as_str(),
        part_size.bytes(),
        description.map_or("", Description::as_str),
        now.unix_millis()
    ])?;
    Ok(())
}

/// The upload of this name, unless it has expired.
pub(crate) fn require(tx: &Transaction<'_>, vault: i64, id: &UploadId, now: Timestamp) -> Outcome<Upload> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE vault = ? AND upload_id = ? AND created > ?");
    let mut select = tx.prepare_cached(&sql)?;
    let found = select.query_row(params![vault, id.as_str(), alive_since(now)], upload).optional()?;
    found.ok_or_else(|| Failure::not_found("multipart upload"))
}

/// Up to `count` uploads, oldest first, from the row number `from` on.
pub(crate) fn list(tx: &Transaction<'_>, vault: i64, from: u64, count: u32, now: Timestamp) -> Outcome<Vec<Upload>> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE vault = ? AND id >= ? AND created > ? ORDER BY id LIMIT ?");
    let mut select = tx.prepare_cached(&sql)?;
    let uploads = select.query_map(params![vault, from, alive_since(now), count], upload)?;
    Ok(uploads.collect::<Result<_, _>>()?)
}

/// Keeps a part, in place of one that was sent before.
pub(crate) fn put_part(tx: &Transaction<'_>, upload: &Upload, start: u64, blob: &NewBlob) -> Outcome<()> {
    tx.prepare_cached("DELETE FROM part WHERE upload = ? AND start = ?")?.execute(params![upload.id, start])?;
    let blob = archives::insert_blob(tx, blob)?;
    tx.prepare_cached("INSERT INTO part (upload, start, blob) VALUES (?, ?, ?)")?
        .execute(params![upload.id, start, blob])?;
    Ok(())
}

/// Up to `count` parts by their place, from the offset `from` on.
pub(crate) fn parts(tx: &Transaction<'_>, upload: &Upload, from: u64, count: u32) -> Outcome<Vec<StoredPart>> {
    let sql = "SELECT part.start, blob.size, blob.tree_hash FROM part JOIN blob ON blob.id = part.blob
               WHERE part.upload = ? AND part.start >= ? ORDER BY part.start LIMIT ?";
    let mut select = tx.prepare_cached(sql)?;
    let parts = select.query_map(params![upload.id, from, count], |row| {
        Ok(StoredPart { start: row.get(0)?, size: row.get(1)?, tree_hash: tree_hash(row, 2)? })
    })?;
    Ok(parts.collect::<Result<_, _>>()?)
}

/// Makes the parts an archive. The bytes stay where they are: the archive is its parts in order.
pub(crate) fn complete(tx: &Transaction<'_>, vault: i64, upload: &Upload, archive: &NewArchive) -> Outcome<()> {
    let archive = archives::insert(tx, vault, archive)?;
    let sql = "INSERT INTO segment (archive, start, blob) SELECT ?, start, blob FROM part WHERE upload = ?";
    tx.prepare_cached(sql)?.execute([archive, upload.id])?;
    delete(tx, upload)
}

/// Removes an upload, and the parts that no archive has taken over.
pub(crate) fn delete(tx: &Transaction<'_>, upload: &Upload) -> Outcome<()> {
    tx.prepare_cached("DELETE FROM upload WHERE id = ?")?.execute([upload.id])?;
    Ok(())
}
