//! Requests about a link's business day: the end of one, the comparison of its totals.

use crate::domain::decision::Reason;
use crate::engine::command::{Answer, Body};

use super::dialect::request::{Reject, Settlement};
use super::dialect::response::Reply;
use super::jobs::Stopping;
use super::session::Link;

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
            Ok(Reply {
                settlement: Some(settlement),
                ..accepted
            })
        }
        _ => Err(Reject {
            reason: Reason::FormatError,
            evidence: "no such business day, or one that is over".to_owned(),
        }),
    })
}
