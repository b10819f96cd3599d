//! PINs of cards: setting one by the rules of choice (A6), unlocking one (A7).
//!
//! A PIN comes in only in a request body, becomes a verification value, and is gone.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::card::CardId;
use crate::domain::pan::Pan;
use crate::domain::pin_choice;
use crate::engine::command::{Answer, Body};
use crate::engine::state::State;

use super::{AdminContext, Asked, Problem, wrong};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPin {
    pan: String,
    pin: Zeroizing<String>,
    /// The holder's date of birth, `YYYY-MM-DD`.
    born: Option<String>,
    telephone: Option<String>,
}

/// Sets a card's PIN, and forgets wrong tries.
pub(super) async fn set(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<NewPin>,
) -> Result<Json<serde_json::Value>, Problem> {
    let pan = card_number(&wanted.pan)?;
    let born = match &wanted.born {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| wrong("born: expected YYYY-MM-DD"))?,
        ),
    };
    let card = card_of(&context, &pan).await?;
    // What is recorded of the holder counts whatever the caller knows.
    for born in [born, recorded_birth(&context, card).await?] {
        pin_choice::check(&wanted.pin, born, wanted.telephone.as_deref())
            .map_err(|rule| Problem(StatusCode::UNPROCESSABLE_ENTITY, rule.to_string()))?;
    }
    let reference = context.pins.reference(&wanted.pin, &pan).ok_or_else(|| {
        let what = "no key to make a verification value with; see pin_keys".to_owned();
        Problem(StatusCode::CONFLICT, what)
    })?;
    let answer = change(&context, Body::SetPin(card, reference)).await?;
    context.pins.learn(context.token_key.token(&pan), reference);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Locked {
    pan: String,
}

/// Unlocks a card's PIN.
pub(super) async fn unlock(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Locked>,
) -> Result<Json<serde_json::Value>, Problem> {
    let pan = card_number(&wanted.pan)?;
    let card = card_of(&context, &pan).await?;
    change(&context, Body::UnlockPin(card)).await
}

fn card_number(text: &str) -> Result<Pan, Problem> {
    Pan::parse(text).ok_or_else(|| wrong("pan: expected 8 to 19 digits"))
}

async fn card_of(context: &AdminContext, pan: &Pan) -> Result<CardId, Problem> {
    let token = context.token_key.token(pan);
    let found = context
        .jobs
        .query(move |state| state.card_by_token(&token).map(|card| card.id))
        .await?;
    found.ok_or_else(|| {
        let what = format!("there is no card {}", pan.masked());
        Problem(StatusCode::NOT_FOUND, what)
    })
}

/// The day of birth of a card's holder, where one is registered.
async fn recorded_birth(context: &AdminContext, card: CardId) -> Result<Option<Date>, Problem> {
    let born = move |state: &State| {
        let account = state.card(card)?.account;
        Some(state.holders().of_account(account)?.person.born.civil())
    };
    Ok(context.jobs.query(born).await?)
}

async fn change(context: &AdminContext, body: Body) -> Result<Json<serde_json::Value>, Problem> {
    match context.jobs.command(body).await? {
        Answer::PinChanged(true) => Ok(Json(json!({ "done": true }))),
        Answer::PinChanged(false)
        | Answer::Ordered(_)
        | Answer::Decided(_)
        | Answer::Opened(_)
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
