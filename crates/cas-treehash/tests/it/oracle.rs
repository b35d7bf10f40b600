//! The right answers, as slow and short as they can be, and bytes to ask for them.

pub(crate) const MIB: usize = 1 << 20;

/// SHA-256, by ring.
#[cfg(not(miri))]
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Miri cannot run ring; it is not there to judge the numbers, but how they come about.
#[cfg(miri)]
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    *cas_treehash::ContentSha256::of(bytes).as_bytes()
}

/// The tree hash by its definition from the top: the left sub-tree has the largest power of two of leaves that leaves
/// something for the right one.
pub(crate) fn tree_hash(bytes: &[u8]) -> [u8; 32] {
    let row: Vec<_> = bytes.chunks(MIB).map(sha256).collect();
    if row.is_empty() { sha256(b"") } else { root(&row) }
}

/// The root over a row of at least one leaf.
pub(crate) fn root(row: &[[u8; 32]]) -> [u8; 32] {
    match row {
        [leaf] => *leaf,
        row => {
            let (left, right) = row.split_at(row.len().next_power_of_two() / 2);
            sha256(&[root(left), root(right)].concat())
        }
    }
}

/// Chance that is the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator xorshift64*.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(2_685_821_657_736_338_717)
    }

    /// A number from 0 to `most`, that included.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % (most as u64 + 1)).expect("not more than `most`")
    }

    /// Bytes without a pattern, so that swapped blocks and swapped leaves show.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
