//! A vault as a thing one holds: its archives, jobs and uploads begin here.

use cas_api::cas_http::document::{
    ArchiveRetrieval, CallbackUrl, InventoryFormat, InventoryRetrieval, JobParameters, PullFromCos, PushToCos, Tier,
};
use cas_api::cas_http::{
    ArchiveId, BoxFuture, Description, InventoryLimit, JobId, Marker, PartSize, RetrievalRange, Timestamp, UploadId,
    VaultName,
};
use cas_api::{CasApi, JobAction, JobDescription, Pages, UploadDescription, VaultDescription};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::archive::Archive;
use crate::error::Error;
use crate::job::Job;
use crate::multipart_upload::MultipartUpload;
use crate::source::Source;
use crate::upload::UploadArchive;

/// A vault: a place for archives in one region of an account.
///
/// Cheap to clone. Holding one says nothing about whether the vault exists: only a request does.
#[derive(Clone, Debug)]
pub struct Vault {
    api: CasApi,
    name: VaultName,
    description: Option<VaultDescription>,
}

impl Vault {
    /// The vault of this name, without asking the service.
    #[must_use]
    pub fn named(api: &CasApi, name: impl Into<VaultName>) -> Self {
        Vault { api: api.clone(), name: name.into(), description: None }
    }

    /// A vault the service described.
    #[must_use]
    pub fn from_description(api: &CasApi, description: VaultDescription) -> Self {
        Vault { api: api.clone(), name: description.name.clone(), description: Some(description) }
    }

    /// Creates a vault, or finds one's own of that name, and has it described. Two requests.
    ///
    /// # Errors
    ///
    /// When the service refuses, for instance because the account has 1000 vaults.
    #[doc(alias = "create_vault")]
    pub async fn create(api: &CasApi, name: impl Into<VaultName>) -> Result<Self, Error> {
        let name = name.into();
        api.create_vault(&name).await?;
        Self::get_vault_by_name(api, name).await
    }

    /// Has a vault described. One request, not a scan of all vaults.
    ///
    /// # Errors
    ///
    /// When there is no such vault.
    pub async fn get_vault_by_name(api: &CasApi, name: impl Into<VaultName>) -> Result<Self, Error> {
        let output = api.describe_vault(name).await?;
        Ok(Self::from_description(api, output.vault))
    }

    /// Deletes a vault. It must hold no archive and no unfinished upload.
    ///
    /// # Errors
    ///
    /// When there is no such vault, or it is not empty.
    pub async fn delete_vault_by_name(api: &CasApi, name: impl Into<VaultName>) -> Result<(), Error> {
        Self::named(api, name).delete().await
    }

    /// All vaults of the account, by name.
    pub fn list_all_vaults(api: &CasApi) -> impl Stream<Item = Result<Vault, Error>> + Send {
        let handle = api.clone();
        api.list_vaults().items().map_ok(move |vault| Vault::from_description(&handle, vault)).map_err(Error::from)
    }

    /// The typed client behind it.
    #[must_use]
    pub fn api(&self) -> &CasApi {
        &self.api
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &VaultName {
        &self.name
    }

    /// What the service said of it, if it was asked.
    #[must_use]
    pub fn description(&self) -> Option<&VaultDescription> {
        self.description.as_ref()
    }

    /// When it was created, if the service was asked.
    #[must_use]
    pub fn creation_date(&self) -> Option<Timestamp> {
        Some(self.description.as_ref()?.creation_date)
    }

    /// When its totals were last refreshed, if the service was asked and they ever were.
    #[must_use]
    pub fn last_inventory_date(&self) -> Option<Timestamp> {
        self.description.as_ref()?.last_inventory_date
    }

    /// How many archives it held on that date.
    #[must_use]
    pub fn number_of_archives(&self) -> Option<u64> {
        self.description.as_ref()?.number_of_archives
    }

    /// How many bytes they had on that date.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.description.as_ref()?.size_in_bytes
    }

