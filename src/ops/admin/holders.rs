//! Holders: registering one, how well it is known, the one account it may have (rule A1).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::account::{AccountId, Kyc, ProgrammeName};
use crate::domain::card::CardStatus;
use crate::domain::holder::{Applicant, HolderId};
use crate::domain::time::BusinessDate;
use crate::engine::command::{HeldBy, OpenAccount, Opened};
use crate::engine::operation::Order;
use crate::engine::operation_holder::{HolderOrder, Whose};

use super::asked::{Path, Shared};
use super::cards::{active, new_card, number_of_programme, status_words};
use super::openapi::words;
use super::versions::{IfMatch, Of};
use super::{AdminContext, Asked, Problem, number_of, order, wrong};

/// How well somebody may be known.
pub(super) const KYC: &[&str] = &["verified", "unverified", "bearer"];

fn kyc_words() -> RefOr<Schema> {
    words(KYC)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    programme: String,
    /// `YYYY-MM-DD`.
    born: String,
    /// Whether the consent of a parent is recorded.
    #[serde(default)]
    consent: bool,
    #[schema(schema_with = kyc_words)]
    kyc: Kyc,
}

/// Registers a holder; the record's number is the holder's.
pub(super) async fn register(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Registration>,
) -> Result<Json<serde_json::Value>, Problem> {
    let born = BusinessDate::from_iso(&wanted.born);
    let applicant = Applicant {
        born: born.ok_or_else(|| wrong("born: expected YYYY-MM-DD"))?,
        consent: wanted.consent,
    };
    let register = HolderOrder::Register {
        programme: programme(&wanted.programme)?,
        applicant,
        kyc: wanted.kyc,
    };
    let Json(mut done) = order(&context, Order::Holder(register)).await?;
    if let Some(done) = done.as_object_mut()
        && let Some(number) = done.get("sequence").cloned()
    {
        done.insert("holder".to_owned(), number);
    }
    Ok(Json(done))
}

fn programme(text: &str) -> Result<ProgrammeName, Problem> {
    ProgrammeName::of(text).ok_or_else(|| wrong("programme: expected 24 characters at most"))
}

/// One holder.
pub(super) async fn holder(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let number: u64 = number_of("holder", &id)?;
    let view = context.jobs.query(move |state| {
        let holder = state.holders().get(HolderId(number))?;
        let told = json!({
            "id": number,
            "programme": state.programme_name(holder.programme).map(|name| name.as_str()),
            "born": holder.person.born.to_string(),
            "consent": holder.person.consent,
            "kyc": holder.kyc,
            "account": holder.account.map(|account| account.0),
        });
        Some((Of::Holder(holder.id).tag(state)?, told))
    });
    let (tag, told) = view.await?.ok_or_else(|| {
        let what = format!("there is no holder {number}");
        Problem(StatusCode::NOT_FOUND, what)
    })?;
    Ok(([(header::ETAG, tag)], Json(told)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    #[schema(schema_with = kyc_words)]
    kyc: Kyc,
}

/// Records that a holder is verified, or not any more; its account follows.
pub(super) async fn change_kyc(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Standing>,
) -> Result<Json<serde_json::Value>, Problem> {
    let holder = HolderId(number_of("holder", &id)?);
    let (context, whose) = (read.of(context, Of::Holder(holder)), Whose::Holder(holder));
    order(
        &context,
        Order::Holder(HolderOrder::ChangeKyc(whose, wanted.kyc)),
    )
    .await
}

/// The same by the account, for those that were opened without a holder.
pub(super) async fn change_account_kyc(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Standing>,
) -> Result<Json<serde_json::Value>, Problem> {
    let account = AccountId(number_of("account", &id)?);
    let context = read.of(context, Of::Account(account));
    let whose = Whose::Account(account);
    order(
        &context,
        Order::Holder(HolderOrder::ChangeKyc(whose, wanted.kyc)),
    )
    .await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    programme: String,
    holder: Option<u64>,
    /// How well an unregistered holder is known.
    #[schema(schema_with = kyc_words, required = false)]
    kyc: Option<Kyc>,
    pan: String,
    /// `YYMM`; none for a bearer number.
    expiry: Option<String>,
    #[serde(default = "active")]
    #[schema(schema_with = status_words, required = false)]
    status: CardStatus,
}

/// Opens an empty account with its first card; opening it again changes nothing.
pub(super) async fn open_account(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<NewAccount>,
) -> Result<Json<serde_json::Value>, Problem> {
    let programme = programme(&wanted.programme)?;
    let pan = number_of_programme(&context, Some(programme), &wanted.pan)?;
    let (holder, kyc) = match (wanted.holder, wanted.kyc) {
        // The holder's own standing counts.
        (Some(number), None) => (HeldBy::Registered(HolderId(number)), Kyc::Unverified),
        (None, Some(kyc)) => (HeldBy::Nobody, kyc),
        _ => return Err(wrong("expected either a holder or a kyc")),
    };
    let account = OpenAccount {
        programme,
        kyc,
        balances: Vec::new(),
        card: new_card(&context, &pan, wanted.expiry.as_deref(), wanted.status)?,
        holder,
    };
    let mut outcomes = context.jobs.open(vec![account]).await?;
    let told = |account: AccountId, card: u32, repeated| {
        Ok(Json(
            json!({ "account": account.0, "card": card, "repeated": repeated }),
        ))
    };
    match outcomes.pop() {
        Some(Opened::Created(account, card)) => told(account, card.0, false),
        Some(Opened::Existing(account, card)) => told(account, card.0, true),
        Some(Opened::Refused(why)) => Err(Problem(StatusCode::UNPROCESSABLE_ENTITY, why)),
        None => {
            let what = "the single writer answered something else".to_owned();
            Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, what))
        }
    }
}
