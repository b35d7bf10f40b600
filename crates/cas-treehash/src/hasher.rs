//! The tree hash of a stream, alone.

use std::fmt;
use std::io;

use crate::TreeHash;
use crate::kernel::Kernel;
use crate::stream::Stream;

/// Computes the tree hash of bytes that come in any pieces.
///
/// Holds less than 2 KiB whatever the size of the stream, and allocates nothing. Given 4 MiB or more at a time it
/// hashes several leaves at once, which is more than twice as fast as SHA-256 where the CPU has the instructions; small
/// pieces give the same answer more slowly. [`Resumable`](crate::Resumable) makes its state something to save.
///
/// Who needs the SHA-256 of the same bytes too takes a [`PayloadHasher`](crate::PayloadHasher).
///
/// ```
/// use cas_treehash::{TreeHash, TreeHasher};
///
/// let mut hasher = TreeHasher::new();
/// for piece in ["some ", "bytes"] {
///     hasher.update(piece.as_bytes());
/// }
/// assert_eq!(hasher.finish(), TreeHash::of(b"some bytes"));
/// ```
#[derive(Clone)]
pub struct TreeHasher(pub(crate) Stream<1>);

impl TreeHasher {
    /// Begins a stream, on the kernel that suits this CPU.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::detect())
    }

    /// Begins a stream on a kernel of the caller's choice.
    pub fn with_kernel(kernel: Kernel) -> Self {
        Self(Stream::new(kernel))
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update_lanes(bytes, |_| ());
    }

    /// Returns how many bytes came so far.
    pub const fn size(&self) -> u64 {
        self.0.size
    }

    /// Returns the tree hash of everything so far; of nothing, the SHA-256 of nothing.
    ///
    /// The hasher stays as it is, and more bytes may follow.
    pub fn finish(&self) -> TreeHash {
        TreeHash::from_bytes(self.0.root())
    }
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes what is written as the next bytes of the stream; never fails.
impl io::Write for TreeHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows how far the stream is; hashes of what is not finished mean nothing to a reader.
impl fmt::Debug for TreeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeHasher").field("kernel", &self.0.kernel).field("size", &self.0.size).finish()
    }
}
