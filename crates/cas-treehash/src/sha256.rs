//! SHA-256 around the kernels: padding, and the few blocks that are no part of anybody's bytes.

use crate::kernel::{Block, INITIAL, Kernel, State, portable};
use crate::tree::{LEAF_LEN, LEAF_SIZE};

/// A node of the tree as raw bytes.
pub(crate) type Node = [u8; 32];

/// How many bytes a block has.
pub(crate) const BLOCK_SIZE: usize = 64;

/// What follows a whole leaf.
const LEAF_END: Block = end_block(LEAF_SIZE);

/// What follows the two children in the message that is hashed for their parent.
const PARENT_END: Block = end_block(64);

/// The last block of a message of whole blocks.
const fn end_block(size: u64) -> Block {
    let mut block = [0; BLOCK_SIZE];
    block[0] = 0x80;
    let bits = (size * 8).to_be_bytes();
    let mut i = 0;
    while i < 8 {
        block[BLOCK_SIZE - 8 + i] = bits[i];
        i += 1;
    }
    block
}

/// Hashes the first `N` of the whole leaves that lie one behind the other in `bytes`, all at once, and returns the rest.
pub(crate) fn leaves<'a, const N: usize>(kernel: Kernel, bytes: &'a [u8], on_leaf: &mut impl FnMut(Node)) -> &'a [u8] {
    let (now, rest) = bytes.split_at(N * LEAF_LEN);
    let leaves: [&[u8]; N] = std::array::from_fn(|i| &now[i * LEAF_LEN..][..LEAF_LEN]);
    let nodes = if kernel.prefers_ring() {
        leaves.map(|leaf| of(kernel, leaf))
    } else {
        let mut states = [[INITIAL]; N];
        kernel.compress(&mut states, leaves.map(|leaf| leaf.as_chunks().0));
        end_leaves(kernel, states)
    };
    nodes.into_iter().for_each(on_leaf);
    rest
}

/// Ends whole leaves.
pub(crate) fn end_leaves<const N: usize>(kernel: Kernel, mut states: [[State; 1]; N]) -> [Node; N] {
    kernel.compress(&mut states, [&[LEAF_END]; N]);
    states.map(|[state]| to_node(&state))
}

/// Ends a message of `size` bytes of which the last `size % 64` are not in the state yet, but in `tail`.
pub(crate) fn end(kernel: Kernel, state: State, tail: &[u8], size: u64) -> Node {
    let mut blocks = [[0; BLOCK_SIZE]; 2];
    let bytes = blocks.as_flattened_mut();
    bytes[..tail.len()].copy_from_slice(tail);
    bytes[tail.len()] = 0x80;
    // The length needs eight bytes; when they do not fit behind the mark, they get a block of their own.
    let used = if tail.len() < BLOCK_SIZE - 8 { BLOCK_SIZE } else { 2 * BLOCK_SIZE };
    bytes[used - 8..used].copy_from_slice(&size.wrapping_mul(8).to_be_bytes());
    let mut states = [[state]];
    kernel.compress(&mut states, [&blocks[..used / BLOCK_SIZE]]);
    to_node(&states[0][0])
}

/// Hashes two neighbours into their parent.
pub(crate) fn parent(kernel: Kernel, left: &Node, right: &Node) -> Node {
    let mut blocks = [[0; BLOCK_SIZE], PARENT_END];
    blocks[0][..32].copy_from_slice(left);
    blocks[0][32..].copy_from_slice(right);
    let mut states = [[INITIAL]];
    kernel.compress(&mut states, [&blocks]);
    to_node(&states[0][0])
}

/// Hashes bytes that are all in memory.
pub(crate) fn of(kernel: Kernel, bytes: &[u8]) -> Node {
    if kernel.prefers_ring() {
        let mut context = portable::ring_context();
        context.update(bytes);
        return portable::ring_finish(context);
    }
    let (blocks, tail) = bytes.as_chunks();
    let mut states = [[INITIAL]];
    kernel.compress(&mut states, [blocks]);
    end(kernel, states[0][0], tail, bytes.len() as u64)
}

/// The words of a state as bytes, most significant first.
pub(crate) fn to_node(state: &State) -> Node {
    let mut node = [0; 32];
    for (bytes, word) in node.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    node
}

/// The state whose words are these bytes.
pub(crate) fn from_node(node: &Node) -> State {
    let mut state = INITIAL;
    for (word, bytes) in state.iter_mut().zip(node.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    state
}
