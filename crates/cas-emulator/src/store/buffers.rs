//! Memory that a disk can take bytes from directly: a few large pieces that are used again and again.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

/// How many bytes a buffer holds: a large page of the processor. In one page a write is one run of memory, and costs a third of what it costs
/// in many small ones.
pub(crate) const SIZE: usize = 2 << 20;

/// What disks want memory, offsets and lengths to be multiples of. Most are content with an eighth.
pub(crate) const BLOCK: usize = 4 << 10;

/// How many buffers there are at most, in use or not: 32 MiB.
const MOST: usize = 16;

/// Where buffers come from and go back to. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    idle: Vec<Memory>,
    made: usize,
}

impl Buffers {
    /// Two empty buffers, unless all are in use, or the system has no memory to give.
    pub(crate) fn pair(&self) -> Option<[Buffer; 2]> {
        let mut shelf = self.shelf();
        while shelf.idle.len() < 2 {
            if shelf.made == MOST {
                return None;
            }
            let memory = Memory::new().inspect_err(|error| tracing::debug!(%error, "there is no memory for a buffer"));
            shelf.idle.push(memory.ok()?);
            shelf.made += 1;
        }
        let pair = [shelf.idle.pop(), shelf.idle.pop()];
        Some(pair.map(|memory| Buffer { memory, length: 0, home: self.clone() }))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to [`SIZE`] bytes, the first of which is at the beginning of a block of memory.
pub(crate) struct Buffer {
    /// There until the buffer is dropped.
    memory: Option<Memory>,
    length: usize,
    home: Buffers,
}

impl Buffer {
    /// What it holds.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory.bytes()[..self.length])
    }

    /// Adds as many of these bytes as there is room for, and returns the others.
    pub(crate) fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(SIZE - self.length));
        if let Some(memory) = &mut self.memory {
            memory.bytes_mut()[self.length..][..now.len()].copy_from_slice(now);
            self.length += now.len();
        }
        later
    }

    /// Forgets all bytes but the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.shelf().idle.extend(self.memory.take());
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The memory of a buffer.
#[derive(Debug)]
struct Memory {
    /// Twice as long as it need be, so that a large page lies in it. What is not touched takes no memory.
    map: MmapMut,
    start: usize,
}

impl Memory {
    fn new() -> io::Result<Self> {
        let map = MmapMut::map_anon(2 * SIZE)?;
        // Without large pages it works as well, only slower.
        #[cfg(target_os = "linux")]
        drop(map.advise(memmap2::Advice::HugePage));
        let start = map.as_ptr().align_offset(SIZE);
        Ok(Memory { map, start })
    }

    fn bytes(&self) -> &[u8] {
        &self.map[self.start..][..SIZE]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..SIZE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_takes_what_it_has_room_for_and_begins_where_a_page_does() {
        let [mut buffer, _] = Buffers::default().pair().unwrap();
        assert_eq!(buffer.fill(b"abc"), b"");
        let many = vec![b'x'; SIZE];
        assert_eq!(buffer.fill(&many).len(), 3);
        assert_eq!((buffer.bytes().len(), &buffer.bytes()[..4]), (SIZE, &b"abcx"[..]));
        assert_eq!(buffer.bytes().as_ptr().align_offset(SIZE), 0);
        buffer.truncate(2);
        assert_eq!(buffer.fill(b"c"), b"");
        assert_eq!(buffer.bytes(), b"abc");
    }

    #[test]
    fn there_are_sixteen_and_those_that_come_back_are_used_again() {
        let buffers = Buffers::default();
        let mut pairs: Vec<_> = (0..MOST / 2).map(|_| buffers.pair().unwrap()).collect();
        assert!(buffers.pair().is_none());
        let [mut one, other] = pairs.pop().unwrap();
        one.fill(b"old");
        drop(one);
        assert!(buffers.pair().is_none());
        drop(other);
        let again = buffers.pair().unwrap();
        assert!(again.iter().all(|buffer| buffer.bytes().is_empty()));
        drop((again, pairs));
        let shelf = buffers.shelf();
        assert_eq!((shelf.idle.len(), shelf.made), (MOST, MOST));
    }
}
