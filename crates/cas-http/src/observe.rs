//! What can be seen of a client from outside: counters, and the text of requests with everything secret left out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Request, Uri};
use tracing::{Span, field};

use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::header::X_CAS_REQUEST_ID;
use crate::id::{RequestId, VaultName};
use crate::run::Ended;
use crate::wire::{OperationInfo, read_header};

/// What a client has done since it was built: a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls that were made.
    pub calls: u64,
    /// Requests that were sent or tried, repeats included.
    pub requests: u64,
    /// How many of those were repeats.
    pub retries: u64,
    /// Bytes of request bodies that connections took.
    pub body_bytes_sent: u64,
    /// Bytes of the bodies of answers that were read, errors included.
    pub body_bytes_received: u64,
    /// Connections that are open now, busy or idle.
    pub open_connections: u64,
}

/// The counters of a client, shared by its clones.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) calls: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) body_bytes_sent: AtomicU64,
    pub(crate) body_bytes_received: AtomicU64,
    pub(crate) open: Gauge,
}

impl Counts {
    pub(crate) fn snapshot(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            calls: read(&self.calls),
            requests: read(&self.requests),
            retries: read(&self.retries),
            body_bytes_sent: read(&self.body_bytes_sent),
            body_bytes_received: read(&self.body_bytes_received),
            open_connections: read(&self.open.0),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// How many connections are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

/// Counts as one open connection while it lives.
pub(crate) struct OpenConnection(Arc<AtomicU64>);

impl Gauge {
    pub(crate) fn enter(&self) -> OpenConnection {
        add(&self.0, 1);
        OpenConnection(Arc::clone(&self.0))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The span of a whole call. Names follow the OpenTelemetry conventions for remote calls.
pub(crate) fn operation_span(info: &'static OperationInfo, vault: Option<&VaultName>, head: &Parts) -> Span {
    let span = tracing::debug_span!(
        "cas.operation",
        otel.kind = "client",
        rpc.system = "cas",
        rpc.method = info.name,
        cas.vault = vault.map(VaultName::as_str),
        cas.archive_id = field::Empty,
        cas.upload_id = field::Empty,
        cas.job_id = field::Empty,
    );
    if !span.is_disabled() {
        for (name, value) in info.elements(head.uri.path()).unwrap_or_default() {
            match name {
                "archive_id" => span.record("cas.archive_id", value),
                "upload_id" => span.record("cas.upload_id", value),
                "job_id" => span.record("cas.job_id", value),
                _ => &span,
            };
        }
    }
    span
}

/// The span of one try. Names follow the stable OpenTelemetry conventions for HTTP clients.
pub(crate) fn attempt_span(
    info: &'static OperationInfo,
    endpoint: &Endpoint,
    request: &Request<Body>,
    attempt: u32,
) -> Span {
    let span = tracing::debug_span!(
        "cas.attempt",
        otel.kind = "client",
        otel.name = format!("{} {}", request.method(), info.path).trim_end(),
        otel.status_code = field::Empty,
        http.request.method = %request.method(),
        http.request.body.size = request.body().len(),
        http.request.resend_count = field::Empty,
        http.response.status_code = field::Empty,
        network.protocol.version = "1.1",
        server.address = endpoint.host(),
        server.port = endpoint.port(),
        url.full = %ShownUri(&endpoint.uri(request.uri().path_and_query())),
        url.template = (!info.path.is_empty()).then_some(info.path),
        error.r#type = field::Empty,
        cas.request_id = field::Empty,
    );
    if attempt > 1 {
        span.record("http.request.resend_count", attempt - 1);
    }
    span
}

/// A line for a request that is about to be sent, within its span.
pub(crate) fn log_request(span: &Span, request: &Request<Body>) {
    span.in_scope(
        || tracing::trace!(method = %request.method(), headers = %ShownHeaders(request.headers()), "request"),
    );
}

/// Notes in its span how a try ended, and writes a line if it was with an answer.
pub(crate) fn record(span: &Span, ended: &Ended) {
    match ended {
        Ended::Answer(answer, _) => {
            let (status, headers) = (answer.status().as_u16(), ShownHeaders(answer.headers()));
            span.in_scope(|| tracing::trace!(status, %headers, "answer"));
            if span.is_disabled() {
                return;
            }
            span.record("http.response.status_code", answer.status().as_u16());
            if let Ok(Some(id)) = read_header::<RequestId>(answer.headers(), X_CAS_REQUEST_ID) {
                span.record("cas.request_id", id.as_str());
            }
            if !answer.status().is_success() {
                span.record("error.type", answer.status().as_str());
                span.record("otel.status_code", "ERROR");
            }
        }
        Ended::Failure(failure) => {
            span.record("error.type", failure.kind.word());
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// A line for a call that ended without an answer, or whose answer broke off; with all that is known of the error for who wants to read on.
pub(crate) fn log_failure(error: &Error) {
    let waited_ms = millis(error.waited());
    tracing::debug!(kind = error.kind().word(), attempts = error.attempts(), waited_ms, %error, "failed");
    tracing::trace!(?error, "failed");
}

/// A time for logs.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A URL for logs: the values of query parameters that are not known to be harmless are left out.
pub(crate) struct ShownUri<'a>(pub(crate) &'a Uri);

impl fmt::Display for ShownUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HARMLESS: [&str; 4] = ["completed", "limit", "marker", "statuscode"];
        let uri = self.0;
        if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
            write!(f, "{scheme}://{authority}")?;
        }
        f.write_str(uri.path())?;
        for (index, pair) in uri.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            match pair.split_once('=') {
                Some((name, _)) if !HARMLESS.contains(&name) => write!(f, "{name}=REDACTED")?,
                _ => f.write_str(pair)?,
            }
        }
        Ok(())
    }
}

/// Headers for logs: the values of those that are not known to be harmless are left out.
pub(crate) struct ShownHeaders<'a>(pub(crate) &'a HeaderMap);

impl fmt::Display for ShownHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HARMLESS: [&str; 19] = [
            "accept-encoding",
            "connection",
            "content-length",
            "content-range",
            "content-type",
            "date",
            "host",
            "location",
            "range",
            "retry-after",
            "server",
            "transfer-encoding",
            "user-agent",
            "x-cas-archive-id",
            "x-cas-archive-size",
            "x-cas-content-sha256",
            "x-cas-part-size",
            "x-cas-requestid",
            "x-cas-sha256-tree-hash",
        ];
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match value.to_str() {
                Ok(text) if HARMLESS.contains(&name.as_str()) && !value.is_sensitive() => {
                    write!(f, "{separator}{name}: {text}")?;
                }
                _ => write!(f, "{separator}{name}: REDACTED")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_harmless_is_shown() {
        let uri: Uri = "https://cas.example/-/vaults?limit=5&q-signature=abc&marker".parse().unwrap();
        assert_eq!(ShownUri(&uri).to_string(), "https://cas.example/-/vaults?limit=5&q-signature=REDACTED&marker");
        let mut headers = HeaderMap::new();
        headers.insert("host", "cas.example".parse().unwrap());
        headers.insert("authorization", "q-sign-algorithm=sha1&q-ak=AKID".parse().unwrap());
        headers.insert("x-cas-security-token", "token".parse().unwrap());
        assert_eq!(
            ShownHeaders(&headers).to_string(),
            "host: cas.example, authorization: REDACTED, x-cas-security-token: REDACTED"
        );
    }

    #[test]
    fn a_connection_counts_while_it_lives() {
        let counts = Counts::default();
        let open = counts.open.enter();
        assert_eq!(counts.snapshot().open_connections, 1);
        drop(open);
        assert_eq!(counts.snapshot(), Counters::default());
    }
}
