//! The cryptographic steps and nothing else: `Algorithm`, `SigningKey` (step 1), the string to sign (step 3) and `Signature` (step 4).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::{SignError, TimeRange};

/// The hash that the whole scheme is built on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-1, the one that every edition of the documentation but the oldest asks for.
    #[default]
    Sha1,
    /// SHA-256 in every step. The oldest edition names it, no known client sends it.
    Sha256,
}

impl Algorithm {
    /// The name in `q-sign-algorithm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// How many hex digits a signature or a signing key has.
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }

    /// The digest of a format string.
    pub(crate) fn digest(self, format_string: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        };
        digest::digest(algorithm, format_string)
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the name as it stands in `q-sign-algorithm`.
impl FromStr for Algorithm {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        match text {
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            other => Err(SignError::UnknownAlgorithm { name: other.to_owned() }),
        }
    }
}

/// The key that signs requests: derived from a secret key, valid for one key time, and a credential by itself.
///
/// Whoever holds it can sign any request until the key time ends, and cannot learn the secret key from it. So a broker may keep the secret key
/// and hand this to a client it does not trust. There is no narrower scope than time.
///
/// A clone is another handle to the same key. The hex text is wiped from memory when the last one is dropped; the two hash states that `ring`
/// prepares from it are not.
#[derive(Clone)]
pub struct SigningKey(Arc<PreparedKey>);

struct PreparedKey {
    algorithm: Algorithm,
    key_time: TimeRange,
    /// As it is written: most requests are signed for this time.
    key_time_text: Vec<u8>,
    hex: Zeroizing<[u8; MAX_HEX]>,
    hmac: hmac::Key,
}

impl SigningKey {
    /// Derives the key of `key_time` from a secret key: `hex(HMAC(secret key, key time))`.
    pub(crate) fn derive(algorithm: Algorithm, secret_key: &[u8], key_time: TimeRange) -> Self {
        let mut message = Vec::with_capacity(2 * 20 + 1);
        key_time.write_to(&mut message);
        let tag = hmac::sign(&hmac::Key::new(algorithm.hmac(), secret_key), &message);
        let mut hex = Zeroizing::new([0; MAX_HEX]);
        write_hex(tag.as_ref(), &mut hex);
        Self::prepare(algorithm, hex, key_time, message)
    }

    /// Takes a key that somebody derived and handed on: its lower-case hex digits and the key time they were derived for.
    ///
    /// # Errors
    ///
    /// [`SignError::MalformedSigningKey`] when `hex` is not the algorithm's number of lower-case hex digits.
    pub fn from_hex(algorithm: Algorithm, hex: &str, key_time: TimeRange) -> Result<Self, SignError> {
        let digits = hex.as_bytes();
        if digits.len() != algorithm.hex_len() || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(SignError::MalformedSigningKey { algorithm, length: hex.chars().count() });
        }
        let mut text = Zeroizing::new([0; MAX_HEX]);
        text[..digits.len()].copy_from_slice(digits);
        let mut key_time_text = Vec::new();
        key_time.write_to(&mut key_time_text);
        Ok(Self::prepare(algorithm, text, key_time, key_time_text))
    }

    /// The algorithm that the key was derived with and signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The time in which the key is valid.
    pub fn key_time(&self) -> TimeRange {
        self.0.key_time
    }

    /// The key's hex digits. They are a secret: hand them on, but do not log them.
    pub fn expose(&self) -> &str {
        let digits = &self.0.hex[..self.0.algorithm.hex_len()];
        std::str::from_utf8(digits).expect("both constructors write hex digits only")
    }

    /// Signs a finished string to sign: `HMAC(hex text of the key, string to sign)`.
    pub fn sign(&self, string_to_sign: impl AsRef<[u8]>) -> Signature {
        let tag = hmac::sign(&self.0.hmac, string_to_sign.as_ref());
        let mut bytes = [0; MAX_HEX / 2];
        bytes[..tag.as_ref().len()].copy_from_slice(tag.as_ref());
        Signature { algorithm: self.0.algorithm, bytes }
    }

    /// Whether `signature` is the one of `string_to_sign`. Takes the same time wherever they differ.
    pub fn verify(&self, string_to_sign: impl AsRef<[u8]>, signature: &Signature) -> bool {
        hmac::verify(&self.0.hmac, string_to_sign.as_ref(), signature.as_bytes()).is_ok()
    }

    /// Appends a time as it is written.
    pub(crate) fn write_time(&self, out: &mut Vec<u8>, time: TimeRange) {
        if time == self.0.key_time {
            out.extend_from_slice(&self.0.key_time_text);
        } else {
            time.write_to(out);
        }
    }

    /// The HMAC is keyed with the hex *text*, not with the bytes it stands for.
    fn prepare(
        algorithm: Algorithm,
        hex: Zeroizing<[u8; MAX_HEX]>,
        key_time: TimeRange,
        key_time_text: Vec<u8>,
    ) -> Self {
        let hmac = hmac::Key::new(algorithm.hmac(), &hex[..algorithm.hex_len()]);
        Self(Arc::new(PreparedKey { algorithm, key_time, key_time_text, hex, hmac }))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {}, **)", self.0.algorithm, self.0.key_time)
    }
}

