//! A request that stands in no row of the table: for what the service adds before this crate knows it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use crate::header::{CONTENT_LENGTH, CONTENT_TYPE};
use crate::id::{InvalidValue, Uid, VaultName, without_secrets};
use crate::wire::{AnyBody, Operation, OperationInfo, Repeat, Shape, escape};

/// A request of any method, path, query, headers and body.
///
/// The client signs, sends and repeats it like an operation of the table, and yields the answer as it came. As it cannot know what a repeat
/// does, it repeats only `GET` and `HEAD` unless [`repeat`](Self::repeat) declares more to be safe.
///
/// # Examples
///
/// The service once drafted a lock for vaults, and tags, which no operation of the table reaches:
///
/// ```
/// use cas_http::wire::{Operation, Repeat, escape};
/// use cas_http::{Raw, Uid, VaultName};
/// use http::Method;
///
/// let vault: VaultName = "photos".parse()?;
/// let lock_id = "a/b==";
///
/// let initiate = Raw::new(Method::POST, format!("vaults/{vault}/lock-policy"))?.json(r#"{"Policy":"…"}"#);
/// let complete = Raw::new(Method::POST, format!("vaults/{vault}/lock-policy/{}", escape(lock_id)))?;
/// let tag = Raw::new(Method::POST, format!("vaults/{vault}/tags"))?
///     .query("operation", "add")?
///     .json(r#"{"Tags":{"year":"2026"}}"#)
///     .repeat(Repeat::Safe);
///
/// assert_eq!(initiate.encode(Uid::Own).uri(), "/-/vaults/photos/lock-policy");
/// assert_eq!(complete.encode(Uid::Own).uri(), "/-/vaults/photos/lock-policy/a%2Fb%3D%3D");
/// assert_eq!(tag.encode(Uid::Own).uri(), "/-/vaults/photos/tags?operation=add");
/// assert_eq!((initiate.info().repeat, tag.info().repeat), (Repeat::Unsafe, Repeat::Safe));
/// # Ok::<(), cas_http::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Raw {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    repeat: Repeat,
    vault: Option<VaultName>,
}

impl Raw {
    /// A request with no query, no headers of its own and no body.
    ///
    /// A path that begins with `/` is sent as it is; any other stands below the account: `vaults/photos/tags` is sent as
    /// `/-/vaults/photos/tags`. A value in it must be [escaped](escape) unless it is of letters, digits and `-_.~`.
    ///
    /// # Errors
    ///
    /// When the path is empty or longer than 16 KiB, has a byte that no path may have, a query among them, or a `%` that escapes nothing; and for the method
    /// `CONNECT`, which is for proxies.
    pub fn new(method: Method, path: impl Into<String>) -> Result<Self, InvalidValue> {
        let path = path.into();
        if method == Method::CONNECT {
            return Err(InvalidValue::new("method", "expected one that has a path", method));
        }
        if let Some(why) = what_is_wrong(&path) {
            return Err(InvalidValue::new("path", why, without_secrets(&path)));
        }
        let repeat = if matches!(method, Method::GET | Method::HEAD) { Repeat::Safe } else { Repeat::Unsafe };
        let vault = vault_in(&path);
        Ok(Raw { method, path, query: String::new(), headers: HeaderMap::new(), body: Bytes::new(), repeat, vault })
    }

    /// Adds a query parameter; name and value are escaped.
    ///
    /// # Errors
    ///
    /// When path and query together would be longer than 16 KiB, which is more than servers take.
    pub fn query(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let separator = if self.query.is_empty() { '?' } else { '&' };
        self.query.push(separator);
        self.query += &format!("{}={}", escape(name.as_ref()), escape(value.as_ref()));
        if self.path.len() + self.query.len() > MAX_TARGET {
            return Err(InvalidValue::new("query", "expected at most 16 KiB of path and query", name));
        }
        Ok(self)
    }

    /// Sets a header. One that belongs to the connection or the signature makes the call fail; `Content-Length` follows from the body.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body, which is at hand whole. One that is read while it is sent is set on the pending request.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a JSON document, and says so.
    #[must_use]
    pub fn json(self, document: impl Into<Bytes>) -> Self {
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(document)
    }

    /// Declares what a repeat does when the outcome of the first try is unknown.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }
}

/// Most bytes of a path and its query.
const MAX_TARGET: usize = 16 << 10;

/// What is true of raw requests, by what a repeat of them does.
static SAFE: OperationInfo = info(Repeat::Safe);
static SAFE_IF_GONE: OperationInfo = info(Repeat::SafeIfGone);

const fn info(repeat: Repeat) -> OperationInfo {
    OperationInfo {
        name: "Raw",
        method_name: "raw",
        method: Method::GET,
        path: "",
        repeat,
        shape: AnyBody::KIND,
        fields: &[],
    }
}

impl Operation for Raw {
    type Shape = AnyBody;

    /// Of the cautious kind; method and path are each request's own.
    const INFO: &'static OperationInfo = &info(Repeat::Unsafe);

    fn encode(&self, uid: Uid) -> Request<Bytes> {
        let account = if self.path.starts_with('/') { String::new() } else { format!("/{uid}/") };
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = [&account, &self.path, &self.query]
            .map(String::as_str)
            .concat()
            .parse::<http::uri::PathAndQuery>()
            .expect("new looked at every byte of the path, and the query is escaped")
            .into();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().remove(CONTENT_LENGTH);
        if !self.body.is_empty() {
            request.headers_mut().insert(CONTENT_LENGTH, self.body.len().into());
        }
        request
    }

