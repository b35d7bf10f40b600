//! Any request, signed and verified. What must hold is written beside the test that replays the corpus.

#![no_main]

#[path = "../../crates/cas-sign/tests/it/fuzzed/sign_verify.rs"]
mod sign_verify;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sign_verify::check(input));
