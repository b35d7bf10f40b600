//! For tests of code that uses the client: a clock that stands still, and a server that misbehaves on command.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Uri;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::clock::Clock;

/// A clock that moves when it is told to. A clone is the same clock. It begins at 2023-11-14T22:13:20Z.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows this many seconds since the Unix epoch.
    #[must_use]
    pub fn at(unix_seconds: u64) -> Self {
        ManualClock(Arc::new(AtomicU64::new(unix_seconds.saturating_mul(1000))))
    }

    /// Moves the clock forward, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, unix_seconds: u64) {
        self.0.store(unix_seconds.saturating_mul(1000), Ordering::Relaxed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::at(1_700_000_000)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// What a [`ScriptedServer`] does with one request.
#[derive(Clone, Debug, Default)]
pub struct Script {
    reading: Reading,
    steps: Vec<Step>,
}

/// How much of a request is read before the steps begin.
#[derive(Clone, Copy, Debug, Default)]
enum Reading {
    /// Head and body.
    #[default]
    Whole,
    /// Head and this many bytes of the body.
    Body(u64),
    /// Nothing.
    Nothing,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Bytes),
    Drip(Bytes, Duration),
    Wait(Duration),
    ReadFor(Duration),
    Stall,
    Close,
    Reset,
}

impl Script {
    /// Reads the request, then does what is added.
    #[must_use]
    pub fn new() -> Self {
        Script::default()
    }

    /// Answers with a status, headers and a body; `Content-Length` and a request id are added.
    #[must_use]
    pub fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Scripted\r\nx-cas-requestId: scripted\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        Script::new().send([head.as_bytes(), body].concat())
    }

    /// Answers with the service's error of this status and code.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"code":"{code}","message":"scripted","type":"Client"}}"#);
        Script::answer(status, &[("Content-Type", "application/json")], body)
    }

    /// Begins at once, with the request unread.
    #[must_use]
    pub fn without_reading(mut self) -> Self {
        self.reading = Reading::Nothing;
        self
    }

    /// Begins when the head and this many bytes of the body are read.
    #[must_use]
    pub fn after_body_bytes(mut self, count: u64) -> Self {
        self.reading = Reading::Body(count);
        self
    }

    /// Sends these bytes as they are.
    #[must_use]
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(Bytes::copy_from_slice(bytes.as_ref())))
    }

    /// Sends these bytes one by one, with a pause before each.
    #[must_use]
    pub fn drip(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.step(Step::Drip(Bytes::copy_from_slice(bytes.as_ref()), pause))
    }

    /// Waits.
    #[must_use]
    pub fn wait(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// Reads and forgets whatever comes for this time.
    #[must_use]
    pub fn read_for(self, time: Duration) -> Self {
        self.step(Step::ReadFor(time))
    }

    /// Does nothing more, and leaves the connection open.
    #[must_use]
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Closes the connection.
    #[must_use]
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Resets the connection; in memory, where there is no reset, closes it.
    #[must_use]
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// A request as a [`ScriptedServer`] received it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// The head as it came, with the empty line.
    pub head: String,
    /// As much of the body as was read.
    pub body: Bytes,
    /// Which connection it came on, counted from 0.
    pub connection: u64,
}

impl Received {
    /// The request line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A server that follows a queue of scripts, one for each request, on a loopback port or in memory. When the queue is empty it follows
/// the last resort, which closes the connection unless [`otherwise`](Self::otherwise) says otherwise.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    otherwise: Mutex<Option<Script>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicU64,
}

