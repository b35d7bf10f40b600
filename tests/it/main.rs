//! The stories that cross the crates.

mod blocking;
mod faults;
mod sign_referee;
mod transfers;
