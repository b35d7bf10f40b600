//! Ranges of bytes and the size of a part. Every range here includes both of its ends.

use std::fmt;
use std::str::FromStr;

use crate::id::InvalidValue;

/// 1 MiB, the unit of the service: part sizes are a power of two of it, and retrieved ranges begin and end on it.
pub const MIB: u64 = 1 << 20;

/// The largest archive the service takes: 40 TB, which its official client reads as 40 000 GiB.
pub const MAX_ARCHIVE_SIZE: u64 = 40_000 << 30;

/// A range of bytes, both ends included; it holds at least one byte.
///
/// Written `0-1048575`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// The range from `start` to `end`, both included.
    ///
    /// # Errors
    ///
    /// When `end` is before `start`, or the length does not fit in 64 bits.
    pub fn new(start: u64, end: u64) -> Result<Self, InvalidValue> {
        let invalid = |why| InvalidValue::new("byte range", why, format!("{start}-{end}"));
        if end < start {
            return Err(invalid("it ends before it begins"));
        }
        if end == u64::MAX {
            return Err(invalid("its end is too large"));
        }
        Ok(ByteRange { start, end })
    }

    /// The range of `len` bytes from `start` on.
    ///
    /// # Errors
    ///
    /// When `len` is 0, or the end does not fit in 64 bits.
    pub fn with_len(start: u64, len: u64) -> Result<Self, InvalidValue> {
        let invalid = |why| InvalidValue::new("byte range", why, format!("{len} bytes from {start}"));
        if len == 0 {
            return Err(invalid("it holds no byte"));
        }
        let end = start.checked_add(len - 1).ok_or_else(|| invalid("its end is too large"))?;
        ByteRange::new(start, end)
    }

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// How many bytes it holds; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a range holds at least one byte")]
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end - self.start + 1
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteRange({self})")
    }
}

impl FromStr for ByteRange {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new("byte range", "expected FIRST-LAST, both included", text);
        let (start, end) = text.split_once('-').ok_or_else(invalid)?;
        ByteRange::new(decimal(start).ok_or_else(invalid)?, decimal(end).ok_or_else(invalid)?)
    }
}

/// Digits only: `u64::from_str` would also take a leading `+`.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Which bytes of a job's output are asked for, in the `Range` header.
///
/// Positions count from the first byte of the output, which is the first retrieved byte of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputRange {
    /// `bytes=a-b`: from byte a to byte b, both included.
    Exact(ByteRange),
    /// `bytes=a-`: from this byte to the end.
    From(u64),
    /// `bytes=-n`: the last n bytes.
    Last(u64),
}

impl From<ByteRange> for OutputRange {
    fn from(range: ByteRange) -> Self {
        OutputRange::Exact(range)
    }
}

impl OutputRange {
    /// The bytes this selects of an output of `size` bytes: an end beyond the output is brought back to its last byte, and nothing is
    /// selected when the range begins beyond it.
    #[must_use]
    pub fn within(self, size: u64) -> Option<ByteRange> {
        let last = size.checked_sub(1)?;
        let (start, end) = match self {
            OutputRange::Exact(range) => (range.start, range.end.min(last)),
            OutputRange::From(start) => (start, last),
            OutputRange::Last(0) => return None,
            OutputRange::Last(count) => (size.saturating_sub(count), last),
        };
        ByteRange::new(start, end).ok()
    }

    /// Whether the bytes that came are the ones this selects; where the size of the output is not told, whether they may be.
    #[must_use]
    pub fn selects(self, came: ContentRange) -> bool {
        let bytes = came.bytes;
        match (came.total, self) {
            (Some(total), range) => range.within(total) == Some(bytes),
            // An end beyond the output is brought back to its last byte.
            (None, OutputRange::Exact(range)) => bytes.start == range.start && bytes.end <= range.end,
            (None, OutputRange::From(start)) => bytes.start == start,
            (None, OutputRange::Last(count)) => bytes.len() <= count,
        }
    }
}

impl fmt::Display for OutputRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputRange::Exact(range) => write!(f, "bytes={range}"),
            OutputRange::From(start) => write!(f, "bytes={start}-"),
            OutputRange::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

