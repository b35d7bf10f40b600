//! Credentials for a pod: the token of its service account, exchanged for those of a role.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use cas_sign::Credentials;
use http::Request;

use super::fetch::Fetcher;
use super::{CredentialsError, Environment, ProvideCredentials, temporary};
use crate::call::BoxFuture;
use crate::clock::{Clock, SystemClock, unix_seconds};
use crate::endpoint::Endpoint;
use crate::json::{JsonObject, JsonWriter};
use crate::proxy::ProxyChoice;

/// The identity of a pod in a cluster of the service's provider: `TKE_REGION`, `TKE_PROVIDER_ID`, `TKE_WEB_IDENTITY_TOKEN_FILE` and
/// `TKE_ROLE_ARN` say who it is; STS gives credentials for it (`AssumeRoleWithWebIdentity`, version 2018-08-13, a request that is not
/// signed).
#[derive(Clone)]
pub struct WebIdentity {
    environment: Environment,
    endpoint: String,
}

const NAME: &str = "pod identity";
const LIMIT: Duration = Duration::from_secs(10);
const VARIABLES: [&str; 4] = ["TKE_REGION", "TKE_PROVIDER_ID", "TKE_WEB_IDENTITY_TOKEN_FILE", "TKE_ROLE_ARN"];

impl WebIdentity {
    /// The identity that these variables describe.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        WebIdentity { environment, endpoint: "https://sts.tencentcloudapi.com".to_owned() }
    }

    /// Asks another STS.
    #[must_use]
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        WebIdentity { endpoint: endpoint.into(), ..self }
    }

    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        let broken = |why: &str| CredentialsError::broken(NAME, why);
        let [region, provider_id, token_file, role_arn] = self.variables()?;
        let token = tokio::task::spawn_blocking(move || std::fs::read_to_string(token_file))
            .await
            .unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)))
            .map_err(|error| broken("the file of TKE_WEB_IDENTITY_TOKEN_FILE cannot be read").caused_by(error))?;

        let endpoint =
            Endpoint::parse(&self.endpoint).map_err(|error| broken("the address of STS is wrong").caused_by(error))?;
        let now = unix_seconds(SystemClock.now());
        let parameters = JsonWriter::new()
            .set("ProviderId", provider_id)
            .set("WebIdentityToken", token.trim())
            .set("RoleArn", role_arn)
            .set("RoleSessionName", format!("cas-{now}"))
            .set("DurationSeconds", 7200);
        let request = Request::post("/")
            .header("content-type", "application/json")
            .header("authorization", "SKIP")
            .header("x-tc-action", "AssumeRoleWithWebIdentity")
            .header("x-tc-version", "2018-08-13")
            .header("x-tc-region", region)
            .header("x-tc-timestamp", now)
            .body(Bytes::from(parameters.to_vec()))
            .map_err(|_| broken("TKE_REGION is no region"))?;
        let fetcher = Fetcher::new(endpoint, LIMIT, &ProxyChoice::Environment, &self.environment)
            .map_err(|error| broken("STS cannot be asked").caused_by(error))?;
        let (status, body) =
            fetcher.fetch(request).await.map_err(|error| broken("STS gave no answer").caused_by(error))?;
        read(&body)
            .map_err(|why| why.unwrap_or_else(|| broken(&format!("STS answered with status {}", status.as_u16()))))
    }

    fn variables(&self) -> Result<[String; 4], CredentialsError> {
        let values = VARIABLES.map(|name| self.environment.get_filled(name));
        if values.iter().all(Option::is_none) {
            return Err(CredentialsError::absent(NAME, "TKE_ROLE_ARN and its companions are not set"));
        }
        let missing: Vec<_> =
            VARIABLES.iter().zip(&values).filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        match values {
            [Some(region), Some(provider_id), Some(token_file), Some(role_arn)] => {
                Ok([region, provider_id, token_file, role_arn])
            }
            _ => Err(CredentialsError::broken(NAME, format!("{} not set", missing.join(", ")))),
        }
    }
}

/// Reads the answer of STS; `None` when it says nothing that could be told.
fn read(body: &[u8]) -> Result<Credentials, Option<CredentialsError>> {
    let answer = JsonObject::from_slice(body).map_err(|_| None)?;
    let response = answer.object("Response").map_err(|_| None)?.ok_or(None)?;
    if let Ok(Some(error)) = response.object("Error") {
        let code = error.text("Code").ok().flatten().unwrap_or_default();
        return Err(Some(CredentialsError::broken(NAME, format!("STS answered with code {code:.80?}"))));
    }
    let credentials = response.object("Credentials").map_err(|_| None)?.ok_or(None)?;
    let credentials = temporary::read(NAME, &credentials).map_err(Some)?;
    Ok(match response.number("ExpiredTime") {
        Ok(Some(end)) => credentials.with_expiry(end),
        _ => credentials,
    })
}

impl ProvideCredentials for WebIdentity {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self.ask())
    }
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentity").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_sts_is_read() {
        let body = br#"{"Response":{"Credentials":{"Token":"t","TmpSecretId":"i","TmpSecretKey":"k"},"ExpiredTime":1700000000}}"#;
        let credentials = read(body).unwrap();
        assert_eq!(credentials.expires_at(), Some(1_700_000_000));
        assert_eq!(credentials.token().unwrap().expose(), "t");
        let error = read(br#"{"Response":{"Error":{"Code":"InvalidParameter","Message":"m"}}}"#).unwrap_err().unwrap();
        assert_eq!(error.to_string(), r#"pod identity: STS answered with code "InvalidParameter""#);
        for body in ["", "<html>", "{}", r#"{"Response":{}}"#] {
            assert!(read(body.as_bytes()).unwrap_err().is_none(), "{body:?}");
        }
    }

    #[tokio::test]
    async fn a_pod_that_is_half_described_is_broken() {
        let provide = |pairs: &[(&str, &str)]| {
            let environment = Environment::from_pairs(pairs.iter().copied());
            async { WebIdentity::new(environment).provide().await.unwrap_err() }
        };
        assert!(provide(&[]).await.is_absent());
        let error = provide(&[("TKE_REGION", "r"), ("TKE_ROLE_ARN", "a")]).await;
        assert_eq!(error.to_string(), "pod identity: TKE_PROVIDER_ID, TKE_WEB_IDENTITY_TOKEN_FILE not set");
    }
}
