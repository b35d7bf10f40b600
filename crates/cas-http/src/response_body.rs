//! The body of an answer as it arrives: its length is held to, silence ends it, and a cut is an error.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cas_treehash::{TreeHash, TreeHasher};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::call::CallReport;
use crate::error::{Error, ErrorKind, Facts, TimeLimit};
use crate::id::VaultName;
use crate::observe::{Counts, add, log_failure};
use crate::pool::Lease;
use crate::timeout::Silence;
use crate::wire::Repeat;

/// The body of an answer. Read it with [`chunk`](Self::chunk) or [`bytes`](Self::bytes), or as an [`http_body::Body`].
///
/// A body that ends before its length is an error, and so is one without a length unless
/// [`accept_unknown_length`](Self::accept_unknown_length) was called: its end looks like a cut. The output of a job that comes with its tree hash
/// is held to that hash, too, and if its length is known the last bytes are handed out only when the hash fits. Dropping a body unread closes its connection.
pub struct ResponseBody {
    source: Source,
    length: BodyLength,
    accept_unknown_length: bool,
    received: u64,
    ended: bool,
    watch: Option<Watch>,
    /// What the bytes are held to, and those so far.
    promised: Option<Box<(TreeHash, TreeHasher)>>,
    /// The connection it arrives on.
    lease: Option<Lease>,
    call: Option<Box<AnsweredCall>>,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// It has this many bytes.
    Known(u64),
    /// It came in chunks, the last of which says so.
    Chunked,
    /// It ends when the connection does, which cannot be told from a cut.
    UntilClose,
}

enum Source {
    Memory(Bytes),
    Connection(Incoming),
}

/// What a body that still arrives is held to.
struct Watch {
    silence: Silence,
    deadline: Option<Pin<Box<Sleep>>>,
    counts: Arc<Counts>,
}

/// The call that a body belongs to.
pub(crate) struct AnsweredCall {
    pub(crate) report: CallReport,
    pub(crate) vault: Option<VaultName>,
    pub(crate) started: Option<Instant>,
    /// What a repeat of the operation does.
    pub(crate) repeat: Repeat,
}

