//! The service's own error: what its body says, or what is left to say when there is none.

use std::fmt;

use http::{HeaderMap, StatusCode};

use crate::header::X_CAS_REQUEST_ID;
use crate::id::RequestId;
use crate::json::{JsonObject, JsonWriter};
use crate::wire::read_header;

/// The codes the service documents (`docs/protocol.md` §6.2). The code of an error stays open text: a new one breaks nobody.
pub mod code {
    /// 403: no permission, or the wrong account in the path.
    pub const ACCESS_DENIED: &str = "AccessDeniedException";
    /// 400: cannot be done, for instance deleting a vault that is not empty.
    pub const BAD_REQUEST: &str = "BadRequest";
    /// 403: the token of temporary credentials has expired.
    pub const EXPIRED_TOKEN: &str = "ExpiredTokenException";
    /// 503: no capacity for Expedited retrievals; in an old edition only.
    pub const INSUFFICIENT_CAPACITY: &str = "InsufficientCapacityException";
    /// 400: a parameter makes no sense.
    pub const INVALID_PARAMETER_VALUE: &str = "InvalidParameterValueException";
    /// 400: the signature is wrong, or its time.
    pub const INVALID_SIGNATURE: &str = "InvalidSignatureException";
    /// 400: a quota is used up.
    pub const LIMIT_EXCEEDED: &str = "LimitExceededException";
    /// 400: the request is not signed.
    pub const MISSING_AUTHENTICATION_TOKEN: &str = "MissingAuthenticationTokenException";
    /// 400: a required header or parameter is missing.
    pub const MISSING_PARAMETER_VALUE: &str = "MissingParameterValueException";
    /// 400: over the rate that the retrieval policy allows.
    pub const POLICY_ENFORCED: &str = "PolicyEnforcedException";
    /// 408: the body came too slowly.
    pub const REQUEST_TIMEOUT: &str = "RequestTimeoutException";
    /// 404: no such vault, upload, job or archive.
    pub const RESOURCE_NOT_FOUND: &str = "ResourceNotFoundException";
    /// 400: the body is not JSON.
    pub const SERIALIZATION: &str = "SerializationException";
    /// 500: trouble on the service's side.
    pub const SERVICE_UNAVAILABLE: &str = "ServiceUnavailableException";
    /// **400**: slow down.
    pub const THROTTLING: &str = "ThrottlingException";
    /// 400: the secret id or token is unknown.
    pub const UNRECOGNIZED_CLIENT: &str = "UnrecognizedClientException";
}

/// An error the service answered with.
///
/// It exists for every answer that is not a success: a body that is empty, HTML or broken leaves the code absent and keeps the first
/// bytes for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceError {
    /// The status of the answer.
    pub status: StatusCode,
    /// The service's code, as it spelled it; the documented ones are in [`code`].
    pub code: Option<Box<str>>,
    /// Its sentence for people.
    pub message: Option<Box<str>>,
    /// Whose fault it is, in the service's word: `Client` or `Server`.
    pub fault: Option<Box<str>>,
    /// The identifier of the request, for the service's support.
    pub request_id: Option<RequestId>,
    /// The beginning of a body that could not be read as an error.
    pub body_start: Option<Box<str>>,
}

impl ServiceError {
    /// An error as a server makes it; the fault follows from the status.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: impl Into<Box<str>>) -> Self {
        let fault = if status.is_server_error() { "Server" } else { "Client" };
        ServiceError {
            status,
            code: Some(code.into()),
            message: Some(message.into()),
            fault: Some(fault.into()),
            request_id: None,
            body_start: None,
        }
    }

    /// Reads an answer that is not a success. Nothing about it can fail: what is not there is absent.
    #[must_use]
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let object = JsonObject::from_slice(body).ok();
        let text = |key: &str| object.as_ref().and_then(|object| any_case(object, key));
        let error = ServiceError {
            status,
            code: text("code"),
            message: text("message"),
            fault: text("type"),
            request_id: read_header(headers, X_CAS_REQUEST_ID).ok().flatten(),
            body_start: None,
        };
        let body_start = if error.code.is_none() { start_of(body) } else { None };
        ServiceError { body_start, ..error }
    }

    /// Whether the service gave this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The body as a server writes it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        JsonWriter::new()
            .set("code", self.code.as_deref().unwrap_or_default())
            .set("message", self.message.as_deref().unwrap_or_default())
            .set("type", self.fault.as_deref().unwrap_or_default())
            .to_vec()
    }
}

/// The text under a key, whatever the key's case.
fn any_case(object: &JsonObject, key: &str) -> Option<Box<str>> {
    let value = object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?.1;
    value.as_str().filter(|text| !text.is_empty()).map(|text| printable(text, 1024))
}

/// The beginning of a body as one printable line.
fn start_of(body: &[u8]) -> Option<Box<str>> {
    let start = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let start = printable(start.trim(), 200);
    if start.is_empty() { None } else { Some(start) }
}

/// Text from a stranger, made fit for a terminal and a log: control characters become blanks, it is cut, and a signature of ours that it
/// repeats is left out.
fn printable(text: &str, max_chars: usize) -> Box<str> {
    const SIGNATURE: &str = "q-signature=";
    let visible: String = text.chars().take(max_chars).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut parts = visible.split(SIGNATURE);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown += "q-signature: REDACTED";
        shown += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    shown.into()
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} {code}", self.status.as_u16())?,
            None => write!(f, "status {}", self.status)?,
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        } else if let Some(start) = &self.body_start {
            write!(f, ", body begins {start:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServiceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> ServiceError {
        let mut headers = HeaderMap::new();
        headers.insert("x-cas-requestId", "NTk5==".parse().unwrap());
        ServiceError::read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn the_documented_body_is_read() {
        let error = read(404, r#"{"code":"ResourceNotFoundException","message":"no vault x","type":"Client"}"#);
        assert!(error.is(code::RESOURCE_NOT_FOUND));
        assert_eq!(error.to_string(), "404 ResourceNotFoundException: no vault x");
        assert_eq!(error.request_id.unwrap().as_str(), "NTk5==");
    }

    #[test]
    fn keys_may_have_any_case() {
        assert!(read(400, r#"{"Code":"ThrottlingException","Message":"m"}"#).is(code::THROTTLING));
    }

    #[test]
    fn a_body_that_is_no_error_is_shown_in_part() {
        assert_eq!(
            read(502, "<html>\r\n<b>Bad</b>").to_string(),
            r#"status 502 Bad Gateway, body begins "<html>  <b>Bad</b>""#
        );
        assert_eq!(read(500, "").to_string(), "status 500 Internal Server Error");
        assert!(read(500, &"x".repeat(10_000)).to_string().len() < 300);
        assert!(!read(500, "a\u{1b}[31mred").to_string().contains('\u{1b}'));
        assert_eq!(read(500, r#"{"code":17}"#).code, None);
    }

    #[test]
    fn a_signature_that_is_repeated_is_left_out() {
        let error = read(400, r#"{"code":"X","message":"your q-ak=id&q-signature=0123abcdef&x, and q-signature=00"}"#);
        assert_eq!(error.message.as_deref(), Some("your q-ak=id&q-signature: REDACTED&x, and q-signature: REDACTED"));
        assert!(!read(502, "<html> q-signature=0123").to_string().contains("0123"));
    }

    #[test]
    fn a_server_writes_what_a_client_reads() {
        let error = ServiceError::new(StatusCode::FORBIDDEN, code::ACCESS_DENIED, "not yours");
        let read = ServiceError::read(error.status, &HeaderMap::new(), &error.to_json());
        assert_eq!(read, error);
    }
}
