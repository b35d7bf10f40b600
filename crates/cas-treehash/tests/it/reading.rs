//! Files, readers and threads give the answers of plain slices.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use cas_treehash::parallel::{self, Threads};
use cas_treehash::{Leaves, Payload, ReadAt, TreeHash, read};

use crate::oracle::{Dice, MIB};

/// Gives a few bytes at a time, and is interrupted before each.
struct Stuttering<'a> {
    rest: &'a [u8],
    dice: Dice,
    interrupt: bool,
}

impl Read for Stuttering<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = buffer.len().min(1 + self.dice.up_to(300_000));
        self.rest.read(&mut buffer[..most])
    }
}

/// Cannot be read from a certain byte on, and counts how often it is read.
struct Broken {
    bytes: Vec<u8>,
    from: usize,
    reads: AtomicUsize,
}

impl ReadAt for Broken {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if offset + buffer.len() as u64 > self.from as u64 {
            return Err(io::Error::other(format!("bad sector under {offset}")));
        }
        self.bytes.read_exact_at(buffer, offset)
    }
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    file
}

fn threads() -> Vec<Threads> {
    let mut threads = vec![Threads::available()];
    threads.extend([1, 2, 3, 16].into_iter().filter_map(NonZero::new).map(Threads::new));
    #[cfg(feature = "rayon")]
    threads.push(Threads::rayon());
    threads
}

#[test]
fn readers_are_read_to_their_end() {
    let data = Dice::new(1).bytes(9 * MIB + 3);
    for end in [0, 1, MIB - 1, MIB, MIB + 1, 4 * MIB, data.len()] {
        let data = &data[..end];
        let reader = || Stuttering { rest: data, dice: Dice::new(2), interrupt: false };
        assert_eq!(read::payload(reader()).unwrap(), Payload::of(data));
        assert_eq!(read::tree_hash(reader()).unwrap(), TreeHash::of(data));
        assert_eq!(read::leaves(reader()).unwrap(), (Payload::of(data), Leaves::of(data)));
    }
}

#[test]
fn a_reader_that_fails_is_an_error_not_an_end() {
    let broken = || (&[7; 100][..]).chain(Stuttering { rest: &[], dice: Dice::new(1), interrupt: false });
    assert!(read::payload(broken()).is_ok());
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no more"))
        }
    }
    let failing = || (&[7; 100][..]).chain(Failing);
    assert_eq!(read::payload(failing()).unwrap_err().to_string(), "no more");
    assert_eq!(read::tree_hash(failing()).unwrap_err().to_string(), "no more");
    assert_eq!(read::leaves(failing()).unwrap_err().to_string(), "no more");
}

#[test]
fn ranges_of_files_and_slices_have_the_hashes_of_their_bytes() {
    let data = Dice::new(3).bytes(6 * MIB + 100);
    let file = file_of(&data);
    for range in [0..0, 0..1, 5..70, 1..MIB + 1, 100..4 * MIB + 100, 0..data.len(), data.len()..data.len()] {
        let bytes = &data[range.clone()];
        let range = range.start as u64..range.end as u64;
        assert_eq!(read::payload_at(&file, range.clone()).unwrap(), Payload::of(bytes));
        assert_eq!(read::payload_at(&data[..], range.clone()).unwrap(), Payload::of(bytes));
        assert_eq!(read::tree_hash_at(&file, range.clone()).unwrap(), TreeHash::of(bytes));
        for threads in threads() {
            assert_eq!(parallel::tree_hash(&file, range.clone(), threads).unwrap(), TreeHash::of(bytes));
            assert_eq!(parallel::leaves(&data[..], range.clone(), threads).unwrap(), Leaves::of(bytes));
        }
    }
}

