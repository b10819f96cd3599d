//! HSM devices on the network: connections to them, the keys that go with them, and a played one.

pub mod line;

pub mod key_table;

pub mod played;
