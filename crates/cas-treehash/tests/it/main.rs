//! What the crate promises, seen from outside.

#[cfg_attr(miri, allow(dead_code, reason = "fewer tests need it there"))]
mod oracle;

mod shape;
mod short;

// These hash megabytes, or made-up leaves by the thousand, which would take Miri days.
#[cfg(not(miri))]
mod equality;
#[cfg(not(miri))]
mod fuzzed;
#[cfg(not(miri))]
mod leaves;
#[cfg(not(miri))]
mod limits;
#[cfg(not(miri))]
mod pages;
#[cfg(not(miri))]
mod properties;
#[cfg(not(miri))]
mod reading;
#[cfg(not(miri))]
mod resumable;
#[cfg(not(miri))]
mod vectors;
#[cfg(not(miri))]
mod verify;
