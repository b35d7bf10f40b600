//! How an operation becomes the head of a request and comes back from one: the writer and the reader, and what is known of every operation.
//!
//! The words of a row of the table in `ops.rs`, `path`, `query`, `header` and `json`, are methods of [`RequestWriter`] and
//! [`RequestReader`]. Nothing here knows a socket, a signature, or the bytes of an archive.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::header::{CONTENT_LENGTH, CONTENT_TYPE};
use crate::id::{Description, Uid};
use crate::json::Document;

/// Something that came over the wire, or should have, and could not be read: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    field: Cow<'static, str>,
    problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Missing,
    Invalid(String),
    NotJson(String),
}

impl WireError {
    /// The field is not there.
    #[must_use]
    pub fn missing(field: impl Into<Cow<'static, str>>) -> Self {
        WireError { field: field.into(), problem: Problem::Missing }
    }

    /// The field is there and makes no sense.
    #[must_use]
    pub fn invalid(field: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        WireError { field: field.into(), problem: Problem::Invalid(why.into()) }
    }

    /// The field should be JSON and is not.
    #[must_use]
    pub fn not_json(field: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        WireError { field: field.into(), problem: Problem::NotJson(why.into()) }
    }

    /// The header, query parameter, path element or JSON key.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether the field is not there at all.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.problem == Problem::Missing
    }

    /// Whether the text is not JSON.
    #[must_use]
    pub fn is_not_json(&self) -> bool {
        matches!(self.problem, Problem::NotJson(_))
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Missing => write!(f, "{}: missing", self.field),
            Problem::Invalid(why) => write!(f, "{}: {why}", self.field),
            Problem::NotJson(why) => write!(f, "{}: not JSON: {why}", self.field),
        }
    }
}

impl std::error::Error for WireError {}

/// A value that travels as text: in a path, a query or a header.
pub trait Text: Sized {
    /// The text as it is sent.
    fn to_text(&self) -> Cow<'_, str>;

    /// Reads the text that came.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the bytes that came: as UTF-8, or as Latin-1 when they are not, which an official client sends.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Self::from_text(&text_of(bytes))
    }
}

/// For types whose text, as `$text` gives it, and `FromStr` are already the form that travels.
macro_rules! text_by_parse {
    ($text:expr => $($ty:ty),+ $(,)?) => { $(
        impl Text for $ty {
            fn to_text(&self) -> Cow<'_, str> {
                let text: fn(&$ty) -> Cow<'_, str> = $text;
                text(self)
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: <$ty as std::str::FromStr>::Err| error.to_string())
            }
        }
    )+ };
}

text_by_parse!(
    |value| value.as_str().into() =>
    String,
    crate::id::VaultName,
    crate::id::ArchiveId,
    crate::id::UploadId,
    crate::id::JobId,
    crate::id::RequestId,
    crate::id::Marker,
);

text_by_parse!(
    |value| value.to_string().into() =>
    crate::id::Limit,
    crate::range::OutputRange,
    crate::range::ContentRange,
    crate::range::PartSize,
    crate::range::ArchiveSize,
    crate::document::JobStatus,
    cas_treehash::TreeHash,
    cas_treehash::ContentSha256,
);

text_by_parse!(
    |value| match value {
        Uid::Own => "-".into(),
        Uid::App(id) => id.to_string().into(),
    } =>
    Uid,
);

impl Text for crate::range::PartRange {
    fn to_text(&self) -> Cow<'_, str> {
        self.to_content_range().into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_content_range(text).map_err(|error| error.to_string())
    }
}

/// A description is read as it came: what [`Description::parse`] asks of whoever sends one, is not asked here.
impl Text for Description {
    fn to_text(&self) -> Cow<'_, str> {
        self.as_str().into()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Description::received(text).map_err(|error| error.to_string())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > Description::MAX_BYTES {
            return Err(format!("expected at most {} bytes, found {}", Description::MAX_BYTES, bytes.len()));
        }
        Self::from_text(&text_of(bytes))
    }
}

