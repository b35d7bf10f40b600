//! What the emulator puts up with for the sake of clients that exist, by number; each can be turned off.
//!
//! Numbers 1 to 15 are the rules of `docs/protocol.md` §2.4; those that are about answers rather than requests are always kept. The
//! readers further in take all of it: a strict emulator looks at the request once more and refuses what would have needed a tolerance.

use bytes::Bytes;
use cas_http::wire::{OperationInfo, query_pairs};
use cas_http::{PartRange, Timestamp};
use cas_sign::{NameList, ParameterReading, Verified};
use http::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, DATE, HOST};
use http::request::Parts;
use http::{HeaderName, Request};
use serde_json::{Map, Value};

/// Something that the emulator puts up with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tolerance {
    /// The number by which it is turned off.
    pub number: u8,
    /// What is tolerated.
    pub what: &'static str,
    /// For whom.
    pub why: &'static str,
    /// Whether a request makes use of it; absent for a rule about answers, which is always kept.
    needs: Option<fn(&Seen<'_>) -> bool>,
}

impl Tolerance {
    /// Every tolerance, by number.
    #[must_use]
    pub fn all() -> &'static [Tolerance] {
        TOLERANCES
    }

    /// Whether it can be turned off: a rule about answers cannot.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.needs.is_some()
    }
}

/// A request as the tolerances look at it.
#[derive(Debug)]
pub(crate) struct Seen<'r> {
    pub(crate) head: &'r Parts,
    /// The operation it was found to be.
    pub(crate) info: &'static OperationInfo,
    /// The path by which that was found: the one in the head, or the one that stands for an old spelling of it.
    pub(crate) path: &'r str,
    pub(crate) verified: &'r Verified,
    /// The small body; empty for archive data.
    pub(crate) body: &'r [u8],
    /// What was understood, as the service's pages would have it written.
    pub(crate) written: &'r Request<Bytes>,
}

