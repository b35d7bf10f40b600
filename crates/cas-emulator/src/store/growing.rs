//! A file that grows at its end, by terabytes if need be: large ones go around the system's cache, so that they neither fill it nor pay for it.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::buffers::{self, BLOCK, Buffer, Buffers};

/// How many bytes go through the cache first. Who only announces bytes, or has few, takes no buffers from the others.
const FIRST: u64 = 1 << 20;

/// How full a buffer is when it is handed to a thread that writes it. The next piece of a body still finds room.
const FULL: usize = buffers::SIZE - (512 << 10);

/// A file that is written from its beginning to its end, once.
#[derive(Debug)]
pub(crate) struct GrowingFile {
    file: Arc<File>,
    /// How many bytes went through the cache.
    cached: u64,
    /// Where buffers are found, while there may be a reason to look for some.
    buffers: Option<Buffers>,
    /// How it is written around the cache, once it is.
    direct: Option<Direct>,
}

/// One buffer is filled while the other is written.
#[derive(Debug)]
struct Direct {
    filling: Buffer,
    /// Where in the file `filling` goes.
    offset: u64,
    /// The other buffer, once it is written.
    other: oneshot::Receiver<io::Result<Buffer>>,
}

impl GrowingFile {
    /// Takes a new file.
    pub(crate) fn new(file: File) -> Self {
        GrowingFile { file: Arc::new(file), cached: 0, buffers: None, direct: None }
    }

    /// Writes around the cache as soon as there are buffers, if so many bytes are worth it and the file system can.
    pub(crate) fn expect(&mut self, bytes: u64, buffers: &Buffers) {
        if bytes >= 2 * FIRST && use_cache(&self.file, false).and_then(|()| use_cache(&self.file, true)).is_ok() {
            self.buffers = Some(buffers.clone());
        }
    }

    /// Adds bytes at the end. Waits for the disk if a buffer is full that was not [handed over](Self::hand_over).
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = if self.direct.is_some() { bytes } else { self.append_through_cache(bytes)? };
        match &mut self.direct {
            Some(direct) => direct.append(&self.file, bytes),
            None => Ok(()),
        }
    }

    /// Adds bytes through the cache: all of them, or those up to the next block if the way around it is free from there on. Returns the others.
    fn append_through_cache<'b>(&mut self, bytes: &'b [u8]) -> io::Result<&'b [u8]> {
        let to_block = usize::try_from(self.cached.next_multiple_of(BLOCK as u64) - self.cached).unwrap_or(BLOCK);
        let pair = match &self.buffers {
            Some(buffers) if self.cached >= FIRST && bytes.len() >= to_block => buffers.pair(),
            _ => None,
        };
        let (now, later) = bytes.split_at(if pair.is_some() { to_block } else { bytes.len() });
        (&*self.file).write_all(now)?;
        self.cached += now.len() as u64;
        if let Some([filling, other]) = pair {
            use_cache(&self.file, false)?;
            self.direct = Some(Direct { filling, offset: self.cached, other: already(other) });
        }
        Ok(later)
    }

    /// Has a thread write what has come so far, if that is worth it, and waits until it is done with what it was given before.
    pub(crate) async fn hand_over(&mut self) -> io::Result<()> {
        let Some(direct) = &mut self.direct else { return Ok(()) };
        if direct.filling.bytes().len() < FULL {
            return Ok(());
        }
        let mut next = come_back((&mut direct.other).await)?;
        next.truncate(0);
        let (blocks, rest) = whole_blocks(direct.filling.bytes());
        let (length, offset) = (blocks.len(), direct.offset);
        next.fill(rest);
        let mut full = std::mem::replace(&mut direct.filling, next);
        full.truncate(length);
        direct.offset += length as u64;

        let (done, written) = oneshot::channel();
        direct.other = written;
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || {
            let written = write_at(&file, full.bytes(), offset).map(|()| full);
            // Whoever gave the file up does not want to know.
            drop(done.send(written));
        });
        Ok(())
    }

    /// The file with all its bytes, which are not safe yet. Blocks.
    pub(crate) fn finish(self) -> io::Result<Arc<File>> {
        let GrowingFile { file, direct, .. } = self;
        if let Some(Direct { filling, offset, other }) = direct {
            come_back(other.blocking_recv())?;
            let (blocks, rest) = whole_blocks(filling.bytes());
            write_at(&file, blocks, offset)?;
            if !rest.is_empty() {
                use_cache(&file, true)?;
                write_all_at(&file, rest, offset + blocks.len() as u64)?;
            }
        }
        Ok(file)
    }
}

impl Direct {
    fn append(&mut self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut rest = self.filling.fill(bytes);
        while !rest.is_empty() {
            write_at(file, self.filling.bytes(), self.offset)?;
            self.offset += buffers::SIZE as u64;
            self.filling.truncate(0);
            rest = self.filling.fill(rest);
        }
        Ok(())
    }
}

/// A buffer that need not be waited for.
fn already(buffer: Buffer) -> oneshot::Receiver<io::Result<Buffer>> {
    let (done, written) = oneshot::channel();
    drop(done.send(Ok(buffer)));
    written
}

