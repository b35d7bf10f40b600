//! The JSON documents that are sent: what a job is to do, who may use a vault, where to report.

use std::fmt;

use serde_json::Value;

use crate::id::{InvalidValue, without_secrets};
use crate::json::{Document, JsonObject, JsonWriter};
use crate::wire::WireError;

pub use crate::job_parameters::{
    ArchiveRetrieval, CosCondition, InventoryRetrieval, JobParameters, PullFromCos, PushToCos,
};

/// Declares an enum of the service's words that keeps a word it does not know, so that a new one is shown and not refused.
#[doc(hidden)]
#[macro_export]
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $text:literal, )+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$vmeta])* $variant, )+
            /// A word that was not known when this was written, as the service spelled it.
            Other(Box<str>),
        }

        impl $name {
            /// The word as the service writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( $name::$variant => $text, )+
                    $name::Other(text) => text,
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<&str> for $name {
            /// Reads a word: blanks around it are dropped, its case is not looked at.
            fn from(text: &str) -> Self {
                let text = text.trim();
                $( if text.eq_ignore_ascii_case($text) { return $name::$variant; } )+
                // No word of the service is longer; a stranger's text is cut before it can be sent back.
                $name::Other(text.chars().take(256).collect::<String>().into())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(text.into())
            }
        }
    };
}

open_enum! {
    /// How soon a retrieval is wanted, which is also how much it costs.
    Tier {
        /// 1 to 5 minutes; for archives of at most 256 MiB.
        Expedited = "Expedited",
        /// 3 to 5 hours; what the service takes when nothing is said.
        Standard = "Standard",
        /// 5 to 12 hours.
        Bulk = "Bulk",
    }
}

open_enum! {
    /// How far a job is.
    JobStatus {
        /// The service works on it, or it waits its turn.
        InProgress = "InProgress",
        /// It is done; its output waits 24 hours.
        Succeeded = "Succeeded",
        /// It ended without a result.
        Failed = "Failed",
    }
}

open_enum! {
    /// The form of an inventory.
    InventoryFormat {
        /// One JSON document; what the service takes when nothing is said.
        Json = "JSON",
        /// Lines of comma-separated values.
        Csv = "CSV",
    }
}

open_enum! {
    /// What a vault reports to its callback address.
    NotificationEvent {
        /// An archive was retrieved.
        ArchiveRetrievalCompleted = "ArchiveRetrievalCompleted",
        /// An inventory was made.
        InventoryRetrievalCompleted = "InventoryRetrievalCompleted",
        /// An archive was written to COS.
        PushToCosCompleted = "PushToCOSCompleted",
        /// An object was read from COS.
        PullFromCosCompleted = "PullFromCOSCompleted",
    }
}

/// An address the service calls when a job is done: it begins with `http://` or `https://`.
///
/// The call carries no authentication: whoever receives it must ask the service with `DescribeJob`. Some put a password or a token into the
/// address to know it by; `Display` and `Debug` leave out user and query, [`as_str`](Self::as_str) gives the whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CallbackUrl(Box<str>);

impl CallbackUrl {
    /// Checks the text and takes it.
    ///
    /// # Errors
    ///
    /// When it is not an http or https URL with a host.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        let url = text.parse::<http::Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some_and(is_host_and_port)
        });
        match url {
            Some(_) if text.len() <= 2048 => Ok(CallbackUrl(text.into())),
            _ => Err(InvalidValue::new(
                "callback URL",
                "expected http:// or https:// with a host, at most 2048 bytes",
                without_secrets(text),
            )),
        }
    }

    /// An address as the service repeats it, whatever it is.
    #[must_use]
    pub fn repeated(text: impl Into<Box<str>>) -> Self {
        CallbackUrl(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether there is a host, and nothing or a number where a port stands: "https://me:secret?@e.com" has none.
pub(crate) fn is_host_and_port(authority: &http::uri::Authority) -> bool {
    let behind_user = authority.as_str().rsplit('@').next().unwrap_or_default();
    let host = authority.host();
    !host.is_empty() && (behind_user.len() == host.len() || authority.port_u16().is_some())
}

/// Without user, password and query.
impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, query) = self.0.split_once(['?', '#']).map_or((&*self.0, ""), |(url, _)| (url, "?…"));
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let host_and_path = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let colon = if scheme.is_empty() { "" } else { "://" };
        write!(f, "{scheme}{colon}{host_and_path}{query}")
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({self})")
    }
}

impl std::str::FromStr for CallbackUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        CallbackUrl::parse(text)
    }
}

/// Who may do what with a vault: a policy document of version 2.0.
///
/// The document is kept as the text it was given as; the service's pages describe its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPolicy(Box<str>);

impl AccessPolicy {
    /// Checks that the text is a policy document and takes it.
    ///
    /// # Errors
    ///
    /// When it is not a JSON object with `"version": "2.0"` and a list `statement`.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        let invalid = |why: &str| InvalidValue::new("access policy", why, text);
        let object = JsonObject::from_slice(text.as_bytes()).map_err(|error| invalid(&error.to_string()))?;
        if object.get("version").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("expected \"version\": \"2.0\""));
        }
        if !object.get("statement").is_some_and(Value::is_array) {
            return Err(invalid("expected a list \"statement\""));
        }
        Ok(AccessPolicy(text.into()))
    }

    /// The text of the document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for AccessPolicy {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        AccessPolicy::parse(text)
    }
}

impl Document for AccessPolicy {
    /// The document as a string within an object, as the service wants it: `{"policy":"…"}`.
    fn to_json(&self) -> Vec<u8> {
        JsonWriter::new().set("policy", self.as_str()).to_vec()
    }

