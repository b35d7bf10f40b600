//! A connection as the pool holds it: one type whatever is underneath, watched while it is written to, and cut from outside when it is of no
//! more use.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::observe::OpenConnection;
use crate::timeout::Silence;

/// A connection as the pool holds it.
pub(crate) struct Transport {
    io: Pin<Box<dyn Io>>,
    line: Line,
    proxied: bool,
}

trait Io: Read + Write + Send {}
impl<T: Read + Write + Send> Io for T {}

impl Transport {
    /// A connection, or another layer over one, which this line ends.
    pub(crate) fn new(io: impl Read + Write + Send + 'static, line: Line) -> Self {
        Transport { io: Box::pin(io), line, proxied: false }
    }

    /// The same connection, to a proxy that takes whole requests.
    pub(crate) fn proxied(self) -> Self {
        Transport { proxied: true, ..self }
    }

    /// Whether it leads to a proxy that takes whole requests.
    pub(crate) fn is_proxied(&self) -> bool {
        self.proxied
    }

    /// What ends this connection and whatever is layered over it.
    pub(crate) fn line(&self) -> Line {
        self.line.clone()
    }
}

/// What TLS wants to know of what is underneath: nothing that matters here.
#[cfg(feature = "rustls-ring")]
impl hyper_util::client::legacy::connect::Connection for Transport {
    fn connected(&self) -> hyper_util::client::legacy::connect::Connected {
        hyper_util::client::legacy::connect::Connected::new()
    }
}

/// Ends a connection from outside.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<LineState>);

#[derive(Default)]
struct LineState {
    cut: AtomicBool,
    waiting: AtomicWaker,
    wrote: Mutex<Option<Instant>>,
}

impl Line {
    /// Lets the next read, write or flush fail, and one that waits now.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.waiting.wake();
    }

    /// When the operating system last took some bytes.
    pub(crate) fn last_wrote(&self) -> Option<Instant> {
        *self.0.wrote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_written(&self) {
        *self.0.wrote.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Fails once the connection is cut.
    fn check(&self) -> io::Result<()> {
        if self.0.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// The same, and has this task woken when it is cut later.
    fn listen(&self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.waiting.register(cx.waker());
        self.check()
    }
}

impl Read for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_read(cx, buf)
    }
}

impl Write for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write_vectored(cx, bufs)
    }
}

/// Watches the writing side of a stream: what it does not take for too long ends the connection.
///
/// Only writing can be watched here. On the reading side silence is normal, between requests and while the service thinks; who waits for
/// an answer watches that.
///
/// Here is also where a connection is cut, and where one that takes no more is read to its end: a server that refuses a large body and hangs up
/// makes our next write fail, while its answer may have arrived.
struct Guarded<IO> {
    io: IO,
    line: Line,
    silence: Silence,
    limit: Duration,
    /// Whether a write has found that the other end is gone.
    gone: bool,
    /// Whether there is nothing more to read.
    ended: bool,
    _open: OpenConnection,
}

/// A stream that was just made, as a connection.
pub(crate) fn guard(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    limit: Duration,
    open: OpenConnection,
) -> Transport {
    let line = Line::default();
    let silence = Silence::new(limit);
    let guarded = Guarded { io, line: line.clone(), silence, limit, gone: false, ended: false, _open: open };
    Transport::new(TokioIo::new(guarded), line)
}

/// The time limit for silence while writing passed. Travels inside an I/O error.
#[derive(Debug)]
pub(crate) struct WriteStalled(Duration);

impl fmt::Display for WriteStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection took next to nothing for {} s", self.0.as_secs_f64())
    }
}

impl std::error::Error for WriteStalled {}

impl<IO: Unpin> Guarded<IO> {
    /// What comes of a write. While there may be something to read, it is reading that tells of the end.
    fn watch_write(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_gone(&error) && !self.ended => {
                if !std::mem::replace(&mut self.gone, true) {
                    // Whoever writes is to read now.
                    cx.waker().wake_by_ref();
                }
                self.watch(cx, Poll::Pending)
            }
            written => self.watch(cx, written),
        }
    }

    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.silence.moved(count as u64);
                if count > 0 {
                    self.line.note_written();
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.line.listen(cx)?;
                ready!(self.silence.poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, WriteStalled(self.limit))))
            }
        }
    }
}

/// Whether the other end takes nothing more.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.line.check()?;
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        self.ended = read.is_err() || buf.filled().len() == before;
        Poll::Ready(read)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.line.check()?;
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at the end of every turn in which it has nothing left to write, even if it reads no further.
        self.line.listen(cx)?;
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch_write(cx, flushed.map_ok(|()| 0)).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, shut.map_ok(|()| 0)).map_ok(|_| ())
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line.check()?;
        let io = Pin::new(&mut self.io);
        let written = match bufs {
            // The head of a request without a body, say. The system call for one buffer is the cheaper one.
            [only] => io.poll_write(cx, only),
            _ => io.poll_write_vectored(cx, bufs),
        };
        self.watch_write(cx, written)
    }
}
