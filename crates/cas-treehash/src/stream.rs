//! What all hashers share: a stream that may stop at any byte, the leaf it is in, and the tree of the leaves before.

use std::array;

use crate::kernel::{Block, INITIAL, Kernel, State, portable};
use crate::sha256::{self, BLOCK_SIZE, Node};
use crate::tree::{LEAF_LEN, LEAF_SIZE, Peaks};

/// Bytes on their way into `D` SHA-256 computations: with one, that of the current leaf; with two, first that of all
/// bytes.
#[derive(Clone)]
pub(crate) struct Stream<const D: usize> {
    pub(crate) kernel: Kernel,
    /// How many bytes came so far.
    pub(crate) size: u64,
    chains: Chains<D>,
    /// The finished leaves.
    pub(crate) peaks: Peaks,
}

/// The SHA-256 computations of a stream.
#[derive(Clone)]
enum Chains<const D: usize> {
    /// As states, which one pass of a kernel feeds together.
    States(States<D>),
    /// As ring has them: one pass each, and no way to take them out. Only where no kernel is faster.
    Ring([ring::digest::Context; D]),
}

/// The SHA-256 states of a stream, and what waits to go into them.
///
/// A leaf is a whole number of blocks, so a block belongs to one leaf, and one buffer serves all states.
#[derive(Clone, Copy)]
pub(crate) struct States<const D: usize> {
    pub(crate) states: [State; D],
    /// The bytes behind the last whole block: the first `size % 64` of these.
    pub(crate) buffer: Block,
}

impl<const D: usize> Stream<D> {
    /// Begins a stream in the way that is fastest with a kernel.
    pub(crate) fn new(kernel: Kernel) -> Self {
        let chains = if kernel.prefers_ring() {
            Chains::Ring(array::from_fn(|_| portable::ring_context()))
        } else {
            Chains::States(States::new())
        };
        Self { kernel, size: 0, chains, peaks: Peaks::new() }
    }

    /// Takes up a stream that is kept as states with any kernel.
    pub(crate) fn from_states(kernel: Kernel, size: u64, states: States<D>, peaks: Peaks) -> Self {
        Self { kernel, size, chains: Chains::States(states), peaks }
    }

    /// The states, if the stream is kept as states.
    pub(crate) fn states(&self) -> Option<&States<D>> {
        match &self.chains {
            Chains::States(states) => Some(states),
            Chains::Ring(_) => None,
        }
    }

