//! Temporary credentials in the JSON forms that metadata services, STS and programs write.

use cas_sign::Credentials;

use super::cached::parse_end;
use super::{CredentialsError, assemble};
use crate::json::JsonObject;

/// Reads temporary credentials. The key names differ from source to source, so the first that is there of each list is taken.
pub(super) fn read(source_name: &'static str, object: &JsonObject) -> Result<Credentials, CredentialsError> {
    let text = |keys: &[&'static str]| keys.iter().find_map(|key| object.text(key).ok().flatten());
    let required = |keys: &[&'static str]| {
        text(keys).ok_or_else(|| CredentialsError::broken(source_name, format!("{} is missing", keys[0])))
    };
    let id = required(&["TmpSecretId", "SecretId", "secretId"])?;
    let key = required(&["TmpSecretKey", "SecretKey", "secretKey"])?;
    let token = text(&["Token", "token"]).filter(|token| !token.is_empty());
    assemble(source_name, &id, &key, token.as_deref(), end(object))
}

/// When they end: seconds, or a date.
fn end(object: &JsonObject) -> Option<u64> {
    let seconds = ["ExpiredTime", "expiresAt"].iter().find_map(|key| object.number(key).ok().flatten());
    seconds.or_else(|| object.text("Expiration").ok().flatten().as_deref().and_then(parse_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Credentials, CredentialsError> {
        read("test", &JsonObject::from_slice(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_end_is_seconds_or_a_date() {
        let end = |more: &str| {
            let text = format!(r#"{{"TmpSecretId":"i","TmpSecretKey":"k","Token":"t"{more}}}"#);
            read_text(&text).unwrap().expires_at()
        };
        assert_eq!(end(""), None);
        assert_eq!(end(r#","ExpiredTime":1700000000,"Expiration":"2000-01-01T00:00:00Z""#), Some(1_700_000_000));
        assert_eq!(end(r#","Expiration":"2023-11-14T22:13:20Z""#), Some(1_700_000_000));
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_else_is_shown() {
        let error = read_text(r#"{"TmpSecretId":"i","Token":"hunter2"}"#).unwrap_err();
        assert_eq!(error.to_string(), "test: TmpSecretKey is missing");
    }
}
