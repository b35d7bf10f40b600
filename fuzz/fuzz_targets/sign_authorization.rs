//! Any text as an `Authorization`. What must hold is written beside the test that replays the corpus.

#![no_main]

#[path = "../../crates/cas-sign/tests/it/fuzzed/sign_authorization.rs"]
mod sign_authorization;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sign_authorization::check(input));
