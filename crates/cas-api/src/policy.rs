//! Access policies with types: built statement by statement, printed as the service's version 2.0 document, and read back from what it stores.
//!
//! `cas-http` sends and receives a policy as text ([`AccessPolicy`]); this is what the text says. The elements are on the service's page of
//! access policies (`docs/protocol.md` §7.1).

use std::collections::BTreeMap;
use std::fmt;

use cas_http::document::AccessPolicy;
use cas_http::json::{JsonObject, JsonWriter};
use cas_http::{AppId, InvalidValue, Timestamp, VaultName, WireError};
use serde_json::{Map, Value};

/// Who may do what with which vaults.
///
/// ```
/// use cas_api::policy::{Action, Condition, Policy, Principal, Resource, Statement};
/// use cas_http::AppId;
///
/// let vault = Resource::vault("ap-chengdu", AppId::new(1_250_000_000), &"photos".parse()?);
/// let readers = Statement::allow(Principal::user(100_000, 100_001), Action::named("GetJobOutput"), vault)
///     .action(Action::named("DescribeJob"))
///     .condition(Condition::ip_equal(["10.0.0.0/8"]));
/// let document = Policy::new([readers]).to_document()?;
///
/// assert_eq!(Policy::from_document(&document)?.statements[0].actions.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// The statements. General practice of the service's access management: one that denies wins over any that allow.
    pub statements: Vec<Statement>,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it is about.
    pub principals: Vec<Principal>,
    /// What they do.
    pub actions: Vec<Action>,
    /// With which vaults.
    pub resources: Vec<Resource>,
    /// When; all conditions must hold. No two have both operator and key in common: a document has one list of values for them.
    pub conditions: Vec<Condition>,
}

cas_http::open_enum! {
    /// Whether a statement allows or denies.
    Effect {
        /// It allows.
        Allow = "allow",
        /// It denies.
        Deny = "deny",
    }
}

/// Declares a text of a policy that is kept as it is written.
macro_rules! policy_text {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text as it stands in the document.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A text that is written otherwise than the constructors do it.
            #[must_use]
            pub fn other(text: impl Into<Box<str>>) -> Self {
                $name(text.into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &self.0)
            }
        }
    };
}

policy_text! {
    /// A user: `qcs::cam::uin/<root>:uin/<user>`.
    Principal
}

policy_text! {
    /// Something one does: `name/cas:DescribeJob`.
    Action
}

policy_text! {
    /// A vault: `qcs::cas:<region>:uid/<APPID>:vaults/<name>`.
    Resource
}

impl Principal {
    /// A user of an account; the account's own root user has the same number twice.
    #[must_use]
    pub fn user(root: u64, user: u64) -> Self {
        Principal(format!("qcs::cam::uin/{root}:uin/{user}").into())
    }

    /// Everybody, as an official client writes it.
    #[must_use]
    pub fn everybody() -> Self {
        Principal("qcs::cam::uin/0:uin/0".into())
    }
}

impl Action {
    /// The action of an operation, by the service's name for it. Most are named as the operation is; `UploadPart` is `UploadMultipartPart`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Action(format!("name/cas:{name}").into())
    }

    /// Every action. The service's page shows no such form; it is the one its access management uses elsewhere.
    #[must_use]
    pub fn all() -> Self {
        Action::named("*")
    }
}

impl Resource {
    /// A vault.
    #[must_use]
    pub fn vault(region: &str, owner: AppId, name: &VaultName) -> Self {
        Resource(format!("qcs::cas:{region}:uid/{owner}:vaults/{name}").into())
    }
}

/// One condition of a statement: an operator, what it looks at, and the values it compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// `ip_equal`, `date_less_than`, …, as the service spells it.
    pub operator: String,
    /// `qcs:ip` or `qcs:current_time`.
    pub key: String,
    /// The values; one that fits is enough.
    pub values: Vec<String>,
}

impl Condition {
    /// The request comes from one of these networks, in CIDR notation.
    #[must_use]
    pub fn ip_equal(networks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Condition::on_network("ip_equal", networks)
    }

    /// The request comes from none of these networks, in CIDR notation.
    #[must_use]
    pub fn ip_not_equal(networks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Condition::on_network("ip_not_equal", networks)
    }

    /// The request is made later than this.
    #[must_use]
    pub fn date_greater_than(time: Timestamp) -> Self {
        Condition::on_time("date_greater_than", time)
    }

