//! From a request to the text that stands for it: `SignableRequest`, a borrowed view, and `FormatString`, the canonical request (step 2).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use crate::dialect::{EmptyValues, PathForm};
use crate::encode::{Case, decode, push_encoded, push_lower};
use crate::error::{Field, check};
use crate::few::Few;
use crate::{Dialect, HeaderPolicy, ParameterPolicy, SignError, SigningOptions};

/// A request as the signature sees it: method, path, parameters and headers. The body is not signed, except through headers that hash it.
///
/// | Part | How it is given |
/// |---|---|
/// | method | in any case |
/// | path | as it is sent, from the first slash, without the query |
/// | parameters | decoded, with or without a value; or a whole query string as it is sent |
/// | headers | names in any case, values as raw bytes |
///
/// What is repeated is signed in the order given, with its name listed once.
///
/// ```
/// use cas_sign::SignableRequest;
///
/// let request = SignableRequest::new("GET", "/-/vaults/photos/jobs")
///     .with_query("limit=10&marker=a%20b")
///     .with_parameter("statuscode", "InProgress")
///     .with_header("Host", "cas.ap-chengdu.myqcloud.com");
/// assert_eq!(request.parameters().count(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct SignableRequest<'a> {
    method: &'a str,
    path: &'a str,
    parameters: Vec<Parameter<'a>>,
    headers: Headers<'a>,
}

/// Names and values: room for more than any known client sends.
pub(crate) type Headers<'a> = Few<(&'a str, &'a [u8]), 16>;

#[derive(Clone, Debug)]
struct Parameter<'a> {
    name: Cow<'a, [u8]>,
    value: Option<Cow<'a, [u8]>>,
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

    /// Adds a header to a request that is being built in a loop.
    pub fn push_header(&mut self, name: &'a str, value: &'a [u8]) {
        self.headers.push((name, value));
    }

    /// Takes a header away, its name in any case.
    #[cfg(feature = "http")]
    pub(crate) fn remove_header(&mut self, name: &str) {
        self.headers = self.headers().filter(|(other, _)| !other.eq_ignore_ascii_case(name)).collect();
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

    /// The headers in the order given.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().copied()
    }

    /// The values of one header, its name in any case.
    pub fn header<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + 'n {
        self.headers().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The parameters in the order given, decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.parameters.iter().map(|parameter| (&*parameter.name, parameter.value.as_deref()))
    }
}

/// The canonical form of a request: what is left of it when everything that may change on the way is taken out.
///
/// `Display` is the exact text: method, path, parameters and headers, a line each, always four line breaks.
///
/// ```
/// use cas_sign::{FormatString, SignableRequest, SigningOptions};
///
/// let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", "cas.ap-chengdu.myqcloud.com");
/// let format_string = FormatString::new(&request, &SigningOptions::cas())?;
/// assert_eq!(format_string.to_string(), "get\n/-/vaults\n\nhost=cas.ap-chengdu.myqcloud.com\n");
/// assert_eq!(format_string.header_list(), "host");
/// # Ok::<(), cas_sign::SignError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FormatString<'r> {
    method: &'r str,
    path: Cow<'r, str>,
    parameters: Vec<SignedParameter<'r>>,
    headers: Headers<'r>,
    value_case: Case,
    empty_values: EmptyValues,
}

#[derive(Clone, Debug)]
struct SignedParameter<'r> {
    /// Lowered and encoded, as it stands in the text and in the list.
    key: Vec<u8>,
    value: Option<&'r [u8]>,
    name: &'r [u8],
}

impl<'r> FormatString<'r> {
    /// Selects what the options ask for and puts it in order.
    ///
    /// # Errors
    ///
    /// [`SignError`] naming the part of the request that could not be sent or listed as it is: an empty name, a line break in a value.
    pub fn new(request: &'r SignableRequest<'_>, options: &SigningOptions) -> Result<Self, SignError> {
        check_request(request)?;
        let carries_data = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-cas-content-sha256"));
        let all_parameters = options.parameters == ParameterPolicy::All;
        if all_parameters && request.parameters.iter().any(|parameter| parameter.name.is_empty()) {
            return Err(SignError::Empty { field: Field::ParameterName });
        }
        let signs = |name: &str| options.headers.signs(name, &options.dialect, carries_data);
        let headers = match options.headers {
            HeaderPolicy::None => Few::new(),
            _ => request.headers().filter(|(name, _)| signs(name)).collect(),
        };
        Self::select(request, &options.dialect, headers, |_| all_parameters)
    }