impl Text for bool {
    fn to_text(&self) -> Cow<'_, str> {
        if *self { "true".into() } else { "false".into() }
    }

    /// Reads `true` and `false` in any case: the official Python client sends `True`.
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(format!("expected true or false, found {:.20?}", text)),
        }
    }
}

/// A header of an answer as a field: one that must be there, or an `Option`.
pub trait HeaderField: Sized {
    /// Takes the value from the headers.
    ///
    /// # Errors
    ///
    /// When it must be there and is not, or makes no sense.
    fn from_headers(headers: &HeaderMap, name: HeaderName) -> Result<Self, WireError>;

    /// The text to send, if any.
    fn header_text(&self) -> Option<Cow<'_, str>>;
}

impl<T: Text> HeaderField for T {
    fn from_headers(headers: &HeaderMap, name: HeaderName) -> Result<Self, WireError> {
        read_header(headers, name.clone())?.ok_or_else(|| WireError::missing(name.as_str().to_owned()))
    }

    fn header_text(&self) -> Option<Cow<'_, str>> {
        Some(self.to_text())
    }
}

impl<T: Text> HeaderField for Option<T> {
    fn from_headers(headers: &HeaderMap, name: HeaderName) -> Result<Self, WireError> {
        read_header(headers, name)
    }

    fn header_text(&self) -> Option<Cow<'_, str>> {
        self.as_ref().map(Text::to_text)
    }
}

/// What a repeat of an operation does when the outcome of the first try is unknown. It drives retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Repeat {
    /// The same as doing it once.
    Safe,
    /// The same as doing it once, if "not found" on the repeat is taken for success.
    SafeIfGone,
    /// Something else: a second archive, a second job. It is never repeated blindly.
    Unsafe,
}

/// Where the bytes of an archive travel in an operation. They are never inside the operation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShapeKind {
    /// Nowhere: both bodies are small documents or empty.
    Plain,
    /// In the request's body.
    Upload,
    /// In the answer's body.
    Download,
}

/// The type-level form of [`ShapeKind`]: it decides at compile time which call takes which operation. The shapes here are all there are.
pub trait Shape: sealed::Sealed + Send + Sync + 'static {
    /// The shape as a value.
    const KIND: ShapeKind;
    /// What goes along with the operation when it is sent: a body for uploads, nothing otherwise.
    #[cfg(feature = "client")]
    type Payload: Send + 'static;

    /// The body of the request: the payload of an upload, the operation's own document otherwise.
    #[cfg(feature = "client")]
    fn body(payload: Self::Payload, document: Bytes) -> crate::body::Body;
}

mod sealed {
    /// Keeps the shapes those of this module: what one must have differs with the features.
    ///
    /// ```compile_fail
    /// struct Mine;
    ///
    /// impl cas_http::wire::Shape for Mine {
    ///     const KIND: cas_http::wire::ShapeKind = cas_http::wire::ShapeKind::Plain;
    ///     type Payload = ();
    ///
    ///     fn body((): (), document: bytes::Bytes) -> cas_http::Body {
    ///         document.into()
    ///     }
    /// }
    /// ```
    pub trait Sealed {}
    impl Sealed for super::Plain {}
    impl Sealed for super::Upload {}
    impl Sealed for super::Download {}
    impl Sealed for super::AnyBody {}
}

/// [`ShapeKind::Plain`] as a type.
#[derive(Clone, Copy, Debug)]
pub struct Plain;
/// [`ShapeKind::Upload`] as a type.
#[derive(Clone, Copy, Debug)]
pub struct Upload;
/// [`ShapeKind::Download`] as a type.
#[derive(Clone, Copy, Debug)]
pub struct Download;

impl Shape for Plain {
    const KIND: ShapeKind = ShapeKind::Plain;
    #[cfg(feature = "client")]
    type Payload = ();

    #[cfg(feature = "client")]
    fn body((): (), document: Bytes) -> crate::body::Body {
        document.into()
    }
}

impl Shape for Upload {
    const KIND: ShapeKind = ShapeKind::Upload;
    #[cfg(feature = "client")]
    type Payload = crate::body::Body;

    #[cfg(feature = "client")]
    fn body(payload: crate::body::Body, _: Bytes) -> crate::body::Body {
        payload
    }
}

