//! One try: a signed request goes out, and the head of an answer comes back or does not. Whether to try again is judged elsewhere.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::Body;
use crate::connect::ConnectFailure;
use crate::endpoint::Endpoint;
use crate::error::{Below, BoxError, ErrorKind, TimeLimit};
use crate::observe::Counts;
use crate::pool::{Lease, Pool};
use crate::response_body::{BodyLength, ResponseBody};
use crate::retry::Sent;
use crate::send_body::{SendBody, Sending};
use crate::timeout::{LONGEST, Silence, Timeouts};
use crate::transport::{Line, WriteStalled};

/// Sends single requests over pooled connections.
pub(crate) struct Exchange {
    pool: Pool,
    endpoint: Endpoint,
    pub(crate) timeouts: Timeouts,
    nothing: Arc<Sending>,
}

/// Why a try ended without the head of an answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) what: String,
    pub(crate) source: Option<BoxError>,
    pub(crate) sent: Sent,
    /// Whether the next try would end the same way.
    pub(crate) lasting: bool,
}

impl Exchange {
    pub(crate) fn new(pool: Pool, endpoint: Endpoint, timeouts: Timeouts) -> Self {
        Exchange { pool, endpoint, timeouts, nothing: Arc::new(Sending::nothing()) }
    }

    /// Sends a request with path and query for its URI and all its headers. It is taken as soon as there is a connection.
    pub(crate) async fn send(
        &self,
        request: &mut Request<Body>,
        deadline: Option<Instant>,
        counts: &Arc<Counts>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let now = Instant::now();
        let (mut lease, now) = match self.pool.waiting(now) {
            Some(lease) => (lease, now),
            // In a box: most exchanges do without it, and need not carry the room for it.
            None => (Box::pin(self.connect(request.uri(), deadline)).await?, Instant::now()),
        };
        let asks_for_head = request.method() == Method::HEAD;
        let limit = self.timeouts.head.saturating_add(tail_time(request.body().len()));
        let (request, sending) = self.with_progress(std::mem::take(request), counts);
        let mut answer = pin!(lease.send(&self.endpoint, request));
        let since = sending.is_finished().then_some(now);
        let timer = pin!(sleep_until(first_end(since, limit, deadline)));
        let mut wait = Wait { sending: &sending, line: lease.line(), limit, deadline, since, timer };
        let outcome = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(|error| broken(error, &sending))),
            Poll::Pending => wait.poll(cx).map(Err),
        })
        .await;
        self.accept(outcome?, lease, asks_for_head, &sending, deadline, counts)
    }

    fn with_progress(&self, request: Request<Body>, counts: &Arc<Counts>) -> (Request<SendBody>, Arc<Sending>) {
        let (head, body) = request.into_parts();
        let (body, sending) = if body.is_empty() {
            (SendBody::empty(), Arc::clone(&self.nothing))
        } else {
            SendBody::new(body, Arc::clone(counts))
        };
        (Request::from_parts(head, body), sending)
    }

    async fn connect(&self, target: &Uri, deadline: Option<Instant>) -> Result<Lease, Failure> {
        tokio::select! {
            biased;
            lease = self.pool.connect(self.endpoint.uri(target.path_and_query())) => lease.map_err(no_connection),
            () = until(deadline) => Err(out_of_time(Sent::Nothing)),
        }
    }

    /// Takes an answer whose head can be trusted.
    fn accept(
        &self,
        answer: Response<Incoming>,
        mut lease: Lease,
        asks_for_head: bool,
        sending: &Sending,
        deadline: Option<Instant>,
        counts: &Arc<Counts>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let sent = sending.sent();
        let early_success = answer.status().is_success() && sent != Sent::Whole;
        let checked = match check_head(answer.status(), answer.headers()) {
            Ok(_) if early_success => Err("success was answered before the request was sent".to_owned()),
            Ok(_) if asks_for_head => Ok(BodyLength::Known(0)),
            checked => checked,
        };
        // Whatever else comes on a connection with an odd head is not to be trusted either: it goes with the lease.
        let length =
            checked.map_err(|what| Failure { kind: ErrorKind::Protocol, what, source: None, sent, lasting: false })?;
        if sent != Sent::Whole {
            sending.hold();
            lease.spoil();
        }
        let silence = Silence::new(self.timeouts.read);
        let (head, incoming) = answer.into_parts();
        let mut body = ResponseBody::arriving(incoming, length, silence, deadline, Arc::clone(counts));
        body.then_give_back(lease);
        Ok(Response::from_parts(head, body))
    }
}

