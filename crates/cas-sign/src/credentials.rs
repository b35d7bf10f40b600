//! Who signs: a secret id with a secret key, or with a signing key that somebody handed on, and the token of temporary credentials.
//! Where credentials are looked for is none of this crate's business.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::{Field, check, keeps_the_line};
use crate::{Algorithm, SignError, SigningKey, TimeRange};

/// What it takes to sign in somebody's name. Clones share one copy of the secrets, which is wiped from memory with the last of them.
#[derive(Clone, Debug)]
pub struct Credentials {
    secret_id: SecretId,
    key: Key,
    token: Option<Token>,
    expires_at: Option<u64>,
}

impl Credentials {
    /// Makes long-lived credentials from the two texts that the console shows.
    ///
    /// # Errors
    ///
    /// [`SignError::Empty`] or [`SignError::ForbiddenByte`] with the field at fault: a line break at the end of a key that was read from a
    /// file is a usual one.
    pub fn new(secret_id: impl Into<String>, secret_key: impl Into<String>) -> Result<Self, SignError> {
        Ok(Self::from_parts(SecretId::new(secret_id)?, Key::Secret(SecretKey::new(secret_key)?)))
    }

    /// Makes credentials from a signing key that a holder of the secret key has derived.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), for the secret id.
    pub fn delegated(secret_id: impl Into<String>, signing_key: SigningKey) -> Result<Self, SignError> {
        Ok(Self::from_parts(SecretId::new(secret_id)?, Key::Signing(signing_key)))
    }

    /// Puts checked parts together.
    pub fn from_parts(secret_id: SecretId, key: Key) -> Self {
        Self { secret_id, key, token: None, expires_at: None }
    }

    /// Adds the token of temporary credentials. The `http` functions send it in the dialect's token header.
    ///
    /// # Errors
    ///
    /// [`SignError::Empty`] or [`SignError::ForbiddenByte`] when the token could not be a header value.
    pub fn with_token(mut self, token: impl Into<String>) -> Result<Self, SignError> {
        self.token = Some(Token::new(token)?);
        Ok(self)
    }

    /// Notes when temporary credentials end, in seconds since the Unix epoch. Signing does not look at it; who caches credentials does.
    #[must_use]
    pub fn with_expiry(mut self, at: u64) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The public half.
    pub fn secret_id(&self) -> &SecretId {
        &self.secret_id
    }

    /// The secret half.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The token of temporary credentials.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// When temporary credentials end, in seconds since the Unix epoch.
    pub fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// Derives the key that a broker hands to a client it does not trust, valid for `key_time`.
    ///
    /// Credentials that are themselves a signing key give that key, if it is the one asked for.
    ///
    /// # Errors
    ///
    /// [`SignError::WrongAlgorithm`] or [`SignError::OutsideKeyTime`] when these credentials are a signing key that cannot serve.
    pub fn signing_key(&self, algorithm: Algorithm, key_time: TimeRange) -> Result<SigningKey, SignError> {
        match &self.key {
            Key::Secret(secret_key) => Ok(secret_key.signing_key(algorithm, key_time)),
            Key::Signing(key) if key.algorithm() != algorithm => {
                Err(SignError::WrongAlgorithm { requested: algorithm, key: key.algorithm() })
            }
            Key::Signing(key) if !key.key_time().covers(&key_time) => {
                Err(SignError::OutsideKeyTime { sign_time: key_time, key_time: key.key_time() })
            }
            Key::Signing(key) => Ok(key.clone()),
        }
    }
}

/// The secret half of credentials.
#[derive(Clone, Debug)]
pub enum Key {
    /// The secret key itself: derives signing keys for any time.
    Secret(SecretKey),
    /// A signing key: good for its key time only.
    Signing(SigningKey),
}

/// The name of a key pair. It is public: every signature carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretId(Arc<str>);