    /// Reads `policy` as a string or as an object; an older client spells it `Policy`.
    fn from_json(text: &[u8]) -> Result<Self, WireError> {
        let object = JsonObject::from_slice(text)?;
        let policy =
            object.get("policy").or_else(|| object.get("Policy")).ok_or_else(|| WireError::missing("policy"))?;
        let document = match policy {
            Value::String(text) => AccessPolicy::parse(text),
            other => AccessPolicy::parse(other.to_string()),
        };
        document.map_err(|error| WireError::invalid("policy", error.to_string()))
    }
}

/// Where a vault reports finished jobs, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotificationConfiguration {
    /// The address that is called.
    pub call_back_url: CallbackUrl,
    /// What is reported.
    pub events: Vec<NotificationEvent>,
}

impl NotificationConfiguration {
    /// Reports these events to this address.
    #[must_use]
    pub fn new(call_back_url: impl Into<CallbackUrl>, events: impl Into<Vec<NotificationEvent>>) -> Self {
        NotificationConfiguration { call_back_url: call_back_url.into(), events: events.into() }
    }
}

impl Document for NotificationConfiguration {
    fn to_json(&self) -> Vec<u8> {
        let events: Vec<Value> = self.events.iter().map(|event| event.as_str().into()).collect();
        JsonWriter::new().set("CallBackUrl", self.call_back_url.as_str()).set("Events", events).to_vec()
    }

    /// Reads `Events`, or `Event` as one page calls it, as a list or a single string; and the address whatever it is, which somebody else may
    /// have set.
    fn from_json(text: &[u8]) -> Result<Self, WireError> {
        let object = JsonObject::from_slice(text)?;
        let events = match object.get("Events").or_else(|| object.get("Event")) {
            None => return Err(WireError::missing("Events")),
            Some(Value::String(event)) => vec![event.as_str().into()],
            Some(Value::Array(events)) => events
                .iter()
                .map(|event| {
                    event
                        .as_str()
                        .map(Into::into)
                        .ok_or_else(|| WireError::invalid("Events", "expected a list of strings"))
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(WireError::invalid("Events", "expected a list of strings")),
        };
        let call_back_url = CallbackUrl::repeated(object.require::<String>("CallBackUrl")?);
        Ok(NotificationConfiguration { call_back_url, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<D: Document + PartialEq + fmt::Debug>(document: D) -> String {
        let text = document.to_json();
        assert_eq!(D::from_json(&text).unwrap(), document);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_a_callback_url_is_known_by_is_not_shown() {
        let url = CallbackUrl::parse("https://me:hunter2@e.com:81/jobs?token=hunter2").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://e.com:81/jobs?… CallbackUrl(https://e.com:81/jobs?…)");
        assert_eq!(url.as_str(), "https://me:hunter2@e.com:81/jobs?token=hunter2");
        assert_eq!(CallbackUrl::repeated("me:hunter2@e.com#x").to_string(), "e.com?…");
        for bad in [
            "ftp://me:hunter2@e.com",
            "htps://e.com/done?token=hunter2",
            "htps://e.com/done#hunter2",
            "htps://e.com/done?hunter2@e.com",
            "https://me:hunter2?hunter2@e.com",
            "htps://me@e.com/?a=me@hunter2",
        ] {
            let error = CallbackUrl::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(CallbackUrl::parse("htps://e.com/done?a=b").unwrap_err().to_string().contains("htps://e.com/done"));
    }

    #[test]
    fn a_policy_travels_as_a_string_in_an_object() {
        let policy = AccessPolicy::parse(r#"{"version":"2.0","statement":[]}"#).unwrap();
        assert_eq!(round_trip(policy.clone()), r#"{"policy":"{\"version\":\"2.0\",\"statement\":[]}"}"#);
        let as_object = AccessPolicy::from_json(br#"{"policy":{"version":"2.0","statement":[]}}"#).unwrap();
        assert_eq!(
            JsonObject::from_slice(as_object.as_str().as_bytes()),
            JsonObject::from_slice(policy.as_str().as_bytes())
        );
        for bad in ["{}", r#"{"policy":""}"#, r#"{"policy":"{\"version\":\"1.0\",\"statement\":[]}"}"#] {
            assert!(AccessPolicy::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn notifications_are_read_under_both_names() {
        let url = CallbackUrl::parse("http://example.com/").unwrap();
        round_trip(NotificationConfiguration::new(url, [NotificationEvent::PushToCosCompleted]));
        for text in [
            r#"{"CallBackUrl":"http://e.com/","Event":"ArchiveRetrievalCompleted"}"#,
            r#"{"CallBackUrl":"http://e.com/","Events":[" ArchiveRetrievalCompleted"]}"#,
        ] {
            let read = NotificationConfiguration::from_json(text.as_bytes()).unwrap();
            assert_eq!(read.events, [NotificationEvent::ArchiveRetrievalCompleted]);
        }
        for address in ["http://bücher.example/done", &format!("http://e.com/{}", "x".repeat(2048))] {
            let text = format!(r#"{{"CallBackUrl":"{address}","Events":[]}}"#);
            let read = NotificationConfiguration::from_json(text.as_bytes()).unwrap();
            assert_eq!(read.call_back_url.as_str(), address, "somebody else has set it");
        }
    }

    #[test]
    fn a_callback_is_an_http_address() {
        for bad in ["", "ftp://x", "http://", "example.com", "https://a b/", "https://a:b/", "javascript:alert(1)"] {
            assert!(CallbackUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_word_is_kept() {
        assert_eq!(Tier::from("Glacial").as_str(), "Glacial");
        assert_eq!(Tier::from(" bulk "), Tier::Bulk);
    }
}
