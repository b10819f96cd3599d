//! Loads that do not come over a link: from a bank, from another card, at the till of a shop.
//!
//! A load becomes a message to the engine, so that the programme's rules judge it like any other
//! and the same reference gets the same answer.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::card::CardId;
use crate::domain::facts::{Facts, MessageKind, Purpose, Trace};
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::CardToken;
use crate::domain::rare_facts::{CompanyCode, FundingBin, LoadChannel, RareFacts};
use crate::engine::command::{Answer, Body};

use super::asked::Shared;
use super::openapi::words;
use super::transfers::reference;
use super::{AdminContext, Asked, Problem, wrong};

/// The operator as an originator: above every link and every DE 32.
const OPERATOR: u64 = 1 << 41;

/// How a load may be paid in.
pub(super) const CHANNELS: &[&str] = &["bank", "atm", "credit-card", "shop-till"];

fn channel_words() -> RefOr<Schema> {
    words(CHANNELS)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    reference: String,
    card: u32,
    minor: i64,
    currency: String,
    #[schema(schema_with = channel_words)]
    channel: LoadChannel,
    partner: Option<String>,
    funding_bin: Option<String>,
    #[serde(default)]
    authenticated: bool,
}

/// Loads a card's account; the same reference never loads it twice.
pub(super) async fn load(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<serde_json::Value>, Problem> {
    let number = wanted.card;
    let token = context
        .jobs
        .query(move |state| state.card(CardId(number)).map(|card| card.token))
        .await?;
    let missing = || Problem(StatusCode::NOT_FOUND, format!("there is no card {number}"));
    let facts = facts(&wanted, token.ok_or_else(missing)?)?;
    match context.jobs.command(Body::Message(Arc::new(facts))).await? {
        Answer::Decided(decision) => Ok(Json(json!({
            "sequence": decision.sequence,
            "approved": decision.is_approved(),
            "reason": decision.reason.name(),
            "evidence": decision.evidence,
            "repeated": decision.repeated,
        }))),
        Answer::Ordered(_)
        | Answer::Opened(_)
        | Answer::PinChanged(_)
        | Answer::Presented(_)
        | Answer::CutOver(_)
        | Answer::Reconciled(_)
        | Answer::LinkNamed(_)
        | Answer::Housekept { .. } => {
            let what = "the single writer answered something else".to_owned();
            Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, what))
        }
    }
}

fn facts(wanted: &Wanted, card: CardToken) -> Result<Facts, Problem> {
    let reference = reference(&wanted.reference)?;
    let currency = Currency::from_alpha(&wanted.currency)
        .ok_or_else(|| wrong("currency: expected ISO 4217 letters"))?;
    let partner = wanted.partner.as_deref().map(str::parse).transpose();
    let partner: Option<CompanyCode> =
        partner.map_err(|_| wrong("partner: expected 11 characters at most"))?;
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let funding_bin = match wanted.funding_bin.as_deref() {
        None => None,
        Some(text) => {
            let bin = Some(text).filter(digits).and_then(FundingBin::of);
            Some(bin.ok_or_else(|| wrong("funding_bin: expected 8 digits at most"))?)
        }
    };
    let rare = RareFacts {
        load_channel: Some(wanted.channel),
        load_partner: partner,
        funding_bin,
        authenticated: wanted.authenticated,
        ..RareFacts::default()
    };
    // The reference names the load: its hash stands where a message has its trace.
    let hash = blake3::hash(reference.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    let trace = Trace {
        originator: OPERATOR,
        transmitted: u32::from_be_bytes([a, b, c, d]),
        stan: u32::from_be_bytes([e, f, g, h]),
    };
    let amount = Amount::new(wanted.minor, currency);
    let (kind, purpose) = (MessageKind::Financial, Purpose::Load);
    Ok(Facts {
        mti: 200,
        rare: Some(Box::new(rare)),
        ..Facts::beside_the_wire(kind, purpose, trace, card, amount)
    })
}
