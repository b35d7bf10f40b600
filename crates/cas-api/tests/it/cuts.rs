//! Every operation with its connection cut after every byte of the request, of the answer's head, and of its body.
//!
//! Requests and answers are the goldens, a connection is a pipe in memory, and time stands still, so that one thread does them all within
//! seconds. Only the first connection is cut: who tries again finds a good one. Nothing may hang, panic, pass for a success that it is not,
//! be sent again when that could do it twice, or use a cut connection again.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use cas_api::{CasApi, Error, ErrorKind, Output};
use cas_http::ops::AnyOperation;
use cas_http::test_util::ManualClock;
use cas_http::wire::Repeat;
use cas_http::{OPERATIONS, OperationInfo, Pending, RetryPolicy, TimeLimit, Uid};
use http::{HeaderMap, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::goldens::Golden;
use crate::support::builder;

/// Where the first connection is cut: after this many bytes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Request(usize),
    Answer(usize),
}

/// What is seen of a cut.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Close,
    Reset,
    Silence,
}

const ENDINGS: [Ending; 3] = [Ending::Close, Ending::Reset, Ending::Silence];

/// What a call with a cut must come to.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It was made again, on another connection, and all is as if nothing had been cut.
    MadeAgain,
    /// It may or may not have happened, and was not made again.
    Unknown,
    /// The service said that it succeeded or failed, and the rest of that is missing.
    HalfSaid,
}

/// One operation with the bytes of its request and its answer.
struct Story {
    info: &'static OperationInfo,
    golden: Golden,
    request: Vec<u8>,
    answer: Bytes,
    head_len: usize,
    retry: RetryPolicy,
    /// What an uncut call comes to.
    whole: Result<Delivered, ErrorKind>,
}

/// What a call yields, of all operations in one form: status, headers, document and archive data.
pub(crate) type Delivered = (StatusCode, HeaderMap, Bytes, Bytes);