impl Shape for Download {
    const KIND: ShapeKind = ShapeKind::Download;
    #[cfg(feature = "client")]
    type Payload = ();

    #[cfg(feature = "client")]
    fn body((): (), document: Bytes) -> crate::body::Body {
        document.into()
    }
}

/// The shape of a [`Raw`](crate::Raw) request: the body is the operation's own, unless one goes along with it.
#[derive(Clone, Copy, Debug)]
pub struct AnyBody;

impl Shape for AnyBody {
    const KIND: ShapeKind = ShapeKind::Plain;
    #[cfg(feature = "client")]
    type Payload = Option<crate::body::Body>;

    #[cfg(feature = "client")]
    fn body(payload: Option<crate::body::Body>, document: Bytes) -> crate::body::Body {
        payload.unwrap_or_else(|| document.into())
    }
}

/// What is true of an operation whatever its fields hold: one entry of [`OPERATIONS`](crate::ops::OPERATIONS).
#[derive(Debug)]
#[non_exhaustive]
pub struct OperationInfo {
    /// The service's name for it: `UploadPart`.
    pub name: &'static str,
    /// The name of its method on the clients: `upload_part`.
    pub method_name: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path, with the name of a field in braces where its value goes.
    pub path: &'static str,
    /// What a repeat does.
    pub repeat: Repeat,
    /// Where archive bytes travel.
    pub shape: ShapeKind,
    /// The fields, required ones first.
    pub fields: &'static [FieldInfo],
}

/// Where one field of an operation travels.
#[derive(Debug)]
#[non_exhaustive]
pub struct FieldInfo {
    /// The field's name in the struct.
    pub name: &'static str,
    /// `path`, `query`, `header` or `json`.
    pub place: &'static str,
    /// The name it has on the wire; for a header, the name of its constant in [`header`](crate::header).
    pub key: &'static str,
    /// Whether the operation makes no sense without it.
    pub required: bool,
}

impl FieldInfo {
    /// The name it has on the wire, in lower case for a header.
    #[must_use]
    pub fn wire_name(&self) -> String {
        if self.place == "header" { self.key.to_ascii_lowercase().replace('_', "-") } else { self.key.to_owned() }
    }
}

impl OperationInfo {
    /// Whether a request with this method and path is this operation.
    #[must_use]
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        self.method == method && self.elements(path).is_some()
    }

    /// The values that stand in `path` where the template has names; `None` when the path is another one.
    pub(crate) fn elements<'p>(&self, path: &'p str) -> Option<Vec<(&'static str, &'p str)>> {
        let mut found = Vec::new();
        let (mut template, mut actual) = (self.path.split('/'), path.split('/'));
        loop {
            match (template.next(), actual.next()) {
                (None, None) => return Some(found),
                (Some(expected), Some(element)) => match placeholder(expected) {
                    Some(name) if !element.is_empty() => found.push((name, element)),
                    None if expected == element => {}
                    _ => return None,
                },
                _ => return None,
            }
        }
    }
}

fn placeholder(element: &str) -> Option<&str> {
    element.strip_prefix('{')?.strip_suffix('}')
}

/// An operation of the service as a value: everything of one request but the account, the signature and the bytes of an archive.
pub trait Operation: Clone + fmt::Debug + Send + Sync + Sized + 'static {
    /// Where archive bytes travel.
    type Shape: Shape;
    /// What is true of every such request.
    const INFO: &'static OperationInfo;

    /// The request's head and, unless the body is archive data, its body. The target is path and query only; `Host`,
    /// `Content-Length` of archive data and the signature are added by whoever sends it.
    fn encode(&self, uid: Uid) -> Request<Bytes>;

    /// What is true of this request: [`INFO`](Self::INFO), unless it has a say of its own.
    fn info(&self) -> &'static OperationInfo {
        Self::INFO
    }

    /// The vault it is about, for messages; `None` when it is about none.
    fn vault(&self) -> Option<&crate::id::VaultName>;
}