impl FromStr for OutputRange {
    type Err = InvalidValue;

    /// Reads the three forms. The unit may be written in any case, and numbers may be as large as they like.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new("range", "expected bytes=FIRST-LAST, both included", text);
        let number = |digits| position(digits).ok_or_else(invalid);
        let (unit, range) = text.split_once('=').ok_or_else(invalid)?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return Err(invalid());
        }
        Ok(match range.trim().split_once('-').ok_or_else(invalid)? {
            ("", count) => OutputRange::Last(number(count)?),
            (start, "") => OutputRange::From(number(start)?),
            (start, end) => OutputRange::Exact(ByteRange::new(number(start)?, number(end)?).map_err(|_| invalid())?),
        })
    }
}

/// A place in an output. The last one that a range can have is beyond every output, and stands for all that are further.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX).min(u64::MAX - 1))
}

/// The bytes a job retrieves of an archive: it begins on a MiB, and ends before one or with the archive.
///
/// The service refuses other ranges. Whether the end is the end of the archive only the service can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetrievalRange {
    start: u64,
    end: Option<u64>,
}

impl RetrievalRange {
    /// The range from `start` to `end`, both included.
    ///
    /// # Errors
    ///
    /// When `start` is not on a MiB, or `end` is before `start`.
    pub fn new(range: ByteRange) -> Result<Self, InvalidValue> {
        Self::checked(range.start, Some(range.end), &range.to_string())
    }

    /// The range from `start` to the end of the archive.
    ///
    /// # Errors
    ///
    /// When `start` is not on a MiB.
    pub fn starting_at(start: u64) -> Result<Self, InvalidValue> {
        Self::checked(start, None, &format!("{start}-"))
    }

    fn checked(start: u64, end: Option<u64>, text: &str) -> Result<Self, InvalidValue> {
        if !start.is_multiple_of(MIB) {
            return Err(InvalidValue::new(
                "retrieval range",
                "its first byte is not on a MiB (a multiple of 1048576)",
                text,
            ));
        }
        Ok(RetrievalRange { start, end })
    }

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The last byte; `None` for the last byte of the archive.
    #[must_use]
    pub const fn end(self) -> Option<u64> {
        self.end
    }

    /// The bytes this selects of an archive of `size` bytes.
    ///
    /// # Errors
    ///
    /// When it reaches beyond the archive, or ends neither before a MiB nor with the archive.
    pub fn within(self, size: u64) -> Result<ByteRange, InvalidValue> {
        let end = self.end.unwrap_or(size.saturating_sub(1));
        let invalid = |why| InvalidValue::new("retrieval range", why, self.to_string());
        if end >= size || self.start > end {
            return Err(invalid(format!("it reaches beyond the archive's {size} bytes")));
        }
        if end != size - 1 && !(end + 1).is_multiple_of(MIB) {
            return Err(invalid("it ends neither before a MiB nor with the archive".to_owned()));
        }
        ByteRange::new(self.start, end)
    }
}

impl fmt::Display for RetrievalRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "{}-{end}", self.start),
            None => write!(f, "{}-", self.start),
        }
    }
}

impl FromStr for RetrievalRange {
    type Err = InvalidValue;

    /// Reads `FIRST-LAST`, and `FIRST-`, which an official client sends.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new("retrieval range", "expected FIRST-LAST, both included", text);
        match text.trim().strip_suffix('-') {
            Some(start) if !start.is_empty() => Self::checked(decimal(start).ok_or_else(invalid)?, None, text),
            _ => RetrievalRange::new(text.trim().parse().map_err(|_| invalid())?),
        }
    }
}

/// Which bytes of the archive a part holds, both ends included.
///
/// In the `Content-Range` header it is written `bytes 0-16777215/*`, in a list of parts `0-16777215`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartRange(ByteRange);

impl PartRange {
    /// The part that holds these bytes.
    #[must_use]
    pub const fn new(range: ByteRange) -> Self {
        PartRange(range)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> ByteRange {
        self.0
    }

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.0.start
    }

