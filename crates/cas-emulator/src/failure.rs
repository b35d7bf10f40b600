//! What is answered when a request cannot be done: the service's errors, as `docs/protocol.md` §6 names them.

use std::fmt::Display;

use cas_http::error_body::code;
use cas_http::{ServiceError, WireError};
use http::StatusCode;

/// A request that is refused, or failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: Box<str>,
    pub(crate) message: String,
    /// For a range that selects nothing: how many bytes there are.
    pub(crate) output_size: Option<u64>,
}

/// What a step of the work comes to.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Failure { status, code: code.into(), message: message.into(), output_size: None }
    }

    /// 404: what was asked for does not exist.
    pub(crate) fn not_found(what: &str) -> Self {
        Failure::new(StatusCode::NOT_FOUND, code::RESOURCE_NOT_FOUND, format!("{what} not found"))
    }

    /// 400: a parameter makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, code::INVALID_PARAMETER_VALUE, message)
    }

    /// 400: something that is required is not there.
    pub(crate) fn missing(field: &str) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, code::MISSING_PARAMETER_VALUE, format!("{field}: missing"))
    }

    /// 400: the request can be read and cannot be done.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, message)
    }

    /// 403: not allowed.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::FORBIDDEN, code::ACCESS_DENIED, message)
    }

    /// 416: the range begins past the end of an output of `size` bytes.
    pub(crate) fn out_of_range(size: u64) -> Self {
        let message = "the range begins past the end of the output";
        let failure = Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, code::INVALID_PARAMETER_VALUE, message);
        Failure { output_size: Some(size), ..failure }
    }

    /// 500: the emulator's own trouble, such as a full disk. It is logged here, once.
    pub(crate) fn internal(doing: &str, error: &dyn Display) -> Self {
        tracing::error!(%error, "{doing} failed");
        let message = format!("{doing} failed: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, code::SERVICE_UNAVAILABLE, message)
    }

    /// The error as it is written into the answer's body.
    pub(crate) fn to_service_error(&self) -> ServiceError {
        ServiceError::new(self.status, &self.code, self.message.as_str())
    }
}

/// A field of the request is missing or makes no sense.
impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let code = match () {
            () if error.is_missing() => code::MISSING_PARAMETER_VALUE,
            () if error.is_not_json() => code::SERIALIZATION,
            () => code::INVALID_PARAMETER_VALUE,
        };
        Failure::new(StatusCode::BAD_REQUEST, code, error.to_string())
    }
}

/// The database failed; its own rules are kept by the code around it, so this is never the client's fault.
impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::internal("the database", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_field_decides_the_code() {
        let code = |error: WireError| Failure::from(error).code;
        assert_eq!(&*code(WireError::missing("x")), "MissingParameterValueException");
        assert_eq!(&*code(WireError::invalid("x", "y")), "InvalidParameterValueException");
        assert_eq!(&*code(WireError::not_json("x", "y")), "SerializationException");
    }

    #[test]
    fn trouble_of_our_own_is_a_server_error() {
        let failure = Failure::internal("storing", &"disk full");
        assert_eq!(failure.to_service_error().fault.as_deref(), Some("Server"));
        assert_eq!(failure.status, 500);
    }
}
