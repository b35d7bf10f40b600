//! The shape of the tree: which nodes have which parents, which ranges are one sub-tree, and how parts combine.
//!
//! Everything here works on hashes that exist already; the bytes below them are the hashers' business.

use std::error;
use std::fmt;
use std::ops::Range;

use crate::TreeHash;
use crate::kernel::Kernel;
use crate::sha256::{self, Node};

/// How many bytes one leaf of the tree covers: 1 MiB. Only the last leaf may cover fewer.
pub const LEAF_SIZE: u64 = 1 << 20;

/// [`LEAF_SIZE`] as the length of a slice.
pub(crate) const LEAF_LEN: usize = 1 << 20;

/// Tells whether a range of an archive is exactly one sub-tree of the archive's tree.
///
/// For such ranges, and for no others, the service tells a tree hash with a job or its output. The range counts bytes
/// of the archive, its end excluded; `size` is the size of the whole archive in bytes. The whole archive is aligned,
/// and so is a last leaf that moved up unpaired. A range without bytes, or one that leaves the archive, is not.
///
/// ```
/// use cas_treehash::is_tree_aligned;
///
/// const MIB: u64 = 1 << 20;
/// let size = 6 * MIB + 500;
/// assert!(is_tree_aligned(0..size, size));
/// assert!(is_tree_aligned(4 * MIB..6 * MIB, size));
/// assert!(is_tree_aligned(4 * MIB..size, size));
/// assert!(!is_tree_aligned(2 * MIB..6 * MIB, size));
/// ```
pub const fn is_tree_aligned(range: Range<u64>, size: u64) -> bool {
    let Range { start, end } = range;
    if start >= end || end > size || !start.is_multiple_of(LEAF_SIZE) {
        return false;
    }
    let length = end - start;
    if end == size {
        // The last node of some level; whatever is missing below it is missing from the archive.
        start == 0 || length <= lowest_bit(start)
    } else {
        is_full_subtree(start, length)
    }
}

/// Whether bytes from `start` on are one sub-tree without a missing leaf, wherever the archive ends behind them.
const fn is_full_subtree(start: u64, length: u64) -> bool {
    length >= LEAF_SIZE && length.is_power_of_two() && start.is_multiple_of(length)
}

/// The largest power of two that divides a number other than zero.
const fn lowest_bit(number: u64) -> u64 {
    1 << number.trailing_zeros()
}

/// Computes the tree hash of a whole from the tree hashes of its parts, without reading the bytes again.
///
/// Takes the size in bytes and the tree hash of every part, in order. Parts combine when each is one sub-tree of the
/// whole ([`is_tree_aligned`]). Parts of one size that is a power of two times 1 MiB always are, with whatever is left
/// as the last; parts of 3 MiB, say, never are, because the tree of the whole pairs leaves across their borders.
///
/// # Errors
///
/// [`CombineError`] names the first part that is not a sub-tree. A wrong hash is never returned for it; whether the
/// hashes and sizes themselves are right cannot be seen here.
///
/// ```
/// use cas_treehash::{TreeHash, combine};
///
/// let archive = vec![7; 5_000_000];
/// let parts = archive.chunks(2 << 20).map(|part| (part.len() as u64, TreeHash::of(part)));
/// assert_eq!(combine(parts), Ok(TreeHash::of(&archive)));
///
/// let odd = archive.chunks(3 << 20).map(|part| (part.len() as u64, TreeHash::of(part)));
/// assert!(combine(odd).is_err());
/// ```
pub fn combine(parts: impl IntoIterator<Item = (u64, TreeHash)>) -> Result<TreeHash, CombineError> {
    let kernel = Kernel::detect();
    let mut peaks = Peaks::new();
    let mut parts = parts.into_iter().enumerate().peekable();
    let mut offset = 0;
    while let Some((index, (size, hash))) = parts.next() {
        if size == 0 {
            return Err(CombineError::EmptyPart { index });
        }
        let end = u64::checked_add(offset, size).ok_or(CombineError::TooLarge { index })?;
        let is_last = parts.peek().is_none();
        let is_subtree = if is_last { is_tree_aligned(offset..end, end) } else { is_full_subtree(offset, size) };
        if !is_subtree {
            return Err(CombineError::NotASubtree { index, offset, size });
        }
        if is_last {
            return Ok(TreeHash::from_bytes(peaks.root_with(kernel, *hash.as_bytes())));
        }
        peaks.push(kernel, size / LEAF_SIZE, *hash.as_bytes());
        offset = end;
    }
    Err(CombineError::NoParts)
}

