//! Problem details (RFC 9457): every answer of the API that is an error has this one form.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::engine::operation::OrderRefused;
use crate::ops::access::Refused;
use crate::switch::jobs::Stopping;

/// Media type of a problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An error answer (RFC 9457).
#[derive(Debug)]
pub(super) struct Problem(pub(super) StatusCode, pub(super) String);

impl From<OrderRefused> for Problem {
    fn from(refused: OrderRefused) -> Problem {
        let status = match &refused {
            OrderRefused::NotFound(_) => StatusCode::NOT_FOUND,
            OrderRefused::Conflict(_) => StatusCode::CONFLICT,
            OrderRefused::NotAllowed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            OrderRefused::Changed => StatusCode::PRECONDITION_FAILED,
        };
        Problem(status, refused.to_string())
    }
}

impl From<Stopping> for Problem {
    fn from(stopping: Stopping) -> Problem {
        Problem(StatusCode::SERVICE_UNAVAILABLE, stopping.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem(status, detail) = self;
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        let media = [(header::CONTENT_TYPE, PROBLEM_JSON)];
        (status, media, body.to_string()).into_response()
    }
}

/// What whoever is not let in is told: never whether a token was nearly right.
pub(super) fn not_let_in(refused: &Refused) -> Response {
    let (status, detail) = match refused {
        Refused::NoToken => (
            StatusCode::UNAUTHORIZED,
            "expected a token: `Authorization: Bearer cst_...`; on the switch's machine it is in \
             access/admin.token of the data directory",
        ),
        Refused::WrongToken => (
            StatusCode::UNAUTHORIZED,
            "the token is not one that counts; `cardswitch token list` names those that do",
        ),
        Refused::LockedOut(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many wrong tokens came from this address",
        ),
        Refused::TooOften(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "the token asks more often than it may",
        ),
    };
    let mut response = Problem(status, detail.to_owned()).into_response();
    let headers = response.headers_mut();
    match refused {
        Refused::NoToken | Refused::WrongToken => {
            let scheme = HeaderValue::from_static("Bearer realm=\"cardswitch\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        Refused::LockedOut(wait) | Refused::TooOften(wait) => {
            let seconds = wait.as_secs().max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}
