//! Keeps the leaves of an archive, and later proves to somebody who kept only size and tree hash that some bytes are of
//! that archive.
//!
//! Run it with `cargo run --release -p cas-treehash --example proof`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use cas_treehash::{Leaves, LeavesHasher, RangeProof, TreeHash};

const MIB: usize = 1 << 20;

/// What the doubter kept.
struct Receipt {
    size: u64,
    tree_hash: TreeHash,
}

impl Receipt {
    /// Whether bytes are where the proof says, in the archive that this receipt is for.
    fn accepts(&self, bytes: &[u8], proof: &RangeProof) -> bool {
        // A tree hash does not tell the size, so this comparison is half of the proof.
        proof.size() == self.size && proof.verify(&Leaves::of(bytes), self.tree_hash).is_ok()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let archive: Vec<u8> = (0..20 * MIB + 12_345).map(|i| (i / 4099).to_le_bytes()[0]).collect();

    // On the day of the upload: both hashes, and the leaves, in one pass.
    let mut hasher = LeavesHasher::new();
    archive.chunks(MIB).for_each(|piece| hasher.update(piece));
    let (payload, leaves) = hasher.finish();
    let receipt = Receipt { size: payload.size, tree_hash: payload.tree_hash };
    let mut kept = Vec::new();
    leaves.write_to(&mut kept)?;
    println!("{} bytes of archive, {} bytes of leaves", payload.size, kept.len());

    // Years later: three MiB are shown, with what is missing to get from them to the root.
    let leaves = Leaves::read_from(&kept[..])?;
    let range = 5 * MIB..8 * MIB;
    let proof =
        leaves.prove(range.start as u64..range.end as u64).ok_or("the range does not begin and end at a MiB")?;
    println!("{} siblings prove {} MiB", proof.siblings().len(), range.len() / MIB);

    assert!(receipt.accepts(&archive[range.clone()], &proof));
    let mut forged = archive[range].to_vec();
    forged[1_234_567] ^= 1;
    assert!(!receipt.accepts(&forged, &proof));
    println!("one changed bit is one too many");
    Ok(())
}
