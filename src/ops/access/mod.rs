//! Who may ask the operators' API for what: tokens, roles, how often, how many wrong guesses.
//!
//! A token is proven once with argon2; from then on a keyed hash of it, with a key that only this
//! process has, tells it again in a microsecond. The file of tokens is looked at once a second, so
//! that a token that is made or revoked counts without a restart.

mod gate;
mod hashing;
mod limits;
mod routes;
mod token;
mod token_file;

pub use gate::{Gate, Pass, Refused};
pub use routes::{Need, ROUTES, Route, need_of};
pub use token::{MadeToken, Role, TokenText};
pub use token_file::{AccessError, KeptToken, LOCAL_TOKEN_FILE, TokenFile};
