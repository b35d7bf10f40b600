//! The kernel for x86-64 with SHA extensions, and the body that it shares with its larger sibling.
//!
//! `sha256rnds2` does two rounds and takes four cycles, but the CPU can begin another one every cycle if it belongs to
//! another chain. One message is one chain, so SHA-256 of it leaves three cycles of four unused. The body below fills
//! them: with a second state that wants the same schedule words (`D` = 2: SHA-256 and the leaf), with another message
//! (`S` = 2 or 4), or with both.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_load_si128, _mm_loadu_si128, _mm_set_epi8,
    _mm_set_epi32, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};
use std::hint::black_box;

use super::{Block, K, State};

/// The kernel's function, for the features it is given.
///
/// **State.** The instructions want the eight words in two registers, `abef` and `cdgh`. They are packed once per call
/// and unpacked at its end, by functions that are not inlined: otherwise the compiler merges the unpacking with the
/// loop, keeps four registers in one wide one, and every chain waits for all others at every block.
///
/// **Schedule.** Group `i` is the words `4i` to `4i + 3` of a block. Four groups live at a time, group `i` in slot
/// `i % 4`: the first four are loaded, and every later one is made in place of the one four before it, half by
/// `sha256msg1` and half, two steps later, by `sha256msg2`. That happens one step ahead of the rounds that need it, so
/// that these never wait for it.
///
/// **Order.** Stream after stream, and in a stream the work on the schedule between its two `sha256rnds2`, is what
/// compiles best for all shapes; other orders cost up to a third.
///
/// **`black_box`.** The state before a block is needed again only when the block is done, so its place is in memory,
/// and the constants' place is there too. The compiler would rather have all of it in registers, finds that there are
/// not enough, and moves the *running* state to memory between two blocks, where every chain then waits some ten cycles
/// for it. It cannot do that with what it cannot see through.
macro_rules! kernel {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(in crate::kernel) fn compress<const S: usize, const D: usize>(
            states: &mut [[State; D]; S],
            streams: [&[Block]; S],
        ) {
            let (mut abef, mut cdgh) = pack(states);
            let mut before = (abef, cdgh);
            let blocks = streams.iter().map(|stream| stream.len()).min().unwrap_or(0);
            for block in 0..blocks {
                let (before, k) = black_box((&mut before, &GROUPS));
                let mut m = [[_mm_setzero_si128(); 4]; S];
                unroll!(I in S => { m[I] = load(&streams[I][block]); });
                step!(0, m, abef, cdgh, k, S, D);
                step!(1, m, abef, cdgh, k, S, D);
                step!(2, m, abef, cdgh, k, S, D);
                step!(3, m, abef, cdgh, k, S, D);
                step!(4, m, abef, cdgh, k, S, D);
                step!(5, m, abef, cdgh, k, S, D);
                step!(6, m, abef, cdgh, k, S, D);
                step!(7, m, abef, cdgh, k, S, D);
                step!(8, m, abef, cdgh, k, S, D);
                step!(9, m, abef, cdgh, k, S, D);
                step!(10, m, abef, cdgh, k, S, D);
                step!(11, m, abef, cdgh, k, S, D);
                step!(12, m, abef, cdgh, k, S, D);
                step!(13, m, abef, cdgh, k, S, D);
                step!(14, m, abef, cdgh, k, S, D);
                step!(15, m, abef, cdgh, k, S, D);
                unroll!(I in S => { unroll!(J in D => {
                    abef[I][J] = _mm_add_epi32(abef[I][J], before.0[I][J]);
                    cdgh[I][J] = _mm_add_epi32(cdgh[I][J], before.1[I][J]);
                    before.0[I][J] = abef[I][J];
                    before.1[I][J] = cdgh[I][J];
                }); });
            }
            unpack(abef, cdgh, states);
        }
    };
}

