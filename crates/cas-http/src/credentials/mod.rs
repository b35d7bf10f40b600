//! Where credentials come from. What they are is in `cas-sign`.
//!
//! A source that is absent is passed over, one that is there and broken is an error: nobody should wonder why the wrong key was used.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use cas_sign::{Credentials, SecretId, SecretKey, SigningKey};

use crate::call::BoxFuture;
use crate::error::BoxError;

mod cached;
pub use cached::Cached;
mod chain;
pub use chain::Chain;
mod environment;
pub use environment::{Environment, EnvironmentCredentials};
mod fetch;
mod instance_role;
pub use instance_role::InstanceRole;
mod process;
pub use process::Process;
mod profile;
pub use profile::{CascmdFile, ProfileFile};
mod temporary;
mod web_identity;
pub use web_identity::WebIdentity;

/// A source of credentials.
pub trait ProvideCredentials: fmt::Debug + Send + Sync + 'static {
    /// The credentials to sign with now. It is asked before each try; put a source that takes time into [`Cached`], as a client does with
    /// whatever it is given.
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;

    /// Hears that the service refused what was provided last as expired or unknown. Whoever keeps credentials drops them.
    fn forget(&self) {}
}

/// Credentials that are already here.
impl ProvideCredentials for Credentials {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

impl<P: ProvideCredentials + ?Sized> ProvideCredentials for Arc<P> {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        (**self).provide()
    }

    fn forget(&self) {
        (**self).forget();
    }
}

/// Why a source provides no credentials. No message holds a secret.
#[derive(Clone)]
pub struct CredentialsError(Arc<Inner>);

struct Inner {
    source_name: Cow<'static, str>,
    absent: bool,
    why: String,
    cause: Option<BoxError>,
}

impl CredentialsError {
    /// The source is not there: a chain passes it over.
    #[must_use]
    pub fn absent(source_name: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        Self::of(source_name.into(), true, why.into(), None)
    }

    /// The source is there and does not work.
    #[must_use]
    pub fn broken(source_name: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        Self::of(source_name.into(), false, why.into(), None)
    }

    /// The same with its cause. The cause must not tell a secret.
    #[must_use]
    pub fn caused_by(self, cause: impl Into<BoxError>) -> Self {
        let Inner { source_name, absent, why, .. } = &*self.0;
        Self::of(source_name.clone(), *absent, why.clone(), Some(cause.into()))
    }

    fn of(source_name: Cow<'static, str>, absent: bool, why: String, cause: Option<BoxError>) -> Self {
        CredentialsError(Arc::new(Inner { source_name, absent, why, cause }))
    }

    /// Whether the source is simply not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.0.absent
    }

    /// What the source is called: "environment", "instance role".
    #[must_use]
    pub fn source_name(&self) -> &str {
        &self.0.source_name
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.source_name, self.0.why)
    }
}

impl fmt::Debug for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { source_name, absent, why, cause } = &*self.0;
        f.debug_struct("CredentialsError")
            .field("source_name", source_name)
            .field("absent", absent)
            .field("why", why)
            .field("cause", cause)
            .finish()
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// Puts the texts a source gave together. Blanks around a key are refused as in the official Python SDK: they come from copying, and the
/// signature would be wrong.
fn assemble(
    source_name: &'static str,
    secret_id: &str,
    secret_key: &str,
    token: Option<&str>,
    expires_at: Option<u64>,
) -> Result<Credentials, CredentialsError> {
    for (what, text) in [("secret id", secret_id), ("secret key", secret_key), ("token", token.unwrap_or_default())] {
        if text.trim() != text {
            return Err(CredentialsError::broken(source_name, format!("the {what} has blanks around it")));
        }
    }
    let refused = |error| CredentialsError::broken(source_name, "what it holds cannot be used").caused_by(error);
    let mut credentials = Credentials::new(secret_id, secret_key).map_err(refused)?;
    if let Some(token) = token {
        credentials = credentials.with_token(token).map_err(refused)?;
    }
    Ok(match expires_at {
        Some(at) => credentials.with_expiry(at),
        None => credentials,
    })
}
