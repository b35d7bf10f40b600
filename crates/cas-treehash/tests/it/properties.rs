//! What holds for archives of any size, any parts and any ranges. The leaves here are made up, as in `shape.rs`.

use std::ops::Range;

use cas_treehash::{CombineError, Leaves, ProofError, RangeProof, TreeHash, combine, is_tree_aligned};
use proptest::prelude::*;

use crate::oracle;
use crate::shape::{MIB, nodes, row};

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
