//! L5: subcommands of the one binary.

pub mod acquirer;
pub mod tail;
mod tail_follow;
mod tail_render;
