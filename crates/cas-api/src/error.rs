//! What a typed call can end with, named by what the caller can do about it.

use std::fmt;
use std::time::Duration;

use crate::api::DeliveryError;
use cas_http::error_body::code;
use cas_http::{CallReport, Outcome, RequestId, ServiceError, VaultName, WireError};
use http::StatusCode;

/// A call that did not do what it was made for: its kind, what is known of the call, and the cause.
///
/// `Display` says what was tried and how often and leaves the cause to `source()`. No secret is in either.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<&'static str>,
    vault: Option<VaultName>,
    attempts: u32,
    elapsed: Duration,
    request_id: Option<RequestId>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Service(ServiceError),
    Wire(WireError),
    Http(cas_http::Error),
    Listing(ListingError),
}

/// What kind of trouble ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such vault, archive, upload or job; or it has expired. Look for the right one.
    NotFound,
    /// The service does not know the credentials, does not accept the signature, or does not allow this. Mend the credentials, the clock, or
    /// the policy.
    Denied,
    /// The service refuses the request as it is. Mend the call.
    Refused,
    /// The service asks to slow down, after all repeats the retry policy allows. Wait and call again.
    Throttled,
    /// The service has trouble of its own, after all repeats the retry policy allows. Wait and call again.
    Unavailable,
    /// The operation is unsafe to repeat and may or may not have happened. Look at the service before calling again:
    /// [`Error::what_to_look_up`] says where.
    Ambiguous,
    /// An answer came that could not be read, or is none to what was asked: it was not made by the service, or the service has changed. Look at what is between you and the
    /// service. After an operation that is unsafe to repeat, look it up before calling again, as for `Ambiguous`.
    Decode,
    /// The call ended before an answer came; the kind says where. See [`cas_http::ErrorKind`] for what to do.
    Transport(cas_http::ErrorKind),
}

/// What is known of a call when its answer is read.
pub(crate) struct Context {
    pub(crate) operation: &'static str,
    pub(crate) vault: Option<VaultName>,
    pub(crate) report: Option<CallReport>,
}

impl Context {
    /// The service answered with an error.
    pub(crate) fn service(self, error: ServiceError) -> Error {
        let unknown = self.report.as_ref().is_some_and(|report| report.outcome == Outcome::Unknown);
        let kind = if unknown { ErrorKind::Ambiguous } else { kind_of(&error) };
        self.error(kind, error.request_id.clone(), Cause::Service(error))
    }

    /// The answer could not be read.
    pub(crate) fn delivery(self, error: DeliveryError) -> Error {
        match error {
            DeliveryError::Wire(error) => self.error(ErrorKind::Decode, None, Cause::Wire(error)),
            DeliveryError::Http(error) => error.into(),
        }
    }

    /// A listing goes on in a way that cannot be followed.
    pub(crate) fn listing(self, why: ListingError) -> Error {
        self.error(ErrorKind::Decode, None, Cause::Listing(why))
    }

    fn error(self, kind: ErrorKind, request_id: Option<RequestId>, cause: Cause) -> Error {
        let (attempts, elapsed, reported) = match self.report {
            Some(report) => (report.attempts, report.elapsed, report.request_id),
            None => (0, Duration::ZERO, None),
        };
        Error(Box::new(Inner {
            kind,
            operation: Some(self.operation),
            vault: self.vault,
            attempts,
            elapsed,
            request_id: request_id.or(reported),
            cause,
        }))
    }
}

/// What the caller can do about an error of the service: judged by its code, and by its status where the code is unknown.
fn kind_of(error: &ServiceError) -> ErrorKind {
    let by_code = match error.code.as_deref().unwrap_or_default() {
        code::RESOURCE_NOT_FOUND => Some(ErrorKind::NotFound),
        code::ACCESS_DENIED
        | code::EXPIRED_TOKEN
        | code::INVALID_SIGNATURE
        | code::MISSING_AUTHENTICATION_TOKEN
        | code::UNRECOGNIZED_CLIENT => Some(ErrorKind::Denied),
        code::THROTTLING | code::POLICY_ENFORCED => Some(ErrorKind::Throttled),
        code::REQUEST_TIMEOUT | code::SERVICE_UNAVAILABLE | code::INSUFFICIENT_CAPACITY => Some(ErrorKind::Unavailable),
        _ => None,
    };
    by_code.unwrap_or_else(|| match error.status {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Throttled,
        StatusCode::REQUEST_TIMEOUT => ErrorKind::Unavailable,
        status if status.is_server_error() => ErrorKind::Unavailable,
        // A redirect, or any other status that is neither a success nor an error, did not come from the service.
        status if !status.is_client_error() => ErrorKind::Decode,
        _ => ErrorKind::Refused,
    })
}

impl Error {
    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation's name as the service spells it; `None` when it did not come to a call.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The vault the operation is about.
    #[must_use]
    pub fn vault(&self) -> Option<&VaultName> {
        self.0.vault.as_ref()
    }

