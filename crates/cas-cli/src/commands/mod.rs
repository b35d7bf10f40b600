//! One module for each command: what it asks of the layers below, and what it says of the answer.

pub(crate) mod archive;
pub(crate) mod demo;
pub(crate) mod emulator;
pub(crate) mod fetch;
pub(crate) mod inventory;
pub(crate) mod job;
pub(crate) mod multipart;
pub(crate) mod notification;
pub(crate) mod policy;
pub(crate) mod retrieve;
pub(crate) mod sign;
pub(crate) mod tree_hash;
pub(crate) mod upload;
pub(crate) mod vault;
