//! The doctor: says in one sentence what the bytes of a peer are, by trying everything we know.
//!
//! Every framing cuts the bytes, every specification reads what was cut; what reads whole messages
//! and gives the same bytes back comes first. A live listener asks once per connection, when the
//! first message does not parse; its desk keeps the log from being flooded. No byte of a peer ever
//! stands in a sentence.

mod examine;

mod finding;

mod probe;

mod desk;

pub use desk::{Admission, Desk};
pub use examine::{EXAMINED_BYTES_MAX, examine, suspects};
pub use finding::{Diagnosis, End, Finding, Fit};
pub use probe::Probe;