fn come_back(written: Result<io::Result<Buffer>, oneshot::error::RecvError>) -> io::Result<Buffer> {
    written.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The bytes up to the last whole block, and the others.
fn whole_blocks(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / BLOCK * BLOCK)
}

/// Writes whole blocks to a file that goes around the cache. If that fails they go through it: there are file systems that know the flag and
/// refuse the write, and disks with stricter rules than ours.
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let Err(error) = write_all_at(file, bytes, offset) else { return Ok(()) };
    tracing::debug!(%error, "a write around the system's cache failed");
    use_cache(file, true)?;
    write_all_at(file, bytes, offset)
}

#[cfg(target_os = "linux")]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Says whether writes go through the system's cache.
#[cfg(target_os = "linux")]
fn use_cache(file: &File, yes: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, !yes);
    Ok(fcntl_setfl(file, flags)?)
}

/// No file goes around the cache here, so this is not reached.
#[cfg(not(target_os = "linux"))]
fn write_all_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn use_cache(_: &File, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(total: usize) -> Vec<u8> {
        (0..total).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    /// What a file holds after these bytes were appended in pieces, handed over or not.
    async fn grown(bytes: &[u8], piece: usize, expected: u64, hand_over: bool) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut growing = GrowingFile::new(File::create_new(&path).unwrap());
        growing.expect(expected, &Buffers::default());
        for piece in bytes.chunks(piece) {
            growing.append(piece).unwrap();
            if hand_over {
                growing.hand_over().await.unwrap();
            }
        }
        tokio::task::spawn_blocking(|| drop(growing.finish().unwrap())).await.unwrap();
        std::fs::read(&path).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_what_was_appended_whatever_was_expected() {
        for length in [0, 1, BLOCK, (2 << 20) - 1, 2 << 20, 5 * (1 << 20) + 3, 9 << 20] {
            let bytes = pattern(length);
            for expected in [0, 2 * FIRST, length as u64, u64::MAX] {
                for (piece, hand_over) in [(99_991, true), (400 << 10, true), (5 << 20, true), (1 << 20, false)] {
                    let found = grown(&bytes, piece, expected, hand_over).await;
                    assert!(found == bytes, "{length} in {piece}, {expected} expected, handed over: {hand_over}");
                }
            }
        }
    }

    /// A file that expects much and has its first bytes, unless this system has no way around its cache, or the file system has none.
    fn begun(buffers: &Buffers, first: &[u8]) -> Option<GrowingFile> {
        let mut growing = GrowingFile::new(tempfile::tempfile().unwrap());
        growing.expect(u64::MAX, buffers);
        growing.append(first).unwrap();
        growing.buffers.is_some().then_some(growing)
    }

    #[test]
    fn buffers_are_taken_after_the_first_bytes_and_as_soon_as_there_are_some() {
        let buffers = Buffers::default();
        let pairs: Vec<_> = std::iter::from_fn(|| buffers.pair()).collect();
        let first = pattern(usize::try_from(FIRST).unwrap() + 1);
        let Some(mut growing) = begun(&buffers, &first) else { return };
        growing.append(&first).unwrap();
        assert!(growing.direct.is_none(), "all buffers are in use");
        drop(pairs);
        growing.append(b"less than the rest of a block").unwrap();
        assert!(growing.direct.is_none());
        growing.append(&first).unwrap();
        assert!(growing.direct.is_some());

        let growing = begun(&buffers, &first[..FULL / 2]).unwrap();
        assert!(growing.direct.is_none(), "too few bytes have come");
    }

    #[tokio::test]
    async fn an_error_of_the_thread_that_writes_is_not_lost() {
        let (buffers, bytes) = (Buffers::default(), pattern(FULL + BLOCK));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap();
        for again in [true, false] {
            let Some(mut growing) = begun(&buffers, &bytes) else { return };
            growing.append(&bytes).unwrap();
            // From here on a file that cannot be written at all.
            growing.file = Arc::new(File::open(&path).unwrap());
            growing.hand_over().await.unwrap();
            growing.append(&bytes).unwrap();
            if again {
                growing.hand_over().await.unwrap_err();
            } else {
                tokio::task::spawn_blocking(|| drop(growing.finish().unwrap_err())).await.unwrap();
            }
        }
        // Nor are the buffers.
        let pairs: Vec<_> = std::iter::from_fn(|| buffers.pair()).collect();
        assert_eq!(pairs.len(), 8);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_disk_refuses_goes_through_the_cache() {
        use std::os::unix::fs::FileExt as _;
        let file = tempfile::tempfile().unwrap();
        // Where the file system knows no such thing, nothing is refused.
        drop(use_cache(&file, false));
        let bytes = pattern(BLOCK + 1);
        write_at(&file, &bytes[1..], 3).unwrap();
        let mut found = vec![0; BLOCK];
        use_cache(&file, true).unwrap();
        file.read_exact_at(&mut found, 3).unwrap();
        assert!(found == bytes[1..]);
    }
}
