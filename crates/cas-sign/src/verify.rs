//! The server's half: `Verifier`, which tries every way in which an honest client may have signed a request, and `VerifyError`, which says
//! which step failed.

use std::fmt;

use crate::authorization::{Authorization, AuthorizationError};
use crate::credentials::{Key, SecretKey};
use crate::dialect::EmptyValues;
use crate::format_string::FormatString;
use crate::request::Header;
use crate::signature::write_string_to_sign;
use crate::{Algorithm, Dialect, ParameterReading, SignableRequest, SigningKey, TimeRange};

/// What a server accepts.
///
/// ```
/// use cas_sign::{Credentials, SignableRequest, SigningOptions, TimeRange, Verifier, VerifyError, sign};
///
/// let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", "127.0.0.1:9580");
/// let credentials = Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd")?;
/// let signed = sign(&request, &credentials, TimeRange::around(1480932292, 60, 900), &SigningOptions::cas())?;
///
/// let verifier = Verifier::cas();
/// let lookup = |id: &str| (id == "example-secret-id").then(|| credentials.key().clone());
/// let verified = verifier.verify(&request, Some(signed.authorization()), 1480932300, lookup)?;
/// assert_eq!(verified.authorization.secret_id.as_str(), "example-secret-id");
///
/// let other = SignableRequest::new("DELETE", "/-/vaults").with_header("Host", "127.0.0.1:9580");
/// let error = verifier.verify(&other, Some(signed.authorization()), 1480932300, lookup).unwrap_err();
/// assert_eq!(error, VerifyError::Mismatch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verifier {
    /// The service's way of speaking the scheme. Its reading and its way with empty values give way to the next two fields.
    pub dialect: Dialect,
    /// The readings that are tried, in this order.
    pub readings: Vec<ParameterReading>,
    /// The ways with empty values that are tried, in this order.
    pub empty_values: Vec<EmptyValues>,
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// How far the client's clock may be off.
    pub tolerance: Tolerance,
    /// Whether the seven items may stand in the query when there is no `Authorization` header.
    pub query_form: bool,
}

impl Verifier {
    /// Accepts what every known CAS client sends: all readings, empty values with and without `=`, sha1.
    pub fn cas() -> Self {
        Self {
            readings: ParameterReading::ALL.to_vec(),
            empty_values: vec![EmptyValues::AsWritten, EmptyValues::Bare, EmptyValues::WithEquals],
            ..Self::new(Dialect::CAS)
        }
    }

    /// Accepts what COS clients send, in a header or in the query.
    pub fn cos() -> Self {
        Self::new(Dialect::COS)
    }

