//! Hashing what has to be read first: a stream to its end, or a range of something that can be read at any position.
//!
//! Memory is a few MiB whatever the size. Everything here runs on the caller's thread; several threads are
//! [`parallel`](crate::parallel)'s business.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;

use crate::TreeHash;
use crate::hasher::TreeHasher;
use crate::leaves::Leaves;
use crate::payload::{LeavesHasher, Payload, PayloadHasher};
use crate::stream::clamp;
use crate::tree::LEAF_LEN;

/// How many bytes are read at once, for one body: enough that calls cost nothing, few enough to stay in the cache.
pub(crate) const READ_LEN: usize = LEAF_LEN;

/// How many bytes are read at once when only the tree is wanted: as many leaves as a kernel takes at once.
pub(crate) const TREE_READ_LEN: usize = 4 * LEAF_LEN;

/// Bytes that can be read at any position, by several threads at once.
///
/// Files and slices are. Implement it for anything else whose bytes do not change, or to watch the progress of
/// something that is.
pub trait ReadAt: Sync {
    /// Fills the whole buffer with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// Kind `UnexpectedEof` if the bytes end before; otherwise whatever keeps them from being read.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns as many bytes as the buffer has, from `offset` on: by default read into it, but bytes that are in memory
    /// anyway need not be copied.
    ///
    /// # Errors
    ///
    /// The same as those of [`read_exact_at`](Self::read_exact_at).
    fn bytes_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
        self.read_exact_at(buffer, offset)?;
        Ok(buffer)
    }
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

#[cfg(windows)]
impl ReadAt for File {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        buffer.copy_from_slice(slice_at(self, buffer.len(), offset)?);
        Ok(())
    }

    fn bytes_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
        slice_at(self, buffer.len(), offset)
    }
}

fn slice_at(bytes: &[u8], length: usize, offset: u64) -> io::Result<&[u8]> {
    let start = usize::try_from(offset).ok();
    start.and_then(|start| bytes.get(start..start.checked_add(length)?)).ok_or(io::ErrorKind::UnexpectedEof.into())
}

/// Hashes everything that a reader gives, until it ends.
///
/// # Errors
///
/// Those of the reader.
///
/// ```
/// let payload = cas_treehash::read::payload(&b"some bytes"[..])?;
/// assert_eq!(payload, cas_treehash::Payload::of(b"some bytes"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn payload(reader: impl Read) -> io::Result<Payload> {
    let mut hasher = PayloadHasher::new();
    drain(reader, READ_LEN, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Computes the tree hash alone of everything that a reader gives, until it ends.
///
/// # Errors
///
/// Those of the reader.
pub fn tree_hash(reader: impl Read) -> io::Result<TreeHash> {
    let mut hasher = TreeHasher::new();
    drain(reader, TREE_READ_LEN, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Hashes everything that a reader gives, until it ends, and keeps the leaves.
///
/// # Errors
///
/// Those of the reader.
pub fn leaves(reader: impl Read) -> io::Result<(Payload, Leaves)> {
    let mut hasher = LeavesHasher::new();
    drain(reader, READ_LEN, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Hashes a range of a file or of other bytes with positions. The range counts bytes, its end excluded.
///
/// # Errors
///
/// Those of the source; kind `UnexpectedEof` if it ends before the range does.
///
/// ```
/// let file = b"some bytes, and more";
/// let payload = cas_treehash::read::payload_at(&file[..], 0..10)?;
/// assert_eq!(payload, cas_treehash::Payload::of(b"some bytes"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn payload_at<S: ReadAt + ?Sized>(source: &S, range: Range<u64>) -> io::Result<Payload> {
    let mut hasher = PayloadHasher::new();
    for_each_piece(source, range, &mut vec![0; READ_LEN], |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Computes the tree hash alone of a range. The range counts bytes, its end excluded.
///
/// # Errors
///
/// Those of the source; kind `UnexpectedEof` if it ends before the range does.
pub fn tree_hash_at<S: ReadAt + ?Sized>(source: &S, range: Range<u64>) -> io::Result<TreeHash> {
    let mut hasher = TreeHasher::new();
    for_each_piece(source, range, &mut vec![0; TREE_READ_LEN], |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Finds the first leaf, counted from 0, in which a source of `size` bytes differs from a row of leaves made earlier.
///
/// Reads no further than the group of leaves with the difference. Where either ends and the other goes on, they differ
/// in the first leaf behind the end, or in the one that is shorter.
///
/// # Errors
///
/// Those of the source; kind `UnexpectedEof` if it has fewer than `size` bytes.
///
/// ```
/// use cas_treehash::{Leaves, read};
///
/// let mut file = vec![7; 5 << 20];
/// let leaves = Leaves::of(&file);
/// file[3_500_000] ^= 1;
/// assert_eq!(read::first_difference(&file[..], 5 << 20, &leaves)?, Some(3));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn first_difference<S: ReadAt + ?Sized>(source: &S, size: u64, leaves: &Leaves) -> io::Result<Option<usize>> {
    let mut buffer = vec![0; TREE_READ_LEN];
    let mut expected = leaves.parts();
    let mut index = 0;
    for piece in pieces(0..size, TREE_READ_LEN) {
        let found = Leaves::of(piece_at(source, &mut buffer, piece)?);
        for leaf in found.parts() {
            if expected.next() != Some(leaf) {
                return Ok(Some(index));
            }
            index += 1;
        }
    }
    Ok(expected.next().map(|_| index))
}

/// Hands on everything that a reader gives, in pieces of `length` bytes until the last.
fn drain(mut reader: impl Read, length: usize, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; length];
    loop {
        let filled = fill(&mut reader, &mut buffer)?;
        take(&buffer[..filled]);
        if filled < length {
            return Ok(());
        }
    }
}

/// Reads until the buffer is full or the reader ends, and tells how far it came.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Hands on the bytes of a range, as many at once as the buffer has.
pub(crate) fn for_each_piece<S: ReadAt + ?Sized>(
    source: &S,
    range: Range<u64>,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    for piece in pieces(range, buffer.len()) {
        take(piece_at(source, buffer, piece)?);
    }
    Ok(())
}

/// Cuts a range into ranges of `length` bytes, of which the last may be shorter.
pub(crate) fn pieces(range: Range<u64>, length: usize) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(length).map(move |start| start..end.min(start.saturating_add(length as u64)))
}

/// The bytes of one piece, which has at most as many as the buffer.
pub(crate) fn piece_at<'a, S: ReadAt + ?Sized>(
    source: &'a S,
    buffer: &'a mut [u8],
    piece: Range<u64>,
) -> io::Result<&'a [u8]> {
    let length = clamp(piece.end - piece.start, buffer.len());
    source.bytes_at(&mut buffer[..length], piece.start)
}
