//! The table: the 22 requests of the service, one row each.
//!
//! A row names the method the clients have for it, the operation, the HTTP method and path, what a repeat does ([`Repeat`]), where archive
//! bytes travel ([`ShapeKind`]), and for each field the place it has in the request. `docs/protocol.md` §5 describes each operation.

use crate::document::{AccessPolicy, JobParameters, JobStatus, NotificationConfiguration};
use crate::header::{
    CONTENT_RANGE, RANGE, X_CAS_ARCHIVE_DESCRIPTION, X_CAS_ARCHIVE_SIZE, X_CAS_CONTENT_SHA256, X_CAS_PART_SIZE,
    X_CAS_SHA256_TREE_HASH,
};
use crate::id::{ArchiveId, Description, JobId, Limit, Marker, Uid, UploadId, VaultName};
use crate::range::{ArchiveSize, OutputRange, PartRange, PartSize};
pub use crate::wire::Operation;
#[cfg(doc)]
use crate::wire::ShapeKind;
use crate::wire::{FieldInfo, OperationInfo, Repeat, RequestReader, RequestWriter, Shape, WireError};
use cas_treehash::{ContentSha256, TreeHash};

/// Hands the table to a macro: `operations!(define_operations)`, or `operations!(client_methods Client)` with a word of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! operations {
    ($then:ident $($with:ident)?) => { $then! { $($with)?

    /// Creates a vault. Creating one's own vault again changes nothing.
    fn create_vault: CreateVault = PUT "/{uid}/vaults/{vault}", Safe, Plain {
        /// The new vault's name.
        path vault: VaultName,
    }

    /// Deletes a vault that holds no archive and no unfinished multipart upload.
    fn delete_vault: DeleteVault = DELETE "/{uid}/vaults/{vault}", SafeIfGone, Plain {
        /// The vault.
        path vault: VaultName,
    }

    /// Describes a vault. Its totals are refreshed once a day and are absent before the first time.
    fn describe_vault: DescribeVault = GET "/{uid}/vaults/{vault}", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    }

    /// Lists the account's vaults by name.
    fn list_vaults: ListVaults = GET "/{uid}/vaults", Safe, Plain {
    } optional {
        /// At most this many vaults.
        query limit: Limit,
        /// Where to go on, from the page before.
        query marker: Marker,
    }

    /// Sets who may do what with a vault, in place of any earlier policy.
    fn set_vault_access_policy: SetVaultAccessPolicy = PUT "/{uid}/vaults/{vault}/access-policy", Safe, Plain {
        /// The vault.
        path vault: VaultName,
        /// The policy.
        json policy: AccessPolicy,
    }

    /// Gets the policy of a vault.
    fn get_vault_access_policy: GetVaultAccessPolicy = GET "/{uid}/vaults/{vault}/access-policy", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    }

    /// Removes the policy of a vault.
    fn delete_vault_access_policy: DeleteVaultAccessPolicy = DELETE "/{uid}/vaults/{vault}/access-policy", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    }

    /// Sets where a vault reports finished jobs.
    fn set_vault_notification_configuration: SetVaultNotificationConfiguration =
        PUT "/{uid}/vaults/{vault}/notification-configuration", Safe, Plain {
        /// The vault.
        path vault: VaultName,
        /// The address and the events.
        json configuration: NotificationConfiguration,
    }

    /// Gets where a vault reports finished jobs.
    fn get_vault_notifications: GetVaultNotifications = GET "/{uid}/vaults/{vault}/notification-configuration", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    }

    /// Stops a vault from reporting finished jobs.
    fn delete_vault_notifications: DeleteVaultNotifications = DELETE "/{uid}/vaults/{vault}/notification-configuration", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    }

    /// Uploads an archive in one request. A repeat makes a second archive.
    fn upload_archive: UploadArchive = POST "/{uid}/vaults/{vault}/archives", Unsafe, Upload {
        /// The vault that will hold the archive.
        path vault: VaultName,
        /// SHA-256 of the archive.
        header(X_CAS_CONTENT_SHA256) sha256: ContentSha256,
        /// Tree hash of the archive.
        header(X_CAS_SHA256_TREE_HASH) tree_hash: TreeHash,
    } optional {
        /// Free text kept with the archive.
        header(X_CAS_ARCHIVE_DESCRIPTION) description: Description,
    }

    /// Deletes an archive. Outputs already retrieved from it stay readable.
    fn delete_archive: DeleteArchive = DELETE "/{uid}/vaults/{vault}/archives/{archive_id}", SafeIfGone, Plain {
        /// The vault.
        path vault: VaultName,
        /// The archive.
        path archive_id: ArchiveId,
    }

    /// Starts a multipart upload, which must be completed within 24 hours. A repeat leaves an unused upload behind until it expires.
    fn initiate_multipart_upload: InitiateMultipartUpload = POST "/{uid}/vaults/{vault}/multipart-uploads", Unsafe, Plain {
        /// The vault that will hold the archive.
        path vault: VaultName,
        /// The size of every part but the last.
        header(X_CAS_PART_SIZE) part_size: PartSize,
    } optional {
        /// Free text kept with the archive.
        header(X_CAS_ARCHIVE_DESCRIPTION) description: Description,
    }

    /// Uploads one part of a multipart upload. Parts may come in any order and again; the last one counts.
    fn upload_part: UploadPart = PUT "/{uid}/vaults/{vault}/multipart-uploads/{upload_id}", Safe, Upload {
        /// The vault that will hold the archive.
        path vault: VaultName,
        /// The upload this part belongs to.
        path upload_id: UploadId,
        /// Which bytes of the archive these are, both ends included.
        header(CONTENT_RANGE) range: PartRange,
        /// SHA-256 of the part's bytes.
        header(X_CAS_CONTENT_SHA256) sha256: ContentSha256,
        /// Tree hash of the part's bytes.
        header(X_CAS_SHA256_TREE_HASH) tree_hash: TreeHash,
    }

    /// Makes the parts of a multipart upload an archive. Afterwards the upload is gone.
    fn complete_multipart_upload: CompleteMultipartUpload =
        POST "/{uid}/vaults/{vault}/multipart-uploads/{upload_id}", Unsafe, Plain {
        /// The vault.
        path vault: VaultName,
        /// The upload.
        path upload_id: UploadId,
        /// The archive's size: the sum of its parts.
        header(X_CAS_ARCHIVE_SIZE) size: ArchiveSize,
        /// The archive's tree hash, which the service compares with the one its parts combine to.
        header(X_CAS_SHA256_TREE_HASH) tree_hash: TreeHash,
    }

    /// Gives up a multipart upload and its parts.
    fn abort_multipart_upload: AbortMultipartUpload = DELETE "/{uid}/vaults/{vault}/multipart-uploads/{upload_id}", SafeIfGone, Plain {
        /// The vault.
        path vault: VaultName,
        /// The upload.
        path upload_id: UploadId,
    }

    /// Lists the parts of a multipart upload by their place in the archive.
    fn list_parts: ListParts = GET "/{uid}/vaults/{vault}/multipart-uploads/{upload_id}", Safe, Plain {
        /// The vault.
        path vault: VaultName,
        /// The upload.
        path upload_id: UploadId,
    } optional {
        /// At most this many parts.
        query limit: Limit,
        /// Where to go on, from the page before: the offset of a part.
        query marker: Marker,
    }

    /// Lists the unfinished multipart uploads of a vault, oldest first.
    fn list_multipart_uploads: ListMultipartUploads = GET "/{uid}/vaults/{vault}/multipart-uploads", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    } optional {
        /// At most this many uploads.
        query limit: Limit,
        /// Where to go on, from the page before.
        query marker: Marker,
    }

    /// Starts a job. A repeat may start, and bill, a second one.
    fn initiate_job: InitiateJob = POST "/{uid}/vaults/{vault}/jobs", Unsafe, Plain {
        /// The vault.
        path vault: VaultName,
        /// What the job is to do.
        json parameters: JobParameters,
    }

    /// Describes a job.
    fn describe_job: DescribeJob = GET "/{uid}/vaults/{vault}/jobs/{job_id}", Safe, Plain {
        /// The vault.
        path vault: VaultName,
        /// The job.
        path job_id: JobId,
    }

    /// Lists the running and recently finished jobs of a vault.
    fn list_jobs: ListJobs = GET "/{uid}/vaults/{vault}/jobs", Safe, Plain {
        /// The vault.
        path vault: VaultName,
    } optional {
        /// Only jobs that are finished, or only those that are not.
        query completed: bool,
        /// At most this many jobs.
        query limit: Limit,
        /// Where to go on, from the page before.
        query marker: Marker,
        /// Only jobs that are this far.
        query("statuscode") status: JobStatus,
    }

    /// Reads the output of a finished job, whole or in part.
    fn get_job_output: GetJobOutput = GET "/{uid}/vaults/{vault}/jobs/{job_id}/output", Safe, Download {
        /// The vault.
        path vault: VaultName,
        /// The job.
        path job_id: JobId,
    } optional {
        /// Only these bytes of the output, counted from its first.
        header(RANGE) range: OutputRange,
    }

    } };
}

