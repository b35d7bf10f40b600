//! The access policy of a vault: whether it lets another account do something (`docs/protocol.md` §7.1).
//!
//! The service's pages do not say what happens when statements contradict each other: here a deny wins, and what cannot be understood
//! allows nothing and denies everything it may be about.

use std::net::IpAddr;

use cas_http::{AppId, Timestamp};
use serde_json::Value;

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
    let has = |effect: Effect| statements.iter().any(|statement| has_effect(statement, effect, attempt));
    has(Effect::Allow) && !has(Effect::Deny)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// Whether a statement allows it, or denies it. What may be about the attempt, as far as it is understood, denies it and does not allow it.
fn has_effect(statement: &Value, effect: Effect, attempt: &Attempt<'_>) -> bool {
    effect_of(statement) == effect && applies(statement, attempt).unwrap_or(effect == Effect::Deny)
}

/// Only what is surely an allow is one.
fn effect_of(statement: &Value) -> Effect {
    match statement.get("effect").and_then(Value::as_str) {
        Some(effect) if effect.eq_ignore_ascii_case("allow") => Effect::Allow,
        _ => Effect::Deny,
    }
}

// From here on `None` is the answer of what is not understood.

/// Whether a statement is about the attempt.
fn applies(statement: &Value, attempt: &Attempt<'_>) -> Option<bool> {
    let statement = statement.as_object()?;
    let known =
        |element: &String| ["effect", "principal", "action", "resource", "condition"].contains(&element.as_str());
    all([
        statement.keys().all(known).then_some(true),
        names_principal(statement.get("principal"), attempt),
        names(statement.get("action"), |action| names_action(action, attempt)),
        names(statement.get("resource"), |resource| names_resource(resource, attempt)),
        conditions_hold(statement.get("condition"), attempt),
    ])
}

/// One part that is surely false decides, whatever the others mean.
fn all(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut understood = true;
    for part in parts {
        match part {
            Some(true) => {}
            Some(false) => return Some(false),
            None => understood = false,
        }
    }
    understood.then_some(true)
}

/// One part that is surely true decides, whatever the others mean.
fn any(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    not(all(parts.into_iter().map(not)))
}

fn not(part: Option<bool>) -> Option<bool> {
    part.map(|part| !part)
}

/// Whether a string, or one of a list of strings, passes. A list of nothing is not understood.
fn names(value: Option<&Value>, passes: impl Fn(&str) -> Option<bool>) -> Option<bool> {
    match value? {
        Value::String(text) => passes(text.trim()),
        Value::Array(list) if !list.is_empty() => any(list.iter().map(|text| passes(text.as_str()?.trim()))),
        _ => None,
    }
}

/// `{"qcs": ["qcs::cam::uin/<root>:uin/<sub>", …]}`; 0 stands for everybody.
fn names_principal(principal: Option<&Value>, attempt: &Attempt<'_>) -> Option<bool> {
    let names_us = |text: &str| match text.strip_prefix("qcs::cam::").unwrap_or(text) {
        "*" => Some(true),
        users => all(users.split(':').map(|user| match user.strip_prefix("uin/")? {
            "0" | "*" => Some(true),
            number if number == attempt.uin => Some(true),
            number => number.parse::<u64>().is_ok().then_some(false),
        })),
    };
    match principal? {
        Value::Object(kinds) if kinds.len() == 1 => names(kinds.get("qcs"), names_us),
        Value::Object(_) => None,
        other => names(Some(other), names_us),
    }
}

/// `name/cas:<Action>`, with or without `name/`; `*` stands for any text.
fn names_action(pattern: &str, attempt: &Attempt<'_>) -> Option<bool> {
    match pattern.strip_prefix("name/").unwrap_or(pattern) {
        "*" => Some(true),
        pattern => {
            let (service, action) = pattern.split_once(':')?;
            all([matches(service, "cas"), matches(action, attempt.action)])
        }
    }
}

/// `qcs::cas:<Region>:uid/<APPID>:vaults/<Vault>`, in older pages `vault/<Vault>`; `*` stands for any text. An empty region or owner is any.
fn names_resource(pattern: &str, attempt: &Attempt<'_>) -> Option<bool> {
    if pattern == "*" {
        return Some(true);
    }
    let elements: Vec<&str> = pattern.splitn(6, ':').collect();
    let ["qcs", _, service, region, owner, vault] = elements[..] else { return None };
    let vault = vault.strip_prefix("vaults/").or_else(|| vault.strip_prefix("vault/"));
    all([
        matches(service, "cas"),
        if region.is_empty() { Some(true) } else { matches(region, attempt.region) },
        match owner {
            "" | "*" => Some(true),
            owner => owner.strip_prefix("uid/").and_then(|owner| matches(owner, &attempt.owner.to_string())),
        },
        vault.and_then(|vault| matches(vault, attempt.vault)),
    ])
}

