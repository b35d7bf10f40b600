//! A body on its way into one request, and how far it has come.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use futures::task::AtomicWaker;
use http_body::{Frame, SizeHint};

use crate::body::{Body, Frames};
use crate::observe::{Counts, add};
use crate::retry::Sent;

/// A body on its way into one request. Its [`Sending`] stays with whoever waits for the answer. A request without one, which is passed around like
/// the others, does not carry the room for it.
pub(crate) struct SendBody(Option<Box<Running>>);

struct Running {
    frames: Frames,
    sending: Arc<Sending>,
    counts: Arc<Counts>,
}

/// How far a body is on its way, and a way to hold it up.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    finished: AtomicBool,
    /// Whoever waits for the answer.
    waiting: AtomicWaker,
    failure: Mutex<Option<io::Error>>,
    held: AtomicBool,
}

impl SendBody {
    pub(crate) fn new(body: Body, counts: Arc<Counts>) -> (Self, Arc<Sending>) {
        let sending = Arc::<Sending>::default();
        let running = Running { frames: body.into_frames(), sending: Arc::clone(&sending), counts };
        (SendBody(Some(Box::new(running))), sending)
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        SendBody(None)
    }

    fn left(&self) -> u64 {
        self.0.as_ref().map_or(0, |running| running.frames.left())
    }
}

impl Sending {
    /// What there is to know where there is no body.
    pub(crate) fn nothing() -> Self {
        Sending { finished: AtomicBool::new(true), ..Sending::default() }
    }

    /// Whether the connection has taken all of it. Before that the service cannot have received a whole request.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// How much of the request the connection has taken, now that there is one.
    pub(crate) fn sent(&self) -> Sent {
        if self.is_finished() { Sent::Whole } else { Sent::Part }
    }

    /// Ready when the connection has taken all of it.
    pub(crate) fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_finished() {
            return Poll::Ready(());
        }
        self.waiting.register(cx.waker());
        // It may have been taken meanwhile.
        if self.is_finished() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives no more of it, as an answer came first. The connection is of no use afterwards; whoever reads the answer must cut it.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    /// Why the body's own source failed, if it did.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, frame: &Option<io::Result<Bytes>>, left: u64) {
        if let Some(Err(error)) = frame {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        }
        if left == 0 && !matches!(frame, Some(Err(_))) {
            self.finished.store(true, Ordering::Release);
            self.waiting.wake();
        }
    }
}

impl http_body::Body for SendBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(Running { frames, sending, counts }) = self.0.as_deref_mut() else { return Poll::Ready(None) };
        if sending.held.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut *frames).poll_next(cx));
        sending.note(&frame, frames.left());
        if let Some(Ok(bytes)) = &frame {
            add(&counts.body_bytes_sent, bytes.len() as u64);
        }
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
