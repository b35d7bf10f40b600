//! The finished signature with all that is needed to check it (step 5): the `q-…` items, in a header or in a query.

use std::fmt;
use std::str::FromStr;

use crate::encode::decode;
use crate::{Algorithm, SecretId, SignError, Signature, TimeRange};

/// The value of an `Authorization` header, taken apart. `Display` puts it together again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Authorization {
    /// `q-sign-algorithm`.
    pub algorithm: Algorithm,
    /// `q-ak`.
    pub secret_id: SecretId,
    /// `q-sign-time`: when the request may be made.
    pub sign_time: TimeRange,
    /// `q-key-time`: when the signing key is valid.
    pub key_time: TimeRange,
    /// `q-header-list`.
    pub header_list: NameList,
    /// `q-url-param-list`.
    pub parameter_list: NameList,
    /// `q-signature`.
    pub signature: Signature,
}

impl Authorization {
    /// Reads the query form from the decoded parameters of a request; `None` when none of them is one of the seven items.
    ///
    /// # Errors
    ///
    /// As for the header form, [`AuthorizationError`].
    pub fn from_parameters<'p>(
        parameters: impl Iterator<Item = (&'p [u8], Option<&'p [u8]>)>,
    ) -> Result<Option<Self>, AuthorizationError> {
        let mut items = Items::default();
        let mut found = false;
        for (name, value) in parameters {
            let Some(index) = ITEMS.iter().position(|item| item.as_bytes() == name) else { continue };
            found = true;
            let value = std::str::from_utf8(value.unwrap_or_default()).map_err(|_| AuthorizationError::NotText)?;
            items.put(index, value)?;
        }
        if found { items.parse().map(Some) } else { Ok(None) }
    }

    /// Whether a parameter, by its decoded name, is one of the seven items of the query form.
    pub fn is_item(name: &[u8]) -> bool {
        ITEMS.iter().any(|item| item.as_bytes() == name)
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, secret_id, sign_time, key_time, header_list, parameter_list, signature } = self;
        write!(
            f,
            "q-sign-algorithm={algorithm}&q-ak={secret_id}&q-sign-time={sign_time}&q-key-time={key_time}\
             &q-header-list={header_list}&q-url-param-list={parameter_list}&q-signature={signature}"
        )
    }
}

/// Reads the header form. The seven items may stand in any order; an item of another name is passed over.
impl FromStr for Authorization {
    type Err = AuthorizationError;

    fn from_str(text: &str) -> Result<Self, AuthorizationError> {
        if text.len() > MAX_LENGTH {
            return Err(AuthorizationError::TooLong { length: text.len() });
        }
        let mut items = Items::default();
        for pair in text.trim_ascii().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(index) = ITEMS.iter().position(|item| *item == name) {
                items.put(index, value)?;
            }
        }
        items.parse()
    }
}

/// The values of the seven items, in the order of [`ITEMS`].
#[derive(Default)]
struct Items<'t>([Option<&'t str>; ITEMS.len()]);

impl<'t> Items<'t> {
    fn put(&mut self, index: usize, value: &'t str) -> Result<(), AuthorizationError> {
        match self.0[index].replace(value) {
            None => Ok(()),
            Some(_) => Err(AuthorizationError::Repeated { item: ITEMS[index] }),
        }
    }

    fn parse(self) -> Result<Authorization, AuthorizationError> {
        let mut texts = [""; ITEMS.len()];
        for ((text, value), item) in texts.iter_mut().zip(self.0).zip(ITEMS) {
            *text = value.ok_or(AuthorizationError::Missing { item })?;
        }
        let [algorithm, secret_id, sign_time, key_time, header_list, parameter_list, signature] = texts;
        let invalid = |item| move |source| AuthorizationError::Invalid { item, source };
        let algorithm: Algorithm =
            algorithm.parse().map_err(|_| AuthorizationError::UnknownAlgorithm { name: shorten(algorithm) })?;
        Ok(Authorization {
            algorithm,
            secret_id: secret_id.parse().map_err(invalid("q-ak"))?,
            sign_time: sign_time.parse().map_err(invalid("q-sign-time"))?,
            key_time: key_time.parse().map_err(invalid("q-key-time"))?,
            header_list: NameList::new("q-header-list", header_list)?,
            parameter_list: NameList::new("q-url-param-list", parameter_list)?,
            signature: Signature::from_hex(algorithm, signature)
                .ok_or(AuthorizationError::NoSignature { algorithm, length: signature.chars().count() })?,
        })
    }
}

/// The names that a signature says it covers, as received: semicolons between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList(String);

