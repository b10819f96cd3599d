//! What the OpenAPI document tells of links and their sessions.

use super::openapi_about::about;
use super::openapi_routes::{Row, get, post};
use super::paging::Paging;
use super::reconciliation;

/// What is told of one session.
const SESSION: &[&str] = &[
    "session: integer",
    "listener: string",
    "link: string",
    "peer: string",
    "since: string",
    "signed_on: string",
    "draining: boolean",
    "messages_in: integer",
    "messages_out: integer",
    "in_flight: integer",
    "last_message_at: string?",
];

/// Links, their days, their sessions.
pub(super) const LINKS: &[Row] = &[
    get(
        "/v1/links",
        about(
            "Links with their business day.",
            &["links: array", "next: integer?"],
        )
        .query::<Paging>(),
    ),
    post(
        "/v1/links/{name}/cutover",
        about("Begin a business day.", &["link: string", "day: string"])
            .body::<reconciliation::NewDay>(),
    ),
    post(
        "/v1/links/{name}/drain",
        about(
            "Have its sessions answer what is in flight and end, and take no new one.",
            &["link: string", "drained: boolean", "sessions: integer"],
        ),
    ),
    post(
        "/v1/links/{name}/resume",
        about(
            "Let it have sessions again.",
            &["link: string", "drained: boolean", "was_drained: boolean"],
        ),
    ),
    get(
        "/v1/sessions",
        about(
            "Connections that are open.",
            &["sessions: array", "drained: array", "next: integer?"],
        )
        .query::<Paging>(),
    ),
    post(
        "/v1/sessions/{id}/sign-off",
        about("Sign it off as its peer would.", SESSION),
    ),
    post(
        "/v1/sessions/{id}/drain",
        about("Have it answer what is in flight and end.", SESSION),
    ),
];
