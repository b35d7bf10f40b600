//! The kernel for every CPU: ring, and plain Rust for what ring cannot do.
//!
//! ring has tuned code for most CPUs and is what every kernel is compared with. But its state cannot be taken out
//! between two blocks, which a stream needs that is saved and taken up elsewhere, and Miri cannot run it. For those,
//! and for the two blocks of a parent, there is a block function that can be read beside FIPS 180-4.

use super::{Block, K, State};
use crate::sha256::Node;

/// Begins a message on ring.
pub(crate) fn ring_context() -> ring::digest::Context {
    ring::digest::Context::new(&ring::digest::SHA256)
}

/// Ends a message on ring.
pub(crate) fn ring_finish(context: ring::digest::Context) -> Node {
    let mut node = [0; 32];
    node.copy_from_slice(context.finish().as_ref());
    node
}

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
