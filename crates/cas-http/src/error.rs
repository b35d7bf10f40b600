//! What a call can end with besides an answer. An error the service answered with is an answer: see
//! [`ServiceError`](crate::ServiceError).

use std::fmt;
use std::time::Duration;

use crate::id::{RequestId, VaultName};

/// Any error from below, kept as the source of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call that ended without a usable answer: its kind, what is known of the call, and the cause in `source()`.
///
/// `Display` says what was tried and how often; it does not repeat the cause. No secret is in either.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    what: String,
    facts: Facts,
    source: Option<BoxError>,
}

/// What is known of the call an error or an answer belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) operation: Option<&'static str>,
    pub(crate) vault: Option<VaultName>,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) waited: Duration,
    pub(crate) request_id: Option<RequestId>,
}

/// What kind of trouble ended a call, named by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client or the call is configured wrongly; nothing was sent. May be repeated when the configuration is mended.
    Config,
    /// No credentials were found, or their source is broken; nothing was sent. May be repeated when the source works.
    Credentials,
    /// The request could not be signed; nothing was sent. May be repeated with other credentials or other fields.
    Sign,
    /// No connection came about, so nothing was sent. May be repeated when the network or the proxy works.
    Connect,
    /// The TLS handshake failed, so nothing was sent. May be repeated when the certificate or the trusted roots are mended.
    Tls,
    /// A time limit passed. May be repeated when the operation is safe to repeat; for [`TimeLimit::Connect`] and [`TimeLimit::Tls`]
    /// whatever the operation, as nothing was sent.
    Timeout(TimeLimit),
    /// The connection ended before the whole answer had come. May be repeated when the operation is safe to repeat.
    Disconnected,
    /// What came is not an HTTP answer, or one that must not be trusted: bytes that are not those of the hash in its head, say. May be
    /// repeated when the operation is safe to repeat, though a repeat seldom helps: something other than the service may be answering.
    Protocol,
    /// The source of the request's body failed, or gave fewer or more bytes than it announced; no whole request was sent. May be repeated
    /// when the source is whole again.
    Body,
    /// The answer's body is longer than the reader allows. May be repeated with a higher limit.
    TooLarge,
    /// The operation is unsafe to repeat and may or may not have happened: the request was sent, and no answer came, or only the beginning of
    /// one. May be repeated when a look at the service shows that it did not happen; [`Error::operation`] and [`Error::vault`] say where to
    /// look.
    Ambiguous,
}

/// Which time limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeLimit {
    /// For a connection to the service or the proxy.
    Connect,
    /// For the TLS handshake.
    Tls,
    /// For the head of the answer, once the request was sent.
    Head,
    /// For silence while an answer's body arrives.
    Read,
    /// For silence while a request is being sent.
    Write,
    /// For the whole call with its repeats.
    Deadline,
}

impl Error {
    /// An error of a kind. `what` says what went wrong, in lower case; the cause belongs in the source.
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, what: what.into(), facts: Facts::default(), source: None }))
    }

    pub(crate) fn config(what: impl Into<String>) -> Self {
        Error::new(ErrorKind::Config, what)
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_facts(mut self, facts: Facts) -> Self {
        self.0.facts = facts;
        self
    }

    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation's name as the service spells it; `None` when the client was not built, or the request is none of the table.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.facts.operation
    }

    /// The vault the operation is about.
    #[must_use]
    pub fn vault(&self) -> Option<&VaultName> {
        self.0.facts.vault.as_ref()
    }

    /// How many requests were sent, or tried; 0 when it did not come to that.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.facts.attempts
    }

    /// How long the call took, with its waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.facts.elapsed
    }

    /// How much of that was waiting before a repeat.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.0.facts.waited
    }

    /// The service's identifier of the last request that got as far as an answer's head.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.facts.request_id.as_ref()
    }

    /// Whether the same call, made again later, could end otherwise without anybody mending anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect | ErrorKind::Timeout(_) | ErrorKind::Disconnected => true,
            ErrorKind::Config
            | ErrorKind::Credentials
            | ErrorKind::Sign
            | ErrorKind::Tls
            | ErrorKind::Protocol
            | ErrorKind::Body
            | ErrorKind::TooLarge
            | ErrorKind::Ambiguous => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { what, facts, .. } = &*self.0;
        if let Some(operation) = facts.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(what)?;
        if facts.attempts > 0 {
            let tries = if facts.attempts == 1 { "try" } else { "tries" };
            write!(f, " ({} {tries}, {:.1} s", facts.attempts, facts.elapsed.as_secs_f64())?;
            if let Some(id) = &facts.request_id {
                write!(f, ", request id {id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, what, facts, source } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("what", what)
            .field("facts", facts)
            .field("source", source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The cause of an error in its place, for an error whose own sentence is said already or says nothing.
#[derive(Debug)]
pub(crate) struct Below<E>(pub(crate) E);

impl<E: std::error::Error> fmt::Display for Below<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Below<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()?.source()
    }
}

impl ErrorKind {
    /// The kind as one word, for logs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ErrorKind::Config => "config",
            ErrorKind::Credentials => "credentials",
            ErrorKind::Sign => "sign",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout(TimeLimit::Connect) => "timeout-connect",
            ErrorKind::Timeout(TimeLimit::Tls) => "timeout-tls",
            ErrorKind::Timeout(TimeLimit::Head) => "timeout-head",
            ErrorKind::Timeout(TimeLimit::Read) => "timeout-read",
            ErrorKind::Timeout(TimeLimit::Write) => "timeout-write",
            ErrorKind::Timeout(TimeLimit::Deadline) => "timeout-deadline",
            ErrorKind::Disconnected => "disconnected",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Body => "body",
            ErrorKind::TooLarge => "too-large",
            ErrorKind::Ambiguous => "ambiguous",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_message_tells_the_tries_and_leaves_the_cause_to_the_source() {
        let facts = Facts {
            operation: Some("UploadPart"),
            attempts: 3,
            elapsed: Duration::from_millis(1440),
            ..Facts::default()
        };
        let error =
            Error::new(ErrorKind::Connect, "no connection to cas.example:443").with_source("refused").with_facts(facts);
        assert_eq!(error.to_string(), "UploadPart: no connection to cas.example:443 (3 tries, 1.4 s)");
        assert_eq!(error.source().unwrap().to_string(), "refused");
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
