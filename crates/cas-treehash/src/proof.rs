//! Proofs that bytes are a certain range of an archive of which only size and tree hash are known.

use std::error;
use std::fmt;
use std::ops::Range;

use crate::TreeHash;
use crate::leaves::Leaves;
use crate::tree::{LEAF_SIZE, combine};

/// What is missing beside the leaves of a range to compute the tree hash of the whole archive.
///
/// That is the tree hashes of a few sub-trees to its left and to its right, about two for each level of the tree. One
/// comes from [`Leaves::prove`].
///
/// The tree hash of an archive does not tell its size: 64 bytes that are the two children of a root have that root as
/// their own tree hash. So compare [`size`](Self::size) with the size you know from elsewhere before you believe a
/// proof that somebody gave you.
///
/// ```
/// use cas_treehash::{Leaves, TreeHash};
///
/// let archive = vec![7; 7_000_000];
/// let range = 3 << 20..5 << 20;
/// let proof = Leaves::of(&archive).prove(range.clone()).expect("the range has whole leaves");
///
/// // Elsewhere, with nothing but the tree hash of the archive, and its size:
/// let root = TreeHash::of(&archive);
/// let bytes = &archive[3 << 20..5 << 20];
/// assert_eq!(proof.size(), 7_000_000);
/// assert_eq!(proof.verify(&Leaves::of(bytes), root), Ok(()));
/// assert!(proof.verify(&Leaves::of(&[8; 2 << 20]), root).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    pub(crate) size: u64,
    pub(crate) range: Range<u64>,
    pub(crate) siblings: Vec<TreeHash>,
}

impl RangeProof {
    /// Takes a proof that came from elsewhere: the size of the archive and the range in bytes, its end excluded, and
    /// the tree hashes of the sub-trees beside it from left to right.
    ///
    /// # Errors
    ///
    /// [`ProofError`] if the range does not begin and end where leaves do, or if the number of siblings is wrong.
    pub fn new(size: u64, range: Range<u64>, siblings: Vec<TreeHash>) -> Result<Self, ProofError> {
        if !is_leaf_aligned(&range, size) {
            return Err(ProofError::NotLeafAligned { range, size });
        }
        let expected = self::siblings(&range, size).count();
        if siblings.len() != expected {
            return Err(ProofError::Siblings { expected, found: siblings.len() });
        }
        Ok(Self { size, range, siblings })
    }

    /// Returns the size of the archive in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the range that the proof is for, in bytes, its end excluded.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Returns the tree hashes of the sub-trees beside the range, from left to right.
    pub fn siblings(&self) -> &[TreeHash] {
        &self.siblings
    }

    /// Verifies that the range has these leaves in an archive with this tree hash.
    ///
    /// # Errors
    ///
    /// [`ProofError::Length`] if the leaves cover another number of bytes than the range; [`ProofError::Root`] if they
    /// lead to another tree hash.
    pub fn verify(&self, leaves: &Leaves, root: TreeHash) -> Result<(), ProofError> {
        let expected = self.range.end - self.range.start;
        if leaves.size() != expected {
            return Err(ProofError::Length { expected, found: leaves.size() });
        }
        let found = self.root(leaves);
        if found == root { Ok(()) } else { Err(ProofError::Root { expected: root, found }) }
    }

    /// The tree hash of the archive: the sub-trees to the left, the leaves, and the sub-trees to the right, combined.
    fn root(&self, leaves: &Leaves) -> TreeHash {
        let start = self.range.start;
        let beside = siblings(&self.range, self.size).zip(&self.siblings);
        let left = beside.clone().take_while(|(node, _)| node.start < start);
        let right = beside.skip_while(|(node, _)| node.start < start);
        let part = |(node, hash): (Range<u64>, &TreeHash)| (node.end - node.start, *hash);
        combine(left.map(part).chain(leaves.parts()).chain(right.map(part)))
            .expect("siblings are sub-trees by construction, and so are leaves that fill the range between them")
    }
}

/// Whether a range has bytes, lies in the archive, and begins and ends where leaves do.
pub(crate) const fn is_leaf_aligned(range: &Range<u64>, size: u64) -> bool {
    range.start < range.end
        && range.end <= size
        && range.start.is_multiple_of(LEAF_SIZE)
        && (range.end.is_multiple_of(LEAF_SIZE) || range.end == size)
}

/// The largest sub-trees of an archive beside a range, from left to right, as ranges of bytes.
///
/// To the left they are the ones in the binary form of the number of leaves there, largest first, as in the stack of a
/// hasher. To the right each is as large as its own position allows, until the archive ends.
pub(crate) fn siblings(range: &Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> + Clone {
    let (start, end) = (range.start, range.end);
    let left = (LEAF_SIZE.trailing_zeros()..u64::BITS).rev().filter(move |bit| start >> bit & 1 == 1).map(move |bit| {
        let node = 1 << bit;
        let before = start & !(node | (node - 1));
        before..before + node
    });
    let mut next = end;
    let right = std::iter::from_fn(move || {
        let node = next..next.saturating_add(1 << next.trailing_zeros()).min(size);
        next = node.end;
        (node.start < size).then_some(node)
    });
    left.chain(right)
}

/// Says why a proof does not hold, or is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// The range has no bytes, leaves the archive, or begins or ends inside a leaf.
    #[non_exhaustive]
    NotLeafAligned {
        /// The range in bytes, its end excluded.
        range: Range<u64>,
        /// The size of the archive in bytes.
        size: u64,
    },
    /// The proof has too few siblings, or too many.
    #[non_exhaustive]
    Siblings {
        /// How many the range has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The leaves do not cover the range.
    #[non_exhaustive]
    Length {
        /// How many bytes the range has.
        expected: u64,
        /// How many bytes the leaves cover.
        found: u64,
    },
    /// Leaves and siblings lead to another tree hash: the bytes, or the proof, are not of that archive.
    #[non_exhaustive]
    Root {
        /// The tree hash of the archive.
        expected: TreeHash,
        /// The one they lead to.
        found: TreeHash,
    },
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeafAligned { range, size } => write!(
                f,
                "bytes {} to {} of {size} are not a run of leaves, expected multiples of 1 MiB or the end",
                range.start, range.end
            ),
            Self::Siblings { expected, found } => write!(f, "the proof needs {expected} siblings, found {found}"),
            Self::Length { expected, found } => write!(f, "the range has {expected} bytes, found leaves of {found}"),
            Self::Root { expected, found } => write!(f, "the leaves lead to tree hash {found}, expected {expected}"),
        }
    }
}

impl error::Error for ProofError {}
