//! The header names of the service, each spelled once.
//!
//! `http` keeps names in lower case, which is how they travel; the service's pages write some with capitals (`x-cas-requestId`).

use http::HeaderName;
pub use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, LOCATION, RANGE};

/// The identifier of an archive that was just stored.
pub const X_CAS_ARCHIVE_ID: HeaderName = HeaderName::from_static("x-cas-archive-id");
/// Free text kept with an archive: at most 1024 bytes of UTF-8.
pub const X_CAS_ARCHIVE_DESCRIPTION: HeaderName = HeaderName::from_static("x-cas-archive-description");
/// The size of a whole archive in bytes, sent when a multipart upload is completed.
pub const X_CAS_ARCHIVE_SIZE: HeaderName = HeaderName::from_static("x-cas-archive-size");
/// SHA-256 of the body.
pub const X_CAS_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-cas-content-sha256");
/// The identifier of a job that was just started.
pub const X_CAS_JOB_ID: HeaderName = HeaderName::from_static("x-cas-job-id");
/// The identifier of a multipart upload that was just started.
pub const X_CAS_MULTIPART_UPLOAD_ID: HeaderName = HeaderName::from_static("x-cas-multipart-upload-id");
/// The part size of a multipart upload in bytes.
pub const X_CAS_PART_SIZE: HeaderName = HeaderName::from_static("x-cas-part-size");
/// The identifier of one request, on every answer.
pub const X_CAS_REQUEST_ID: HeaderName = HeaderName::from_static("x-cas-requestid");
/// The token of temporary credentials. No page of the service documents this header; the name is a guess by analogy with COS.
pub const X_CAS_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-cas-security-token");
/// The tree hash of the body, or of the whole archive.
pub const X_CAS_SHA256_TREE_HASH: HeaderName = HeaderName::from_static("x-cas-sha256-tree-hash");
