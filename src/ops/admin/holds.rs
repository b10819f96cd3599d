//! Holds: letting go of one before its time.

use axum::Json;

use crate::engine::entry::EntryId;
use crate::engine::operation::Order;

use super::asked::{Path, Shared};
use super::{AdminContext, Problem, number_of, order};

/// Lets go of what an authorization still holds; a capture that comes later still posts.
pub(super) async fn release(
    Shared(context): Shared<AdminContext>,
    Path(entry): Path<String>,
) -> Result<Json<serde_json::Value>, Problem> {
    let entry = EntryId(number_of("hold", &entry)?);
    order(&context, Order::ReleaseHold(entry)).await
}
