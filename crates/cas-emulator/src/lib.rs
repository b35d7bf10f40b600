#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
pub use account::Account;
mod builder;
pub use builder::Builder;
mod clock;
pub use clock::Clock;
mod cos;
pub use cos::Cos;
mod counters;
pub use counters::Counters;
mod emulator;
pub use emulator::Emulator;
mod error;
pub use error::{Error, ErrorKind};
mod faults;
pub use faults::{Fault, FaultRule, Faults};
mod settings;
pub use settings::{JobDelay, Limits};
mod store;
pub use store::fsck::{Report, fsck};
mod tolerance;
pub use tolerance::Tolerance;

mod admin;
mod auth;
mod body;
mod failure;
mod handlers;
mod ids;
mod jobs;
mod notify;
mod policy;
mod seed;
mod server;
mod service;
