//! The row of leaf hashes under a tree: 32 bytes for each MiB, from which the tree hash of any sub-tree follows, a
//! proof for any run of leaves, and the place where two versions of a file part.

use std::error;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;

use crate::TreeHash;
use crate::kernel::Kernel;
use crate::payload::PayloadHasher;
use crate::proof::{RangeProof, is_leaf_aligned, siblings};
use crate::sha256::{self, Node};
use crate::stream::Stream;
use crate::tree::{LEAF_LEN, LEAF_SIZE, Peaks, is_tree_aligned};

const MAGIC: &[u8; 7] = b"casleaf";
const VERSION: u8 = 1;

/// How many bytes stand before the first leaf in the file form.
const HEAD: usize = 16;

/// The hashes of the leaves of some bytes, from left to right.
///
/// Each leaf covers [`LEAF_SIZE`] bytes, the last at least one. A [`LeavesHasher`](crate::LeavesHasher) collects them
/// on the way; [`push`](Self::push) and [`append`](Self::append) put them together again from somewhere else.
///
/// ```
/// use cas_treehash::{Leaves, TreeHash};
///
/// let bytes = vec![7; 5_000_000];
/// let leaves = Leaves::of(&bytes);
/// assert_eq!(leaves.len(), 5);
/// assert_eq!(leaves.tree_hash(), TreeHash::of(&bytes));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Leaves {
    /// How many bytes the row covers; it has as many nodes as that has leaves.
    size: u64,
    row: Vec<Node>,
}

impl Leaves {
    /// Begins an empty row.
    pub const fn new() -> Self {
        Self { size: 0, row: Vec::new() }
    }

    /// Hashes the leaves of bytes that are all in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut leaves = Self::new();
        let mut stream = Stream::<1>::new(Kernel::detect());
        stream.update_lanes(bytes, |leaf| leaves.push_full(leaf));
        leaves.push_end(&stream);
        leaves
    }

    /// Returns how many bytes the row covers.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many leaves there are.
    pub const fn len(&self) -> usize {
        self.row.len()
    }

    /// Tells whether there is no leaf.
    pub const fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Returns one leaf, counted from 0: the tree hash of its bytes alone.
    pub fn get(&self, index: usize) -> Option<TreeHash> {
        self.row.get(index).copied().map(TreeHash::from_bytes)
    }

    /// Goes through the leaves from left to right.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TreeHash> + DoubleEndedIterator + '_ {
        self.row.iter().copied().map(TreeHash::from_bytes)
    }

    /// Adds one leaf that covers `size` bytes.
    ///
    /// # Errors
    ///
    /// [`AppendError`] if the row ends with a short leaf already, or if `size` is not that of a leaf.
    pub fn push(&mut self, leaf: TreeHash, size: u64) -> Result<(), AppendError> {
        self.check_end()?;
        if size == 0 || size > LEAF_SIZE {
            return Err(AppendError::LeafSize { found: size });
        }
        self.row.push(*leaf.as_bytes());
        self.size += size;
        Ok(())
    }

    /// Adds the leaves of the bytes that follow: the next part of an archive.
    ///
    /// # Errors
    ///
    /// [`AppendError::AfterShortLeaf`] if this row ends with a short leaf, since then what follows has other leaves.
    pub fn append(&mut self, next: &Self) -> Result<(), AppendError> {
        if !next.is_empty() {
            self.check_end()?;
            self.extend(next);
        }
        Ok(())
    }

    /// Computes the tree hash of all bytes; of none, the SHA-256 of nothing.
    pub fn tree_hash(&self) -> TreeHash {
        TreeHash::from_bytes(root(&self.row))
    }

    /// Computes the tree hash of a range that is one sub-tree, and of no other ([`is_tree_aligned`]).
    ///
    /// The range counts bytes, its end excluded.
    pub fn range_hash(&self, range: Range<u64>) -> Option<TreeHash> {
        is_tree_aligned(range.clone(), self.size).then_some(())?;
        Some(TreeHash::from_bytes(root(self.row.get(leaf_indices(&range))?)))
    }

    /// Returns the leaves of a range alone, if the range begins and ends where leaves do.
    ///
    /// The range counts bytes, its end excluded; the end of the row is the end of a leaf.
    pub fn slice(&self, range: Range<u64>) -> Option<Self> {
        is_leaf_aligned(&range, self.size).then_some(())?;
        Some(Self { row: self.row.get(leaf_indices(&range))?.to_vec(), size: range.end - range.start })
    }

    /// Collects what somebody needs who knows only size and tree hash of everything, to verify the bytes of a range.
    ///
    /// The range counts bytes, its end excluded. There is a proof for every range that begins and ends where leaves do,
    /// and for no other.
    pub fn prove(&self, range: Range<u64>) -> Option<RangeProof> {
        is_leaf_aligned(&range, self.size).then_some(())?;
        let siblings = siblings(&range, self.size).map(|node| self.range_hash(node)).collect::<Option<_>>()?;
        Some(RangeProof { size: self.size, range, siblings })
    }

    /// Returns the first leaf, counted from 0, that two rows do not share; nothing if the rows are equal.
    ///
    /// Where one row ends and the other goes on, that is the first leaf of the longer one behind the end.
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let shared = self.parts().zip(other.parts()).take_while(|(a, b)| a == b).count();
        (shared < self.len().max(other.len())).then_some(shared)
    }

    /// Writes the file form: 16 bytes, then 32 for each leaf, then 32 more.
    ///
    /// | Bytes | What |
    /// |---|---|
    /// | 7 | `casleaf` |
    /// | 1 | the version, 1 |
    /// | 8 | how many bytes the row covers, little-endian |
    /// | 32 each | the leaves from left to right |
    /// | 32 | SHA-256 of everything above |
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_to(&self, mut writer: impl Write) -> io::Result<()> {
        let mut sum = PayloadHasher::new();
        for bytes in [&MAGIC[..], &[VERSION], &self.size.to_le_bytes(), self.row.as_flattened()] {
            sum.update(bytes);
            writer.write_all(bytes)?;
        }
        writer.write_all(sum.finish().sha256.as_bytes())
    }

    /// Reads the file form that [`write_to`](Self::write_to) writes, and expects the reader to end behind it.
    ///
    /// Takes memory as the leaves arrive, not as the head promises.
    ///
    /// # Errors
    ///
    /// [`ReadLeavesError::Io`] if the reader fails; the other kinds if what it gives is not the file form, of another
    /// version, or damaged.
    pub fn read_from(mut reader: impl Read) -> Result<Self, ReadLeavesError> {
        let mut head = Vec::new();
        reader.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let body = head.strip_prefix(MAGIC).ok_or(ReadLeavesError::Foreign)?;
        let (&version, size) = body.split_first().ok_or(ReadLeavesError::Damaged)?;
        if version != VERSION {
            return Err(ReadLeavesError::Version { found: version });
        }
        let size = u64::from_le_bytes(*size.as_array().ok_or(ReadLeavesError::Damaged)?);

        let mut body = Vec::new();
        let expected = (size.div_ceil(LEAF_SIZE) + 1) * 32;
        // One byte more, to see whether something follows.
        reader.take(expected + 1).read_to_end(&mut body)?;
        let (row, []) = body.as_chunks() else { return Err(ReadLeavesError::Damaged) };
        let (checksum, row): (&Node, _) = row.split_last().ok_or(ReadLeavesError::Damaged)?;
        let mut sum = PayloadHasher::new();
        sum.update(&head);
        sum.update(row.as_flattened());
        if body.len() as u64 != expected || sum.finish().sha256.as_bytes() != checksum {
            return Err(ReadLeavesError::Damaged);
        }
        Ok(Self { size, row: row.to_vec() })
    }

    /// Adds a row behind whole leaves.
    pub(crate) fn extend(&mut self, next: &Self) {
        debug_assert!(self.size.is_multiple_of(LEAF_SIZE));
        self.row.extend_from_slice(&next.row);
        self.size += next.size;
    }

    /// Adds a leaf that a hasher finished, behind whole leaves.
    pub(crate) fn push_full(&mut self, leaf: Node) {
        debug_assert!(self.size.is_multiple_of(LEAF_SIZE));
        self.row.push(leaf);
        self.size += LEAF_SIZE;
    }

    /// Adds the short leaf with which a stream ends, if it ends with one.
    pub(crate) fn push_end<const D: usize>(&mut self, stream: &Stream<D>) {
        if stream.size > self.size {
            self.row.push(stream.open_leaf());
            self.size = stream.size;
        }
    }

    /// Goes through the leaves with the number of bytes each covers.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (u64, TreeHash)> {
        let starts = (0..self.size).step_by(LEAF_LEN);
        starts.map(|start| LEAF_SIZE.min(self.size - start)).zip(self.iter())
    }

    /// Refuses to go on behind a short leaf.
    fn check_end(&self) -> Result<(), AppendError> {
        if self.size.is_multiple_of(LEAF_SIZE) { Ok(()) } else { Err(AppendError::AfterShortLeaf { size: self.size }) }
    }
}

