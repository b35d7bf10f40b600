//! The query form: a URL that carries its own signature. COS documents it; CAS does not, so there it is refused.

use std::fmt;

use crate::authorization::Authorization;
use crate::encode::{Case, push_encoded};
use crate::{Credentials, SignError, SignableRequest, Signed, SigningOptions, TimeRange, sign};

/// Signs a request so that its URL is all that somebody needs to make it, for as long as the sign time lasts.
///
/// The token of temporary credentials becomes a signed parameter. Headers that are signed must be sent with the URL, so give few: `Host` alone
/// suits a link.
///
/// # Errors
///
/// [`SignError::NoQueryForm`] for a dialect without a query form: CAS documents none. [`SignError::AlreadySigned`] when the request has one of
/// the parameters that are to be added. Otherwise as [`sign`].
///
/// # Examples
///
/// ```
/// use cas_sign::{Credentials, SignableRequest, SigningOptions, TimeRange, presign};
///
/// let request = SignableRequest::new("GET", "/photo.jpg").with_header("Host", "b-1250000000.cos.ap-beijing.myqcloud.com");
/// let credentials = Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd")?;
/// let times = TimeRange::new(1480932292, 1481012292)?;
/// let link = presign(&request, &credentials, times, &SigningOptions::cos())?;
/// assert!(link.query().starts_with("q-sign-algorithm=sha1&q-ak=example-secret-id&q-sign-time=1480932292%3B1481012292&"));
///
/// let refused = presign(&request, &credentials, times, &SigningOptions::cas()).unwrap_err();
/// assert_eq!(refused.to_string(), "query form: the CAS service documents none; sign a header instead");
/// # Ok::<(), cas_sign::SignError>(())
/// ```
pub fn presign(
    request: &SignableRequest<'_>,
    credentials: &Credentials,
    sign_time: TimeRange,
    options: &SigningOptions,
) -> Result<Presigned, SignError> {
    let dialect = &options.dialect;
    if !dialect.query_form {
        return Err(SignError::NoQueryForm { dialect: dialect.name.to_string() });
    }
    let token_name = dialect.token_header.as_bytes();
    for (name, _) in request.parameters() {
        if Authorization::is_item(name) || name.eq_ignore_ascii_case(token_name) {
            return Err(SignError::AlreadySigned { parameter: String::from_utf8_lossy(name).into_owned() });
        }
    }

    let mut request = request.clone();
    if let Some(token) = credentials.token() {
        request.push_parameter(token_name, Some(token.expose().as_bytes()));
    }
    let signed = sign(&request, credentials, sign_time, options)?;

    let mut query = Vec::new();
    let token = credentials.token().map(|token| (&*dialect.token_header, token.expose()));
    let items = signed.authorization().split('&').filter_map(|item| item.split_once('='));
    for (name, value) in items.chain(token) {
        if !query.is_empty() {
            query.push(b'&');
        }
        push_encoded(&mut query, name.as_bytes(), Case::Keep);
        query.push(b'=');
        push_encoded(&mut query, value.as_bytes(), Case::Keep);
    }
    let query = String::from_utf8(query).expect("encoding leaves ASCII only");
    Ok(Presigned { signed, query })
}

/// A signature in the form of a query.
#[derive(Clone)]
pub struct Presigned {
    signed: Signed,
    query: String,
}

impl Presigned {
    /// What to add to the request's query: the seven items and the token, percent-encoded, without a leading `?` or `&`.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Every string on the way.
    pub fn signed(&self) -> &Signed {
        &self.signed
    }
}

/// Hides the query, because the link is all that it takes to make the request.
impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigned").field("signing_key", self.signed.signing_key()).finish_non_exhaustive()
    }
}