    /// Puts given headers, and the parameters whose decoded name `lists` knows, in order.
    pub(crate) fn select(
        request: &'r SignableRequest<'_>,
        dialect: &Dialect,
        mut headers: Headers<'r>,
        lists: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, SignError> {
        headers.sort_by(|(a, _), (b, _)| compare_lowered(a.as_bytes(), b.as_bytes()));
        let key_case = dialect.key_case();
        let mut parameters: Vec<SignedParameter<'r>> = request
            .parameters
            .iter()
            .filter(|parameter| lists(&parameter.name))
            .map(|parameter| SignedParameter::new(parameter, key_case))
            .collect();
        match key_case {
            Case::EncodeThenLower => parameters.sort_by(|a, b| a.key.cmp(&b.key)),
            Case::LowerThenEncode | Case::Keep => parameters.sort_by(|a, b| compare_lowered(a.name, b.name)),
        }
        let path = match dialect.path {
            PathForm::AsSent => Cow::Borrowed(request.path),
            PathForm::Decoded => decoded_path(request.path)?,
        };
        let value_case = dialect.reading.value_case();
        Ok(Self { method: request.method, path, parameters, headers, value_case, empty_values: dialect.empty_values })
    }

    /// The names of the signed headers as they stand in `q-header-list`: lower case, sorted, semicolons between them.
    pub fn header_list(&self) -> String {
        text(|out| self.write_header_list(out))
    }

    /// The names of the signed parameters as they stand in `q-url-param-list`: lower case, encoded, sorted, semicolons between them.
    pub fn parameter_list(&self) -> String {
        text(|out| self.write_parameter_list(out))
    }

    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        push_lower(out, self.method.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.path.as_bytes());
        out.push(b'\n');
        self.write_parameters(out);
        out.push(b'\n');
        self.write_headers(out);
        out.push(b'\n');
    }

    fn write_parameters(&self, out: &mut Vec<u8>) {
        for (index, parameter) in self.parameters.iter().enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(&parameter.key);
            let value = parameter.value.unwrap_or_default();
            let equals = match self.empty_values {
                EmptyValues::Bare => !value.is_empty(),
                EmptyValues::WithEquals => true,
                EmptyValues::AsWritten => parameter.value.is_some(),
            };
            if equals {
                out.push(b'=');
                push_encoded(out, value, self.value_case);
            }
        }
    }

    fn write_headers(&self, out: &mut Vec<u8>) {
        for (index, (name, value)) in self.headers.iter().enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            push_lower(out, name.as_bytes());
            let value = value.trim_ascii();
            if !value.is_empty() || self.empty_values != EmptyValues::Bare {
                out.push(b'=');
                push_encoded(out, value, Case::Keep);
            }
        }
    }

    pub(crate) fn write_header_list(&self, out: &mut Vec<u8>) {
        let mut last: &str = "";
        for (name, _) in self.headers.iter() {
            if !name.eq_ignore_ascii_case(last) {
                if !last.is_empty() {
                    out.push(b';');
                }
                push_lower(out, name.as_bytes());
                last = name;
            }
        }
    }

    pub(crate) fn write_parameter_list(&self, out: &mut Vec<u8>) {
        let mut last: &[u8] = b"";
        for parameter in &self.parameters {
            if parameter.key[..] != *last {
                if !last.is_empty() {
                    out.push(b';');
                }
                out.extend_from_slice(&parameter.key);
                last = &parameter.key;
            }
        }
    }
}

impl fmt::Display for FormatString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(|out| self.write_to(out)))
    }
}

impl<'r> SignedParameter<'r> {
    fn new(parameter: &'r Parameter<'_>, case: Case) -> Self {
        let mut key = Vec::new();
        push_encoded(&mut key, &parameter.name, case);
        Self { key, value: parameter.value.as_deref(), name: &parameter.name }
    }
}

fn check_request(request: &SignableRequest<'_>) -> Result<(), SignError> {
    check(request.method.as_bytes(), is_token, || Field::Method)?;
    check(request.path.as_bytes(), |byte| !matches!(byte, b'\r' | b'\n' | 0 | b'?' | b'#'), || Field::Path)?;
    if !request.path.starts_with('/') {
        return Err(SignError::RelativePath);
    }
    for (name, value) in request.headers.iter() {
        check(name.as_bytes(), is_token, || Field::HeaderName)?;
        if !value.is_empty() {
            check(value, |byte| !matches!(byte, b'\r' | b'\n' | 0), || Field::Header(name.to_ascii_lowercase()))?;
        }
    }
    Ok(())
}

fn decoded_path(path: &str) -> Result<Cow<'_, str>, SignError> {
    match decode(path.as_bytes()) {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(path)),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| SignError::PathNotUtf8),
    }
}

fn compare_lowered(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// The characters of a method and of a header name (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("the path is UTF-8 and the rest is ASCII")
}