impl ResponseBody {
    /// A body that arrives on a connection.
    pub(crate) fn arriving(
        incoming: Incoming,
        length: BodyLength,
        silence: Silence,
        deadline: Option<Instant>,
        counts: Arc<Counts>,
    ) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
        let watch = Watch { silence, deadline, counts };
        ResponseBody {
            source: Source::Connection(incoming),
            watch: Some(watch),
            ..ResponseBody::of(Bytes::new(), length)
        }
    }

    fn of(bytes: Bytes, length: BodyLength) -> Self {
        ResponseBody {
            source: Source::Memory(bytes),
            length,
            accept_unknown_length: false,
            received: 0,
            ended: false,
            watch: None,
            promised: None,
            lease: None,
            call: None,
        }
    }

    /// Lets this body and its errors tell which call they belong to.
    pub(crate) fn belongs_to(&mut self, call: AnsweredCall) {
        self.call = Some(Box::new(call));
    }

    /// Gives the connection back when the last byte has come.
    pub(crate) fn then_give_back(&mut self, lease: Lease) {
        self.lease = Some(lease);
        self.give_back_if_whole();
    }

    fn give_back_if_whole(&mut self) {
        if self.length == BodyLength::Known(self.received)
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    /// As much of the beginning as comes in time, `limit` bytes at most: for the body of an error, of which a part is better than none.
    pub(crate) async fn into_start(mut self, limit: usize, time: Duration) -> Bytes {
        let until = Instant::now() + time;
        let mut start = BytesMut::new();
        while start.len() < limit {
            match tokio::time::timeout_at(until, self.chunk()).await {
                Ok(Ok(Some(chunk))) => start.extend_from_slice(&chunk[..chunk.len().min(limit - start.len())]),
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        start.freeze()
    }

    /// What the call took that this is the answer of; `None` for a body that no client has received.
    #[must_use]
    pub fn report(&self) -> Option<&CallReport> {
        self.call.as_deref().map(|call| &call.report)
    }

    /// How the end of the body is known.
    #[must_use]
    pub fn length(&self) -> BodyLength {
        self.length
    }

    /// How many bytes were read so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes a body that ends with its connection for a whole one. Whoever does so must be able to tell by other means, a hash say.
    #[must_use]
    pub fn accept_unknown_length(mut self) -> Self {
        self.accept_unknown_length = true;
        self
    }

    /// Takes the bytes without comparing them with the tree hash that the service sent along, for who does that otherwise: hashing takes time.
    #[must_use]
    pub fn without_hash_check(mut self) -> Self {
        self.promised = None;
        self
    }

    /// Lets the bytes be compared with this tree hash.
    pub(crate) fn hold_to(&mut self, promised: Option<TreeHash>) {
        self.promised = promised.map(|promised| Box::new((promised, TreeHasher::new())));
    }

    /// The next bytes, `None` after the last. Chunks have the sizes in which the network delivers.
    ///
    /// Cancel safety: nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] when the body was cut, [`ErrorKind::Timeout`] when it stood still or the call's deadline passed,
    /// [`ErrorKind::Protocol`] when its end cannot be told from a cut, or the bytes are not those of the tree hash that came with them;
    /// [`ErrorKind::Ambiguous`] in place of all of them when the operation is unsafe to repeat. After an error there is nothing more.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await.transpose()
    }

    /// The whole body, if it has at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] when it is longer, or [`ErrorKind::Ambiguous`] in its place; and as [`chunk`](Self::chunk).
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes, Error> {
        let too_large = |body: &Self| {
            let what = format!("the answer's body is longer than the {limit} bytes allowed");
            body.told(Error::new(ErrorKind::TooLarge, what))
        };
        if matches!(self.length, BodyLength::Known(length) if length > limit) {
            return Err(too_large(&self));
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut rest = BytesMut::new();
        while self.received <= limit {
            match self.chunk().await? {
                Some(chunk) if rest.is_empty() => {
                    rest.extend_from_slice(&first);
                    rest.extend_from_slice(&chunk);
                }
                Some(chunk) => rest.extend_from_slice(&chunk),
                None if rest.is_empty() => return Ok(first),
                None => return Ok(rest.freeze()),
            }
        }
        Err(too_large(&self))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = match &mut self.source {
            Source::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Source::Connection(incoming) => poll_data(incoming, cx),
        };
        match polled {
            Poll::Ready(Some(Ok(bytes))) => {
                self.received += bytes.len() as u64;
                if let Some(watch) = &mut self.watch {
                    watch.silence.moved(bytes.len() as u64);
                    add(&watch.counts.body_bytes_received, bytes.len() as u64);
                }
                if let Some((_, hasher)) = self.promised.as_deref_mut() {
                    hasher.update(&bytes);
                }
                self.give_back_if_whole();
                // Whoever forwards a body of known length asks for nothing behind its last byte.
                match self.check_hash_if_whole() {
                    Some(error) => self.end(Some(error)),
                    None => Poll::Ready(Some(Ok(bytes))),
                }
            }
            Poll::Ready(None) => self.end(None),
            Poll::Ready(Some(Err(error))) => {
                let error = self.broken(error);
                self.end(Some(error))
            }
            Poll::Pending => match self.poll_limits(cx) {
                Poll::Ready(error) => self.end(Some(error)),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(watch) = &mut self.watch else { return Poll::Pending };
        if let Some(deadline) = &mut watch.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let what = "the call's time was up while the answer's body arrived";
            return Poll::Ready(Error::new(ErrorKind::Timeout(TimeLimit::Deadline), what));
        }
        if watch.silence.poll(cx).is_ready() {
            let what = format!("the answer's body stood still after {}", self.progress());
            return Poll::Ready(Error::new(ErrorKind::Timeout(TimeLimit::Read), what));
        }
        Poll::Pending
    }

    /// Ends the body, well or with this error.
    fn end(&mut self, error: Option<Error>) -> Poll<Option<Result<Bytes, Error>>> {
        self.ended = true;
        let error = error.or_else(|| match self.length {
            BodyLength::Known(length) if length != self.received => {
                Some(Error::new(ErrorKind::Disconnected, format!("the answer's body ended after {}", self.progress())))
            }
            BodyLength::UntilClose if !self.accept_unknown_length => {
                let what = format!("the answer has no length: its end after {} may be a cut", self.progress());
                Some(Error::new(ErrorKind::Protocol, what))
            }
            _ => self.check_hash(),
        });
        let error = error.map(|error| self.told(error));
        let lease = self.lease.take();
        if let Some(error) = &error {
            log_failure(error);
            // The connection goes with the rest of the body.
            self.source = Source::Memory(Bytes::new());
        } else if let Some(lease) = lease {
            lease.give_back();
        }
        Poll::Ready(error.map(Err))
    }

    fn check_hash_if_whole(&mut self) -> Option<Error> {
        if self.length == BodyLength::Known(self.received) { self.check_hash() } else { None }
    }

    /// Compares the bytes of a body that is whole with what was promised.
    fn check_hash(&mut self) -> Option<Error> {
        let (promised, hasher) = *self.promised.take()?;
        let found = hasher.finish();
        let what = || format!("the answer's body has tree hash {found}, its head promised {promised}");
        (found != promised).then(|| Error::new(ErrorKind::Protocol, what()))
    }

    fn broken(&self, error: hyper::Error) -> Error {
        let kind = if error.is_parse() { ErrorKind::Protocol } else { ErrorKind::Disconnected };
        Error::new(kind, format!("the answer's body broke off after {}", self.progress())).with_source(error)
    }

    fn progress(&self) -> String {
        match self.length {
            BodyLength::Known(length) => format!("{} of {length} bytes", self.received),
            _ => format!("{} bytes", self.received),
        }
    }

    /// An error as the caller gets it, with what is known of the call. Where a repeat would do it again, the loss of the answer is no reason
    /// for one.
    fn told(&self, error: Error) -> Error {
        let (Some(_), Some(call)) = (&self.watch, &self.call) else { return error };
        let AnsweredCall { report, vault, started, repeat } = &**call;
        let facts = Facts {
            operation: Some(report.operation),
            vault: vault.clone(),
            attempts: report.attempts,
            elapsed: started.map_or(Duration::ZERO, |started| started.elapsed()),
            waited: report.waited,
            request_id: report.request_id.clone(),
        };
        if *repeat != Repeat::Unsafe {
            return error.with_facts(facts);
        }
        let what = "it was answered, and the body of the answer was lost: a repeat would do it again";
        Error::new(ErrorKind::Ambiguous, what).with_source(error).with_facts(facts)
    }
}

/// The next data of a body; trailers are passed over.
fn poll_data(incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        match std::task::ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data()
                    && !bytes.is_empty()
                {
                    return Poll::Ready(Some(Ok(bytes)));
                }
            }
        }
    }
}

/// A body that is already here, for tests of code that reads answers, and for an error body that was looked into.
impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        let length = BodyLength::Known(bytes.len() as u64);
        ResponseBody::of(bytes, length)
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.promised.is_none() && self.length == BodyLength::Known(self.received)
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            BodyLength::Known(length) => SizeHint::with_exact(length.saturating_sub(self.received)),
            _ => SizeHint::default(),
        }
    }
}

/// The bytes are left out.
impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("length", &self.length)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
