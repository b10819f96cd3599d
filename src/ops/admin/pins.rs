//! PINs of cards: setting one by the rules of choice (A6), unlocking one (A7), changing one and
//! enrolling a card with one (C1).
//!
//! A PIN comes in only in a request body, becomes a verification value, and is gone.

use arrayvec::ArrayString;
use axum::Json;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::domain::account::{AccountId, ProgrammeName};
use crate::domain::card::{CardId, PinReference};
use crate::domain::pan::{CardToken, Pan};
use crate::domain::pin_choice;
use crate::domain::programme::PinOwner;
use crate::domain::time::BusinessDate;
use crate::engine::command::{Answer, Body};
use crate::engine::operation::Order;
use crate::engine::operation_card::CardOrder;
use crate::switch::pin::{MadeOver, OnFile};

use super::asked::{Path, Shared};
use super::versions::{IfMatch, Of};
use super::{AdminContext, Asked, Problem, number_of, order, wrong};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPin {
    pan: String,
    #[schema(value_type = String)]
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
    let known = known(&context, context.token_key.token(&pan)).await?;
    let known = known.ok_or_else(|| no_card(&pan))?;
    may_be_chosen(&wanted.pin, &known, &wanted.born, &wanted.telephone)?;
    let reference = known.reference(&context, &wanted.pin, &pan)?;
    let done = order(
        &context,
        Order::Card(CardOrder::SetPin(known.card, reference)),
    );
    let done = done.await?;
    context.pins.learn(known.token, known.on_file(reference));
    Ok(done)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pan: String,
    /// The current one.
    #[schema(value_type = String)]
    pin: Zeroizing<String>,
    #[schema(value_type = String)]
    new_pin: Zeroizing<String>,
    born: Option<String>,
    telephone: Option<String>,
}

/// Changes a PIN for the holder, who knows the current one; a wrong one counts as a try.
pub(super) async fn change_by_holder(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Change>,
) -> Result<Json<serde_json::Value>, Problem> {
    let pan = card_number(&wanted.pan)?;
    let known = known(&context, context.token_key.token(&pan)).await?;
    let known = known.ok_or_else(|| no_card(&pan))?;
    may_be_chosen(&wanted.new_pin, &known, &wanted.born, &wanted.telephone)?;
    let new = known.reference(&context, &wanted.new_pin, &pan)?;
    let change = CardOrder::ChangePin {
        card: known.card,
        pin: context.pins.check(&wanted.pin, Some(&pan), &known.token),
        new,
    };
    let done = order(&context, Order::Card(change)).await?;
    context.pins.learn(known.token, known.on_file(new));
    Ok(done)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolment {
    last_four: String,
    /// The initial one.
    #[schema(value_type = String)]
    pin: Zeroizing<String>,
    /// Only where PINs belong to cards.
    pan: Option<String>,
}

/// Makes a shipped card usable for its holder; a wrong PIN counts as a try.
pub(super) async fn enrol(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Enrolment>,
) -> Result<Json<serde_json::Value>, Problem> {
    let card = CardId(number_of("card", &id)?);
    let context = read.of(context, Of::Card(card));
    let last_four = ArrayString::from(&wanted.last_four);
    let last_four = last_four.map_err(|_| wrong("last_four: expected four digits"))?;
    let pan = wanted.pan.as_deref().map(card_number).transpose()?;
    let token = context
        .jobs
        .query(move |state| state.card(card).map(|card| card.token))
        .await?;
    let token = token.ok_or_else(|| {
        let what = format!("there is no card {}", card.0);
        Problem(StatusCode::NOT_FOUND, what)
    })?;
    if pan.is_some_and(|pan| context.token_key.token(&pan) != token) {
        return Err(wrong("pan: it is not the card's"));
    }
    let pan = wanted.pan.as_deref().and_then(Pan::parse);
    let enrol = CardOrder::Enrol {
        card,
        last_four,
        pin: context.pins.check(&wanted.pin, pan.as_ref(), &token),
    };
    order(&context, Order::Card(enrol)).await
}

#[derive(Deserialize, ToSchema)]
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
    let known = known(&context, context.token_key.token(&pan)).await?;
    let known = known.ok_or_else(|| no_card(&pan))?;
    change(&context, Body::UnlockPin(known.card)).await
}

fn card_number(text: &str) -> Result<Pan, Problem> {
    Pan::parse(text).ok_or_else(|| wrong("pan: expected 8 to 19 digits"))
}

fn no_card(pan: &Pan) -> Problem {
    let what = format!("there is no card {}", pan.masked());
    Problem(StatusCode::NOT_FOUND, what)
}

/// What is recorded around a PIN.
struct Known {
    card: CardId,
    token: CardToken,
    account: AccountId,
    programme: ProgrammeName,
    /// Day of birth of the holder, where one is registered.
    born: Option<BusinessDate>,
}

impl Known {
    fn on_file(&self, reference: PinReference) -> OnFile {
        OnFile {
            reference,
            account: self.account,
            born: self.born,
        }
    }

    /// What will tell a PIN from a wrong one, as the programme wants it.
    fn reference(
        &self,
        context: &AdminContext,
        pin: &str,
        pan: &Pan,
    ) -> Result<PinReference, Problem> {
        let rulebook = context.rules.rulebook();
        let programme = rulebook.programme(&self.programme);
        let over = match programme.map(|programme| programme.pin.owner) {
            Some(PinOwner::Account) => MadeOver::Account(self.account),
            Some(PinOwner::Card) | None => MadeOver::Card(pan),
        };
        context.pins.reference(pin, over).ok_or_else(|| {
            let what = "no key to make a verification value with; see pin_keys".to_owned();
            Problem(StatusCode::CONFLICT, what)
        })
    }
}

async fn known(context: &AdminContext, token: CardToken) -> Result<Option<Known>, Problem> {
    let known = context.jobs.query(move |state| {
        let card = state.card_by_token(&token)?;
        let record = state.account(card.account)?;
        let holder = state.holders().of_account(card.account);
        Some(Known {
            card: card.id,
            token,
            account: card.account,
            programme: *state.programme_name(record.account.programme)?,
            born: holder.map(|holder| holder.person.born),
        })
    });
    Ok(known.await?)
}

/// Rule A6. What is recorded of the holder counts whatever the caller knows.
fn may_be_chosen(
    pin: &str,
    known: &Known,
    born: &Option<String>,
    telephone: &Option<String>,
) -> Result<(), Problem> {
    let told = match born {
        None => None,
        Some(text) => Some(
            text.parse::<Date>()
                .map_err(|_| wrong("born: expected YYYY-MM-DD"))?,
        ),
    };
    for born in [told, known.born.map(BusinessDate::civil)] {
        pin_choice::check(pin, born, telephone.as_deref())
            .map_err(|rule| Problem(StatusCode::UNPROCESSABLE_ENTITY, rule.to_string()))?;
    }
    Ok(())
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
