//! How an answer becomes a typed output and is written by a server: the reader, the writer, and the macro that turns a row of the table in
//! `answers.rs` into both.
//!
//! The words of a row, `header` and `json`, are methods of [`AnswerReader`] and [`AnswerWriter`].

use bytes::Bytes;
use cas_http::RequestId;
use cas_http::header::{CONTENT_LENGTH, CONTENT_TYPE, X_CAS_REQUEST_ID};
use cas_http::json::Document;
use cas_http::wire::{HeaderField, WireError};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// What every answer has besides what the operation is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerMeta {
    /// The status of the answer.
    pub status: StatusCode,
    /// The identifier of the request, for the service's support. The service sends one with every answer.
    pub request_id: Option<RequestId>,
    /// All headers, as they came.
    pub headers: HeaderMap,
}

/// The typed answer of an operation.
pub trait Output: Sized + Send + 'static {
    /// The status a server answers with when nothing else is said. Which others a client takes, [`Answer::check`] says.
    const STATUS: StatusCode;

    /// Reads a successful answer. `body` is empty when it is archive data.
    ///
    /// # Errors
    ///
    /// When a header or key that must be there is missing, or makes no sense.
    fn read(status: StatusCode, headers: HeaderMap, body: &[u8]) -> Result<Self, WireError>;

    /// The answer as a server writes it. The body of a job's output is added by whoever sends it.
    fn write(&self) -> Response<Bytes>;

    /// Status, request id and headers.
    fn meta(&self) -> &AnswerMeta;
}

/// An operation whose answer has a type.
pub trait Answer: cas_http::Operation {
    /// That type.
    type Output: Output;

    /// Looks whether a success with this head is an answer to this request: a reading one is answered with the documented status, any other
    /// with any success (`docs/protocol.md` §2.3).
    ///
    /// # Errors
    ///
    /// When it is not.
    fn check(&self, status: StatusCode, _headers: &HeaderMap) -> Result<(), WireError> {
        if Self::INFO.method == Method::GET { expect_status(status, &[Self::Output::STATUS]) } else { Ok(()) }
    }
}

/// Looks whether a status is one of these.
pub(crate) fn expect_status(found: StatusCode, expected: &[StatusCode]) -> Result<(), WireError> {
    if expected.contains(&found) {
        return Ok(());
    }
    let expected: Vec<&str> = expected.iter().map(StatusCode::as_str).collect();
    Err(WireError::invalid("status", format!("expected {}, found {}", expected.join(" or "), found.as_str())))
}

/// Reads the fields of an output from an answer.
#[derive(Debug)]
pub struct AnswerReader<'r> {
    headers: &'r HeaderMap,
    body: &'r [u8],
}

impl<'r> AnswerReader<'r> {
    /// Opens an answer.
    #[must_use]
    pub fn new(headers: &'r HeaderMap, body: &'r [u8]) -> Self {
        AnswerReader { headers, body }
    }

    /// A header.
    ///
    /// # Errors
    ///
    /// When it must be there and is not, or makes no sense.
    pub fn header<T: HeaderField>(&self, name: HeaderName) -> Result<T, WireError> {
        T::from_headers(self.headers, name)
    }

    /// The document in the body.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn json<T: Document>(&self, _name: &'static str) -> Result<T, WireError> {
        T::from_json(self.body)
    }
}

/// Builds an answer from the fields of an output.
#[derive(Debug)]
pub struct AnswerWriter {
    answer: Response<Bytes>,
}

impl AnswerWriter {
    /// Begins an answer with this status and request id. Other headers in `meta` are what came once and are not sent again.
    #[must_use]
    pub fn new(meta: &AnswerMeta) -> Self {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = meta.status;
        let mut writer = AnswerWriter { answer };
        if let Some(request_id) = &meta.request_id {
            writer.header(X_CAS_REQUEST_ID, request_id);
        }
        writer
    }

    /// Sets a header, unless the value is absent.
    pub fn header(&mut self, name: HeaderName, value: &impl HeaderField) {
        if let Some(Ok(value)) = value.header_text().map(|text| HeaderValue::from_bytes(text.as_bytes())) {
            self.answer.headers_mut().insert(name, value);
        }
    }

