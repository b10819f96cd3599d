//! Fuzz target: see `key_blocks` in bodies.rs.
#![no_main]

#[expect(dead_code, reason = "each target runs one body")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::key_blocks(data));
