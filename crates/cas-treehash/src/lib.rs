#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod digest;

pub use digest::{ContentSha256, ParseDigestError, TreeHash};