    /// Its resource name, if the service was asked.
    #[must_use]
    pub fn qcs(&self) -> Option<&str> {
        Some(self.description.as_ref()?.qcs.as_str())
    }

    /// An archive of this vault, without asking the service.
    #[doc(alias = "get_archive")]
    #[must_use]
    pub fn archive(&self, id: impl Into<ArchiveId>) -> Archive {
        Archive::new(self, id)
    }

    /// Has a job described.
    ///
    /// # Errors
    ///
    /// When there is no such job, or it is too long ago.
    #[doc(alias = "get_job")]
    pub async fn job(&self, id: impl Into<JobId>) -> Result<Job, Error> {
        let output = self.api.describe_job(&self.name, id).await?;
        Ok(Job::from_description(self, output.job))
    }

    /// Has a multipart upload described, with the parts it has.
    ///
    /// # Errors
    ///
    /// When there is no such upload: it was completed, aborted, or is older than 24 hours.
    #[doc(alias = "get_multipart_uploader")]
    pub async fn multipart_upload(&self, id: impl Into<UploadId>) -> Result<MultipartUpload, Error> {
        MultipartUpload::describe(self, &id.into()).await
    }

    /// Uploads an archive: in one request when it is small, in parallel parts otherwise. Await the value to do it.
    pub fn upload_archive(&self, source: impl Into<Source>) -> UploadArchive {
        UploadArchive::new(self, source.into())
    }

    /// Goes on with a multipart upload of this source: hashes again the parts the service has, and sends those that are missing or differ.
    /// Await the value to do it.
    #[doc(alias = "resume")]
    pub fn resume_upload(&self, id: impl Into<UploadId>, source: impl Into<Source>) -> UploadArchive {
        UploadArchive::new(self, source.into()).resuming(id.into())
    }

    /// Begins a multipart upload whose parts the caller sends. Most want [`upload_archive`](Self::upload_archive).
    ///
    /// # Errors
    ///
    /// When the service refuses.
    pub async fn initiate_multipart_upload(
        &self,
        part_size: PartSize,
        description: Option<Description>,
    ) -> Result<MultipartUpload, Error> {
        MultipartUpload::start(self, part_size, description).await
    }

    /// The unfinished multipart uploads, oldest first.
    pub fn list_all_multipart_uploads(&self) -> impl Stream<Item = Result<UploadDescription, Error>> + Send {
        self.api.list_multipart_uploads(&self.name).items().map_err(Error::from)
    }

    /// The running and recently finished jobs.
    pub fn list_all_jobs(&self) -> impl Stream<Item = Result<Job, Error>> + Send {
        let vault = self.clone();
        self.api.list_jobs(&self.name).items().map(move |job| Ok(Job::from_description(&vault, job?)))
    }

    /// Starts a job that makes an archive readable. Await the value to do it.
    #[doc(alias = "initiate_archive_retrieval")]
    pub fn retrieve_archive(&self, id: impl Into<ArchiveId>) -> StartJob<ArchiveRetrieval> {
        StartJob { vault: self.clone(), parameters: ArchiveRetrieval::new(id) }
    }

    /// Starts a job that lists the archives of the vault. Await the value to do it.
    pub fn initiate_retrieve_inventory(&self) -> StartJob<InventoryRetrieval> {
        StartJob { vault: self.clone(), parameters: InventoryRetrieval::new() }
    }

    /// Starts a job that writes an archive to a COS object of the same account. Await the value to do it.
    pub fn push_archive_to_cos(
        &self,
        id: impl Into<ArchiveId>,
        bucket: impl Into<String>,
        object: impl Into<String>,
    ) -> StartJob<PushToCos> {
        StartJob { vault: self.clone(), parameters: PushToCos::new(id, bucket, object) }
    }

    /// Starts a job that makes a COS object of the same account an archive. Await the value to do it.
    pub fn pull_archive_from_cos(&self, bucket: impl Into<String>, object: impl Into<String>) -> StartJob<PullFromCos> {
        StartJob { vault: self.clone(), parameters: PullFromCos::new(bucket, object) }
    }

