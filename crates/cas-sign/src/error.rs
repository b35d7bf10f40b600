//! What can be wrong with the inputs of a signature. What can be wrong with somebody else's signature is in `authorization` and `verify`.

use std::fmt;

use crate::{Algorithm, TimeRange};

/// Says why nothing was signed. Nothing was changed either: signing works on a copy.
///
/// Every variant is the caller's to mend, and no message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// A field that must have text has none.
    Empty {
        /// The field.
        field: Field,
    },
    /// A field holds a byte that would not survive the way to the service, such as a line break.
    ForbiddenByte {
        /// The field.
        field: Field,
        /// The byte.
        byte: u8,
        /// Where it stands, counted in bytes from 0.
        at: usize,
    },
    /// The path does not begin with a slash.
    RelativePath,
    /// The dialect signs the decoded path, and the decoded path is not UTF-8.
    PathNotUtf8,
    /// A time range ends before it starts.
    ReversedTimes {
        /// First second.
        start: u64,
        /// Last second.
        end: u64,
    },
    /// A time range is not two decimal numbers with a semicolon between them.
    MalformedTimes,
    /// A signing key in hex has the wrong number of digits, or a character that is no lower-case hex digit.
    MalformedSigningKey {
        /// The algorithm it was said to be for.
        algorithm: Algorithm,
        /// How many characters it has.
        length: usize,
    },
    /// The sign time is not inside the key time, so no server would accept the signature.
    OutsideKeyTime {
        /// When the request may be made.
        sign_time: TimeRange,
        /// When the key is valid.
        key_time: TimeRange,
    },
    /// The signing key belongs to another algorithm than the one asked for.
    WrongAlgorithm {
        /// The one asked for.
        requested: Algorithm,
        /// The one the signing key was derived with.
        key: Algorithm,
    },
    /// No algorithm of this scheme has that name.
    UnknownAlgorithm {
        /// The name.
        name: String,
    },
    /// There is no parameter reading of that name.
    UnknownReading {
        /// The name.
        name: String,
    },
    /// The dialect has no query form. For CAS: the service documents none, so a presigned URL would be a guess.
    NoQueryForm {
        /// The dialect's name.
        dialect: String,
    },
    /// The request already carries one of the parameters that a presigned URL adds.
    AlreadySigned {
        /// Its name.
        parameter: String,
    },
    /// The dialect's token header is no name of a header.
    InvalidTokenHeader {
        /// The name.
        name: String,
    },
    /// The finished URL of a request is not a valid one.
    InvalidUri,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { field } => write!(f, "{field}: expected text, found none"),
            Self::ForbiddenByte { field, byte, at } => write!(f, "{field}: byte 0x{byte:02x} at {at} is not allowed"),
            Self::RelativePath => write!(f, "path: expected a slash at the beginning"),
            Self::PathNotUtf8 => write!(f, "path: the decoded path is not UTF-8"),
            Self::ReversedTimes { start, end } => write!(f, "time range: ends at {end}, before it starts at {start}"),
            Self::MalformedTimes => {
                write!(f, "time range: expected two decimal numbers of seconds, as in 1480932292;1481012292")
            }
            Self::MalformedSigningKey { algorithm, length } => write!(
                f,
                "signing key: expected {} lower-case hex digits for {algorithm}, found {length} characters",
                algorithm.hex_len()
            ),
            Self::OutsideKeyTime { sign_time, key_time } => {
                write!(f, "sign time: {sign_time} is not inside the key time {key_time}")
            }
            Self::WrongAlgorithm { requested, key } => {
                write!(f, "signing key: derived with {key}, but {requested} was asked for")
            }
            Self::UnknownAlgorithm { name } => write!(f, "algorithm: expected sha1 or sha256, found {name:?}"),
            Self::UnknownReading { name } => write!(f, "parameter reading: expected A, B or C, found {name:?}"),
            Self::NoQueryForm { dialect } => {
                write!(f, "query form: the {dialect} service documents none; sign a header instead")
            }
            Self::AlreadySigned { parameter } => write!(f, "parameter {parameter:?}: the request carries it already"),
            Self::InvalidTokenHeader { name } => write!(f, "token header: {name:?} is no name of a header"),
            Self::InvalidUri => write!(f, "query form: the signed URL is not a valid one"),
        }
    }
}

impl std::error::Error for SignError {}

/// A named part of the input, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The secret id.
    SecretId,
    /// The secret key.
    SecretKey,
    /// The token of temporary credentials.
    Token,
    /// The request's method.
    Method,
    /// The request's path.
    Path,
    /// The name of a header.
    HeaderName,
    /// The value of the header with this name.
    Header(String),
    /// The name of a parameter.
    ParameterName,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretId => f.write_str("secret id"),
            Self::SecretKey => f.write_str("secret key"),
            Self::Token => f.write_str("token"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::HeaderName => f.write_str("header name"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::ParameterName => f.write_str("parameter name"),
        }
    }
}

/// Refuses an empty `text` and the first byte for which `allowed` says no.
pub(crate) fn check(text: &[u8], allowed: impl Fn(u8) -> bool, field: impl FnOnce() -> Field) -> Result<(), SignError> {
    if text.is_empty() {
        return Err(SignError::Empty { field: field() });
    }
    match text.iter().position(|byte| !allowed(*byte)) {
        None => Ok(()),
        Some(at) => Err(SignError::ForbiddenByte { field: field(), byte: text[at], at }),
    }
}

/// Whether a byte may stand in a value that goes on one line.
pub(crate) fn keeps_the_line(byte: u8) -> bool {
    (byte != b'\r') & (byte != b'\n') & (byte != 0)
}