    fn info(&self) -> &'static OperationInfo {
        match self.repeat {
            Repeat::Safe => &SAFE,
            Repeat::SafeIfGone => &SAFE_IF_GONE,
            Repeat::Unsafe => Self::INFO,
        }
    }

    fn vault(&self) -> Option<&VaultName> {
        self.vault.as_ref()
    }
}

/// Header values and the body are left out: a caller may have put anything there.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Raw")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &names)
            .field("body_len", &self.body.len())
            .field("repeat", &self.repeat)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "client")]
impl<C> crate::call::Pending<C, Raw> {
    /// Sets the body to any of known length, a range of a file say, in place of the request's own.
    pub fn body(mut self, body: impl Into<crate::body::Body>) -> Self {
        self.payload = Some(body.into());
        self
    }
}

/// Why a path cannot be sent; `None` when it can.
fn what_is_wrong(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > MAX_TARGET {
        return Some("expected 1 byte to 16 KiB");
    }
    let stands_in_a_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    if !path.bytes().all(stands_in_a_path) {
        return Some("expected only what may stand in a path; a value is escaped, the query is set by itself");
    }
    let escapes = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !path.split('%').skip(1).all(escapes) {
        return Some("expected two hexadecimal digits after each percent sign");
    }
    None
}

/// The vault a path below an account is about.
fn vault_in(path: &str) -> Option<VaultName> {
    let below_account = match path.strip_prefix('/') {
        None => path,
        Some(absolute) => absolute.split_once('/')?.1,
    };
    below_account.strip_prefix("vaults/")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(path: &str) -> Raw {
        Raw::new(Method::POST, path).unwrap()
    }

    #[test]
    fn a_path_is_absolute_or_below_the_account() {
        let account = Uid::App(crate::AppId::new(7));
        for (path, sent) in [("vaults/v/tags", "/7/vaults/v/tags"), ("/status", "/status"), ("//a", "//a"), ("/", "/")]
        {
            assert_eq!(raw(path).encode(account).uri().path(), sent);
        }
    }

    #[test]
    fn what_no_path_may_have_is_refused() {
        for path in ["", "a?b", "a#b", "a b", "a\nb", "é", "{uid}", "a%", "a%2", "a%2g", "%%20", "a\\b", "a\"b"] {
            assert!(Raw::new(Method::GET, path).is_err(), "{path:?}");
        }
        assert!(Raw::new(Method::CONNECT, "a").is_err());
        let longest = "a".repeat(MAX_TARGET);
        assert_eq!(raw(&longest).encode(Uid::Own).uri().path().len(), MAX_TARGET + "/-/".len());
        assert!(Raw::new(Method::GET, longest.clone() + "a").is_err());
        assert!(raw(&longest).query("a", "").is_err());
    }

    #[test]
    fn the_vault_in_a_path_is_known() {
        let vault = |path| raw(path).vault().map(ToString::to_string);
        assert_eq!(vault("vaults/photos/tags"), Some("photos".to_owned()));
        assert_eq!(vault("/-/vaults/photos"), Some("photos".to_owned()));
        for path in ["vaults", "vaults/", "/vaults/photos", "/-/elsewhere/photos", "vaults/%2e%2e"] {
            assert_eq!(vault(path), None, "{path}");
        }
    }

    #[test]
    fn only_reading_is_repeated_unless_more_is_declared() {
        for (method, repeat) in [
            (Method::GET, Repeat::Safe),
            (Method::HEAD, Repeat::Safe),
            (Method::PUT, Repeat::Unsafe),
            (Method::DELETE, Repeat::Unsafe),
            (Method::from_bytes(b"TAG").unwrap(), Repeat::Unsafe),
        ] {
            assert_eq!(Raw::new(method, "x").unwrap().info().repeat, repeat);
        }
        for repeat in [Repeat::Safe, Repeat::SafeIfGone, Repeat::Unsafe] {
            assert_eq!(raw("x").repeat(repeat).info().repeat, repeat);
        }
    }

    #[test]
    fn the_length_is_that_of_the_body_and_what_is_written_in_the_query_arrives() {
        let request = raw("x").header(CONTENT_LENGTH, 99.into()).query("a b", "c&d=é").unwrap();
        let request = request.query("e", "").unwrap().encode(Uid::Own);
        assert_eq!(request.uri(), "/-/x?a%20b=c%26d%3D%C3%A9&e=");
        assert!(request.headers().is_empty());
        assert_eq!(raw("x").body("1234").encode(Uid::Own).headers()[CONTENT_LENGTH], "4");
    }

    #[test]
    fn what_it_carries_is_not_shown() {
        let shown = format!(
            "{:?}",
            raw("x").query("q", "hunter2").unwrap().header(CONTENT_TYPE, "hunter2".parse().unwrap()).body("hunter2")
        );
        assert!(shown.contains("content-type") && !shown.contains("hunter2"), "{shown}");
        for path in ["vaults/x?token=hunter2", "vaults/x#hunter2"] {
            let error = Raw::new(Method::GET, path).unwrap_err().to_string();
            assert!(error.contains("vaults/x") && !error.contains("hunter2"), "{error}");
        }
    }
}
