//! A little of everything on a few bytes: short enough to be interpreted, so that Miri sees every path but the kernels'.

use std::num::NonZero;

use cas_treehash::parallel::{self, Threads};
use cas_treehash::{
    Leaves, LeavesHasher, PairHasher, Payload, PayloadHasher, RangeVerifier, Resumable, TreeHasher, combine, read,
};

use crate::oracle::{self, Dice};

#[test]
fn short_streams_are_right_in_every_two_pieces() {
    let data = Dice::new(1).bytes(130);
    let step = if cfg!(miri) { 43 } else { 1 };
    for length in (0..=130).step_by(step) {
        let bytes = &data[..length];
        let expected = oracle::sha256(bytes);
        for cut in (0..=length).step_by(step) {
            let (first, second) = bytes.split_at(cut);
            let mut payload = PayloadHasher::new();
            let mut tree = TreeHasher::new();
            let mut leaves = LeavesHasher::new();
            let mut pair = PairHasher::new();
            let mut resumable = Resumable::<PayloadHasher>::new();
            for piece in [first, second] {
                payload.update(piece);
                tree.update(piece);
                leaves.update(piece);
                pair.update(piece, bytes);
                resumable = Resumable::<PayloadHasher>::restore(&resumable.save()).unwrap();
                resumable.update(piece);
            }
            let payload = payload.finish();
            assert_eq!(payload.sha256.as_bytes(), &expected);
            assert_eq!(payload.tree_hash.as_bytes(), &expected);
            assert_eq!(tree.finish(), payload.tree_hash);
            assert_eq!(leaves.finish(), (payload, Leaves::of(bytes)));
            assert_eq!(resumable.finish(), payload);
            assert_eq!(pair.finish(), [payload, Payload::of(&[bytes, bytes].concat())]);
        }
    }
}

#[test]
fn short_sources_are_read_by_one_thread_and_by_several() {
    let data = Dice::new(2).bytes(70);
    let parts = [0..10, 10..10, 3..70];
    let expected = parts.clone().map(|part| Payload::of(&data[part]));
    let parts = parts.map(|part| part.start as u64..part.end as u64);
    for threads in [1, 2].into_iter().filter_map(NonZero::new).map(Threads::new) {
        assert_eq!(parallel::payloads(&data[..], &parts, threads).unwrap(), expected);
        assert_eq!(parallel::tree_hash(&data[..], 3..70, threads).unwrap(), expected[2].tree_hash);
        assert_eq!(parallel::leaves(&data[..], 3..70, threads).unwrap().tree_hash(), expected[2].tree_hash);
    }
    assert_eq!(read::payload_at(&data[..], 0..10).unwrap(), expected[0]);
}

#[test]
fn short_archives_are_combined_kept_proved_and_verified() {
    let mut leaves = Leaves::new();
    for leaf in [b"a", b"b", b"c"] {
        leaves.push(oracle::sha256(leaf).into(), 1 << 20).unwrap();
    }
    let root = leaves.tree_hash();
    assert_eq!(combine(leaves.iter().map(|leaf| (1 << 20, leaf))), Ok(root));

    let mut file = Vec::new();
    leaves.write_to(&mut file).unwrap();
    assert_eq!(Leaves::read_from(&file[..]).unwrap(), leaves);

    let range = 1 << 20..3 << 20;
    let proof = leaves.prove(range.clone()).unwrap();
    assert_eq!(proof.verify(&leaves.slice(range).unwrap(), root), Ok(()));

    let mut verifier = RangeVerifier::new(1, oracle::sha256(b"a").into());
    verifier.update(b"a").unwrap();
    assert_eq!(verifier.finish(), Ok(()));
}