/// Shows size and number; a row can have millions of leaves.
impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves").field("size", &self.size).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The root of the tree over a row; over an empty one, the SHA-256 of nothing.
fn root(row: &[Node]) -> Node {
    let kernel = Kernel::detect();
    let mut peaks = Peaks::new();
    for leaf in row {
        peaks.push(kernel, 1, *leaf);
    }
    peaks.root(kernel).unwrap_or_else(|| sha256::of(kernel, &[]))
}

/// Which leaves a range covers that begins and ends where leaves do.
fn leaf_indices(range: &Range<u64>) -> Range<usize> {
    // The row is in memory, so an index that does not fit is out of it either way.
    let index = |bytes: u64| usize::try_from(bytes.div_ceil(LEAF_SIZE)).unwrap_or(usize::MAX);
    index(range.start)..index(range.end)
}

/// Says why a row cannot go on like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// The row ends with a leaf that is not full, so nothing can follow.
    #[non_exhaustive]
    AfterShortLeaf {
        /// How many bytes the row covers.
        size: u64,
    },
    /// A leaf covers at least one byte and at most [`LEAF_SIZE`].
    #[non_exhaustive]
    LeafSize {
        /// The size that was given.
        found: u64,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AfterShortLeaf { size } => write!(f, "the leaves end with a short one, at {size} bytes"),
            Self::LeafSize { found } => write!(f, "a leaf covers 1 to {LEAF_SIZE} bytes, found {found}"),
        }
    }
}

impl error::Error for AppendError {}

/// Says why a row of leaves could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadLeavesError {
    /// Reading failed; the source says how.
    Io(io::Error),
    /// What was read is something else.
    Foreign,
    /// The row was written by a version of this crate with another form.
    #[non_exhaustive]
    Version {
        /// The version of the form.
        found: u8,
    },
    /// The row is incomplete or changed, or something follows it.
    Damaged,
}

impl fmt::Display for ReadLeavesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => write!(f, "the leaves could not be read"),
            Self::Foreign => write!(f, "not a file of leaves"),
            Self::Version { found } => write!(f, "leaves of version {found}, expected {VERSION}"),
            Self::Damaged => write!(f, "the leaves are damaged"),
        }
    }
}

impl error::Error for ReadLeavesError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadLeavesError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
