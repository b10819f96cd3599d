//! Fuzz target: see `chips` in bodies.rs.
#![no_main]

#[expect(dead_code, reason = "each target runs one body")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::chips(data));
