//! What a request says: its body, its query, who sent it. Whatever cannot be read is refused as a
//! problem that does not quote it, for it may hold a card number or a PIN.

use std::convert::Infallible;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::ops::access::Pass;

use super::problem::Problem;
use super::{AdminContext, BODY_BYTES_MAX};

/// The switch, as whoever asks may use it: what is ordered through it has that name.
pub(super) struct Shared<T>(pub(super) T);

impl FromRequestParts<AdminContext> for Shared<AdminContext> {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AdminContext,
    ) -> Result<Self, Infallible> {
        let mut context = state.clone();
        if let Some(pass) = parts.extensions.get::<Pass>() {
            context.jobs = context.jobs.acting(pass.actor);
        }
        Ok(Shared(context))
    }
}

/// A body in JSON.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Json::<T>::from_request(request, state).await;
        let Json(asked) = read.map_err(|refused| {
            let what = match refused {
                JsonRejection::JsonDataError(_) => {
                    "body: expected the fields of this resource, each of its type"
                }
                JsonRejection::JsonSyntaxError(_) => "body: expected JSON",
                JsonRejection::MissingJsonContentType(_) => {
                    "body: expected the content type application/json"
                }
                _ => return unreadable(refused.status()),
            };
            Problem(refused.status(), what.to_owned())
        })?;
        Ok(Asked(asked))
    }
}

/// A body in text.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = String::from_request(request, state).await;
        read.map(Text)
            .map_err(|refused| unreadable(refused.status()))
    }
}

fn unreadable(status: StatusCode) -> Problem {
    let what = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("body: expected {BODY_BYTES_MAX} bytes at most"),
        _ => "body: it cannot be read".to_owned(),
    };
    Problem(status, what)
}

/// What stands behind the question mark of a path.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let axum::extract::Query(wanted) = read.map_err(|_| {
            let what = "query: expected the parameters of this resource, each of its type";
            Problem(StatusCode::BAD_REQUEST, what.to_owned())
        })?;
        Ok(Query(wanted))
    }
}

/// A part of the path.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync> FromRequestParts<S> for Path<String> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let axum::extract::Path(part) = read.map_err(|_| {
            let what = "path: expected a number or a name in UTF-8";
            Problem(StatusCode::BAD_REQUEST, what.to_owned())
        })?;
        Ok(Path(part))
    }
}
