//! Credentials of the role that is bound to a cloud instance, from the instance's metadata service.

use std::time::Duration;

use bytes::Bytes;
use cas_sign::Credentials;
use http::{Request, StatusCode};

use super::fetch::Fetcher;
use super::{CredentialsError, Environment, ProvideCredentials, temporary};
use crate::call::BoxFuture;
use crate::endpoint::Endpoint;
use crate::json::JsonObject;
use crate::proxy::ProxyChoice;

/// The role of the instance: asks `metadata.tencentyun.com` for its name, then for its credentials.
///
/// `CAS_METADATA_DISABLED=true` switches it off. The service is never asked through a proxy; each request is tried twice, for two seconds.
#[derive(Clone, Debug)]
pub struct InstanceRole {
    endpoint: String,
    disabled: bool,
}

const NAME: &str = "instance role";
const PATH: &str = "/latest/meta-data/cam/security-credentials/";
const LIMIT: Duration = Duration::from_secs(2);

impl InstanceRole {
    /// The role of this instance.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let switch = environment.get("CAS_METADATA_DISABLED").unwrap_or_default();
        let disabled = matches!(switch.to_ascii_lowercase().as_str(), "true" | "1" | "yes");
        InstanceRole { endpoint: "http://metadata.tencentyun.com".to_owned(), disabled }
    }

    /// Asks another metadata service, at `http://host:port`.
    #[must_use]
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        InstanceRole { endpoint: endpoint.into(), ..self }
    }

    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        if self.disabled {
            return Err(CredentialsError::absent(NAME, "switched off by CAS_METADATA_DISABLED"));
        }
        let broken = |why: &str| CredentialsError::broken(NAME, why);
        let endpoint =
            Endpoint::parse(&self.endpoint).map_err(|error| broken("its address is wrong").caused_by(error))?;
        let fetcher = Fetcher::new(endpoint, LIMIT, &ProxyChoice::None, &Environment::from_pairs([]))
            .map_err(|error| broken("it cannot be asked").caused_by(error))?;

        let (status, body) = match get(&fetcher, PATH).await {
            Ok(answer) => answer,
            // Away from the cloud nothing answers there.
            Err(error) => return Err(CredentialsError::absent(NAME, "no metadata service answers").caused_by(error)),
        };
        let role = match status {
            StatusCode::OK => role_name(&body).ok_or_else(|| broken("the metadata service named no role"))?,
            StatusCode::NOT_FOUND => return Err(CredentialsError::absent(NAME, "no role is bound to the instance")),
            other => return Err(broken(&format!("the metadata service answered with status {}", other.as_u16()))),
        };
        let (status, body) = get(&fetcher, &format!("{PATH}{role}"))
            .await
            .map_err(|error| broken("the metadata service broke off").caused_by(error))?;
        if status != StatusCode::OK {
            return Err(broken(&format!("the metadata service answered with status {}", status.as_u16())));
        }
        read(&body)
    }
}

/// Tries twice, as the service is known to be slow now and then.
async fn get(fetcher: &Fetcher, path: &str) -> Result<(StatusCode, Bytes), crate::BoxError> {
    let request = || Request::get(path).body(Bytes::new());
    match fetcher.fetch(request()?).await {
        Err(_) => fetcher.fetch(request()?).await,
        answer => answer,
    }
}

/// The name as one element of a path; anything else is no role.
fn role_name(body: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(body).ok()?.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+=,@".contains(&b);
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

fn read(body: &[u8]) -> Result<Credentials, CredentialsError> {
    let object = JsonObject::from_slice(body)
        .map_err(|_| CredentialsError::broken(NAME, "the metadata service answered with something else than JSON"))?;
    match object.text("Code").ok().flatten().as_deref() {
        None | Some("Success") => temporary::read(NAME, &object),
        Some(code) => {
            let why = format!("the metadata service answered with code {:.60?}", code);
            Err(CredentialsError::broken(NAME, why))
        }
    }
}

impl ProvideCredentials for InstanceRole {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self.ask())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_element_of_a_path() {
        assert_eq!(role_name(b"CAS_Role-1\n"), Some("CAS_Role-1"));
        for bad in [&b""[..], b" ", b"a/b", b"a b", b"<html>", b"a\nb", b"\xff"] {
            assert_eq!(role_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn another_code_than_success_is_an_error() {
        assert!(read(br#"{"Code":"Success","TmpSecretId":"i","TmpSecretKey":"k","Token":"t"}"#).is_ok());
        let error = read(br#"{"Code":"Failure"}"#).unwrap_err();
        assert_eq!(error.to_string(), r#"instance role: the metadata service answered with code "Failure""#);
    }
}
