//! Reading JSON the way the service's clients must, and writing the one form they all take.
//!
//! Reading is lenient where the service's pages and samples disagree: a number may be a numeric string, an absent value may be missing,
//! null or empty, a key nobody knows is passed over. What is wrong is named by its key.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::wire::WireError;

/// A JSON document of the service, in both directions.
pub trait Document: Sized {
    /// The text that is sent.
    fn to_json(&self) -> Vec<u8>;

    /// Reads the text that came.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or a value is missing or makes no sense; the error names the key.
    fn from_json(text: &[u8]) -> Result<Self, WireError>;
}

/// A JSON object that is being read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject(Map<String, Value>);

impl JsonObject {
    /// Reads the text of an object.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or JSON but not an object. A byte order mark is not JSON; depth is bounded by the parser.
    pub fn from_slice(text: &[u8]) -> Result<Self, WireError> {
        match serde_json::from_slice(text) {
            Ok(Value::Object(map)) => Ok(JsonObject(map)),
            Ok(other) => Err(WireError::not_json("body", format!("expected an object, found {}", kind(&other)))),
            Err(error) => Err(WireError::not_json("body", error.to_string())),
        }
    }

    /// The value of a key, unless it is missing or null.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// A text; a number is taken as its digits.
    ///
    /// # Errors
    ///
    /// When the value is neither.
    pub fn text(&self, key: &'static str) -> Result<Option<String>, WireError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(unexpected(key, "a string", other)),
        }
    }

    /// A text of some type, without blanks around it; an empty one counts as absent.
    ///
    /// # Errors
    ///
    /// When the value is not a text of that type.
    pub fn parse<T: FromStr>(&self, key: &'static str) -> Result<Option<T>, WireError>
    where
        T::Err: Display,
    {
        match self.text(key)?.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|error: T::Err| WireError::invalid(key, error.to_string())),
        }
    }

    /// A text of some type, without blanks around it, that must be there.
    ///
    /// # Errors
    ///
    /// When it is absent or not of that type.
    pub fn require<T: FromStr>(&self, key: &'static str) -> Result<T, WireError>
    where
        T::Err: Display,
    {
        self.parse(key)?.ok_or_else(|| WireError::missing(key))
    }

    /// A text that must be there and not be empty, with its blanks: in a name they are characters like any other.
    ///
    /// # Errors
    ///
    /// When it is absent or not a text.
    pub fn require_text(&self, key: &'static str) -> Result<String, WireError> {
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| WireError::missing(key))
    }

    /// A count or size: a number, or a string of digits.
    ///
    /// # Errors
    ///
    /// When it is neither, negative, or has a fraction.
    pub fn number(&self, key: &'static str) -> Result<Option<u64>, WireError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(value @ Value::String(text)) => {
                crate::range::decimal(text.trim()).map(Some).ok_or_else(|| unexpected(key, "a number", value))
            }
            Some(value) => value.as_u64().map(Some).ok_or_else(|| unexpected(key, "a number", value)),
        }
    }

    /// A truth value: `true`, `false`, or one of them as a string in any case.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn boolean(&self, key: &'static str) -> Result<Option<bool>, WireError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => Err(unexpected(key, "true or false", other)),
        }
    }

    /// An object within this one.
    ///
    /// # Errors
    ///
    /// When the value is not an object.
    pub fn object(&self, key: &'static str) -> Result<Option<JsonObject>, WireError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(JsonObject(map.clone()))),
            Some(other) => Err(unexpected(key, "an object", other)),
        }
    }

    /// A list of objects. It must be there, if empty: otherwise any JSON object would pass for a page with nothing on it.
    ///
    /// # Errors
    ///
    /// When it is absent or not a list, or an entry is not an object.
    pub fn objects(&self, key: &'static str) -> Result<Vec<JsonObject>, WireError> {
        let entries = match self.get(key) {
            None => return Err(WireError::missing(key)),
            Some(Value::Array(entries)) => entries,
            Some(other) => return Err(unexpected(key, "a list", other)),
        };
        entries
            .iter()
            .map(|entry| match entry {
                Value::Object(map) => Ok(JsonObject(map.clone())),
                other => Err(unexpected(key, "a list of objects", other)),
            })
            .collect()
    }
}

impl From<Map<String, Value>> for JsonObject {
    fn from(map: Map<String, Value>) -> Self {
        JsonObject(map)
    }
}

/// A JSON object that is being written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonWriter(Map<String, Value>);

impl JsonWriter {
    /// An object with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        JsonWriter::default()
    }

    /// Sets a key.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key to the text of a value, or to null.
    #[must_use]
    pub fn set_or_null(self, key: &str, value: Option<impl ToString>) -> Self {
        self.set(key, value.map(|value| value.to_string()))
    }

    /// Sets a key to the text of a value, or leaves it out.
    #[must_use]
    pub fn set_if(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.set(key, value.to_string()),
            None => self,
        }
    }

    /// The text: compact, keys in alphabetical order as in the service's own samples.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        Value::Object(self.0.clone()).to_string().into_bytes()
    }
}

impl From<JsonWriter> for Value {
    fn from(writer: JsonWriter) -> Value {
        Value::Object(writer.0)
    }
}

fn unexpected(key: &'static str, expected: &str, found: &Value) -> WireError {
    WireError::invalid(key, format!("expected {expected}, found {}", kind(found)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "another number",
        Value::String(_) => "another string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> JsonObject {
        JsonObject::from_slice(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_may_be_strings_and_absent_values_have_three_forms() {
        let object = object(r#"{"a":1,"b":"2","c":null,"d":"","e":-1,"f":1.5,"g":"x","h":"1e3"}"#);
        assert_eq!(object.number("a"), Ok(Some(1)));
        assert_eq!(object.number("b"), Ok(Some(2)));
        for absent in ["c", "d", "z"] {
            assert_eq!(object.number(absent), Ok(None), "{absent}");
        }
        for bad in ["e", "f", "g", "h"] {
            assert!(object.number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn truth_comes_as_a_value_or_a_word() {
        let object = object(r#"{"a":true,"b":"False","c":"TRUE","d":1}"#);
        assert_eq!(object.boolean("a"), Ok(Some(true)));
        assert_eq!(object.boolean("b"), Ok(Some(false)));
        assert_eq!(object.boolean("c"), Ok(Some(true)));
        assert!(object.boolean("d").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let object = object(r#"{"Marker":[]}"#);
        assert_eq!(object.text("Marker").unwrap_err().to_string(), "Marker: expected a string, found a list");
        assert_eq!(object.require::<u64>("Limit").unwrap_err().to_string(), "Limit: missing");
    }

    #[test]
    fn hostile_text_is_an_error() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "[]", "null", "\u{feff}{}", "{\"a\":1e999}", &deep, "{\"a\":\"\\ud800\"}"] {
            assert!(JsonObject::from_slice(text.as_bytes()).is_err(), "{:.40}", text);
        }
        assert!(JsonObject::from_slice(b"{\"a\":\"\xff\"}").is_err());
    }
}
