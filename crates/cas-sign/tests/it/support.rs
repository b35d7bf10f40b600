//! What the tests share: the identity of the published vectors, and requests that own their text.

use cas_sign::{Credentials, SignableRequest, Signed, SigningOptions, TimeRange, sign};

pub(crate) const ID: &str = "example-secret-id";
pub(crate) const KEY: &str = "CasExampleSecretKey0123456789abcd";
pub(crate) const HOST: &str = "cas.ap-chengdu.myqcloud.com";

pub(crate) fn credentials() -> Credentials {
    Credentials::new(ID, KEY).unwrap()
}

/// The times of the published vectors.
pub(crate) fn times() -> TimeRange {
    TimeRange::new(1_480_932_292, 1_481_012_292).unwrap()
}

/// A second inside them.
pub(crate) const NOW: u64 = 1_480_932_300;

pub(crate) fn signed(request: &SignableRequest<'_>, options: &SigningOptions) -> Signed {
    sign(request, &credentials(), times(), options).unwrap()
}

/// The head of a request as it stands on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let mut first = lines.next().unwrap().split(' ');
        let (method, target) = (first.next().unwrap(), first.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), headers: headers.collect() }
    }

    pub(crate) fn request(&self) -> SignableRequest<'_> {
        let request = SignableRequest::new(&self.method, &self.path).with_query(&self.query);
        self.headers.iter().fold(request, |request, (name, value)| request.with_header(name, value))
    }
}

/// Signs a format string written by hand: every step open, and `ring` alone between the text and the signature.
#[derive(Clone)]
pub(crate) struct ByHand<'t> {
    pub(crate) format_string: &'t str,
    pub(crate) header_list: &'t str,
    pub(crate) parameter_list: &'t str,
    pub(crate) sign_time: &'t str,
    pub(crate) key_time: &'t str,
    pub(crate) secret_key: &'t str,
}

impl<'t> ByHand<'t> {
    pub(crate) fn new(format_string: &'t str, header_list: &'t str, parameter_list: &'t str) -> Self {
        let times = "1480932292;1481012292";
        Self { format_string, header_list, parameter_list, sign_time: times, key_time: times, secret_key: KEY }
    }

    pub(crate) fn signing_key(&self) -> String {
        hmac(self.secret_key.as_bytes(), self.key_time)
    }

    pub(crate) fn string_to_sign(&self) -> String {
        format!("sha1\n{}\n{}\n", self.sign_time, sha1(self.format_string))
    }

    pub(crate) fn authorization(&self) -> String {
        self.with_signature(&hmac(self.signing_key().as_bytes(), &self.string_to_sign()))
    }

    pub(crate) fn with_signature(&self, signature: &str) -> String {
        let Self { header_list, parameter_list, sign_time, key_time, .. } = self;
        format!(
            "q-sign-algorithm=sha1&q-ak={ID}&q-sign-time={sign_time}&q-key-time={key_time}\
             &q-header-list={header_list}&q-url-param-list={parameter_list}&q-signature={signature}"
        )
    }
}

pub(crate) fn sha1(text: &str) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

pub(crate) fn hmac(key: &[u8], text: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    hex::encode(ring::hmac::sign(&key, text.as_bytes()))
}
