//! Fuzz target: see `device_answers` in bodies.rs.
#![no_main]

#[expect(dead_code, reason = "each target runs one body")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::device_answers(data));
