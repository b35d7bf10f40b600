//! The two digests of archive bytes, as two types that cannot be swapped: [`ContentSha256`] and [`TreeHash`].
//!
//! Both are 32 bytes and look the same in a header, and the service wants both with every body. Here they are values
//! only; how bytes become one of them is the business of the hashers.

use std::error;
use std::fmt;
use std::str::FromStr;

use crate::hasher::TreeHasher;
use crate::kernel::Kernel;
use crate::sha256;

/// Length of either digest in bytes.
const LEN: usize = 32;

/// Length of either digest as text.
const HEX_LEN: usize = 2 * LEN;

/// Writes one digest type: thirty-two bytes that read and print as 64 hexadecimal digits.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; LEN]);

        impl $name {
            /// Takes 32 raw bytes as a digest that was computed elsewhere.
            pub const fn from_bytes(bytes: [u8; LEN]) -> Self {
                Self(bytes)
            }

            /// Returns the 32 raw bytes.
            pub const fn as_bytes(&self) -> &[u8; LEN] {
                &self.0
            }
        }

        impl From<[u8; LEN]> for $name {
            fn from(bytes: [u8; LEN]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        /// 64 lower-case hexadecimal digits, the form of headers and documents.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(Hex::new(&self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        /// Reads exactly 64 hexadecimal digits of either case.
        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                parse(text).map(Self)
            }
        }

        #[cfg(feature = "serde")]
        #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Hex::new(&self.0).as_str())
            }
        }

        #[cfg(feature = "serde")]
        #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(HexVisitor).map(Self)
            }
        }
    };
}

digest! {
    /// SHA-256 of some bytes from the first to the last, as `x-cas-content-sha256` carries it.
    ///
    /// ```
    /// use cas_treehash::ContentSha256;
    ///
    /// let digest = ContentSha256::of(b"abc");
    /// let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    /// assert_eq!(digest.to_string(), text);
    /// assert_eq!(text.to_uppercase().parse(), Ok(digest));
    /// ```
    ContentSha256
}

digest! {
    /// The root of the SHA-256 tree over the 1 MiB blocks of some bytes, as `x-cas-sha256-tree-hash` carries it.
    ///
    /// Up to 1 MiB the tree is a single leaf, and its root is the plain SHA-256 of the bytes.
    ///
    /// ```
    /// use cas_treehash::{ContentSha256, TreeHash};
    ///
    /// assert_eq!(TreeHash::of(b"abc").as_bytes(), ContentSha256::of(b"abc").as_bytes());
    /// let large = vec![b'x'; 1_500_000];
    /// assert_ne!(TreeHash::of(&large).as_bytes(), ContentSha256::of(&large).as_bytes());
    /// ```
    TreeHash
}

impl ContentSha256 {
    /// Hashes bytes that are all in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256::of(Kernel::detect(), bytes))
    }
}

impl TreeHash {
    /// Hashes bytes that are all in memory; of no bytes at all, the SHA-256 of nothing.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = TreeHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Thirty-two bytes as text, without an allocation.
struct Hex([u8; HEX_LEN]);

impl Hex {
    fn new(bytes: &[u8; LEN]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; HEX_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        // Only ASCII digits were written, so the other arm cannot be taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Reads 64 hexadecimal digits of either case, and nothing else.
fn parse(text: &str) -> Result<[u8; LEN], ParseDigestError> {
    // The first strange character is the better message: a quoted digest is two characters too long as well.
    if let Some((at, character)) = text.char_indices().find(|(_, character)| !character.is_ascii_hexdigit()) {
        return Err(ParseDigestError::NotHex { character, at });
    }
    if text.len() != HEX_LEN {
        return Err(ParseDigestError::Length { found: text.len() });
    }
    let mut bytes = [0; LEN];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    Ok(bytes)
}

/// The value of an ASCII hexadecimal digit.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Says why some text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// All characters are hexadecimal digits, but there are not 64 of them.
    #[non_exhaustive]
    Length {
        /// How many digits there are.
        found: usize,
    },
    /// A character is not a hexadecimal digit.
    #[non_exhaustive]
    NotHex {
        /// The first such character.
        character: char,
        /// Its position, counted in bytes from 0.
        at: usize,
    },
}

impl fmt::Display for ParseDigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(f, "a digest has {HEX_LEN} hexadecimal digits, found {found}"),
            Self::NotHex { character, at } => {
                write!(f, "a digest has only hexadecimal digits, found {character:?} at {at}")
            }
        }
    }
}

