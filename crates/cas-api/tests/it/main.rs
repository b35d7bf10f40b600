//! Tests of the crate from outside.

#[cfg(feature = "client")]
mod client;
mod goldens;
