//! A saved state goes on anywhere, and nothing else is taken for one.

use cas_treehash::{Kernel, Payload, PayloadHasher, RestoreError, Resumable, TreeHash, TreeHasher};

use crate::oracle::{Dice, MIB};

type Both = Resumable<PayloadHasher>;
type Tree = Resumable<TreeHasher>;

fn saved_after(bytes: &[u8]) -> Vec<u8> {
    let mut hasher = Both::new();
    hasher.update(bytes);
    hasher.save()
}

#[test]
fn a_stream_goes_on_from_any_byte_on_any_kernel() {
    let data = Dice::new(1).bytes(7 * MIB + 100);
    let stops = [0, 1, 63, 64, 65, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 70, 7 * MIB, data.len()];
    let (payload, tree_hash) = (Payload::of(&data), TreeHash::of(&data));
    for stop in stops {
        for from in Kernel::all() {
            let mut both = Both::with_kernel(from);
            let mut tree = Tree::with_kernel(from);
            both.update(&data[..stop]);
            tree.update(&data[..stop]);
            let (both, tree) = (both.save(), tree.save());
            assert!(both.len() < 2048);
            for to in Kernel::all() {
                let mut both = Both::restore_with_kernel(&both, to).unwrap();
                let mut tree = Tree::restore_with_kernel(&tree, to).unwrap();
                assert_eq!((both.size(), tree.size()), (stop as u64, stop as u64));
                both.update(&data[stop..]);
                tree.update(&data[stop..]);
                assert_eq!(both.finish(), payload, "stopped at {stop}, from {from:?} to {to:?}");
                assert_eq!(tree.finish(), tree_hash, "stopped at {stop}, from {from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn the_form_is_the_documented_one_and_the_same_everywhere() {
    // The state of three bytes: nothing is hashed yet, and the bytes wait.
    let state = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19";
    let text = format!("6361732d68617368 01 50 0300000000000000 {state} {state} 616263").replace(' ', "");
    let mut expected: Vec<u8> =
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect();
    let checksum = crate::oracle::sha256(&expected);
    expected.extend(checksum);
    for kernel in Kernel::all() {
        let mut hasher = Both::with_kernel(kernel);
        hasher.update(b"abc");
        assert_eq!(hasher.save(), expected);
    }
    // Eleven leaves are 1011: sub-trees of eight, two and one.
    assert_eq!(saved_after(&vec![7; 11 * MIB]).len(), 8 + 2 + 8 + 2 * 32 + 3 * 32 + 32);
}

#[test]
fn every_damaged_byte_and_every_missing_byte_is_noticed() {
    let saved = saved_after(&Dice::new(2).bytes(3 * MIB + 30));
    assert!(Both::restore(&saved).is_ok());
    for at in 0..saved.len() {
        let mut damaged = saved.clone();
        damaged[at] ^= 0x10;
        let error = Both::restore(&damaged).unwrap_err();
        let expected = match at {
            0..8 => error == RestoreError::Foreign,
            8 => matches!(error, RestoreError::Version { found: 0x11, .. }),
            9 => error == RestoreError::OtherHasher,
            _ => error == RestoreError::Damaged,
        };
        assert!(expected, "byte {at}: {error:?}");
        assert!(Both::restore(&saved[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(Both::restore(&[&saved[..], &[0]].concat()).unwrap_err(), RestoreError::Damaged);
    assert_eq!(Both::restore(b"").unwrap_err(), RestoreError::Foreign);
}

#[test]
fn one_hasher_does_not_take_the_state_of_the_other() {
    assert_eq!(Tree::restore(&Both::new().save()).unwrap_err(), RestoreError::OtherHasher);
    assert_eq!(Both::restore(&Tree::new().save()).unwrap_err(), RestoreError::OtherHasher);
}

#[test]
fn a_state_of_impossible_size_is_refused_even_with_a_right_checksum() {
    let with_size = |size: u64, extra: usize| {
        let mut form = saved_after(b"");
        form.truncate(form.len() - 32);
        form[10..18].copy_from_slice(&size.to_le_bytes());
        form.resize(form.len() + extra, 0);
        let checksum = crate::oracle::sha256(&form);
        [&form[..], &checksum].concat()
    };
    assert!(Both::restore(&with_size(0, 0)).is_ok());
    // 2^61 bytes are one more than SHA-256 can count; 2^60 are one sub-tree.
    assert!(Both::restore(&with_size(1 << 60, 32)).is_ok());
    assert_eq!(Both::restore(&with_size(1 << 61, 32)).unwrap_err(), RestoreError::Damaged);
    assert_eq!(Both::restore(&with_size(u64::MAX, 63 + 44 * 32)).unwrap_err(), RestoreError::Damaged);
    // Sizes that need other parts than are there.
    assert_eq!(Both::restore(&with_size(1 << 60, 0)).unwrap_err(), RestoreError::Damaged);
    assert_eq!(Both::restore(&with_size(5, 0)).unwrap_err(), RestoreError::Damaged);
    assert_eq!(Both::restore(&with_size(5, 37)).unwrap_err(), RestoreError::Damaged);
    assert_eq!(Both::restore(&with_size(32, 0)).unwrap_err(), RestoreError::Damaged);
}

#[test]
fn the_largest_stream_there_can_be_still_hashes() {
    // All leaves but the last of 2^61 - 1 bytes are there: every slot of the stack that can be taken is.
    let mut form = saved_after(b"");
    form.truncate(form.len() - 32);
    let size = (1u64 << 61) - (1 << 20);
    form[10..18].copy_from_slice(&size.to_le_bytes());
    form.resize(form.len() + 32 * 41, 7);
    let checksum = crate::oracle::sha256(&form);
    form.extend(checksum);
    let mut hasher = Both::restore(&form).unwrap();
    hasher.update(&vec![1; MIB]);
    assert_eq!(hasher.finish().size, 1 << 61);
    assert_eq!(hasher.save().len(), 8 + 2 + 8 + 64 + 32 + 32);
}

#[test]
fn errors_say_what_was_found() {
    let version = Both::restore(b"cas-hash\x07P").unwrap_err();
    assert_eq!(version.to_string(), "saved state of version 7, expected 1");
    assert_eq!(RestoreError::Foreign.to_string(), "not the saved state of a hasher");
    assert_eq!(RestoreError::OtherHasher.to_string(), "the saved state of another type of hasher");
    assert_eq!(RestoreError::Damaged.to_string(), "the saved state is damaged");
}