    /// The request is made at this time or later.
    #[must_use]
    pub fn date_greater_than_equal(time: Timestamp) -> Self {
        Condition::on_time("date_greater_than_equal", time)
    }

    /// The request is made before this.
    #[must_use]
    pub fn date_less_than(time: Timestamp) -> Self {
        Condition::on_time("date_less_than", time)
    }

    /// The request is made at this time or earlier.
    #[must_use]
    pub fn date_less_than_equal(time: Timestamp) -> Self {
        Condition::on_time("date_less_than_equal", time)
    }

    /// The request is made at any other time.
    #[must_use]
    pub fn date_not_equal(time: Timestamp) -> Self {
        Condition::on_time("date_not_equal", time)
    }

    /// Any operator on any key.
    #[must_use]
    pub fn new(
        operator: impl Into<String>,
        key: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Condition { operator: operator.into(), key: key.into(), values: values.into_iter().map(Into::into).collect() }
    }

    fn on_network(operator: &str, networks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Condition::new(operator, "qcs:ip", networks)
    }

    /// Times travel in whole seconds.
    fn on_time(operator: &str, time: Timestamp) -> Self {
        Condition::new(operator, "qcs:current_time", [time.to_whole_seconds()])
    }
}

impl Statement {
    /// Allows a user to do something with a vault.
    #[must_use]
    pub fn allow(principal: Principal, action: Action, resource: Resource) -> Self {
        Statement::new(Effect::Allow, principal, action, resource)
    }

    /// Denies a user to do something with a vault.
    #[must_use]
    pub fn deny(principal: Principal, action: Action, resource: Resource) -> Self {
        Statement::new(Effect::Deny, principal, action, resource)
    }

    fn new(effect: Effect, principal: Principal, action: Action, resource: Resource) -> Self {
        Statement {
            effect,
            principals: vec![principal],
            actions: vec![action],
            resources: vec![resource],
            conditions: Vec::new(),
        }
    }

    /// Also for this user.
    #[must_use]
    pub fn principal(mut self, principal: Principal) -> Self {
        self.principals.push(principal);
        self
    }

    /// Also for this action.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Also for this vault.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Only when this holds, too.
    ///
    /// A second condition with the operator and the key of another one cannot be printed, because the values of both would become
    /// alternatives: [`Policy::to_document`] refuses it.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    fn writer(&self) -> Result<JsonWriter, InvalidValue> {
        let principals: Vec<Value> = self.principals.iter().map(|principal| principal.as_str().into()).collect();
        let actions: Vec<Value> = self.actions.iter().map(|action| action.as_str().into()).collect();
        let resources: Vec<Value> = self.resources.iter().map(|resource| resource.as_str().into()).collect();
        let json = JsonWriter::new()
            .set("effect", self.effect.as_str())
            .set("principal", JsonWriter::new().set("qcs", principals))
            .set("action", actions)
            .set("resource", resources);
        if self.conditions.is_empty() {
            return Ok(json);
        }
        Ok(json.set("condition", conditions_to_value(&self.conditions)?))
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        expect_only(object, "a statement", &["effect", "principal", "action", "resource", "condition"])?;
        let principal = object.object("principal")?.unwrap_or_default();
        expect_only(&principal, "a principal", &["qcs"])?;
        let conditions = object.object("condition")?.unwrap_or_default();
        Ok(Statement {
            effect: object.require("effect")?,
            principals: texts(&principal, "qcs")?.into_iter().map(Principal::other).collect(),
            actions: texts(object, "action")?.into_iter().map(Action::other).collect(),
            resources: texts(object, "resource")?.into_iter().map(Resource::other).collect(),
            conditions: conditions_from_object(&conditions)?,
        })
    }
}

impl Policy {
    /// A policy of these statements.
    #[must_use]
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Self {
        Policy { statements: statements.into_iter().collect() }
    }

    /// The document, ready for `SetVaultAccessPolicy`.
    ///
    /// # Errors
    ///
    /// When two conditions of a statement have the same operator and key. Give the values to one condition if one that fits is enough.
    pub fn to_document(&self) -> Result<AccessPolicy, InvalidValue> {
        let statements = self.statements.iter().map(Statement::writer).collect::<Result<Vec<_>, _>>()?;
        let statements: Vec<Value> = statements.into_iter().map(Value::from).collect();
        let text = Value::from(JsonWriter::new().set("version", "2.0").set("statement", statements)).to_string();
        AccessPolicy::parse(text)
    }

