//! The body of an upload: bytes of known length from memory, a file or a stream, in frames of a size that suits a socket.

use std::fmt;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::{Fuse, Stream, StreamExt as _};
use tokio::task::JoinHandle;

use crate::range::ByteRange;

/// How many bytes a frame holds at most. Smaller frames cost a system call each, larger ones leave the processor's cache.
pub const FRAME_SIZE: usize = 256 * 1024;

/// How many bytes of a file are read at once, away from the threads that serve sockets.
const READ_SIZE: u64 = 1024 * 1024;

type BoxStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The data of an upload. Its length is known before it is sent.
///
/// A body that can be read again is sent again when a try fails; what can be read only once is an [`OnceBody`] first, and is sent at most once.
pub struct Body {
    len: u64,
    source: Source,
}

enum Source {
    Memory(Bytes),
    File {
        file: Arc<File>,
        start: u64,
    },
    Replayable(Arc<dyn Fn() -> BoxStream + Send + Sync>),
    /// In a lock nobody waits for, so that a body may be shared between threads.
    Once(Mutex<BoxStream>),
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Bytes::new().into()
    }

    /// A range of a file. It is read by position, so one open file serves many bodies at the same time, and read again when it must be
    /// sent again. A file that has become shorter fails the call with [`ErrorKind::Body`](crate::ErrorKind::Body).
    ///
    /// Sending needs a tokio runtime, whose blocking threads do the reading: 1 MiB at a time, one read ahead.
    #[must_use]
    pub fn from_file(file: impl Into<Arc<File>>, range: ByteRange) -> Self {
        Body { len: range.len(), source: Source::File { file: file.into(), start: range.start() } }
    }

    /// A stream that can be made again from its beginning: `make` is called once for each time the body is sent.
    ///
    /// It must give `len` bytes every time and then end; anything else fails the call with [`ErrorKind::Body`](crate::ErrorKind::Body). The
    /// last bytes are sent only when it has ended. With a `len` of 0 it is not asked.
    #[must_use]
    pub fn replayable<S>(len: u64, make: impl Fn() -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Body { len, source: Source::Replayable(Arc::new(move || Box::pin(make()))) }
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it can be read again from its beginning.
    #[must_use]
    pub fn is_rewindable(&self) -> bool {
        !matches!(self.source, Source::Once(_))
    }

    /// The same body once more; `None` when it can be read only once.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        let source = match &self.source {
            Source::Memory(bytes) => Source::Memory(bytes.clone()),
            Source::File { file, start } => Source::File { file: Arc::clone(file), start: *start },
            Source::Replayable(make) => Source::Replayable(Arc::clone(make)),
            Source::Once(_) => return None,
        };
        Some(Body { len: self.len, source })
    }

    /// The bytes as a stream of frames of at most [`FRAME_SIZE`] bytes, which ends with an error when there are not exactly
    /// [`len`](Self::len) of them.
    #[must_use]
    pub fn into_frames(self) -> Frames {
        let len = self.len;
        let chunks = match self.source {
            Source::Memory(bytes) => Chunks::Memory(bytes),
            Source::File { file, start } => Chunks::File(FileChunks { file, next: start, left: len, reading: None }),
            Source::Replayable(make) => Chunks::Stream(make().fuse()),
            Source::Once(stream) => Chunks::Stream(stream.into_inner().unwrap_or_else(PoisonError::into_inner).fuse()),
        };
        Frames { chunks, chunk: Bytes::new(), left: len, ended: false }
    }
}

/// A stream of known length that can be read once. A call that has sent of it is never repeated.
///
/// It goes wherever a [`Body`] does. Bytes, ranges of files and [replayable](Body::replayable) streams are bodies from the beginning.
pub struct OnceBody {
    len: u64,
    stream: BoxStream,
}

impl OnceBody {
    /// A stream of `len` bytes. More or fewer fail the call with [`ErrorKind::Body`](crate::ErrorKind::Body): the last bytes are sent only when
    /// the stream has ended. With a `len` of 0 it is not asked.
    #[must_use]
    pub fn new(len: u64, stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        OnceBody { len, stream: Box::pin(stream) }
    }
}

