//! What hashing costs in memory.

use cas_treehash::{PairHasher, PayloadHasher, RangeVerifier, Resumable, TreeHash, TreeHasher};

use crate::oracle::{Dice, MIB};

#[test]
fn a_hasher_is_smaller_than_two_kibibytes_whatever_its_stream() {
    // They own nothing else: the next test sees that they never ask for memory.
    assert!(size_of::<TreeHasher>() < 2048, "{}", size_of::<TreeHasher>());
    assert!(size_of::<PayloadHasher>() < 2048, "{}", size_of::<PayloadHasher>());
    assert!(size_of::<Resumable<PayloadHasher>>() < 2048);
    assert!(size_of::<RangeVerifier>() < 2048);
    assert_eq!(size_of::<PairHasher>(), 2 * size_of::<PayloadHasher>());
}

#[test]
fn hashing_allocates_nothing() {
    let data = Dice::new(1).bytes(6 * MIB + 77);
    // The first look at the CPU may.
    let expected = TreeHash::of(&data);
    let counted = allocation_counter::measure(|| {
        let (mut payload, mut tree, mut pair) = (PayloadHasher::new(), TreeHasher::new(), PairHasher::new());
        let mut verifier = RangeVerifier::new(data.len() as u64, expected);
        for piece in data.chunks(700_001) {
            payload.update(piece);
            tree.update(piece);
            pair.update(piece, piece);
            assert!(verifier.update(piece).is_ok());
        }
        tree.update(&data);
        assert_eq!(payload.finish(), pair.finish()[0]);
        assert_eq!(payload.finish().tree_hash, expected);
        assert!(verifier.finish().is_ok());
    });
    assert_eq!(counted.count_total, 0);
}
