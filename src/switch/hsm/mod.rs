//! HSM devices on the network: connections to them, the keys that go with them, and a played one.

pub mod desk;

pub(super) mod waiting;

pub mod line;

pub mod key_table;

pub mod played;