/// A dispatch of every operation to its typed call.
macro_rules! call_any {
    ($(
        $(#[$meta:meta])*
        fn $method_name:ident: $name:ident = $method:ident $path:literal, $repeat:ident, $shape:ident { $($required:tt)* }
        $( optional { $($optional:tt)* } )?
    )*) => {
        pub(crate) async fn call(api: &CasApi, uid: Uid, operation: AnyOperation, data: Bytes) -> Result<Delivered, Error> {
            match operation {
                $( AnyOperation::$name(operation) => call_one!($shape, api, uid, operation, data), )*
                other => panic!("{other:?} is not in the table"),
            }
        }
    };
}

macro_rules! call_one {
    (Plain, $api:ident, $uid:ident, $operation:ident, $data:ident) => {
        Ok(delivered(Pending::new($api.clone(), $operation, ()).uid($uid).await?.write(), Bytes::new()))
    };
    (Upload, $api:ident, $uid:ident, $operation:ident, $data:ident) => {
        Ok(delivered(Pending::new($api.clone(), $operation, $data.into()).uid($uid).await?.write(), Bytes::new()))
    };
    (Download, $api:ident, $uid:ident, $operation:ident, $data:ident) => {{
        let download = Pending::new($api.clone(), $operation, ()).uid($uid).await?;
        Ok(delivered(download.output.write(), download.body.bytes(1 << 20).await?))
    }};
}

cas_http::operations!(call_any);

fn delivered(answer: Response<Bytes>, data: Bytes) -> Delivered {
    let (head, document) = answer.into_parts();
    (head.status, head.headers, document, data)
}

impl Story {
    /// An operation that is answered with this golden. One uncut call is made to see what it is like.
    async fn of(info: &'static OperationInfo, answer: &str, retry: RetryPolicy) -> Story {
        let answer = Golden::load(info.method_name, answer).on_the_wire();
        let head_len = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let golden = Golden::load(info.method_name, "request");
        let whole = Err(ErrorKind::Decode);
        let mut story = Story { info, golden, request: Vec::new(), answer, head_len, retry, whole };
        let server = Server::new(&story.answer, None);
        story.whole = story.call(&server.api(retry)).await.map_err(|error| error.kind());
        story.request = server.received()[0].clone();
        story
    }

    async fn call(&self, api: &CasApi) -> Result<Delivered, Error> {
        let (uid, operation) = self.golden.read();
        let call = call(api, uid, operation, self.golden.body.clone());
        tokio::time::timeout(Duration::from_secs(3600), call).await.expect("the call hangs")
    }

    /// What the design says: an operation is made again when its answer is missing, unless that could do it twice.
    fn expected(&self, cut: Cut, ending: Ending) -> Expected {
        let repeat = self.info.repeat;
        match cut {
            // Nothing was written, and that shows: the connection ended before it took the request.
            Cut::Request(0) if ending != Ending::Silence => Expected::MadeAgain,
            Cut::Answer(after) if after >= self.head_len && (repeat != Repeat::Unsafe || self.whole.is_err()) => {
                Expected::HalfSaid
            }
            // How much of a small request has left the machine nobody knows.
            _ if repeat == Repeat::Unsafe => Expected::Unknown,
            _ => Expected::MadeAgain,
        }
    }

    async fn check(&self, cut: Cut, ending: Ending) {
        let expected = self.expected(cut, ending);
        let label = format!("{} {cut:?} {ending:?}: {expected:?}", self.info.name);
        let server = Server::new(&self.answer, Some((cut, ending)));
        let api = server.api(self.retry);
        let outcome = self.call(&api).await;
        let connections = match expected {
            Expected::MadeAgain => {
                assert_eq!(outcome.map_err(|error| error.kind()), self.whole, "{label}");
                2
            }
            Expected::Unknown => {
                let error = outcome.expect_err(&label);
                assert_eq!((error.kind(), error.attempts()), (ErrorKind::Ambiguous, 1), "{label}: {error:?}");
                assert!(!error.is_retryable(), "{label}");
                1
            }
            Expected::HalfSaid => {
                let error = outcome.expect_err(&label);
                assert_eq!((error.kind(), error.attempts()), (self.half_said(ending), 1), "{label}: {error:?}");
                1
            }
        };
        assert_eq!(server.received().len(), connections, "{label}");
        if connections == 1 {
            assert_eq!(self.call(&api).await.map_err(|error| error.kind()), self.whole, "{label}, the next call");
        }
        let taken = match cut {
            Cut::Request(most) => &self.request[..most],
            Cut::Answer(_) => &self.request,
        };
        assert!(*server.received() == [taken, &self.request], "{label}: {:?}", server.received());
        assert!(only_one_stays_open(&api).await, "{label}: the cut connection is kept");
    }

    /// The kind of error when the body of the answer is cut.
    fn half_said(&self, ending: Ending) -> ErrorKind {
        match (&self.whole, ending) {
            // The status tells enough.
            (Err(kind), _) => *kind,
            (Ok(_), Ending::Close | Ending::Reset) => ErrorKind::Transport(cas_http::ErrorKind::Disconnected),
            (Ok(_), Ending::Silence) => ErrorKind::Transport(cas_http::ErrorKind::Timeout(TimeLimit::Read)),
        }
    }
}

/// Gives the tasks that own connections their turns, until there is but one.
async fn only_one_stays_open(api: &CasApi) -> bool {
    for _ in 0..100 {
        if api.client().counters().open_connections <= 1 {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn c16_an_answer_cut_at_every_byte_is_never_taken_for_the_whole() {
    let mut cuts = Cuts::new();
    for info in OPERATIONS {
        let story = Story::of(info, "response", RetryPolicy::default()).await;
        let golden = Golden::load(info.method_name, "response");
        let typed = golden.rewritten(info.name);
        let (status, headers, document, data) = story.whole.as_ref().unwrap();
        assert_eq!((*status, headers), (typed.status(), typed.headers()), "{}", info.name);
        assert_eq!([&document[..], data].concat(), if data.is_empty() { typed.body() } else { &golden.body }[..]);
        for after in 0..story.answer.len() {
            // With two of the three endings, as they take turns.
            cuts.make(&story, Cut::Answer(after)).await;
            cuts.make(&story, Cut::Answer(after)).await;
        }
    }
    cuts.were_at_least(18_000);
}

#[tokio::test(start_paused = true)]
async fn c16_an_error_cut_at_every_byte_of_its_body_is_still_that_error() {
    let mut cuts = Cuts::new();
    for info in OPERATIONS {
        let story = Story::of(info, "error", RetryPolicy::never()).await;
        for after in story.head_len..story.answer.len() {
            cuts.make(&story, Cut::Answer(after)).await;
        }
    }
    cuts.were_at_least(2_000);
}

#[tokio::test(start_paused = true)]
async fn c16_a_request_cut_at_every_byte_is_made_again_only_if_it_may_be() {
    let mut cuts = Cuts::new();
    for info in OPERATIONS {
        let story = Story::of(info, "response", RetryPolicy::default()).await;
        for after in 0..story.request.len() {
            cuts.make(&story, Cut::Request(after)).await;
        }
    }
    cuts.were_at_least(10_000);
}

/// The cuts of a test: the three endings take turns, and a panic in a task that nobody waits for does not go unseen.
struct Cuts {
    made: usize,
    panics_before: usize,
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

impl Cuts {
    fn new() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                PANICS.fetch_add(1, Ordering::Relaxed);
                usual(panic);
            }));
        });
        Cuts { made: 0, panics_before: PANICS.load(Ordering::Relaxed) }
    }

    async fn make(&mut self, story: &Story, cut: Cut) {
        story.check(cut, ENDINGS[self.made % ENDINGS.len()]).await;

        self.made += 1;
    }

    /// So that fewer cuts do not go unseen either.
    fn were_at_least(&self, number: usize) {
        assert!(self.made >= number, "there were only {} cuts", self.made);
        assert_eq!(PANICS.load(Ordering::Relaxed), self.panics_before, "something panicked");
    }
}

