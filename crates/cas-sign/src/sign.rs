//! The client's half: `sign`, a function of request, credentials, sign time and options; `Signed`, every string on the way; and `Signer`,
//! which remembers signing keys.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::credentials::{Key, SecretKey};
use crate::format_string::FormatString;
use crate::signature::write_string_to_sign;
use crate::{
    Algorithm, Credentials, SecretId, SignError, SignableRequest, Signature, SigningKey, SigningOptions, TimeRange,
};

/// Signs a request. The same inputs give the same strings, always.
///
/// # Errors
///
/// [`SignError`] names the part of the input that is wrong. Nothing was signed then.
///
/// # Examples
///
/// ```
/// use cas_sign::{Credentials, SignableRequest, SigningOptions, TimeRange, sign};
///
/// let request = SignableRequest::new("GET", "/-/vaults").with_header("Host", "cas.ap-chengdu.myqcloud.com");
/// let credentials = Credentials::new("example-secret-id", "CasExampleSecretKey0123456789abcd")?;
/// let signed = sign(&request, &credentials, TimeRange::new(1480932292, 1481012292)?, &SigningOptions::cas())?;
/// assert!(signed.authorization().ends_with("&q-signature=7de5ba52384e6e41b72270ae2ff8b0a1663ec2bf"));
/// # Ok::<(), cas_sign::SignError>(())
/// ```
pub fn sign(
    request: &SignableRequest<'_>,
    credentials: &Credentials,
    sign_time: TimeRange,
    options: &SigningOptions,
) -> Result<Signed, SignError> {
    let key_time = options.key_time.of(sign_time);
    let key = match credentials.key() {
        Key::Secret(secret_key) => secret_key.signing_key(options.algorithm, key_time),
        Key::Signing(_) => credentials.signing_key(options.algorithm, sign_time)?,
    };
    sign_with(request, credentials.secret_id(), key, sign_time, options)
}

/// Signs many requests with the same options and derives a signing key only when the last ones do not fit.
///
/// A key fits when secret, algorithm and key time are the same, so what comes out is what [`sign`] gives. With
/// [`KeyTime::Window`](crate::KeyTime::Window) the key time stays the same for long; with the default it changes every second. The prepared
/// hash states are kept, for at most four keys. A signer can be shared between threads.
#[derive(Debug)]
pub struct Signer {
    options: SigningOptions,
    recent: Mutex<Vec<DerivedKey>>,
}

struct DerivedKey {
    secret_id: SecretId,
    secret_key: SecretKey,
    key: SigningKey,
}

impl Signer {
    /// A signer that remembers nothing yet.
    pub fn new(options: SigningOptions) -> Self {
        Self { options, recent: Mutex::new(Vec::with_capacity(REMEMBERED)) }
    }

    /// The options it signs with.
    pub fn options(&self) -> &SigningOptions {
        &self.options
    }

    /// Signs a request, as [`sign`] does.
    ///
    /// # Errors
    ///
    /// As [`sign`].
    pub fn sign(
        &self,
        request: &SignableRequest<'_>,
        credentials: &Credentials,
        sign_time: TimeRange,
    ) -> Result<Signed, SignError> {
        let key = match credentials.key() {
            Key::Secret(secret_key) => {
                self.derived(credentials.secret_id(), secret_key, self.options.key_time.of(sign_time))
            }
            Key::Signing(_) => credentials.signing_key(self.options.algorithm, sign_time)?,
        };
        sign_with(request, credentials.secret_id(), key, sign_time, &self.options)
    }

    /// The remembered key that fits, moved to the front, or a new one.
    fn derived(&self, secret_id: &SecretId, secret_key: &SecretKey, key_time: TimeRange) -> SigningKey {
        let fits = |derived: &DerivedKey| {
            derived.key.key_time() == key_time && derived.secret_id == *secret_id && derived.secret_key.is(secret_key)
        };
        // Every change below leaves the list whole, so a panic elsewhere while it was locked did it no harm.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = recent.iter().position(fits) {
            recent[..=index].rotate_right(1);
        } else {
            let key = secret_key.signing_key(self.options.algorithm, key_time);
            recent.truncate(REMEMBERED - 1);
            recent.insert(0, DerivedKey { secret_id: secret_id.clone(), secret_key: secret_key.clone(), key });
        }
        recent[0].key.clone()
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DerivedKey").field(&self.secret_id).field(&self.key).finish()
    }
}

