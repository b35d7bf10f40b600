//! From a request to the text that stands for it: `FormatString`, the canonical request (step 2).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use crate::dialect::{EmptyValues, PathForm};
use crate::encode::{Case, decode, push_encoded, push_lower};
use crate::error::Field;
use crate::few::Few;
use crate::request::{Header, Parameter, USUAL_HEADERS};
use crate::{Dialect, ParameterPolicy, SignError, SignableRequest, SigningOptions};

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
    headers: &'r [Header<'r>],
    /// Which of the headers are signed, sorted by name.
    signed: Few<usize, USUAL_HEADERS>,
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
        request.check()?;
        let carries_data = || request.headers.iter().any(|header| header.name == "x-cas-content-sha256");
        let all_parameters = options.parameters == ParameterPolicy::All;
        if all_parameters && request.parameters.iter().any(|parameter| parameter.name.is_empty()) {
            return Err(SignError::Empty { field: Field::ParameterName });
        }
        let signs = |name: &str| options.headers.signs(name, &options.dialect, carries_data);
        let format_string = Self::select(request, &options.dialect, &request.headers, signs, |_| all_parameters)?;
        format_string.signed_headers().try_for_each(Header::check_listable)?;
        Ok(format_string)
    }

    /// Puts the headers and the parameters that are to be signed in order. The request's own headers do not count, those given do; parameters
    /// are asked for by their decoded name.
    pub(crate) fn select(
        request: &'r SignableRequest<'_>,
        dialect: &Dialect,
        headers: &'r [Header<'r>],
        signs_header: impl Fn(&str) -> bool,
        signs_parameter: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, SignError> {
        let mut signed: Few<usize, USUAL_HEADERS> =
            (0..headers.len()).filter(|index| signs_header(&headers[*index].name)).collect();
        signed.sort_by(|a, b| headers[*a].name.cmp(&headers[*b].name));
        let key_case = dialect.key_case();
        let mut parameters: Vec<SignedParameter<'r>> = request
            .parameters
            .iter()
            .filter(|parameter| signs_parameter(&parameter.name))
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
        let (method, empty_values) = (request.method, dialect.empty_values);
        Ok(Self { method, path, parameters, headers, signed, value_case, empty_values })
    }

    /// The names of the signed headers as they stand in `q-header-list`: lower case, sorted, semicolons between them.
    pub fn header_list(&self) -> String {
        text(|out| self.write_header_list(out))
    }

    /// The names of the signed parameters as they stand in `q-url-param-list`: lower case, encoded, sorted, semicolons between them.
    pub fn parameter_list(&self) -> String {
        text(|out| self.write_parameter_list(out))
    }

    fn signed_headers(&self) -> impl Iterator<Item = &'r Header<'r>> {
        self.signed.iter().map(|index| &self.headers[*index])
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
        for (index, header) in self.signed_headers().enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(header.name.as_bytes());
            let value = header.value.trim_ascii();
            if !value.is_empty() || self.empty_values != EmptyValues::Bare {
                out.push(b'=');
                push_encoded(out, value, Case::Keep);
            }
        }
    }

    pub(crate) fn write_header_list(&self, out: &mut Vec<u8>) {
        let mut last: &str = "";
        for header in self.signed_headers() {
            if header.name != last {
                if !last.is_empty() {
                    out.push(b';');
                }
                out.extend_from_slice(header.name.as_bytes());
                last = &header.name;
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

fn decoded_path(path: &str) -> Result<Cow<'_, str>, SignError> {
    match decode(path.as_bytes()) {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(path)),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| SignError::PathNotUtf8),
    }
}

fn compare_lowered(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("the path is UTF-8 and the rest is ASCII")
}