    /// Reads a document. One text may stand where a list is meant; operators, actions and other words nobody knows are kept.
    ///
    /// # Errors
    ///
    /// When an element is of another kind than the document allows, or is one that nobody knows, such as the `principal` beside the
    /// statements in documents of the oldest form; the error names its key. What is not known may restrict: read without it and set again,
    /// the policy would say something else.
    pub fn from_document(document: &AccessPolicy) -> Result<Self, WireError> {
        let object = JsonObject::from_slice(document.as_str().as_bytes())?;
        expect_only(&object, "a policy", &["version", "statement"])?;
        let statements = object.objects("statement")?;
        Ok(Policy { statements: statements.iter().map(Statement::from_object).collect::<Result<_, _>>()? })
    }
}

impl TryFrom<&AccessPolicy> for Policy {
    type Error = InvalidValue;

    fn try_from(document: &AccessPolicy) -> Result<Self, InvalidValue> {
        Policy::from_document(document)
            .map_err(|error| InvalidValue::new("access policy", error.to_string(), document.as_str()))
    }
}

/// `{operator: {key: [values]}}`, conditions of one operator gathered.
fn conditions_to_value(conditions: &[Condition]) -> Result<Value, InvalidValue> {
    let mut operators: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for Condition { operator, key, values } in conditions {
        let values: Vec<Value> = values.iter().map(|value| value.as_str().into()).collect();
        if operators.entry(operator).or_default().insert(key.clone(), values.into()).is_some() {
            let why =
                "two conditions with this operator and key would not both have to hold: their values are alternatives";
            return Err(InvalidValue::new("condition", why, format!("{operator} {key}")));
        }
    }
    Ok(operators.into_iter().collect())
}

/// Looks whether an object has no other keys than these.
fn expect_only(object: &JsonObject, what: &str, known: &[&str]) -> Result<(), WireError> {
    const SHOWN: usize = 80;
    match object.iter().find(|(key, _)| !known.contains(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let key: String = key.chars().take(SHOWN).flat_map(char::escape_debug).collect();
            Err(WireError::invalid(key, format!("not known in {what}, expected {}", known.join(", "))))
        }
    }
}

fn conditions_from_object(operators: &JsonObject) -> Result<Vec<Condition>, WireError> {
    let mut conditions = Vec::new();
    for (operator, keys) in operators.iter() {
        let Value::Object(keys) = keys else {
            return Err(WireError::invalid("condition", format!("{operator}: expected an object")));
        };
        for (key, values) in keys {
            let values = texts_of(values)
                .ok_or_else(|| WireError::invalid("condition", format!("{operator}: expected texts")))?;
            conditions.push(Condition { operator: operator.to_owned(), key: key.clone(), values });
        }
    }
    Ok(conditions)
}

/// A list of texts, or one text.
fn texts(object: &JsonObject, key: &'static str) -> Result<Vec<String>, WireError> {
    match object.get(key) {
        None => Ok(Vec::new()),
        Some(value) => texts_of(value).ok_or_else(|| WireError::invalid(key, "expected a text or a list of texts")),
    }
}

