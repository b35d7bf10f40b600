//! Credentials in environment variables, and the environment itself as a value: this is where the process's own is read.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cas_sign::Credentials;

use super::{CredentialsError, ProvideCredentials, assemble};
use crate::call::BoxFuture;

/// Environment variables: those of the process, or some that a test chose.
#[derive(Clone, Default)]
pub struct Environment(Option<Arc<HashMap<String, String>>>);

impl Environment {
    /// The variables of the process, looked up when they are asked for.
    #[must_use]
    pub fn of_process() -> Self {
        Environment(None)
    }

    /// These variables and no other.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Environment(Some(Arc::new(pairs.collect())))
    }

    /// The value of a variable, even an empty one. What is not Unicode in it becomes U+FFFD.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        match &self.0 {
            Some(pairs) => pairs.get(name).cloned(),
            None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        }
    }

    /// The value of a variable unless it is empty.
    #[must_use]
    pub fn get_filled(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The user's home directory: `HOME`, on Windows `USERPROFILE`.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.get_filled(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).map(PathBuf::from)
    }
}

/// Values are left out.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment").field(&if self.0.is_some() { "given" } else { "of the process" }).finish()
    }
}

/// `TENCENTCLOUD_SECRET_ID` and `TENCENTCLOUD_SECRET_KEY`, as in the official tools, with a token from the first of
/// `TENCENTCLOUD_SESSION_TOKEN`, `TENCENTCLOUD_TOKEN` and `TENCENTCLOUD_SECURITY_TOKEN` that is set: the tools do not agree on a name.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentCredentials(Environment);

const NAME: &str = "environment";
const TOKENS: [&str; 3] = ["TENCENTCLOUD_SESSION_TOKEN", "TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"];

impl EnvironmentCredentials {
    /// Credentials from these variables.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        EnvironmentCredentials(environment)
    }

    fn read(&self) -> Result<Credentials, CredentialsError> {
        let get = |name| self.0.get(name);
        let (id, key) = match (get("TENCENTCLOUD_SECRET_ID"), get("TENCENTCLOUD_SECRET_KEY")) {
            (Some(id), Some(key)) => (id, key),
            (None, None) => {
                let why = "TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set";
                return Err(CredentialsError::absent(NAME, why));
            }
            (None, Some(_)) => return Err(CredentialsError::broken(NAME, "TENCENTCLOUD_SECRET_ID is not set")),
            (Some(_), None) => return Err(CredentialsError::broken(NAME, "TENCENTCLOUD_SECRET_KEY is not set")),
        };
        let tokens: Vec<_> = TOKENS.iter().filter_map(|name| self.0.get_filled(name)).collect();
        if tokens.iter().any(|token| *token != tokens[0]) {
            tracing::warn!("environment variables name different tokens; the first of {} is taken", TOKENS.join(", "));
        }
        assemble(NAME, &id, &key, tokens.first().map(String::as_str), None)
    }
}

impl ProvideCredentials for EnvironmentCredentials {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(std::future::ready(self.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        EnvironmentCredentials::new(Environment::from_pairs(pairs.iter().copied())).read()
    }

    const PAIR: [(&str, &str); 2] = [("TENCENTCLOUD_SECRET_ID", "id"), ("TENCENTCLOUD_SECRET_KEY", "key")];

    #[test]
    fn the_first_token_name_wins() {
        let token = |more: &[(&str, &str)]| {
            let credentials = read(&[&PAIR, more].concat()).unwrap();
            credentials.token().map(|token| token.expose().to_owned())
        };
        assert_eq!(token(&[]), None);
        assert_eq!(token(&[("TENCENTCLOUD_SECURITY_TOKEN", "c")]).as_deref(), Some("c"));
        assert_eq!(token(&[("TENCENTCLOUD_TOKEN", "b"), ("TENCENTCLOUD_SECURITY_TOKEN", "c")]).as_deref(), Some("b"));
        assert_eq!(token(&[("TENCENTCLOUD_SESSION_TOKEN", "a"), ("TENCENTCLOUD_TOKEN", "b")]).as_deref(), Some("a"));
        assert_eq!(token(&[("TENCENTCLOUD_SESSION_TOKEN", ""), ("TENCENTCLOUD_TOKEN", "b")]).as_deref(), Some("b"));
    }

    #[test]
    fn absent_is_one_thing_and_half_there_another() {
        assert!(read(&[]).unwrap_err().is_absent());
        for broken in [
            [PAIR[0], ("X", "")],
            [PAIR[1], ("X", "")],
            [PAIR[0], ("TENCENTCLOUD_SECRET_KEY", "")],
            [PAIR[0], ("TENCENTCLOUD_SECRET_KEY", " key")],
            [PAIR[1], ("TENCENTCLOUD_SECRET_ID", "id\n")],
        ] {
            assert!(!read(&broken).unwrap_err().is_absent(), "{broken:?}");
        }
    }
}
