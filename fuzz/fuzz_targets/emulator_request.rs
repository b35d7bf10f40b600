//! Any bytes as what a connection to the emulator carries. What must hold is written beside the test that replays the corpus.

#![no_main]

#[path = "../../crates/cas-emulator/tests/it/fuzzed/request.rs"]
mod request;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../crates/cas-emulator/tests/it/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(request::check(input)));
