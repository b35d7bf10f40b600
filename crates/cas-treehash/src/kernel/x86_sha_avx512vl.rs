//! The kernel for x86-64 with SHA extensions and AVX-512 VL.
//!
//! The SHA instructions reach sixteen registers only, too few for four chains with their schedules: two messages with
//! two states each, or four messages. With AVX-512 VL everything else can live in sixteen more. Nothing here is wider
//! than 128 bits.

use std::arch::x86_64::{
    _mm_add_epi32, _mm_alignr_epi8, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
    _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
};
use std::hint::black_box;

use super::x86_sha::{GROUPS, constants, kernel, load, pack, step, unpack};
use super::{Block, State};

kernel!("sha,ssse3,sse4.1,avx512f,avx512vl,avx512bw");
