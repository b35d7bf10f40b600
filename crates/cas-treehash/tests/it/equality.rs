//! Every kernel and every hasher gives the answers of ring and of the oracle, however the bytes arrive.

use cas_treehash::{
    ContentSha256, Kernel, LeavesHasher, PairHasher, Payload, PayloadHasher, Resumable, TreeHash, TreeHasher,
};

use crate::oracle::{self, Dice, MIB};

/// Every length at which some counter, block, buffer or group of leaves is just full, just not, or just over.
fn edges() -> Vec<usize> {
    let mut edges = vec![0, 1, 54, 55, 56, 57, 62, 63, 64, 65, 66, 119, 120, 121, 127, 128, 129];
    for leaves in 1..=9 {
        edges.extend([leaves * MIB - 65, leaves * MIB - 1, leaves * MIB, leaves * MIB + 1, leaves * MIB + 64]);
    }
    edges
}

/// Bytes with their answers.
struct Expected<'a> {
    bytes: &'a [u8],
    sha256: ContentSha256,
    tree_hash: TreeHash,
}

impl<'a> Expected<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, sha256: oracle::sha256(bytes).into(), tree_hash: oracle::tree_hash(bytes).into() }
    }

    fn check(&self, payload: Payload, what: &str) {
        let size = self.bytes.len();
        assert_eq!(payload.size, size as u64, "size by {what}");
        assert_eq!(payload.sha256, self.sha256, "SHA-256 of {size} bytes by {what}");
        assert_eq!(payload.tree_hash, self.tree_hash, "tree hash of {size} bytes by {what}");
    }
}

/// Hands out a body in pieces of random lengths.
struct Pieces<'a> {
    rest: &'a [u8],
    longest: usize,
}

impl<'a> Pieces<'a> {
    fn of(bytes: &'a [u8], dice: &mut Dice) -> Self {
        let longest = 1 + bytes.len() / (1 + dice.up_to(9));
        Self { rest: bytes, longest }
    }

    fn take(&mut self, dice: &mut Dice) -> &'a [u8] {
        let (piece, rest) = self.rest.split_at(dice.up_to(self.longest).min(self.rest.len()));
        self.rest = rest;
        piece
    }
}

#[test]
fn every_hasher_on_every_kernel_is_right_on_every_edge() {
    let data = Dice::new(1).bytes(9 * MIB + 1024);
    for (i, length) in edges().into_iter().enumerate() {
        // No alignment is special.
        let start = [0, 1, 17, 33, 63][i % 5];
        let expected = Expected::of(&data[start..start + length]);
        for kernel in Kernel::all() {
            let mut payload = PayloadHasher::with_kernel(kernel);
            payload.update(expected.bytes);
            expected.check(payload.finish(), kernel.name());

            let mut resumable = Resumable::<PayloadHasher>::with_kernel(kernel);
            resumable.update(expected.bytes);
            expected.check(resumable.finish(), kernel.name());

            let mut tree = TreeHasher::with_kernel(kernel);
            tree.update(expected.bytes);
            assert_eq!(tree.finish(), expected.tree_hash, "{length} bytes by {}", kernel.name());

            let mut hasher = LeavesHasher::with_kernel(kernel);
            hasher.update(expected.bytes);
            let (payload, leaves) = hasher.finish();
            expected.check(payload, kernel.name());
            assert_eq!(leaves.tree_hash(), expected.tree_hash);
        }
        expected.check(Payload::of(expected.bytes), "Payload::of");
        assert_eq!(ContentSha256::of(expected.bytes), expected.sha256);
        assert_eq!(TreeHash::of(expected.bytes), expected.tree_hash);
    }
}

#[test]
fn two_bodies_at_once_are_right_on_every_pair_of_neighbouring_edges() {
    let data = Dice::new(2).bytes(9 * MIB + 1024);
    let mut dice = Dice::new(3);
    let mut edges = edges();
    edges.sort_by_key(|length| (length % MIB, *length));
    for pair in edges.windows(2) {
        let bodies = [&data[1..1 + pair[0]], &data[7..7 + pair[1]]].map(Expected::of);
        for kernel in Kernel::all() {
            let mut hasher = PairHasher::with_kernel(kernel);
            hasher.update(bodies[0].bytes, bodies[1].bytes);
            let [a, b] = hasher.finish();
            bodies[0].check(a, kernel.name());
            bodies[1].check(b, kernel.name());

            let mut hasher = PairHasher::with_kernel(kernel);
            let mut pieces = bodies.each_ref().map(|body| Pieces::of(body.bytes, &mut dice));
            while pieces.iter().any(|body| !body.rest.is_empty()) {
                let [a, b] = pieces.each_mut().map(|body| body.take(&mut dice));
                hasher.update(a, b);
            }
            let [a, b] = hasher.finish();
            bodies[0].check(a, kernel.name());
            bodies[1].check(b, kernel.name());
        }
    }
}

