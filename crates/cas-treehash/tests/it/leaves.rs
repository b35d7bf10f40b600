//! The row of leaves as a thing one keeps: put together, compared, written and read.

use std::io;

use cas_treehash::{AppendError, Kernel, LEAF_SIZE, Leaves, LeavesHasher, Payload, ReadLeavesError, TreeHash, read};

use crate::oracle::{Dice, MIB};

fn written(leaves: &Leaves) -> Vec<u8> {
    let mut file = Vec::new();
    leaves.write_to(&mut file).expect("a vector takes everything");
    file
}

#[test]
fn a_row_has_one_hash_for_each_mebibyte() {
    let data = Dice::new(1).bytes(3 * MIB + 5);
    let leaves = Leaves::of(&data);
    assert_eq!((leaves.size(), leaves.len(), leaves.is_empty()), (data.len() as u64, 4, false));
    let expected: Vec<TreeHash> = data.chunks(MIB).map(TreeHash::of).collect();
    assert_eq!(leaves.iter().collect::<Vec<_>>(), expected);
    assert_eq!(leaves.get(3), Some(expected[3]));
    assert_eq!(leaves.get(4), None);
    assert_eq!(format!("{leaves:?}"), "Leaves { size: 3145733, len: 4, .. }");
}

#[test]
fn two_rows_are_made_in_step_wherever_each_stream_is() {
    let mut dice = Dice::new(7);
    let (first, second) = (dice.bytes(3 * MIB + 5), dice.bytes(2 * MIB + 777));
    for kernel in Kernel::all() {
        for ahead in [0, 64, 1000, MIB - 1, MIB] {
            let [mut a, mut b] = [(); 2].map(|()| LeavesHasher::with_kernel(kernel));
            b.update(&second[..ahead]);
            for (x, y) in first.chunks(100_000).zip(second[ahead..].chunks(90_001)) {
                LeavesHasher::update_pair([&mut a, &mut b], [x, y]);
            }
            let [at_a, at_b] = [a.size(), b.size()].map(|size| usize::try_from(size).expect("it fits"));
            LeavesHasher::update_pair([&mut a, &mut b], [&first[at_a..], &second[at_b..]]);
            for (hasher, bytes) in [(a, &first), (b, &second)] {
                assert_eq!(hasher.finish(), (Payload::of(bytes), Leaves::of(bytes)), "{} {ahead}", kernel.name());
            }
        }
    }
}

#[test]
fn the_empty_row_has_the_hash_of_nothing() {
    let leaves = Leaves::of(&[]);
    assert_eq!(leaves, Leaves::new());
    assert!(leaves.is_empty());
    assert_eq!(leaves.tree_hash(), TreeHash::of(&[]));
    assert_eq!(LeavesHasher::new().finish().1, leaves);
    assert_eq!(leaves.range_hash(0..0), None);
    assert_eq!(leaves.prove(0..0), None);
}

#[test]
fn rows_of_parts_are_appended_to_the_row_of_the_whole() {
    let data = Dice::new(2).bytes(5 * MIB + 1);
    let mut leaves = Leaves::new();
    for part in data.chunks(2 * MIB) {
        leaves.append(&Leaves::of(part)).unwrap();
    }
    assert_eq!(leaves, Leaves::of(&data));
    // Nothing changes nothing, even at the end.
    leaves.append(&Leaves::new()).unwrap();
    assert_eq!(leaves, Leaves::of(&data));
}

#[test]
fn nothing_follows_a_short_leaf_and_no_leaf_is_empty_or_too_large() {
    let leaf = TreeHash::of(b"x");
    let mut leaves = Leaves::new();
    for size in [0, LEAF_SIZE + 1] {
        let error = leaves.push(leaf, size).unwrap_err();
        assert_eq!(error.to_string(), format!("a leaf covers 1 to 1048576 bytes, found {size}"));
    }
    leaves.push(leaf, LEAF_SIZE).unwrap();
    leaves.push(leaf, 1).unwrap();
    let error = leaves.push(leaf, 1).unwrap_err();
    assert!(matches!(error, AppendError::AfterShortLeaf { size: 1_048_577, .. }), "{error:?}");
    assert_eq!(error.to_string(), "the leaves end with a short one, at 1048577 bytes");
    assert!(leaves.append(&Leaves::of(b"x")).is_err());
    assert_eq!((leaves.len(), leaves.size()), (2, LEAF_SIZE + 1));
}

