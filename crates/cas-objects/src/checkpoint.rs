//! The journal of a download: a text file beside the target that says which slices of which job are in the unfinished file.
//!
//! One JSON object a line, each with a checksum of itself; the first says what is downloaded, the others name a slice and its tree hash.
//! A torn or foreign line ends what is believed. Nothing here is trusted for the bytes themselves: whoever goes on with a download hashes
//! them again. So a line needs no fsync; losing one costs fetching a slice again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cas_api::cas_http::TreeHash;
use cas_treehash::ContentSha256;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What is downloaded: a journal of anything else is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// The version of this form.
    pub(crate) version: u32,
    pub(crate) vault: String,
    pub(crate) job: String,
    /// The size of the output in bytes.
    pub(crate) size: u64,
    /// The size of every slice but the last in bytes.
    pub(crate) slice_size: u64,
    /// The tree hash of the output, if the service told one.
    pub(crate) tree_hash: Option<String>,
}

/// The version this code writes and reads.
pub(crate) const VERSION: u32 = 1;

/// A slice that was verified and written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slice {
    slice: u64,
    tree_hash: String,
}

/// A line of the journal: a record, and the beginning of the SHA-256 of its text.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    record: &'a serde_json::value::RawValue,
    check: String,
}

/// An open journal, locked against other processes.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of a download, or begins one, and returns the slices it names: index and tree hash.
    ///
    /// A journal of something else is begun anew, which the caller must answer by beginning the file anew.
    pub(crate) fn open(path: &Path, subject: &Subject) -> Result<(Journal, Vec<(u64, TreeHash)>), Error> {
        let io_error = |error| Error::io("open", path, error);
        if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(Error::invalid(format!("{} is there and is not a regular file", path.display())));
        }
        let file = loop {
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io_error)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let what = format!("another download to the same file is under way: it holds {}", path.display());
                    return Err(Error::new(ErrorKind::Checkpoint, what));
                }
                // Some network file systems have no locks; a download there is better than none.
                Err(std::fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(std::fs::TryLockError::Error(error)) => return Err(Error::io("lock", path, error)),
            }
            // Whoever held it may have ended and removed it since it was opened: a lock on a file without a name keeps nobody out.
            if is_at(&file, path).map_err(io_error)? {
                break file;
            }
        };
        let mut journal = Journal { file, path: path.to_owned() };
        let (believed, slices) = journal.read(subject).map_err(io_error)?;
        journal.file.set_len(believed).map_err(io_error)?;
        journal.file.seek(SeekFrom::End(0)).map_err(io_error)?;
        if believed == 0 {
            journal.append(subject)?;
        }
        Ok((journal, slices))
    }

    /// The length of what is believed, and the slices in it.
    fn read(&mut self, subject: &Subject) -> io::Result<(u64, Vec<(u64, TreeHash)>)> {
        /// No line of ours is longer.
        const MAX_LINE: u64 = 4096;
        let mut reader = BufReader::new(&self.file);
        let (mut believed, mut slices, mut line) = (0, Vec::new(), Vec::new());
        loop {
            line.clear();
            io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line)?;
            let Some(record) = checked_record(&line) else { break };
            if believed == 0 {
                if serde_json::from_str::<Subject>(record).ok().as_ref() != Some(subject) {
                    break;
                }
            } else {
                let slice = serde_json::from_str::<Slice>(record).ok();
                let Some((slice, Ok(tree_hash))) = slice.map(|slice| (slice.slice, slice.tree_hash.parse())) else {
                    break;
                };
                slices.push((slice, tree_hash));
            }
            believed += line.len() as u64;
        }
        Ok((believed, slices))
    }

    /// Notes a slice that was verified and written.
    pub(crate) fn note(&mut self, slice: u64, tree_hash: &TreeHash) -> Result<(), Error> {
        self.append(&Slice { slice, tree_hash: tree_hash.to_string() })
    }

    fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        let line = line_of(record).map_err(|error| Error::io("write", &self.path, error.into()))?;
        // One write for one line, so that a crash tears at most the last.
        self.file.write_all(&line).map_err(|error| Error::io("write", &self.path, error))
    }

    /// Holds the lock as long as the value lives, even when the journal itself is gone.
    pub(crate) fn hold(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|error| Error::io("lock", &self.path, error))
    }

    /// Removes the journal: the download is done, or nothing of it is believed any more.
    pub(crate) fn remove(self) -> Result<(), Error> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &self.path, error)),
            _ => Ok(()),
        }
    }
}

