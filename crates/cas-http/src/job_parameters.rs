//! What a job is to do: the parameters of the four kinds, and how they travel.

use serde_json::Value;

use crate::document::{CallbackUrl, InventoryFormat, Tier};
use crate::id::{ArchiveId, Description, InvalidValue, InventoryLimit, Marker};
use crate::json::{Document, JsonObject, JsonWriter};
use crate::range::{ByteRange, RetrievalRange};
use crate::timestamp::Timestamp;
use crate::wire::{Text, WireError};

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
        if matches!(job_type.as_str(), "inventory-retrieval" | "pull-from-cos") {
            passed_over_tier(&object)?;
        }
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
                bucket: object.require_text("Bucket")?,
                object: object.require_text("Object")?,
                range: object.parse("RetrievalByteRange")?,
                tier: object.parse("Tier")?,
                call_back_url: object.parse("CallBackUrl")?,
                description: object.text("Description")?,
            }),
            "pull-from-cos" => JobParameters::PullFromCos(PullFromCos {
                bucket: object.require_text("Bucket")?,
                object: object.require_text("Object")?,
                range: source_range(&object)?,
                condition: object.object("Condition")?.as_ref().map(whole_condition).transpose()?,
                archive_description: archive_description(&object)?,
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
    json.set_if("CallBackUrl", call_back_url.as_ref().map(CallbackUrl::as_str))
        .set_if("Description", description.as_ref())
}

/// A tier does nothing in a kind of job that has none, but a word that is no tier is refused in every kind.
fn passed_over_tier(object: &JsonObject) -> Result<(), WireError> {
    match object.parse("Tier")? {
        Some(Tier::Other(word)) => {
            let why = "expected Expedited, Standard or Bulk";
            Err(WireError::invalid("Tier", InvalidValue::new("tier", why, &word).to_string()))
        }
        _ => Ok(()),
    }
}

/// The condition of a job that is asked for. One that is not understood must not be passed over, or the job does what it was not to do.
fn whole_condition(object: &JsonObject) -> Result<CosCondition, WireError> {
    const KEYS: [&str; 5] =
        ["If-Modified-Since", "If-Umodified-Since", "If-Unmodified-Since", "If-Match", "If-None-Match"];
    match object.iter().find(|(key, _)| !KEYS.contains(key)) {
        Some((key, _)) => {
            let why = "expected If-Modified-Since, If-Umodified-Since, If-Match or If-None-Match";
            Err(WireError::invalid("Condition", InvalidValue::new("condition", why, key).to_string()))
        }
        None => CosCondition::from_object(object),
    }
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

/// The description of the new archive, with its blanks: nothing takes them away from a JSON text.
fn archive_description(object: &JsonObject) -> Result<Option<Description>, WireError> {
    const KEY: &str = "ArchiveDescription";
    let text = object.text(KEY)?.filter(|text| !text.is_empty());
    text.map(|text| Description::from_bytes(text.as_bytes()).map_err(|why| WireError::invalid(KEY, why))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(job: impl Into<JobParameters>) -> String {
        let job = job.into();
        let text = job.to_json();
        assert_eq!(JobParameters::from_json(&text).unwrap(), job);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn each_kind_of_job_is_written_and_read() {
        let id = ArchiveId::parse("-a1").unwrap();
        let url = CallbackUrl::parse("https://example.com/done").unwrap();
        let range = "0-1048575".parse::<RetrievalRange>().unwrap();
        let text =
            round_trip(ArchiveRetrieval::new(&id).range(range).tier(Tier::Bulk).call_back_url(url).description("why"));
        assert_eq!(
            text,
            r#"{"ArchiveId":"-a1","CallBackUrl":"https://example.com/done","Description":"why","RetrievalByteRange":"0-1048575","Tier":"Bulk","Type":"archive-retrieval"}"#
        );
        let date: Timestamp = "2024-03-01T00:00:00Z".parse().unwrap();
        let text = round_trip(
            InventoryRetrieval::new().format(InventoryFormat::Csv).start_date(date).limit(InventoryLimit::MAX),
        );
        assert_eq!(
            text,
            r#"{"Format":"CSV","InventoryRetrievalParameters":{"Limit":"10000","StartDate":"2024-03-01T00:00:00Z"},"Type":"inventory-retrieval"}"#
        );
        round_trip(PushToCos::new(&id, "b.cos.ap-chengdu.myqcloud.com", "k"));
        let condition = CosCondition { if_unmodified_since: Some("x".into()), ..CosCondition::new() };
        let text = round_trip(PullFromCos::new("b", "k").range(ByteRange::new(0, 9).unwrap()).condition(condition));
        assert!(text.contains(r#""Condition":{"If-Umodified-Since":"x"}"#), "{text}");
    }

    #[test]
    fn buckets_and_keys_of_objects_keep_their_blanks() {
        let id = ArchiveId::parse("a").unwrap();
        for (bucket, object) in [("b", " k"), ("b", "k "), ("b", "\u{3000}k\t\n"), (" b\u{a0}", " ")] {
            round_trip(PushToCos::new(&id, bucket, object));
            round_trip(PullFromCos::new(bucket, object));
        }
        for missing in [r#""Bucket":"","Object":"o""#, r#""Bucket":"b","Object":"""#, r#""Bucket":"b","Object":null"#] {
            for job in [r#""Type":"push-to-cos","ArchiveId":"a""#, r#""Type":"pull-from-cos""#] {
                let error = JobParameters::from_json(format!("{{{job},{missing}}}").as_bytes()).unwrap_err();
                assert!(error.is_missing(), "{missing}: {error}");
            }
        }
    }

    #[test]
    fn the_description_of_a_pulled_archive_keeps_its_blanks() {
        let read = |description: &str| {
            let value = Value::from(description);
            let text = format!(r#"{{"Type":"pull-from-cos","Bucket":"b","Object":"o","ArchiveDescription":{value}}}"#);
            JobParameters::from_json(text.as_bytes())
        };
        for kept in [" lead", "trail ", "\u{3000}x", "a\tb", " ", &"é".repeat(512)] {
            let read = read(kept).unwrap();
            let JobParameters::PullFromCos(job) = &read else { panic!("another job: {read:?}") };
            assert_eq!(job.archive_description.as_ref().map(Description::as_str), Some(kept));
            assert_eq!(JobParameters::from_json(&read.to_json()).unwrap(), read);
        }
        for refused in ["a\nb", "\0", "\u{7f}", &"é".repeat(513)] {
            assert_eq!(read(refused).unwrap_err().field(), "ArchiveDescription", "{refused:?}");
        }
        assert_eq!(read("").unwrap(), PullFromCos::new("b", "o").into());
    }

    #[test]
    fn what_official_clients_send_is_read() {
        for text in [
            r#"{"Type":" push-to-cos","ArchiveId":"a","Bucket":"b","Object":"o"}"#,
            r#"{"Type":"inventory-retrieval"}"#,
            r#"{"Type":"inventory-retrieval","Tier":"Bulk"}"#,
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
            (r#"{"Type":"inventory-retrieval","Tier":"Nope"}"#, "Tier"),
            (r#"{"Type":"pull-from-cos","Bucket":"b","Object":"o","Tier":"Nope"}"#, "Tier"),
            (r#"{"Type":"pull-from-cos","Bucket":"b","Object":"o","Condition":{"if-match":"x"}}"#, "Condition"),
            (
                r#"{"Type":"pull-from-cos","Bucket":"b","Object":"o","Condition":{"If-Match":"x","If-Range":null}}"#,
                "Condition",
            ),
        ] {
            assert_eq!(JobParameters::from_json(text.as_bytes()).unwrap_err().field(), field, "{text}");
        }
    }

    #[test]
    fn an_address_travels_whole_though_it_is_not_shown_whole() {
        let address = "https://me:hunter2@example.com/done?token=hunter2#x";
        let text = round_trip(InventoryRetrieval::new().call_back_url(CallbackUrl::parse(address).unwrap()));
        assert!(text.contains(address), "{text}");
    }
}
