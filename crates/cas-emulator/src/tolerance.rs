//! What the emulator puts up with for the sake of clients that exist, by number; each can be turned off.
//!
//! Numbers 1 to 15 are the rules of `docs/protocol.md` §2.4; those that are about answers rather than requests are always kept. The
//! readers further in take all of it: a strict emulator looks at the request once more and refuses what would have needed a tolerance.

use cas_http::wire::{OperationInfo, query_pairs};
use cas_sign::{ParameterReading, Verified};
use http::HeaderName;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, DATE, HOST};
use http::request::Parts;
use serde_json::Value;

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
    optional(19, "a Content-Range with another end than /*", GO, |seen| {
        !all_values(seen, &CONTENT_RANGE, |value| value.ends_with("/*"))
    }),
    optional(20, "Policy for policy, and a policy that is an object", GO, |seen| {
        seen.info.name == "SetVaultAccessPolicy" && !body_value(seen, "policy").is_some_and(|policy| policy.is_string())
    }),
    optional(21, "Event for Events", "the table on the service's page", |seen| {
        seen.info.name == "SetVaultNotificationConfiguration" && body_value(seen, "Events").is_none()
    }),
    optional(22, "a retrieval range without an end", PYTHON, |seen| {
        job_text(seen, "RetrievalByteRange").is_some_and(|range| range.ends_with('-'))
    }),
    optional(23, "an inventory limit that is a number", GO, |seen| {
        let parameters = body_value(seen, "InventoryRetrievalParameters");
        parameters.is_some_and(|parameters| parameters.get("Limit").is_some_and(Value::is_number))
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

/// A value of the body; one that is null is absent.
fn body_value(seen: &Seen<'_>, key: &str) -> Option<Value> {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(seen.body) else { return None };
    object.remove(key).filter(|value| !value.is_null())
}

/// A text that a job is initiated with. Its reader minds no blanks around it.
fn job_text(seen: &Seen<'_>, key: &str) -> Option<String> {
    let value = body_value(seen, key).filter(|_| seen.info.name == "InitiateJob")?;
    value.as_str().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_numbered_without_gaps() {
        let numbers: Vec<u8> = TOLERANCES.iter().map(|tolerance| tolerance.number).collect();
        assert_eq!(numbers, (1..=25).collect::<Vec<u8>>());
    }

    #[test]
    fn rules_about_answers_cannot_be_turned_off() {
        let kept: Vec<u8> = TOLERANCES.iter().filter(|tolerance| !tolerance.is_optional()).map(|t| t.number).collect();
        assert_eq!(kept, (7..=14).collect::<Vec<u8>>());
    }
}