impl NameList {
    fn new(item: &'static str, text: &str) -> Result<Self, AuthorizationError> {
        let count = text.split(';').count();
        if count > MAX_NAMES {
            return Err(AuthorizationError::TooManyNames { item, count });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names in the order listed, each as written. Nothing between two semicolons is no name.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(';').filter(|name| !name.is_empty())
    }

    /// Whether a header is listed, by its name in any case.
    pub fn contains_header(&self, name: &str) -> bool {
        self.iter().any(|listed| listed.eq_ignore_ascii_case(name))
    }

    /// Whether a parameter is listed, by its decoded name in any case.
    pub fn contains_parameter(&self, name: &[u8]) -> bool {
        self.iter().any(|listed| decode(listed.as_bytes()).eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what is wrong with the text of a signature. Holds no more of that text than a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// An item is not there.
    Missing {
        /// Its name.
        item: &'static str,
    },
    /// An item is there twice.
    Repeated {
        /// Its name.
        item: &'static str,
    },
    /// An item cannot be read.
    Invalid {
        /// Its name.
        item: &'static str,
        /// Why.
        source: SignError,
    },
    /// No algorithm of this scheme has that name.
    UnknownAlgorithm {
        /// The name, cut if it is long.
        name: String,
    },
    /// The signature is not the right number of lower-case hex digits.
    NoSignature {
        /// The algorithm named beside it.
        algorithm: Algorithm,
        /// How many characters it has.
        length: usize,
    },
    /// A list names more than any request could need.
    TooManyNames {
        /// The list.
        item: &'static str,
        /// How many names it has.
        count: usize,
    },
    /// The text is longer than any signature could be.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The text is not UTF-8.
    NotText,
}

impl fmt::Display for AuthorizationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { item } => write!(f, "{item}: missing"),
            Self::Repeated { item } => write!(f, "{item}: expected once, found twice"),
            Self::Invalid { item, .. } => write!(f, "{item}: cannot be read"),
            Self::UnknownAlgorithm { name } => write!(f, "q-sign-algorithm: expected sha1 or sha256, found {name:?}"),
            Self::NoSignature { algorithm, length } => write!(
                f,
                "q-signature: expected {} lower-case hex digits for {algorithm}, found {length} characters",
                algorithm.hex_len()
            ),
            Self::TooManyNames { item, count } => {
                write!(f, "{item}: expected at most {MAX_NAMES} names, found {count}")
            }
            Self::TooLong { length } => write!(f, "authorization: expected at most {MAX_LENGTH} bytes, found {length}"),
            Self::NotText => f.write_str("authorization: not UTF-8"),
        }
    }
}

impl std::error::Error for AuthorizationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(32).collect()
}

/// The seven items in the order in which they are written.
const ITEMS: [&str; 7] =
    ["q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"];

const MAX_LENGTH: usize = 16 * 1024;
const MAX_NAMES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "q-sign-algorithm=sha1&q-ak=example-secret-id&q-sign-time=1480932292;1481012292&q-key-time=1480932292;1481012292\
                         &q-header-list=host&q-url-param-list=&q-signature=7de5ba52384e6e41b72270ae2ff8b0a1663ec2bf";

    fn error(text: &str) -> AuthorizationError {
        text.parse::<Authorization>().unwrap_err()
    }

    #[test]
    fn what_is_read_is_written_again() {
        assert_eq!(PLAIN.parse::<Authorization>().unwrap().to_string(), PLAIN);
    }

    #[test]
    fn the_items_may_come_in_any_order_and_in_company() {
        let mut items: Vec<&str> = PLAIN.split('&').collect();
        items.reverse();
        items.push("x-cos-security-token=t");
        assert_eq!(items.join("&").parse::<Authorization>().unwrap().to_string(), PLAIN);
    }

    #[test]
    fn every_missing_or_repeated_item_is_named() {
        for (index, item) in ITEMS.iter().enumerate() {
            let mut items: Vec<&str> = PLAIN.split('&').collect();
            let one = items.remove(index);
            assert_eq!(error(&items.join("&")), AuthorizationError::Missing { item });
            items.extend([one, one]);
            assert_eq!(error(&items.join("&")), AuthorizationError::Repeated { item });
        }
        assert_eq!(error(""), AuthorizationError::Missing { item: "q-sign-algorithm" });
    }

    #[test]
    fn bad_items_are_named() {
        let with = |from: &str, to: &str| error(&PLAIN.replace(from, to)).to_string();
        assert_eq!(with("=sha1", "=md5"), "q-sign-algorithm: expected sha1 or sha256, found \"md5\"");
        assert_eq!(with("example-secret-id", ""), "q-ak: cannot be read");
        assert_eq!(with("sign-time=1480932292", "sign-time=01480932292"), "q-sign-time: cannot be read");
        assert_eq!(with("key-time=1480932292", "key-time=1481012293"), "q-key-time: cannot be read");
        let signature = "q-signature: expected 40 lower-case hex digits for sha1, found ";
        assert_eq!(with("7de5", "7DE5"), format!("{signature}40 characters"));
        assert_eq!(with("7de5", "7de"), format!("{signature}39 characters"));
        assert_eq!(with("7de5", "7de50"), format!("{signature}41 characters"));
        assert_eq!(with("7de5", "7deg"), format!("{signature}40 characters"));
        assert!(with("=host", &format!("={}", "a;".repeat(300))).starts_with("q-header-list: expected at most 256"));
        assert!(with("=host", &"a".repeat(20_000)).starts_with("authorization: expected at most 16384"));
    }

    #[test]
    fn the_query_form_reads_back() {
        let authorization: Authorization = PLAIN.parse().unwrap();
        let query = authorization.to_string().replace(';', "%3B");
        let request = crate::SignableRequest::new("GET", "/").with_query(&query);
        let again = Authorization::from_parameters(request.parameters()).unwrap().unwrap();
        assert_eq!(again.to_string(), PLAIN);
        assert!(Authorization::from_parameters(std::iter::empty()).unwrap().is_none());
    }

    #[test]
    fn debug_hides_the_signature() {
        assert!(!format!("{:?}", PLAIN.parse::<Authorization>().unwrap()).contains("7de5"));
    }
}