/// Whether the path still leads to this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the path still leads to this file: elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "looking can fail on Unix")]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

fn line_of(record: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let record = serde_json::value::to_raw_value(record)?;
    let line = Line { record: &record, check: checksum(record.get()) };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    Ok(text)
}

/// The record of a line that is whole and unchanged.
fn checked_record(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let line: Line<'_> = serde_json::from_str(text).ok()?;
    (line.check == checksum(line.record.get())).then_some(line.record.get())
}

fn checksum(text: &str) -> String {
    let mut hex = ContentSha256::of(text.as_bytes()).to_string();
    hex.truncate(16);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(job: &str) -> Subject {
        Subject { version: VERSION, vault: "v".into(), job: job.into(), size: 10, slice_size: 1 << 20, tree_hash: None }
    }

    fn open(path: &Path, job: &str) -> Vec<(u64, TreeHash)> {
        Journal::open(path, &subject(job)).unwrap().1
    }

    #[test]
    fn slices_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cas-journal");
        let hashes = [TreeHash::of(b"a"), TreeHash::of(b"b")];
        for (slice, hash) in (0..).zip(&hashes) {
            let (mut journal, slices) = Journal::open(&path, &subject("j")).unwrap();
            assert_eq!(slices.len() as u64, slice);
            journal.note(slice, hash).unwrap();
        }
        assert_eq!(open(&path, "j"), [(0, hashes[0]), (1, hashes[1])]);
    }

    #[test]
    fn a_journal_of_something_else_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cas-journal");
        Journal::open(&path, &subject("j")).unwrap().0.note(0, &TreeHash::of(b"a")).unwrap();
        assert_eq!(open(&path, "other job"), []);
        assert_eq!(open(&path, "j"), [], "what was in it is gone");
    }

    #[test]
    fn a_torn_or_changed_line_ends_what_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cas-journal");
        let mut journal = Journal::open(&path, &subject("j")).unwrap().0;
        for slice in 0..3 {
            journal.note(slice, &TreeHash::of(b"a")).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        let third = whole.len() - 1 - whole[..whole.len() - 1].iter().rev().position(|&byte| byte == b'\n').unwrap();
        for (name, text, believed) in [
            ("torn", whole[..whole.len() - 5].to_vec(), 2),
            ("without its line end", whole[..whole.len() - 1].to_vec(), 2),
            ("garbage behind", [&whole[..], b"\0\0\0\0garbage"].concat(), 3),
            ("changed", [&whole[..third], &whole[third..].replace_byte(b'2', b'1')].concat(), 2),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(open(&path, "j").len(), believed, "{name}");
            let mut journal = Journal::open(&path, &subject("j")).unwrap().0;
            journal.note(9, &TreeHash::of(b"b")).unwrap();
            drop(journal);
            assert_eq!(open(&path, "j").len(), believed + 1, "{name}, and a line after it");
        }
    }

    trait ReplaceByte {
        fn replace_byte(&self, from: u8, to: u8) -> Vec<u8>;
    }

    impl ReplaceByte for [u8] {
        /// The first occurrence replaced.
        fn replace_byte(&self, from: u8, to: u8) -> Vec<u8> {
            let mut changed = self.to_vec();
            let place = changed.iter().position(|&byte| byte == from).unwrap();
            changed[place] = to;
            changed
        }
    }

    #[test]
    fn two_downloads_to_one_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cas-journal");
        let _held = Journal::open(&path, &subject("j")).unwrap();
        assert_eq!(Journal::open(&path, &subject("j")).unwrap_err().kind(), ErrorKind::Checkpoint);
    }

    #[test]
    fn a_write_that_is_still_under_way_keeps_the_next_download_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cas-journal");
        let journal = Journal::open(&path, &subject("j")).unwrap().0;
        let held = journal.hold().unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path, &subject("j")).unwrap_err().kind(), ErrorKind::Checkpoint);
        drop(held);
        assert_eq!(open(&path, "j"), []);
    }

    #[cfg(unix)]
    #[test]
    fn a_journal_that_was_removed_or_replaced_is_told_from_the_one_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cas-journal");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        std::fs::write(&path, b"another").unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }
}
