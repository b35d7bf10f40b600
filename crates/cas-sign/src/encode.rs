//! The percent-encoding of the scheme, and its inverse: which bytes stay, how the rest is written, and where lower-casing comes in.
//!
//! `A-Z a-z 0-9 - _ . ~` stay. Every other byte becomes `%XX`, a space too (never `+`), a slash too.

use std::borrow::Cow;

/// What happens to letters on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Letters stay, escapes have upper-case hex.
    Keep,
    /// Letters are lowered first, so escapes keep their upper-case hex.
    LowerThenEncode,
    /// The encoded text is lowered as a whole, escapes included.
    EncodeThenLower,
}

/// Appends `bytes`, percent-encoded, to `out`.
pub(crate) fn push_encoded(out: &mut Vec<u8>, bytes: &[u8], case: Case) {
    match case {
        Case::Keep => push_keeping_case(out, bytes),
        Case::LowerThenEncode => push_lowered(out, bytes, UPPER_HEX),
        Case::EncodeThenLower => push_lowered(out, bytes, LOWER_HEX),
    }
}

/// Decodes `%XX` escapes. A `%` that does not begin an escape stays, as does `+`.
pub(crate) fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = text.iter().position(|byte| *byte == b'%') else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some((byte, tail)) = rest.split_first() {
        match escape(rest) {
            Some(decoded) => {
                out.push(decoded);
                rest = &rest[3..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// Appends ASCII letters in lower case and every other byte as it is.
pub(crate) fn push_lower(out: &mut Vec<u8>, text: &[u8]) {
    let from = out.len();
    out.extend_from_slice(text);
    out[from..].make_ascii_lowercase();
}

fn push_keeping_case(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let (run, tail) = rest.split_at(plain_len(rest));
        out.extend_from_slice(run);
        let Some((byte, tail)) = tail.split_first() else { return };
        push_escape(out, *byte, UPPER_HEX);
        rest = tail;
    }
}

/// How many bytes need no escape before the first that does: by sixteen, which the processor can look at together, then one after the other.
fn plain_len(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let whole = 16 * blocks.iter().take_while(|block| all_plain(*block)).count();
    whole + bytes[whole..].iter().take_while(|byte| PLAIN[usize::from(**byte)]).count()
}

fn push_lowered(out: &mut Vec<u8>, bytes: &[u8], hex: &[u8; 16]) {
    for byte in bytes {
        if is_plain(*byte) {
            out.push(byte.to_ascii_lowercase());
        } else {
            push_escape(out, *byte, hex);
        }
    }
}

fn push_escape(out: &mut Vec<u8>, byte: u8, hex: &[u8; 16]) {
    out.extend_from_slice(&[b'%', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
}

fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    Some(nibble(*high)? << 4 | nibble(*low)?)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether no byte needs an escape. Looks at all of them in any case, which lets the compiler look at many at once.
pub(crate) fn all_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & is_plain(*byte))
}

/// The bytes that need no escape: `A-Z a-z 0-9 - . _ ~`.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~')
}

/// The same for one byte after the other.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = is_plain(byte);
        byte += 1;
    }
    plain
};

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";
const LOWER_HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, case: Case) -> String {
        let mut out = Vec::new();
        push_encoded(&mut out, text.as_bytes(), case);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_three_cases_differ_where_the_protocol_says() {
        assert_eq!(encoded("A+b ~/", Case::Keep), "A%2Bb%20~%2F");
        assert_eq!(encoded("A+b ~/", Case::LowerThenEncode), "a%2Bb%20~%2F");
        assert_eq!(encoded("A+b ~/", Case::EncodeThenLower), "a%2bb%20~%2f");
        assert_eq!(encoded("é", Case::Keep), "%C3%A9");
    }

    #[test]
    fn exactly_the_unreserved_bytes_stay() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        push_encoded(&mut out, &all, Case::Keep);
        let text = String::from_utf8(out).unwrap();
        let plain: String = text.split('%').map(|piece| piece.get(2..).unwrap_or("")).collect();
        assert_eq!(plain, "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~");
    }

    #[test]
    fn decoding_undoes_encoding_for_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        push_encoded(&mut out, &all, Case::Keep);
        assert_eq!(decode(&out), all);
    }

    #[test]
    fn a_percent_sign_without_two_hex_digits_stays() {
        assert_eq!(decode(b"50%/%4g%e4%B8%ad%"), "50%/%4g中%".as_bytes());
        assert_eq!(decode(b"a+b"), b"a+b".as_slice());
    }
}