/// `{operator: {key: values}}`: all must hold.
fn conditions_hold(conditions: Option<&Value>, attempt: &Attempt<'_>) -> Option<bool> {
    match conditions {
        None | Some(Value::Null) => Some(true),
        Some(Value::Object(conditions)) => {
            all(conditions.iter().map(|(operator, operands)| condition_holds(operator, operands, attempt)))
        }
        Some(_) => None,
    }
}

fn condition_holds(operator: &str, operands: &Value, attempt: &Attempt<'_>) -> Option<bool> {
    let operands = operands.as_object().filter(|operands| !operands.is_empty())?;
    all(operands.iter().map(|(key, values)| match (operator, key.as_str()) {
        ("ip_equal", "qcs:ip") => names(Some(values), |network| in_network(attempt.address, network)),
        ("ip_not_equal", "qcs:ip") => not(names(Some(values), |network| in_network(attempt.address, network))),
        (_, "qcs:current_time") => date_holds(operator, values, attempt.now),
        _ => None,
    }))
}

/// Dates are written in whole seconds, so it is seconds that are compared: a second that is named lasts until the next.
fn date_holds(operator: &str, values: &Value, now: Timestamp) -> Option<bool> {
    let now = now.unix_seconds();
    let one = |compare: fn(&i64, &i64) -> bool| {
        names(Some(values), |time| Some(compare(&now, &time.parse::<Timestamp>().ok()?.unix_seconds())))
    };
    match operator {
        "date_not_equal" => not(one(i64::eq)),
        "date_greater_than" => one(i64::gt),
        "date_greater_than_equal" => one(i64::ge),
        "date_less_than" => one(i64::lt),
        "date_less_than_equal" => one(i64::le),
        _ => None,
    }
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

/// Whether a name matches a pattern in which `*` stands for any text. A pattern that no name could match is not understood.
fn matches(pattern: &str, name: &str) -> Option<bool> {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
    (!pattern.is_empty() && pattern.chars().all(of_a_name)).then(|| fits(pattern, name))
}

fn fits(pattern: &str, text: &str) -> bool {
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
    use serde_json::Map;

    use super::*;

    fn attempt() -> Attempt<'static> {
        Attempt {
            uin: "42",
            action: "DescribeVault",
            region: "ap-chengdu",
            owner: AppId::new(7),
            vault: "photos",
            address: [10, 1, 2, 3].into(),
            now: "2024-03-01T00:00:00.900Z".parse().unwrap(),
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
            (r#"{"date_not_equal":{"qcs:current_time":["2024-03-01T00:00:00Z","2024-03-01T00:00:01Z"]}}"#, false),
            (r#"{"date_not_equal":{"qcs:current_time":["2024-02-29T23:59:59Z","2024-03-01T00:00:01Z"]}}"#, true),
            (r#"{"ip_not_equal":{"qcs:ip":["10.0.0.0/8","11.0.0.0/8"]}}"#, false),
            (r#"{"date_less_than":{"qcs:current_time":"2024-03-01T00:00:01Z"}}"#, true),
            (r#"{"date_greater_than_equal":{"qcs:current_time":"2024-03-01T00:00:01Z"}}"#, false),
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
    fn what_is_not_understood_opens_nothing_and_closes_everything_it_may_be_about() {
        for change in [
            r#"{"action":null}"#,
            r#"{"action":[]}"#,
            r#"{"action":[5]}"#,
            r#"{"action":"DescribeVault"}"#,
            r#"{"action":"name/cas:"}"#,
            r#"{"action":["name/cos:*","name/cas:Describe Vault"]}"#,
            r#"{"resource":null}"#,
            r#"{"resource":{}}"#,
            r#"{"resource":["vaults/v"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/7:photos"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:7:vaults/photos"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/7:vaults/photos/*"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/7:vaults/photos:more"]}"#,
            r#"{"principal":null}"#,
            r#"{"principal":{}}"#,
            r#"{"principal":{"qcs":[]}}"#,
            r#"{"principal":{"qcs":[5]}}"#,
            r#"{"principal":{"qcs":["qcs::cam::anyone:anyone"]}}"#,
            r#"{"principal":{"qcs":["qcs::cam::uin/42:roleName/x"]}}"#,
            r#"{"principal":{"service":["cos.qcloud.com"]}}"#,
            r#"{"principal":{"qcs":["qcs::cam::uin/43:uin/43"],"service":["cos.qcloud.com"]}}"#,
            r#"{"conditions":{"ip_equal":{"qcs:ip":"11.0.0.0/8"}}}"#,
            r#"{"condition":{"ip_equal":{}}}"#,
            r#"{"condition":{"ip_not_equal":{"qcs:ip":[]}}}"#,
            r#"{"condition":{"ip_equal":{"qcs:ip":["11.0.0.0/8",5]}}}"#,
        ] {
            let mut changed: Map<String, Value> = serde_json::from_str(change).unwrap();
            assert!(!allowed(&[statement(change)]), "{change}");
            changed.insert("effect".to_owned(), "deny".into());
            let deny = |changes: &Map<String, Value>| statement(&serde_json::to_string(changes).unwrap());
            assert!(!allowed(&[statement("{}"), deny(&changed)]), "{change}");
            if !changed.contains_key("resource") {
                changed.insert("resource".to_owned(), "qcs::cas:ap-chengdu:uid/7:vaults/films".into());
                assert!(allowed(&[statement("{}"), deny(&changed)]), "of another vault: {change}");
            }
        }
    }

    #[test]
    fn an_effect_that_is_not_understood_is_a_deny() {
        for effect in ["null", "5", r#""perhaps""#, r#"" deny ""#, r#"" allow ""#] {
            let effect = format!(r#""effect":{effect}"#);
            assert!(!allowed(&[statement("{}"), statement(&format!("{{{effect}}}"))]), "{effect}");
            let elsewhere = statement(&format!(r#"{{{effect},"action":"name/cas:DeleteVault"}}"#));
            assert!(allowed(&[statement("{}"), elsewhere]), "{effect}");
        }
        assert!(!allowed(&[statement("{}"), "1".to_owned()]));
        assert!(!allowed(&[statement("{}"), "{}".to_owned()]));
    }

    #[test]
    fn a_deny_of_something_else_closes_nothing() {
        for change in [
            r#"{"principal":{"qcs":["qcs::cam::uin/43:uin/43"]}}"#,
            r#"{"principal":{"qcs":["qcs::cam::uin/42:uin/43"]}}"#,
            r#"{"action":["name/cas:DeleteVault","name/cas:List*"]}"#,
            r#"{"action":"name/cos:*"}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/7:vaults/films"]}"#,
            r#"{"resource":["qcs::cas:ap-chengdu:uid/8:vaults/*"]}"#,
            r#"{"resource":["qcs::cas:ap-beijing:uid/7:vault/photos"]}"#,
            r#"{"resource":["qcs::cos:ap-chengdu:uid/7:bucket-7/a:b"]}"#,
            r#"{"condition":{"ip_equal":{"qcs:ip":"11.0.0.0/8"}}}"#,
            r#"{"condition":{"string_equal":{"qcs:ip":"x"},"ip_equal":{"qcs:ip":"11.0.0.0/8"}}}"#,
        ] {
            let mut deny: Map<String, Value> = serde_json::from_str(change).unwrap();
            deny.insert("effect".to_owned(), "deny".into());
            assert!(allowed(&[statement("{}"), statement(&serde_json::to_string(&deny).unwrap())]), "{change}");
        }
    }

    #[test]
    fn what_is_understood_beside_what_is_not_still_counts() {
        for change in [
            r#"{"action":[5,"name/cas:DescribeVault"]}"#,
            r#"{"principal":{"qcs":["qcs::cam::anyone:anyone","qcs::cam::uin/42:uin/42"]}}"#,
            r#"{"condition":{"ip_equal":{"qcs:ip":["somewhere","10.0.0.0/8"]}}}"#,
        ] {
            assert!(allowed(&[statement(change)]), "{change}");
        }
    }

    #[test]
    fn a_document_that_is_none_allows_nothing() {
        for document in ["", "[]", "{}", r#"{"statement":{}}"#, r#"{"statement":[1]}"#] {
            assert!(!allows(document, &attempt()), "{document}");
        }
    }
}
