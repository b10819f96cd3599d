//! Cards: finding one by its number, its status, its successor, its devices.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::account::ProgrammeName;
use crate::domain::card::{CardId, CardStatus, ExpiryMonth};
use crate::domain::pan::Pan;
use crate::engine::command::NewCard;
use crate::engine::operation::Order;
use crate::switch::pin::OnFile;

use super::asked::{Path, Shared};
use super::openapi::words;
use super::versions::{IfMatch, Of};
use super::{AdminContext, Asked, Problem, number_of, order, wrong};

/// What a card may be.
pub(super) const STATUS: &[&str] = &[
    "active",
    "not-activated",
    "frozen",
    "lost",
    "stolen",
    "closed",
];

pub(super) fn status_words() -> RefOr<Schema> {
    words(STATUS)
}

#[derive(Deserialize, ToSchema)]
pub(super) struct Lookup {
    pan: String,
}

/// The card of a number.
pub(super) async fn lookup(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Lookup>,
) -> Result<Json<serde_json::Value>, Problem> {
    let pan = Pan::parse(&wanted.pan).ok_or_else(|| {
        Problem(
            StatusCode::BAD_REQUEST,
            "pan: expected 8 to 19 digits".to_owned(),
        )
    })?;
    let token = context.token_key.token(&pan);
    let found = context
        .jobs
        .query(move |state| {
            let card = state.card_by_token(&token)?;
            Some(json!({
                "account": card.account.0,
                "card": card.id.0,
                "number": card.masked.to_string(),
                "token": card.token.to_string(),
            }))
        })
        .await?;
    found.map(Json).ok_or_else(|| {
        Problem(
            StatusCode::NOT_FOUND,
            format!("there is no card {}", pan.masked()),
        )
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusChange {
    #[schema(schema_with = status_words)]
    status: CardStatus,
}

/// Stops, freezes or activates a card.
pub(super) async fn status(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<StatusChange>,
) -> Result<Json<serde_json::Value>, Problem> {
    let card = CardId(number_of("card", &id)?);
    let context = read.of(context, Of::Card(card));
    order(&context, Order::ChangeCardStatus(card, wanted.status)).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replacement {
    pan: String,
    expiry: Option<String>,
    /// What becomes of the old card.
    #[schema(schema_with = status_words)]
    old_status: CardStatus,
    #[serde(default = "active")]
    #[schema(schema_with = status_words, required = false)]
    status: CardStatus,
}

pub(super) fn active() -> CardStatus {
    CardStatus::Active
}

/// Issues a card in place of another; the account stays.
pub(super) async fn replace(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Replacement>,
) -> Result<Json<serde_json::Value>, Problem> {
    let card = CardId(number_of("card", &id)?);
    let context = read.of(context, Of::Card(card));
    let pan = number(&context, card, &wanted.pan).await?;
    let with = new_card(&context, &pan, wanted.expiry.as_deref(), wanted.status)?;
    let (status, token) = (wanted.old_status, with.token);
    let done = order(&context, Order::ReplaceCard { card, status, with }).await?;
    // A PIN that belongs to the account goes on.
    let passed_on = context.jobs.query(move |state| {
        let card = state.card_by_token(&token)?;
        let holder = state.holders().of_account(card.account);
        Some(OnFile {
            reference: card.pin.reference?,
            account: card.account,
            born: holder.map(|holder| holder.person.born),
        })
    });
    if let Some(on_file) = passed_on.await? {
        context.pins.learn(token, on_file);
    }
    Ok(done)
}

/// A card to issue.
pub(super) fn new_card(
    context: &AdminContext,
    pan: &Pan,
    expiry: Option<&str>,
    status: CardStatus,
) -> Result<NewCard, Problem> {
    let expiry = match expiry {
        None => None,
        Some(text) => {
            let month = text.parse().ok().and_then(ExpiryMonth::from_yymm);
            Some(month.ok_or_else(|| wrong("expiry: expected YYMM"))?)
        }
    };
    if !matches!(status, CardStatus::Active | CardStatus::NotActivated) {
        return Err(wrong("status: expected active or not-activated"));
    }
    Ok(NewCard {
        token: context.token_key.token(pan),
        masked: pan.masked(),
        expiry,
        status,
    })
}

/// A card number that the programme of a card could have issued.
async fn number(context: &AdminContext, card: CardId, text: &str) -> Result<Pan, Problem> {
    let programme = context
        .jobs
        .query(move |state| {
            let account = state.account(state.card(card)?.account)?;
            state.programme_name(account.account.programme).copied()
        })
        .await?;
    number_of_programme(context, programme, text)
}

/// A card number of a programme's ranges; of any programme's, where none is named.
pub(super) fn number_of_programme(
    context: &AdminContext,
    programme: Option<ProgrammeName>,
    text: &str,
) -> Result<Pan, Problem> {
    let pan = Pan::parse(text).ok_or_else(|| wrong("pan: expected 8 to 19 digits"))?;
    let rulebook = context.rules.rulebook();
    let fits = rulebook.range_of(&pan).is_some_and(|(owner, range)| {
        programme.is_none_or(|name| owner.name == name)
            && text.len() == range.pan_length
            && (!range.check_digit || pan.has_valid_check_digit())
    });
    if fits {
        Ok(pan)
    } else {
        let what = format!("pan: {} is no number of the programme", pan.masked());
        Err(Problem(StatusCode::UNPROCESSABLE_ENTITY, what))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    pan: String,
}

/// Lets a device pay with a number of its own, in the programme's number range.
pub(super) async fn add_token(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Device>,
) -> Result<Json<serde_json::Value>, Problem> {
    let card = CardId(number_of("card", &id)?);
    let context = read.of(context, Of::Card(card));
    let pan = number(&context, card, &wanted.pan).await?;
    let (token, masked) = (context.token_key.token(&pan), pan.masked());
    let add = Order::AddDeviceToken {
        card,
        token,
        masked,
    };
    order(&context, add).await
}
