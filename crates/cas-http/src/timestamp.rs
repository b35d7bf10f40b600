//! A moment as the service writes it. The date library behind it never shows.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::id::InvalidValue;

/// A moment in UTC, to the millisecond.
///
/// Written `2017-08-29T08:29:41.000Z`, as the service does; read from any RFC 3339 text, with or without a fraction. What is finer
/// than a millisecond is cut off.
///
/// ```
/// use cas_http::Timestamp;
///
/// let time: Timestamp = "2017-08-29T16:29:41+08:00".parse()?;
/// assert_eq!(time.to_string(), "2017-08-29T08:29:41.000Z");
/// assert_eq!(time.unix_seconds(), 1_503_995_381);
/// # Ok::<(), cas_http::InvalidValue>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The moment this many milliseconds after the beginning of 1970.
    ///
    /// # Errors
    ///
    /// When the year would be outside -9999 to 9999.
    pub fn from_unix_millis(millis: i64) -> Result<Self, InvalidValue> {
        jiff::Timestamp::from_millisecond(millis)
            .map(Timestamp)
            .map_err(|_| InvalidValue::new("time", "expected a year from -9999 to 9999", millis.to_string()))
    }

    /// Milliseconds since the beginning of 1970.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Whole seconds since the beginning of 1970.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The form without a fraction, `2017-08-29T08:29:41Z`, which inventory filters ask for. A fraction is cut off.
    #[must_use]
    pub fn to_whole_seconds(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let time: jiff::Timestamp = text
            .trim()
            .parse()
            .map_err(|_| InvalidValue::new("time", "expected a form like 2017-08-29T08:29:41.000Z", text))?;
        Self::from_unix_millis(time.as_millisecond())
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = InvalidValue;

    fn try_from(time: SystemTime) -> Result<Self, InvalidValue> {
        let out_of_range = || InvalidValue::new("time", "expected a year from -9999 to 9999", format!("{time:?}"));
        let millis = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()),
            Err(before) => i64::try_from(before.duration().as_millis()).map(|millis| -millis),
        };
        Self::from_unix_millis(millis.map_err(|_| out_of_range())?)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_millis(time.unix_millis().unsigned_abs());
        if time.unix_millis() >= 0 { SystemTime::UNIX_EPOCH + distance } else { SystemTime::UNIX_EPOCH - distance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rfc_3339_text_is_read_and_one_form_is_written() {
        for (text, written) in [
            ("2017-08-29T08:29:41.000Z", "2017-08-29T08:29:41.000Z"),
            ("2017-08-29T08:29:41Z", "2017-08-29T08:29:41.000Z"),
            ("2017-08-29T08:29:41.123456789Z", "2017-08-29T08:29:41.123Z"),
            ("2017-08-29T16:29:41.5+08:00", "2017-08-29T08:29:41.500Z"),
            (" 2017-08-29T08:29:41Z ", "2017-08-29T08:29:41.000Z"),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), written);
            assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }

    #[test]
    fn what_is_not_a_moment_is_refused() {
        for text in ["", "yesterday", "2017-08-29", "2017-13-01T00:00:00Z", "1503995381"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
        }
        assert!(Timestamp::from_unix_millis(i64::MAX).is_err());
    }

    #[test]
    fn inventory_filters_get_whole_seconds() {
        assert_eq!("2017-08-29T08:29:41.999Z".parse::<Timestamp>().unwrap().to_whole_seconds(), "2017-08-29T08:29:41Z");
    }

    #[test]
    fn system_times_go_both_ways() {
        for millis in [0, 1, 1_503_995_381_123, -1, -1_000_000] {
            let time = Timestamp::from_unix_millis(millis).unwrap();
            assert_eq!(Timestamp::try_from(SystemTime::from(time)).unwrap(), time);
        }
    }
}
