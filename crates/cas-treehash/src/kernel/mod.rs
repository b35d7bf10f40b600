//! Which code turns blocks into SHA-256 states: one portable kernel, and one per instruction set that does it faster.
//!
//! A kernel knows blocks and states only. Padding, leaves, the tree and whatever a stream holds back are ordinary code
//! above it, the same for all kernels.

mod portable;

use crate::sha256::Node;
use crate::tree::LEAF_LEN;

/// One block of a SHA-256 message.
pub(crate) type Block = [u8; 64];

/// The chaining value of a SHA-256 computation: the words a to h.
pub(crate) type State = [u32; 8];

/// The state before the first block (FIPS 180-4, section 5.3.3).
pub(crate) const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The code that does the hashing. All of it gives the same answers; see [`Kernel::detect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Plain Rust for streams and ring for whole leaves: every CPU.
    Portable,
}

impl Kernel {
    /// Returns the fastest kernel for the CPU this runs on.
    pub fn detect() -> Self {
        Self::Portable
    }

    /// Lists every kernel that this CPU can run, the portable one first.
    pub fn all() -> Vec<Self> {
        vec![Self::Portable]
    }

    /// Returns the name that documents and benches use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
        }
    }

    /// Whether two bodies at once are faster than one after the other.
    pub(crate) const fn pairs_bodies(self) -> bool {
        match self {
            Self::Portable => false,
        }
    }

    /// Hashes whole leaves that lie one behind the other, as many at once as this kernel can.
    pub(crate) fn leaves(self, bytes: &[u8], on_leaf: impl FnMut(Node)) {
        match self {
            Self::Portable => bytes.chunks_exact(LEAF_LEN).map(portable::leaf).for_each(on_leaf),
        }
    }

    /// Feeds each stream of blocks into every state of its row. All streams have the same number of blocks.
    pub(crate) fn compress<const S: usize, const D: usize>(self, states: &mut [[State; D]; S], streams: [&[Block]; S]) {
        match self {
            Self::Portable => portable::compress(states, streams),
        }
    }
}
