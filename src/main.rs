//! cardswitch: the one binary.
fn main() {}
