//! Hashers whose state can be saved between two bytes, and taken up later or elsewhere.
//!
//! The byte form is the same for every kernel and every machine. Numbers are little-endian, except that the words of
//! SHA-256 states are written as SHA-256 writes them. Version 1 is:
//!
//! | Bytes | What |
//! |---|---|
//! | 8 | `cas-hash` |
//! | 1 | the version, 1 |
//! | 1 | `P` for a [`PayloadHasher`], `T` for a [`TreeHasher`] |
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

use crate::TreeHash;
use crate::hasher::TreeHasher;
use crate::kernel::Kernel;
use crate::payload::{Payload, PayloadHasher};
use crate::sha256::{self, Node};
use crate::stream::{States, Stream, held};
use crate::tree::{LEAF_SIZE, Peaks};

const MAGIC: &[u8; 8] = b"cas-hash";
const VERSION: u8 = 1;

/// A stream of 2^61 bytes has 2^64 bits, more than SHA-256 can count.
const SIZE_END: u64 = 1 << 61;

/// A [`PayloadHasher`] or a [`TreeHasher`] whose state can be saved, so that a long stream can be checkpointed.
///
/// It costs nothing where the CPU has SHA instructions. Elsewhere it is slower than the hasher alone, which leaves the
/// work to ring there, and ring does not give its state away.
///
/// ```
/// use cas_treehash::{Payload, PayloadHasher, Resumable};
///
/// let mut hasher = Resumable::<PayloadHasher>::new();
/// hasher.update(b"some ");
/// let saved = hasher.save();
/// drop(hasher);
///
/// let mut hasher = Resumable::<PayloadHasher>::restore(&saved)?;
/// assert_eq!(hasher.size(), 5);
/// hasher.update(b"bytes");
/// assert_eq!(hasher.finish(), Payload::of(b"some bytes"));
/// # Ok::<(), cas_treehash::RestoreError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resumable<H> {
    /// Its stream is always kept as states.
    hasher: H,
}

/// Writes the methods for one hasher: `$D` states, `$kind` in the byte form.
macro_rules! resumable {
    ($Hasher:ident, $Digest:ident, $D:literal, $kind:literal) => {
        impl Resumable<$Hasher> {
            /// Begins a stream, on the kernel that suits this CPU.
            pub fn new() -> Self {
                Self::with_kernel(Kernel::detect())
            }

            /// Begins a stream on a kernel of the caller's choice.
            pub fn with_kernel(kernel: Kernel) -> Self {
                Self { hasher: $Hasher(Stream::from_states(kernel, 0, States::new(), Peaks::new())) }
            }

            /// Takes the next bytes of the stream.
            pub fn update(&mut self, bytes: &[u8]) {
                self.hasher.update(bytes);
            }

            /// Returns how many bytes came so far.
            pub const fn size(&self) -> u64 {
                self.hasher.size()
            }

            /// Returns what the hasher returns for everything so far; more bytes may follow.
            pub fn finish(&self) -> $Digest {
                self.hasher.finish()
            }

            /// Writes down where the stream is, in less than 2 KiB.
            pub fn save(&self) -> Vec<u8> {
                save::<$D>($kind, &self.hasher.0)
            }

            /// Takes a stream up where [`save`](Self::save) left it, on the kernel that suits this CPU.
            ///
            /// # Errors
            ///
            /// [`RestoreError`] if the bytes are not the saved state of this type of hasher, or are damaged.
            pub fn restore(saved: &[u8]) -> Result<Self, RestoreError> {
                Self::restore_with_kernel(saved, Kernel::detect())
            }

            /// Takes a stream up where [`save`](Self::save) left it, on a kernel of the caller's choice.
            ///
            /// # Errors
            ///
            /// The same as those of [`restore`](Self::restore).
            pub fn restore_with_kernel(saved: &[u8], kernel: Kernel) -> Result<Self, RestoreError> {
                Ok(Self { hasher: $Hasher(restore::<$D>($kind, saved, kernel)?) })
            }
        }

        impl Default for Resumable<$Hasher> {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

resumable!(PayloadHasher, Payload, 2, b'P');
resumable!(TreeHasher, TreeHash, 1, b'T');

/// Writes a stream down.
fn save<const D: usize>(kind: u8, stream: &Stream<D>) -> Vec<u8> {
    let States { states, buffer } = stream.states().expect("a resumable stream is kept as states from its beginning");
    let mut saved = Vec::with_capacity(2048);
    saved.extend_from_slice(MAGIC);
    saved.extend_from_slice(&[VERSION, kind]);
    saved.extend_from_slice(&stream.size.to_le_bytes());
    saved.extend_from_slice(states.map(|state| sha256::to_node(&state)).as_flattened());
    saved.extend_from_slice(&buffer[..held(stream.size)]);
    saved.extend_from_slice(stream.peaks.nodes().as_flattened());
    let checksum = sha256::of(stream.kernel, &saved);
    saved.extend_from_slice(&checksum);
    saved
}

/// Reads a stream back, to go on with it on a kernel.
fn restore<const D: usize>(kind: u8, saved: &[u8], kernel: Kernel) -> Result<Stream<D>, RestoreError> {
    let body = saved.strip_prefix(MAGIC).ok_or(RestoreError::Foreign)?;
    let ([version, found], body) = body.split_first_chunk().ok_or(RestoreError::Damaged)?;
    if *version != VERSION {
        return Err(RestoreError::Version { found: *version });
    }
    if *found != kind {
        return Err(RestoreError::OtherHasher);
    }
    let (summed, checksum) = saved.split_last_chunk().ok_or(RestoreError::Damaged)?;
    if sha256::of(kernel, summed) != *checksum {
        return Err(RestoreError::Damaged);
    }
    read_body(body, kernel).ok_or(RestoreError::Damaged)
}

/// Reads what follows the head, checksum included, unless its length does not fit the size it tells.
fn read_body<const D: usize>(body: &[u8], kernel: Kernel) -> Option<Stream<D>> {
    let (size, mut body) = body.split_first_chunk()?;
    let size = u64::from_le_bytes(*size);
    if size >= SIZE_END {
        return None;
    }
    let mut states = States::new();
    for state in &mut states.states {
        let (node, rest) = body.split_first_chunk()?;
        *state = sha256::from_node(node);
        body = rest;
    }
    let (tail, body) = body.split_at_checked(held(size))?;
    states.buffer[..tail.len()].copy_from_slice(tail);
    let (nodes, []) = body.as_chunks() else { return None };
    let (_checksum, nodes): (_, &[Node]) = nodes.split_last()?;
    Some(Stream::from_states(kernel, size, states, Peaks::from_nodes(size / LEAF_SIZE, nodes)?))
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
