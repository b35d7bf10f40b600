//! Any pieces on any kernel give the answers of ring and of the oracle.

#![no_main]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../crates/cas-treehash/tests/it/oracle.rs"]
mod oracle;
#[path = "../../crates/cas-treehash/tests/it/fuzzed/splits.rs"]
mod splits;

libfuzzer_sys::fuzz_target!(|input: &[u8]| splits::check(input));
