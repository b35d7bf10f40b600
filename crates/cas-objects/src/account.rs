//! An account as a thing one holds: where vaults are created and listed.

use cas_api::CasApi;
use cas_api::cas_http::VaultName;
use futures::Stream;

use crate::error::Error;
use crate::vault::Vault;

/// An account in one region, as seen with one client.
#[derive(Clone, Debug)]
pub struct Account {
    api: CasApi,
}

impl Account {
    /// The account a client signs for.
    #[must_use]
    pub fn new(api: impl Into<CasApi>) -> Self {
        Account { api: api.into() }
    }

    /// The typed client behind it.
    #[must_use]
    pub fn api(&self) -> &CasApi {
        &self.api
    }

    /// Creates a vault, or finds one's own of that name.
    ///
    /// # Errors
    ///
    /// As [`Vault::create`].
    pub async fn create_vault(&self, name: impl Into<VaultName>) -> Result<Vault, Error> {
        Vault::create(&self.api, name).await
    }

    /// The vault of this name, without asking the service.
    #[must_use]
    pub fn vault(&self, name: impl Into<VaultName>) -> Vault {
        Vault::named(&self.api, name)
    }

    /// All vaults, by name.
    pub fn vaults(&self) -> impl Stream<Item = Result<Vault, Error>> + Send {
        Vault::list_all_vaults(&self.api)
    }
}
