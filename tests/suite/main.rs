//! One fast test binary: what the product promises, as data where it can be.

mod codec_properties;
mod golden_messages;
