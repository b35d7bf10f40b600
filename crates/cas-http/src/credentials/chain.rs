//! One source after another until one has credentials.

use std::sync::Arc;

use cas_sign::Credentials;

use super::{
    CredentialsError, Environment, EnvironmentCredentials, InstanceRole, ProfileFile, ProvideCredentials, WebIdentity,
};
use crate::call::BoxFuture;

/// Sources that are asked in order. An absent one is passed over; a broken one ends the search, as somebody meant it to be used.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    sources: Vec<Arc<dyn ProvideCredentials>>,
}

impl Chain {
    /// A chain of no source.
    #[must_use]
    pub fn new() -> Self {
        Chain::default()
    }

    /// The sources that programs are expected to look into: environment variables, profile files, the identity of a pod, the role of the
    /// instance.
    ///
    /// The official tools agree on the first two and on these four, not on the order of the last two; a pod's identity is the narrower one.
    #[must_use]
    pub fn standard(environment: &Environment) -> Self {
        Chain::new()
            .then(EnvironmentCredentials::new(environment.clone()))
            .then(ProfileFile::new(environment.clone()))
            .then(WebIdentity::new(environment.clone()))
            .then(InstanceRole::new(environment))
    }

    /// Adds a source at the end.
    #[must_use]
    pub fn then(mut self, source: impl ProvideCredentials) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    async fn search(&self) -> Result<Credentials, CredentialsError> {
        let mut passed_over = Vec::new();
        for source in &self.sources {
            match source.provide().await {
                Err(error) if error.is_absent() => passed_over.push(error.to_string()),
                Err(error) => {
                    let tried = list("; passed over before it: ", &passed_over);
                    let why = format!("the {} source is broken{tried}", error.source_name());
                    return Err(CredentialsError::broken("credentials", why).caused_by(error));
                }
                found => return found,
            }
        }
        let why = format!("no source has any{}", list(": ", &passed_over));
        Err(CredentialsError::absent("credentials", why))
    }
}

fn list(introduction: &str, reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!("{introduction}{}", reasons.join("; ")) }
}

impl ProvideCredentials for Chain {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self.search())
    }

    fn forget(&self) {
        for source in &self.sources {
            source.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[derive(Debug)]
    struct Fails(CredentialsError);

    impl ProvideCredentials for Fails {
        fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
            Box::pin(std::future::ready(Err(self.0.clone())))
        }
    }

    fn absent(name: &'static str) -> Fails {
        Fails(CredentialsError::absent(name, "not here"))
    }

    #[tokio::test]
    async fn absent_sources_are_passed_over() {
        let chain = Chain::new().then(absent("a")).then(absent("b")).then(Credentials::new("id", "key").unwrap());
        assert_eq!(chain.provide().await.unwrap().secret_id().as_str(), "id");
    }

    #[tokio::test]
    async fn an_empty_chain_lists_what_it_tried() {
        let error = Chain::new().then(absent("a")).then(absent("b")).provide().await.unwrap_err();
        assert_eq!(error.to_string(), "credentials: no source has any: a: not here; b: not here");
        assert!(error.is_absent());
    }

    #[tokio::test]
    async fn a_broken_source_ends_the_search() {
        let broken = Fails(CredentialsError::broken("b", "no key in it"));
        let chain = Chain::new().then(absent("a")).then(broken).then(Credentials::new("id", "key").unwrap());
        let error = chain.provide().await.unwrap_err();
        assert_eq!(error.to_string(), "credentials: the b source is broken; passed over before it: a: not here");
        assert_eq!(error.source().unwrap().to_string(), "b: no key in it");
        assert!(!error.is_absent());
    }
}
