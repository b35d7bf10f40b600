//! The stories that cross the crates.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is all test code, and its helpers are not marked as such")]

mod blocking;
mod faults;
mod sign_referee;
mod transfers;
