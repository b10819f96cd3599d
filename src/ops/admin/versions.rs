//! Versions of what two operators may change at once: an `ETag` names what was read, and an order
//! with `If-Match` is carried out only while that is so still.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use serde_json::json;

use crate::domain::account::AccountId;
use crate::domain::card::{Card, CardId};
use crate::domain::holder::HolderId;
use crate::engine::state::State;
use crate::ops::deed::{controlled, limited};

use super::{AdminContext, Problem, wrong};

/// What has a version.
#[derive(Clone, Copy)]
pub(super) enum Of {
    /// The status of a card, and the limits and controls that it has of its own.
    Card(CardId),
    /// How well an account's holder is known, and which cards there are with which status: not what
    /// its cards pay, which no operator decides.
    Account(AccountId),
    /// How well a holder is known, and its account.
    Holder(HolderId),
}

impl Of {
    /// Its version now, as an `ETag` has it; `None`: it is not there.
    pub(super) fn tag(self, state: &State) -> Option<String> {
        let told = match self {
            Of::Card(id) => {
                let told = status(state.card(id)?);
                let limits = state.card_limits(id).iter().map(limited);
                let controls = state.card_controls(id).iter().map(controlled);
                let rows: Vec<_> = limits.chain(controls).collect();
                match rows.is_empty() {
                    true => told,
                    false => {
                        let hash = blake3::hash(json!(rows).to_string().as_bytes());
                        format!("{told}-{}", hash.to_hex().get(..16).unwrap_or_default())
                    }
                }
            }
            Of::Account(id) => {
                let record = state.account(id)?;
                let mut told = format!("{}-{}", id.0, word(&json!(record.account.kyc)));
                for card in record.cards.iter().filter_map(|card| state.card(*card)) {
                    told += "-";
                    told += &status(card);
                }
                told
            }
            Of::Holder(id) => {
                let holder = state.holders().get(id)?;
                let account = holder.account.map_or(0, |account| account.0);
                format!("{}-{}-{account}", id.0, word(&json!(holder.kyc)))
            }
        };
        Some(format!("\"{told}\""))
    }
}

fn status(card: &Card) -> String {
    format!("{}-{}", card.id.0, word(&json!(card.status)))
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What `If-Match` says; nothing where it is not there.
pub(super) struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// The switch for an order about something: it is refused when that has changed.
    pub(super) fn of(self, context: AdminContext, of: Of) -> AdminContext {
        let Some(tags) = self.0 else {
            return context;
        };
        let still = move |state: &State| {
            let now = of.tag(state);
            now.is_some_and(|now| tags.iter().any(|tag| tag == "*" || *tag == now))
        };
        let jobs = context.jobs.clone().while_still(Arc::new(still));
        AdminContext { jobs, ..context }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut tags = None;
        for line in parts.headers.get_all(IF_MATCH) {
            let expected = || wrong("If-Match: expected the ETag of an answer, or *");
            let line = line.to_str().map_err(|_| expected())?;
            let list: &mut Vec<String> = tags.get_or_insert_default();
            for tag in line.split(',').map(str::trim) {
                let plain = tag.strip_prefix("W/").unwrap_or(tag);
                let is_quoted = plain.len() > 1 && plain.starts_with('"') && plain.ends_with('"');
                if tag != "*" && !is_quoted {
                    return Err(expected());
                }
                // A weak one is never the same: it stays as it is.
                list.push(tag.to_owned());
            }
        }
        Ok(IfMatch(tags))
    }
}
