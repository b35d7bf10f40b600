//! Reading single values of the command line into the types that the rest works with.

use std::fmt;
use std::str::FromStr;

use cas_http::document::{NotificationEvent, Tier};
use cas_http::{InvalidValue, PartSize, VaultName};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads a vault's name, or `cas://` and the name.
pub(crate) fn vault(text: &str) -> Result<VaultName, InvalidValue> {
    VaultName::parse(text.strip_prefix("cas://").unwrap_or(text))
}

/// Reads an identifier that the service made, which may begin with a dash.
///
/// # Errors
///
/// When it is none, or looks like a misspelt option: two dashes and nothing but lower-case letters and dashes.
pub(crate) fn id<T: FromStr<Err = InvalidValue>>(text: &str) -> Result<T, String> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if text.strip_prefix("--").is_some_and(is_word) {
        return Err("no such option".to_owned());
    }
    text.parse().map_err(|error: InvalidValue| error.to_string())
}

/// Reads a part size: bytes, or with a unit as in `16M`.
pub(crate) fn part_size(text: &str) -> Result<PartSize, String> {
    PartSize::from_bytes(size(text)?).map_err(|error| error.to_string())
}

/// Reads a number of bytes; `K`, `M`, `G`, `T` and `P` count by 1024, with `iB` or `B` behind them or without.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(&unit);
    let power = ["", "K", "M", "G", "T", "P"].iter().zip(0u32..).find(|(name, _)| **name == unit);
    let bytes = || number.parse::<u64>().ok()?.checked_mul(1024u64.checked_pow(power?.1)?);
    bytes().ok_or_else(|| "expected a number of bytes, or one with a unit as in 16M".to_owned())
}

/// Reads how many transfers run at the same time.
pub(crate) fn at_once(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=64).contains(count)).ok_or_else(|| "expected 1 to 64".to_owned())
}

/// Reads one of the service's three tiers.
pub(crate) fn tier() -> impl TypedValueParser<Value = Tier> {
    PossibleValuesParser::new(["Expedited", "Standard", "Bulk"]).map(|word| Tier::from(word.as_str()))
}

/// What a vault can report.
pub(crate) const EVENTS: [&str; 4] =
    ["ArchiveRetrievalCompleted", "InventoryRetrievalCompleted", "PushToCOSCompleted", "PullFromCOSCompleted"];

/// Reads one of [`EVENTS`].
pub(crate) fn event() -> impl TypedValueParser<Value = NotificationEvent> {
    PossibleValuesParser::new(EVENTS).map(|word| NotificationEvent::from(word.as_str()))
}

/// A key as it was typed. It is checked later, by those whose messages do not show it.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for whoever signs with it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(**)")
    }
}

/// A parameter of a query: a name and perhaps a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// None where there is no `=`.
    pub(crate) value: Option<String>,
}

impl FromStr for Parameter {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('=') {
            Some((name, value)) => Parameter { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Parameter { name: text.to_owned(), value: None },
        })
    }
}

/// A header: a name and a value, without the blanks around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) =
            text.split_once(':').ok_or("expected a name, a colon and a value, as in 'Host: example.com'")?;
        Ok(Header { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use cas_http::MIB;

    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("1k", 1024),
            ("16M", 16 * MIB),
            ("2GiB", 2048 * MIB),
            ("3tb", 3 << 40),
            ("1P", 1 << 50),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1.5M", "-1", "16X", "16MM", "99999999P", "1 M"] {
            assert!(size(text).is_err(), "{text:?}");
        }
        assert_eq!(part_size("8M").unwrap().bytes(), 8 * MIB);
        assert!(part_size("3M").unwrap_err().contains("1 MiB × 2ⁿ"));
    }

    #[test]
    fn a_vault_is_a_name_or_an_address() {
        assert_eq!(vault("cas://My.Vault-1").unwrap().as_str(), "My.Vault-1");
        assert_eq!(vault("photos").unwrap().as_str(), "photos");
        assert!(vault("cas://").is_err());
        assert!(vault("cas://a/b").is_err());
    }

    #[test]
    fn a_parameter_keeps_every_equals_sign_but_the_first() {
        let parameter = |name: &str, value: Option<&str>| Parameter { name: name.into(), value: value.map(Into::into) };
        assert_eq!("marker".parse(), Ok(parameter("marker", None)));
        assert_eq!("marker=".parse(), Ok(parameter("marker", Some(""))));
        assert_eq!("a=b=c".parse(), Ok(parameter("a", Some("b=c"))));
    }

    #[test]
    fn a_header_loses_the_blanks_around_it() {
        let header = "Range:  bytes=0-9 ".parse::<Header>().unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("Range", "bytes=0-9"));
        assert_eq!("x-cas-time: 10:30".parse::<Header>().unwrap().value, "10:30");
        assert!("Host".parse::<Header>().is_err());
    }

    #[test]
    fn the_number_of_transfers_is_bounded() {
        assert_eq!(at_once("64"), Ok(64));
        for text in ["0", "65", "-1", "x"] {
            assert!(at_once(text).is_err(), "{text}");
        }
    }
}