/// Four rounds of every state: those of group `i`. Group `i + 2` is finished on the way, and group `i + 4` begun.
macro_rules! step {
    ($i:literal, $m:ident, $abef:ident, $cdgh:ident, $k:ident, $S:ident, $D:ident) => {
        unroll!(I in $S => {
            let m = &mut $m[I];
            let words = _mm_add_epi32(m[$i % 4], constants($k, $i));
            unroll!(J in $D => { $cdgh[I][J] = _mm_sha256rnds2_epu32($cdgh[I][J], $abef[I][J], words); });
            if 2 <= $i && $i < 14 {
                let seventh = _mm_alignr_epi8::<4>(m[($i + 1) % 4], m[$i % 4]);
                let sum = _mm_add_epi32(m[($i + 2) % 4], seventh);
                m[($i + 2) % 4] = _mm_sha256msg2_epu32(sum, m[($i + 1) % 4]);
            }
            // The instruction takes two words from the lower half.
            let words = _mm_shuffle_epi32::<0x0e>(words);
            unroll!(J in $D => { $abef[I][J] = _mm_sha256rnds2_epu32($abef[I][J], $cdgh[I][J], words); });
            if $i < 12 {
                m[$i % 4] = _mm_sha256msg1_epu32(m[$i % 4], m[($i + 1) % 4]);
            }
        });
    };
}

pub(super) use {kernel, step};

kernel!("sha,ssse3,sse4.1");

/// The round constants of one group.
#[repr(align(16))]
pub(super) struct Constants([u32; 4]);

/// All round constants.
pub(super) static GROUPS: [Constants; 16] = {
    let mut groups = [const { Constants([0; 4]) }; 16];
    let mut t = 0;
    while t < 64 {
        groups[t / 4].0[t % 4] = K[t];
        t += 1;
    }
    groups
};

/// Loads the round constants of one group.
#[target_feature(enable = "sse2")]
pub(super) fn constants(groups: &[Constants; 16], i: usize) -> __m128i {
    // SAFETY: a reference to 16 bytes is valid for reading 16 bytes, and `Constants` is aligned to 16.
    unsafe { _mm_load_si128((&raw const groups[i]).cast()) }
}

/// Loads the sixteen words of a block, which stand there most significant byte first.
#[target_feature(enable = "ssse3")]
pub(super) fn load(block: &Block) -> [__m128i; 4] {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let group = |bytes: &[u8; 16]| {
        // SAFETY: a reference to 16 bytes is valid for reading 16 bytes, and this load needs no alignment.
        let words = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        _mm_shuffle_epi8(words, order)
    };
    let (groups, _) = block.as_chunks();
    [group(&groups[0]), group(&groups[1]), group(&groups[2]), group(&groups[3])]
}

/// States as the instructions want them: the words a, b, e, f, and the words c, d, g, h.
type Packed<const S: usize, const D: usize> = [[__m128i; D]; S];

/// Packs states, the first word of each half into the highest lane.
#[inline(never)]
#[target_feature(enable = "sse2")]
pub(super) fn pack<const S: usize, const D: usize>(states: &[[State; D]; S]) -> (Packed<S, D>, Packed<S, D>) {
    let register = |w: [u32; 4]| {
        let [w3, w2, w1, w0] = w.map(u32::cast_signed);
        _mm_set_epi32(w3, w2, w1, w0)
    };
    let abef = states.map(|row| row.map(|[a, b, _, _, e, f, _, _]| register([a, b, e, f])));
    let cdgh = states.map(|row| row.map(|[_, _, c, d, _, _, g, h]| register([c, d, g, h])));
    (abef, cdgh)
}

/// Unpacks states. Takes them by value: what a reference points to has to be in memory.
#[inline(never)]
#[target_feature(enable = "sse4.1")]
pub(super) fn unpack<const S: usize, const D: usize>(
    abef: Packed<S, D>,
    cdgh: Packed<S, D>,
    states: &mut [[State; D]; S],
) {
    let words = |register| {
        [
            _mm_extract_epi32::<3>(register).cast_unsigned(),
            _mm_extract_epi32::<2>(register).cast_unsigned(),
            _mm_extract_epi32::<1>(register).cast_unsigned(),
            _mm_extract_epi32::<0>(register).cast_unsigned(),
        ]
    };
    let packed = abef.as_flattened().iter().zip(cdgh.as_flattened());
    for (state, (abef, cdgh)) in states.as_flattened_mut().iter_mut().zip(packed) {
        let ([a, b, e, f], [c, d, g, h]) = (words(*abef), words(*cdgh));
        *state = [a, b, c, d, e, f, g, h];
    }
}
