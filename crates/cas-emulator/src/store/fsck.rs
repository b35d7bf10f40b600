//! The check of everything that is stored: the database's own, every file against its hashes, every archive against its files.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;

use cas_http::ArchiveId;
use cas_treehash::{LeavesHasher, TreeHash, combine};
use rusqlite::Transaction;

use super::archives::{self, BLOB_COLUMNS, Blob, blob};
use super::database::{Database, parsed, tree_hash};
use super::{BlobFiles, DataDirectory, PIECE};
use crate::error::{Error, ErrorKind};
use crate::failure::Outcome;

/// What a check of a data directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many archives there are, deleted ones not counted.
    pub archives: u64,
    /// How many files of bytes there are.
    pub files: u64,
    /// How many bytes they hold.
    pub bytes: u64,
    /// How many files nothing names: a process was killed before it could use or remove them. The next start removes them.
    pub leftovers: u64,
    /// What is wrong, one line each.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether everything that was acknowledged is there, and is what it was.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        let verdict = if self.is_clean() { "clean".to_owned() } else { format!("{} problems", self.problems.len()) };
        write!(f, "{verdict}: {} archives, {} files, {} bytes", self.archives, self.files, self.bytes)?;
        match self.leftovers {
            0 => Ok(()),
            count => write!(f, ", and {count} unneeded files that the next start removes"),
        }
    }
}

/// Checks everything in a data directory that no emulator uses at the moment.
///
/// Reads every byte that is stored, and changes nothing that was acknowledged: it takes the directory's lock, removes what was left unfinished, and
/// lets the database finish what a killed process had begun.
///
/// # Errors
///
/// [`ErrorKind::Locked`] when an emulator uses the directory; [`ErrorKind::Storage`] when it cannot be read, or holds no state.
pub fn fsck(directory: impl AsRef<Path>) -> Result<Report, Error> {
    let path = directory.as_ref();
    let database_path = path.join("cas.sqlite3");
    let failed = |error: &dyn fmt::Display| {
        Error::new(ErrorKind::Storage, format!("the state in {} cannot be checked: {error}", path.display()))
    };
    if !database_path.is_file() {
        return Err(failed(&"there is none"));
    }
    let _directory = DataDirectory::take(path)?;
    let database = Database::open(&database_path, true).map_err(|error| failed(&error))?;
    let files = BlobFiles::open(path, true).map_err(|error| failed(&error))?;
    let mut report = Report::default();
    report.problems.extend(database.integrity().map_err(|error| failed(&error))?);
    let checked = database.read(|tx| {
        check_files(tx, &files, &mut report)?;
        check_archives(tx, &mut report)
    });
    checked.map_err(|failure| failed(&failure.message))?;
    Ok(report)
}

fn check_files(tx: &Transaction<'_>, files: &BlobFiles, report: &mut Report) -> Outcome<()> {
    let mut present: HashSet<String> = files.names().map_err(super::storage)?.into_iter().collect();
    let mut select = tx.prepare(&format!("SELECT {BLOB_COLUMNS}, blob.sha256 FROM blob ORDER BY blob.id"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (blob, sha256) = (blob(row, 0)?, row.get::<_, [u8; 32]>(4)?);
        report.files += 1;
        report.bytes += blob.size;
        if !present.remove(&blob.name) {
            report.problems.push(format!("file {}: missing", blob.name));
        } else if let Err(why) = check_file(tx, files, &blob, sha256) {
            report.problems.push(format!("file {}: {why}", blob.name));
        }
    }
    report.leftovers = present.len() as u64;
    Ok(())
}

/// What is wrong with a file, in words.
fn check_file(tx: &Transaction<'_>, files: &BlobFiles, blob: &Blob, sha256: [u8; 32]) -> Result<(), String> {
    let leaves = archives::leaves(tx, blob).map_err(|failure| failure.message)?;
    let (payload, actual) = hash(files, blob).map_err(|error| format!("it cannot be read: {error}"))?.finish();
    if payload.size != blob.size {
        return Err(format!("{} bytes long, {} were stored", payload.size, blob.size));
    }
    if let Some(leaf) = leaves.first_difference(&actual) {
        return Err(format!("the bytes of MiB {leaf} are not those that were stored"));
    }
    if *payload.sha256.as_bytes() != sha256 || payload.tree_hash != blob.tree_hash {
        return Err("its hashes are not those of its bytes".to_owned());
    }
    Ok(())
}

fn hash(files: &BlobFiles, blob: &Blob) -> io::Result<LeavesHasher> {
    let mut file = files.open_blob(&blob.name)?;
    let mut hasher = LeavesHasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher),
            length => hasher.update(&piece[..length]),
        }
    }
}

fn check_archives(tx: &Transaction<'_>, report: &mut Report) -> Outcome<()> {
    let sql = "SELECT id, archive_id, size, tree_hash FROM archive WHERE deleted IS NULL ORDER BY id";
    let mut select = tx.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (id, name, size, hash): (i64, ArchiveId, u64, TreeHash) =
            (row.get(0)?, parsed(row, 1)?, row.get(2)?, tree_hash(row, 3)?);
        report.archives += 1;
        let segments = archives::segments(tx, id)?;
        let mut end = 0;
        for segment in &segments {
            if segment.start != end {
                report.problems.push(format!("archive {name}: no bytes between {end} and {}", segment.start));
            }
            end = segment.start + segment.blob.size;
        }
        let combined = combine(segments.iter().map(|segment| (segment.blob.size, segment.blob.tree_hash)));
        if end != size || combined != Ok(hash) {
            report.problems.push(format!("archive {name}: its files are not what was stored"));
        }
    }
    Ok(())
}
