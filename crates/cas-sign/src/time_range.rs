//! `TimeRange`: the `start;end` of a sign time or a key time. It knows no clock.

use std::fmt;
use std::str::FromStr;

use crate::SignError;

/// A range of whole seconds since the Unix epoch, both ends included.
///
/// The sign time says when a request may be made, the key time how long the signing key is valid. Written `start;end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    start: u64,
    end: u64,
}

impl TimeRange {
    /// Makes a range from its first and its last second.
    ///
    /// # Errors
    ///
    /// [`SignError::ReversedTimes`] when it would end before it starts.
    pub const fn new(start: u64, end: u64) -> Result<Self, SignError> {
        if start <= end { Ok(Self { start, end }) } else { Err(SignError::ReversedTimes { start, end }) }
    }

    /// Makes the range that starts `early` seconds before `now` and ends `life` seconds after it.
    ///
    /// No document of the service tells how much clock skew it allows, so start a little early: 60 seconds are usual.
    pub const fn around(now: u64, early: u64, life: u64) -> Self {
        Self { start: now.saturating_sub(early), end: now.saturating_add(life) }
    }

    /// The first second of the range.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The last second of the range.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Whether every second of `other` lies in this range.
    pub const fn covers(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether `now` lies in this range.
    pub const fn contains(&self, now: u64) -> bool {
        self.start <= now && now <= self.end
    }

    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        push_decimal(out, self.start);
        out.push(b';');
        push_decimal(out, self.end);
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.start, self.end)
    }
}

/// Reads `start;end`. Only the form that [`Display`](fmt::Display) writes is read, because the text itself is what is signed: no sign, no
/// space, no leading zero.
impl FromStr for TimeRange {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        let (start, end) = text.split_once(';').ok_or(SignError::MalformedTimes)?;
        Self::new(parse_decimal(start)?, parse_decimal(end)?)
    }
}

fn parse_decimal(text: &str) -> Result<u64, SignError> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().map_err(|_| SignError::MalformedTimes) } else { Err(SignError::MalformedTimes) }
}

/// Divides two digits off at a time: one by one they cost as much as all the names of the headers.
fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while number >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The digits of 0 to 99.
static PAIRS: [[u8; 2]; 100] = {
    let digits = b"0123456789";
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [digits[number / 10], digits[number % 10]];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_written_form_is_read() {
        assert_eq!("1480932292;1481012292".parse(), TimeRange::new(1_480_932_292, 1_481_012_292));
        assert_eq!("0;0".parse(), TimeRange::new(0, 0));
        for text in
            ["", ";", "1", "1;", ";1", "01;2", "+1;2", "1;2;3", "1; 2", "1,2", "-1;2", "1;18446744073709551616", "１;2"]
        {
            assert_eq!(text.parse::<TimeRange>(), Err(SignError::MalformedTimes), "{text:?}");
        }
        assert_eq!("5;4".parse::<TimeRange>(), Err(SignError::ReversedTimes { start: 5, end: 4 }));
    }

    #[test]
    fn both_ends_are_included() {
        let range = TimeRange::new(10, 20).unwrap();
        assert!(range.contains(10) && range.contains(20) && !range.contains(9) && !range.contains(21));
        assert!(range.covers(&range) && !range.covers(&TimeRange::new(10, 21).unwrap()));
    }

    #[test]
    fn numbers_are_written_as_display_writes_them() {
        for number in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 1_480_932_292, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn a_range_around_now_stops_at_the_ends_of_time() {
        assert_eq!(TimeRange::around(10, 60, 5), TimeRange { start: 0, end: 15 });
        assert_eq!(TimeRange::around(u64::MAX, 0, 5).end(), u64::MAX);
    }
}
