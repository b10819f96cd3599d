//! One decision explained: what was asked, what every rule said, what was answered and why, in
//! words for a cardholder.

use std::ops::ControlFlow;

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::domain::time::UnixMs;
use crate::engine::event::{Decided, Event};
use crate::ops::explain::{rules_seen, sentences};

use super::asked::{Path, Shared};
use super::records::read;
use super::{AdminContext, Problem, number_of};

/// Why the message of a record was answered as it was.
pub(super) async fn decision(
    Shared(context): Shared<AdminContext>,
    Path(sequence): Path<String>,
) -> Result<Json<Value>, Problem> {
    let sequence: u64 = number_of("decision", &sequence)?;
    let until = context.jobs.query(|state| state.sequence()).await?;
    let missing = || {
        let what = format!("record {sequence} is no decision");
        Problem(StatusCode::NOT_FOUND, what)
    };
    let before = sequence.checked_sub(1).ok_or_else(missing)?;
    if sequence > until {
        return Err(missing());
    }
    let take = |found: &mut Option<Value>, sequence: u64, at: UnixMs, event: &Event| {
        *found = event.decided().map(|decided| told(sequence, at, decided));
        ControlFlow::Break(())
    };
    let (found, _) = read(&context, (before, sequence), None, take).await?;
    let mut told = found.ok_or_else(missing)?;
    let card = told.pointer("/card").and_then(Value::as_u64);
    if let Some(number) = card.and_then(|card| u32::try_from(card).ok()) {
        let known = context.jobs.query(move |state| {
            let card = state.card(crate::domain::card::CardId(number))?;
            Some((card.masked, card.account.0))
        });
        if let Some((masked, account)) = known.await? {
            told["number"] = masked.to_string().into();
            told["account"] = account.into();
        }
    }
    Ok(Json(told))
}

fn told(sequence: u64, at: UnixMs, decided: &Decided) -> Value {
    let facts = &decided.facts;
    let (english, japanese) = sentences(decided.reason);
    let evidence: Vec<Value> = facts
        .evidence
        .iter()
        .map(|row| json!({ "fact": row.fact, "source": row.source }))
        .collect();
    json!({
        "sequence": sequence,
        "at": at.to_string(),
        "card": decided.card.map(|card| card.0),
        "mti": format!("{:04}", facts.mti),
        "purpose": facts.purpose,
        "minor": facts.amount.minor,
        "currency": facts.amount.currency.to_string(),
        "merchant": facts.acceptor.to_string(),
        "mcc": facts.mcc.map(|mcc| mcc.to_string()),
        "reason": decided.reason.name(),
        "code": decided.code.as_str(),
        "approval": decided.approval.map(|approval| approval.to_string()),
        "evidence": decided.evidence,
        "read_from": evidence,
        "programme_version": decided.programme_version,
        "rules": rules_seen(facts, decided.reason),
        "sentence": { "en": english, "ja": japanese },
    })
}
