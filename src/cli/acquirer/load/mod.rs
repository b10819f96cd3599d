//! The load client: many connections, one thread, one readiness loop.
//!
//! Closed loop (a window per connection) or open loop (a fixed schedule; a latency counts from the
//! scheduled time, so a stalled switch cannot hide the messages it delayed). Messages are built
//! once per kind as templates and patched; a reply is matched by STAN and RRN at cached positions,
//! and decoded in full only when its layout is new. The corridor bench uses the same engine.

mod cards;

mod mix;

mod digits;

mod template;

mod layout;

mod connection;

mod pins;

mod plan;

mod exchange;

mod alarm;

mod engine;

mod report;

pub use cards::{LoadCard, cards_from_toml};
pub use engine::run;
pub use mix::{Kind, Mix};
pub use pins::PinBlocks;
pub use plan::{LoadError, LoadPlan, Pace, Progress};
pub use report::LoadReport;
pub use template::{Template, TemplateError};