#[test]
fn ten_thousand_random_lengths_in_random_pieces_are_right() {
    let mut dice = Dice::new(4);
    let data = dice.bytes(6 * MIB);
    let kernels = Kernel::all();
    let mut last = Expected::of(&[]);
    for i in 0..10_000 {
        let most = match i % 200 {
            0 => 5 * MIB,
            1..20 => 400_000,
            20..60 => 20_000,
            _ => 300,
        };
        let start = dice.up_to(100);
        let length = dice.up_to(most);
        let expected = Expected::of(&data[start..start + length]);
        let kernel = kernels[i % kernels.len()];

        let mut payload = PayloadHasher::with_kernel(kernel);
        let mut resumable = Resumable::<PayloadHasher>::with_kernel(kernel);
        let mut tree = TreeHasher::with_kernel(kernel);
        let mut pieces = Pieces::of(expected.bytes, &mut dice);
        while !pieces.rest.is_empty() {
            let piece = pieces.take(&mut dice);
            payload.update(piece);
            resumable.update(piece);
            tree.update(piece);
        }
        expected.check(payload.finish(), kernel.name());
        expected.check(resumable.finish(), kernel.name());
        assert_eq!(tree.finish(), expected.tree_hash, "{length} bytes by {}", kernel.name());

        let mut pair = PairHasher::with_kernel(kernel);
        let mut pieces = [&last, &expected].map(|body| Pieces::of(body.bytes, &mut dice));
        while pieces.iter().any(|body| !body.rest.is_empty()) {
            let [a, b] = pieces.each_mut().map(|body| body.take(&mut dice));
            pair.update(a, b);
        }
        let [a, b] = pair.finish();
        last.check(a, kernel.name());
        expected.check(b, kernel.name());
        last = expected;
    }
}

#[test]
fn a_gibibyte_is_right() {
    // Windows of one buffer, each at another place, so that no two leaves are the same.
    let data = Dice::new(5).bytes(3 * MIB);
    let leaf = |i: usize| &data[i * 1021..i * 1021 + MIB];
    let mut payload = PayloadHasher::new();
    let mut tree = TreeHasher::new();
    let mut ring = ring::digest::Context::new(&ring::digest::SHA256);
    let mut row = Vec::new();
    let mut several = Vec::new();
    for i in 0..1024 {
        ring.update(leaf(i));
        payload.update(leaf(i));
        row.push(oracle::sha256(leaf(i)));
        several.extend_from_slice(leaf(i));
        if several.len() == 8 * MIB {
            tree.update(&several);
            several.clear();
        }
    }
    let payload = payload.finish();
    assert_eq!(payload.size, 1 << 30);
    assert_eq!(payload.sha256.as_bytes(), ring.finish().as_ref());
    assert_eq!(payload.tree_hash.as_bytes(), &oracle::root(&row));
    assert_eq!(tree.finish(), payload.tree_hash);
}

#[test]
fn finishing_is_looking_and_more_bytes_may_follow() {
    let data = Dice::new(6).bytes(2 * MIB + 100);
    for kernel in Kernel::all() {
        let mut payload = PayloadHasher::with_kernel(kernel);
        let mut tree = TreeHasher::with_kernel(kernel);
        let mut end = 0;
        for step in [0, 1, 63, 64, 100, MIB, MIB - 228, 100] {
            payload.update(&data[end..end + step]);
            tree.update(&data[end..end + step]);
            end += step;
            let expected = Expected::of(&data[..end]);
            expected.check(payload.finish(), kernel.name());
            assert_eq!(tree.finish(), expected.tree_hash);
            assert_eq!((payload.size(), tree.size()), (end as u64, end as u64));
        }
    }
}

#[test]
fn hashers_take_what_is_written() {
    let data = Dice::new(7).bytes(MIB + 5);
    let expected = Expected::of(&data);
    let (mut payload, mut tree, mut leaves) = (PayloadHasher::new(), TreeHasher::new(), LeavesHasher::new());
    for writer in [&mut payload as &mut dyn std::io::Write, &mut tree, &mut leaves] {
        std::io::copy(&mut &data[..], writer).unwrap();
        writer.flush().unwrap();
    }
    expected.check(payload.finish(), "io::Write");
    assert_eq!(tree.finish(), expected.tree_hash);
    assert_eq!(leaves.size(), data.len() as u64);
    expected.check(leaves.finish().0, "io::Write");
}

#[test]
fn a_pair_is_two_hashers_that_can_be_parted_and_joined_at_any_byte() {
    let data = Dice::new(8).bytes(3 * MIB);
    for kernel in Kernel::all() {
        let mut hashers = [PayloadHasher::with_kernel(kernel), PayloadHasher::with_kernel(Kernel::PORTABLE)];
        hashers[0].update(&data[..70]);
        hashers[1].update(&data[..MIB + 3]);
        let mut pair = PairHasher::from(hashers);
        pair.update(&data[70..2 * MIB], &data[MIB + 3..2 * MIB + 50]);
        let [mut a, mut b] = <[PayloadHasher; 2]>::from(pair);
        a.update(&data[2 * MIB..]);
        b.update(&data[2 * MIB + 50..]);
        Expected::of(&data).check(a.finish(), kernel.name());
        assert_eq!(a.finish(), b.finish());
    }
}

#[test]
fn the_kernel_is_the_fastest_unless_the_build_forces_another() {
    let all = Kernel::all();
    assert_eq!(all[0], Kernel::PORTABLE);
    let expected = option_env!("CAS_TREEHASH_KERNEL").unwrap_or(all[all.len() - 1].name());
    assert_eq!(Kernel::detect().name(), expected, "this CPU has {all:?}");
}