#[test]
fn the_first_difference_is_found_between_rows() {
    let data = Dice::new(3).bytes(4 * MIB + 9);
    let leaves = Leaves::of(&data);
    assert_eq!(leaves.first_difference(&leaves.clone()), None);
    for at in [0, MIB - 1, MIB, 3 * MIB + 7, 4 * MIB + 8] {
        let mut changed = data.clone();
        changed[at] ^= 1;
        assert_eq!(leaves.first_difference(&Leaves::of(&changed)), Some(at / MIB));
    }
    // A row that ends first.
    for (size, expected) in [(0, 0), (MIB, 1), (2 * MIB, 2), (2 * MIB + 5, 2), (4 * MIB + 8, 4)] {
        let shorter = Leaves::of(&data[..size]);
        assert_eq!(leaves.first_difference(&shorter), Some(expected), "{size}");
        assert_eq!(shorter.first_difference(&leaves), Some(expected), "{size}");
    }
}

#[test]
fn the_first_difference_is_found_between_a_file_and_its_row() {
    let data = Dice::new(4).bytes(9 * MIB + 9);
    let leaves = Leaves::of(&data);
    let find = |file: &[u8]| read::first_difference(file, file.len() as u64, &leaves).unwrap();
    assert_eq!(find(&data), None);
    for at in [0, 3 * MIB + 7, 4 * MIB, 9 * MIB + 8] {
        let mut changed = data.clone();
        changed[at] ^= 1;
        assert_eq!(find(&changed), Some(at / MIB));
    }
    for (size, expected) in [(0, 0), (4 * MIB, 4), (8 * MIB - 1, 7), (9 * MIB, 9), (9 * MIB + 8, 9)] {
        assert_eq!(find(&data[..size]), Some(expected), "{size}");
    }
    let longer = [&data[..], &[0]].concat();
    assert_eq!(find(&longer), Some(9));
    let whole = Leaves::of(&data[..4 * MIB]);
    assert_eq!(read::first_difference(&data[..], data.len() as u64, &whole).unwrap(), Some(4));
}

#[test]
fn what_is_written_is_read_again() {
    for size in [0, 1, MIB, MIB + 1, 5 * MIB] {
        let leaves = Leaves::of(&vec![3; size]);
        let file = written(&leaves);
        assert_eq!(file.len(), 16 + 32 * leaves.len() + 32);
        assert_eq!(Leaves::read_from(&file[..]).unwrap(), leaves);
    }
}

#[test]
fn the_file_form_is_the_documented_one() {
    let leaves = Leaves::of(b"abc");
    let file = written(&leaves);
    assert_eq!(&file[..16], b"casleaf\x01\x03\0\0\0\0\0\0\0");
    assert_eq!(&file[16..48], TreeHash::of(b"abc").as_bytes());
    assert_eq!(&file[48..], crate::oracle::sha256(&file[..48]));
}

#[test]
fn every_damaged_byte_and_every_missing_byte_of_a_file_is_noticed() {
    let file = written(&Leaves::of(&vec![3; 2 * MIB + 1]));
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x40;
        let error = Leaves::read_from(&damaged[..]).unwrap_err();
        let expected = match at {
            0..7 => matches!(error, ReadLeavesError::Foreign),
            7 => matches!(error, ReadLeavesError::Version { found: 0x41, .. }),
            _ => matches!(error, ReadLeavesError::Damaged),
        };
        assert!(expected, "byte {at}: {error:?}");
        assert!(Leaves::read_from(&file[..at]).is_err(), "cut at {at}");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(Leaves::read_from(&longer[..]), Err(ReadLeavesError::Damaged)));
}

#[test]
fn a_head_that_promises_too_much_takes_no_memory() {
    let counted = allocation_counter::measure(|| {
        let mut file = b"casleaf\x01".to_vec();
        file.extend(u64::MAX.to_le_bytes());
        file.extend([0; 64]);
        assert!(matches!(Leaves::read_from(&file[..]), Err(ReadLeavesError::Damaged)));
    });
    assert!(counted.bytes_max < 10_000, "{}", counted.bytes_max);
}

#[test]
fn a_reader_that_fails_is_the_source_of_the_error() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is out"))
        }
    }
    let error = Leaves::read_from(Broken).unwrap_err();
    assert_eq!(error.to_string(), "the leaves could not be read");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the cable is out");
    assert_eq!(ReadLeavesError::Foreign.to_string(), "not a file of leaves");
    assert!(std::error::Error::source(&ReadLeavesError::Damaged).is_none());
}
