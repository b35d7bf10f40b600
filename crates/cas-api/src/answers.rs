//! The table: the 22 answers of the service, one row each.
//!
//! A row names the operation, the status a server answers with, the output, and for each field the place it has in the answer; and what the
//! client looks at besides the status, where it does. `docs/protocol.md` §2.3 and §5 describe them.

use bytes::Bytes;
use cas_http::document::{AccessPolicy, NotificationConfiguration};
use cas_http::header::{
    CONTENT_RANGE, CONTENT_TYPE, LOCATION, X_CAS_ARCHIVE_ID, X_CAS_CONTENT_SHA256, X_CAS_JOB_ID,
    X_CAS_MULTIPART_UPLOAD_ID, X_CAS_REQUEST_ID, X_CAS_SHA256_TREE_HASH,
};
use cas_http::ops::GetJobOutput;
use cas_http::wire::{WireError, read_header};
use cas_http::{ArchiveId, ContentRange, ContentSha256, JobId, RequestId, TreeHash, UploadId};
use http::{HeaderMap, Response, StatusCode};

use crate::job::{JobDescription, JobList};
use crate::multipart::{PartList, UploadList};
use crate::vault::{VaultDescription, VaultList};
use crate::wire::{Answer, AnswerMeta, AnswerReader, AnswerWriter, Output, expect_status};

answers! {
    /// The vault exists, new or as before.
    CreateVault => CREATED CreateVaultOutput {
        /// Its path, `/<APPID>/vaults/<name>`.
        header(LOCATION) location: Option<String>,
    }

    /// The vault is gone.
    DeleteVault => NO_CONTENT DeleteVaultOutput {}

    /// The vault.
    DescribeVault => OK DescribeVaultOutput {
        /// What the service knows of it.
        json vault: VaultDescription,
    }

    /// One page of vaults.
    ListVaults => OK ListVaultsOutput {
        /// The page.
        json page: VaultList,
    }

    /// The policy is in force.
    SetVaultAccessPolicy => NO_CONTENT SetVaultAccessPolicyOutput {}

    /// The policy of a vault.
    GetVaultAccessPolicy => OK GetVaultAccessPolicyOutput {
        /// The policy.
        json policy: AccessPolicy,
    }

    /// There is no policy any more.
    DeleteVaultAccessPolicy => NO_CONTENT DeleteVaultAccessPolicyOutput {}

    /// The vault reports as asked.
    SetVaultNotificationConfiguration => NO_CONTENT SetVaultNotificationConfigurationOutput {}

    /// Where a vault reports finished jobs.
    GetVaultNotifications => OK GetVaultNotificationsOutput {
        /// The address and the events.
        json configuration: NotificationConfiguration,
    }

    /// The vault reports no more.
    DeleteVaultNotifications => NO_CONTENT DeleteVaultNotificationsOutput {}

    /// The archive is stored.
    UploadArchive => CREATED UploadArchiveOutput {
        /// Its identifier, the only way to find it again.
        header(X_CAS_ARCHIVE_ID) archive_id: ArchiveId,
        /// Its path.
        header(LOCATION) location: Option<String>,
        /// SHA-256 of what was stored, as the service repeats it.
        header(X_CAS_CONTENT_SHA256) sha256: Option<ContentSha256>,
        /// The tree hash that the service computed.
        header(X_CAS_SHA256_TREE_HASH) tree_hash: Option<TreeHash>,
    }

    /// The archive is gone.
    DeleteArchive => NO_CONTENT DeleteArchiveOutput {}

    /// The multipart upload waits for parts.
    InitiateMultipartUpload => CREATED InitiateMultipartUploadOutput {
        /// Its identifier; it lives 24 hours.
        header(X_CAS_MULTIPART_UPLOAD_ID) upload_id: UploadId,
        /// Its path.
        header(LOCATION) location: Option<String>,
    }

    /// The part is stored.
    UploadPart => NO_CONTENT UploadPartOutput {
        /// The tree hash that the service computed.
        header(X_CAS_SHA256_TREE_HASH) tree_hash: TreeHash,
    }

    /// The parts are an archive now.
    CompleteMultipartUpload => CREATED CompleteMultipartUploadOutput {
        /// Its identifier, the only way to find it again.
        header(X_CAS_ARCHIVE_ID) archive_id: ArchiveId,
        /// Its path.
        header(LOCATION) location: Option<String>,
    }

    /// The upload and its parts are gone.
    AbortMultipartUpload => NO_CONTENT AbortMultipartUploadOutput {}

    /// One page of parts.
    ListParts => OK ListPartsOutput {
        /// The page.
        json page: PartList,
    }

    /// One page of multipart uploads.
    ListMultipartUploads => OK ListMultipartUploadsOutput {
        /// The page.
        json page: UploadList,
    }

    /// The job is started.
    InitiateJob => ACCEPTED InitiateJobOutput {
        /// Its identifier.
        header(X_CAS_JOB_ID) job_id: JobId,
        /// Its path.
        header(LOCATION) location: Option<String>,
    }

    /// The job.
    DescribeJob => OK DescribeJobOutput {
        /// What the service knows of it.
        json job: JobDescription,
    }

    /// One page of jobs.
    ListJobs => OK ListJobsOutput {
        /// The page.
        json page: JobList,
    }

    /// The head of a job's output; the bytes come beside it.
    GetJobOutput => OK GetJobOutputOutput checked by holds_what_was_asked {
        /// Which bytes these are, when a range was asked for.
        header(CONTENT_RANGE) range: Option<ContentRange>,
        /// `application/octet-stream` for an archive, `application/json` or `text/csv` for an inventory.
        header(CONTENT_TYPE) content_type: Option<String>,
        /// The tree hash of exactly these bytes, when they are a whole subtree of the archive's tree.
        header(X_CAS_SHA256_TREE_HASH) tree_hash: Option<TreeHash>,
    }
}