/// Says why parts do not combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CombineError {
    /// There is no part at all.
    NoParts,
    /// A part has no bytes.
    #[non_exhaustive]
    EmptyPart {
        /// Which part, counted from 0.
        index: usize,
    },
    /// A part is not one sub-tree of the whole.
    #[non_exhaustive]
    NotASubtree {
        /// Which part, counted from 0.
        index: usize,
        /// Where it begins in the whole, in bytes.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
    /// The parts together have more bytes than a `u64` counts.
    #[non_exhaustive]
    TooLarge {
        /// The part at which the sum overflows, counted from 0.
        index: usize,
    },
}

impl fmt::Display for CombineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParts => write!(f, "there are no parts to combine"),
            Self::EmptyPart { index } => write!(f, "part {index} has no bytes"),
            Self::NotASubtree { index, offset, size } => write!(
                f,
                "part {index} is not one sub-tree of the whole: {size} bytes at {offset}, \
                 expected a power of two times 1 MiB, at a multiple of it"
            ),
            Self::TooLarge { index } => write!(f, "the sizes up to part {index} overflow"),
        }
    }
}

impl error::Error for CombineError {}

/// The roots of the finished sub-trees to the left of the next leaf, largest first.
///
/// The number of finished leaves, in binary, *is* the shape of this stack. Thirteen leaves are 1101: a sub-tree of
/// eight, one of four, one of one. A new leaf is added to that number as one is added to a binary number: every
/// trailing 1 is a sub-tree of the same size as what is being carried, so the two become children of one parent, and
/// the carry goes on; the first 0 takes it. Fourteen leaves are 1110, and indeed leaf 13 made a pair with leaf 12.
///
/// So no sizes need to be kept beside the hashes, the depth is the number of one bits, and 44 slots are enough for the
/// 2^44 leaves of 2^64 bytes.
#[derive(Clone)]
pub(crate) struct Peaks {
    leaves: u64,
    nodes: [Node; MAX_PEAKS],
}

/// The number of one bits that a number of leaves can have.
const MAX_PEAKS: usize = (u64::BITS - LEAF_SIZE.trailing_zeros()) as usize;

impl Peaks {
    pub(crate) const fn new() -> Self {
        Self { leaves: 0, nodes: [[0; 32]; MAX_PEAKS] }
    }

    /// Takes the stack back from its nodes, unless there are not as many as `leaves` has one bits.
    pub(crate) fn from_nodes(leaves: u64, nodes: &[Node]) -> Option<Self> {
        if nodes.len() != depth(leaves) {
            return None;
        }
        let mut peaks = Self::new();
        peaks.leaves = leaves;
        peaks.nodes[..nodes.len()].copy_from_slice(nodes);
        Some(peaks)
    }

    /// The roots on the stack, largest sub-tree first.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes[..depth(self.leaves)]
    }

    /// Adds a finished sub-tree of `leaves` leaves, a power of two that divides the number of leaves so far.
    pub(crate) fn push(&mut self, kernel: Kernel, leaves: u64, mut node: Node) {
        debug_assert!(leaves.is_power_of_two() && self.leaves.is_multiple_of(leaves));
        let mut top = depth(self.leaves);
        let mut carry = leaves;
        while self.leaves & carry != 0 {
            top -= 1;
            node = sha256::parent(kernel, &self.nodes[top], &node);
            carry <<= 1;
        }
        self.nodes[top] = node;
        self.leaves += leaves;
    }

    /// The root over all sub-trees and a last node to their right, which may cover any number of leaves that leaves
    /// it in one sub-tree.
    ///
    /// Joining from the right is what moves an odd node up: it waits until there is a neighbour to its left.
    pub(crate) fn root_with(&self, kernel: Kernel, last: Node) -> Node {
        self.nodes().iter().rfold(last, |right, left| sha256::parent(kernel, left, &right))
    }

    /// The root over all sub-trees, or nothing when there is none.
    pub(crate) fn root(&self, kernel: Kernel) -> Option<Node> {
        let (last, before) = self.nodes().split_last()?;
        Some(before.iter().rfold(*last, |right, left| sha256::parent(kernel, left, &right)))
    }
}

/// How many roots stand for a number of leaves.
const fn depth(leaves: u64) -> usize {
    leaves.count_ones() as usize
}
