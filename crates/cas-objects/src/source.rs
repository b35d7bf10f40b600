//! Where the bytes of an upload come from: something that can be read again at any place.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use cas_api::cas_http::{ArchiveSize, Body, ByteRange};
use cas_treehash::{Payload, read};

use crate::error::{Error, ErrorKind, blocking};

/// The bytes of an archive to be: a file, or bytes in memory.
///
/// A file is read twice, once to hash a part and once to send it; it must not change meanwhile. A change is noticed and reported.
#[derive(Clone)]
pub struct Source {
    bytes: SourceBytes,
    size: ArchiveSize,
}

#[derive(Clone)]
enum SourceBytes {
    Memory(Bytes),
    File { file: Arc<File>, path: Arc<Path>, state: FileState },
}

/// What tells whether a file is still as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    len: u64,
    modified: Option<SystemTime>,
    /// When the file system last noted a change: nobody can set it back. A change of name or rights counts, too, which costs a resume.
    noted: Option<(i64, i64)>,
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        FileState { len: metadata.len(), modified: metadata.modified().ok(), noted: noted_change(metadata) }
    }
}

#[cfg(unix)]
fn noted_change(metadata: &Metadata) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn noted_change(_: &Metadata) -> Option<(i64, i64)> {
    None
}

impl Source {
    /// A file. Symbolic links are followed; the file is opened here and not looked up again.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not a regular file, or is empty: the service stores no empty archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let not_a_file = || Error::invalid(format!("{} is not a regular file", path.display()));
        // Looked at before it is opened: opening a named pipe would wait for somebody to write to it.
        if !std::fs::metadata(path).map_err(|error| Error::io("read", path, error))?.is_file() {
            return Err(not_a_file());
        }
        let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
        let metadata = file.metadata().map_err(|error| Error::io("read", path, error))?;
        if !metadata.is_file() {
            return Err(not_a_file());
        }
        let size = size_of_archive(metadata.len(), &path.display())?;
        let state = FileState::of(&metadata);
        Ok(Source { bytes: SourceBytes::File { file: Arc::new(file), path: path.into(), state }, size })
    }

    /// A file, opened off the async threads.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        blocking(move || Source::open(path)).await?
    }

    /// Bytes in memory.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn bytes(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let size = size_of_archive(bytes.len() as u64, &"the data")?;
        Ok(Source { bytes: SourceBytes::Memory(bytes), size })
    }

    /// How many bytes there are.
    #[must_use]
    pub fn size(&self) -> ArchiveSize {
        self.size
    }

    /// Both hashes of a range. Blocks on reading: it belongs on the blocking pool.
    pub(crate) fn hash(&self, range: ByteRange) -> io::Result<Payload> {
        let bounds = range.start()..range.end() + 1;
        match &self.bytes {
            SourceBytes::Memory(bytes) => read::payload_at(&bytes[..], bounds),
            SourceBytes::File { file, .. } => read::payload_at(&**file, bounds),
        }
    }

    /// Both hashes of a range, off the async threads.
    pub(crate) async fn hashed(&self, range: ByteRange) -> Result<Payload, Error> {
        let source = self.clone();
        let outcome = blocking(move || source.hash(range)).await?;
        outcome.map_err(|error| match (error.kind(), &self.bytes) {
            (io::ErrorKind::UnexpectedEof, SourceBytes::File { path, .. }) => shrunk(path),
            (_, SourceBytes::File { path, .. }) => Error::io("read", path, error),
            (_, SourceBytes::Memory(_)) => Error::new(ErrorKind::LocalIo, "could not read the data").caused_by(error),
        })
    }

    /// A range as the body of a request, which can be sent again.
    pub(crate) fn body(&self, range: ByteRange) -> Body {
        match &self.bytes {
            SourceBytes::Memory(bytes) => {
                let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Body::from(bytes.slice(place(range.start())..place(range.end() + 1)))
            }
            SourceBytes::File { file, .. } => Body::from_file(Arc::clone(file), range),
        }
    }

    /// Whether the source still looks as it did when it was opened.
    ///
    /// # Errors
    ///
    /// When its size or a time of change is another. Where the file system notes changes by itself (Unix), no rewrite escapes.
    pub(crate) async fn check_unchanged(&self) -> Result<(), Error> {
        let SourceBytes::File { file, path, state } = &self.bytes else { return Ok(()) };
        let (opened, before) = (Arc::clone(file), *state);
        let metadata = blocking(move || opened.metadata()).await?.map_err(|error| Error::io("read", path, error))?;
        if FileState::of(&metadata) == before {
            return Ok(());
        }
        let what = format!(
            "{} changed while it was uploaded: {} bytes then, {} now",
            path.display(),
            before.len,
            metadata.len()
        );
        Err(Error::new(ErrorKind::SourceChanged, what))
    }

    /// The error for a range whose hash is not what it was.
    pub(crate) fn changed(&self, range: ByteRange) -> Error {
        Error::new(ErrorKind::SourceChanged, format!("{self} changed while it was uploaded, in bytes {range}"))
    }
}

impl TryFrom<&Path> for Source {
    type Error = Error;

    fn try_from(path: &Path) -> Result<Self, Error> {
        Source::open(path)
    }
}

impl TryFrom<Bytes> for Source {
    type Error = Error;

    fn try_from(bytes: Bytes) -> Result<Self, Error> {
        Source::bytes(bytes)
    }
}

fn shrunk(path: &Path) -> Error {
    Error::new(ErrorKind::SourceChanged, format!("{} became shorter while it was uploaded", path.display()))
}

fn size_of_archive(bytes: u64, name: &dyn fmt::Display) -> Result<ArchiveSize, Error> {
    if bytes == 0 {
        return Err(Error::invalid(format!("{name} is empty; an archive holds at least one byte")));
    }
    ArchiveSize::new(bytes).map_err(|error| Error::invalid(format!("{name} is too large")).caused_by(error))
}

/// The file's path, or "the data".
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bytes {
            SourceBytes::Memory(_) => f.write_str("the data"),
            SourceBytes::File { path, .. } => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self}, {} bytes)", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_refused_at_the_door() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, b"").unwrap();
        for (path, kind, says) in [
            (folder.path().to_owned(), ErrorKind::InvalidInput, "is not a regular file"),
            (empty, ErrorKind::InvalidInput, "is empty"),
            (folder.path().join("missing"), ErrorKind::LocalIo, "could not read"),
        ] {
            let error = Source::open(&path).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(says), "{error}");
        }
        assert_eq!(Source::bytes(Bytes::new()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_range_has_the_hashes_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let data: Vec<u8> = (0..3_000_000u32).flat_map(|i| (i % 251).to_le_bytes()).collect();
        std::fs::write(&path, &data).unwrap();
        let range = ByteRange::new(1_000_001, 2_999_999).unwrap();
        let expected = Payload::of(&data[1_000_001..3_000_000]);
        assert_eq!(Source::open(&path).unwrap().hash(range).unwrap(), expected);
        assert_eq!(Source::bytes(data).unwrap().hash(range).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_change_of_the_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, b"hello").unwrap();
        let source = Source::file(&path).await.unwrap();
        source.check_unchanged().await.unwrap();
        std::fs::write(&path, b"hello!").unwrap();
        assert_eq!(source.check_unchanged().await.unwrap_err().kind(), ErrorKind::SourceChanged);
        std::fs::write(&path, b"he").unwrap();
        let error = source.hashed(ByteRange::new(0, 4).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged);
    }
}
