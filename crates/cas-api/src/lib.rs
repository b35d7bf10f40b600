#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod wire;
pub mod answers;
pub mod inventory;
mod job;
mod multipart;
mod vault;

pub use job::{InventoryDescription, JobAction, JobDescription, JobList};
pub use multipart::{Part, PartList, UploadDescription, UploadList};
pub use vault::{VaultDescription, VaultList};
pub use wire::{Answer, AnswerMeta, AnswerReader, AnswerWriter, Output};

pub use cas_http;