    /// Accepts exactly what a dialect says, with sha1 and the usual tolerance.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            readings: vec![dialect.reading],
            empty_values: vec![dialect.empty_values],
            algorithms: vec![Algorithm::Sha1],
            tolerance: Tolerance::default(),
            query_form: dialect.query_form,
            dialect,
        }
    }

    /// Checks the signature of a received request.
    ///
    /// The path is the one of the request line, escapes and all; the parameters are decoded; every header is there as often as it was received.
    /// `authorization` is the header's value. `now` is in seconds since the Unix epoch. `lookup` knows the key of a secret id.
    ///
    /// An unknown secret id costs the same work as a wrong signature. A server that wants to hide which of the two it was answers both errors
    /// alike.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] with the first step that failed, in the order of its variants.
    pub fn verify(
        &self,
        request: &SignableRequest<'_>,
        authorization: Option<&str>,
        now: u64,
        lookup: impl FnOnce(&str) -> Option<Key>,
    ) -> Result<Verified, VerifyError> {
        let authorization = self.read(request, authorization)?;
        if !self.algorithms.contains(&authorization.algorithm) {
            return Err(VerifyError::AlgorithmRefused(authorization.algorithm));
        }
        let key = lookup(authorization.secret_id.as_str());
        let known = key.is_some();
        let key = key.unwrap_or_else(|| Key::Secret(SecretKey::nobodys()));
        let matched = signing_key(&key, &authorization).and_then(|key| self.search(request, &authorization, &key));

        if !known {
            return Err(VerifyError::UnknownSecretId);
        }
        self.tolerance.check(Time::Sign, authorization.sign_time, now)?;
        self.tolerance.check(Time::Key, authorization.key_time, now)?;
        let matched = matched.ok_or(VerifyError::Mismatch)?;
        Ok(Verified { authorization, matched })
    }

    fn read(&self, request: &SignableRequest<'_>, header: Option<&str>) -> Result<Authorization, VerifyError> {
        match header {
            Some(text) => text.parse().map_err(VerifyError::Malformed),
            None if self.query_form => match Authorization::from_parameters(request.parameters()) {
                Ok(Some(authorization)) => Ok(authorization),
                Ok(None) => Err(VerifyError::Missing),
                Err(error) => Err(VerifyError::Malformed(error)),
            },
            None => Err(VerifyError::Missing),
        }
    }

    /// Looks for the reading, the way with empty values and the host that give this signature. Texts that were tried are not tried again.
    pub(crate) fn search(
        &self,
        request: &SignableRequest<'_>,
        authorization: &Authorization,
        key: &SigningKey,
    ) -> Option<Match> {
        let mut tried: Vec<Vec<u8>> = Vec::new();
        for host in hosts(request, authorization) {
            for reading in &self.readings {
                for empty_values in &self.empty_values {
                    let dialect = Dialect { reading: *reading, empty_values: *empty_values, ..self.dialect.clone() };
                    let text = rebuild(request, authorization, &dialect, &host)?;
                    if !tried.contains(&text) {
                        if is_signature_of(&text, authorization, key) {
                            return Some(Match { reading: *reading, empty_values: *empty_values, host: host.text() });
                        }
                        tried.push(text);
                    }
                }
            }
        }
        None
    }
}

/// How many seconds a client's clock may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tolerance {
    /// How long before its start a range is accepted.
    pub early: u64,
    /// How long after its end a range is accepted.
    pub late: u64,
}

impl Tolerance {
    /// A tolerance of so many seconds before the start and after the end.
    pub const fn new(early: u64, late: u64) -> Self {
        Self { early, late }
    }

    fn check(self, which: Time, range: TimeRange, now: u64) -> Result<(), VerifyError> {
        if now.saturating_add(self.early) < range.start() {
            Err(VerifyError::NotYetValid { which, range, now })
        } else if now > range.end().saturating_add(self.late) {
            Err(VerifyError::Expired { which, range, now })
        } else {
            Ok(())
        }
    }
}

/// 300 seconds early, none late. No document tells the service's own.
impl Default for Tolerance {
    fn default() -> Self {
        Self::new(300, 0)
    }
}

/// A signature that is good.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Who signed, when, and what is covered.
    pub authorization: Authorization,
    /// How the client wrote the format string.
    pub matched: Match,
}

/// How a client wrote the format string.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Match {
    /// The reading of parameter values. Without parameters it is the first that was tried.
    pub reading: ParameterReading,
    /// The way with empty values. Without any it is the first that was tried.
    pub empty_values: EmptyValues,
    /// The host that was signed when it is not simply the one received; `None` too when no host was signed.
    pub host: Option<String>,
}

/// The step of verification that failed. The variants stand in the order of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The request has no signature.
    Missing,
    /// The signature cannot be read.
    Malformed(AuthorizationError),
    /// The algorithm is known, but this server does not accept it.
    AlgorithmRefused(Algorithm),
    /// Nobody has that secret id.
    UnknownSecretId,
    /// A time range has not begun.
    NotYetValid {
        /// Which of the two.
        which: Time,
        /// The range.
        range: TimeRange,
        /// The server's time.
        now: u64,
    },
    /// A time range is over.
    Expired {
        /// Which of the two.
        which: Time,
        /// The range.
        range: TimeRange,
        /// The server's time.
        now: u64,
    },
    /// The signature is not the one of this request with this key, however it is read.
    Mismatch,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no signature: expected an authorization header"),
            Self::Malformed(_) => f.write_str("the signature cannot be read"),
            Self::AlgorithmRefused(algorithm) => write!(f, "q-sign-algorithm: {algorithm} is not accepted here"),
            Self::UnknownSecretId => f.write_str("q-ak: nobody has this secret id"),
            Self::NotYetValid { which, range, now } => {
                write!(f, "{which}: begins at {}, now it is {now}", range.start())
            }
            Self::Expired { which, range, now } => write!(f, "{which}: ended at {}, now it is {now}", range.end()),
            Self::Mismatch => f.write_str("q-signature: not the signature of this request with this key"),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(source) => Some(source),
            _ => None,
        }
    }
}

