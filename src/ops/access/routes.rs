//! Every route of the operators' API with the role that it takes: a route that is not in this
//! table is not served.

use super::token::Role;

/// What a request must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing where it comes from this machine; from elsewhere the token of a viewer.
    Nearby,
    /// A token with this role at least.
    Token(Role),
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Method; `GET` stands for `HEAD` too.
    pub method: &'static str,
    /// Path with its parameters in braces.
    pub path: &'static str,
    /// What it takes.
    pub need: Need,
}

const fn nearby(path: &'static str) -> Route {
    Route {
        method: "GET",
        path,
        need: Need::Nearby,
    }
}

const fn read(path: &'static str, role: Role) -> Route {
    Route {
        method: "GET",
        path,
        need: Need::Token(role),
    }
}

const fn write(path: &'static str, role: Role) -> Route {
    Route {
        method: "POST",
        path,
        need: Need::Token(role),
    }
}

use Role::{Admin, Issuer, Operator, Viewer};

/// The table. Looking a card up and checking clearing lines are bodies, hence `POST`, and read.
pub const ROUTES: &[Route] = &[
    nearby("/healthz"),
    nearby("/readyz"),
    nearby("/metrics"),
    nearby("/console"),
    nearby("/console/style.css"),
    nearby("/console/words.js"),
    nearby("/console/app.js"),
    read("/v1/overview", Viewer),
    read("/v1/activity", Viewer),
    read("/v1/activity/live", Viewer),
    read("/v1/test-message", Viewer),
    write("/v1/test-message", Operator),
    nearby("/docs"),
    read("/v1/openapi.json", Viewer),
    read("/v1/state", Viewer),
    write("/v1/holders", Issuer),
    read("/v1/holders/{id}", Viewer),
    write("/v1/holders/{id}/kyc", Issuer),
    read("/v1/accounts", Viewer),
    write("/v1/accounts", Issuer),
    read("/v1/accounts/{id}/holds", Viewer),
    write("/v1/accounts/{id}/kyc", Issuer),
    read("/v1/accounts/{id}", Viewer),
    write("/v1/accounts/{id}/close", Issuer),
    write("/v1/accounts/{id}/erase", Issuer),
    read("/v1/accounts/{id}/statement", Viewer),
    read("/v1/audit", Admin),
    read("/v1/programmes", Viewer),
    write("/v1/programmes/reload", Admin),
    write("/v1/programmes/backtest", Admin),
    read("/v1/programmes/{name}/shadow", Viewer),
    write("/v1/programmes/{name}/shadow", Admin),
    read("/v1/events", Viewer),
    read("/v1/negative-balances", Viewer),
    read("/v1/cards", Viewer),
    write("/v1/cards/lookup", Viewer),
    read("/v1/cards/{id}", Viewer),
    read("/v1/decisions/{sequence}", Viewer),
    write("/v1/cards/{id}/status", Operator),
    write("/v1/cards/{id}/limits", Issuer),
    write("/v1/cards/{id}/controls", Issuer),
    write("/v1/cards/{id}/replace", Issuer),
    write("/v1/cards/{id}/device-tokens", Issuer),
    write("/v1/pins", Issuer),
    write("/v1/pins/unlock", Operator),
    write("/v1/pins/change", Issuer),
    write("/v1/cards/{id}/enrol", Issuer),
    read("/v1/exceptions", Viewer),
    write("/v1/exceptions/{sequence}/resolve", Operator),
    write("/v1/holds/{entry}/release", Operator),
    write("/v1/loads", Issuer),
    write("/v1/paper", Issuer),
    write("/v1/transfers", Issuer),
    read("/v1/rates", Viewer),
    write("/v1/rates", Issuer),
    write("/v1/charges", Issuer),
    write("/v1/clearing", Operator),
    write("/v1/clearing/check", Viewer),
    write("/v1/clearing/close", Operator),
    read("/v1/reconciliation", Viewer),
    read("/v1/links", Viewer),
    write("/v1/links/{name}/cutover", Operator),
    write("/v1/links/{name}/drain", Operator),
    write("/v1/links/{name}/resume", Operator),
    read("/v1/sessions", Viewer),
    write("/v1/sessions/{id}/sign-off", Operator),
    write("/v1/sessions/{id}/drain", Operator),
    write("/v1/checkpoint", Admin),
    read("/v1/backup", Admin),
    write("/v1/backup", Admin),
    write("/v1/import", Issuer),
    read("/v1/webhooks", Viewer),
    read("/v1/webhooks/{name}", Viewer),
    write("/v1/webhooks/{name}/replay", Operator),
];

/// What a method of a path takes; `None` for one that is not in the table.
pub fn need_of(method: &str, path: &str) -> Option<Need> {
    let method = if method == "HEAD" { "GET" } else { method };
    let found = ROUTES
        .iter()
        .find(|route| route.method == method && route.path == path);
    found.map(|route| route.need)
}
