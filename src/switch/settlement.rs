//! Requests about a link's business day: the end of one, the comparison of its totals.

use crate::domain::decision::{Reason, ResponseCode};
use crate::domain::reconciliation::Balance;
use crate::engine::command::{Answer, Body};

use super::dialect::request::{Reject, Settlement};
use super::dialect::response::Reply;
use super::dialect::table::Edition;
use super::jobs::Stopping;
use super::link::Link;

/// What DE 39 says of a comparison since 1993.
fn action_code(edition: Edition, balance: Balance) -> ResponseCode {
    let code = match (edition, balance) {
        (Edition::Of2003, Balance::InBalance) => "5000",
        (Edition::Of2003, Balance::OutOfBalance) => "5001",
        (Edition::Of2003, Balance::NotCompared) => "5003",
        (_, Balance::InBalance) => "500",
        (_, Balance::OutOfBalance) => "501",
        (_, Balance::NotCompared) => "503",
    };
    // Four characters fit.
    ResponseCode::from(code).unwrap_or_default()
}

/// Has the single writer end a link's day or compare its totals; the reply comes when that is
/// durable.
pub(super) async fn settle(
    link: &Link,
    wanted: Settlement,
) -> Result<Result<Reply<'static>, Reject>, Stopping> {
    let body = match wanted {
        Settlement::CutOver(wanted) => Body::CutOver(wanted),
        Settlement::Reconcile(wanted) => Body::Reconcile(wanted),
    };
    let accepted = Reply::coded(link.dialect.codes.code(Reason::Approved));
    let name = &link.listener.name;
    Ok(match link.jobs.command(body).await? {
        Answer::CutOver(Some(date)) => {
            tracing::info!(link = name, %date, "cutover");
            Ok(accepted)
        }
        Answer::Reconciled(Some(done)) => {
            let settlement = done.balance.code();
            let (date, differs) = (done.date, done.evidence);
            tracing::info!(link = name, %date, settlement, differs, "reconciliation");
            Ok(match link.dialect.edition {
                Edition::Of1987 => Reply {
                    settlement: Some(settlement),
                    ..accepted
                },
                edition => Reply::coded(action_code(edition, done.balance)),
            })
        }
        _ => Err(Reject {
            reason: Reason::FormatError,
            evidence: "no such business day, or one that is over".to_owned(),
        }),
    })
}
