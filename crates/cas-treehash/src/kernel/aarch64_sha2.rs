//! The kernel for 64-bit Arm with the SHA2 instructions of the cryptography extension.
//!
//! The shape is that of the x86-64 kernel, and so are the reasons; see there. The instructions are kinder: four rounds
//! at a time, the words of a state in their natural order, one instruction for each half of the schedule, and 32
//! registers that all of them reach.

use std::arch::aarch64::{
    uint32x4_t, vaddq_u32, vdupq_n_u32, vld1q_u8, vld1q_u32, vreinterpretq_u32_u8, vrev32q_u8, vsha256h2q_u32,
    vsha256hq_u32, vsha256su0q_u32, vsha256su1q_u32, vst1q_u32,
};
use std::hint::black_box;

use super::{Block, K, State};

/// Feeds each stream into every state of its row.
#[target_feature(enable = "neon,sha2")]
pub(super) fn compress<const S: usize, const D: usize>(states: &mut [[State; D]; S], streams: [&[Block]; S]) {
    let (mut abcd, mut efgh) = unpack(states);
    let mut before = (abcd, efgh);
    let blocks = streams.iter().map(|stream| stream.len()).min().unwrap_or(0);
    #[expect(clippy::needless_range_loop, reason = "it is the index into every stream")]
    for block in 0..blocks {
        let (before, k) = black_box((&mut before, &K));
        let mut m = [[vdupq_n_u32(0); 4]; S];
        unroll!(I in S => { m[I] = load(&streams[I][block]); });
        // Four rounds of every state: those of group `$i`, whose place then takes group `$i + 4`.
        macro_rules! step {
            ($i:literal) => {
                let constants = constants(k, $i);
                unroll!(I in S => {
                    let m = &mut m[I];
                    let words = vaddq_u32(m[$i % 4], constants);
                    unroll!(J in D => {
                        let old = abcd[I][J];
                        abcd[I][J] = vsha256hq_u32(abcd[I][J], efgh[I][J], words);
                        efgh[I][J] = vsha256h2q_u32(efgh[I][J], old, words);
                    });
                    if $i < 12 {
                        let half = vsha256su0q_u32(m[$i % 4], m[($i + 1) % 4]);
                        m[$i % 4] = vsha256su1q_u32(half, m[($i + 2) % 4], m[($i + 3) % 4]);
                    }
                });
            };
        }
        step!(0);
        step!(1);
        step!(2);
        step!(3);
        step!(4);
        step!(5);
        step!(6);
        step!(7);
        step!(8);
        step!(9);
        step!(10);
        step!(11);
        step!(12);
        step!(13);
        step!(14);
        step!(15);
        unroll!(I in S => { unroll!(J in D => {
            abcd[I][J] = vaddq_u32(abcd[I][J], before.0[I][J]);
            efgh[I][J] = vaddq_u32(efgh[I][J], before.1[I][J]);
            before.0[I][J] = abcd[I][J];
            before.1[I][J] = efgh[I][J];
        }); });
    }
    pack(abcd, efgh, states);
}

/// Loads the round constants of one group.
#[target_feature(enable = "neon")]
fn constants(k: &[u32; 64], i: usize) -> uint32x4_t {
    let (groups, _) = k.as_chunks::<4>();
    // SAFETY: a reference to four words is valid for reading four words.
    unsafe { vld1q_u32(groups[i].as_ptr()) }
}

/// Loads the sixteen words of a block, which stand there most significant byte first.
#[target_feature(enable = "neon")]
fn load(block: &Block) -> [uint32x4_t; 4] {
    let group = |bytes: &[u8; 16]| {
        // SAFETY: a reference to 16 bytes is valid for reading 16 bytes.
        let words = unsafe { vld1q_u8(bytes.as_ptr()) };
        vreinterpretq_u32_u8(vrev32q_u8(words))
    };
    let (groups, _) = block.as_chunks();
    [group(&groups[0]), group(&groups[1]), group(&groups[2]), group(&groups[3])]
}

/// Half of every state: the words a to d, or the words e to h.
type Halves<const S: usize, const D: usize> = [[uint32x4_t; D]; S];

/// Takes states into registers.
#[inline(never)]
#[target_feature(enable = "neon")]
fn unpack<const S: usize, const D: usize>(states: &[[State; D]; S]) -> (Halves<S, D>, Halves<S, D>) {
    let register = |words: [u32; 4]| {
        // SAFETY: a reference to four words is valid for reading four words.
        unsafe { vld1q_u32(words.as_ptr()) }
    };
    let abcd = states.map(|row| row.map(|[a, b, c, d, ..]| register([a, b, c, d])));
    let efgh = states.map(|row| row.map(|[.., e, f, g, h]| register([e, f, g, h])));
    (abcd, efgh)
}

/// Takes states out of registers.
#[inline(never)]
#[target_feature(enable = "neon")]
fn pack<const S: usize, const D: usize>(abcd: Halves<S, D>, efgh: Halves<S, D>, states: &mut [[State; D]; S]) {
    let halves = abcd.as_flattened().iter().zip(efgh.as_flattened());
    for (state, (abcd, efgh)) in states.as_flattened_mut().iter_mut().zip(halves) {
        let (low, high) = state.split_at_mut(4);
        // SAFETY: either half of a state is four words, and this call alone holds it.
        unsafe {
            vst1q_u32(low.as_mut_ptr(), *abcd);
            vst1q_u32(high.as_mut_ptr(), *efgh);
        }
    }
}
