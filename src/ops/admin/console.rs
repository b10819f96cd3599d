//! The console: one embedded set of pages, and the two requests that only it needs.

use std::sync::atomic::Ordering::Acquire;

use axum::Extension;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::domain::pan::Pan;
use crate::ops::access::Pass;
use crate::switch::clock;
use crate::switch::meter::{LinkReading, STEPS};
use crate::switch::test_message::{Door, TestMessage, send};

use super::asked::{Asked, Shared};
use super::{AdminContext, Problem, wrong};

/// Nothing is loaded from elsewhere, nothing runs that is not in these files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(media: &'static str, text: &'static str) -> Response {
    let headers = [
        ("content-type", media),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ];
    (headers, text).into_response()
}

/// The page.
pub(super) async fn page() -> Response {
    let text = include_str!("../console/index.html");
    file("text/html; charset=utf-8", text)
}

/// How it looks.
pub(super) async fn style() -> Response {
    file(
        "text/css; charset=utf-8",
        include_str!("../console/style.css"),
    )
}

/// What it says.
pub(super) async fn words() -> Response {
    let text = include_str!("../console/words.js");
    file("text/javascript; charset=utf-8", text)
}

/// What it does.
pub(super) async fn app() -> Response {
    let text = include_str!("../console/app.js");
    file("text/javascript; charset=utf-8", text)
}

/// What the links count, with the buckets of their steps: who asks again can subtract.
/// And what who asks may do, so that the page offers no more.
pub(super) async fn overview(
    Shared(context): Shared<AdminContext>,
    pass: Option<Extension<Pass>>,
) -> Json<Value> {
    let readings = context.telemetry.links();
    let links: Vec<Value> = readings.iter().map(|link| told(&link.read())).collect();
    let (queue, queue_max) = context.jobs.depth();
    Json(json!({
        "sequence": context.telemetry.durable.load(Acquire),
        "steps": STEPS,
        "links": links,
        "queue": queue,
        "queue_max": queue_max,
        "role": pass.map(|pass| pass.role.name()),
    }))
}

fn told(link: &LinkReading) -> Value {
    let messages = link.messages.iter().map(|(kind, count)| {
        json!({
            "mti": kind.mti.map(|mti| format!("{mti:04}")),
            "decision": kind.decision.as_str(),
            "reason": kind.reason.name(),
            "code": kind.code.as_str(),
            "count": count,
        })
    });
    let steps = link
        .steps
        .iter()
        .map(|step| step.filled().collect::<Vec<_>>());
    json!({
        "link": link.link,
        "connections_open": link.connections_open,
        "connections_max": link.connections_max,
        "signed_on": link.signed_on,
        "in_flight": link.in_flight,
        "repeats": link.repeats,
        "messages": messages.collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sending {
    door: String,
    pan: String,
    #[schema(inline)]
    kind: Kind,
    minor: u64,
    mcc: String,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Purchase,
    CashWithdrawal,
    BalanceEnquiry,
    Refund,
}

/// The doors that take test messages: none but in a switch of demo cards.
fn doors(context: &AdminContext) -> Result<&[Door], Problem> {
    let none = || {
        let what = "test messages are for a switch that was started with --demo";
        Problem(StatusCode::NOT_FOUND, what.to_owned())
    };
    context.test_doors.as_deref().ok_or_else(none)
}

/// The names of the doors that a test message can be sent to.
pub(super) async fn test_doors(
    Shared(context): Shared<AdminContext>,
) -> Result<Json<Value>, Problem> {
    let doors = doors(&context)?;
    let names: Vec<&str> = doors.iter().map(|door| door.name.as_str()).collect();
    Ok(Json(json!({ "doors": names })))
}

/// Sends a message to a door and says what was answered.
pub(super) async fn test_message(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Sending>,
) -> Result<Json<Value>, Problem> {
    let door = doors(&context)?
        .iter()
        .find(|door| door.name == wanted.door);
    let door = door.ok_or_else(|| wrong("door: expected one that GET names"))?;
    let pan = Pan::parse(&wanted.pan).ok_or_else(|| wrong("pan: expected 8 to 19 digits"))?;
    if wanted.minor > 999_999_999_999 {
        return Err(wrong("minor: expected 12 digits at most"));
    }
    if wanted.mcc.len() != 4 || !wanted.mcc.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("mcc: expected four digits"));
    }
    let message = TestMessage {
        pan,
        processing: match wanted.kind {
            Kind::Purchase => "000000",
            Kind::CashWithdrawal => "010000",
            Kind::BalanceEnquiry => "300000",
            Kind::Refund => "200000",
        },
        minor: wanted.minor,
        mcc: wanted.mcc,
    };
    let sent = send(door, &message, clock::now()).await;
    let (sent, answer) = sent.map_err(|why| Problem(StatusCode::BAD_GATEWAY, why))?;
    Ok(Json(json!({ "sent": sent, "answer": answer })))
}