    /// The last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.0.end
    }

    /// How many bytes it holds; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a range holds at least one byte")]
    #[must_use]
    pub const fn len(self) -> u64 {
        self.0.len()
    }

    /// The text of a `Content-Range` header.
    #[must_use]
    pub fn to_content_range(self) -> String {
        format!("bytes {}/*", self.0)
    }

    /// Reads the text of a `Content-Range` header: `/*`, a number or nothing may follow the range. The number is not compared with
    /// the range: no page says what it counts.
    ///
    /// # Errors
    ///
    /// When the text is not such a range.
    pub fn from_content_range(text: &str) -> Result<Self, InvalidValue> {
        let (bytes, total) = content_range(text)?;
        match total {
            Some(total) if !total.bytes().all(|b| b.is_ascii_digit()) => Err(invalid_content_range(text)),
            _ => Ok(PartRange(bytes)),
        }
    }
}

impl From<ByteRange> for PartRange {
    fn from(range: ByteRange) -> Self {
        PartRange(range)
    }
}

impl fmt::Display for PartRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PartRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartRange({})", self.0)
    }
}

impl FromStr for PartRange {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse().map(PartRange)
    }
}

/// The `Content-Range` of an answer: which bytes came, and of how many when the service says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentRange {
    /// The bytes that came, both ends included.
    pub bytes: ByteRange,
    /// How many there are in all.
    pub total: Option<u64>,
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Some(total) => write!(f, "bytes {}/{total}", self.bytes),
            None => write!(f, "bytes {}/*", self.bytes),
        }
    }
}

impl FromStr for ContentRange {
    type Err = InvalidValue;

    /// Reads `bytes a-b/total`, `bytes a-b/*` and `bytes a-b`: the service's page does not show the exact form.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (bytes, total) = content_range(text)?;
        let total = total.map(|total| decimal(total).ok_or_else(|| invalid_content_range(text))).transpose()?;
        match total {
            Some(total) if bytes.end >= total => Err(invalid_content_range(text)),
            _ => Ok(ContentRange { bytes, total }),
        }
    }
}

/// The range in the text of a `Content-Range` header, and what follows it, if that is more than `*`.
fn content_range(text: &str) -> Result<(ByteRange, Option<&str>), InvalidValue> {
    let invalid = || invalid_content_range(text);
    let range = text.trim().strip_prefix("bytes").ok_or_else(invalid)?.trim_start_matches([' ', '=']);
    let (bytes, total) = range.split_once('/').unwrap_or((range, "*"));
    let bytes = bytes.trim().parse().map_err(|_| invalid())?;
    Ok((bytes, Some(total).filter(|total| !matches!(*total, "" | "*"))))
}

fn invalid_content_range(text: &str) -> InvalidValue {
    InvalidValue::new("content range", "expected bytes FIRST-LAST/TOTAL", text)
}

/// The size of every part of a multipart upload but the last: 1 MiB × 2ⁿ, from 1 MiB to 4 GiB.
///
/// With such sizes the tree hashes of the parts combine into the archive's. The service documents no largest size; 40 TB in 10 000
/// parts needs 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartSize(u64);

impl PartSize {
    /// 1 MiB.
    pub const MIN: PartSize = PartSize(MIB);
    /// 16 MiB, what the official client takes.
    pub const DEFAULT: PartSize = PartSize(16 * MIB);
    /// 4 GiB.
    pub const MAX: PartSize = PartSize(4096 * MIB);
    /// How many parts an upload may have.
    pub const MAX_PARTS: u64 = 10_000;

