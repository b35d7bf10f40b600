//! Which code turns blocks into SHA-256 states: one portable kernel, and one per instruction set that does it faster.
//!
//! A kernel knows blocks and states only. Padding, leaves, the tree and whatever a stream holds back are ordinary code
//! above it, the same for all kernels. A kernel is generic over how many streams of blocks it takes at once, and how
//! many states it feeds with each of them; all streams of a call have the same number of blocks.
//!
//! This is the only place in the workspace with `unsafe`.

use std::fmt;
use std::sync::OnceLock;

use crate::sha256::{self, Node};
use crate::tree::LEAF_LEN;

/// Repeats a block for every index below a bound, each time with the index as a constant.
///
/// An ordinary loop over a few array elements is unrolled too late for them to become registers. The bound is at most
/// four here.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
macro_rules! unroll {
    ($index:ident in $bound:ident => $body:block) => {
        unroll!(@one 0, $index, $bound, $body);
        unroll!(@one 1, $index, $bound, $body);
        unroll!(@one 2, $index, $bound, $body);
        unroll!(@one 3, $index, $bound, $body);
    };
    (@one $number:literal, $index:ident, $bound:ident, $body:block) => {
        if $number < $bound {
            const $index: usize = $number;
            $body
        }
    };
}

pub(crate) mod portable;

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86_sha;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86_sha_avx512vl;

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod aarch64_sha2;

/// One block of a SHA-256 message.
pub(crate) type Block = [u8; 64];

/// The chaining value of a SHA-256 computation: the words a to h.
pub(crate) type State = [u32; 8];

/// The state before the first block (FIPS 180-4, section 5.3.3).
pub(crate) const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The round constants (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The code that does the hashing. Every kernel gives the same answers; they differ in speed and in what they need.
///
/// | Name | Needs | Both hashes of one body | Two bodies at once | Leaves at once |
/// |---|---|---|---|---|
/// | `portable` | nothing | two passes of ring | – | 1 |
/// | `x86-sha` | SHA extensions, SSE4.1 | one pass | – | 2 |
/// | `x86-sha-avx512vl` | the same with AVX-512 VL and BW | one pass | yes | 4 |
/// | `aarch64-sha2` | SHA2 of the ARMv8 cryptography extension | one pass | yes | 4 |
///
/// [`detect`](Self::detect) takes the last that the CPU has. A build with the environment variable
/// `CAS_TREEHASH_KERNEL` set to one of these names takes that one instead, on any CPU that has it: for tests.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel(Set);

/// The kernels by instruction set. A value other than `Portable` exists only after the CPU was asked; see
/// [`Kernel::all`], the only place that makes one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Set {
    Portable,
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    X86Sha,
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    X86ShaAvx512Vl,
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    Aarch64Sha2,
}

