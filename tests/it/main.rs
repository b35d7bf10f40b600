//! The stories that cross the crates.

mod blocking;
mod downstream;
mod faults;
mod secrets;
mod sign_referee;
mod transfers;
