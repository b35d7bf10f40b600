//! Names, identifiers and the other short texts of the service, each a type that is built by parsing.
//!
//! A value that exists is one that can be sent: nothing further in checks again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A text that does not have the shape its type asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidValue {
    what: &'static str,
    why: String,
    found: String,
}

impl InvalidValue {
    /// Builds the error: what was expected, what is wrong with it, and the text found, which is shortened and escaped for display.
    pub fn new(what: &'static str, why: impl Into<String>, found: impl AsRef<str>) -> Self {
        const SHOWN: usize = 80;
        let found = found.as_ref();
        let mut shown: String = found.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if found.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        InvalidValue { what, why: why.into(), found: shown }
    }

    /// What was being read: "vault name", "part size".
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a valid {}: {}", self.found, self.what, self.why)
    }
}

impl fmt::Debug for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for InvalidValue {}

/// What may be shown of a text that should be an address or a path and is not: neither a user and a password before it nor a query behind it,
/// wherever they begin and end.
pub(crate) fn without_secrets(text: &str) -> &str {
    let rest = match text.rsplit_once('@') {
        None => text,
        Some((before, _)) if before.contains(['?', '#']) => "",
        Some((_, rest)) => rest,
    };
    rest.split(['?', '#']).next().unwrap_or_default()
}

/// The account in a request's path: one's own, or another by its number.
///
/// The owner of a vault may allow another account through the vault's access policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uid {
    /// The account of whoever signs the request, written `-`.
    #[default]
    Own,
    /// The account with this number.
    App(AppId),
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uid::Own => f.write_str("-"),
            Uid::App(id) => id.fmt(f),
        }
    }
}

impl FromStr for Uid {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "-" { Ok(Uid::Own) } else { text.parse().map(Uid::App) }
    }
}

impl From<AppId> for Uid {
    fn from(id: AppId) -> Self {
        Uid::App(id)
    }
}

/// The number of an account (APPID).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(u64);

impl AppId {
    /// The account with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        AppId(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AppId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number
            .map(AppId)
            .ok_or_else(|| InvalidValue::new("APPID", "expected a decimal number, or - for one's own account", text))
    }
}

/// Declares a text newtype: how it is checked, how it is built, how it is shown. A clone shares the text: a call has several.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            ///
            /// # Errors
            ///
            /// When the text breaks the rule above; the error shows it.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
                let text = text.as_ref();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(text).map_err(|why| InvalidValue::new($what, why, text))?;
                Ok($name(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidValue;

            fn try_from(text: &str) -> Result<Self, InvalidValue> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidValue;

            fn try_from(text: String) -> Result<Self, InvalidValue> {
                Self::parse(text)
            }
        }

        // A reference is good enough for every method that keeps the value: `client.list_jobs(&vault)`.
        impl From<&$name> for $name {
            fn from(value: &$name) -> Self {
                value.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_type! {
    /// The name of a vault: 1 to 255 characters from `a-z A-Z 0-9 _ - .`, unique in its account and region.
    ///
    /// `.` and `..` are refused although the service's rule would allow them: they mean something else in a path, and what stands
    /// between us and the service may act on that.
    VaultName, "vault name", |text| {
        if text.is_empty() || text.len() > 255 {
            return Err("expected 1 to 255 characters");
        }
        if text == "." || text == ".." {
            return Err("it cannot be told from a step in a path");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
            return Err("expected only a-z A-Z 0-9 _ - .");
        }
        Ok(())
    }
}

text_type! {
    /// The identifier of an archive, made by the service: opaque, case-sensitive, sometimes beginning with `-`.
    ///
    /// Observed: 128 characters of the URL-safe base64 alphabet. Accepted: 1 to 512 characters that need no escape in a path.
    ArchiveId, "archive ID", opaque_id
}

text_type! {
    /// The identifier of a multipart upload, made by the service; it lives 24 hours.
    ///
    /// Observed: 64 characters of the URL-safe base64 alphabet. Accepted: 1 to 512 characters that need no escape in a path.
    UploadId, "upload ID", opaque_id
}

text_type! {
    /// The identifier of a job, made by the service.
    ///
    /// Observed: 64 characters of the URL-safe base64 alphabet. Accepted: 1 to 512 characters that need no escape in a path.
    JobId, "job ID", opaque_id
}

text_type! {
    /// The identifier the service gives to one request; quote it when asking the service's support.
    RequestId, "request ID", |text| {
        if text.is_empty() || text.len() > 256 {
            return Err("expected 1 to 256 characters");
        }
        // Looks at all of them in any case, which lets the compiler look at many at once: every answer has one.
        if !text.bytes().fold(true, |all, b| all & b.is_ascii_graphic()) {
            return Err("expected only visible ASCII characters");
        }
        Ok(())
    }
}

text_type! {
    /// Where a listing goes on: taken from one page and handed back, unread, for the next.
    Marker, "marker", |text| {
        if text.is_empty() || text.len() > 4096 {
            return Err("expected 1 to 4096 bytes");
        }
        no_control(text)
    }
}

text_type! {
    /// Free text kept with an archive. It is fixed at upload time and comes back only in inventories.
    ///
    /// One that is sent has 1 to 1024 bytes of UTF-8, no control characters, and no space at either end: it travels in a header, which loses
    /// spaces and tabs there, though no other blanks. A server keeps more of what others send ([`Text`](crate::wire::Text)): 1024 bytes of
    /// Latin-1, tabs, control characters beyond ASCII, and in JSON spaces at the ends.
    Description, "description", |text| {
        if text.is_empty() || text.len() > Description::MAX_BYTES {
            return Err("expected 1 to 1024 bytes of UTF-8");
        }
        if text.trim_matches([' ', '\t']) != text {
            return Err("a space at the beginning or end would be lost on the way");
        }
        no_control(text)
    }
}

impl Description {
    /// How long one may be on its way.
    pub(crate) const MAX_BYTES: usize = 1024;

    /// Takes a text that came, or was kept since. Each of its characters was at least one byte on its way.
    pub(crate) fn received(text: &str) -> Result<Self, InvalidValue> {
        let invalid = |why| InvalidValue::new("description", why, text);
        if text.is_empty() || text.chars().count() > Self::MAX_BYTES {
            return Err(invalid("expected 1 to 1024 bytes"));
        }
        // In a header these cannot come; a value that has them could not be sent on in one.
        if text.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err(invalid("control characters other than a tab are not allowed"));
        }
        Ok(Description(text.into()))
    }
}

fn opaque_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 512 {
        return Err("expected 1 to 512 characters");
    }
    if text == "." || text == ".." {
        return Err("it cannot be told from a step in a path");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)) {
        return Err("expected only A-Z a-z 0-9 - _ . ~");
    }
    Ok(())
}