operations!(define_operations);

/// The operation that a request with this method and path is; `None` when there is no such operation.
#[must_use]
pub fn route(method: &http::Method, path: &str) -> Option<&'static OperationInfo> {
    OPERATIONS.iter().copied().find(|info| info.matches(method, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twenty_two_operations_and_no_two_answer_to_one_request() {
        assert_eq!(OPERATIONS.len(), 22);
        for info in OPERATIONS {
            let matching: Vec<_> = OPERATIONS.iter().filter(|other| other.matches(&info.method, info.path)).collect();
            assert_eq!(matching.len(), 1, "{}", info.name);
        }
    }

    #[test]
    fn names_of_methods_are_names_of_operations() {
        for info in OPERATIONS {
            let joined: String = info.method_name.split('_').collect();
            assert_eq!(joined, info.name.to_lowercase());
        }
    }

    #[test]
    fn a_path_is_routed_by_its_shape() {
        let name = |method, path| route(&method, path).map(|info| info.name);
        assert_eq!(name(http::Method::GET, "/-/vaults"), Some("ListVaults"));
        assert_eq!(name(http::Method::GET, "/1/vaults/v/jobs/j/output"), Some("GetJobOutput"));
        assert_eq!(name(http::Method::GET, "/1/vaults/"), None);
        assert_eq!(name(http::Method::PATCH, "/1/vaults/v"), None);
        assert_eq!(name(http::Method::GET, "//1/vaults/v"), None);
    }

    #[test]
    fn every_field_of_the_widest_listing_travels() {
        let vault = VaultName::parse("v").unwrap();
        let list = ListJobs::new(&vault)
            .completed(true)
            .marker(Marker::parse("a/b c").unwrap())
            .limit(Limit::MAX)
            .status(JobStatus::InProgress);
        let request = list.encode(Uid::Own);
        assert_eq!(request.uri(), "/-/vaults/v/jobs?completed=true&limit=1000&marker=a%2Fb%20c&statuscode=InProgress");
        let (path, query) = (request.uri().path(), request.uri().query().unwrap());
        let (uid, read) = AnyOperation::read(ListJobs::INFO, path, query, request.headers(), request.body()).unwrap();
        assert_eq!((uid, read), (Uid::Own, list.into()));
    }

    #[test]
    fn a_missing_header_names_itself() {
        let headers = http::HeaderMap::new();
        let error = AnyOperation::read(UploadArchive::INFO, "/-/vaults/v/archives", "", &headers, b"").unwrap_err();
        assert_eq!(error, WireError::missing("x-cas-content-sha256"));
    }

    #[test]
    fn what_a_query_may_look_like_is_read() {
        let headers = http::HeaderMap::new();
        let read = |query| AnyOperation::read(ListJobs::INFO, "/-/vaults/v/jobs", query, &headers, b"");
        for query in ["completed=True&marker", "marker=&completed=true", "Completed=true&unknown=1", "completed=true&&"]
        {
            let (_, operation) = read(query).unwrap();
            assert_eq!(operation, ListJobs::new(VaultName::parse("v").unwrap()).completed(true).into(), "{query}");
        }
        assert!(read("limit=0").is_err());
        assert!(read("completed=maybe").is_err());
    }
}