/// What stays as it is in a path element or a query: everything else is written `%XX`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text as it stands in one element of a path, or in a query: what means something there is written `%XX`.
#[must_use]
pub fn escape(text: &str) -> String {
    escaped(text).into_owned()
}

fn escaped(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, UNRESERVED).into()
}

/// Room for an identifier in a path.
const USUAL_ID: usize = 64;

/// Builds a request from the fields of an operation: those in the path come first, in its order.
#[derive(Debug)]
pub struct RequestWriter {
    /// The path and the query as far as they are written.
    target: String,
    /// What of the path is still to be written, from the next name on.
    template: &'static str,
    has_query: bool,
    request: Request<Bytes>,
}

impl RequestWriter {
    /// Begins a request of this operation for this account.
    #[must_use]
    pub fn new(info: &OperationInfo, uid: Uid) -> Self {
        let mut request = Request::default();
        *request.method_mut() = info.method.clone();
        if info.shape == ShapeKind::Upload {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        let target = String::with_capacity(info.path.len() + USUAL_ID);
        let mut writer = RequestWriter { target, template: info.path, has_query: false, request };
        writer.go_on();
        writer.path("uid", &uid);
        writer
    }

    /// Puts a value in the path, if it is its name that stands there next: values come in the order of the path.
    pub fn path(&mut self, name: &str, value: &impl Text) {
        let next = self.template.strip_prefix('{').and_then(|rest| rest.strip_prefix(name)?.strip_prefix('}'));
        if let Some(rest) = next {
            self.target.push_str(&escaped(&value.to_text()));
            self.template = rest;
            self.go_on();
        }
    }

    /// Writes the path up to the next name, or to its end.
    fn go_on(&mut self) {
        let end = self.template.bytes().position(|byte| byte == b'{').unwrap_or(self.template.len());
        let (literal, rest) = self.template.split_at(end);
        self.target.push_str(literal);
        self.template = rest;
    }

    /// Adds a query parameter.
    pub fn query(&mut self, name: &str, value: &impl Text) {
        self.target.push(if std::mem::replace(&mut self.has_query, true) { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        self.target.push_str(&escaped(&value.to_text()));
    }

    /// Sets a header.
    pub fn header(&mut self, name: HeaderName, value: &impl Text) {
        let value = HeaderValue::from_bytes(value.to_text().as_bytes());
        self.request
            .headers_mut()
            .insert(name, value.expect("types that travel in headers allow no control characters"));
    }

    /// Sets the body to a document.
    pub fn json(&mut self, _name: &str, document: &impl Document) {
        let body: Bytes = document.to_json().into();
        let headers = self.request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *self.request.body_mut() = body;
    }

    /// The request.
    ///
    /// # Panics
    ///
    /// When a name of the path got no value. What is left of such a path may well be that of something larger.
    #[must_use]
    pub fn finish(mut self) -> Request<Bytes> {
        assert!(self.template.is_empty(), "the path has no value for what comes at `{}`", self.template);
        let target = PathAndQuery::try_from(self.target);
        *self.request.uri_mut() = target.expect("everything reserved was escaped").into();
        self.request
    }
}

/// Reads the fields of an operation from a request.
#[derive(Debug)]
pub struct RequestReader<'r> {
    elements: Vec<(&'static str, &'r str)>,
    query: Vec<(String, String)>,
    headers: &'r HeaderMap,
    body: &'r [u8],
}

impl<'r> RequestReader<'r> {
    /// Opens a request of this operation. `path` and `query` are as they were sent; `body` is empty when it is archive data.
    ///
    /// # Errors
    ///
    /// When the path is not the operation's.
    pub fn new(
        info: &'static OperationInfo,
        path: &'r str,
        query: &str,
        headers: &'r HeaderMap,
        body: &'r [u8],
    ) -> Result<Self, WireError> {
        let elements =
            info.elements(path).ok_or_else(|| WireError::invalid("path", format!("expected {}", info.path)))?;
        Ok(RequestReader { elements, query: query_pairs(query), headers, body })
    }

    /// The account in the path.
    ///
    /// # Errors
    ///
    /// When it is neither a number nor `-`.
    pub fn uid(&self) -> Result<Uid, WireError> {
        self.path("uid")
    }

    /// A value of the path.
    ///
    /// # Errors
    ///
    /// When it makes no sense.
    pub fn path<T: Text>(&self, name: &'static str) -> Result<T, WireError> {
        let element = self.elements.iter().find(|(key, _)| *key == name).ok_or_else(|| WireError::missing(name))?.1;
        let text = percent_decode_str(element).decode_utf8().map_err(|_| WireError::invalid(name, "not UTF-8"))?;
        T::from_text(&text).map_err(|why| WireError::invalid(name, why))
    }

    /// A query parameter, if it is there and not empty.
    ///
    /// # Errors
    ///
    /// When it makes no sense.
    pub fn query<T: Text>(&self, name: &'static str) -> Result<Option<T>, WireError> {
        match self.query.iter().find(|(key, value)| key == name && !value.is_empty()) {
            None => Ok(None),
            Some((_, value)) => T::from_text(value).map(Some).map_err(|why| WireError::invalid(name, why)),
        }
    }

    /// A header, if it is there and not empty.
    ///
    /// # Errors
    ///
    /// When it makes no sense.
    pub fn header<T: Text>(&self, name: HeaderName) -> Result<Option<T>, WireError> {
        read_header(self.headers, name)
    }

    /// The document in the body.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn json<T: Document>(&self, _name: &'static str) -> Result<Option<T>, WireError> {
        T::from_json(self.body).map(Some)
    }
}

/// A header's value as a type, if it is there and not empty.
///
/// # Errors
///
/// When it makes no sense, or comes twice and says two things.
pub fn read_header<T: Text>(headers: &HeaderMap, name: HeaderName) -> Result<Option<T>, WireError> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other != value) {
        return Err(WireError::invalid(name.as_str().to_owned(), "it is there twice, with two values"));
    }
    // Of what is blank in ASCII, a header has only spaces and tabs; those around a value are not part of it, other blanks are.
    let value = value.as_bytes().trim_ascii();
    if value.is_empty() {
        return Ok(None);
    }
    T::from_bytes(value).map(Some).map_err(|why| WireError::invalid(name.as_str().to_owned(), why))
}

fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// The pairs of a query, decoded, names in lower case. A name without `=` has an empty value.
#[must_use]
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name).to_lowercase(), decode(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::X_CAS_ARCHIVE_DESCRIPTION;
    use crate::ops::DeleteArchive;

    #[test]
    fn a_description_is_read_as_it_came() {
        let read = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            let headers = HeaderMap::from_iter([(X_CAS_ARCHIVE_DESCRIPTION, value)]);
            read_header::<Description>(&headers, X_CAS_ARCHIVE_DESCRIPTION)
        };
        let (long, latin) = ("é".repeat(1024), [0xe9; 1024]);
        for (sent, kept) in [
            ("x\u{3000}".as_bytes(), Some("x\u{3000}")),
            ("\u{a0}x".as_bytes(), Some("\u{a0}x")),
            ("\u{2028}x".as_bytes(), Some("\u{2028}x")),
            (b"caf\xe9\xa0", Some("café\u{a0}")),
            (b"\x85x", Some("\u{85}x")),
            (b" a\tb \t", Some("a\tb")),
            (&latin, Some(long.as_str())),
            (b"", None),
            (b" \t", None),
        ] {
            assert_eq!(
                read(sent).unwrap().as_ref().map(Description::as_str),
                kept,
                "{:?}",
                sent.escape_ascii().to_string()
            );
        }
        for long in [&[b'x'; 1025][..], &[0xe9; 1025], "é".repeat(513).as_bytes()] {
            assert!(read(long).is_err(), "{} bytes", long.len());
        }
    }

    #[test]
    #[should_panic(expected = "the path has no value for what comes at `{archive_id}`")]
    fn a_path_that_lacks_a_value_is_not_taken_for_a_shorter_one() {
        let mut writer = RequestWriter::new(DeleteArchive::INFO, Uid::Own);
        writer.path("vault", &"films".parse::<crate::VaultName>().unwrap());
        let _ = writer.finish();
    }
}