    /// The service's identifier of the last request, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.request_id.as_ref()
    }

    /// How many requests were sent, or tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How long the call took, with its waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// The service's own error, when it answered with one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceError> {
        match &self.0.cause {
            Cause::Service(error) => Some(error),
            _ => None,
        }
    }

    /// The service's code, as it spelled it.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.service()?.code.as_deref()
    }

    /// The status of the answer, when an error answer came.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.service()?.status)
    }

    /// The error of the layer below, when the call ended without an answer.
    #[must_use]
    pub fn transport(&self) -> Option<&cas_http::Error> {
        match &self.0.cause {
            Cause::Http(error) => Some(error),
            _ => None,
        }
    }

    /// What could not be read, when an answer came: its [`field`](WireError::field) is `content-range` when other bytes of an output came
    /// than were asked for.
    #[must_use]
    pub fn wire(&self) -> Option<&WireError> {
        match &self.0.cause {
            Cause::Wire(error) => Some(error),
            _ => None,
        }
    }

    /// Where to look, before calling again, to learn whether an operation that is unsafe to repeat has happened: a sentence for people.
    ///
    /// `None` when it surely has not happened, or may simply be repeated.
    #[must_use]
    pub fn what_to_look_up(&self) -> Option<&'static str> {
        match self.0.kind {
            ErrorKind::Ambiguous | ErrorKind::Decode => what_to_look_up(self.0.operation?),
            _ => None,
        }
    }

    /// Whether the same call, made again later, could end otherwise without anybody mending anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Throttled | ErrorKind::Unavailable => true,
            ErrorKind::Transport(_) => self.transport().is_some_and(cas_http::Error::is_retryable),
            ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Ambiguous | ErrorKind::Decode => {
                false
            }
        }
    }
}

/// For each operation that is unsafe to repeat, what shows whether it happened.
fn what_to_look_up(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "UploadArchive" => "the next inventory lists the archive by its tree hash if it was stored",
        "InitiateMultipartUpload" => {
            "the vault's multipart uploads list it if it was started; unused, it ends after 24 hours"
        }
        "CompleteMultipartUpload" => {
            "the upload is still listed if it was not completed; otherwise the next inventory lists the archive by its size and tree hash"
        }
        "InitiateJob" => "the vault's jobs list it if it was started",
        _ => return None,
    })
}

impl From<cas_http::Error> for Error {
    fn from(error: cas_http::Error) -> Self {
        let kind = match error.kind() {
            cas_http::ErrorKind::Ambiguous => ErrorKind::Ambiguous,
            kind => ErrorKind::Transport(kind),
        };
        Error(Box::new(Inner {
            kind,
            operation: error.operation(),
            vault: error.vault().cloned(),
            attempts: error.attempts(),
            elapsed: error.elapsed(),
            request_id: error.request_id().cloned(),
            cause: Cause::Http(error),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, attempts, elapsed, request_id, cause, .. } = &*self.0;
        if let Cause::Http(error) = cause {
            // The layer below has already said all of this.
            return error.fmt(f);
        }
        let what = match kind {
            ErrorKind::NotFound => "not found",
            ErrorKind::Denied => "denied",
            ErrorKind::Refused => "refused",
            ErrorKind::Throttled => "asked to slow down",
            ErrorKind::Unavailable => "the service has trouble",
            ErrorKind::Ambiguous => "it may or may not have happened",
            ErrorKind::Decode | ErrorKind::Transport(_) => "the answer could not be read",
        };
        write!(f, "{}: {what}", operation.unwrap_or("call"))?;
        if *attempts > 0 {
            let tries = if *attempts == 1 { "try" } else { "tries" };
            write!(f, " ({attempts} {tries}, {:.1} s", elapsed.as_secs_f64())?;
            if let Some(id) = request_id {
                write!(f, ", request id {id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, vault, attempts, elapsed, request_id, cause } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("operation", operation)
            .field("vault", vault)
            .field("attempts", attempts)
            .field("elapsed", elapsed)
            .field("request_id", request_id)
            .field("cause", cause)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Service(error) => Some(error),
            Cause::Wire(error) => Some(error),
            Cause::Http(error) => error.source(),
            Cause::Listing(why) => Some(why),
        }
    }
}

/// A listing that cannot be followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListingError {
    /// A page gave a marker that an earlier one gave already.
    RepeatedMarker,
    /// Page after page brought nothing new but a marker.
    IdlePages,
}

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListingError::RepeatedMarker => "the listing gives a marker again: it would never end",
            ListingError::IdlePages => "the listing gives page after page with nothing new: it would never end",
        })
    }
}

impl std::error::Error for ListingError {}

#[cfg(test)]
mod tests {
    use cas_http::OPERATIONS;
    use cas_http::wire::Repeat;

    use super::*;

    #[test]
    fn what_is_unsafe_to_repeat_can_be_looked_up_and_nothing_else_needs_to() {
        for info in OPERATIONS {
            assert_eq!(what_to_look_up(info.name).is_some(), info.repeat == Repeat::Unsafe, "{}", info.name);
        }
    }
}