fn no_control(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) { Err("control characters are not allowed") } else { Ok(()) }
}

/// Declares a bounded count.
macro_rules! limit_type {
    ($(#[$meta:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The largest value, which is also what the service takes when none is given.
            pub const MAX: $name = $name($max);

            /// A limit of `count`.
            ///
            /// # Errors
            ///
            /// When `count` is 0 or above [`Self::MAX`].
            pub fn new(count: u32) -> Result<Self, InvalidValue> {
                if (1..=$max).contains(&count) {
                    Ok($name(count))
                } else {
                    Err(InvalidValue::new($what, concat!("expected 1 to ", $max), count.to_string()))
                }
            }

            /// The count.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                let count = crate::range::decimal(text).and_then(|count| u32::try_from(count).ok());
                let count = count.ok_or_else(|| InvalidValue::new($what, concat!("expected 1 to ", $max), text))?;
                Self::new(count)
            }
        }
    };
}

limit_type! {
    /// How many entries a listing may return at most: 1 to 1000.
    Limit, "limit", 1000
}

limit_type! {
    /// How many archives an inventory may hold at most: 1 to 10 000.
    InventoryLimit, "inventory limit", 10000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_name_is_what_the_service_allows() {
        for good in ["a", "My.Vault-1", "_", "...", &"x".repeat(255)] {
            assert_eq!(VaultName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "文件库", "a\0", &"x".repeat(256)] {
            assert!(VaultName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_identifier_may_begin_with_a_dash_and_may_not_leave_its_place_in_the_path() {
        assert!(ArchiveId::parse("-abcDEF_012").is_ok());
        for bad in ["", "..", "a/b", "a%2fb", "a?b", "a\u{1b}[31m", &"x".repeat(513)] {
            assert!(JobId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_description_that_is_sent_keeps_what_a_header_keeps() {
        for good in ["报告 2024/Q1~a+b", "x\u{3000}", "\u{a0}x", "\u{2028}x", &"é".repeat(512)] {
            assert!(Description::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", " x", "x ", "\tx", "a\nb", "a\tb", "a\u{7f}", "\u{85}x", &"é".repeat(513)] {
            assert!(Description::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_account_is_a_number_or_a_dash() {
        assert_eq!("-".parse(), Ok(Uid::Own));
        assert_eq!("1250000000".parse(), Ok(Uid::App(AppId::new(1_250_000_000))));
        for bad in ["", "+1", "1a", "99999999999999999999999", "--"] {
            assert!(bad.parse::<Uid>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_keep_their_bounds() {
        assert_eq!("1000".parse::<Limit>().unwrap(), Limit::MAX);
        for bad in ["0", "1001", "-1", "+1", "x", "", "4294967297"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad:?}");
        }
        assert!(InventoryLimit::new(10_000).is_ok());
        assert!(InventoryLimit::new(10_001).is_err());
    }

    #[test]
    fn an_error_shows_the_value_without_its_tricks() {
        let error = VaultName::parse("a\u{1b}[31m").unwrap_err().to_string();
        assert_eq!(error, r#""a\u{1b}[31m" is not a valid vault name: expected only a-z A-Z 0-9 _ - ."#);
        let long = VaultName::parse("x".repeat(300)).unwrap_err().to_string();
        assert!(long.contains('…') && long.len() < 200, "{long}");
    }
}
