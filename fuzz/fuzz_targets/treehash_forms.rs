//! Saved states, files of leaves, proofs and digests read whatever they are given without harm.

#![no_main]

#[path = "../../crates/cas-treehash/tests/it/fuzzed/forms.rs"]
mod forms;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../crates/cas-treehash/tests/it/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| forms::check(input));
