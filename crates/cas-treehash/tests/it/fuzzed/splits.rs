//! Any pieces on any kernel. The fuzz target `treehash_splits` takes this file in by path.

use std::sync::LazyLock;

use cas_treehash::{Kernel, Leaves, LeavesHasher, PairHasher, PayloadHasher, Resumable, TreeHasher};

use crate::oracle::{self, Dice, MIB};

/// Hashes a stream in the pieces and on the kernels that the input asks for, in every way there is.
///
/// The first byte says where the stream begins. Every three after it are a piece, little-endian: 20 bits of length, two
/// that make it up to three times 32 times shorter, and two for what happens with it and behind it.
pub(crate) fn check(input: &[u8]) {
    static DATA: LazyLock<Vec<u8>> = LazyLock::new(|| Dice::new(1).bytes(4 * MIB + 256));

    let Some((&start, pieces)) = input.split_first() else { return };
    let data = &DATA[usize::from(start)..][..4 * MIB];
    let kernels = Kernel::all();
    let kernel = kernels[usize::from(start) % kernels.len()];

    let mut payload = PayloadHasher::with_kernel(kernel);
    let mut tree = TreeHasher::with_kernel(kernel);
    let mut leaves = LeavesHasher::with_kernel(kernel);
    let mut pair = PairHasher::with_kernel(kernel);
    let mut both = Resumable::<PayloadHasher>::with_kernel(kernel);
    let mut alone = Resumable::<TreeHasher>::with_kernel(kernel);
    let mut end = 0;
    for (i, piece) in pieces.as_chunks::<3>().0.iter().enumerate() {
        let bits = u32::from_le_bytes([piece[0], piece[1], piece[2], 0]);
        let start = end;
        let length = (bits & 0xf_ffff) >> (5 * (bits >> 20 & 3));
        end = data.len().min(start + length as usize);
        let piece = &data[start..end];
        payload.update(piece);
        tree.update(piece);
        leaves.update(piece);
        // The second body is the same stream, in step or in two pieces.
        let (first, second) = piece.split_at(if bits >> 23 == 0 { 0 } else { piece.len() / 3 });
        pair.update(piece, first);
        pair.update(&[], second);
        both.update(piece);
        alone.update(piece);
        if bits >> 22 & 1 == 1 {
            let kernel = kernels[i % kernels.len()];
            both = Resumable::<PayloadHasher>::restore_with_kernel(&both.save(), kernel).expect("what was saved");
            alone = Resumable::<TreeHasher>::restore_with_kernel(&alone.save(), kernel).expect("what was saved");
        }
    }

    let data = &data[..end];
    let expected = payload.finish();
    assert_eq!(expected.size, end as u64);
    assert_eq!(expected.sha256.as_bytes(), &oracle::sha256(data));
    assert_eq!(expected.tree_hash.as_bytes(), &oracle::tree_hash(data));
    assert_eq!(tree.finish(), expected.tree_hash);
    assert_eq!(leaves.finish(), (expected, Leaves::of(data)));
    assert_eq!(pair.finish(), [expected, expected]);
    assert_eq!(both.finish(), expected);
    assert_eq!(alone.finish(), expected.tree_hash);
}