/// One of the two time ranges of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// When the request may be made.
    Sign,
    /// When the signing key is valid.
    Key,
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sign => "q-sign-time",
            Self::Key => "q-key-time",
        })
    }
}

/// The key that must have signed; `None` when the known one is a signing key of another algorithm or key time.
pub(crate) fn signing_key(key: &Key, authorization: &Authorization) -> Option<SigningKey> {
    match key {
        Key::Secret(secret_key) => Some(secret_key.signing_key(authorization.algorithm, authorization.key_time)),
        Key::Signing(key) => (key.key_time() == authorization.key_time && key.algorithm() == authorization.algorithm)
            .then(|| key.clone()),
    }
}

/// What stands for the host header in one attempt.
#[derive(Clone, Debug)]
pub(crate) enum Host<'r> {
    /// Every value that was received, in order.
    AsReceived,
    /// This value alone.
    Only(std::borrow::Cow<'r, [u8]>),
}

impl Host<'_> {
    fn text(&self) -> Option<String> {
        match self {
            Self::AsReceived => None,
            Self::Only(value) => Some(String::from_utf8_lossy(value).into_owned()),
        }
    }
}

/// The hosts that a client may have signed: as received, then each value alone, without its port, and with the two default ports.
///
/// The official Python client sends two, the second without the port, and signs the second.
fn hosts<'r>(request: &SignableRequest<'r>, authorization: &Authorization) -> Vec<Host<'r>> {
    let mut hosts = vec![Host::AsReceived];
    if !authorization.header_list.contains_header("host") {
        return hosts;
    }
    let received: Vec<&[u8]> = request.header("host").take(MAX_HOSTS).collect();
    if received.len() > 1 {
        hosts.extend(received.iter().map(|value| Host::Only((*value).into())));
    }
    for value in &received {
        match without_port(value) {
            Some(name) => hosts.push(Host::Only(name.into())),
            None => {
                hosts.extend([&b":80"[..], b":443"].map(|port| Host::Only([value.trim_ascii(), port].concat().into())));
            }
        }
    }
    hosts
}

fn without_port(host: &[u8]) -> Option<&[u8]> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let port = &host[colon + 1..];
    (!port.is_empty() && port.iter().all(u8::is_ascii_digit)).then(|| &host[..colon])
}

/// The format string from the listed names only. `None` when the path cannot be written in this dialect.
pub(crate) fn rebuild(
    request: &SignableRequest<'_>,
    authorization: &Authorization,
    dialect: &Dialect,
    host: &Host<'_>,
) -> Option<Vec<u8>> {
    let mut headers = request.headers.to_vec();
    if let Host::Only(value) = host {
        headers.retain(|header| header.name != "host");
        headers.push(Header::new("host", value));
    }
    let lists_header = |name: &str| authorization.header_list.contains_header(name);
    let lists_parameter = |name: &[u8]| authorization.parameter_list.contains_parameter(name);
    let format_string = FormatString::select(request, dialect, &headers, lists_header, lists_parameter).ok()?;
    let mut text = Vec::new();
    format_string.write_to(&mut text);
    Some(text)
}

fn is_signature_of(format_string: &[u8], authorization: &Authorization, key: &SigningKey) -> bool {
    let mut string_to_sign = Vec::with_capacity(128);
    let digest = authorization.algorithm.digest(format_string);
    let write_time = |out: &mut Vec<u8>| key.write_time(out, authorization.sign_time);
    write_string_to_sign(&mut string_to_sign, authorization.algorithm, write_time, &digest);
    key.verify(&string_to_sign, &authorization.signature)
}

/// More `Host` headers than this are not tried alone.
const MAX_HOSTS: usize = 4;
