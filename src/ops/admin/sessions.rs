//! The sessions that are open, and what an operator tells them: to sign off, to take nothing more.
//! None of it is the single writer's: the log says who did it.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::switch::sessions::SessionReading;

use super::asked::{Path, Query, Shared};
use super::paging::{Paging, cut};
use super::{AdminContext, Problem, number_of};

/// Sessions in the order in which they began.
pub(super) async fn sessions(
    Shared(context): Shared<AdminContext>,
    Query(paging): Query<Paging>,
) -> Result<Json<Value>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?);
    let open = context.sessions.read().into_iter();
    let behind = open.filter(|session| after.is_none_or(|[after]| session.id > after));
    let (page, is_more) = cut(behind, limit, |_, _| false);
    let next = page.last().filter(|_| is_more).map(|session| session.id);
    Ok(Json(json!({
        "sessions": page.iter().map(tell).collect::<Vec<_>>(),
        "drained": context.sessions.drained(),
        "next": next,
    })))
}

fn tell(session: &SessionReading) -> Value {
    json!({
        "session": session.id,
        "listener": session.listener,
        "link": session.link,
        "peer": session.peer.to_string(),
        "since": session.since.to_string(),
        "signed_on": session.sign_on.word(),
        "draining": session.is_draining,
        "messages_in": session.messages_in,
        "messages_out": session.messages_out,
        "in_flight": session.in_flight,
        "last_message_at": session.last_message.map(|at| at.to_string()),
    })
}

/// Signs a session off as its peer would.
pub(super) async fn sign_off(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let number = number_of("session", &id)?;
    let found = context.sessions.sign_off(number);
    told(&context, "a session is signed off", number, found.as_ref())
}

/// Has a session answer what is in flight and end.
pub(super) async fn drain(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let number = number_of("session", &id)?;
    let found = context.sessions.drain(number);
    told(&context, "a session is drained", number, found.as_ref())
}

fn told(
    context: &AdminContext,
    what: &str,
    number: u64,
    found: Option<&SessionReading>,
) -> Result<Json<Value>, Problem> {
    let session = found.ok_or_else(|| {
        let detail = format!("there is no session {number}");
        Problem(StatusCode::NOT_FOUND, detail)
    })?;
    tracing::info!(
        token = by(context),
        link = session.link,
        peer = %session.peer,
        session = number,
        "{what}"
    );
    Ok(Json(tell(session)))
}

/// The same of every session of a link, which takes no new one until it is resumed.
pub(super) async fn drain_link(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    expect_link(&context, &name)?;
    let sessions = context.sessions.drain_all(&name);
    let token = by(&context);
    tracing::info!(token, link = name, sessions, "a link is drained");
    Ok(Json(
        json!({ "link": name, "drained": true, "sessions": sessions }),
    ))
}

/// Lets a link have sessions again.
pub(super) async fn resume_link(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    expect_link(&context, &name)?;
    let was_drained = context.sessions.resume(&name);
    let token = by(&context);
    tracing::info!(token, link = name, was_drained, "a link is resumed");
    Ok(Json(
        json!({ "link": name, "drained": false, "was_drained": was_drained }),
    ))
}

/// Every link that has a door, by itself or by the certificate of a client.
fn expect_link(context: &AdminContext, name: &str) -> Result<(), Problem> {
    let links = context.telemetry.links();
    match links.iter().any(|meter| meter.name() == name) {
        true => Ok(()),
        false => {
            let detail = format!("there is no link {name:?} with a door");
            Err(Problem(StatusCode::NOT_FOUND, detail))
        }
    }
}

fn by(context: &AdminContext) -> &str {
    context.jobs.by().map_or("", |actor| actor.name.as_str())
}