/// A server that answers every request alike, and cuts its first connection.
#[derive(Clone)]
struct Server {
    answer: Bytes,
    cut: Option<(Cut, Ending)>,
    /// What came on each connection.
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    fn new(answer: &Bytes, cut: Option<(Cut, Ending)>) -> Self {
        Server { answer: answer.clone(), cut, received: Arc::default() }
    }

    fn received(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.received.lock().unwrap()
    }

    fn api(&self, retry: RetryPolicy) -> CasApi {
        let server = self.clone();
        let client = builder()
            .endpoint("http://cas.example")
            .clock(ManualClock::default())
            .seed(1)
            .retry(retry)
            .connector(move |_| std::future::ready(Ok(server.connect())));
        CasApi::new(client.build().unwrap())
    }

    fn connect(&self) -> Line {
        let mut received = self.received();
        let number = received.len();
        received.push(Vec::new());
        let (takes, gives) = match self.cut {
            Some((Cut::Request(most), _)) if number == 0 => (most, Bytes::new()),
            Some((Cut::Answer(most), _)) if number == 0 => (usize::MAX, self.answer.slice(..most)),
            _ => (usize::MAX, self.answer.clone()),
        };
        let ending = self.cut.map_or(Ending::Silence, |(_, ending)| if number == 0 { ending } else { Ending::Silence });
        Line { received: Arc::clone(&self.received), number, takes, gives, ending, is_served: takes == 0, reader: None }
    }
}

/// The client's end of a connection: it takes so much of a request, gives so much of an answer when the request is whole, and ends.
struct Line {
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    number: usize,
    takes: usize,
    gives: Bytes,
    ending: Ending,
    /// Whether it has taken all that it takes, or a whole request.
    is_served: bool,
    reader: Option<Waker>,
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = &mut *self;
        let received = &mut line.received.lock().unwrap()[line.number];
        let taken = bytes.len().min(line.takes - received.len());
        received.extend_from_slice(&bytes[..taken]);
        line.is_served = received.len() == line.takes || is_whole(received);
        if let Some(reader) = line.reader.take_if(|_| line.is_served && taken > 0) {
            reader.wake();
        }
        match line.ending {
            _ if taken > 0 => Poll::Ready(Ok(taken)),
            Ending::Silence => Poll::Pending,
            Ending::Close | Ending::Reset => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_served && !self.gives.is_empty() {
            let count = self.gives.len().min(into.remaining());
            into.put_slice(&self.gives.split_to(count));
            return Poll::Ready(Ok(()));
        }
        match self.ending {
            Ending::Close if self.is_served => Poll::Ready(Ok(())),
            Ending::Reset if self.is_served => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Whether a request has come with all of its body.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&request[..end]).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    request.len() >= end + 4 + length.map_or(0, |length| length.parse().unwrap())
}