impl fmt::Debug for OnceBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceBody").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A body of no bytes.
impl Default for Body {
    fn default() -> Self {
        Body::empty()
    }
}

impl From<OnceBody> for Body {
    fn from(body: OnceBody) -> Self {
        Body { len: body.len, source: Source::Once(Mutex::new(body.stream)) }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body { len: bytes.len() as u64, source: Source::Memory(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.source {
            Source::Memory(_) => "memory",
            Source::File { .. } => "file",
            Source::Replayable(_) => "replayable stream",
            Source::Once(_) => "stream",
        };
        f.debug_struct("Body").field("len", &self.len).field("from", &from).finish()
    }
}

/// The bytes of a [`Body`] as a stream of frames.
pub struct Frames {
    chunks: Chunks,
    /// What came from `chunks` and is not handed on yet.
    chunk: Bytes,
    /// How many bytes are still to be handed on.
    left: u64,
    ended: bool,
}

enum Chunks {
    Memory(Bytes),
    File(FileChunks),
    Stream(Fuse<BoxStream>),
}

impl Frames {
    /// How many bytes are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Ends the stream with this error.
    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Frames {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.chunk.is_empty() {
            match ready!(self.chunks.poll_next(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return self.fail(error),
                None if self.left == 0 => {
                    self.ended = true;
                    return Poll::Ready(None);
                }
                None => {
                    let short = format!("the body ended {} bytes before its length", self.left);
                    return self.fail(io::Error::new(io::ErrorKind::UnexpectedEof, short));
                }
            }
        }
        let too_long = || io::Error::new(io::ErrorKind::InvalidData, "the body goes on beyond its length");
        let held = self.chunk.len() as u64;
        // Whoever sends the last bytes asks for nothing behind them.
        if held == self.left
            && let Some(more) = ready!(self.chunks.poll_next(cx))
        {
            return self.fail(more.err().unwrap_or_else(too_long));
        }
        if held > self.left {
            return self.fail(too_long());
        }
        let frame_len = self.chunk.len().min(FRAME_SIZE);
        let frame = self.chunk.split_to(frame_len);
        self.left -= frame_len as u64;
        Poll::Ready(Some(Ok(frame)))
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Chunks {
    /// The next bytes, never none of them; again `None` when asked after the last.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Chunks::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Chunks::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Chunks::File(file) => file.poll_next(cx),
            Chunks::Stream(stream) => loop {
                match ready!(stream.poll_next_unpin(cx)) {
                    Some(Ok(chunk)) if chunk.is_empty() => {}
                    next => return Poll::Ready(next),
                }
            },
        }
    }
}

/// Reads a range of a file on the runtime's blocking threads, one read ahead of whoever takes the chunks.
struct FileChunks {
    file: Arc<File>,
    next: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FileChunks {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let reading = match self.reading.take().or_else(|| self.start_reading()) {
            None => return Poll::Ready(None),
            Some(reading) => self.reading.insert(reading),
        };
        let outcome = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let chunk = outcome.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        if chunk.is_ok() {
            self.reading = self.start_reading();
        } else {
            self.left = 0;
        }
        Poll::Ready(Some(chunk.map(Bytes::from)))
    }

    fn start_reading(&mut self) -> Option<JoinHandle<io::Result<Vec<u8>>>> {
        let len = self.left.min(READ_SIZE);
        if len == 0 {
            return None;
        }
        let (file, position) = (Arc::clone(&self.file), self.next);
        self.next += len;
        self.left -= len;
        Some(tokio::task::spawn_blocking(move || read_at(&file, position, len)))
    }
}

/// Reads exactly these bytes.
fn read_at(file: &File, position: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some_at(file, &mut buffer[filled..], position + filled as u64) {
            Ok(0) => {
                let end = format!("the file ends at byte {}", position + filled as u64);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, end));
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer)
}

#[cfg(unix)]
fn read_some_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
fn read_some_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}