impl SecretId {
    /// Takes visible ASCII without `&`, which would end the item in a signature.
    ///
    /// # Errors
    ///
    /// [`SignError::Empty`] or [`SignError::ForbiddenByte`].
    pub fn new(text: impl Into<String>) -> Result<Self, SignError> {
        let text = text.into();
        check(text.as_bytes(), |byte| byte.is_ascii_graphic() && byte != b'&', || Field::SecretId)?;
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SecretId {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        Self::new(text)
    }
}

/// The secret that everything is derived from. `Debug` hides it and it is wiped from memory with its last clone.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<String>>);

impl SecretKey {
    /// Takes any text without line breaks and NUL.
    ///
    /// # Errors
    ///
    /// [`SignError::Empty`] or [`SignError::ForbiddenByte`].
    pub fn new(text: impl Into<String>) -> Result<Self, SignError> {
        let text = Zeroizing::new(text.into());
        check(text.as_bytes(), keeps_the_line, || Field::SecretKey)?;
        Ok(Self(Arc::new(text)))
    }

    /// Derives the signing key of a key time.
    pub fn signing_key(&self, algorithm: Algorithm, key_time: TimeRange) -> SigningKey {
        SigningKey::derive(algorithm, self.0.as_bytes(), key_time)
    }

    /// The secret text, for those who must store it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A key that nobody has: a server checks the signatures of strangers against it, so that they cost as much as those of its users.
    pub(crate) fn nobodys() -> Self {
        Self(Arc::new(Zeroizing::new("nobody's".to_owned())))
    }

    /// Whether both are the same secret, in constant time unless they are clones of each other.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || {
            let [ours, theirs] = [self, other].map(|key| key.0.as_bytes());
            ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(**)")
    }
}

/// The token that goes with temporary credentials. `Debug` hides it and it is wiped from memory with its last clone.
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// Takes visible ASCII.
    ///
    /// # Errors
    ///
    /// [`SignError::Empty`] or [`SignError::ForbiddenByte`].
    pub fn new(text: impl Into<String>) -> Result<Self, SignError> {
        let text = Zeroizing::new(text.into());
        check(text.as_bytes(), |byte| byte.is_ascii_graphic(), || Field::Token)?;
        Ok(Self(Arc::new(text)))
    }

    /// The secret text, for the header that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(**)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_field_is_named() {
        let empty = |field| Err(SignError::Empty { field });
        assert_eq!(Credentials::new("", "key").map(drop), empty(Field::SecretId));
        assert_eq!(Credentials::new("id", "").map(drop), empty(Field::SecretKey));
        assert_eq!(Credentials::new("id", "key").unwrap().with_token("").map(drop), empty(Field::Token));
        let error = Credentials::new("id", "key\n").unwrap_err();
        assert_eq!(error.to_string(), "secret key: byte 0x0a at 3 is not allowed");
        let error = Credentials::new("id&q-ak=other", "key").unwrap_err();
        assert_eq!(error, SignError::ForbiddenByte { field: Field::SecretId, byte: b'&', at: 2 });
    }

    #[test]
    fn a_signing_key_serves_only_its_own_algorithm_and_time() {
        let [hour, minute, later] = [(0, 3600), (60, 120), (0, 3601)].map(|(a, b)| TimeRange::new(a, b).unwrap());
        let broker = Credentials::new("id", "key").unwrap();
        let client = Credentials::delegated("id", broker.signing_key(Algorithm::Sha1, hour).unwrap()).unwrap();
        assert_eq!(client.signing_key(Algorithm::Sha1, minute).unwrap().key_time(), hour);
        assert!(matches!(client.signing_key(Algorithm::Sha1, later), Err(SignError::OutsideKeyTime { .. })));
        assert!(matches!(client.signing_key(Algorithm::Sha256, minute), Err(SignError::WrongAlgorithm { .. })));
    }

    #[test]
    fn equal_secrets_are_told_from_different_ones() {
        let [a, b, c, d] = ["key", "key", "kez", "keys"].map(|text| SecretKey::new(text).unwrap());
        assert!(a.is(&b) && a.is(&a.clone()) && !a.is(&c) && !a.is(&d));
    }
}
