//! Whether bytes that arrive in order are the ones whose tree hash was promised.

use std::error;
use std::fmt;
use std::io;

use crate::TreeHash;
use crate::hasher::TreeHasher;

/// Verifies bytes that arrive in order against the tree hash that was promised for them.
///
/// That is what a download does with a tree-aligned range of an archive, or with the whole of it
/// ([`is_tree_aligned`](crate::is_tree_aligned) tells for which ranges the service promises a tree hash). The verdict
/// comes with [`finish`](Self::finish): until then bytes may have been written somewhere, but nobody should believe
/// them.
///
/// ```
/// use cas_treehash::{RangeVerifier, TreeHash};
///
/// let bytes = vec![7; 3 << 20];
/// let promised = TreeHash::of(&bytes);
///
/// let mut verifier = RangeVerifier::new(bytes.len() as u64, promised);
/// for piece in bytes.chunks(70_000) {
///     verifier.update(piece)?;
/// }
/// verifier.finish()?;
/// # Ok::<(), cas_treehash::VerifyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RangeVerifier {
    size: u64,
    expected: TreeHash,
    hasher: TreeHasher,
}

impl RangeVerifier {
    /// Begins to verify `size` bytes.
    pub fn new(size: u64, expected: TreeHash) -> Self {
        Self { size, expected, hasher: TreeHasher::new() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`VerifyError::TooLong`] as soon as there are more bytes than were promised. Those of this call are then not
    /// counted.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        if bytes.len() as u64 > self.remaining() {
            return Err(VerifyError::TooLong { expected: self.size });
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Returns how many bytes are still to come.
    pub const fn remaining(&self) -> u64 {
        self.size - self.hasher.size()
    }

    /// Ends with the verdict.
    ///
    /// # Errors
    ///
    /// [`VerifyError::TooShort`] if bytes are missing, [`VerifyError::Mismatch`] if they are other ones.
    pub fn finish(self) -> Result<(), VerifyError> {
        if self.remaining() > 0 {
            return Err(VerifyError::TooShort { expected: self.size, found: self.hasher.size() });
        }
        let found = self.hasher.finish();
        if found != self.expected {
            return Err(VerifyError::Mismatch { expected: self.expected, found });
        }
        Ok(())
    }
}

/// Takes what is written as the next bytes; too many are an error of kind `InvalidData`.
impl io::Write for RangeVerifier {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says in what the bytes differ from what was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// More bytes came.
    #[non_exhaustive]
    TooLong {
        /// How many were promised.
        expected: u64,
    },
    /// Fewer bytes came.
    #[non_exhaustive]
    TooShort {
        /// How many were promised.
        expected: u64,
        /// How many came.
        found: u64,
    },
    /// As many bytes came, but other ones.
    #[non_exhaustive]
    Mismatch {
        /// The tree hash that was promised.
        expected: TreeHash,
        /// That of the bytes that came.
        found: TreeHash,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { expected } => write!(f, "expected {expected} bytes, found more"),
            Self::TooShort { expected, found } => write!(f, "expected {expected} bytes, found {found}"),
            Self::Mismatch { expected, found } => write!(f, "expected tree hash {expected}, found {found}"),
        }
    }
}

impl error::Error for VerifyError {}
