//! `SignableRequest`: a request as the signature sees it, borrowed from whatever the caller has.

use std::borrow::Cow;

use crate::SignError;
use crate::encode::{all_plain, decode};
use crate::error::Field;
use crate::few::Few;

/// A request as the signature sees it: method, path, parameters and headers. The body is not signed, except through headers that hash it.
///
/// | Part | How it is given |
/// |---|---|
/// | method | in any case |
/// | path | as it is sent, from the first slash, without the query |
/// | parameters | decoded, with or without a value; or a whole query string as it is sent |
/// | headers | names in any case, values as raw bytes |
///
/// What is repeated is signed in the order given, with its name listed once. What cannot be signed is refused when it comes to signing.
///
/// ```
/// use cas_sign::SignableRequest;
///
/// let request = SignableRequest::new("GET", "/-/vaults/photos/jobs")
///     .with_query("limit=10&marker=a%20b")
///     .with_parameter("statuscode", "InProgress")
///     .with_header("Host", "cas.ap-chengdu.myqcloud.com");
/// assert_eq!(request.parameters().count(), 3);
/// assert_eq!(request.headers().next(), Some(("host", &b"cas.ap-chengdu.myqcloud.com"[..])));
/// ```
#[derive(Clone, Debug)]
pub struct SignableRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) parameters: Vec<Parameter<'a>>,
    pub(crate) headers: Few<Header<'a>, USUAL_HEADERS>,
}

/// A decoded parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) value: Option<Cow<'a, [u8]>>,
}

/// A header. It is looked at byte by byte when a request with it is signed, and no sooner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header<'a> {
    /// In lower case.
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: &'a [u8],
    /// Whether an HTTP library has made sure that it can be sent.
    sendable: bool,
}

impl<'a> SignableRequest<'a> {
    /// A request without parameters and headers.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, parameters: Vec::new(), headers: Few::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.push_header(name, value.as_ref());
        self
    }

    /// Adds a parameter with a value, both decoded.
    #[must_use]
    pub fn with_parameter(mut self, name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.push_parameter(name.as_bytes(), Some(value.as_ref()));
        self
    }

    /// Adds a parameter that has not even an equals sign.
    #[must_use]
    pub fn with_bare_parameter(mut self, name: &'a str) -> Self {
        self.push_parameter(name.as_bytes(), None);
        self
    }

    /// Adds the parameters of a query string as it is sent: without the question mark, escapes not yet decoded.
    ///
    /// A `+` is a plus sign, not a space. Nothing between two `&` is no parameter.
    #[must_use]
    pub fn with_query(mut self, query: &'a str) -> Self {
        self.push_query(query);
        self
    }

    /// Adds a header to a request that is being built in a loop. Names in lower case need no memory of their own.
    pub fn push_header(&mut self, name: &'a str, value: &'a [u8]) {
        self.headers.push(Header::new(name, value));
    }

    /// Adds a parameter, decoded, to a request that is being built in a loop.
    pub fn push_parameter(&mut self, name: &'a [u8], value: Option<&'a [u8]>) {
        self.parameters.push(Parameter { name: Cow::Borrowed(name), value: value.map(Cow::Borrowed) });
    }

    /// Adds the parameters of a query string, as [`with_query`](Self::with_query) does.
    pub fn push_query(&mut self, query: &'a str) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (pair, None),
            };
            let value = value.map(|value| decode(value.as_bytes()));
            self.parameters.push(Parameter { name: decode(name.as_bytes()), value });
        }
    }

    /// The method, as given.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The path, as given.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The headers in the order given, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        self.headers.iter().map(|header| (&*header.name, header.value))
    }

    /// The values of one header, its name in lower case.
    pub fn header<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + 'n {
        self.headers.iter().filter(move |header| header.name == name).map(|header| header.value)
    }

    /// The parameters in the order given, decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.parameters.iter().map(|parameter| (&*parameter.name, parameter.value.as_deref()))
    }

    /// Refuses what could not be sent.
    pub(crate) fn check(&self) -> Result<(), SignError> {
        refuse(self.method.as_bytes(), NO_TOKEN, || Field::Method)?;
        refuse(self.path.as_bytes(), LINE_BREAK | PATH_END, || Field::Path)?;
        if self.method.is_empty() {
            return Err(SignError::Empty { field: Field::Method });
        }
        if self.path.is_empty() {
            return Err(SignError::Empty { field: Field::Path });
        }
        if !self.path.starts_with('/') {
            return Err(SignError::RelativePath);
        }
        self.headers.iter().try_for_each(Header::check)
    }
}

impl<'a> Header<'a> {
    pub(crate) fn new(name: &'a str, value: &'a [u8]) -> Self {
        let lower = kinds(name.as_bytes()) & UPPER == 0;
        let name = if lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) };
        Self { name, value, sendable: false }
    }

    /// A header that an HTTP library has checked: the name is valid and in lower case.
    #[cfg(feature = "http")]
    pub(crate) fn checked(name: &'a str, value: &'a [u8]) -> Self {
        Self { name: Cow::Borrowed(name), value, sendable: true }
    }

    fn check(&self) -> Result<(), SignError> {
        if self.sendable {
            return Ok(());
        }
        if self.name.is_empty() {
            return Err(SignError::Empty { field: Field::HeaderName });
        }
        refuse(self.name.as_bytes(), NO_TOKEN, || Field::HeaderName)?;
        if !all_plain(self.value) {
            refuse(self.value, LINE_BREAK, || Field::Header(self.name.to_string()))?;
        }
        Ok(())
    }

    /// Refuses a header that is to be signed, and could not be listed.
    pub(crate) fn check_listable(&self) -> Result<(), SignError> {
        refuse(self.name.as_bytes(), AMPERSAND, || Field::HeaderName)
    }
}

/// Refuses text with a byte of these kinds, and names the first.
fn refuse(text: &[u8], forbidden: u8, field: impl FnOnce() -> Field) -> Result<(), SignError> {
    if kinds(text) & forbidden == 0 {
        return Ok(());
    }
    let allowed = |byte: &&u8| KINDS[usize::from(**byte)] & forbidden == 0;
    let at = text.iter().take_while(allowed).count();
    Err(SignError::ForbiddenByte { field: field(), byte: text[at], at })
}

/// As many headers as a request usually has; more of them are kept elsewhere.
pub(crate) const USUAL_HEADERS: usize = 8;

/// All the kinds of bytes that a text has.
fn kinds(text: &[u8]) -> u8 {
    text.iter().fold(0, |kinds, byte| kinds | KINDS[usize::from(*byte)])
}

/// An upper-case letter.
const UPPER: u8 = 1;
/// No character of a method or of a header's name (RFC 9110, 5.6.2).
const NO_TOKEN: u8 = 2;
/// The end of an item in a signature.
const AMPERSAND: u8 = 4;
/// What ends a line, or the text, for somebody on the way.
const LINE_BREAK: u8 = 8;
/// What ends a path in a URL.
const PATH_END: u8 = 16;

/// The kinds of each byte; most have none.
static KINDS: [u8; 256] = {
    let mut kinds = [NO_TOKEN; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z'
            | b'0'..=b'9'
            | b'!'
            | b'$'..=b'%'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'..=b'`'
            | b'|'
            | b'~' => 0,
            b'&' => AMPERSAND,
            b'#' => PATH_END,
            b'?' => PATH_END | NO_TOKEN,
            b'\r' | b'\n' | 0 => LINE_BREAK | NO_TOKEN,
            _ => NO_TOKEN,
        };
        byte += 1;
    }
    kinds
};
