//! The stories that cross the crates.

mod faults;
mod sign_referee;
mod transfers;
