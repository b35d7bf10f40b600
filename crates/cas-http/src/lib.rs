#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
pub mod wire;
pub mod document;
pub mod error_body;
pub mod header;
pub mod id;
pub mod json;
pub mod ops;
pub mod range;
mod timestamp;

pub use error_body::ServiceError;
pub use id::{
    AppId, ArchiveId, Description, InvalidValue, InventoryLimit, JobId, Limit, Marker, RequestId, Uid, UploadId,
    VaultName,
};
pub use ops::OPERATIONS;
pub use range::{ArchiveSize, ByteRange, ContentRange, MIB, OutputRange, PartRange, PartSize, RetrievalRange};
pub use timestamp::Timestamp;
pub use wire::{Operation, OperationInfo, WireError};

pub use cas_treehash::{ContentSha256, TreeHash};