/// The first of the refused tolerances that a request needs.
pub(crate) fn first_refused(refused: &[u8], seen: &Seen<'_>) -> Option<&'static Tolerance> {
    TOLERANCES
        .iter()
        .find(|tolerance| refused.contains(&tolerance.number) && tolerance.needs.is_some_and(|needs| needs(seen)))
}

const PYTHON: &str = "the official Python client";
const NODE: &str = "the official Node client";
const GO: &str = "the community's Go client";

const fn optional(number: u8, what: &'static str, why: &'static str, needs: fn(&Seen<'_>) -> bool) -> Tolerance {
    Tolerance { number, what, why, needs: Some(needs) }
}

const fn always(number: u8, what: &'static str, why: &'static str) -> Tolerance {
    Tolerance { number, what, why, needs: None }
}

const TOLERANCES: &[Tolerance] = &[
    optional(1, "two Host headers", PYTHON, |seen| seen.head.headers.get_all(HOST).iter().count() > 1),
    optional(2, "a signed host that is not the Host header as sent: without its port, or one of two", PYTHON, |seen| {
        seen.verified.matched.host.is_some()
    }),
    optional(3, "an absolute URL as the request's target", NODE, |seen| seen.head.uri.scheme().is_some()),
    optional(4, "a signature over method and path alone", NODE, |seen| {
        let authorization = &seen.verified.authorization;
        let unsigned_parameters = authorization.parameter_list.as_str().is_empty() && !query(seen).is_empty();
        authorization.header_list.as_str().is_empty() || unsigned_parameters
    }),
    optional(5, "a Date in another form, or a Content-Type that means nothing", PYTHON, |seen| {
        let dates = |value: &str| httpdate::parse_http_date(value).is_ok();
        let types = |value: &str| matches!(value, "application/json" | "application/octet-stream");
        !all_values(seen, &DATE, dates) || !all_values(seen, &CONTENT_TYPE, types)
    }),
    optional(
        6,
        "a parameter without =, True for true, and / or ~ escaped otherwise than they should be",
        PYTHON,
        |seen| {
            let raw = query(seen);
            let mut pairs = raw.split('&').filter(|pair| !pair.is_empty());
            let capital = |(name, value): &(String, String)| name == "completed" && value.contains(char::is_uppercase);
            pairs.any(|pair| !pair.contains('='))
                || raw.contains('/')
                || raw.to_ascii_lowercase().contains("%7e")
                || query_pairs(raw).iter().any(capital)
        },
    ),
    always(7, "no Content-Type on an empty body", PYTHON),
    always(8, "x-cas-requestId on every answer", PYTHON),
    always(9, "206 with Content-Range for the output of a job that is asked for with Range", PYTHON),
    always(10, "every key in every job", PYTHON),
    always(11, "Marker in every listing", PYTHON),
    always(12, "a description that is a string, never null, in lists of uploads", PYTHON),
    always(13, "a policy that is a string", NODE),
    always(14, "a tree hash for every aligned slice of an output", PYTHON),
    optional(15, "hashes in upper case", PYTHON, |seen| {
        let lower = |value: &str| !value.bytes().any(|byte| byte.is_ascii_uppercase());
        let names = ["x-cas-content-sha256", "x-cas-sha256-tree-hash"].map(HeaderName::from_static);
        !names.iter().all(|name| all_values(seen, name, lower))
    }),
    optional(16, "parameters signed in reading B or C", GO, |seen| {
        seen.verified.matched.reading != ParameterReading::A
    }),
    optional(
        17,
        "a slash at the end of the path of multipart uploads",
        "an old edition of the service's page",
        |seen| is_respelled(seen, "/multipart-uploads/"),
    ),
    optional(18, "/Output for /output", "the oldest edition of the service's page", |seen| {
        is_respelled(seen, "/Output")
    }),
    optional(19, "a Content-Range in another form than bytes FIRST-LAST/*", GO, |seen| {
        let plain =
            |text: &str| PartRange::from_content_range(text).is_ok_and(|range| range.to_content_range() == text);
        !all_values(seen, &CONTENT_RANGE, plain)
    }),
    optional(20, "Policy for policy, and a policy that is an object", GO, |seen| {
        seen.info.name == "SetVaultAccessPolicy" && !body_value(seen, "policy").is_some_and(|policy| policy.is_string())
    }),
    optional(21, "Event for Events, and a text for the list", "the table on the service's page", |seen| {
        seen.info.name == "SetVaultNotificationConfiguration"
            && !body_value(seen, "Events").is_some_and(|events| events.is_array())
    }),
    optional(22, "a retrieval range without an end", PYTHON, |seen| {
        job_text(seen, "RetrievalByteRange").is_some_and(|range| range.ends_with('-'))
    }),
    optional(23, "a number for a text, such as an inventory limit", GO, |seen| {
        differs(seen, |sent, written| sent.is_number() && written.is_string())
    }),
    optional(24, "a description in Latin-1", NODE, |seen| {
        let description = seen.head.headers.get("x-cas-archive-description");
        description.is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_err())
    }),
    optional(25, "bytes= in the range of a COS object, and If-Unmodified-Since spelled right", "people", |seen| {
        let condition = body_value(seen, "Condition").filter(|_| seen.info.name == "InitiateJob");
        job_text(seen, "Range").is_some_and(|range| range.starts_with("bytes="))
            || condition.is_some_and(|condition| condition.get("If-Unmodified-Since").is_some())
    }),
    optional(
        26,
        "words and names of parameters in another case or with blanks around them",
        "samples on the service's page",
        |seen| {
            let is_other = |sent: &str, written: &str| sent != written && sent.trim().eq_ignore_ascii_case(written);
            let texts = |sent: &Value, written: &Value| {
                sent.as_str().zip(written.as_str()).is_some_and(|(sent, written)| is_other(sent, written))
            };
            differs(seen, texts) || has_other_parameter(seen, is_other)
        },
    ),
    optional(27, "a date of an inventory in another form than 2017-08-29T08:29:41Z", "people", |seen| {
        let parameters = body_value(seen, "InventoryRetrievalParameters").filter(|_| seen.info.name == "InitiateJob");
        let odd =
            |key| parameters.as_ref().and_then(|all| all.get(key)?.as_str()).is_some_and(|date| !is_plain_date(date));
        odd("StartDate") || odd("EndDate")
    }),
    optional(
        28,
        "a signature whose items are in another order or more than seven, or whose lists are unsorted or in capitals",
        "people",
        |seen| {
            let authorization = &seen.verified.authorization;
            let sent = seen.head.headers.get(AUTHORIZATION).map(|value| value.as_bytes().trim_ascii());
            sent.is_none_or(|sent| sent != authorization.to_string().as_bytes())
                || !is_sorted(&authorization.header_list)
                || !is_sorted(&authorization.parameter_list)
        },
    ),
];

/// Whether the path ends so and stands for another. What ends so of itself may be a vault of that name.
fn is_respelled(seen: &Seen<'_>, end: &str) -> bool {
    let path = seen.head.uri.path();
    path != seen.path && path.ends_with(end)
}

fn query<'r>(seen: &Seen<'r>) -> &'r str {
    seen.head.uri.query().unwrap_or_default()
}

/// Whether all values of a header pass. One that is no text does not.
fn all_values(seen: &Seen<'_>, name: &HeaderName, passes: impl Fn(&str) -> bool) -> bool {
    seen.head.headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(|value| passes(value.trim())))
}

