//! Bodies in motion: a request's, which must not fall silent, and an answer's, which is read from files as fast as the client takes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cas_http::error_body::code;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome};
use crate::server::Closing;
use crate::store::ContentReader;

/// Why a request is not answered, or how.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With this error.
    Failure(Failure),
    /// Not at all: the connection is broken, or a fault wants it closed.
    HangUp,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failure(failure)
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Incoming,
    /// How long nothing may come.
    silence: Duration,
    /// With how many further bytes a fault closes the connection.
    fuse: Option<u64>,
    finished: bool,
}

/// What came next.
#[derive(Debug)]
pub(crate) enum Next {
    Piece(Bytes),
    End,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, silence: Duration) -> Self {
        let finished = inner.is_end_stream();
        RequestBody { inner, silence, fuse: None, finished }
    }

    /// Closes the connection when so many bytes have come.
    pub(crate) fn set_fuse(&mut self, after: u64) {
        self.fuse = Some(after);
    }

    /// How many bytes were announced and have not come yet; 0 when that is not known.
    pub(crate) fn length(&self) -> u64 {
        self.inner.size_hint().exact().unwrap_or(0)
    }

    /// Whether everything has come.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Waits for what comes next, as long as the body may be silent.
    pub(crate) async fn next(&mut self) -> Result<Next, Stop> {
        match tokio::time::timeout(self.silence, self.frame()).await {
            Ok(next) => next,
            Err(_) => {
                let message = format!("nothing of the body came for {} s", self.silence.as_secs());
                Err(Failure::new(StatusCode::REQUEST_TIMEOUT, code::REQUEST_TIMEOUT, message).into())
            }
        }
    }

    /// The whole of a small body.
    pub(crate) async fn collect(&mut self, most: usize) -> Result<Bytes, Stop> {
        let mut all = BytesMut::new();
        while let Next::Piece(piece) = self.next().await? {
            if all.len() + piece.len() > most {
                return Err(Failure::invalid(format!("body: longer than {most} bytes")).into());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Reads and drops what is left, if that is soon done. Otherwise the connection cannot be used again.
    pub(crate) async fn drain(&mut self, most: u64) -> bool {
        let mut drained = 0;
        while !self.finished {
            let next = tokio::time::timeout(Duration::from_millis(50), self.frame()).await;
            let Ok(Ok(Next::Piece(piece))) = next else { break };
            drained += piece.len() as u64;
            if drained > most {
                break;
            }
        }
        self.finished
    }

    async fn frame(&mut self) -> Result<Next, Stop> {
        while !self.finished {
            match self.inner.frame().await {
                None => self.finished = true,
                Some(Err(error)) => {
                    tracing::debug!(%error, "the body of a request was cut off");
                    return Err(Stop::HangUp);
                }
                Some(Ok(frame)) => {
                    // Trailers mean nothing here.
                    let Ok(piece) = frame.into_data() else { continue };
                    self.burn(piece.len() as u64)?;
                    return Ok(Next::Piece(piece));
                }
            }
        }
        Ok(Next::End)
    }

    fn burn(&mut self, bytes: u64) -> Result<(), Stop> {
        if let Some(fuse) = &mut self.fuse {
            *fuse = fuse.checked_sub(bytes).filter(|left| *left > 0).ok_or(Stop::HangUp)?;
        }
        Ok(())
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    source: Source,
    sent: u64,
    /// After how many bytes a fault closes the connection, and who closes it.
    cut: Option<(u64, Arc<Closing>)>,
    /// Which byte a fault makes wrong.
    flip: Option<u64>,
}

#[derive(Debug)]
enum Source {
    Small(Bytes),
    Output(Output),
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        AnswerBody { source: Source::Small(bytes), sent: 0, cut: None, flip: None }
    }
}

impl From<Output> for AnswerBody {
    fn from(output: Output) -> Self {
        AnswerBody { source: Source::Output(output), sent: 0, cut: None, flip: None }
    }
}

impl AnswerBody {
    pub(crate) fn set_cut(&mut self, after: u64, closing: Arc<Closing>) {
        self.cut = Some((after, closing));
    }

    pub(crate) fn set_flip(&mut self, at: u64) {
        self.flip = Some(at);
    }

    /// Lets the faults have their way with a piece.
    fn spoil(&mut self, mut piece: Bytes) -> Bytes {
        let start = self.sent;
        if let Some((after, _)) = self.cut {
            piece.truncate(usize::try_from(after.saturating_sub(start)).unwrap_or(usize::MAX));
        }
        if let Some(at) = self.flip.and_then(|flip| flip.checked_sub(start)).and_then(|at| usize::try_from(at).ok())
            && at < piece.len()
        {
            let mut spoiled = BytesMut::from(&*piece);
            spoiled[at] ^= 1;
            piece = spoiled.freeze();
        }
        self.sent += piece.len() as u64;
        piece
    }

    /// Whether a fault lets no further byte through. The connection is then closed, by whoever knows that the bytes before are on their way.
    fn is_cut(&self) -> bool {
        let Some((after, closing)) = &self.cut else { return false };
        if self.sent >= *after {
            closing.once_flushed.store(true, Ordering::SeqCst);
        }
        self.sent >= *after
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_cut() {
            return Poll::Pending;
        }
        let piece = match &mut self.source {
            Source::Small(bytes) if bytes.is_empty() => None,
            Source::Small(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Output(output) => ready!(output.poll_piece(cx)),
        };
        let frame = piece.map(|piece| piece.map(|piece| Frame::data(self.spoil(piece))));
        // Also here: nobody asks on after the last piece.
        self.is_cut();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.source {
            Source::Small(bytes) => bytes.len() as u64,
            Source::Output(output) => output.left,
        })
    }
}

/// Bytes that are read from files while they are sent, one piece ahead of the client.
#[derive(Debug)]
pub(crate) struct Output {
    left: u64,
    ready: Option<Bytes>,
    reading: Option<Reading>,
}

type Reading = JoinHandle<(ContentReader, Outcome<Option<Bytes>>)>;

impl Output {
    /// Reads the first piece, so that damage at the very beginning is still answered with an error.
    pub(crate) async fn start(reader: ContentReader) -> Outcome<Self> {
        let left = reader.left();
        let mut output = Output { left, ready: None, reading: Some(read_on(reader)) };
        if let Some(reading) = output.reading.take() {
            let (reader, piece) = reading.await.map_err(|error| Failure::internal("reading bytes back", &error))?;
            output.ready = piece?;
            output.reading = Some(read_on(reader));
        }
        Ok(output)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let piece = match (self.ready.take(), &mut self.reading) {
            (Some(piece), _) => Ok(Some(piece)),
            (None, None) => Ok(None),
            (None, Some(reading)) => {
                let finished = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                match finished {
                    Err(error) => Err(io::Error::other(error)),
                    Ok((_, Err(failure))) => Err(io::Error::other(failure.message)),
                    Ok((reader, Ok(piece))) => {
                        self.reading = piece.as_ref().map(|_| read_on(reader));
                        Ok(piece)
                    }
                }
            }
        };
        if let Ok(Some(piece)) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.transpose())
    }
}

fn read_on(mut reader: ContentReader) -> Reading {
    tokio::task::spawn_blocking(move || {
        let piece = reader.next_piece();
        (reader, piece)
    })
}