    /// The part size of this many bytes.
    ///
    /// # Errors
    ///
    /// When it is not 1 MiB × 2ⁿ, or outside 1 MiB to 4 GiB.
    pub fn from_bytes(bytes: u64) -> Result<Self, InvalidValue> {
        if bytes.is_power_of_two() && (Self::MIN.0..=Self::MAX.0).contains(&bytes) {
            Ok(PartSize(bytes))
        } else {
            Err(InvalidValue::new("part size", "expected 1 MiB × 2ⁿ bytes, from 1 MiB to 4 GiB", bytes.to_string()))
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Twice this size, if there is one.
    #[must_use]
    pub const fn doubled(self) -> Option<PartSize> {
        if self.0 < PartSize::MAX.0 { Some(PartSize(self.0 * 2)) } else { None }
    }

    /// How many parts an archive of `size` bytes has.
    #[must_use]
    pub const fn parts_of(self, size: u64) -> u64 {
        size.div_ceil(self.0)
    }
}

impl Default for PartSize {
    fn default() -> Self {
        PartSize::DEFAULT
    }
}

impl fmt::Display for PartSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PartSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let bytes = decimal(text).ok_or_else(|| InvalidValue::new("part size", "expected a number of bytes", text))?;
        PartSize::from_bytes(bytes)
    }
}

/// The size of a whole archive: 1 byte to 40 TB.
///
/// The service documents the largest size; that an empty archive is refused is known from its official client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveSize(u64);

impl ArchiveSize {
    /// The size of this many bytes.
    ///
    /// # Errors
    ///
    /// When it is 0, or above [`MAX_ARCHIVE_SIZE`].
    pub fn new(bytes: u64) -> Result<Self, InvalidValue> {
        if (1..=MAX_ARCHIVE_SIZE).contains(&bytes) {
            Ok(ArchiveSize(bytes))
        } else {
            Err(InvalidValue::new("archive size", "expected 1 byte to 40 000 GiB", bytes.to_string()))
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ArchiveSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ArchiveSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let bytes =
            decimal(text).ok_or_else(|| InvalidValue::new("archive size", "expected a number of bytes", text))?;
        ArchiveSize::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start, end).unwrap()
    }