fn texts_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(entries) => entries.iter().map(|entry| entry.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Policy {
        let vault = Resource::vault("ap-chengdu", AppId::new(1_250_000_000), &VaultName::parse("photos").unwrap());
        let noon: Timestamp = "2016-01-01T12:00:11Z".parse().unwrap();
        Policy::new([
            Statement::allow(Principal::user(100_000, 100_001), Action::named("DescribeJob"), vault.clone())
                .condition(Condition::ip_equal(["10.0.0.0/8", "192.0.2.1"]))
                .condition(Condition::date_greater_than(noon)),
            Statement::deny(Principal::everybody(), Action::all(), vault),
        ])
    }

    /// Typed from the elements of `docs/protocol.md` §7.1.
    const DOCUMENT: &str = r#"{"version":"2.0","statement":[
        {"effect":"allow","principal":{"qcs":["qcs::cam::uin/100000:uin/100001"]},"action":["name/cas:DescribeJob"],
         "resource":["qcs::cas:ap-chengdu:uid/1250000000:vaults/photos"],
         "condition":{"ip_equal":{"qcs:ip":["10.0.0.0/8","192.0.2.1"]},"date_greater_than":{"qcs:current_time":["2016-01-01T12:00:11Z"]}}},
        {"effect":"deny","principal":{"qcs":["qcs::cam::uin/0:uin/0"]},"action":["name/cas:*"],
         "resource":["qcs::cas:ap-chengdu:uid/1250000000:vaults/photos"]}]}"#;

    fn value_of(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_policy_prints_as_the_documented_form() {
        assert_eq!(value_of(sample().to_document().unwrap().as_str()), value_of(DOCUMENT));
    }

    #[test]
    fn a_policy_is_read_back() {
        let read = Policy::from_document(&sample().to_document().unwrap()).unwrap();
        assert_eq!(read.to_document(), sample().to_document());
        assert_eq!(read.statements[1], sample().statements[1]);
        assert_eq!(read.statements[0].conditions.len(), 2);
    }

    /// The conditions of `docs/protocol.md` §7.1, each beside the text it prints.
    #[test]
    fn every_documented_condition_prints_its_operator_key_and_value_and_is_read_back() {
        let time: Timestamp = "2016-01-01T12:00:11Z".parse().unwrap();
        let (network, date) = ("10.121.2.0/24", "2016-01-01T12:00:11Z");
        for (condition, operator, key, value) in [
            (Condition::ip_equal([network]), "ip_equal", "qcs:ip", network),
            (Condition::ip_not_equal([network]), "ip_not_equal", "qcs:ip", network),
            (Condition::date_not_equal(time), "date_not_equal", "qcs:current_time", date),
            (Condition::date_greater_than(time), "date_greater_than", "qcs:current_time", date),
            (Condition::date_greater_than_equal(time), "date_greater_than_equal", "qcs:current_time", date),
            (Condition::date_less_than(time), "date_less_than", "qcs:current_time", date),
            (Condition::date_less_than_equal(time), "date_less_than_equal", "qcs:current_time", date),
        ] {
            let mut policy = sample();
            policy.statements.truncate(1);
            policy.statements[0].conditions = vec![condition];
            let document = policy.to_document().unwrap();
            let printed = &value_of(document.as_str())["statement"][0]["condition"];
            assert_eq!(*printed, serde_json::json!({ operator: { key: [value] } }));
            assert_eq!(Policy::from_document(&document).unwrap(), policy, "{operator}");
        }
    }

    #[test]
    fn conditions_that_would_become_alternatives_are_refused() {
        let mut policy = sample();
        let statement = policy.statements[0].clone();
        policy.statements[0] = statement.clone().condition(Condition::ip_not_equal(["10.1.0.0/16"]));
        assert!(policy.to_document().is_ok(), "another operator on the same key");
        policy.statements[0] = statement.condition(Condition::ip_equal(["10.1.0.0/16"]));
        let error = policy.to_document().unwrap_err().to_string();
        assert!(error.starts_with("\"ip_equal qcs:ip\" is not a valid condition: two conditions"), "{error}");
    }

    #[test]
    fn one_text_may_stand_for_a_list_and_unknown_words_are_kept() {
        let text = r#"{"version":"2.0","statement":[{"effect":"maybe","action":"name/cas:New","resource":"x",
            "principal":{"qcs":"y"},"condition":{"moon_equal":{"qcs:moon":"full"}}}]}"#;
        let policy = Policy::from_document(&AccessPolicy::parse(text).unwrap()).unwrap();
        let statement = &policy.statements[0];
        assert_eq!(statement.effect.as_str(), "maybe");
        assert_eq!(statement.actions, [Action::named("New")]);
        assert_eq!(statement.conditions, [Condition::new("moon_equal", "qcs:moon", ["full"])]);
    }

    #[test]
    fn a_broken_statement_names_its_key() {
        for (text, key) in [
            (r#"{"version":"2.0","statement":[{"action":[]}]}"#, "effect"),
            (r#"{"version":"2.0","statement":[{"effect":"allow","action":[1]}]}"#, "action"),
            (r#"{"version":"2.0","statement":[{"effect":"allow","condition":{"ip_equal":[]}}]}"#, "condition"),
            (r#"{"version":"2.0","principal":{"qcs":["x"]},"statement":[]}"#, "principal"),
            (r#"{"version":"2.0","statement":[{"effect":"allow","not_action":["x"]}]}"#, "not_action"),
            (r#"{"version":"2.0","statement":[{"effect":"allow","principal":{"qcs":"x","service":"y"}}]}"#, "service"),
            (r#"{"version":"2.0","statement":[{"effect":"allow","a\u001b[31m":1}]}"#, "a\\u{1b}[31m"),
        ] {
            let document = AccessPolicy::parse(text).unwrap();
            assert_eq!(Policy::from_document(&document).unwrap_err().field(), key, "{text}");
        }
    }
}
