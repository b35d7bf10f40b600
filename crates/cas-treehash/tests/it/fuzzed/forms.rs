//! Any bytes as whatever can be read. The fuzz target `treehash_forms` takes this file in by path.

use cas_treehash::{ContentSha256, Leaves, PayloadHasher, RangeProof, Resumable, TreeHash, TreeHasher};

use crate::oracle;

/// Reads the input as everything that can be read, and writes what was read again.
pub(crate) fn check(input: &[u8]) {
    // Nobody finds a right checksum by chance, so the input is tried once more with one.
    let summed = [input, &oracle::sha256(input)].concat();
    for form in [input, &summed] {
        if let Ok(mut hasher) = Resumable::<PayloadHasher>::restore(form) {
            assert_eq!(hasher.save(), form);
            hasher.update(&[7; 200]);
            hasher.finish();
        }
        if let Ok(mut hasher) = Resumable::<TreeHasher>::restore(form) {
            assert_eq!(hasher.save(), form);
            hasher.update(&[7; 200]);
            hasher.finish();
        }
        if let Ok(leaves) = Leaves::read_from(form) {
            let mut again = Vec::new();
            leaves.write_to(&mut again).expect("a vector takes everything");
            assert_eq!(again, form);
            leaves.tree_hash();
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(digest) = text.parse::<TreeHash>() {
            assert_eq!(digest.to_string(), text.to_ascii_lowercase());
        }
        assert_eq!(text.parse::<ContentSha256>().is_ok(), text.parse::<TreeHash>().is_ok());
    }
    proof(input);
}

/// Takes the input as a proof: size, start and end of the range, siblings.
fn proof(input: &[u8]) {
    let (numbers, siblings) = input.split_at(input.len().min(24));
    let [size, start, end] = *numbers.as_chunks().0 else { return };
    let [size, start, end] = [size, start, end].map(u64::from_le_bytes);
    let siblings = siblings.as_chunks().0.iter().copied().map(TreeHash::from_bytes).collect();
    if let Ok(proof) = RangeProof::new(size, start..end, siblings) {
        let root = TreeHash::from_bytes([0; 32]);
        assert!(proof.verify(&Leaves::of(&input[..1]), root).is_err());
    }
}
