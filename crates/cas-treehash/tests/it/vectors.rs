//! Digests that others computed.

use cas_treehash::{Leaves, LeavesHasher, PayloadHasher, TreeHash, TreeHasher, is_tree_aligned};
use serde_json::Value;

use crate::oracle::Dice;

/// The bytes that `pattern.json` calls P(n).
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (31 * (i % 256) + 7 * (i >> 20)).to_le_bytes()[0]).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number").try_into().expect("small enough")
}

/// Compares every way to hash bytes with the digests of a vector.
fn check(bytes: &[u8], sha256: &str, tree_hash: &str) {
    let mut payload = PayloadHasher::new();
    payload.update(bytes);
    let payload = payload.finish();
    assert_eq!(payload.size, bytes.len() as u64);
    assert_eq!(payload.sha256.to_string(), sha256, "SHA-256 of {} bytes", bytes.len());
    assert_eq!(payload.tree_hash.to_string(), tree_hash, "tree hash of {} bytes", bytes.len());

    let mut tree = TreeHasher::new();
    tree.update(bytes);
    assert_eq!(tree.finish(), payload.tree_hash);

    let mut hasher = LeavesHasher::new();
    hasher.update(bytes);
    let (same, leaves) = hasher.finish();
    assert_eq!(same, payload);
    assert_eq!(leaves.tree_hash(), payload.tree_hash);
    assert_eq!(leaves, Leaves::of(bytes));
}

#[test]
fn pattern_vectors_hold() {
    let file: Value = serde_json::from_str(include_str!("../data/pattern.json")).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let sha256 = text(&vector["sha256"]);
        let tree_hash = vector["tree_hash"].as_str().unwrap_or(&sha256);
        check(&pattern(number(&vector["length"])), &sha256, tree_hash);
    }
    for vector in file["repeated_byte"].as_array().unwrap() {
        let bytes = vec![u8::try_from(number(&vector["byte"])).unwrap(); number(&vector["length"])];
        assert_eq!(TreeHash::of(&bytes).to_string(), text(&vector["tree_hash"]));
    }
}

#[test]
fn ranges_of_the_pattern_have_their_tree_hash_from_bytes_and_from_leaves() {
    let file: Value = serde_json::from_str(include_str!("../data/pattern.json")).unwrap();
    let bytes = pattern(6_815_744);
    let leaves = Leaves::of(&bytes);
    for vector in file["ranges_of_6815744"].as_array().unwrap() {
        let range = number(&vector["first"])..number(&vector["last"]) + 1;
        let expected = text(&vector["tree_hash"]);
        assert_eq!(TreeHash::of(&bytes[range.clone()]).to_string(), expected);
        let range = range.start as u64..range.end as u64;
        assert!(is_tree_aligned(range.clone(), 6_815_744));
        assert_eq!(leaves.range_hash(range).unwrap().to_string(), expected);
    }
}

#[test]
fn generated_vectors_hold() {
    let file: Value = serde_json::from_str(include_str!("../data/xorshift.json")).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        // The generator is the one that the file describes.
        let bytes = Dice::new(number(&vector["seed"]) as u64).bytes(number(&vector["length"]));
        check(&bytes, &text(&vector["sha256"]), &text(&vector["tree_hash"]));
    }
}