/// The end of the calculation: 20 bytes for sha1, 32 for sha256, written in lower-case hex.
///
/// `Debug` hides it, because within its sign time a signature lets anybody repeat the request. It has no `==`: see [`SigningKey::verify`].
#[derive(Clone, Copy)]
pub struct Signature {
    algorithm: Algorithm,
    bytes: [u8; MAX_HEX / 2],
}

impl Signature {
    /// Reads lower-case hex digits; `None` for any other text or a length that does not fit the algorithm.
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        let lower = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !lower || text.len() != algorithm.hex_len() {
            return None;
        }
        let mut bytes = [0; MAX_HEX / 2];
        hex::decode_to_slice(text, &mut bytes[..text.len() / 2]).ok()?;
        Some(Self { algorithm, bytes })
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.hex_len() / 2]
    }

    /// Whether this is the HMAC of `text` with any bytes for a key. Takes the same time wherever they differ.
    pub(crate) fn is_hmac_of(&self, key: &[u8], text: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(self.algorithm.hmac(), key), text, self.as_bytes()).is_ok()
    }

    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        push_hex(out, self.as_bytes());
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; MAX_HEX];
        f.write_str(std::str::from_utf8(write_hex(self.as_bytes(), &mut hex)).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(**)")
    }
}

/// Appends the string to sign of a format string: the algorithm, the sign time and the format string's digest, a line each.
pub(crate) fn write_string_to_sign(
    out: &mut Vec<u8>,
    algorithm: Algorithm,
    write_sign_time: impl FnOnce(&mut Vec<u8>),
    digest: &digest::Digest,
) {
    out.extend_from_slice(algorithm.name().as_bytes());
    out.push(b'\n');
    write_sign_time(out);
    out.push(b'\n');
    push_hex(out, digest.as_ref());
    out.push(b'\n');
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut hex = [0; MAX_HEX];
    out.extend_from_slice(write_hex(bytes, &mut hex));
}

/// Writes the lower-case hex digits of at most 32 bytes into `hex`, and gives back as much of it as they need.
fn write_hex<'h>(bytes: &[u8], hex: &'h mut [u8; MAX_HEX]) -> &'h [u8] {
    for (byte, digits) in bytes.iter().zip(hex.as_chunks_mut().0) {
        *digits = HEX[usize::from(*byte)];
    }
    &hex[..2 * bytes.len()]
}

/// The two digits of every byte.
static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The longest text a key or signature has: sha256's.
const MAX_HEX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn key_time() -> TimeRange {
        TimeRange::new(1_480_932_292, 1_481_012_292).unwrap()
    }

    #[test]
    fn a_key_is_derived_as_the_vectors_say() {
        let secret = b"CasExampleSecretKey0123456789abcd";
        let key = SigningKey::derive(Algorithm::Sha1, secret, key_time());
        assert_eq!(key.expose(), "9004db549e0b9b7dcda8daf7865712f24cfb2a5c");
        let key = SigningKey::derive(Algorithm::Sha256, secret, key_time());
        assert_eq!(key.expose(), "3f96183c0a0ea50cb9a9b65ffb1562496a0796c4de663ed993db961236241965");
    }

    #[test]
    fn a_key_handed_on_is_read_strictly() {
        let good = "9004db549e0b9b7dcda8daf7865712f24cfb2a5c";
        assert_eq!(SigningKey::from_hex(Algorithm::Sha1, good, key_time()).unwrap().expose(), good);
        for bad in [
            "",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &good.replace('9', "g"),
            "é".repeat(20).as_str(),
        ] {
            assert!(SigningKey::from_hex(Algorithm::Sha1, bad, key_time()).is_err(), "{bad}");
        }
        assert!(SigningKey::from_hex(Algorithm::Sha256, good, key_time()).is_err());
    }

    #[test]
    fn a_signature_verifies_only_with_its_own_text_and_algorithm() {
        let key = SigningKey::derive(Algorithm::Sha1, b"k", key_time());
        let signature = key.sign("text");
        assert!(key.verify("text", &signature) && !key.verify("texu", &signature));
        let same_hex = Signature::from_hex(Algorithm::Sha1, &signature.to_string()).unwrap();
        assert!(key.verify("text", &same_hex));
        assert!(!SigningKey::derive(Algorithm::Sha256, b"k", key_time()).verify("text", &signature));
        assert!(Signature::from_hex(Algorithm::Sha1, &signature.to_string().to_uppercase()).is_none());
    }
}
