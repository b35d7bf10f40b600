//! An archive as a thing one holds: a vault and an identifier.

use cas_api::cas_http::ArchiveId;
use cas_api::cas_http::document::{ArchiveRetrieval, PushToCos};

use crate::error::Error;
use crate::vault::{StartJob, Vault};

/// An archive: immutable, named only by its identifier.
#[derive(Clone, Debug)]
pub struct Archive {
    vault: Vault,
    id: ArchiveId,
}

impl Archive {
    /// The archive of this identifier, without asking the service, which has no way to ask about one.
    #[must_use]
    pub fn new(vault: &Vault, id: impl Into<ArchiveId>) -> Self {
        Archive { vault: vault.clone(), id: id.into() }
    }

    /// The vault it is in.
    #[doc(alias = "get_vault")]
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &ArchiveId {
        &self.id
    }

    /// Starts a job that makes it readable. Await the value to do it.
    pub fn initiate_archive_retrieval(&self) -> StartJob<ArchiveRetrieval> {
        self.vault.retrieve_archive(&self.id)
    }

    /// Starts a job that writes it to a COS object of the same account. Await the value to do it.
    pub fn push_to_cos(&self, bucket: impl Into<String>, object: impl Into<String>) -> StartJob<PushToCos> {
        self.vault.push_archive_to_cos(&self.id, bucket, object)
    }

    /// Deletes it.
    ///
    /// # Errors
    ///
    /// When there is no such archive.
    pub async fn delete(&self) -> Result<(), Error> {
        self.vault.delete_archive(&self.id).await
    }
}
