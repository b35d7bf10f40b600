#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod authorization;
pub use authorization::{Authorization, AuthorizationError, NameList};
mod credentials;
pub use credentials::{Credentials, Key, SecretId, SecretKey, Token};
mod dialect;
pub use dialect::{Dialect, EmptyValues, ParameterReading, PathForm};
mod encode;
mod error;
pub use error::{Field, SignError};
mod explain;
pub use explain::{Explanation, Finding, Subject, Verdict, explain};
mod few;
mod format_string;
pub use format_string::FormatString;
mod options;
pub use options::{HeaderPolicy, KeyTime, ParameterPolicy, SigningOptions};
mod presign;
pub use presign::{Presigned, presign};
mod recipe;
mod request;
pub use request::SignableRequest;
mod sign;
pub use sign::{Signed, Signer, sign};
mod signature;
pub use signature::{Algorithm, Signature, SigningKey};
mod suspects;
mod time_range;
pub use time_range::TimeRange;
mod verify;
pub use verify::{Match, Time, Tolerance, Verified, Verifier, VerifyError};

#[cfg(feature = "http")]
pub mod http;
