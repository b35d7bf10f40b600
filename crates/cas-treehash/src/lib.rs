#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod digest;
pub use digest::{ContentSha256, ParseDigestError, TreeHash};

mod hasher;
pub use hasher::TreeHasher;

mod payload;
pub use payload::{LeavesHasher, PairHasher, Payload, PayloadHasher};

mod tree;
pub use tree::{CombineError, LEAF_SIZE, combine, is_tree_aligned};

mod leaves;
pub use leaves::{AppendError, Leaves, ReadLeavesError};

mod proof;
pub use proof::{ProofError, RangeProof};

mod verify;
pub use verify::{RangeVerifier, VerifyError};

pub mod read;
pub use read::ReadAt;

pub mod parallel;

pub mod state;
pub use state::{RestoreError, Resumable};

#[allow(unsafe_code, reason = "the kernels are intrinsics; each block says what makes it sound")]
mod kernel;
pub use kernel::Kernel;

mod sha256;
mod stream;
