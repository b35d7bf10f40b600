//! What all hashers share: a stream that may stop at any byte, the leaf it is in, and the tree of the leaves before.

use crate::kernel::{INITIAL, Kernel, State};
use crate::sha256::{self, BLOCK_SIZE, Node};
use crate::tree::{LEAF_LEN, LEAF_SIZE, Peaks};

/// Bytes on their way into `D` SHA-256 states: with one, that of the current leaf; with two, also that of all bytes.
///
/// A leaf is a whole number of blocks, so a block belongs to one leaf, and one buffer serves both states.
#[derive(Clone)]
pub(crate) struct Stream<const D: usize> {
    pub(crate) kernel: Kernel,
    /// How many bytes came so far.
    pub(crate) size: u64,
    /// The state of all bytes first, if it is kept; the state of the leaf last.
    pub(crate) states: [State; D],
    /// The bytes behind the last whole block: the first `size % 64` of these.
    pub(crate) buffer: [u8; BLOCK_SIZE],
    /// The finished leaves.
    pub(crate) peaks: Peaks,
}

impl<const D: usize> Stream<D> {
    pub(crate) const fn new(kernel: Kernel) -> Self {
        Self { kernel, size: 0, states: [INITIAL; D], buffer: [0; BLOCK_SIZE], peaks: Peaks::new() }
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

    /// Takes bytes into two streams, both at once as far as both have some.
    pub(crate) fn update_pair([a, b]: [&mut Self; 2], [mut xs, mut ys]: [&[u8]; 2]) {
        while a.kernel.pairs_bodies() && !xs.is_empty() && !ys.is_empty() {
            // Two streams go in step from block to block, so each first fills the block it is in.
            if a.held() > 0 || b.held() > 0 {
                a.fill_block(&mut xs);
                b.fill_block(&mut ys);
                continue;
            }
            let step = clamp(a.leaf_room().min(b.leaf_room()), xs.len().min(ys.len()));
            let blocks = [xs, ys].map(|bytes| bytes[..step].as_chunks().0);
            if blocks[0].is_empty() {
                break;
            }
            let mut states = [a.states, b.states];
            a.kernel.compress(&mut states, blocks);
            [a.states, b.states] = states;
            for (stream, bytes) in [(&mut *a, &mut xs), (&mut *b, &mut ys)] {
                let taken = blocks[0].as_flattened().len();
                stream.size += taken as u64;
                stream.close_full_leaf(&mut |_| ());
                *bytes = &bytes[taken..];
            }
        }
        a.update(xs, |_| ());
        b.update(ys, |_| ());
    }

    /// Takes as many bytes as the current block still needs, if it is begun.
    fn fill_block(&mut self, bytes: &mut &[u8]) {
        if self.held() > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_SIZE - self.held()));
            self.update(now, |_| ());
            *bytes = rest;
        }
    }

    /// The hash of the leaf that is being filled, as if nothing came after it.
    pub(crate) fn open_leaf(&self) -> Node {
        sha256::end(self.kernel, self.states[D - 1], self.tail(), self.size % LEAF_SIZE)
    }

    /// Whether the last leaf is still open. Of no bytes at all, the one and only leaf is.
    pub(crate) fn has_open_leaf(&self) -> bool {
        self.size == 0 || !self.size.is_multiple_of(LEAF_SIZE)
    }

    /// The root of the tree over everything so far.
    pub(crate) fn root(&self) -> Node {
        match self.peaks.root(self.kernel) {
            Some(root) if !self.has_open_leaf() => root,
            _ => self.peaks.root_with(self.kernel, self.open_leaf()),
        }
    }

    /// The bytes that wait for the rest of their block.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.buffer[..self.held()]
    }

    /// How many bytes wait for the rest of their block.
    pub(crate) fn held(&self) -> usize {
        clamp(self.size % BLOCK_SIZE as u64, BLOCK_SIZE)
    }

    /// How many bytes the current leaf still takes; never 0.
    fn leaf_room(&self) -> u64 {
        LEAF_SIZE - self.size % LEAF_SIZE
    }

    /// Takes bytes that all belong to the current leaf.
    fn absorb(&mut self, mut bytes: &[u8]) {
        let held = self.held();
        self.size += bytes.len() as u64;
        if held > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_SIZE - held));
            self.buffer[held..held + now.len()].copy_from_slice(now);
            if held + now.len() < BLOCK_SIZE {
                return;
            }
            self.kernel.compress(std::array::from_mut(&mut self.states), [&[self.buffer]]);
            bytes = rest;
        }
        let (blocks, tail) = bytes.as_chunks();
        self.kernel.compress(std::array::from_mut(&mut self.states), [blocks]);
        self.buffer[..tail.len()].copy_from_slice(tail);
    }

    /// Moves the current leaf into the tree if it is full.
    fn close_full_leaf(&mut self, on_leaf: &mut impl FnMut(Node)) {
        if self.size.is_multiple_of(LEAF_SIZE) {
            let [leaf] = sha256::end_leaves(self.kernel, [[self.states[D - 1]]]);
            self.states[D - 1] = INITIAL;
            self.push_leaf(leaf, on_leaf);
        }
    }

    /// Adds a finished leaf to the tree.
    fn push_leaf(&mut self, leaf: Node, on_leaf: &mut impl FnMut(Node)) {
        self.peaks.push(self.kernel, 1, leaf);
        on_leaf(leaf);
    }
}

impl Stream<1> {
    /// Takes bytes like [`update`](Self::update), whole leaves as many at once as the kernel can.
    ///
    /// Only a stream without a state of all bytes can do that: its leaves do not depend on each other.
    pub(crate) fn update_lanes(&mut self, bytes: &[u8], mut on_leaf: impl FnMut(Node)) {
        let to_border = if self.size.is_multiple_of(LEAF_SIZE) { 0 } else { clamp(self.leaf_room(), bytes.len()) };
        let (begun, bytes) = bytes.split_at(to_border);
        self.update(begun, &mut on_leaf);
        let (whole, bytes) = bytes.split_at(bytes.len() - bytes.len() % LEAF_LEN);
        self.kernel.leaves(whole, |leaf| {
            self.size += LEAF_SIZE;
            self.peaks.push(self.kernel, 1, leaf);
            on_leaf(leaf);
        });
        self.update(bytes, on_leaf);
    }
}

/// A number of bytes, but not more than `most`.
pub(crate) fn clamp(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).map_or(most, |bytes| bytes.min(most))
}
