#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
mod archive;
mod checkpoint;
mod download;
mod error;
mod inventory;
mod job;
mod multipart_upload;
mod plan;
mod progress;
mod source;
mod target;
mod upload;
mod vault;
mod wait;

pub use account::Account;
pub use archive::Archive;
pub use download::{DownloadToFile, Downloaded, RangeRead, SLICE_SIZE, SLICES_IN_FLIGHT, Verification};
pub use error::{Error, ErrorKind};
pub use job::{Job, WaitForJob};
pub use multipart_upload::MultipartUpload;
pub use plan::PartPlan;
pub use progress::{Progress, Snapshot};
pub use source::Source;
pub use upload::{MULTIPART_THRESHOLD, PARTS_IN_FLIGHT, UploadArchive, Uploaded};
pub use vault::{StartJob, Vault};
pub use wait::until_next_look;

pub use cas_api;
