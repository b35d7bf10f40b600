//! The shape of the tree: alignment, combining, sub-trees and proofs. The leaves here are made up; only their order and
//! number matter.

use std::ops::Range;

use cas_treehash::{CombineError, LEAF_SIZE, Leaves, ProofError, RangeProof, TreeHash, combine, is_tree_aligned};
use proptest::prelude::*;

use crate::oracle;

const MIB: u64 = LEAF_SIZE;

/// A row of made-up leaves under an archive of this size.
fn row(size: u64) -> Leaves {
    let mut leaves = Leaves::new();
    while leaves.size() < size {
        let leaf = oracle::sha256(&leaves.size().to_le_bytes());
        leaves.push(leaf.into(), MIB.min(size - leaves.size())).expect("a leaf behind full ones");
    }
    leaves
}

fn nodes(leaves: &Leaves) -> Vec<[u8; 32]> {
    leaves.iter().map(|leaf| *leaf.as_bytes()).collect()
}

/// The rule as it is written down: there is a k such that the range begins at a multiple of 2^k MiB and ends 2^k MiB
/// later, or with the archive.
fn is_aligned_by_the_book(range: &Range<u64>, size: u64) -> bool {
    range.start < range.end
        && range.end <= size
        && (0..44).any(|k| {
            let length = MIB << k;
            range.start.is_multiple_of(length) && range.end == range.start.saturating_add(length).min(size)
        })
}

/// Sizes of archives: some leaves, and a tail that is often none, one byte, or all but one byte.
fn sizes() -> impl Strategy<Value = u64> {
    (0..70u64, prop_oneof![Just(0), Just(1), Just(MIB - 1), 0..MIB]).prop_map(|(leaves, tail)| leaves * MIB + tail)
}

/// An archive and a range that begins and ends where leaves do, or nearly.
fn archives_with_ranges() -> impl Strategy<Value = (u64, Range<u64>)> {
    let near = prop_oneof![4 => Just(0i64), 1 => Just(-1i64), 1 => Just(1i64)];
    (sizes(), 0..71u64, 0..71u64, near.clone(), near, any::<bool>()).prop_map(|(size, a, b, x, y, to_end)| {
        let start = (a.min(b) * MIB).saturating_add_signed(x);
        let end = if to_end { size } else { (a.max(b) * MIB).saturating_add_signed(y) };
        (size, start..end)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 },
        // A failing case is printed, and becomes a test of its own with the input written out.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn alignment_is_the_documented_rule((size, range) in archives_with_ranges()) {
        prop_assert_eq!(is_tree_aligned(range.clone(), size), is_aligned_by_the_book(&range, size));
    }

    #[test]
    fn the_root_of_any_row_is_that_of_the_oracle(size in 1..200 * MIB) {
        let leaves = row(size);
        let expected = TreeHash::from_bytes(oracle::root(&nodes(&leaves)));
        prop_assert_eq!(leaves.tree_hash(), expected);
        prop_assert_eq!(leaves.range_hash(0..size), Some(leaves.tree_hash()));
    }

    #[test]
    fn a_range_has_a_hash_from_leaves_exactly_when_it_is_aligned((size, range) in archives_with_ranges()) {
        let leaves = row(size);
        let found = leaves.range_hash(range.clone());
        prop_assert_eq!(found.is_some(), is_tree_aligned(range.clone(), size));
        if let Some(found) = found {
            prop_assert_eq!(found, leaves.slice(range).unwrap().tree_hash());
        }
    }

    #[test]
    fn parts_that_combine_give_the_root_and_others_are_refused(
        size in sizes(),
        cuts in proptest::collection::vec(0..71u64, 0..6),
    ) {
        let leaves = row(size);
        let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut * MIB).filter(|cut| *cut < size).collect();
        cuts.extend([0, size]);
        cuts.sort_unstable();
        cuts.dedup();
        let parts: Vec<Range<u64>> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let hash = |part: &Range<u64>| leaves.slice(part.clone()).unwrap().tree_hash();
        let combined = combine(parts.iter().map(|part| (part.end - part.start, hash(part))));
        match parts.iter().position(|part| !is_tree_aligned(part.clone(), size)) {
            None if parts.is_empty() => prop_assert_eq!(combined, Err(CombineError::NoParts)),
            None => prop_assert_eq!(combined, Ok(leaves.tree_hash())),
            Some(expected) => {
                let Err(CombineError::NotASubtree { index, offset, .. }) = combined else {
                    return Err(TestCaseError::fail(format!("{combined:?} from {parts:?}")));
                };
                prop_assert_eq!((index, offset), (expected, parts[expected].start));
            }
        }
    }

    #[test]
    fn parts_of_a_power_of_two_of_leaves_always_combine(size in 1..70 * MIB, exponent in 0..7) {
        let part_size = MIB << exponent;
        let leaves = row(size);
        let starts = (0..size).step_by(usize::try_from(part_size).unwrap());
        let parts = starts.map(|start| start..size.min(start + part_size));
        let hashes = parts.map(|part| (part.end - part.start, leaves.range_hash(part).unwrap()));
        prop_assert_eq!(combine(hashes), Ok(leaves.tree_hash()));
    }

    #[test]
    fn a_proof_verifies_its_range_and_nothing_else((size, range) in archives_with_ranges(), other in any::<u64>()) {
        let leaves = row(size);
        let root = leaves.tree_hash();
        let Some(proof) = leaves.prove(range.clone()) else {
            // There is none where there are no leaves of its own, and only there.
            prop_assert!(leaves.slice(range.clone()).is_none());
            let refused = matches!(RangeProof::new(size, range, vec![]), Err(ProofError::NotLeafAligned { .. }));
            prop_assert!(refused);
            return Ok(());
        };
        let within = leaves.slice(range.clone()).unwrap();
        prop_assert_eq!(proof.verify(&within, root), Ok(()));
        prop_assert_eq!((proof.size(), proof.range()), (size, range.clone()));

        // A proof that travelled is the same proof.
        let again = RangeProof::new(size, range.clone(), proof.siblings().to_vec());
        prop_assert_eq!(again.as_ref(), Ok(&proof));

        // Another root, another leaf, another sibling, another length.
        let strange = TreeHash::from_bytes(oracle::sha256(b"strange"));
        prop_assert!(proof.verify(&within, strange).is_err());
        let spoilt = usize::try_from(other).unwrap() % within.len();
        let mut changed = Leaves::new();
        for (i, leaf) in within.iter().enumerate() {
            let leaf_size = MIB.min(within.size() - i as u64 * MIB);
            changed.push(if i == spoilt { strange } else { leaf }, leaf_size).unwrap();
        }
        prop_assert!(proof.verify(&changed, root).is_err());
        if !proof.siblings().is_empty() {
            let mut siblings = proof.siblings().to_vec();
            let spoilt = usize::try_from(other).unwrap() % siblings.len();
            siblings[spoilt] = strange;
            prop_assert!(RangeProof::new(size, range.clone(), siblings).unwrap().verify(&within, root).is_err());
            let missing = proof.siblings()[1..].to_vec();
            let refused = matches!(RangeProof::new(size, range, missing), Err(ProofError::Siblings { .. }));
            prop_assert!(refused);
        }
        let refused = matches!(proof.verify(&row(within.size() + 1), root), Err(ProofError::Length { .. }));
        prop_assert!(refused);
    }
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