/// How long the last bytes of a body may stay with the operating system: a second for each 64 KiB of the last 4 MiB.
fn tail_time(len: u64) -> Duration {
    Duration::from_secs(len.min(4 << 20) / (64 << 10))
}

/// The wait for the head of an answer. It ends with the call's time, or when the limit has passed since the connection last took some bytes of
/// a request that was given to it whole: what it was given is on its way as long as it takes some, however slowly.
struct Wait<'e> {
    sending: &'e Sending,
    line: Option<&'e Line>,
    limit: Duration,
    deadline: Option<Instant>,
    /// When the connection last took some bytes, as far as is known; `None` as long as it is to be given more.
    since: Option<Instant>,
    timer: Pin<&'e mut Sleep>,
}

impl Wait<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if self.since.is_none() && self.sending.poll_finished(cx).is_ready() {
            self.goes_on_since(Some(Instant::now()));
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let since = match self.since {
                Some(since) if since + self.limit <= now => match self.line.and_then(Line::last_wrote) {
                    Some(wrote) if wrote > since => Some(wrote),
                    _ => return Poll::Ready(no_answer(self.limit)),
                },
                since => since,
            };
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(out_of_time(self.sending.sent()));
            }
            self.goes_on_since(since);
        }
    }

    fn goes_on_since(&mut self, since: Option<Instant>) {
        self.since = since;
        self.timer.as_mut().reset(first_end(since, self.limit, self.deadline));
    }
}

/// When a wait that is limited since then must be looked at.
fn first_end(since: Option<Instant>, limit: Duration, deadline: Option<Instant>) -> Instant {
    let end = since.map_or_else(|| Instant::now() + LONGEST, |since| since + limit);
    deadline.map_or(end, |deadline| deadline.min(end))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn no_answer(limit: Duration) -> Failure {
    let what = format!("no answer came within {} s", limit.as_secs_f64());
    Failure { kind: ErrorKind::Timeout(TimeLimit::Head), what, source: None, sent: Sent::Whole, lasting: false }
}

fn out_of_time(sent: Sent) -> Failure {
    let what = "the call's time was up".to_owned();
    Failure { kind: ErrorKind::Timeout(TimeLimit::Deadline), what, source: None, sent, lasting: true }
}

fn no_connection(failure: ConnectFailure) -> Failure {
    let (kind, lasting, what) = (failure.kind(), failure.is_lasting(), failure.to_string());
    Failure { kind, what, source: Some(Below(failure).into()), sent: Sent::Nothing, lasting }
}

/// What it means that a connection broke before the head of an answer came.
fn broken(error: hyper::Error, sending: &Sending) -> Failure {
    if let Some(cause) = sending.take_failure() {
        let what = "the source of the body failed".to_owned();
        let source = Some(cause.into());
        return Failure { kind: ErrorKind::Body, what, source, sent: Sent::Part, lasting: true };
    }
    let sent = if error.is_canceled() { Sent::Nothing } else { sending.sent() };
    let (kind, what) = if find::<WriteStalled>(&error).is_some() {
        (ErrorKind::Timeout(TimeLimit::Write), "the request could not be sent on")
    } else if error.is_parse() {
        (ErrorKind::Protocol, "what came is not an HTTP answer")
    } else if sent == Sent::Part {
        (ErrorKind::Disconnected, "the connection broke while the body was being sent")
    } else {
        (ErrorKind::Disconnected, "the connection ended before an answer came")
    };
    Failure { kind, what: what.to_owned(), source: Some(error.into()), sent, lasting: false }
}

/// The first error of this type among an error and its causes.
fn find<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // `source` of an I/O error passes over the error it carries.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = carried.map(|carried| carried as _).or_else(|| error.source());
    }
    None
}