/// Looks whether an output holds the bytes that were asked for. Without a range that is whatever comes.
fn holds_what_was_asked(operation: &GetJobOutput, status: StatusCode, headers: &HeaderMap) -> Result<(), WireError> {
    let Some(asked) = operation.range else {
        return expect_status(status, &[StatusCode::OK, StatusCode::PARTIAL_CONTENT]);
    };
    let found = match read_header::<ContentRange>(headers, CONTENT_RANGE)? {
        Some(came) if status == StatusCode::PARTIAL_CONTENT && asked.selects(came) => return Ok(()),
        Some(came) => format!("holds {came}"),
        None => "does not say which bytes it holds".to_owned(),
    };
    let why = format!("asked for {asked}, the answer {} {found}", status.as_str());
    Err(WireError::invalid(CONTENT_RANGE.as_str(), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_an_answer() {
        for info in cas_http::OPERATIONS {
            let error = rewrite(info.name, Response::new(Bytes::new())).err().map(|error| error.field().to_owned());
            assert_ne!(error.as_deref(), Some("operation"), "{}", info.name);
        }
        assert!(rewrite("InitiateVaultLock", Response::new(Bytes::new())).is_err());
    }

    #[test]
    fn a_missing_header_names_itself() {
        let error = UploadPartOutput::read(StatusCode::NO_CONTENT, HeaderMap::new(), b"").unwrap_err();
        assert_eq!(error.to_string(), "x-cas-sha256-tree-hash: missing");
    }

    #[test]
    fn a_server_answers_with_the_documented_status_and_its_request_id() {
        let mut output = CreateVaultOutput::new("/1250000000/vaults/photos".to_owned());
        output.meta.request_id = RequestId::parse("abc==").ok();
        let answer = output.write();
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["x-cas-requestid"], "abc==");
        assert_eq!(answer.headers().len(), 2);
        let read = CreateVaultOutput::read(answer.status(), answer.headers().clone(), b"").unwrap();
        assert_eq!(read.location, output.location);
        assert_eq!(read.request_id(), output.request_id());
    }
}
