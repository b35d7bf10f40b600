//! One call on its way through its tries: what is known of it so far, and how each try ended. The loop that moves it is the client's.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tokio::time::Instant;

use crate::body::Body;
use crate::call::{CallReport, Outcome};
use crate::error::{Error, ErrorKind, Facts};
use crate::error_body::ServiceError;
use crate::exchange::Failure;
use crate::header::X_CAS_REQUEST_ID;
use crate::header::X_CAS_SHA256_TREE_HASH;
use crate::id::{RequestId, Uid, VaultName};
use crate::observe::{log_failure, millis};
use crate::response_body::{AnsweredCall, ResponseBody};
use crate::retry::{Ending, RetryPolicy, Sent};
use crate::wire::{OperationInfo, ShapeKind, read_header};

/// A call on its way through its tries.
pub(crate) struct Run {
    pub(crate) info: &'static OperationInfo,
    pub(crate) vault: Option<VaultName>,
    pub(crate) uid: Uid,
    /// The request without what every request has: its URI is path and query, and nothing is signed.
    pub(crate) head: Parts,
    /// `None` when it was sent and cannot be read again.
    pub(crate) body: Option<Body>,
    pub(crate) body_len: u64,
    pub(crate) policy: RetryPolicy,
    /// For the call with its repeats.
    pub(crate) limit: Option<Duration>,
    /// When it began, once it has.
    pub(crate) started: Option<Instant>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) attempts: u32,
    pub(crate) waited: Duration,
    pub(crate) request_id: Option<RequestId>,
    /// Whether a try may have reached the service and been acted on.
    pub(crate) reached: bool,
    /// What the last repeat cost.
    pub(crate) spent: Option<u32>,
    /// What was added to our clock when the last try was signed.
    pub(crate) skew: i64,
    pub(crate) signed_for_clock: bool,
    pub(crate) refreshed: bool,
}

/// How a try ended.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and the large variant is the usual one")]
pub(crate) enum Ended {
    /// With an answer, whose body is in memory if it is no success, and the service's code in it.
    Answer(Response<ResponseBody>, Option<Box<str>>),
    Failure(Failure),
}

impl Run {
    /// The time of the call runs from here.
    pub(crate) fn begin(&mut self) {
        let started = Instant::now();
        self.started = Some(started);
        self.deadline = self.limit.and_then(|limit| started.checked_add(limit));
    }

    /// Whether another try is possible at all.
    pub(crate) fn may_repeat(&self) -> bool {
        self.body.is_some() && self.attempts < self.policy.attempts_of(self.info.shape)
    }

    /// The body for one try. What can be read again stays.
    pub(crate) fn take_body(&mut self) -> Body {
        match self.body.as_ref().map(Body::try_clone) {
            Some(Some(copy)) => copy,
            Some(None) | None => self.body.take().unwrap_or_else(Body::empty),
        }
    }

    /// Keeps the identifier of the answer that the caller gets, or is told about.
    pub(crate) fn note_request_id(&mut self, ended: &Ended) {
        if let Ended::Answer(answer, _) = ended {
            self.request_id = read_header(answer.headers(), X_CAS_REQUEST_ID).ok().flatten();
        }
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            operation: Some(self.info.name),
            vault: self.vault.clone(),
            attempts: self.attempts,
            elapsed: self.elapsed(),
            waited: self.waited,
            request_id: self.request_id.clone(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// The error with which the call ends: told what is known of the call, and logged.
    pub(crate) fn failed(&self, error: Error) -> Error {
        let error = error.with_facts(self.facts());
        log_failure(&error);
        error
    }

    /// What the caller gets.
    pub(crate) fn finish(&self, ended: Ended, outcome: Outcome) -> Result<Response<ResponseBody>, Error> {
        match ended {
            Ended::Answer(mut answer, _) => {
                let report = CallReport {
                    operation: self.info.name,
                    attempts: self.attempts,
                    elapsed: self.elapsed(),
                    waited: self.waited,
                    request_id: self.request_id.clone(),
                    outcome,
                };
                tracing::debug!(
                    status = answer.status().as_u16(),
                    attempts = report.attempts,
                    waited_ms = millis(report.waited),
                    request_id = report.request_id.as_ref().map(RequestId::as_str),
                    ?outcome,
                    "answered",
                );
                if self.info.shape == ShapeKind::Download && answer.status().is_success() {
                    // One that cannot be read is for whoever reads the head to tell.
                    let promised = read_header(answer.headers(), X_CAS_SHA256_TREE_HASH).ok().flatten();
                    answer.body_mut().hold_to(promised);
                }
                let (vault, started, repeat) = (self.vault.clone(), self.started, self.info.repeat);
                answer.body_mut().belongs_to(AnsweredCall { report, vault, started, repeat });
                Ok(answer)
            }
            Ended::Failure(failure) => {
                let error = failure.into_error();
                if outcome != Outcome::Unknown {
                    return Err(self.failed(error));
                }
                let what = "it was sent and no answer came: it may have happened, and a repeat would do it again";
                Err(self.failed(Error::new(ErrorKind::Ambiguous, what).with_source(error)))
            }
        }
    }
}

impl Ended {
    pub(crate) fn as_ending(&self) -> Ending<'_> {
        match self {
            Ended::Answer(answer, code) => Ending::Answer { status: answer.status(), code: code.as_deref() },
            Ended::Failure(failure) => {
                Ending::Failure { kind: failure.kind, sent: failure.sent, lasting: failure.lasting }
            }
        }
    }

    /// In a few words, for logs.
    pub(crate) fn reason(&self) -> String {
        match self {
            Ended::Answer(answer, Some(code)) => format!("{} {code}", answer.status().as_u16()),
            Ended::Answer(answer, None) => answer.status().as_u16().to_string(),
            Ended::Failure(failure) => failure.what.clone(),
        }
    }

    /// Whether the connection broke in the middle of a body that is large enough to ask something before it is sent again, and there is a vault
    /// to ask for.
    pub(crate) fn calls_for_a_question(&self, run: &Run) -> bool {
        const LARGE: u64 = 1 << 20;
        let broke_halfway = matches!(self, Ended::Failure(failure) if failure.sent == Sent::Part);
        broke_halfway && run.body_len >= LARGE && run.vault.is_some()
    }
}

impl Failure {
    fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.what);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// Reads the body of an answer that is no success and puts it back, cut at 64 KiB or when the time is up, so that it can be judged by its
/// code.
pub(crate) async fn look_into_error(answer: Response<ResponseBody>, time: Duration) -> Ended {
    const MOST: usize = 64 * 1024;
    let (head, body) = answer.into_parts();
    let body: Bytes = body.into_start(MOST, time).await;
    let error = ServiceError::read(head.status, &head.headers, &body);
    Ended::Answer(Response::from_parts(head, body.into()), error.code)
}