/// A signature and every string on the way to it, in the order in which they were made.
///
/// `Debug` hides the signing key and the signature.
#[derive(Clone)]
pub struct Signed {
    /// Format string, string to sign and authorization, one after the other.
    text: Vec<u8>,
    string_to_sign: usize,
    authorization: usize,
    header_list: Range<usize>,
    parameter_list: Range<usize>,
    secret_id: SecretId,
    sign_time: TimeRange,
    key: SigningKey,
    signature: Signature,
}

impl Signed {
    /// The canonical request.
    pub fn format_string(&self) -> &str {
        self.text(0..self.string_to_sign)
    }

    /// The text that the signing key signed: it holds the digest of the format string.
    pub fn string_to_sign(&self) -> &str {
        self.text(self.string_to_sign..self.authorization)
    }

    /// The key that signed.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// The signature alone.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> &str {
        self.text(self.authorization..self.text.len())
    }

    /// The names of the signed headers: lower case, sorted, semicolons between them.
    pub fn header_list(&self) -> &str {
        self.text(self.header_list.clone())
    }

    /// The names of the signed parameters: lower case, encoded, sorted, semicolons between them.
    pub fn parameter_list(&self) -> &str {
        self.text(self.parameter_list.clone())
    }

    /// The algorithm of every step.
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Who signed.
    pub fn secret_id(&self) -> &SecretId {
        &self.secret_id
    }

    /// When the request may be made.
    pub fn sign_time(&self) -> TimeRange {
        self.sign_time
    }

    /// When the signing key is valid.
    pub fn key_time(&self) -> TimeRange {
        self.key.key_time()
    }

    /// The same for who checks it as a header anyway.
    #[cfg(feature = "http")]
    pub(crate) fn authorization_bytes(&self) -> &[u8] {
        &self.text[self.authorization..]
    }

    fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.text[range])
            .expect("the path is UTF-8, the rest is ASCII, and a range holds a whole string")
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("format_string", &self.format_string())
            .field("string_to_sign", &self.string_to_sign())
            .field("secret_id", &self.secret_id)
            .field("signing_key", &self.key)
            .field("signature", &self.signature)
            .finish()
    }
}

/// Steps 2 to 5 with the key of step 1.
fn sign_with(
    request: &SignableRequest<'_>,
    secret_id: &SecretId,
    key: SigningKey,
    sign_time: TimeRange,
    options: &SigningOptions,
) -> Result<Signed, SignError> {
    if !key.key_time().covers(&sign_time) {
        return Err(SignError::OutsideKeyTime { sign_time, key_time: key.key_time() });
    }
    let format_string = FormatString::new(request, options)?;
    let algorithm = key.algorithm();
    let mut text = Vec::with_capacity(USUAL_LENGTH);
    let out = &mut text;

    format_string.write_to(out);
    let string_to_sign = out.len();
    let digest = algorithm.digest(out);
    write_string_to_sign(out, algorithm, |out| key.write_time(out, sign_time), &digest);
    let authorization = out.len();
    let signature = key.sign(&out[string_to_sign..]);

    out.extend_from_slice(b"q-sign-algorithm=");
    out.extend_from_slice(algorithm.name().as_bytes());
    out.extend_from_slice(b"&q-ak=");
    out.extend_from_slice(secret_id.as_str().as_bytes());
    out.extend_from_slice(b"&q-sign-time=");
    key.write_time(out, sign_time);
    out.extend_from_slice(b"&q-key-time=");
    key.write_time(out, key.key_time());
    out.extend_from_slice(b"&q-header-list=");
    let header_list = written(out, |out| format_string.write_header_list(out));
    out.extend_from_slice(b"&q-url-param-list=");
    let parameter_list = written(out, |out| format_string.write_parameter_list(out));
    out.extend_from_slice(b"&q-signature=");
    signature.write_to(out);

    let secret_id = secret_id.clone();
    Ok(Signed {
        text,
        string_to_sign,
        authorization,
        header_list,
        parameter_list,
        secret_id,
        sign_time,
        key,
        signature,
    })
}

fn written(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    write(out);
    start..out.len()
}

/// How many keys a signer remembers: two key times of two identities.
const REMEMBERED: usize = 4;

/// Room for the three strings of an upload, the longest usual request, so that they are written in one piece of memory.
const USUAL_LENGTH: usize = 1024;