impl error::Error for ParseDigestError {}

/// Reads a digest from a string of a document.
#[cfg(feature = "serde")]
struct HexVisitor;

#[cfg(feature = "serde")]
impl serde::de::Visitor<'_> for HexVisitor {
    type Value = [u8; LEN];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of {HEX_LEN} hexadecimal digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn either_case_is_read_and_lower_case_is_written() {
        for text in [ABC.to_owned(), ABC.to_uppercase(), ABC.replace('a', "A")] {
            assert_eq!(text.parse::<TreeHash>().unwrap().to_string(), ABC);
            assert_eq!(text.parse::<ContentSha256>().unwrap().to_string(), ABC);
        }
    }

    #[test]
    fn every_byte_value_survives_text() {
        for first in 0..=255u8 {
            let mut bytes = [0; LEN];
            bytes[0] = first;
            bytes[31] = !first;
            let digest = TreeHash::from_bytes(bytes);
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert_eq!(digest.to_string()[..2], format!("{first:02x}"));
        }
    }

    #[test]
    fn other_text_is_refused_with_the_reason() {
        let length = |found| Err(ParseDigestError::Length { found });
        let not_hex = |character, at| Err(ParseDigestError::NotHex { character, at });
        assert_eq!("".parse::<TreeHash>(), length(0));
        assert_eq!(ABC[1..].parse::<TreeHash>(), length(63));
        assert_eq!(format!("{ABC}0").parse::<TreeHash>(), length(65));
        assert_eq!(format!(" {ABC}").parse::<TreeHash>(), not_hex(' ', 0));
        assert_eq!(format!("{ABC}\n").parse::<TreeHash>(), not_hex('\n', 64));
        assert_eq!(format!("0x{}", &ABC[2..]).parse::<TreeHash>(), not_hex('x', 1));
        assert_eq!(format!("+{}", &ABC[1..]).parse::<TreeHash>(), not_hex('+', 0));
        assert_eq!(format!("é{}", &ABC[2..]).parse::<TreeHash>(), not_hex('é', 0));
        assert_eq!(format!("g{}", &ABC[1..]).parse::<TreeHash>(), not_hex('g', 0));
    }

    #[test]
    fn errors_tell_what_was_expected_and_what_was_found() {
        let error = |text: &str| text.parse::<ContentSha256>().unwrap_err().to_string();
        assert_eq!(error("ab"), "a digest has 64 hexadecimal digits, found 2");
        assert_eq!(error("ab\""), "a digest has only hexadecimal digits, found '\"' at 2");
    }

    #[test]
    fn debug_names_the_type_and_display_pads() {
        let digest = ABC.parse::<TreeHash>().unwrap();
        assert_eq!(format!("{digest:?}"), format!("TreeHash({ABC})"));
        assert_eq!(format!("{digest:>66}"), format!("  {ABC}"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_carries_hex_text() {
        let digest = ABC.parse::<TreeHash>().unwrap();
        assert_eq!(serde_json::to_value(digest).unwrap(), ABC);
        assert_eq!(serde_json::from_value::<TreeHash>(ABC.to_uppercase().into()).unwrap(), digest);
        let error = serde_json::from_value::<TreeHash>("ab".into()).unwrap_err();
        assert_eq!(error.to_string(), "a digest has 64 hexadecimal digits, found 2");
        assert!(serde_json::from_value::<TreeHash>(7.into()).is_err());
    }
}