    /// Sets the body to a document.
    pub fn json(&mut self, _name: &str, document: &impl Document) {
        let body = Bytes::from(document.to_json());
        let headers = self.answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *self.answer.body_mut() = body;
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Response<Bytes> {
        self.answer
    }
}

/// Declares one page of a listing: its entries, under their key, and where the next page begins.
///
/// An entry is read by `from_object` and written by `writer`.
macro_rules! listing_page {
    ($(#[$meta:meta])* $name:ident { $(#[$emeta:meta])* $key:literal $entries:ident : $entry:ty }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $(#[$emeta])*
            pub $entries: Vec<$entry>,
            /// Where the next page begins; absent on the last.
            pub marker: Option<Marker>,
        }

        impl $name {
            /// A page.
            #[must_use]
            pub fn new($entries: Vec<$entry>, marker: Option<Marker>) -> Self {
                $name { $entries, marker }
            }
        }

        impl Document for $name {
            fn to_json(&self) -> Vec<u8> {
                let entries: Vec<Value> = self.$entries.iter().map(|entry| entry.writer().into()).collect();
                JsonWriter::new().set($key, entries).set_or_null("Marker", self.marker.as_ref()).to_vec()
            }

            fn from_json(text: &[u8]) -> Result<Self, WireError> {
                let object = JsonObject::from_slice(text)?;
                let entries = object.objects($key)?.iter().map(<$entry>::from_object).collect::<Result<_, _>>()?;
                Ok($name { $entries: entries, marker: object.parse("Marker")? })
            }
        }
    };
}

/// The name a field has in the answer: the header in parentheses, or the field's own.
macro_rules! answer_key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:ident) => {
        $key
    };
}

/// Turns the rows of the table into structs and both directions of the wire.
macro_rules! answers {
    ($(
        $(#[$meta:meta])*
        $operation:ident => $status:ident $output:ident $(checked by $check:ident)? {
            $( $(#[$fmeta:meta])* $place:ident $(($key:ident))? $field:ident : $ty:ty, )*
        }
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            #[non_exhaustive]
            pub struct $output {
                $( $(#[$fmeta])* pub $field: $ty, )*
                /// Status, request id and headers of the answer.
                pub meta: AnswerMeta,
            }

            impl $output {
                /// The answer as a server makes it, with the documented status.
                #[allow(clippy::new_without_default, reason = "what is required differs by operation")]
                #[must_use]
                pub fn new($($field: impl Into<$ty>),*) -> Self {
                    let meta = AnswerMeta { status: Self::STATUS, ..AnswerMeta::default() };
                    $output { $($field: $field.into(),)* meta }
                }

                /// The status of the answer.
                #[must_use]
                pub fn status(&self) -> StatusCode {
                    self.meta.status
                }

                /// The identifier of the request, for the service's support.
                #[must_use]
                pub fn request_id(&self) -> Option<&RequestId> {
                    self.meta.request_id.as_ref()
                }

                /// All headers of the answer, as they came.
                #[must_use]
                pub fn headers(&self) -> &HeaderMap {
                    &self.meta.headers
                }
            }

            impl Output for $output {
                const STATUS: StatusCode = StatusCode::$status;

                fn read(status: StatusCode, headers: HeaderMap, body: &[u8]) -> Result<Self, WireError> {
                    #[allow(unused_variables, reason = "some answers say nothing but that it is done")]
                    let reader = AnswerReader::new(&headers, body);
                    $( let $field = reader.$place(answer_key!($field $($key)?))?; )*
                    // An unreadable request id is no reason to refuse an answer that is otherwise in order.
                    let request_id = read_header(&headers, X_CAS_REQUEST_ID).ok().flatten();
                    Ok($output { $($field,)* meta: AnswerMeta { status, request_id, headers } })
                }

                fn write(&self) -> Response<Bytes> {
                    #[allow(unused_mut, reason = "some answers say nothing but that it is done")]
                    let mut writer = AnswerWriter::new(&self.meta);
                    $( writer.$place(answer_key!($field $($key)?), &self.$field); )*
                    writer.finish()
                }

                fn meta(&self) -> &AnswerMeta {
                    &self.meta
                }
            }

            impl Answer for cas_http::ops::$operation {
                type Output = $output;

                $(
                    fn check(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), WireError> {
                        $check(self, status, headers)
                    }
                )?
            }
        )*

        /// Reads and writes again the answer of the operation with this name: what a test of every operation needs.
        ///
        /// # Errors
        ///
        /// When there is no such operation, or the answer cannot be read.
        #[doc(hidden)]
        pub fn rewrite(operation: &str, answer: Response<Bytes>) -> Result<Response<Bytes>, WireError> {
            let (head, body) = answer.into_parts();
            match operation {
                $( stringify!($operation) => Ok($output::read(head.status, head.headers, &body)?.write()), )*
                other => Err(WireError::invalid("operation", format!("{other} is not in the table"))),
            }
        }
    };
}