    #[test]
    fn a_range_includes_both_ends() {
        assert_eq!(range(0, 0).len(), 1);
        assert_eq!(ByteRange::with_len(10, 5).unwrap(), range(10, 14));
        assert_eq!("0-1048575".parse(), Ok(range(0, 1_048_575)));
        for bad in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "2-1",
            "+1-2",
            "1-2-3",
            "1 - 2",
            "0-18446744073709551615",
            "0-18446744073709551616",
        ] {
            assert!(bad.parse::<ByteRange>().is_err(), "{bad:?}");
        }
        assert!(ByteRange::with_len(0, 0).is_err());
        assert!(ByteRange::with_len(u64::MAX, 2).is_err());
    }

    #[test]
    fn an_output_range_selects_what_there_is() {
        for (text, size, selected) in [
            ("bytes=0-100", 1000, Some(range(0, 100))),
            ("bytes=900-5000", 1000, Some(range(900, 999))),
            ("bytes=999-", 1000, Some(range(999, 999))),
            ("bytes=-1", 1000, Some(range(999, 999))),
            ("bytes=-5000", 1000, Some(range(0, 999))),
            ("bytes=1000-1001", 1000, None),
            ("bytes=1000-", 1000, None),
            ("bytes=-0", 1000, None),
            ("bytes=0-0", 0, None),
        ] {
            let parsed: OutputRange = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(parsed.within(size), selected, "{text} of {size}");
        }
        for bad in [
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "0-1",
            "bytes=1-0",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=1-2-",
            "bits=0-1",
        ] {
            assert!(bad.parse::<OutputRange>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_output_range_may_name_bytes_that_no_output_has() {
        let all = Some(range(0, 9));
        for (text, selected) in [
            ("bytes=0-18446744073709551614", all),
            ("bytes=0-18446744073709551615", all),
            ("bytes=0-18446744073709551616", all),
            ("bytes=0-99999999999999999999999999", all),
            ("bytes=-18446744073709551615", all),
            ("bytes=-18446744073709551616", all),
            ("bytes=18446744073709551615-", None),
            ("bytes=18446744073709551616-", None),
            ("bytes=18446744073709551616-18446744073709551617", None),
            ("Bytes=0-9", all),
            ("BYTES=-10", all),
        ] {
            let parsed: OutputRange = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(parsed.within(10), selected, "{text}");
            if let OutputRange::Exact(range) = parsed {
                assert_ne!(range.len(), 0, "{text}");
            }
        }
    }

    #[test]
    fn bytes_that_came_are_the_selected_ones_or_others() {
        for (asked, came, selected) in [
            ("bytes=5-9", "bytes 5-9/20", true),
            ("bytes=5-9", "bytes 5-7/20", false),
            ("bytes=5-9", "bytes 5-7/8", true),
            ("bytes=5-9", "bytes 5-7/*", true),
            ("bytes=5-9", "bytes 5-10/*", false),
            ("bytes=5-9", "bytes 6-9/*", false),
            ("bytes=5-", "bytes 5-9/10", true),
            ("bytes=5-", "bytes 5-9/20", false),
            ("bytes=5-", "bytes 5-9", true),
            ("bytes=5-", "bytes 6-9", false),
            ("bytes=-5", "bytes 5-9/10", true),
            ("bytes=-5", "bytes 0-4/10", false),
            ("bytes=-5", "bytes 0-4/*", true),
            ("bytes=-5", "bytes 0-5/*", false),
        ] {
            let (range, came): (OutputRange, ContentRange) = (asked.parse().unwrap(), came.parse().unwrap());
            assert_eq!(range.selects(came), selected, "{asked}: {came}");
        }
    }

    #[test]
    fn a_retrieval_range_keeps_the_rule_of_the_mebibyte() {
        let size = 3 * MIB + 17;
        for (text, selected) in [
            ("0-1048575", Some(range(0, MIB - 1))),
            ("1048576-3145744", Some(range(MIB, size - 1))),
            ("2097152-", Some(range(2 * MIB, size - 1))),
            ("0-1048576", None),
            ("0-3145745", None),
            ("4194304-", None),
        ] {
            assert_eq!(text.parse::<RetrievalRange>().unwrap().within(size).ok(), selected, "{text}");
        }
        for bad in ["1-1048575", "-", "", "5-", "0", "1048576-0"] {
            assert!(bad.parse::<RetrievalRange>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_part_range_is_read_as_official_clients_write_it() {
        for text in [
            "bytes 0-1048575/*",
            "bytes 0-1048575/5000000",
            "bytes 0-1048575",
            "bytes=0-1048575/*",
            "bytes 0-1048575/",
            "bytes 0-1048575/1048575",
            "bytes 0-1048575/0",
            "bytes 0-1048575/18446744073709551616",
        ] {
            assert_eq!(PartRange::from_content_range(text).unwrap(), PartRange(range(0, 1_048_575)), "{text}");
        }
        assert_eq!(PartRange(range(0, 1_048_575)).to_content_range(), "bytes 0-1048575/*");
        for bad in ["", "bytes */5", "bytes 5-4/*", "bits 0-1/*", "bytes 0-1/x", "bytes 0-1/2/3", "bytes 0-1/-5"] {
            assert!(PartRange::from_content_range(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_content_range_of_an_answer_has_a_total_that_holds_it() {
        assert_eq!("bytes 0-9/10".parse(), Ok(ContentRange { bytes: range(0, 9), total: Some(10) }));
        for bad in ["bytes 0-9/9", "bytes 1048576-2097151/1048576", "bytes 0-9/18446744073709551616", "bytes 0-9/x"] {
            assert!(bad.parse::<ContentRange>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_archive_holds_a_byte_and_at_most_forty_terabytes() {
        assert!("1".parse::<ArchiveSize>().is_ok() && "42949672960000".parse::<ArchiveSize>().is_ok());
        for bad in ["0", "", "-1", "42949672960001"] {
            assert!(bad.parse::<ArchiveSize>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_part_size_is_a_power_of_two_of_a_mebibyte() {
        assert!(PartSize::from_bytes(MIB).is_ok());
        assert!(PartSize::from_bytes(4096 * MIB).is_ok());
        for bad in [0, 1, MIB - 1, 3 * MIB, 48 * MIB, 8192 * MIB] {
            assert!(PartSize::from_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(PartSize::MAX.doubled(), None);
        assert_eq!(PartSize::MIN.doubled().map(PartSize::bytes), Some(2 * MIB));
        assert_eq!(PartSize::DEFAULT.parts_of(16 * MIB + 1), 2);
    }
}