/// More bytes than any head of the service has.
const MAX_HEAD: usize = 64 * 1024;
/// More headers than any answer of the service has.
const MAX_HEADERS: usize = 64;

/// Checks what hyper lets pass and we do not, and finds out how the body ends.
fn check_head(status: StatusCode, headers: &HeaderMap) -> Result<BodyLength, String> {
    if !(200..600).contains(&status.as_u16()) {
        return Err(format!("expected a final status, found {}", status.as_u16()));
    }
    if headers.len() > MAX_HEADERS {
        return Err(format!("the answer has {} headers, more than {MAX_HEADERS}", headers.len()));
    }
    let (mut head_len, mut length, mut chunked) = (0, None, false);
    for (name, value) in headers {
        head_len += name.as_str().len() + value.len();
        let is = |text: &str| value.as_bytes().eq_ignore_ascii_case(text.as_bytes());
        if name == header::CONTENT_LENGTH {
            let digits = value.to_str().ok().and_then(crate::range::decimal);
            let digits = digits.ok_or("the answer's length is not a number")?;
            if length.replace(digits).is_some() {
                return Err("the answer has two lengths".to_owned());
            }
        } else if name == header::TRANSFER_ENCODING {
            if !is("chunked") || std::mem::replace(&mut chunked, true) {
                return Err("the answer has a transfer encoding besides chunks".to_owned());
            }
        } else if name == header::CONTENT_ENCODING && !(value.is_empty() || is("identity")) {
            return Err("the answer is compressed, which was not asked for".to_owned());
        }
    }
    if head_len > MAX_HEAD {
        return Err(format!("the answer's head has {head_len} bytes, more than {MAX_HEAD}"));
    }
    if chunked && length.is_some() {
        return Err("the answer has a length and comes in chunks".to_owned());
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless && (chunked || length.is_some_and(|length| length > 0)) {
        return Err(format!("an answer of status {} has a body", status.as_u16()));
    }
    Ok(match length {
        _ if bodiless => BodyLength::Known(0),
        Some(length) => BodyLength::Known(length),
        None if chunked => BodyLength::Chunked,
        None => BodyLength::UntilClose,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, headers: &[(&'static str, &'static str)]) -> Result<BodyLength, String> {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let _: bool = map.append::<http::HeaderName>(name, value);
        }
        check_head(StatusCode::from_u16(status).unwrap(), &map)
    }

    #[test]
    fn a_body_has_one_way_to_end() {
        assert_eq!(check(200, &[("content-length", "5")]), Ok(BodyLength::Known(5)));
        assert_eq!(check(200, &[("transfer-encoding", "Chunked")]), Ok(BodyLength::Chunked));
        assert_eq!(check(200, &[]), Ok(BodyLength::UntilClose));
        assert_eq!(check(204, &[]), Ok(BodyLength::Known(0)));
        assert_eq!(check(404, &[("content-length", "0"), ("content-encoding", "identity")]), Ok(BodyLength::Known(0)));
    }

    #[test]
    fn a_head_that_means_two_things_is_refused() {
        for (status, headers) in [
            (200, &[("content-length", "5"), ("content-length", "5")][..]),
            (200, &[("content-length", "5"), ("transfer-encoding", "chunked")]),
            (200, &[("content-length", "5, 5")]),
            (200, &[("content-length", "+5")]),
            (200, &[("transfer-encoding", "gzip, chunked")]),
            (200, &[("content-encoding", "gzip"), ("content-length", "5")]),
            (204, &[("content-length", "5")]),
            (304, &[("transfer-encoding", "chunked")]),
            (101, &[]),
            (100, &[]),
            (600, &[]),
            (999, &[]),
        ] {
            assert!(check(status, headers).is_err(), "{status} {headers:?}");
        }
    }

    #[test]
    fn the_end_of_a_large_body_gets_time_to_leave_the_machine() {
        assert_eq!(tail_time(0), Duration::ZERO);
        assert_eq!(tail_time(1 << 20), Duration::from_secs(16));
        assert_eq!(tail_time(1 << 40), Duration::from_secs(64));
    }
}