    /// Takes bytes, and hands on each leaf that they finish.
    pub(crate) fn update(&mut self, mut bytes: &[u8], mut on_leaf: impl FnMut(Node)) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(clamp(self.leaf_room(), bytes.len()));
            self.absorb(now);
            self.close_full_leaf(&mut on_leaf);
            bytes = rest;
        }
    }

    /// Takes bytes into two streams, both at once as far as both have some, and hands on each leaf that they finish with the number of its stream.
    pub(crate) fn update_pair(
        [a, b]: [&mut Self; 2],
        [mut xs, mut ys]: [&[u8]; 2],
        mut on_leaf: impl FnMut(usize, Node),
    ) {
        while a.kernel.pairs_bodies() && !xs.is_empty() && !ys.is_empty() {
            // Two streams go in step from block to block, so each first fills the block it is in.
            if held(a.size) > 0 || held(b.size) > 0 {
                a.fill_block(&mut xs, |leaf| on_leaf(0, leaf));
                b.fill_block(&mut ys, |leaf| on_leaf(1, leaf));
                continue;
            }
            let step = clamp(a.leaf_room().min(b.leaf_room()), xs.len().min(ys.len()));
            let step = step - step % BLOCK_SIZE;
            let (Chains::States(of_a), Chains::States(of_b)) = (&mut a.chains, &mut b.chains) else { break };
            if step == 0 {
                break;
            }
            let mut states = [of_a.states, of_b.states];
            a.kernel.compress(&mut states, [xs, ys].map(|bytes| bytes[..step].as_chunks().0));
            [of_a.states, of_b.states] = states;
            for (number, stream, bytes) in [(0, &mut *a, &mut xs), (1, &mut *b, &mut ys)] {
                stream.size += step as u64;
                stream.close_full_leaf(&mut |leaf| on_leaf(number, leaf));
                *bytes = &bytes[step..];
            }
        }
        a.update(xs, |leaf| on_leaf(0, leaf));
        b.update(ys, |leaf| on_leaf(1, leaf));
    }

    /// Computes the hash of the leaf that is being filled, as if nothing came after it.
    pub(crate) fn open_leaf(&self) -> Node {
        self.end(D - 1, self.size % LEAF_SIZE)
    }

    /// Computes the root of the tree over everything so far.
    pub(crate) fn root(&self) -> Node {
        match self.peaks.root(self.kernel) {
            // The last leaf is full and in the tree.
            Some(root) if self.size.is_multiple_of(LEAF_SIZE) => root,
            _ => self.peaks.root_with(self.kernel, self.open_leaf()),
        }
    }

    /// Ends one of the computations, which had `size` bytes, without ending the stream.
    fn end(&self, chain: usize, size: u64) -> Node {
        match &self.chains {
            Chains::States(States { states, buffer }) => {
                sha256::end(self.kernel, states[chain], &buffer[..held(self.size)], size)
            }
            Chains::Ring(contexts) => portable::ring_finish(contexts[chain].clone()),
        }
    }

    /// Takes as many bytes as the current block still needs, if it is begun.
    fn fill_block(&mut self, bytes: &mut &[u8], on_leaf: impl FnMut(Node)) {
        let held = held(self.size);
        if held > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_SIZE - held));
            self.update(now, on_leaf);
            *bytes = rest;
        }
    }

    /// How many bytes the current leaf still takes; never 0.
    fn leaf_room(&self) -> u64 {
        LEAF_SIZE - self.size % LEAF_SIZE
    }

    /// Takes bytes that all belong to the current leaf.
    fn absorb(&mut self, bytes: &[u8]) {
        match &mut self.chains {
            Chains::States(states) => states.absorb(self.kernel, held(self.size), bytes),
            Chains::Ring(contexts) => contexts.iter_mut().for_each(|context| context.update(bytes)),
        }
        self.size += bytes.len() as u64;
    }

    /// Moves the current leaf into the tree if it is full.
    fn close_full_leaf(&mut self, on_leaf: &mut impl FnMut(Node)) {
        if !self.size.is_multiple_of(LEAF_SIZE) {
            return;
        }
        let leaf = match &mut self.chains {
            Chains::States(States { states, .. }) => {
                let full = std::mem::replace(&mut states[D - 1], INITIAL);
                let [leaf] = sha256::end_leaves(self.kernel, [[full]]);
                leaf
            }
            Chains::Ring(contexts) => {
                portable::ring_finish(std::mem::replace(&mut contexts[D - 1], portable::ring_context()))
            }
        };
        self.push_leaf(leaf, on_leaf);
    }

    /// Adds a finished leaf to the tree.
    fn push_leaf(&mut self, leaf: Node, on_leaf: &mut impl FnMut(Node)) {
        self.peaks.push(self.kernel, 1, leaf);
        on_leaf(leaf);
    }
}

impl Stream<2> {
    /// Computes the SHA-256 of everything so far.
    pub(crate) fn sha256(&self) -> Node {
        self.end(0, self.size)
    }
}

impl Stream<1> {
    /// Takes bytes like [`update`](Self::update), whole leaves as many at once as the kernel can.
    ///
    /// Only a stream without a hash of all bytes can do that: its leaves do not depend on each other.
    pub(crate) fn update_lanes(&mut self, bytes: &[u8], mut on_leaf: impl FnMut(Node)) {
        let to_border = if self.size.is_multiple_of(LEAF_SIZE) { 0 } else { clamp(self.leaf_room(), bytes.len()) };
        let (begun, bytes) = bytes.split_at(to_border);
        self.update(begun, &mut on_leaf);
        let (whole, bytes) = bytes.split_at(bytes.len() - bytes.len() % LEAF_LEN);
        self.kernel.leaves(whole, |leaf| {
            self.size += LEAF_SIZE;
            self.push_leaf(leaf, &mut on_leaf);
        });
        self.update(bytes, on_leaf);
    }
}

impl<const D: usize> States<D> {
    /// The states before the first byte.
    pub(crate) const fn new() -> Self {
        Self { states: [INITIAL; D], buffer: [0; BLOCK_SIZE] }
    }

    /// Takes bytes behind the `held` that are in the buffer.
    fn absorb(&mut self, kernel: Kernel, held: usize, mut bytes: &[u8]) {
        let states = array::from_mut(&mut self.states);
        if held > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_SIZE - held));
            self.buffer[held..held + now.len()].copy_from_slice(now);
            if held + now.len() < BLOCK_SIZE {
                return;
            }
            kernel.compress(states, [&[self.buffer]]);
            bytes = rest;
        }
        let (blocks, tail) = bytes.as_chunks();
        kernel.compress(states, [blocks]);
        self.buffer[..tail.len()].copy_from_slice(tail);
    }
}

/// How many bytes wait for the rest of their block, in a stream of `size` bytes.
pub(crate) const fn held(size: u64) -> usize {
    let [low, ..] = size.to_le_bytes();
    low as usize % BLOCK_SIZE
}

/// A number of bytes, but not more than `most`.
pub(crate) fn clamp(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).map_or(most, |bytes| bytes.min(most))
}