    /// Deletes an archive.
    ///
    /// # Errors
    ///
    /// When there is no such archive.
    pub async fn delete_archive(&self, id: impl Into<ArchiveId>) -> Result<(), Error> {
        self.api.delete_archive(&self.name, id).await?;
        Ok(())
    }

    /// Deletes the vault. It must hold no archive and no unfinished upload.
    ///
    /// # Errors
    ///
    /// When there is no such vault, or it is not empty.
    pub async fn delete(&self) -> Result<(), Error> {
        self.api.delete_vault(&self.name).await?;
        Ok(())
    }
}

/// A job about to be started: a value with setters. Await it to start the job.
///
/// The job is described by the service when it is had; if that fails only its identifier and kind are known until
/// [`Job::update_status`].
///
/// The start is not repeated when its outcome is unknown, because a second job would be billed; the error is then
/// [`Ambiguous`](cas_api::ErrorKind::Ambiguous), and [`Vault::list_all_jobs`] tells whether it happened.
#[derive(Clone, Debug)]
#[must_use = "nothing is started until it is awaited"]
pub struct StartJob<P> {
    vault: Vault,
    parameters: P,
}

/// Declares the setters of a kind of job, each the one of its parameters.
macro_rules! job_setters {
    ($parameters:ident { $( $(#[$meta:meta])* $name:ident: $ty:ty, )* }) => {
        impl StartJob<$parameters> {
            $(
                $(#[$meta])*
                pub fn $name(mut self, $name: impl Into<$ty>) -> Self {
                    self.parameters = self.parameters.$name($name);
                    self
                }
            )*

            /// Keeps this free text with the job.
            pub fn description(mut self, text: impl Into<String>) -> Self {
                self.parameters = self.parameters.description(text);
                self
            }

            /// Has this address called when the job is done.
            pub fn call_back_url(mut self, url: impl Into<CallbackUrl>) -> Self {
                self.parameters = self.parameters.call_back_url(url);
                self
            }
        }
    };
}

job_setters! {
    ArchiveRetrieval {
        /// Retrieves only these bytes.
        range: RetrievalRange,
        /// How soon it is wanted.
        tier: Tier,
    }
}

job_setters! {
    InventoryRetrieval {
        /// JSON or CSV.
        format: InventoryFormat,
        /// Lists only archives created at this time or later.
        start_date: Timestamp,
        /// Lists only archives created at this time or earlier.
        end_date: Timestamp,
        /// Lists at most this many archives.
        limit: InventoryLimit,
        /// Goes on where an earlier inventory ended.
        marker: Marker,
    }
}

job_setters! {
    PushToCos {
        /// Writes only these bytes.
        range: RetrievalRange,
        /// How soon it is wanted.
        tier: Tier,
    }
}

job_setters! {
    PullFromCos {
        /// Keeps this description with the new archive.
        archive_description: Description,
    }
}

impl<P: Into<JobParameters> + Send + 'static> IntoFuture for StartJob<P> {
    type Output = Result<Job, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let parameters = self.parameters.into();
            let action = action_of(&parameters);
            let started = self.vault.api.initiate_job(&self.vault.name, parameters).await?;
            // The job runs, and is billed, whether or not it can be described at once: an error here would lose it.
            Ok(match self.vault.job(&started.job_id).await {
                Ok(job) => job,
                Err(_) => Job::from_description(&self.vault, JobDescription::new(started.job_id, action)),
            })
        })
    }
}

fn action_of(parameters: &JobParameters) -> JobAction {
    match parameters {
        JobParameters::ArchiveRetrieval(_) => JobAction::ArchiveRetrieval,
        JobParameters::InventoryRetrieval(_) => JobAction::InventoryRetrieval,
        JobParameters::PushToCos(_) => JobAction::PushToCos,
        JobParameters::PullFromCos(_) => JobAction::PullFromCos,
        other => JobAction::from(other.job_type()),
    }
}
