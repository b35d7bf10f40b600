//! The kernel for every CPU, in plain Rust that can be read beside FIPS 180-4.

use super::{Block, State};
use crate::sha256::{self, Node};

/// The round constants (FIPS 180-4, section 4.2.2).
pub(super) const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// Feeds each stream into every state of its row; the message schedule is computed once per block.
pub(super) fn compress<const S: usize, const D: usize>(states: &mut [[State; D]; S], streams: [&[Block]; S]) {
    for (row, blocks) in states.iter_mut().zip(streams) {
        for block in blocks {
            let schedule = schedule(block);
            for state in row.iter_mut() {
                rounds(state, &schedule);
            }
        }
    }
}

/// Hashes one whole leaf from beginning to end.
///
/// ring has tuned code for most CPUs, but it cannot be stopped between two blocks and taken up again elsewhere; a leaf
/// that lies in memory as a whole need not be. Miri cannot run ring.
pub(super) fn leaf(bytes: &[u8]) -> Node {
    if cfg!(miri) {
        return sha256::of(super::Kernel::Portable, bytes);
    }
    let mut node = [0; 32];
    node.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    node
}

/// Expands a block to the 64 words of its schedule, each with its round constant added.
fn schedule(block: &Block) -> [u32; 64] {
    let mut w = [0; 64];
    for (word, bytes) in w.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for t in 16..64 {
        let s0 = w[t - 15].rotate_right(7) ^ w[t - 15].rotate_right(18) ^ (w[t - 15] >> 3);
        let s1 = w[t - 2].rotate_right(17) ^ w[t - 2].rotate_right(19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1);
    }
    for (word, k) in w.iter_mut().zip(K) {
        *word = word.wrapping_add(k);
    }
    w
}

/// Runs the 64 rounds of one block and adds the state from before.
fn rounds(state: &mut State, schedule: &[u32; 64]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for word in schedule {
        let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let t1 = h.wrapping_add(sum1).wrapping_add(choice).wrapping_add(*word);
        let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let t2 = sum0.wrapping_add(majority);
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(new);
    }
}
