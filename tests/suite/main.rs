//! One fast test binary: what the product promises, as data where it can be.

mod acquirer;
mod codec_properties;
mod golden_messages;
