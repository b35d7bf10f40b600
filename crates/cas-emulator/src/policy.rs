//! The access policy of a vault: whether it lets another account do something (`docs/protocol.md` §7.1).
//!
//! The service's pages do not say what happens when statements contradict each other: here a deny wins, and what cannot be understood
//! allows nothing and denies everything it is about.

use std::net::IpAddr;

use cas_http::{AppId, Timestamp};
use serde_json::{Map, Value};

/// Somebody who wants to do something.
#[derive(Clone, Debug)]
pub(crate) struct Attempt<'a> {
    /// The number by which policies name the caller's account.
    pub(crate) uin: &'a str,
    /// The service's name for what is tried: `DescribeVault`.
    pub(crate) action: &'a str,
    pub(crate) region: &'a str,
    /// Whose vault it is, and its name.
    pub(crate) owner: AppId,
    pub(crate) vault: &'a str,
    /// Where the request came from.
    pub(crate) address: IpAddr,
    pub(crate) now: Timestamp,
}

/// Whether the policy lets it happen: some statement allows it and none denies it.
pub(crate) fn allows(policy: &str, attempt: &Attempt<'_>) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(policy) else { return false };
    let statements = document.get("statement").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let applies = |effect: Effect| statements.iter().any(|statement| applies(statement, effect, attempt));
    applies(Effect::Allow) && !applies(Effect::Deny)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

fn applies(statement: &Value, effect: Effect, attempt: &Attempt<'_>) -> bool {
    let Some(statement) = statement.as_object() else { return false };
    let says = statement.get("effect").and_then(Value::as_str).unwrap_or_default();
    let wanted = if effect == Effect::Allow { "allow" } else { "deny" };
    says.eq_ignore_ascii_case(wanted)
        && names_principal(statement.get("principal"), attempt)
        && names(statement.get("action"), |action| names_action(action, attempt))
        && names(statement.get("resource"), |resource| names_resource(resource, attempt))
        && conditions_hold(statement.get("condition"), effect, attempt)
}

/// Whether a string, or one of a list of strings, passes.
fn names(value: Option<&Value>, mut passes: impl FnMut(&str) -> bool) -> bool {
    match value {
        Some(Value::String(text)) => passes(text.trim()),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(|text| passes(text.trim())),
        _ => false,
    }
}

/// `{"qcs": ["qcs::cam::uin/<root>:uin/<sub>", …]}`; 0 stands for everybody.
fn names_principal(principal: Option<&Value>, attempt: &Attempt<'_>) -> bool {
    let names_us = |text: &str| {
        let text = text.strip_prefix("qcs::cam::").unwrap_or(text);
        let numbers = |text: &str| {
            matches!(text.strip_prefix("uin/"), Some("0" | "*")) || text.strip_prefix("uin/") == Some(attempt.uin)
        };
        text == "*" || text.split(':').all(numbers)
    };
    match principal {
        Some(Value::Object(object)) => names(object.get("qcs"), names_us),
        other => names(other, names_us),
    }
}

/// `name/cas:<Action>`, with or without `name/`; `*` stands for any text.
fn names_action(pattern: &str, attempt: &Attempt<'_>) -> bool {
    let pattern = pattern.strip_prefix("name/").unwrap_or(pattern);
    pattern == "*" || pattern.strip_prefix("cas:").is_some_and(|pattern| matches(pattern, attempt.action))
}

/// `qcs::cas:<Region>:uid/<APPID>:vaults/<Vault>`, in older pages `vault/<Vault>`; `*` stands for any text.
fn names_resource(pattern: &str, attempt: &Attempt<'_>) -> bool {
    if pattern == "*" {
        return true;
    }
    let mut elements = pattern.split(':');
    let ["qcs", _, "cas", region, owner, vault] = std::array::from_fn(|_| elements.next().unwrap_or_default()) else {
        return false;
    };
    let vault = vault.strip_prefix("vaults/").or_else(|| vault.strip_prefix("vault/"));
    elements.next().is_none()
        && (region.is_empty() || matches(region, attempt.region))
        && (owner.is_empty() || matches(owner, &format!("uid/{}", attempt.owner)))
        && vault.is_some_and(|vault| matches(vault, attempt.vault))
}

/// `{operator: {key: values}}`: all must hold.
fn conditions_hold(conditions: Option<&Value>, effect: Effect, attempt: &Attempt<'_>) -> bool {
    let conditions = match conditions {
        None | Some(Value::Null) => return true,
        Some(Value::Object(conditions)) => conditions,
        Some(_) => return effect == Effect::Deny,
    };
    conditions.iter().all(|(operator, operands)| {
        let holds = operands.as_object().and_then(|operands| condition_holds(operator, operands, attempt));
        // What is not understood must not open anything.
        holds.unwrap_or(effect == Effect::Deny)
    })
}

/// `None` when the operator, a key or a value is not understood.
fn condition_holds(operator: &str, operands: &Map<String, Value>, attempt: &Attempt<'_>) -> Option<bool> {
    let mut holds = true;
    for (key, values) in operands {
        let values: Vec<&str> = match values {
            Value::String(text) => vec![text],
            Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
            _ => return None,
        };
        holds &= match (operator, key.as_str()) {
            ("ip_equal", "qcs:ip") => any(&values, |text| in_network(attempt.address, text))?,
            ("ip_not_equal", "qcs:ip") => !any(&values, |text| in_network(attempt.address, text))?,
            (_, "qcs:current_time") => {
                let compare = date_operator(operator)?;
                any(&values, |text| Some(compare(&attempt.now, &text.parse::<Timestamp>().ok()?)))?
            }
            _ => return None,
        };
    }
    Some(holds)
}

fn any(values: &[&str], test: impl Fn(&str) -> Option<bool>) -> Option<bool> {
    let results: Vec<bool> = values.iter().map(|value| test(value)).collect::<Option<_>>()?;
    Some(results.contains(&true))
}

fn date_operator(operator: &str) -> Option<fn(&Timestamp, &Timestamp) -> bool> {
    Some(match operator {
        "date_not_equal" => |now, then| now != then,
        "date_greater_than" => |now, then| now > then,
        "date_greater_than_equal" => |now, then| now >= then,
        "date_less_than" => |now, then| now < then,
        "date_less_than_equal" => |now, then| now <= then,
        _ => return None,
    })
}

/// Whether an address is in a network such as `10.0.0.0/8`, or is the one address.
fn in_network(address: IpAddr, network: &str) -> Option<bool> {
    let (base, bits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
    let base: IpAddr = base.trim().parse().ok()?;
    let (address, base, width) = match (address.to_canonical(), base.to_canonical()) {
        (IpAddr::V4(address), IpAddr::V4(base)) => (u128::from(address.to_bits()), u128::from(base.to_bits()), 32),
        (IpAddr::V6(address), IpAddr::V6(base)) => (address.to_bits(), base.to_bits(), 128),
        _ => return Some(false),
    };
    let bits: u32 = bits.map_or(Some(width), |bits| bits.trim().parse().ok())?;
    let ignored = width.checked_sub(bits)?;
    Some(address.checked_shr(ignored).unwrap_or(0) == base.checked_shr(ignored).unwrap_or(0))
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    while let Some((middle, after)) = rest.split_once('*') {
        let Some(found) = text.find(middle) else { return false };
        text = &text[found + middle.len()..];
        rest = after;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt<'static> {
        Attempt {
            uin: "42",
            action: "DescribeVault",
            region: "ap-chengdu",
            owner: AppId::new(7),
            vault: "photos",
            address: [10, 1, 2, 3].into(),
            now: "2024-03-01T00:00:00Z".parse().unwrap(),
        }
    }

    /// A statement about everything, with some elements replaced.
    fn statement(changes: &str) -> String {
        let mut statement = serde_json::json!({
            "effect": "allow",
            "principal": {"qcs": ["qcs::cam::uin/42:uin/42"]},
            "action": ["name/cas:DescribeVault"],
            "resource": ["qcs::cas:ap-chengdu:uid/7:vaults/photos"],
        });
        let changes: Map<String, Value> = serde_json::from_str(changes).unwrap();
        statement.as_object_mut().unwrap().extend(changes);
        statement.to_string()
    }

    fn allowed(statements: &[String]) -> bool {
        allows(&format!(r#"{{"version":"2.0","statement":[{}]}}"#, statements.join(",")), &attempt())
    }

    #[test]
    fn what_no_statement_allows_is_not_allowed() {
        assert!(!allowed(&[]));
        assert!(allowed(&[statement("{}")]));
        for change in [
            r#"{"effect":"deny"}"#,
            r#"{"effect":"perhaps"}"#,
            r#"{"principal":{"qcs":["qcs::cam::uin/43:uin/43"]}}"#,
            r#"{"principal":null}"#,
            r#"{"action":["name/cas:DeleteVault"]}"#,
            r#"{"action":["name/cos:*"]}"#,
            r#"{"action":[]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/7:vaults/films"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/8:vaults/photos"]}"#,
            r#"{"resource":["qcs::cas:ap-beijing:uid/7:vaults/photos"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/7:vaults/photos:more"]}"#,
        ] {
            assert!(!allowed(&[statement(change)]), "{change}");
        }
    }

    #[test]
    fn everybody_and_everything_can_be_named() {
        for change in [
            r#"{"principal":{"qcs":["qcs::cam::uin/0:uin/0"]}}"#,
            r#"{"principal":{"qcs":"uin/0:uin/0"}}"#,
            r#"{"principal":"*"}"#,
            r#"{"action":"name/cas:*"}"#,
            r#"{"action":["cas:Describe*"]}"#,
            r#"{"action":"*"}"#,
            r#"{"resource":["qcs::cas::uid/7:vault/*"]}"#,
            r#"{"resource":["qcs::cas:ap-*:uid/7:vaults/ph*s"]}"#,
            r#"{"resource":"*"}"#,
        ] {
            assert!(allowed(&[statement(change)]), "{change}");
        }
    }

    #[test]
    fn a_deny_wins_wherever_it_stands() {
        let deny = statement(r#"{"effect":"deny"}"#);
        assert!(!allowed(&[statement("{}"), deny.clone()]));
        assert!(!allowed(&[deny, statement("{}")]));
        assert!(allowed(&[statement("{}"), statement(r#"{"effect":"deny","action":"name/cas:DeleteVault"}"#)]));
    }

    #[test]
    fn conditions_look_at_the_address_and_the_time() {
        for (condition, holds) in [
            (r#"{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#, true),
            (r#"{"ip_equal":{"qcs:ip":["192.168.0.0/16","10.1.2.3"]}}"#, true),
            (r#"{"ip_equal":{"qcs:ip":"10.1.2.4/32"}}"#, false),
            (r#"{"ip_equal":{"qcs:ip":"0.0.0.0/0"}}"#, true),
            (r#"{"ip_equal":{"qcs:ip":"::/0"}}"#, false),
            (r#"{"ip_not_equal":{"qcs:ip":"10.0.0.0/8"}}"#, false),
            (r#"{"ip_not_equal":{"qcs:ip":"11.0.0.0/8"}}"#, true),
            (r#"{"date_greater_than":{"qcs:current_time":"2024-02-29T23:59:59Z"}}"#, true),
            (r#"{"date_greater_than":{"qcs:current_time":"2024-03-01T00:00:00Z"}}"#, false),
            (r#"{"date_greater_than_equal":{"qcs:current_time":"2024-03-01T00:00:00Z"}}"#, true),
            (r#"{"date_less_than":{"qcs:current_time":"2024-03-01T00:00:00Z"}}"#, false),
            (r#"{"date_less_than_equal":{"qcs:current_time":"2024-03-01T00:00:00Z"}}"#, true),
            (r#"{"date_not_equal":{"qcs:current_time":"2024-03-01T00:00:00Z"}}"#, false),
            (
                r#"{"ip_equal":{"qcs:ip":"10.0.0.0/8"},"date_less_than":{"qcs:current_time":"2020-01-01T00:00:00Z"}}"#,
                false,
            ),
        ] {
            assert_eq!(allowed(&[statement(&format!(r#"{{"condition":{condition}}}"#))]), holds, "{condition}");
        }
    }

    #[test]
    fn a_condition_that_is_not_understood_opens_nothing_and_closes_everything() {
        for condition in [
            r#"{"string_equal":{"qcs:ip":"x"}}"#,
            r#"{"ip_equal":{"qcs:ip":"10.0.0.0/33"}}"#,
            r#"{"ip_equal":{"qcs:ip":"somewhere"}}"#,
            r#"{"ip_equal":"10.0.0.0/8"}"#,
            r#"{"date_equal":{"qcs:current_time":"2024-03-01T00:00:00Z"}}"#,
            r#""always""#,
        ] {
            assert!(!allowed(&[statement(&format!(r#"{{"condition":{condition}}}"#))]), "{condition}");
            let deny = statement(&format!(r#"{{"effect":"deny","condition":{condition}}}"#));
            assert!(!allowed(&[statement("{}"), deny]), "{condition}");
        }
    }

    #[test]
    fn a_document_that_is_none_allows_nothing() {
        for document in ["", "[]", "{}", r#"{"statement":{}}"#, r#"{"statement":[1]}"#] {
            assert!(!allows(document, &attempt()), "{document}");
        }
    }
}
