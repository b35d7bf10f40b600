//! The emulator from outside, byte by byte.

#![expect(clippy::unwrap_used, reason = "this is all test code, and its helpers are not marked as such")]

mod access;
mod admin;
mod durability;
mod faults;
mod fuzzed;
mod hostile;
mod jobs;
mod manual;
mod operations;
mod program;
mod rules;
mod signatures;
mod wire;
