//! One try: a signed request goes out, and the head of an answer comes back or does not. Whether to try again is judged elsewhere.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use crate::body::Body;
use crate::connect::ConnectFailure;
use crate::error::{Below, BoxError, ErrorKind, TimeLimit};
use crate::observe::Counts;
use crate::pool::{Lease, Pool};
use crate::response_body::{BodyLength, ResponseBody};
use crate::retry::Sent;
use crate::send_body::{SendBody, Sending};
use crate::timeout::{Silence, Timeouts};
use crate::transport::{Line, WriteStalled};

/// Sends single requests over pooled connections.
pub(crate) struct Exchange {
    pub(crate) pool: Pool,
    pub(crate) timeouts: Timeouts,
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
    /// Sends a request with its absolute URI and all its headers.
    pub(crate) async fn send(
        &self,
        head: Parts,
        body: Body,
        deadline: Option<Instant>,
        counts: &Arc<Counts>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let mut lease = tokio::select! {
            biased;
            lease = self.pool.lease(&head.uri) => lease.map_err(no_connection)?,
            () = until(deadline) => return Err(out_of_time(Sent::Nothing)),
        };
        let limit = self.timeouts.head.saturating_add(tail_time(body.len()));
        let asks_for_head = head.method == Method::HEAD;
        let (body, sending) = SendBody::new(body, Arc::clone(counts));
        let answer = lease.send(Request::from_parts(head, body));
        let no_head = async {
            sending.finished().await;
            waited_since_the_last_write(lease.line(), limit).await;
        };
        let outcome = tokio::select! {
            biased;
            answer = answer => answer.map_err(|error| broken(error, &sending)),
            () = no_head => Err(no_answer(limit)),
            () = until(deadline) => Err(out_of_time(sending.sent())),
        };
        self.accept(outcome?, lease, asks_for_head, &sending, deadline, counts)
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
        let arriving = |incoming| ResponseBody::arriving(incoming, length, silence, deadline, Arc::clone(counts));
        let mut answer = answer.map(arriving);
        answer.body_mut().then_give_back(lease);
        Ok(answer)
    }
}

/// How long the last bytes of a body may stay with the operating system: a second for each 64 KiB of the last 4 MiB.
fn tail_time(len: u64) -> Duration {
    Duration::from_secs(len.min(4 << 20) / (64 << 10))
}

/// Ends when this time has passed since the connection last took some bytes: what it was given is on its way as long as it does, however slowly.
async fn waited_since_the_last_write(line: Option<&Line>, time: Duration) {
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(time.saturating_sub(since.elapsed())).await;
        match line.and_then(Line::last_wrote) {
            Some(wrote) if wrote > since => since = wrote,
            _ => return,
        }
    }
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
    let head_len: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head_len > MAX_HEAD {
        return Err(format!("the answer's head has {head_len} bytes, more than {MAX_HEAD}"));
    }
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => return Err("the answer has two lengths".to_owned()),
        (Some(_), None) if chunked => return Err("the answer has a length and comes in chunks".to_owned()),
        (Some(length), None) => {
            let digits = length.to_str().ok().and_then(crate::range::decimal);
            Some(digits.ok_or("the answer's length is not a number")?)
        }
        (None, _) => None,
    };
    if chunked
        && headers.get(header::TRANSFER_ENCODING).is_none_or(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err("the answer has a transfer encoding besides chunks".to_owned());
    }
    let plain = |value: &http::HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err("the answer is compressed, which was not asked for".to_owned());
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
