//! A signer that can be told to make mistakes: slow, and with every step open to change. `explain` looks with it for the mistake that somebody
//! else made.

use zeroize::Zeroizing;

use crate::authorization::Authorization;
use crate::credentials::Key;
use crate::dialect::{EmptyValues, PathForm};
use crate::encode::{Case, decode, push_encoded};
use crate::{Algorithm, Dialect, ParameterReading, SignableRequest, SigningKey, TimeRange};

/// How a signature is made, step by step. As it comes from [`Recipe::new`] it is how it should be made.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) method: String,
    pub(crate) path: Vec<u8>,
    pub(crate) parameters: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) key_case: Case,
    pub(crate) reading: ParameterReading,
    pub(crate) empty_values: EmptyValues,
    pub(crate) encoding: Encoding,
    pub(crate) sorted_parameters: bool,
    pub(crate) sorted_headers: bool,
    pub(crate) line_end: &'static str,
    pub(crate) last_line_end: bool,
    pub(crate) stamp: TimeRange,
    pub(crate) digest: Algorithm,
    pub(crate) upper_case_digest: bool,
    pub(crate) key: KeyUse,
}

/// How values are percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Proper,
    NotAtAll,
    Twice,
    LowerCaseHex,
    PlusForSpace,
    /// These bytes, which should be escaped, are not.
    Keeping(&'static [u8]),
    /// `~`, which should stay, is escaped.
    EscapingTilde,
}

/// What the last HMAC is keyed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    HexText,
    HexDecoded,
    DerivedForSignTime,
    SecretItself,
    SecretTrimmed,
    SecretWithLineBreak,
}

impl Recipe {
    /// The right way to sign what `authorization` covers of `request`.
    pub(crate) fn new(request: &SignableRequest<'_>, authorization: &Authorization, dialect: &Dialect) -> Self {
        let path = request.path().as_bytes();
        let headers = request
            .headers()
            .filter(|(name, _)| authorization.header_list.contains_header(name))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_ascii().to_vec()));
        let parameters = request
            .parameters()
            .filter(|(name, _)| authorization.parameter_list.contains_parameter(name))
            .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
        Self {
            method: request.method().to_ascii_lowercase(),
            path: if dialect.path == PathForm::Decoded { decode(path).into_owned() } else { path.to_vec() },
            parameters: parameters.collect(),
            headers: headers.collect(),
            key_case: dialect.key_case(),
            reading: dialect.reading,
            empty_values: dialect.empty_values,
            encoding: Encoding::Proper,
            sorted_parameters: true,
            sorted_headers: true,
            line_end: "\n",
            last_line_end: true,
            stamp: authorization.sign_time,
            digest: authorization.algorithm,
            upper_case_digest: false,
            key: KeyUse::HexText,
        }
    }

    /// Whether this is how the signature was made.
    pub(crate) fn gives(&self, authorization: &Authorization, key: &Key) -> bool {
        let text = self.string_to_sign();
        self.hmac_key(authorization, key).is_some_and(|key| authorization.signature.is_hmac_of(&key, text.as_bytes()))
    }

    pub(crate) fn format_string(&self) -> Vec<u8> {
        let (mut parameters, mut headers) = (self.parameters.clone(), self.headers.clone());
        if self.sorted_parameters {
            parameters.sort_by_key(|(name, _)| match self.key_case {
                Case::EncodeThenLower => self.parameter_key(name),
                Case::LowerThenEncode | Case::Keep => name.to_ascii_lowercase(),
            });
        }
        if self.sorted_headers {
            headers.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| (self.parameter_key(name), self.parameter_value(value))).collect();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.clone().into_bytes(), self.header_value(value))).collect();
        let lines = [self.method.clone().into_bytes(), self.path.clone(), joined(&parameters), joined(&headers)];
        let mut text = lines.join(self.line_end.as_bytes());
        if self.last_line_end {
            text.extend_from_slice(self.line_end.as_bytes());
        }
        text
    }

    pub(crate) fn string_to_sign(&self) -> String {
        let digest = hex::encode(self.digest.digest(&self.format_string()));
        let digest = if self.upper_case_digest { digest.to_ascii_uppercase() } else { digest };
        format!("{}\n{}\n{digest}\n", self.digest, self.stamp)
    }

    fn parameter_key(&self, name: &[u8]) -> Vec<u8> {
        let mut key = Vec::new();
        push_encoded(&mut key, name, self.key_case);
        key
    }

    fn parameter_value(&self, value: &Option<Vec<u8>>) -> Option<Vec<u8>> {
        let case = self.reading.value_case();
        let text = value.as_deref().unwrap_or_default();
        match self.empty_values {
            EmptyValues::Bare if text.is_empty() => None,
            EmptyValues::AsWritten if value.is_none() => None,
            EmptyValues::Bare | EmptyValues::AsWritten | EmptyValues::WithEquals => {
                Some(self.encoding.apply(text, case))
            }
        }
    }

    fn header_value(&self, value: &[u8]) -> Option<Vec<u8>> {
        let bare = value.is_empty() && self.empty_values == EmptyValues::Bare;
        (!bare).then(|| self.encoding.apply(value, Case::Keep))
    }

    /// The bytes that the last HMAC is keyed with; `None` where only a secret key could give them.
    fn hmac_key(&self, authorization: &Authorization, key: &Key) -> Option<Zeroizing<Vec<u8>>> {
        let text = |key: &SigningKey| Zeroizing::new(key.expose().as_bytes().to_vec());
        let decoded = |key: &SigningKey| hex::decode(key.expose()).ok().map(Zeroizing::new);
        let secret = match key {
            Key::Secret(secret) => secret.expose(),
            Key::Signing(key) => {
                return match self.key {
                    KeyUse::HexText => Some(text(key)),
                    KeyUse::HexDecoded => decoded(key),
                    _ => None,
                };
            }
        };
        let derive = |secret: &str, time| SigningKey::derive(authorization.algorithm, secret.as_bytes(), time);
        let key_time = authorization.key_time;
        match self.key {
            KeyUse::HexText => Some(text(&derive(secret, key_time))),
            KeyUse::HexDecoded => decoded(&derive(secret, key_time)),
            KeyUse::DerivedForSignTime => Some(text(&derive(secret, authorization.sign_time))),
            KeyUse::SecretItself => Some(Zeroizing::new(secret.as_bytes().to_vec())),
            KeyUse::SecretTrimmed => Some(text(&derive(secret.trim(), key_time))),
            KeyUse::SecretWithLineBreak => Some(text(&derive(&Zeroizing::new(format!("{secret}\n")), key_time))),
        }
    }
}