impl Kernel {
    /// The kernel for every CPU, and the only one under Miri.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// Returns the kernel for the CPU this runs on.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<Kernel> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let all = Self::all();
            let forced = option_env!("CAS_TREEHASH_KERNEL");
            let forced = forced.and_then(|name| all.iter().find(|kernel| kernel.name() == name));
            *forced.or(all.last()).unwrap_or(&Self::PORTABLE)
        })
    }

    /// Lists every kernel that this CPU can run, from the slowest to the fastest.
    pub fn all() -> Vec<Self> {
        #[cfg_attr(miri, expect(unused_mut, reason = "Miri runs the portable kernel only"))]
        let mut all = vec![Self::PORTABLE];
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1") {
            all.push(Self(Set::X86Sha));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
            {
                all.push(Self(Set::X86ShaAvx512Vl));
            }
        }
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        if std::arch::is_aarch64_feature_detected!("neon") && std::arch::is_aarch64_feature_detected!("sha2") {
            all.push(Self(Set::Aarch64Sha2));
        }
        all
    }

    /// Returns the name of the kernel, as in the table above.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Set::X86Sha => "x86-sha",
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Set::X86ShaAvx512Vl => "x86-sha-avx512vl",
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Set::Aarch64Sha2 => "aarch64-sha2",
        }
    }

    /// Whether ring is the faster way to hash a message that nobody stops between two blocks.
    pub(crate) const fn prefers_ring(self) -> bool {
        // Miri interprets Rust; it has no ring.
        matches!(self.0, Set::Portable) && !cfg!(miri)
    }

    /// Whether two bodies at once are faster than one after the other.
    pub(crate) const fn pairs_bodies(self) -> bool {
        self.leaves_at_once() == 4
    }

    /// How many leaves this kernel hashes in little more than the time of one: 1, 2 or 4.
    const fn leaves_at_once(self) -> usize {
        match self.0 {
            Set::Portable => 1,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Set::X86Sha => 2,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Set::X86ShaAvx512Vl => 4,
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Set::Aarch64Sha2 => 4,
        }
    }

    /// Hashes whole leaves that lie one behind the other, as many at once as this kernel can.
    pub(crate) fn leaves(self, mut bytes: &[u8], mut on_leaf: impl FnMut(Node)) {
        let at_once = self.leaves_at_once();
        while !bytes.is_empty() {
            let left = bytes.len() / LEAF_LEN;
            bytes = match at_once.min(left) {
                4.. => sha256::leaves::<4>(self, bytes, &mut on_leaf),
                3 => sha256::leaves::<3>(self, bytes, &mut on_leaf),
                2 => sha256::leaves::<2>(self, bytes, &mut on_leaf),
                _ => sha256::leaves::<1>(self, bytes, &mut on_leaf),
            };
        }
    }

    /// Feeds each stream of blocks into every state of its row.
    pub(crate) fn compress<const S: usize, const D: usize>(self, states: &mut [[State; D]; S], streams: [&[Block]; S]) {
        debug_assert!(streams.iter().all(|stream| stream.len() == streams[0].len()));
        match self.0 {
            Set::Portable => portable::compress(states, streams),
            // SAFETY: `all` made this kernel after it found sha, ssse3 and sse4.1.
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Set::X86Sha => unsafe { x86_sha::compress(states, streams) },
            // SAFETY: `all` made this kernel after it found sha, ssse3, sse4.1, avx512f, avx512vl and avx512bw.
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Set::X86ShaAvx512Vl => unsafe { x86_sha_avx512vl::compress(states, streams) },
            // SAFETY: `all` made this kernel after it found neon and sha2.
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            Set::Aarch64Sha2 => unsafe { aarch64_sha2::compress(states, streams) },
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks without a pattern.
    #[cfg(not(miri))]
    fn blocks(seed: usize, count: usize) -> Vec<Block> {
        let mut state = seed as u64 | 1;
        let mut byte = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(2_685_821_657_736_338_717).to_be_bytes()[0]
        };
        (0..count).map(|_| std::array::from_fn(|_| byte())).collect()
    }

    /// Compares a kernel with the portable one in one shape: `S` streams, `D` states each.
    #[cfg(not(miri))]
    fn compare<const S: usize, const D: usize>(kernel: Kernel, count: usize) {
        let streams: [Vec<Block>; S] = std::array::from_fn(|s| blocks(7 * (count + s + 1), count));
        // States differ from stream to stream and within a stream, so that none can stand in for another.
        let mut expected = [[INITIAL; D]; S];
        for (i, state) in expected.as_flattened_mut().iter_mut().enumerate() {
            state.rotate_left(i);
        }
        let mut found = expected;
        portable::compress(&mut expected, streams.each_ref().map(Vec::as_slice));
        kernel.compress(&mut found, streams.each_ref().map(Vec::as_slice));
        assert_eq!(found, expected, "{kernel:?}, {S} streams, {D} states, {count} blocks");
    }

    #[cfg(not(miri))]
    #[test]
    fn every_kernel_agrees_with_the_portable_one_in_every_shape() {
        for kernel in Kernel::all() {
            for count in [0, 1, 2, 3, 17] {
                compare::<1, 1>(kernel, count);
                compare::<1, 2>(kernel, count);
                compare::<2, 1>(kernel, count);
                compare::<2, 2>(kernel, count);
                compare::<3, 1>(kernel, count);
                compare::<4, 1>(kernel, count);
            }
        }
    }

    #[test]
    fn the_portable_block_function_is_sha_256() {
        // The examples of FIPS 180-4 for one block and for two, padded by hand.
        let pad = |message: &[u8]| {
            let mut bytes = message.to_vec();
            bytes.push(0x80);
            bytes.resize((bytes.len() + 8).next_multiple_of(64) - 8, 0);
            bytes.extend((message.len() as u64 * 8).to_be_bytes());
            bytes
        };
        let hash = |message: &[u8]| {
            let mut states = [[INITIAL]];
            portable::compress(&mut states, [pad(message).as_chunks().0]);
            states[0][0].map(|word| format!("{word:08x}")).concat()
        };
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hash(two), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }

    #[test]
    fn names_tell_kernels_apart() {
        let all = Kernel::all();
        for (i, kernel) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other.name() == kernel.name()), Some(i));
            assert_eq!(format!("{kernel:?}"), format!("Kernel({})", kernel.name()));
        }
    }
}