impl ScriptedServer {
    /// Starts a server with these scripts.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(scripts: impl IntoIterator<Item = Script>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { scripts: Mutex::new(scripts.into_iter().collect()), ..Shared::default() });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Ok(ScriptedServer { address, shared, accepting })
    }

    /// Follows this script whenever the queue is empty.
    #[must_use]
    pub fn otherwise(self, script: Script) -> Self {
        *lock(&self.shared.otherwise) = Some(script);
        self
    }

    /// Adds a script to the queue.
    pub fn push(&self, script: Script) {
        lock(&self.shared.scripts).push_back(script);
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What [`ClientBuilder::connector`](crate::ClientBuilder::connector) takes to reach this server through pipes in memory. With a
    /// paused timer it is the surer way: nothing happens outside the process.
    pub fn connector(&self) -> impl Fn(Uri) -> Ready<io::Result<DuplexStream>> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move |_| {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(Arc::clone(&shared).serve(theirs));
            ready(Ok(ours))
        }
    }

    /// The requests so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a script can be followed on.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {
    /// Ends the connection without a farewell.
    fn reset(self);
}

impl Line for TcpStream {
    fn reset(self) {
        // Closing with a linger of zero is what makes a reset; without it the peer merely sees the end.
        let _ = self.set_zero_linger();
    }
}

impl Line for DuplexStream {
    fn reset(self) {}
}

impl Shared {
    async fn serve<L: Line>(self: Arc<Self>, mut line: L) {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut unread = Vec::new();
        // The next script is taken when a request begins, so that an idle connection takes none.
        while unread.is_empty() && line.read_buf(&mut unread).await.is_ok_and(|count| count > 0) || !unread.is_empty() {
            let script = lock(&self.scripts).pop_front().or_else(|| lock(&self.otherwise).clone());
            let script = script.unwrap_or_else(|| Script::new().close());
            let Ok(request) = read_request(&mut line, &mut unread, script.reading, connection).await else { return };
            lock(&self.received).push(request);
            for step in script.steps {
                match follow(&mut line, step).await {
                    Ok(After::GoOn) => {}
                    Ok(After::Reset) => return line.reset(),
                    Ok(After::Close) | Err(_) => return,
                }
            }
        }
    }
}

enum After {
    GoOn,
    Close,
    Reset,
}

async fn follow<L: Line>(line: &mut L, step: Step) -> io::Result<After> {
    match step {
        Step::Send(bytes) => line.write_all(&bytes).await?,
        Step::Drip(bytes, pause) => {
            for byte in bytes {
                tokio::time::sleep(pause).await;
                line.write_all(&[byte]).await?;
            }
        }
        Step::Wait(time) => tokio::time::sleep(time).await,
        Step::ReadFor(time) => {
            let mut forgotten = vec![0; 64 * 1024];
            let until = tokio::time::Instant::now() + time;
            while let Ok(count) = tokio::time::timeout_at(until, line.read(&mut forgotten)).await {
                if count? == 0 {
                    return Ok(After::Close);
                }
            }
        }
        Step::Stall => std::future::pending().await,
        Step::Close => {
            line.shutdown().await?;
            return Ok(After::Close);
        }
        Step::Reset => return Ok(After::Reset),
    }
    line.flush().await?;
    Ok(After::GoOn)
}

async fn read_request<L: Line>(
    line: &mut L,
    unread: &mut Vec<u8>,
    reading: Reading,
    connection: u64,
) -> io::Result<Received> {
    if let Reading::Nothing = reading {
        unread.clear();
        return Ok(Received { head: String::new(), body: Bytes::new(), connection });
    }
    let head_len = loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(line, unread).await?;
    };
    let head = String::from_utf8_lossy(&unread[..head_len]).into_owned();
    unread.drain(..head_len);
    let mut request = Received { head, body: Bytes::new(), connection };
    let announced = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let wanted = match reading {
        Reading::Body(count) => announced.min(count),
        Reading::Whole | Reading::Nothing => announced,
    };
    let wanted = usize::try_from(wanted).map_err(io::Error::other)?;
    while unread.len() < wanted {
        read_more(line, unread).await?;
    }
    request.body = unread.drain(..wanted).collect();
    Ok(request)
}

async fn read_more<L: Line>(line: &mut L, unread: &mut Vec<u8>) -> io::Result<()> {
    match line.read_buf(unread).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
