//! The byte form of a hasher that stopped between two bytes, to be taken up later or elsewhere.
//!
//! It is the same for every kernel and every machine. Numbers are little-endian, except that SHA-256 states are written
//! as SHA-256 writes them. Version 1 is:
//!
//! | Bytes | What |
//! |---|---|
//! | 8 | `cas-hash` |
//! | 1 | the version, 1 |
//! | 1 | `P` for a [`PayloadHasher`](crate::PayloadHasher), `T` for a [`TreeHasher`](crate::TreeHasher) |
//! | 8 | how many bytes the stream had so far |
//! | 32 | `P` only: SHA-256 state after the last whole block of the stream |
//! | 32 | SHA-256 state after the last whole block of the current leaf |
//! | size mod 64 | the bytes after the last whole block |
//! | 32 each | the roots of the finished sub-trees, largest first: one per 1 in the number of whole leaves in binary |
//! | 32 | SHA-256 of everything above |
//!
//! The checksum finds damage, not malice: whoever can write a state can choose the hash that comes out of it.

use std::error;
use std::fmt;

use crate::kernel::Kernel;
use crate::sha256::{self, Node};
use crate::stream::Stream;
use crate::tree::{LEAF_SIZE, Peaks};

const MAGIC: &[u8; 8] = b"cas-hash";
const VERSION: u8 = 1;

/// A stream of 2^61 bytes has 2^64 bits, more than SHA-256 can count.
const SIZE_END: u64 = 1 << 61;

/// Writes a stream down.
pub(crate) fn save<const D: usize>(stream: &Stream<D>) -> Vec<u8> {
    let mut saved = Vec::with_capacity(2048);
    saved.extend_from_slice(MAGIC);
    saved.extend_from_slice(&[VERSION, kind::<D>()]);
    saved.extend_from_slice(&stream.size.to_le_bytes());
    for state in &stream.states {
        saved.extend_from_slice(&sha256::to_node(state));
    }
    saved.extend_from_slice(stream.tail());
    saved.extend_from_slice(stream.peaks.nodes().as_flattened());
    let checksum = sha256::of(stream.kernel, &saved);
    saved.extend_from_slice(&checksum);
    saved
}

/// Reads a stream back, to go on with it on a kernel.
pub(crate) fn restore<const D: usize>(saved: &[u8], kernel: Kernel) -> Result<Stream<D>, RestoreError> {
    let body = saved.strip_prefix(MAGIC).ok_or(RestoreError::Foreign)?;
    let ([version, found], body) = body.split_first_chunk().ok_or(RestoreError::Damaged)?;
    if *version != VERSION {
        return Err(RestoreError::Version { found: *version });
    }
    if *found != kind::<D>() {
        return Err(RestoreError::OtherHasher);
    }
    let (summed, checksum) = saved.split_last_chunk().ok_or(RestoreError::Damaged)?;
    if sha256::of(kernel, summed) != *checksum {
        return Err(RestoreError::Damaged);
    }
    read_body(body, kernel).ok_or(RestoreError::Damaged)
}

/// Reads what follows the head, up to the checksum, unless its length does not fit the size it tells.
fn read_body<const D: usize>(body: &[u8], kernel: Kernel) -> Option<Stream<D>> {
    let mut stream = Stream::new(kernel);
    let (size, mut body) = body.split_first_chunk()?;
    stream.size = u64::from_le_bytes(*size);
    if stream.size >= SIZE_END {
        return None;
    }
    for state in &mut stream.states {
        let (node, rest) = body.split_first_chunk()?;
        *state = sha256::from_node(node);
        body = rest;
    }
    let (tail, body) = body.split_at_checked(stream.held())?;
    stream.buffer[..tail.len()].copy_from_slice(tail);
    let (nodes, []) = body.as_chunks() else { return None };
    let (_checksum, nodes): (_, &[Node]) = nodes.split_last()?;
    stream.peaks = Peaks::from_nodes(stream.size / LEAF_SIZE, nodes)?;
    Some(stream)
}

/// The letter for a stream with `D` states.
const fn kind<const D: usize>() -> u8 {
    if D == 2 { b'P' } else { b'T' }
}

/// Says why bytes are not the saved state of a hasher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes are something else.
    Foreign,
    /// The state was saved by a version of this crate with another form.
    #[non_exhaustive]
    Version {
        /// The version of the form.
        found: u8,
    },
    /// The state is that of another type of hasher.
    OtherHasher,
    /// The state is incomplete or changed.
    Damaged,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "not the saved state of a hasher"),
            Self::Version { found } => write!(f, "saved state of version {found}, expected {VERSION}"),
            Self::OtherHasher => write!(f, "the saved state of another type of hasher"),
            Self::Damaged => write!(f, "the saved state is damaged"),
        }
    }
}

impl error::Error for RestoreError {}