impl Encoding {
    fn apply(self, value: &[u8], case: Case) -> Vec<u8> {
        let mut out = Vec::new();
        push_encoded(&mut out, value, case);
        match self {
            Self::Proper => out,
            Self::NotAtAll => value.to_vec(),
            Self::Twice => {
                let once = std::mem::take(&mut out);
                push_encoded(&mut out, &once, case);
                out
            }
            Self::LowerCaseHex => with_escapes(&out, |escape| escape.to_ascii_lowercase()),
            Self::PlusForSpace => {
                with_escapes(&out, |escape| if escape == b"%20" { b"+".to_vec() } else { escape.to_vec() })
            }
            Self::Keeping(bytes) => with_escapes(&out, |escape| {
                let byte = decode(escape);
                if byte.len() == 1 && bytes.contains(&byte[0]) { byte.into_owned() } else { escape.to_vec() }
            }),
            Self::EscapingTilde => String::from_utf8_lossy(&out).replace('~', "%7E").into_bytes(),
        }
    }
}

/// Rewrites every escape of an encoded text.
fn with_escapes(encoded: &[u8], rewrite: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = encoded;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let (plain, escaped) = rest.split_at(at);
        let (escape, tail) = escaped.split_at(escaped.len().min(3));
        out.extend_from_slice(plain);
        out.extend(rewrite(escape));
        rest = tail;
    }
    out.extend_from_slice(rest);
    out
}

fn joined(pairs: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<u8> {
    let pairs: Vec<Vec<u8>> = pairs
        .iter()
        .map(|(name, value)| match value {
            Some(value) => [name, &b"="[..], value].concat(),
            None => name.clone(),
        })
        .collect();
    pairs.join(&b'&')
}
