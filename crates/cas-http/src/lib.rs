#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod table;
pub mod document;
pub mod error_body;
pub mod header;
pub mod id;
mod job_parameters;
pub mod json;
pub mod ops;
pub mod range;
mod raw;
mod timestamp;
pub mod wire;

pub use error_body::ServiceError;
pub use id::{
    AppId, ArchiveId, Description, InvalidValue, InventoryLimit, JobId, Limit, Marker, RequestId, Uid, UploadId,
    VaultName,
};
pub use ops::OPERATIONS;
pub use range::{ArchiveSize, ByteRange, ContentRange, MIB, OutputRange, PartRange, PartSize, RetrievalRange};
pub use raw::Raw;
pub use timestamp::Timestamp;
pub use wire::{Operation, OperationInfo, WireError};

pub use cas_treehash::{ContentSha256, TreeHash};

#[cfg(feature = "client")]
pub mod credentials;
#[cfg(feature = "client")]
#[cfg(any(test, feature = "test-util"))]
pub mod secret_watch;
#[cfg(feature = "client")]
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;

#[cfg(feature = "blocking")]
mod blocking;
#[cfg(feature = "blocking")]
pub use blocking::Blocking;
#[cfg(feature = "client")]
mod body;
#[cfg(feature = "client")]
pub use body::{Body, FRAME_SIZE, Frames, OnceBody};
#[cfg(feature = "client")]
mod call;
#[cfg(feature = "client")]
pub use call::{BoxFuture, Call, CallOptions, CallReport, Caller, Outcome, Pending};
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "client")]
mod clock;
#[cfg(feature = "client")]
pub use clock::{Clock, SystemClock};
#[cfg(feature = "client")]
mod config;
#[cfg(feature = "client")]
pub use config::{ClientBuilder, PoolOptions};
#[cfg(feature = "client")]
mod connect;
#[cfg(feature = "client")]
mod endpoint;
#[cfg(feature = "client")]
pub use endpoint::Endpoint;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
pub use error::{BoxError, Error, ErrorKind, TimeLimit};
#[cfg(feature = "client")]
mod exchange;
#[cfg(feature = "client")]
mod observe;
#[cfg(feature = "client")]
pub use observe::Counters;
#[cfg(feature = "client")]
mod pool;
#[cfg(feature = "client")]
mod proxy;
#[cfg(feature = "client")]
pub use proxy::Proxy;
#[cfg(feature = "client")]
mod response_body;
#[cfg(feature = "client")]
pub use response_body::{BodyLength, ResponseBody};
#[cfg(feature = "client")]
mod retry;
#[cfg(feature = "client")]
pub use retry::RetryPolicy;
#[cfg(feature = "client")]
mod run;
#[cfg(feature = "client")]
mod send_body;
#[cfg(feature = "client")]
mod timeout;
#[cfg(feature = "client")]
pub use timeout::{PROGRESS_FLOOR, Timeouts};
#[cfg(feature = "client")]
mod tls;
#[cfg(feature = "client")]
pub use tls::{TlsOptions, TlsVersion};
#[cfg(feature = "client")]
mod transport;
#[cfg(feature = "client")]
mod tunnel;

#[cfg(feature = "client")]
pub use cas_sign::{Credentials, SigningOptions};
#[cfg(feature = "client")]
pub use credentials::ProvideCredentials;
