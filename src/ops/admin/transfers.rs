//! Transfers between holders of one programme (rule A30).

use axum::Json;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::account::AccountId;
use crate::engine::operation::{Order, Reference};
use crate::engine::operation_money::{MoneyOrder, Transfer};

use super::asked::Shared;
use super::{AdminContext, Asked, Problem, order, wrong};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    reference: String,
    from: u32,
    to: u32,
    minor: i64,
}

/// Moves money from one holder to another; the same reference never moves it twice.
pub(super) async fn transfer(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<serde_json::Value>, Problem> {
    let reference = reference(&wanted.reference)?;
    let transfer = Transfer {
        from: AccountId(wanted.from),
        to: AccountId(wanted.to),
        minor: wanted.minor,
    };
    let asked = MoneyOrder::Transfer {
        reference,
        transfer,
    };
    order(&context, Order::Money(asked)).await
}

/// The caller's own name for a movement of money.
pub(super) fn reference(text: &str) -> Result<Reference, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let reference = Reference::from(text).ok();
    reference
        .filter(|it| !it.is_empty() && it.bytes().all(plain))
        .ok_or_else(|| wrong("reference: expected 1 to 36 letters, digits, - _ . or :"))
}
