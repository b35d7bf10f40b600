//! The crate from outside: published numbers, stated rules, properties, and both halves against each other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is all test code, and its helpers are not marked as such")]

mod explained;
mod fuzzed;
#[cfg(feature = "http")]
mod heads;
mod presigned;
mod properties;
mod rules;
mod secrets;
mod signers;
mod support;
mod vectors;
mod verified;
