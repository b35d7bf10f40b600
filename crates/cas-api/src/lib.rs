#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod wire;
pub mod answers;
#[cfg(feature = "client")]
mod api;
#[cfg(feature = "client")]
mod error;
pub mod inventory;
mod job;
mod multipart;
#[cfg(feature = "client")]
mod page;
pub mod policy;
mod vault;

#[cfg(feature = "client")]
pub use api::{CasApi, Delivery, Download};
#[cfg(feature = "client")]
pub use error::{Error, ErrorKind};
pub use job::{InventoryDescription, JobAction, JobDescription, JobList};
pub use multipart::{Part, PartList, UploadDescription, UploadList};
#[cfg(feature = "client")]
pub use page::{Listing, Pages};
pub use vault::{VaultDescription, VaultList};
pub use wire::{Answer, AnswerMeta, AnswerReader, AnswerWriter, Output};

pub use cas_http;
