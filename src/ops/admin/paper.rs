//! What is sent to holders on paper, and its fee (rule A31).

use axum::Json;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::account::AccountId;
use crate::engine::operation::Order;
use crate::engine::operation_money::{MoneyOrder, Paper, PaperOrder};

use super::asked::Shared;
use super::openapi::words;
use super::transfers::reference;
use super::{AdminContext, Asked, Problem, order};

/// What is sent on paper.
pub(super) const PAPERS: &[&str] = &["statement", "pin-notice"];

fn paper_words() -> RefOr<Schema> {
    words(PAPERS)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    reference: String,
    account: u32,
    #[schema(schema_with = paper_words)]
    paper: Paper,
}

/// Takes the fee of a statement or PIN notice on paper; the same reference never takes it twice.
pub(super) async fn order_paper(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<serde_json::Value>, Problem> {
    let asked = MoneyOrder::Paper {
        reference: reference(&wanted.reference)?,
        order: PaperOrder {
            account: AccountId(wanted.account),
            paper: wanted.paper,
        },
    };
    order(&context, Order::Money(asked)).await
}
