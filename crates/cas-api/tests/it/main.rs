//! Tests of the crate from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is all test code, and its helpers are not marked as such")]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod cuts;
mod goldens;
#[cfg(feature = "client")]
mod hostile;
#[cfg(feature = "client")]
mod secrets;
#[cfg(feature = "client")]
mod support;
