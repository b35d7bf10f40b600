//! A file that grows at its end, by terabytes if need be: with room found ahead, and without filling the machine's memory.

use std::fs::File;
use std::io::{self, Write as _};

/// For how many bytes room is found at once. Finding it for every block that is written takes as long as copying the bytes.
const ROOM: u64 = 32 << 20;

/// A shorter file than this gets no room ahead: there the call costs more than it saves.
const LITTLE: u64 = 1 << 20;

/// After how many bytes the disk is told to begin with them. What the system would let pile up, all would wait for at the end of the file.
const WINDOW: u64 = 2 << 20;

/// A file that is written from its beginning to its end, once.
#[derive(Debug)]
pub(crate) struct GrowingFile {
    file: File,
    length: u64,
    /// How long the file will be, as far as that is known.
    expected: u64,
    /// Up to where there is room.
    room: u64,
    /// Whether the bytes have to reach the disk.
    durable: bool,
}

impl GrowingFile {
    /// Takes a new file.
    pub(crate) fn new(file: File, durable: bool) -> Self {
        GrowingFile { file, length: 0, expected: 0, room: 0, durable }
    }

    /// Says how many bytes are to come. It is no error when fewer or more do.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.expected = bytes;
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len() as u64;
        if end > self.room && self.expected >= LITTLE {
            self.make_room(end)?;
        }
        self.file.write_all(bytes)?;
        let (before, now) = (self.length / WINDOW, end / WINDOW);
        self.length = end;
        if self.durable && before < now {
            // The window before these was begun with last time. What is on the disk by now is forgotten.
            let from = before.saturating_sub(1) * WINDOW;
            begin_writing(&self.file, from, now * WINDOW - from);
        }
        Ok(())
    }

    /// The file with all its bytes, which are not safe yet.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    fn make_room(&mut self, end: u64) -> io::Result<()> {
        let room = self.expected.min(self.room + ROOM).max(end);
        // Where the file system knows no such thing, writing finds the room.
        self.room = if find_room(&self.file, self.room, room - self.room)? { room } else { u64::MAX };
        Ok(())
    }
}

/// Finds room for bytes that will be written, and says whether that is possible here. A full disk is an error.
#[cfg(target_os = "linux")]
fn find_room(file: &File, from: u64, length: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, from, length) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(full @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => return Err(full.into()),
            Err(_) => return Ok(false),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn find_room(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Asks the disk to begin with these bytes, without waiting for it, and the system to forget those of them that are written.
///
/// That is advice: whoever wants to know that bytes are safe syncs the file.
#[cfg(target_os = "linux")]
fn begin_writing(file: &File, from: u64, length: u64) {
    use rustix::fs::{Advice, fadvise};
    if let Err(error) = fadvise(file, from, std::num::NonZeroU64::new(length), Advice::DontNeed) {
        tracing::debug!(%error, "the system takes no advice about a file");
    }
}

#[cfg(not(target_os = "linux"))]
fn begin_writing(_: &File, _: u64, _: u64) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file holds after pieces of this size were appended, beside what they were.
    fn grown(total: usize, piece: usize, expected: u64, durable: bool) -> (Vec<u8>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let bytes: Vec<u8> = (0..total).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let mut growing = GrowingFile::new(File::create_new(&path).unwrap(), durable);
        growing.expect(expected);
        for piece in bytes.chunks(piece) {
            growing.append(piece).unwrap();
        }
        drop(growing.into_file());
        (std::fs::read(&path).unwrap(), bytes)
    }

    #[test]
    fn a_file_is_what_was_appended_whatever_was_expected() {
        let length = 5 * (1 << 20) + 3;
        for expected in [0, LITTLE, length - 1, length, length + 1, 10 * length, u64::MAX] {
            for (piece, durable) in [(99_991, true), (5 << 20, true), (1 << 20, false)] {
                let (found, wanted) = grown(usize::try_from(length).unwrap(), piece, expected, durable);
                assert!(found == wanted, "{piece} bytes at once, {expected} expected, durable {durable}");
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn room_is_found_ahead_step_by_step_and_never_beyond_the_end() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let mut growing = GrowingFile::new(File::create_new(directory.path().join("file")).unwrap(), true);
        growing.expect(ROOM + LITTLE);
        growing.append(b"a").unwrap();
        // A file system without such a thing is asked once.
        assert!([ROOM, u64::MAX].contains(&growing.room), "{}", growing.room);
        growing.append(&vec![b'b'; usize::try_from(ROOM).unwrap()]).unwrap();
        assert!([ROOM + LITTLE, u64::MAX].contains(&growing.room), "{}", growing.room);
        let metadata = growing.into_file().metadata().unwrap();
        assert_eq!(metadata.len(), ROOM + 1);
        assert!(metadata.blocks() * 512 < ROOM + 2 * LITTLE);
    }
}
