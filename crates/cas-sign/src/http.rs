//! Feature `http`: signs the head of an `http` request in place, and checks one that was received.

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Uri;

use crate::request::Header;
use crate::{
    Credentials, Dialect, Key, Presigned, SignError, SignableRequest, Signed, Signer, SigningOptions, TimeRange,
    Verified, Verifier, VerifyError,
};

/// Signs a request: adds `Authorization`, the token header when the credentials carry a token, and `Host` when there is none and the URI names
/// one. Those of an earlier attempt are replaced. `Authorization` and the token are marked sensitive.
///
/// # Errors
///
/// [`SignError`]; the request is unchanged then.
///
/// # Examples
///
/// ```
/// use cas_sign::{Credentials, SigningOptions, TimeRange};
///
/// let credentials = Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd")?;
/// let request = http::Request::get("https://cas.ap-chengdu.myqcloud.com/-/vaults").body(())?;
/// let (mut head, body) = request.into_parts();
/// cas_sign::http::sign(&mut head, &credentials, TimeRange::new(1480932292, 1481012292)?, &SigningOptions::cas())?;
/// let request = http::Request::from_parts(head, body);
/// assert!(request.headers()["authorization"].to_str()?.ends_with("7de5ba52384e6e41b72270ae2ff8b0a1663ec2bf"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign(
    head: &mut Parts,
    credentials: &Credentials,
    sign_time: TimeRange,
    options: &SigningOptions,
) -> Result<Signed, SignError> {
    sign_head(head, credentials, &options.dialect, |request| crate::sign(request, credentials, sign_time, options))
}

impl Signer {
    /// Signs the head of an `http` request in place, as [`http::sign`](crate::http::sign) does.
    ///
    /// # Errors
    ///
    /// As [`http::sign`](crate::http::sign).
    pub fn sign_parts(
        &self,
        head: &mut Parts,
        credentials: &Credentials,
        sign_time: TimeRange,
    ) -> Result<Signed, SignError> {
        let dialect = &self.options().dialect;
        sign_head(head, credentials, dialect, |request| self.sign(request, credentials, sign_time))
    }
}

/// Signs a request by its URL: adds the query form, and the token of temporary credentials, to the query of the URI, and `Host` when there is
/// none and the URI names one. See [`presign`](crate::presign()).
///
/// # Errors
///
/// As [`presign`](crate::presign()), and [`SignError::InvalidUri`] when the longer URI is not a valid one; the request is unchanged then.
pub fn presign(
    head: &mut Parts,
    credentials: &Credentials,
    sign_time: TimeRange,
    options: &SigningOptions,
) -> Result<Presigned, SignError> {
    let mut request = SignableRequest::from_parts(head);
    let host = missing_host(&request, &head.uri);
    if let Some(host) = &host {
        request.push_header("host", host.as_bytes());
    }
    let presigned = crate::presign(&request, credentials, sign_time, options)?;
    drop(request);
    head.uri = with_query(&head.uri, presigned.query()).map_err(|_| SignError::InvalidUri)?;
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    }
    Ok(presigned)
}

/// Checks the signature of a received request. See [`Verifier::verify`].
///
/// # Errors
///
/// As [`Verifier::verify`].
pub fn verify(
    verifier: &Verifier,
    head: &Parts,
    now: u64,
    lookup: impl FnOnce(&str) -> Option<Key>,
) -> Result<Verified, VerifyError> {
    let authorization = match head.headers.get(AUTHORIZATION) {
        None => None,
        Some(value) => {
            let text = std::str::from_utf8(value.as_bytes());
            Some(text.map_err(|_| VerifyError::Malformed(crate::AuthorizationError::NotText))?)
        }
    };
    verifier.verify(&SignableRequest::from_parts(head), authorization, now, lookup)
}

impl<'a> SignableRequest<'a> {
    /// Views the head of an `http` request as the signature sees it: without `Authorization`.
    pub fn from_parts(head: &'a Parts) -> Self {
        Self::from_parts_without(head, |_| false)
    }

    fn from_parts_without(head: &'a Parts, is_left_out: impl Fn(&HeaderName) -> bool) -> Self {
        let mut request = Self::new(head.method.as_str(), path_of(&head.uri));
        if let Some(query) = head.uri.query() {
            request.push_query(query);
        }
        for (name, value) in &head.headers {
            if name != AUTHORIZATION && !is_left_out(name) {
                request.headers.push(Header::checked(name.as_str(), value.as_bytes()));
            }
        }
        request
    }
}

fn sign_head(
    head: &mut Parts,
    credentials: &Credentials,
    dialect: &Dialect,
    sign: impl FnOnce(&SignableRequest<'_>) -> Result<Signed, SignError>,
) -> Result<Signed, SignError> {
    let token = match credentials.token() {
        Some(token) => Some((token_header(dialect)?, sensitive(token.expose().as_bytes()))),
        None => None,
    };
    // The token of an earlier attempt is about to be replaced.
    let is_old_token = |name: &HeaderName| token.as_ref().is_some_and(|(token, _)| token == name);
    let mut request = SignableRequest::from_parts_without(head, is_old_token);
    if let Some((name, value)) = &token {
        request.push_header(name.as_str(), value.as_bytes());
    }
    let host = missing_host(&request, &head.uri);
    if let Some(host) = &host {
        request.push_header("host", host.as_bytes());
    }
    let signed = sign(&request)?;
    let authorization = sensitive(signed.authorization_bytes());
    drop(request);

    for (name, value) in
        [Some((AUTHORIZATION, authorization)), token, host.map(|host| (HOST, host))].into_iter().flatten()
    {
        head.headers.insert(name, value);
    }
    Ok(signed)
}

fn with_query(uri: &Uri, query: &str) -> Result<Uri, http::Error> {
    let longer = match uri.query() {
        None | Some("") => format!("{}?{query}", path_of(uri)),
        Some(own) => format!("{}?{own}&{query}", path_of(uri)),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(longer.try_into()?);
    Ok(Uri::from_parts(parts)?)
}

fn token_header(dialect: &Dialect) -> Result<HeaderName, SignError> {
    HeaderName::from_bytes(dialect.token_header.as_bytes())
        .map_err(|_| SignError::InvalidTokenHeader { name: dialect.token_header.to_string() })
}

fn sensitive(text: &[u8]) -> HeaderValue {
    let mut value = HeaderValue::from_bytes(text).expect("tokens, secret ids, names and digits are visible ASCII");
    value.set_sensitive(true);
    value
}

/// An absolute URI without a path stands for `/`.
fn path_of(uri: &Uri) -> &str {
    if uri.path().is_empty() { "/" } else { uri.path() }
}

/// What an HTTP client would add: the URI's host, with its port unless that is the scheme's own.
fn missing_host(request: &SignableRequest<'_>, uri: &Uri) -> Option<HeaderValue> {
    if request.header("host").next().is_some() {
        return None;
    }
    let host = uri.host()?;
    let default =
        matches!((uri.scheme_str(), uri.port_u16()), (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)));
    match uri.port_u16() {
        Some(port) if !default => HeaderValue::try_from(format!("{host}:{port}")).ok(),
        _ => HeaderValue::from_str(host).ok(),
    }
}
