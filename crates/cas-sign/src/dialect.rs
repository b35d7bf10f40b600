//! What differs between services that speak this scheme, as values: `Dialect`, `ParameterReading`, `EmptyValues`, `PathForm`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::SignError;
use crate::encode::Case;

/// How one service speaks the scheme. [`CAS`](Self::CAS) and [`COS`](Self::COS) are here; another one is a value that you make from them.
///
/// ```
/// use cas_sign::{Dialect, ParameterReading};
///
/// let mut private_cloud = Dialect::CAS;
/// private_cloud.name = "private".into();
/// private_cloud.reading = ParameterReading::C;
/// private_cloud.header_prefixes = vec!["x-private-".into()].into();
/// assert_ne!(private_cloud, Dialect::CAS);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// What messages call it.
    pub name: Cow<'static, str>,
    /// What becomes of the letters in parameter values.
    pub reading: ParameterReading,
    /// Whether escapes in parameter *names* are lowered with the letters. Reading B does so by itself.
    pub lower_key_escapes: bool,
    /// How a parameter without a value is written.
    pub empty_values: EmptyValues,
    /// Which path is signed.
    pub path: PathForm,
    /// The beginnings of the names of the service's own headers, in lower case.
    pub header_prefixes: Cow<'static, [Cow<'static, str>]>,
    /// The header that carries the token of temporary credentials, in lower case.
    pub token_header: Cow<'static, str>,
    /// Whether the seven items may travel as query parameters, which makes a presigned URL.
    pub query_form: bool,
}

impl Dialect {
    /// Cloud Archive Storage: its documentation page 572/8740, and the official Python client (1.0.6) where the page leaves things open.
    ///
    /// The token header is a guess by analogy: no document of the service names one.
    pub const CAS: Self = Self {
        name: Cow::Borrowed("CAS"),
        reading: ParameterReading::A,
        lower_key_escapes: false,
        empty_values: EmptyValues::AsWritten,
        path: PathForm::AsSent,
        header_prefixes: Cow::Borrowed(CAS_PREFIXES),
        token_header: Cow::Borrowed("x-cas-security-token"),
        query_form: false,
    };

    /// The XML API of Cloud Object Storage: its documentation page 436/7778.
    pub const COS: Self = Self {
        name: Cow::Borrowed("COS"),
        reading: ParameterReading::C,
        lower_key_escapes: true,
        empty_values: EmptyValues::WithEquals,
        path: PathForm::Decoded,
        header_prefixes: Cow::Borrowed(COS_PREFIXES),
        token_header: Cow::Borrowed("x-cos-security-token"),
        query_form: true,
    };

    pub(crate) fn key_case(&self) -> Case {
        if self.lower_key_escapes || self.reading == ParameterReading::B {
            Case::EncodeThenLower
        } else {
            Case::LowerThenEncode
        }
    }
}

const CAS_PREFIXES: &[Cow<'static, str>] = &[Cow::Borrowed("x-cas-")];
const COS_PREFIXES: &[Cow<'static, str>] = &[Cow::Borrowed("x-cos-"), Cow::Borrowed("x-ci-")];

/// The three readings of "encode and lower-case the values of parameters", which the service's page asks for without saying which comes first.
///
/// | Reading | `InProgress` | `A+b` |
/// |---|---|---|
/// | A | `inprogress` | `a%2Bb` |
/// | B | `inprogress` | `a%2bb` |
/// | C | `InProgress` | `A%2Bb` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterReading {
    /// Lower-case ASCII letters, then encode: escapes keep upper-case hex. What the official Python client of CAS does.
    A,
    /// Encode, then lower-case everything, escapes too. The literal reading of the CAS page.
    B,
    /// Encode and keep the case. What COS does.
    C,
}

impl ParameterReading {
    /// All three.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    pub(crate) fn value_case(self) -> Case {
        match self {
            Self::A => Case::LowerThenEncode,
            Self::B => Case::EncodeThenLower,
            Self::C => Case::Keep,
        }
    }
}

impl fmt::Display for ParameterReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        })
    }
}

/// Reads the letter.
impl FromStr for ParameterReading {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        match text {
            "A" | "a" => Ok(Self::A),
            "B" | "b" => Ok(Self::B),
            "C" | "c" => Ok(Self::C),
            other => Err(SignError::UnknownReading { name: other.to_owned() }),
        }
    }
}

/// How a parameter without a value is written into the format string.
///
/// A header with an empty value follows suit: bare only when this is [`Bare`](Self::Bare).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmptyValues {
    /// `marker`, whatever the URL has. The official Python client of CAS.
    Bare,
    /// `marker=`, whatever the URL has. COS, and the page of CAS.
    WithEquals,
    /// As it stands in the URL, which suits both kinds of CAS client.
    AsWritten,
}

/// Which form of the path is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathForm {
    /// As it is sent, escapes included.
    AsSent,
    /// With its escapes decoded to UTF-8. A `%` that begins no escape stays as it is.
    Decoded,
}
