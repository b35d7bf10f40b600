//! Connections: how they are accepted, guarded and ended. What a request means is in `service.rs`.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::service::Service;

/// How many bytes of a body are read at once. Small reads cost a fast client a fifth of its rate.
const BUFFER: usize = 400 << 10;

/// How many headers are read. It is far above what a request may have, so that the refusal is the service's own; each costs 64 bytes of memory
/// while a head is read, whether it is there or not.
const HEADERS_READ: usize = 2048;

/// How many bytes an in-memory pipe holds in each direction.
const PIPE: usize = 64 << 10;

/// How long connections may take to end when the server does.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// Serves connections until it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    slots: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        let slots = Arc::new(Semaphore::new(service.settings.limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
        Server { service, stop: watch::Sender::new(false), tasks: Mutex::default(), slots }
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(self: &Arc<Self>, listener: TcpListener) {
        let accepting = Arc::downgrade(self);
        let (slots, mut stop) = (self.slots.clone(), self.stop.subscribe());
        self.tasks().spawn(async move {
            loop {
                // A slot first, so that who cannot be served waits outside, where it costs nothing.
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stop.changed() => return,
                };
                match accepted {
                    Ok((stream, peer)) => {
                        let Some(server) = accepting.upgrade() else { return };
                        // Without this small answers wait for the client's acknowledgement; a connection that is gone already fails later.
                        drop(stream.set_nodelay(true));
                        let connection = serve(server.service.clone(), stream, peer.ip(), server.stop.subscribe());
                        server.tasks().spawn(async move {
                            connection.await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
    }

    /// One end of a pipe whose other end is served like any connection.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        self.tasks().spawn(serve(self.service.clone(), ours, Ipv4Addr::LOCALHOST.into(), self.stop.subscribe()));
        theirs
    }

    /// Ends: no new connections, and those that are open end with the request they are at, or after five seconds.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tasks.shutdown().await;
        }
    }

    /// Ends at once.
    pub(crate) fn abort(&self) {
        self.stop.send_replace(true);
        self.tasks().abort_all();
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks
    }
}

/// Serves the requests of one connection, one after the other.
async fn serve<IO>(service: Arc<Service>, io: IO, peer: IpAddr, mut stop: watch::Receiver<bool>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = service.settings.limits.clone();
    let (closing, turn) = (Arc::new(Closing::default()), Arc::new(AtomicUsize::new(0)));
    let heads = Heads { turn: turn.clone(), most: limits.head_size * 2, seen: 0, bytes: 0 };
    let guarded = Guarded::new(io, limits.write_silence, closing.clone(), heads);
    let answer = service_fn(move |request| {
        let (service, closing, turn) = (service.clone(), closing.clone(), turn.clone());
        async move {
            turn.fetch_add(1, Ordering::SeqCst);
            let answer = service.answer(request, peer, &closing).await;
            turn.fetch_add(1, Ordering::SeqCst);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_headers(HEADERS_READ)
        .max_buf_size(BUFFER.max(limits.head_size))
        .auto_date_header(false)
        // A client that closes its writing side once it has said everything still wants its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(guarded), answer);
    let mut connection = pin!(connection);
    let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// How much is still read of a request whose answer is already sent, and for how long.
const LINGER_BYTES: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What keeps heads short, so that many who never end theirs hold little memory: the buffer, which suits bodies, would let them grow large.
#[derive(Debug)]
struct Heads {
    /// How many requests were begun and ended: odd while a body may come.
    turn: Arc<AtomicUsize>,
    /// How many bytes may come between two requests. One that is longer than it may be, but not by much, is answered.
    most: usize,
    /// The turn that `bytes` are counted in.
    seen: usize,
    bytes: usize,
}

impl Heads {
    /// How many bytes may be read now.
    fn room(&mut self) -> io::Result<usize> {
        let turn = self.turn.load(Ordering::SeqCst);
        if turn % 2 == 1 {
            return Ok(usize::MAX);
        }
        if turn != self.seen {
            (self.seen, self.bytes) = (turn, 0);
        }
        match self.most.saturating_sub(self.bytes) {
            0 => Err(io::Error::new(io::ErrorKind::InvalidData, "the head of a request does not end")),
            room => Ok(room),
        }
    }
}

/// How a connection is to be closed, which who answers knows and who closes does not.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    /// Whether bytes of the last request are still on their way.
    pub(crate) unread: AtomicBool,
    /// Whether a fault wants the connection closed when everything written so far is on its way.
    pub(crate) once_flushed: AtomicBool,
}

/// A stream whose peer must not stop reading for too long, nor send a head without an end, and that is closed so that the peer can still read the last answer.
///
/// A TCP connection that is closed while unread bytes are arriving is reset, and the reset may overtake the answer that explains it. So
/// when a request was refused before all of it came, the writing side is closed first and some of the rest is read and dropped.
#[derive(Debug)]
struct Guarded<IO> {
    io: IO,
    silence: Duration,
    heads: Heads,
    /// Runs while a write waits for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Arc<Closing>,
    lingering: Option<Lingering>,
}

#[derive(Debug)]
struct Lingering {
    left: usize,
    until: Pin<Box<Sleep>>,
}

impl<IO> Guarded<IO> {
    fn new(io: IO, silence: Duration, closing: Arc<Closing>, heads: Heads) -> Self {
        Guarded { io, silence, heads, stalled: None, closing, lingering: None }
    }

    /// Passes on what a write came to, unless it has waited for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let silence = self.silence;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = self.heads.room()?;
        if room >= buffer.remaining() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
            self.heads.bytes += buffer.filled().len() - before;
            return Poll::Ready(Ok(()));
        }
        let mut some = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut some))?;
        let read = some.filled().len();
        self.heads.bytes += read;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        ready!(self.watch(cx, flushed))?;
        // Here and not in the body: when that fails, what came before it and is not written yet is dropped.
        if self.closing.once_flushed.load(Ordering::SeqCst) {
            ready!(self.poll_shutdown(cx))?;
            return Poll::Ready(Err(io::Error::other("a fault closes the connection here")));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if !this.closing.unread.load(Ordering::SeqCst) {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this
            .lingering
            .get_or_insert_with(|| Lingering { left: LINGER_BYTES, until: Box::pin(tokio::time::sleep(LINGER_TIME)) });
        let mut room = [0; 16 << 10];
        while lingering.left > 0 && lingering.until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut this.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                }
                // The peer is done, or gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
