//! The JSON documents that are sent: what a job is to do, who may use a vault, where to report.

use std::fmt;

use serde_json::Value;

use crate::id::{ArchiveId, Description, InvalidValue, InventoryLimit, Marker};
use crate::json::{Document, JsonObject, JsonWriter};
use crate::range::{ByteRange, RetrievalRange};
use crate::timestamp::Timestamp;
use crate::wire::WireError;

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
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
        });
        match url {
            Some(_) if text.len() <= 2048 => Ok(CallbackUrl(text.into())),
            _ => Err(InvalidValue::new(
                "callback URL",
                "expected http:// or https:// with a host, at most 2048 bytes",
                text.rsplit_once('@').map_or(text, |(_, rest)| rest),
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

/// What a job is to do: the body of `InitiateJob`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobParameters {
    /// Make an archive, or a range of it, readable.
    ArchiveRetrieval(ArchiveRetrieval),
    /// List the archives of the vault.
    InventoryRetrieval(InventoryRetrieval),
    /// Write an archive to a COS object.
    PushToCos(PushToCos),
    /// Make a COS object an archive.
    PullFromCos(PullFromCos),
}

/// Declares the parameters of one kind of job: required fields for `new`, optional ones with a setter each.
macro_rules! job_parameters {
    ($(#[$meta:meta])* $name:ident {
        $( $(#[$rmeta:meta])* $required:ident : $rty:ty, )*
    } optional {
        $( $(#[$ometa:meta])* $optional:ident : $oty:ty, )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[$rmeta])* pub $required: $rty, )*
            $( $(#[$ometa])* pub $optional: Option<$oty>, )*
            /// An address to call when the job is done, besides the vault's own.
            pub call_back_url: Option<CallbackUrl>,
            /// Free text kept with the job.
            pub description: Option<String>,
        }

        impl $name {
            /// The parameters with only what is required.
            #[allow(clippy::new_without_default, reason = "what is required differs by kind; a default would hide that one needs nothing")]
            #[must_use]
            pub fn new($($required: impl Into<$rty>),*) -> Self {
                $name { $($required: $required.into(),)* $($optional: None,)* call_back_url: None, description: None }
            }

            $(
                $(#[$ometa])*
                #[must_use]
                pub fn $optional(mut self, $optional: impl Into<$oty>) -> Self {
                    self.$optional = Some($optional.into());
                    self
                }
            )*

            /// An address to call when the job is done, besides the vault's own.
            #[must_use]
            pub fn call_back_url(mut self, url: impl Into<CallbackUrl>) -> Self {
                self.call_back_url = Some(url.into());
                self
            }

            /// Free text kept with the job.
            #[must_use]
            pub fn description(mut self, text: impl Into<String>) -> Self {
                self.description = Some(text.into());
                self
            }
        }

        impl From<$name> for JobParameters {
            fn from(parameters: $name) -> Self {
                JobParameters::$name(parameters)
            }
        }
    };
}

job_parameters! {
    /// Makes an archive, or a range of it, readable for 24 hours.
    ArchiveRetrieval {
        /// The archive.
        archive_id: ArchiveId,
    } optional {
        /// Only these bytes; the whole archive when absent.
        range: RetrievalRange,
        /// How soon; `Standard` when absent.
        tier: Tier,
    }
}

job_parameters! {
    /// Lists the archives of the vault, in whole or filtered.
    InventoryRetrieval {
    } optional {
        /// JSON or CSV; JSON when absent.
        format: InventoryFormat,
        /// Only archives created at this time or later. Whole seconds travel.
        start_date: Timestamp,
        /// Only archives created at this time or earlier. Whole seconds travel.
        end_date: Timestamp,
        /// At most this many archives; 10 000 when absent.
        limit: InventoryLimit,
        /// Where to go on, from an earlier inventory job.
        marker: Marker,
    }
}

job_parameters! {
    /// Writes an archive, or a range of it, to an object in COS of the same account.
    PushToCos {
        /// The archive.
        archive_id: ArchiveId,
        /// The domain name of the bucket.
        bucket: String,
        /// The key of the object.
        object: String,
    } optional {
        /// Only these bytes; the whole archive when absent.
        range: RetrievalRange,
        /// How soon; `Standard` when absent.
        tier: Tier,
    }
}

job_parameters! {
    /// Makes an object in COS, or a range of it, an archive of the vault.
    PullFromCos {
        /// The domain name of the bucket.
        bucket: String,
        /// The key of the object.
        object: String,
    } optional {
        /// Only these bytes of the object. The service's table calls it required and shows no form: send it when the size is known.
        range: ByteRange,
        /// Only if the object is in this state.
        condition: CosCondition,
        /// The new archive's description.
        archive_description: Description,
    }
}

/// Conditions on the object that a job pulls from COS, as in the HTTP headers of the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CosCondition {
    /// Changed since this HTTP date.
    pub if_modified_since: Option<String>,
    /// Not changed since this HTTP date. Every edition of the service's page spells the key `If-Umodified-Since`, and so do we.
    pub if_unmodified_since: Option<String>,
    /// Its entity tag is this.
    pub if_match: Option<String>,
    /// Its entity tag is not this.
    pub if_none_match: Option<String>,
}

impl CosCondition {
    /// No condition yet.
    #[must_use]
    pub fn new() -> Self {
        CosCondition::default()
    }

    /// As a JSON value, with the service's own spelling of the keys.
    #[must_use]
    pub fn to_value(&self) -> Value {
        JsonWriter::new()
            .set_if("If-Modified-Since", self.if_modified_since.as_ref())
            .set_if("If-Umodified-Since", self.if_unmodified_since.as_ref())
            .set_if("If-Match", self.if_match.as_ref())
            .set_if("If-None-Match", self.if_none_match.as_ref())
            .into()
    }

    /// Reads the object; both spellings of `If-Unmodified-Since` are taken.
    ///
    /// # Errors
    ///
    /// When a value is not a string.
    pub fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        Ok(CosCondition {
            if_modified_since: object.text("If-Modified-Since")?,
            if_unmodified_since: object.text("If-Umodified-Since")?.or(object.text("If-Unmodified-Since")?),
            if_match: object.text("If-Match")?,
            if_none_match: object.text("If-None-Match")?,
        })
    }
}

impl JobParameters {
    /// Retrieves an archive.
    #[must_use]
    pub fn archive_retrieval(archive_id: impl Into<ArchiveId>) -> ArchiveRetrieval {
        ArchiveRetrieval::new(archive_id)
    }

    /// Retrieves an inventory.
    #[must_use]
    pub fn inventory_retrieval() -> InventoryRetrieval {
        InventoryRetrieval::new()
    }

    /// The word for this kind of job in the request's `Type`.
    #[must_use]
    pub fn job_type(&self) -> &'static str {
        match self {
            JobParameters::ArchiveRetrieval(_) => "archive-retrieval",
            JobParameters::InventoryRetrieval(_) => "inventory-retrieval",
            JobParameters::PushToCos(_) => "push-to-cos",
            JobParameters::PullFromCos(_) => "pull-from-cos",
        }
    }
}

impl Document for JobParameters {
    fn to_json(&self) -> Vec<u8> {
        let json = JsonWriter::new().set("Type", self.job_type());
        match self {
            JobParameters::ArchiveRetrieval(job) => common(json, &job.call_back_url, &job.description)
                .set("ArchiveId", job.archive_id.as_str())
                .set_if("RetrievalByteRange", job.range)
                .set_if("Tier", job.tier.as_ref()),
            JobParameters::InventoryRetrieval(job) => {
                let json = common(json, &job.call_back_url, &job.description).set_if("Format", job.format.as_ref());
                let filters = job.filters();
                if filters == JsonWriter::new() { json } else { json.set("InventoryRetrievalParameters", filters) }
            }
            JobParameters::PushToCos(job) => common(json, &job.call_back_url, &job.description)
                .set("ArchiveId", job.archive_id.as_str())
                .set("Bucket", job.bucket.as_str())
                .set("Object", job.object.as_str())
                .set_if("RetrievalByteRange", job.range)
                .set_if("Tier", job.tier.as_ref()),
            JobParameters::PullFromCos(job) => {
                let json = common(json, &job.call_back_url, &job.description)
                    .set("Bucket", job.bucket.as_str())
                    .set("Object", job.object.as_str())
                    .set_if("Range", job.range)
                    .set_if("ArchiveDescription", job.archive_description.as_ref());
                match &job.condition {
                    Some(condition) => json.set("Condition", condition.to_value()),
                    None => json,
                }
            }
        }
        .to_vec()
    }

    fn from_json(text: &[u8]) -> Result<Self, WireError> {
        let object = JsonObject::from_slice(text)?;
        let job_type: String = object.require("Type")?;
        Ok(match job_type.as_str() {
            "archive-retrieval" => JobParameters::ArchiveRetrieval(ArchiveRetrieval {
                archive_id: object.require("ArchiveId")?,
                range: object.parse("RetrievalByteRange")?,
                tier: object.parse("Tier")?,
                call_back_url: object.parse("CallBackUrl")?,
                description: object.text("Description")?,
            }),
            "inventory-retrieval" => JobParameters::InventoryRetrieval(InventoryRetrieval::from_object(&object)?),
            "push-to-cos" => JobParameters::PushToCos(PushToCos {
                archive_id: object.require("ArchiveId")?,
                bucket: object.require("Bucket")?,
                object: object.require("Object")?,
                range: object.parse("RetrievalByteRange")?,
                tier: object.parse("Tier")?,
                call_back_url: object.parse("CallBackUrl")?,
                description: object.text("Description")?,
            }),
            "pull-from-cos" => JobParameters::PullFromCos(PullFromCos {
                bucket: object.require("Bucket")?,
                object: object.require("Object")?,
                range: source_range(&object)?,
                condition: object.object("Condition")?.as_ref().map(CosCondition::from_object).transpose()?,
                archive_description: object.parse("ArchiveDescription")?,
                call_back_url: object.parse("CallBackUrl")?,
                description: object.text("Description")?,
            }),
            other => {
                let why = "expected archive-retrieval, inventory-retrieval, push-to-cos or pull-from-cos";
                return Err(WireError::invalid("Type", InvalidValue::new("job type", why, other).to_string()));
            }
        })
    }
}

impl InventoryRetrieval {
    /// The filters as the object they travel in.
    fn filters(&self) -> JsonWriter {
        JsonWriter::new()
            .set_if("StartDate", self.start_date.map(Timestamp::to_whole_seconds))
            .set_if("EndDate", self.end_date.map(Timestamp::to_whole_seconds))
            .set_if("Limit", self.limit)
            .set_if("Marker", self.marker.as_ref())
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        let filters = object.object("InventoryRetrievalParameters")?.unwrap_or_default();
        Ok(InventoryRetrieval {
            format: object.parse("Format")?,
            start_date: filters.parse("StartDate")?,
            end_date: filters.parse("EndDate")?,
            limit: filters.parse("Limit")?,
            marker: filters.parse("Marker")?,
            call_back_url: object.parse("CallBackUrl")?,
            description: object.text("Description")?,
        })
    }
}

fn common(json: JsonWriter, call_back_url: &Option<CallbackUrl>, description: &Option<String>) -> JsonWriter {
    json.set_if("CallBackUrl", call_back_url.as_ref()).set_if("Description", description.as_ref())
}

/// The range of a COS object: `a-b`, or `bytes=a-b`.
fn source_range(object: &JsonObject) -> Result<Option<ByteRange>, WireError> {
    let Some(text) = object.text("Range")? else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let range = text.strip_prefix("bytes=").unwrap_or(text).parse();
    range.map(Some).map_err(|error: InvalidValue| WireError::invalid("Range", error.to_string()))
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

    /// Reads `Events`, or `Event` as one page calls it, as a list or a single string.
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
        Ok(NotificationConfiguration { call_back_url: object.require("CallBackUrl")?, events })
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
        assert!(!CallbackUrl::parse("ftp://me:hunter2@e.com").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn each_kind_of_job_is_written_and_read() {
        let id = ArchiveId::parse("-a1").unwrap();
        let url = CallbackUrl::parse("https://example.com/done").unwrap();
        let range = "0-1048575".parse::<RetrievalRange>().unwrap();
        let text = round_trip::<JobParameters>(
            ArchiveRetrieval::new(&id).range(range).tier(Tier::Bulk).call_back_url(url).description("why").into(),
        );
        assert_eq!(
            text,
            r#"{"ArchiveId":"-a1","CallBackUrl":"https://example.com/done","Description":"why","RetrievalByteRange":"0-1048575","Tier":"Bulk","Type":"archive-retrieval"}"#
        );
        let date: Timestamp = "2024-03-01T00:00:00Z".parse().unwrap();
        let text = round_trip::<JobParameters>(
            InventoryRetrieval::new().format(InventoryFormat::Csv).start_date(date).limit(InventoryLimit::MAX).into(),
        );
        assert_eq!(
            text,
            r#"{"Format":"CSV","InventoryRetrievalParameters":{"Limit":"10000","StartDate":"2024-03-01T00:00:00Z"},"Type":"inventory-retrieval"}"#
        );
        round_trip::<JobParameters>(PushToCos::new(&id, "b.cos.ap-chengdu.myqcloud.com", "k").into());
        let condition = CosCondition { if_unmodified_since: Some("x".into()), ..CosCondition::new() };
        let text = round_trip::<JobParameters>(
            PullFromCos::new("b", "k").range(ByteRange::new(0, 9).unwrap()).condition(condition).into(),
        );
        assert!(text.contains(r#""Condition":{"If-Umodified-Since":"x"}"#), "{text}");
    }

    #[test]
    fn what_official_clients_send_is_read() {
        for text in [
            r#"{"Type":" push-to-cos","ArchiveId":"a","Bucket":"b","Object":"o"}"#,
            r#"{"Type":"inventory-retrieval"}"#,
            r#"{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":10}}"#,
            r#"{"Type":"archive-retrieval","ArchiveId":"a","RetrievalByteRange":"1048576-","Description":""}"#,
            r#"{"Type":"pull-from-cos","Bucket":"b","Object":"o","Range":"bytes=0-9","Condition":{"If-Unmodified-Since":"x"}}"#,
        ] {
            JobParameters::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn a_bad_job_says_which_key_is_wrong() {
        for (text, field) in [
            (r#"{"#, "body"),
            (r#"{"ArchiveId":"a"}"#, "Type"),
            (r#"{"Type":"select"}"#, "Type"),
            (r#"{"Type":"archive-retrieval"}"#, "ArchiveId"),
            (r#"{"Type":"archive-retrieval","ArchiveId":"a","RetrievalByteRange":"1-2"}"#, "RetrievalByteRange"),
            (r#"{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":"0"}}"#, "Limit"),
            (r#"{"Type":"inventory-retrieval","CallBackUrl":"ftp://x"}"#, "CallBackUrl"),
        ] {
            assert_eq!(JobParameters::from_json(text.as_bytes()).unwrap_err().field(), field, "{text}");
        }
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
    }

    #[test]
    fn a_callback_is_an_http_address() {
        for bad in ["", "ftp://x", "http://", "example.com", "https://a b/", "javascript:alert(1)"] {
            assert!(CallbackUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_word_is_kept() {
        assert_eq!(Tier::from("Glacial").as_str(), "Glacial");
        assert_eq!(Tier::from(" bulk "), Tier::Bulk);
    }
}