#[test]
fn a_source_that_ends_before_the_range_is_an_error() {
    let data = vec![7; 2 * MIB];
    let file = file_of(&data);
    let range = MIB as u64..2 * MIB as u64 + 1;
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    let eof = io::ErrorKind::UnexpectedEof;
    assert_eq!(kind(read::payload_at(&file, range.clone()).map(drop)), eof);
    assert_eq!(kind(read::payload_at(&data[..], range.clone()).map(drop)), eof);
    assert_eq!(kind(read::tree_hash_at(&file, range.clone()).map(drop)), eof);
    assert_eq!(kind(read::payload_at(&data[..], u64::MAX - 1..u64::MAX).map(drop)), eof);
    assert_eq!(kind(data[..].read_exact_at(&mut [0; 2], 2 * MIB as u64 - 1)), eof);
    for threads in threads() {
        assert_eq!(kind(parallel::tree_hash(&file, range.clone(), threads).map(drop)), eof);
        assert_eq!(kind(parallel::leaves(&data[..], range.clone(), threads).map(drop)), eof);
        assert_eq!(kind(parallel::payloads(&file, std::slice::from_ref(&range), threads).map(drop)), eof);
    }
    let leaves = Leaves::of(&data);
    assert_eq!(kind(read::first_difference(&file, 3 * MIB as u64, &leaves).map(drop)), eof);
}

#[test]
fn parts_come_back_in_their_order_whatever_their_lengths_and_the_threads() {
    let data = Dice::new(4).bytes(24 * MIB);
    let file = file_of(&data);
    let mut dice = Dice::new(5);
    for count in [0, 1, 2, 3, 4, 5, 9, 20] {
        let parts: Vec<_> = (0..count)
            .map(|_| {
                let start = dice.up_to(20 * MIB);
                start..start + dice.up_to(3 * MIB)
            })
            .collect();
        let expected: Vec<Payload> = parts.iter().map(|part| Payload::of(&data[part.clone()])).collect();
        let parts: Vec<_> = parts.iter().map(|part| part.start as u64..part.end as u64).collect();
        for threads in threads() {
            assert_eq!(parallel::payloads(&file, &parts, threads).unwrap(), expected, "{count} parts, {threads:?}");
            assert_eq!(parallel::payloads(&data[..], &parts, threads).unwrap(), expected);
        }
    }
}

#[test]
fn large_ranges_are_cut_into_sub_trees_that_combine() {
    // Large enough for several sub-trees of every size that is used, and not a multiple of any.
    let data = Dice::new(6).bytes(4 * MIB);
    struct Repeated(Vec<u8>);
    impl ReadAt for Repeated {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            // Every MiB is another window of the same bytes.
            for (i, leaf) in buffer.chunks_mut(MIB).enumerate() {
                let start = (usize::try_from(offset >> 20).expect("a small source") + i) * 1021;
                leaf.copy_from_slice(&self.0[start..start + leaf.len()]);
            }
            Ok(())
        }
    }
    let source = Repeated(data);
    let size = 275 * MIB as u64 + 12_345;
    let expected = read::tree_hash_at(&source, 0..size).unwrap();
    for threads in [Threads::new(NonZero::<usize>::MIN), Threads::available()] {
        assert_eq!(parallel::tree_hash(&source, 0..size, threads).unwrap(), expected);
        assert_eq!(parallel::leaves(&source, 0..size, threads).unwrap().tree_hash(), expected);
    }
}

#[test]
fn the_first_bad_part_is_the_error_and_the_rest_is_left_alone() {
    let parts: Vec<_> = (0..64).map(|i| i * MIB as u64 / 4..(i + 1) * MIB as u64 / 4).collect();
    for threads in threads() {
        let source = Broken { bytes: vec![7; 16 * MIB], from: MIB, reads: AtomicUsize::new(0) };
        let error = parallel::payloads(&source, &parts, threads).unwrap_err();
        assert_eq!(error.to_string(), "bad sector under 1048576", "{threads:?}");
        // Four good parts, and at most what every thread had in hand.
        assert!(source.reads.into_inner() < 64, "{threads:?}");
    }
}

#[test]
fn slices_are_hashed_where_they_lie() {
    let data = vec![7; 2 * MIB];
    let mut buffer = vec![0; MIB];
    let bytes = data[..].bytes_at(&mut buffer, 5).unwrap();
    assert_eq!(bytes.as_ptr(), data[5..].as_ptr());
    assert_eq!(buffer[0], 0);
}
