//! Both hashes of the same bytes in one pass: of one stream, of two streams at once, and with the row of leaves kept.

use std::fmt;
use std::io;

use crate::kernel::Kernel;
use crate::leaves::Leaves;
use crate::stream::Stream;
use crate::{ContentSha256, TreeHash};

/// What the service wants to know of a body: its size and its two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Payload {
    /// How many bytes there are.
    pub size: u64,
    /// SHA-256 of the bytes, for `x-cas-content-sha256`.
    pub sha256: ContentSha256,
    /// Tree hash of the bytes, for `x-cas-sha256-tree-hash`.
    pub tree_hash: TreeHash,
}

impl Payload {
    /// Hashes bytes that are all in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = PayloadHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Computes the SHA-256 and the tree hash of bytes that come in any pieces, in one pass.
///
/// With SHA instructions that takes as long as the SHA-256 alone. Holds less than 2 KiB whatever the size of the
/// stream, and allocates nothing. [`Resumable`](crate::Resumable) makes its state something to save.
///
/// ```
/// use cas_treehash::{ContentSha256, PayloadHasher, TreeHash};
///
/// let mut hasher = PayloadHasher::new();
/// hasher.update(b"some ");
/// hasher.update(b"bytes");
/// let payload = hasher.finish();
/// assert_eq!(payload.size, 10);
/// assert_eq!(payload.sha256, ContentSha256::of(b"some bytes"));
/// assert_eq!(payload.tree_hash, TreeHash::of(b"some bytes"));
/// ```
#[derive(Clone)]
pub struct PayloadHasher(pub(crate) Stream<2>);

impl PayloadHasher {
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
        self.0.update(bytes, |_| ());
    }

    /// Returns how many bytes came so far.
    pub const fn size(&self) -> u64 {
        self.0.size
    }

    /// Returns size and hashes of everything so far.
    ///
    /// The hasher stays as it is, and more bytes may follow.
    pub fn finish(&self) -> Payload {
        Payload {
            size: self.0.size,
            sha256: ContentSha256::from_bytes(self.0.sha256()),
            tree_hash: TreeHash::from_bytes(self.0.root()),
        }
    }
}

impl Default for PayloadHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes what is written as the next bytes of the stream; never fails.
impl io::Write for PayloadHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows how far the stream is; hashes of what is not finished mean nothing to a reader.
impl fmt::Debug for PayloadHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadHasher").field("kernel", &self.0.kernel).field("size", &self.0.size).finish()
    }
}

/// Computes both hashes of two bodies at the same time on one thread.
///
/// Where the CPU has the instructions this takes little more than half the time of one body after the other, because
/// one waits while the other computes. Parts of an archive are the natural pairs. The bodies may have different
/// lengths; what one has more is hashed alone.
///
/// ```
/// use cas_treehash::{PairHasher, Payload};
///
/// let mut pair = PairHasher::new();
/// pair.update(b"one body, ", b"another ");
/// pair.update(b"and its end", b"body");
/// let [one, other] = pair.finish();
/// assert_eq!(one, Payload::of(b"one body, and its end"));
/// assert_eq!(other, Payload::of(b"another body"));
/// ```
#[derive(Debug, Clone)]
pub struct PairHasher([PayloadHasher; 2]);

impl PairHasher {
    /// Begins two streams, on the kernel that suits this CPU.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::detect())
    }

    /// Begins two streams on a kernel of the caller's choice.
    pub fn with_kernel(kernel: Kernel) -> Self {
        Self([PayloadHasher::with_kernel(kernel), PayloadHasher::with_kernel(kernel)])
    }

    /// Takes the next bytes of both streams. Pieces of the same length are the fastest, but any will do.
    pub fn update(&mut self, first: &[u8], second: &[u8]) {
        let [a, b] = &mut self.0;
        Stream::update_pair([&mut a.0, &mut b.0], [first, second], |_, _| ());
    }

    /// Returns size and hashes of both streams so far.
    pub fn finish(&self) -> [Payload; 2] {
        self.0.each_ref().map(PayloadHasher::finish)
    }
}

impl Default for PairHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Goes on with two streams that were begun apart.
impl From<[PayloadHasher; 2]> for PairHasher {
    fn from(hashers: [PayloadHasher; 2]) -> Self {
        Self(hashers)
    }
}

/// Parts the two streams again, to go on with each alone or to save it.
impl From<PairHasher> for [PayloadHasher; 2] {
    fn from(pair: PairHasher) -> Self {
        pair.0
    }
}

/// Computes both hashes of a stream and keeps the row of its leaves, in the same single pass.
///
/// Needs 32 bytes for each MiB of the stream.
///
/// ```
/// use cas_treehash::{LeavesHasher, TreeHash};
///
/// let body = vec![7; 3 << 20];
/// let mut hasher = LeavesHasher::new();
/// hasher.update(&body);
/// let (payload, leaves) = hasher.finish();
/// assert_eq!(payload.tree_hash, leaves.tree_hash());
/// assert_eq!(leaves.range_hash(0..2 << 20), Some(TreeHash::of(&body[..2 << 20])));
/// ```
#[derive(Debug, Clone)]
pub struct LeavesHasher {
    hasher: PayloadHasher,
    leaves: Leaves,
}

impl LeavesHasher {
    /// Begins a stream, on the kernel that suits this CPU.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::detect())
    }

    /// Begins a stream on a kernel of the caller's choice.
    pub fn with_kernel(kernel: Kernel) -> Self {
        Self { hasher: PayloadHasher::with_kernel(kernel), leaves: Leaves::new() }
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.0.update(bytes, |leaf| self.leaves.push_full(leaf));
    }

    /// Takes the next bytes of two streams, in the time that [`PairHasher`] needs. Any other two may be next.
    ///
    /// ```
    /// use cas_treehash::{LeavesHasher, Payload};
    ///
    /// let [mut one, mut other] = [(); 2].map(|()| LeavesHasher::new());
    /// LeavesHasher::update_pair([&mut one, &mut other], [b"one body", b"another"]);
    /// assert_eq!(one.finish().0, Payload::of(b"one body"));
    /// assert_eq!(other.finish().0, Payload::of(b"another"));
    /// ```
    pub fn update_pair([a, b]: [&mut Self; 2], bytes: [&[u8]; 2]) {
        let mut leaves = [&mut a.leaves, &mut b.leaves];
        let on_leaf = |number: usize, leaf| leaves[number].push_full(leaf);
        Stream::update_pair([&mut a.hasher.0, &mut b.hasher.0], bytes, on_leaf);
    }

    /// Returns how many bytes came so far.
    pub const fn size(&self) -> u64 {
        self.hasher.size()
    }

    /// Returns size, hashes and leaves of the whole stream.
    pub fn finish(mut self) -> (Payload, Leaves) {
        self.leaves.push_end(&self.hasher.0);
        (self.hasher.finish(), self.leaves)
    }
}

impl Default for LeavesHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes what is written as the next bytes of the stream; never fails.
impl io::Write for LeavesHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
