//! The program as a program: started as a process in a folder of its own, judged by its output, its exit code and what it leaves behind.

// Processes are stopped and shells are run as on Unix.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "this is all test code, and its helpers are not marked as such")]

mod demo;
mod folder;
mod local;
mod page;
mod remote;
mod sign;
mod tree_hash;
mod trouble;
mod usage;
