//! The shape of the tree: alignment, combining, sub-trees and proofs. The leaves here are made up; only their order and
//! number matter.

use cas_treehash::{CombineError, LEAF_SIZE, Leaves, RangeProof, TreeHash, combine, is_tree_aligned};

use crate::oracle;

pub(crate) const MIB: u64 = LEAF_SIZE;

/// A row of made-up leaves under an archive of this size.
pub(crate) fn row(size: u64) -> Leaves {
    let mut leaves = Leaves::new();
    while leaves.size() < size {
        let leaf = oracle::sha256(&leaves.size().to_le_bytes());
        leaves.push(leaf.into(), MIB.min(size - leaves.size())).expect("a leaf behind full ones");
    }
    leaves
}

pub(crate) fn nodes(leaves: &Leaves) -> Vec<[u8; 32]> {
    leaves.iter().map(|leaf| *leaf.as_bytes()).collect()
}

#[test]
fn alignment_holds_at_the_ends_of_the_number_line() {
    let most = u64::MAX;
    assert!(is_tree_aligned(0..most, most));
    assert!(is_tree_aligned(1 << 63..most, most));
    assert!(is_tree_aligned(0..1 << 63, most));
    assert!(!is_tree_aligned(1 << 62..most, most));
    assert!(!is_tree_aligned(most..most, most));
    assert!(!is_tree_aligned(0..0, 0));
    #[expect(clippy::reversed_empty_ranges, reason = "a range the wrong way round is what is refused")]
    let backwards = 2 * MIB..MIB;
    assert!(!is_tree_aligned(backwards, 4 * MIB));
}

#[test]
fn the_cases_of_the_documentation_are_aligned_as_it_says() {
    let size = 6 * MIB + MIB / 2;
    for aligned in [0..4 * MIB, 2 * MIB..3 * MIB, 4 * MIB..6 * MIB, 4 * MIB..size, 6 * MIB..size, 0..size] {
        assert!(is_tree_aligned(aligned.clone(), size), "{aligned:?}");
    }
    for other in [0..3 * MIB, MIB..3 * MIB, 2 * MIB..6 * MIB, 2 * MIB..size, 5 * MIB..size, 0..MIB - 1, 1..MIB] {
        assert!(!is_tree_aligned(other.clone(), size), "{other:?}");
    }
}

#[test]
fn three_mebibyte_parts_would_give_another_root() {
    // Six leaves. The tree pairs leaf 2 with leaf 3; parts of three leaves put a border between them.
    let leaves = row(6 * MIB);
    let halves = [0..3 * MIB, 3 * MIB..6 * MIB].map(|part| leaves.slice(part).unwrap().tree_hash());
    let naive = oracle::sha256(&[*halves[0].as_bytes(), *halves[1].as_bytes()].concat());
    assert_ne!(&naive, leaves.tree_hash().as_bytes());
    let refused = combine(halves.map(|half| (3 * MIB, half))).unwrap_err();
    assert!(matches!(refused, CombineError::NotASubtree { index: 0, offset: 0, .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "part 0 is not one sub-tree of the whole: 3145728 bytes at 0, \
         expected a power of two times 1 MiB, at a multiple of it"
    );
}

#[test]
fn parts_without_bytes_and_parts_without_number_are_refused() {
    let hash = TreeHash::of(b"");
    assert_eq!(combine([]), Err(CombineError::NoParts));
    let error = combine([(MIB, hash), (0, hash)]).unwrap_err();
    assert!(matches!(error, CombineError::EmptyPart { index: 1, .. }), "{error:?}");
    assert_eq!(error.to_string(), "part 1 has no bytes");
    let error = combine([(1 << 63, hash), (1 << 63, hash)]).unwrap_err();
    assert!(matches!(error, CombineError::TooLarge { index: 1, .. }), "{error:?}");
    assert_eq!(error.to_string(), "the sizes up to part 1 overflow");
    assert_eq!(combine([]).unwrap_err().to_string(), "there are no parts to combine");
}

#[test]
fn the_largest_parts_combine() {
    let [a, b] = [b"a", b"b"].map(|bytes| TreeHash::of(bytes));
    let expected = oracle::sha256(&[*a.as_bytes(), *b.as_bytes()].concat());
    assert_eq!(combine([(1 << 63, a), ((1 << 63) - 1, b)]).unwrap().as_bytes(), &expected);
}

#[test]
fn a_short_part_ends_the_archive() {
    let hash = TreeHash::of(b"");
    for parts in [[(500, hash), (MIB, hash)], [(MIB + 1, hash), (MIB, hash)], [(MIB, hash), (3 * MIB, hash)]] {
        assert!(combine(parts).is_err(), "{parts:?}");
    }
    assert!(combine([(MIB, hash), (MIB - 1, hash)]).is_ok());
    assert_eq!(combine([(500, hash)]), Ok(hash));
}

#[test]
fn the_tree_hash_does_not_bind_the_size() {
    // Which is why a proof is worth nothing without a size that is known from elsewhere.
    let archive = row(2 * MIB);
    let children = nodes(&archive).concat();
    let forged = Leaves::of(&children);
    let proof = forged.prove(0..64).unwrap();
    assert_eq!(proof.verify(&forged, archive.tree_hash()), Ok(()));
    assert_ne!(proof.size(), archive.size());
}

#[test]
fn proof_errors_tell_values() {
    let leaves = row(5 * MIB);
    let error = RangeProof::new(5 * MIB, 1..MIB, vec![]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bytes 1 to 1048576 of 5242880 are not a run of leaves, expected multiples of 1 MiB or the end"
    );
    let error = RangeProof::new(5 * MIB, 0..MIB, vec![]).unwrap_err();
    assert_eq!(error.to_string(), "the proof needs 3 siblings, found 0");
    let proof = leaves.prove(0..MIB).unwrap();
    let error = proof.verify(&row(2 * MIB), leaves.tree_hash()).unwrap_err();
    assert_eq!(error.to_string(), "the range has 1048576 bytes, found leaves of 2097152");
    let mut other = Leaves::new();
    other.push(TreeHash::from_bytes([7; 32]), MIB).unwrap();
    let error = proof.verify(&other, leaves.tree_hash()).unwrap_err();
    assert!(error.to_string().ends_with(&format!("expected {}", leaves.tree_hash())), "{error}");
}