fn body_object(seen: &Seen<'_>) -> Option<Map<String, Value>> {
    serde_json::from_slice(seen.body).ok()
}

/// A value of the body; one that is null is absent.
fn body_value(seen: &Seen<'_>, key: &str) -> Option<Value> {
    body_object(seen)?.remove(key).filter(|value| !value.is_null())
}

/// A text that a job is initiated with. Its reader minds no blanks around it.
fn job_text(seen: &Seen<'_>, key: &str) -> Option<String> {
    let value = body_value(seen, key).filter(|_| seen.info.name == "InitiateJob")?;
    value.as_str().map(|text| text.trim().to_owned())
}

/// Whether a value of the body differs in this way from how it would be written.
fn differs(seen: &Seen<'_>, how: impl Fn(&Value, &Value) -> bool) -> bool {
    let (Some(mut sent), Ok(written)) = (body_object(seen), serde_json::from_slice(seen.written.body())) else {
        return false;
    };
    // By either name it is read in the same way.
    if let Some(event) = sent.remove("Event") {
        sent.entry("Events").or_insert(event);
    }
    differs_within(&Value::Object(sent), &written, &how)
}

fn differs_within(sent: &Value, written: &Value, how: &impl Fn(&Value, &Value) -> bool) -> bool {
    match (sent, written) {
        (Value::Object(sent), Value::Object(written)) => {
            written.iter().any(|(key, written)| sent.get(key).is_some_and(|sent| differs_within(sent, written, how)))
        }
        (Value::Array(sent), Value::Array(written)) => {
            sent.iter().zip(written).any(|(sent, written)| differs_within(sent, written, how))
        }
        // One text stands for a list of one.
        (Value::String(_), Value::Array(written)) => written.iter().any(|written| how(sent, written)),
        _ => how(sent, written),
    }
}

/// Whether a parameter of the operation has a name in another case, or such a value. That of `completed` is a tolerance of its own.
fn has_other_parameter(seen: &Seen<'_>, is_other: impl Fn(&str, &str) -> bool) -> bool {
    let written = query_pairs(seen.written.uri().query().unwrap_or_default());
    let known = |name: &str| seen.info.fields.iter().any(|field| field.place == "query" && field.key == name);
    query(seen).split('&').any(|pair| {
        let raw_name = pair.split('=').next().unwrap_or_default();
        query_pairs(pair).iter().filter(|(name, _)| known(name)).any(|(name, value)| {
            let value_as_written = written.iter().find(|(other, _)| other == name).map(|(_, value)| value);
            raw_name != name || name != "completed" && value_as_written.is_some_and(|written| is_other(value, written))
        })
    })
}

/// Whether a date is in UTC and written with seconds, and perhaps a fraction. Blanks around it are a tolerance of their own.
fn is_plain_date(text: &str) -> bool {
    let text = text.trim();
    let Ok(time) = text.parse::<Timestamp>() else { return true };
    let seconds = text.strip_suffix('Z').map(|date| date.split_once('.').map_or(date, |(seconds, _)| seconds));
    seconds == time.to_whole_seconds().strip_suffix('Z')
}

/// Whether names are in lower case, sorted, and there once. The digits of an escape are in upper case, so escaped names keep theirs.
fn is_sorted(list: &NameList) -> bool {
    let lower = |name: &str| if name.contains('%') { name.to_owned() } else { name.to_ascii_lowercase() };
    let mut names: Vec<String> = list.iter().map(lower).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";") == list.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_numbered_without_gaps() {
        let numbers: Vec<u8> = TOLERANCES.iter().map(|tolerance| tolerance.number).collect();
        assert_eq!(numbers, (1..=28).collect::<Vec<u8>>());
    }

    #[test]
    fn rules_about_answers_cannot_be_turned_off() {
        let kept: Vec<u8> = TOLERANCES.iter().filter(|tolerance| !tolerance.is_optional()).map(|t| t.number).collect();
        assert_eq!(kept, (7..=14).collect::<Vec<u8>>());
    }

    #[test]
    fn a_date_is_plain_in_utc_with_seconds() {
        for (text, plain) in [
            ("2017-08-29T08:29:41Z", true),
            ("2017-08-29T08:29:41.5Z", true),
            (" 2017-08-29T08:29:41Z", true),
            ("", true),
            ("2017-08-29T16:29:41+08:00", false),
            ("2017-08-29T08:29:41+00:00", false),
            ("2017-08-29 08:29:41Z", false),
            ("20170829T082941Z", false),
        ] {
            assert_eq!(is_plain_date(text), plain, "{text:?}");
        }
    }
}
