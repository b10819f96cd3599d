//! The layer in front of every route: a token, a role that is enough for the route, a line in the
//! log for every write.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use zeroize::Zeroizing;

use crate::ops::access::{Need, Role, need_of};

use super::AdminContext;
use super::problem::{Problem, not_let_in};

/// Lets a request through to its route, with whoever it is from, or answers it.
pub(super) async fn admit(
    State(context): State<AdminContext>,
    mut request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>();
    let path = matched.map(|matched| matched.as_str().to_owned());
    let need = path
        .as_deref()
        .and_then(|path| need_of(method.as_str(), path));
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // Unknown is not from here.
    let from = from.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |from| from.0.ip());
    if need == Some(Need::Nearby) && from.is_loopback() {
        return next.run(request).await;
    }
    let shown = shown(&request);
    let shown = shown.as_ref().map(|token| token.as_str());
    let pass = match context.gate.admit(shown, from).await {
        Ok(pass) => pass,
        Err(refused) => return not_let_in(&refused),
    };
    let role = match need {
        Some(Need::Token(role)) => role,
        Some(Need::Nearby) => Role::Viewer,
        // Not a route: those with a token hear that it is not there.
        None => return next.run(request).await,
    };
    if pass.role < role {
        let detail = format!(
            "{method} {} takes the role {role}; the token {} has {}",
            path.unwrap_or_default(),
            pass.actor.name,
            pass.role
        );
        tracing::warn!(token = pass.actor.name.as_str(), %detail, "operator refused");
        return Problem(StatusCode::FORBIDDEN, detail).into_response();
    }
    request.extensions_mut().insert(pass);
    let is_read = method == Method::GET || method == Method::HEAD;
    let response = match is_read {
        true => next.run(request).await,
        false => context.once.run(pass.actor.token, request, next).await,
    };
    if !is_read {
        tracing::info!(
            token = pass.actor.name.as_str(),
            id = format!("{:08x}", pass.actor.token),
            %method,
            route = path.unwrap_or_default(),
            status = response.status().as_u16(),
            "operator"
        );
    }
    response
}

/// The token that a request shows. The gate knows it only as such: nothing of it is logged.
fn shown(request: &Request) -> Option<Zeroizing<String>> {
    let shown = request.headers().get(header::AUTHORIZATION)?;
    let (scheme, token) = shown.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Zeroizing::new(token.to_owned()))
}

/// There is no such route.
pub(super) async fn not_there() -> Problem {
    let detail = "there is no such resource";
    Problem(StatusCode::NOT_FOUND, detail.to_owned())
}

/// There is, but not for this method.
pub(super) async fn wrong_method() -> Problem {
    let detail = "the resource is there, but not for this method";
    Problem(StatusCode::METHOD_NOT_ALLOWED, detail.to_owned())
}
