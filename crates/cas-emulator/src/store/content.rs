//! Reading the bytes of archives and inventories back, each leaf checked against its hash before a byte of it is given out.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cas_treehash::{LEAF_SIZE, Leaves, TreeHasher};

use super::archives::{self, Segment};
use super::{Store, storage};
use crate::failure::{Failure, Outcome};

/// How many bytes are read at once.
pub(crate) const PIECE: usize = 128 << 10;

/// Reads a range of some segments from its beginning to its end. Everything here blocks.
#[derive(Debug)]
pub(crate) struct ContentReader {
    store: Arc<Store>,
    segments: VecDeque<Segment>,
    /// What is still to be read.
    left: Range<u64>,
    open: Option<OpenSegment>,
}

/// The file that is being read.
#[derive(Debug)]
struct OpenSegment {
    segment: Segment,
    file: File,
    leaves: Leaves,
    /// Up to where the file was compared with its leaves, in bytes of the file.
    checked: u64,
}

impl ContentReader {
    /// Begins reading a range, its end excluded.
    pub(crate) fn new(store: Arc<Store>, segments: Vec<Segment>, range: Range<u64>) -> Self {
        let wanted = |segment: &Segment| segment.start < range.end && segment.start + segment.blob.size > range.start;
        let segments = segments.into_iter().filter(wanted).collect();
        ContentReader { store, segments, left: range, open: None }
    }

    /// How many bytes are still to be read.
    pub(crate) fn left(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// The next bytes, at most [`PIECE`] of them; none at the end.
    ///
    /// Fails when a file is not there, or is not what was stored.
    pub(crate) fn next_piece(&mut self) -> Outcome<Option<Bytes>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_next()?,
        };
        let gone = || Failure::internal("reading bytes back", &"a part of the archive is missing");
        let offset = self.left.start.checked_sub(open.segment.start).ok_or_else(gone)?;
        if offset >= open.checked {
            open.check_leaf(offset - offset % LEAF_SIZE)?;
        }
        let end = (self.left.end - open.segment.start).min(open.checked);
        let length = usize::try_from(end - offset).map_or(PIECE, |length| length.min(PIECE));
        let piece = open.read(offset, length).map_err(storage)?;
        self.left.start += piece.len() as u64;
        if self.left.start < open.segment.start + open.segment.blob.size {
            self.open = Some(open);
        }
        Ok(Some(piece.into()))
    }

    fn open_next(&mut self) -> Outcome<OpenSegment> {
        let gone = || Failure::internal("reading bytes back", &"a part of the archive is missing");
        let segment = self.segments.pop_front().ok_or_else(gone)?;
        let file = self.store.files.open_blob(&segment.blob.name).map_err(storage)?;
        let leaves = self.store.read_now(|tx| archives::leaves(tx, &segment.blob))?;
        let checked = 0;
        Ok(OpenSegment { segment, file, leaves, checked })
    }
}

impl OpenSegment {
    /// Compares the leaf that begins at `start` with its hash.
    fn check_leaf(&mut self, start: u64) -> Outcome<()> {
        let end = (start + LEAF_SIZE).min(self.segment.blob.size);
        let mut hasher = TreeHasher::new();
        let mut at = start;
        while at < end {
            let length = usize::try_from(end - at).map_or(PIECE, |length| length.min(PIECE));
            let piece = self.read(at, length).map_err(storage)?;
            hasher.update(&piece);
            at += piece.len() as u64;
        }
        if self.leaves.range_hash(start..end) != Some(hasher.finish()) {
            let what = format!("file {} is damaged between {start} and {end}", self.segment.blob.name);
            return Err(Failure::internal("reading bytes back", &what));
        }
        self.checked = end;
        Ok(())
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
