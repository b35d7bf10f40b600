//! The same answers as everywhere else, on several threads: for files, slices, and whatever else can be read at any
//! position.
//!
//! A SHA-256 of all bytes is one chain that no second thread can help with. So what runs side by side is the parts of
//! an archive, each with both its hashes, two parts at a time on each thread; or, where only the tree is wanted, any
//! pieces of it.

use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::TreeHash;
use crate::hasher::TreeHasher;
use crate::kernel::Kernel;
use crate::leaves::Leaves;
use crate::payload::{PairHasher, Payload, PayloadHasher};
use crate::read::{READ_LEN, ReadAt, TREE_READ_LEN, for_each_piece, piece_at, pieces};
use crate::stream::{Stream, clamp};
use crate::tree::{LEAF_SIZE, combine};

/// Where the threads come from and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(Pool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pool {
    Scoped(NonZero<usize>),
    #[cfg(feature = "rayon")]
    Rayon,
}

impl Threads {
    /// Takes this many threads: the caller's, and others that end before the call returns.
    pub const fn new(count: NonZero<usize>) -> Self {
        Self(Pool::Scoped(count))
    }

    /// Takes as many threads as the machine can run at the same time, or one if it does not tell.
    pub fn available() -> Self {
        Self::new(thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    /// Takes the threads of the rayon pool in which the call is made.
    #[cfg(feature = "rayon")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rayon")))]
    pub const fn rayon() -> Self {
        Self(Pool::Rayon)
    }

    /// How many threads there are.
    fn count(self) -> usize {
        match self.0 {
            Pool::Scoped(count) => count.get(),
            #[cfg(feature = "rayon")]
            Pool::Rayon => rayon::current_num_threads(),
        }
    }

    /// Runs the same function on every thread, but on no more than `most`, and returns when all are done.
    fn run(self, most: usize, work: impl Fn() + Sync) {
        let count = self.count().min(most);
        match self.0 {
            Pool::Scoped(_) => thread::scope(|scope| {
                for _ in 1..count {
                    // A thread that cannot be had is one that does not help; the caller's is enough.
                    let _helper = thread::Builder::new().spawn_scoped(scope, &work);
                }
                work();
            }),
            #[cfg(feature = "rayon")]
            Pool::Rayon => rayon::scope(|scope| {
                for _ in 0..count {
                    scope.spawn(|_| work());
                }
            }),
        }
    }
}

/// Computes both hashes of every part, in the order of the parts. The ranges count bytes, their ends excluded.
///
/// Each thread reads 1 MiB at a time, of two parts in turn as long as there are enough parts for all threads.
///
/// # Errors
///
/// Those of the source; kind `UnexpectedEof` if it ends before a part does. The parts that are not begun yet are then
/// left out.
///
/// ```
/// use cas_treehash::parallel::{self, Threads};
/// use cas_treehash::{Payload, TreeHash, combine};
///
/// let archive = vec![7; 5_000_000];
/// let parts = [0..2 << 20, 2 << 20..4 << 20, 4 << 20..5_000_000];
/// let payloads = parallel::payloads(&archive[..], &parts, Threads::available())?;
/// assert_eq!(payloads[1], Payload::of(&archive[2 << 20..4 << 20]));
///
/// let whole = combine(payloads.iter().map(|part| (part.size, part.tree_hash)));
/// assert_eq!(whole, Ok(TreeHash::of(&archive)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn payloads<S>(source: &S, parts: &[Range<u64>], threads: Threads) -> io::Result<Vec<Payload>>
where
    S: ReadAt + ?Sized,
{
    let at_once = if Kernel::detect().pairs_bodies() { 2 } else { 1 };
    in_order(threads, parts, at_once, 2 * READ_LEN, |parts, buffer| match parts {
        [a, b] => pair(source, [a, b], buffer).map(Vec::from),
        parts => parts.iter().map(|part| single(source, part, &mut buffer[..READ_LEN])).collect(),
    })
}

/// Computes the tree hash of a range. The range counts bytes, its end excluded.
///
/// # Errors
///
/// Those of the source; kind `UnexpectedEof` if it ends before the range does.
pub fn tree_hash<S>(source: &S, range: Range<u64>, threads: Threads) -> io::Result<TreeHash>
where
    S: ReadAt + ?Sized,
{
    let subtrees = subtrees(&range, threads);
    let hashes = in_order(threads, &subtrees, 1, TREE_READ_LEN, |subtrees, buffer| {
        let hash = |subtree: &Range<u64>| {
            let mut hasher = TreeHasher::new();
            for_each_piece(source, subtree.clone(), buffer, |bytes| hasher.update(bytes))?;
            Ok((hasher.size(), hasher.finish()))
        };
        subtrees.iter().map(hash).collect()
    })?;
    // The only parts that do not combine here are none at all.
    Ok(combine(hashes).unwrap_or_else(|_| TreeHash::of(&[])))
}

/// Computes the leaves of a range. The range counts bytes, its end excluded; its first byte begins the first leaf.
///
/// # Errors
///
/// Those of the source; kind `UnexpectedEof` if it ends before the range does.
pub fn leaves<S>(source: &S, range: Range<u64>, threads: Threads) -> io::Result<Leaves>
where
    S: ReadAt + ?Sized,
{
    let subtrees = subtrees(&range, threads);
    let rows = in_order(threads, &subtrees, 1, TREE_READ_LEN, |subtrees, buffer| {
        let row = |subtree: &Range<u64>| {
            let mut stream = Stream::<1>::new(Kernel::detect());
            let mut row = Leaves::new();
            for_each_piece(source, subtree.clone(), buffer, |bytes| {
                stream.update_lanes(bytes, |leaf| row.push_full(leaf));
            })?;
            row.push_end(&stream);
            Ok(row)
        };
        subtrees.iter().map(row).collect()
    })?;
    let mut leaves = Leaves::new();
    for row in &rows {
        leaves.extend(row);
    }
    Ok(leaves)
}

/// Both hashes of one part.
fn single<S: ReadAt + ?Sized>(source: &S, part: &Range<u64>, buffer: &mut [u8]) -> io::Result<Payload> {
    let mut hasher = PayloadHasher::new();
    for_each_piece(source, part.clone(), buffer, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Both hashes of two parts, read in turn.
fn pair<S: ReadAt + ?Sized>(source: &S, parts: [&Range<u64>; 2], buffer: &mut [u8]) -> io::Result<[Payload; 2]> {
    let (first, second) = buffer.split_at_mut(READ_LEN);
    let mut hasher = PairHasher::new();
    let [mut a, mut b] = parts.map(|part| pieces(part.clone(), READ_LEN));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ok(hasher.finish()),
            (a, b) => hasher.update(
                piece_at(source, first, a.unwrap_or_default())?,
                piece_at(source, second, b.unwrap_or_default())?,
            ),
        }
    }
}

/// Cuts a range into sub-trees of one size, small enough that every thread has several, and all but the last full.
fn subtrees(range: &Range<u64>, threads: Threads) -> Vec<Range<u64>> {
    const SMALLEST: u64 = TREE_READ_LEN as u64;
    const LARGEST: u64 = 64 * LEAF_SIZE;
    let share = range.end.saturating_sub(range.start) / (4 * threads.count() as u64);
    // The power of two above half the share: not more than the share, unless that is less than the smallest.
    let size = (share / 2 + 1).next_power_of_two().clamp(SMALLEST, LARGEST);
    pieces(range.clone(), clamp(size, usize::MAX)).collect()
}

/// Does something for all items on several threads, and returns the results in the order of the items.
///
/// A thread takes `at_once` items from the front as long as that leaves enough for the others; it hands them to `work`
/// together, with a buffer of its own. The first error in the order of the items wins; after any, nothing is begun.
fn in_order<I: Sync, T: Send>(
    threads: Threads,
    items: &[I],
    at_once: usize,
    buffer_len: usize,
    work: impl Fn(&[I], &mut [u8]) -> io::Result<Vec<T>> + Sync,
) -> io::Result<Vec<T>> {
    let queue = Mutex::new(Queue { next: 0, end: items.len(), results: Vec::new() });
    // A function, so that the lock is given back before the work begins.
    let take = || lock(&queue).take(at_once, threads.count());
    threads.run(items.len(), || {
        let mut buffer = Vec::new();
        while let Some(range) = take() {
            if buffer.is_empty() {
                buffer = vec![0; buffer_len];
            }
            let result = work(&items[range.clone()], &mut buffer);
            lock(&queue).put(range.start, result);
        }
    });
    let mut results = queue.into_inner().unwrap_or_else(PoisonError::into_inner).results;
    results.sort_unstable_by_key(|(start, _)| *start);
    let results: io::Result<Vec<Vec<T>>> = results.into_iter().map(|(_, result)| result).collect();
    Ok(results?.into_iter().flatten().collect())
}

/// What is still to be done, and what came out of the rest.
struct Queue<T> {
    next: usize,
    end: usize,
    /// With the index of the first item that each is for.
    results: Vec<(usize, io::Result<Vec<T>>)>,
}

impl<T> Queue<T> {
    /// Takes items for one thread out of `threads`: several at once if its share is that large.
    fn take(&mut self, at_once: usize, threads: usize) -> Option<Range<usize>> {
        let share = (self.end - self.next).div_ceil(threads);
        let start = self.next;
        self.next += share.min(at_once);
        (share > 0).then_some(start..self.next)
    }

    /// Keeps a result; after an error nothing more is taken.
    fn put(&mut self, start: usize, result: io::Result<Vec<T>>) {
        if result.is_err() {
            self.next = self.end;
        }
        self.results.push((start, result));
    }
}

/// Locks without minding a thread that panicked: the panic goes on when the threads are joined.
fn lock<T>(queue: &Mutex<T>) -> MutexGuard<'_, T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
