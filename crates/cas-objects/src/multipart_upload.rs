//! A multipart upload as a thing one holds: what the service has of it.

use cas_api::cas_http::{ArchiveSize, Description, PartSize, TreeHash, UploadId};
use cas_api::{Pages, Part, UploadDescription};
use cas_treehash::{CombineError, combine};
use futures::TryStreamExt;

use crate::error::Error;
use crate::plan::PartPlan;
use crate::source::Source;
use crate::upload::UploadArchive;
use crate::vault::Vault;

/// An unfinished multipart upload and the parts the service had when it was last asked.
#[derive(Clone, Debug)]
pub struct MultipartUpload {
    vault: Vault,
    description: UploadDescription,
    parts: Vec<Part>,
}

impl MultipartUpload {
    /// Begins an upload without parts. It lives 24 hours.
    ///
    /// # Errors
    ///
    /// When the service refuses.
    pub async fn start(vault: &Vault, part_size: PartSize, description: Option<Description>) -> Result<Self, Error> {
        let mut call = vault.api().initiate_multipart_upload(vault.name(), part_size);
        if let Some(description) = description {
            call = call.description(description);
        }
        let started = call.await?;
        Self::describe(vault, &started.upload_id).await.map_err(|error| error.keeping(&started.upload_id))
    }

    /// Has an upload described, with all its parts.
    pub(crate) async fn describe(vault: &Vault, id: &UploadId) -> Result<Self, Error> {
        let mut pages = std::pin::pin!(vault.api().list_parts(vault.name(), id).pages());
        let mut upload: Option<MultipartUpload> = None;
        while let Some(page) = pages.try_next().await? {
            let page = page.page;
            let upload = upload.get_or_insert_with(|| MultipartUpload {
                vault: vault.clone(),
                description: page.upload.clone(),
                parts: Vec::new(),
            });
            upload.parts.extend(page.parts);
        }
        let mut upload = upload.ok_or_else(|| Error::invalid("the service listed no page of parts"))?;
        // A marker may name the last part of one page or the first of the next.
        upload.parts.sort_by_key(|part| part.range);
        upload.parts.dedup_by_key(|part| part.range);
        Ok(upload)
    }

    /// The vault that will hold the archive.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &UploadId {
        &self.description.upload_id
    }

    /// What the service said of it.
    #[must_use]
    pub fn description(&self) -> &UploadDescription {
        &self.description
    }

    /// The parts the service has, by their place in the archive.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many bytes those parts have.
    #[must_use]
    pub fn size_completed(&self) -> u64 {
        // Ranges come from the wire, and may be of any length.
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.range.len()))
    }

    /// The tree hash of the archive these parts would make.
    ///
    /// # Errors
    ///
    /// When they do not make one: there is none, or they do not combine. That there is no hole between them is not looked at here.
    pub fn tree_hash(&self) -> Result<TreeHash, CombineError> {
        combine(self.parts.iter().map(|part| (part.range.len(), part.tree_hash)))
    }

    /// The part size for an archive of this size: 16 MiB, doubled until 10 000 parts are enough.
    #[must_use]
    pub fn calc_part_size(size: ArchiveSize) -> PartSize {
        PartPlan::fitting(size, PartSize::DEFAULT).part_size()
    }

    /// Goes on with the upload of this source. Await the value to do it.
    pub fn resume(&self, source: impl Into<Source>) -> UploadArchive {
        self.vault.resume_upload(self.id(), source)
    }

    /// Gives the upload and its parts up.
    ///
    /// # Errors
    ///
    /// When there is no such upload any more.
    #[doc(alias = "abort")]
    pub async fn cancel(&self) -> Result<(), Error> {
        self.vault.api().abort_multipart_upload(self.vault.name(), self.id()).await?;
        Ok(())
    }
}
