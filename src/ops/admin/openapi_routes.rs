//! What the OpenAPI document tells of each route besides its path and role: in words, what is read
//! and what a good answer always has. A test holds it against the table of routes.

use super::openapi_about::{About, Body, about, list, other};
use super::openapi_links::LINKS;
use super::paging::Paging;
use super::{
    activity, audit, backtests, backups, card_controls, card_limits, cards, checkpoints, clearing,
    console, events, exceptions, holders, lists, loads, paper, pins, rates, reconciliation,
    shadows, statements, transfers, webhooks,
};

/// What every order answers.
const DONE: &[&str] = &["sequence: integer", "repeated: boolean"];

pub(super) type Row = (&'static str, &'static str, About);

pub(super) const fn get(path: &'static str, told: About) -> Row {
    ("GET", path, told)
}

pub(super) const fn post(path: &'static str, told: About) -> Row {
    ("POST", path, told)
}

/// What is told of a route; `None`: nothing yet.
pub(super) fn about_route(method: &str, path: &str) -> Option<About> {
    let mut rows = [SWITCH, HOLDERS, CARDS, MONEY, DAY, LINKS]
        .into_iter()
        .flatten();
    let found = rows.find(|row| (row.0, row.1) == (method, path));
    found.map(|row| row.2)
}

/// The switch itself, its pages and what happens in it.
const SWITCH: &[Row] = &[
    get(
        "/healthz",
        about(
            "Counters, and whether the switch works.",
            &[
                "status: string",
                "sequence: integer",
                "accounts: integer",
                "cards: integer",
                "entries: integer",
                "counters: object",
                "log: object",
            ],
        ),
    ),
    get(
        "/readyz",
        about(
            "Whether the switch decides and its journal takes records.",
            &["status: string", "version: string", "sequence: integer"],
        ),
    ),
    get(
        "/metrics",
        other("Metrics for Prometheus.", &["text/plain"]),
    ),
    get("/docs", other("This document as a page.", &["text/html"])),
    get("/console", other("The console.", &["text/html"])),
    get("/console/style.css", other("How it looks.", &["text/css"])),
    get(
        "/console/words.js",
        other("What it says.", &["text/javascript"]),
    ),
    get(
        "/console/app.js",
        other("What it does.", &["text/javascript"]),
    ),
    get(
        "/v1/openapi.json",
        about(
            "This document.",
            &["openapi: string", "info: object", "paths: object"],
        ),
    ),
    get(
        "/v1/overview",
        about(
            "What the links count.",
            &[
                "sequence: integer",
                "steps: array",
                "links: array",
                "queue: integer",
                "queue_max: integer",
                "role: string?",
            ],
        ),
    ),
    get(
        "/v1/activity",
        about(
            "Every decision, posting and operation in order.",
            &["activity: Activity", "next: integer", "behind: integer"],
        )
        .query::<activity::Wanted>(),
    ),
    get(
        "/v1/activity/live",
        other("The same as Server-Sent Events.", &["text/event-stream"])
            .query::<activity::Wanted>(),
    ),
    get(
        "/v1/test-message",
        about("Doors that take test messages.", &["doors: array"]),
    ),
    post(
        "/v1/test-message",
        about(
            "Send a test message to a door.",
            &["sent: string", "answer: string"],
        )
        .body::<console::Sending>(),
    ),
    get(
        "/v1/state",
        about(
            "Digest, conservation of money, totals of the ledger.",
            &[
                "sequence: integer",
                "at: string",
                "digest: string",
                "conserved: boolean",
                "fault: string?",
                "ledger: array",
            ],
        ),
    ),
    get(
        "/v1/audit",
        about(
            "Who did what.",
            &["deeds: array", "next: integer", "behind: integer"],
        )
        .query::<audit::Wanted>(),
    ),
    get(
        "/v1/events",
        about(
            "Notices for holders.",
            &["events: array", "next: integer", "behind: integer"],
        )
        .query::<events::Wanted>(),
    ),
    get(
        "/v1/webhooks",
        about("Who is told over HTTP.", &["webhooks: array"]),
    ),
    get(
        "/v1/webhooks/{name}",
        about(
            "One of them, with what was put aside.",
            &[
                "name: string",
                "url: string",
                "tells: string",
                "next: integer",
                "behind: integer",
                "failures: integer",
                "failures_in_row: integer",
                "last_failure: string?",
                "dead: array",
                "again: array",
            ],
        ),
    ),
    post(
        "/v1/webhooks/{name}/replay",
        about(
            "Have something told again.",
            &["webhook: string", "ranges: integer"],
        )
        .body::<webhooks::Again>(),
    ),
    post(
        "/v1/checkpoint",
        about(
            "Have a checkpoint made.",
            &["sequence: integer", "made: boolean"],
        )
        .query::<checkpoints::Wanted>(),
    ),
    get(
        "/v1/backup",
        about("How far a copy is.", &["done: integer", "total: integer"]),
    ),
    post(
        "/v1/backup",
        about("Have a copy of the store made.", &["sequence: integer"]).body::<backups::Wanted>(),
    ),
    post(
        "/v1/import",
        About {
            body: Some(Body::Toml),
            ..about(
                "Open the cards of a card file.",
                &["created: integer", "existing: integer", "refused: array"],
            )
        },
    ),
    get(
        "/v1/decisions/{sequence}",
        about(
            "Why a message was answered as it was.",
            &[
                "sequence: integer",
                "at: string",
                "card: integer?",
                "mti: string",
                "minor: integer",
                "currency: string",
                "reason: string",
                "code: string",
                "approval: string?",
                "rules: array",
                "read_from: array",
                "sentence: object",
            ],
        ),
    ),
];

/// Holders and their accounts.
const HOLDERS: &[Row] = &[
    post(
        "/v1/holders",
        about(
            "Register a holder.",
            &["sequence: integer", "repeated: boolean", "holder: integer"],
        )
        .body::<holders::Registration>(),
    ),
    get(
        "/v1/holders/{id}",
        about(
            "What is recorded of a holder.",
            &[
                "id: integer",
                "programme: string?",
                "born: string",
                "consent: boolean",
                "kyc: string",
                "account: integer?",
            ],
        ),
    ),
    post(
        "/v1/holders/{id}/kyc",
        about("A holder is verified, or not any more.", DONE)
            .body::<holders::Standing>()
            .guarded(),
    ),
    get(
        "/v1/accounts",
        about("List accounts.", &["accounts: array", "next: integer?"]).query::<lists::Page>(),
    ),
    post(
        "/v1/accounts",
        about(
            "Open an empty account with its first card.",
            &["account: integer", "card: integer", "repeated: boolean"],
        )
        .body::<holders::NewAccount>(),
    ),
    post(
        "/v1/accounts/{id}/kyc",
        about("The same by the account.", DONE)
            .body::<holders::Standing>()
            .guarded(),
    ),
    get(
        "/v1/accounts/{id}",
        about(
            "Purses, cards with their devices, newest entries.",
            &[
                "id: integer",
                "programme: string",
                "holder: integer?",
                "kyc: string",
                "closed_at: string?",
                "erased_at: string?",
                "available: integer",
                "purses: array",
                "cards: array",
                "entries: array",
            ],
        ),
    ),
    get(
        "/v1/accounts/{id}/holds",
        about(
            "What is held on an account.",
            &["account: integer", "holds: array", "next: integer?"],
        )
        .query::<Paging>(),
    ),
    post(
        "/v1/accounts/{id}/close",
        about("Close an account for ever.", DONE).guarded(),
    ),
    post(
        "/v1/accounts/{id}/erase",
        about(
            "Erase the data of a closed account's cards: numbers, months, PINs, devices, chips.",
            DONE,
        )
        .guarded(),
    ),
    get(
        "/v1/accounts/{id}/statement",
        About {
            others: &["text/csv", "text/html"],
            ..about(
                "What happened on an account in a period.",
                &[
                    "account: integer",
                    "programme: string",
                    "from: string?",
                    "to: string?",
                    "purses: array",
                    "lines: array",
                    "next: integer?",
                ],
            )
            .query::<statements::Period>()
        },
    ),
    get(
        "/v1/negative-balances",
        about(
            "Purses below zero.",
            &["total: integer", "oldest: array", "next: string?"],
        )
        .query::<Paging>(),
    ),
];

/// Cards and PINs.
const CARDS: &[Row] = &[
    get(
        "/v1/cards",
        about("List cards.", &["cards: array", "next: integer?"]).query::<lists::Page>(),
    ),
    post(
        "/v1/cards/lookup",
        about(
            "Card and account of a number.",
            &[
                "account: integer",
                "card: integer",
                "number: string",
                "token: string",
            ],
        )
        .body::<cards::Lookup>(),
    ),
    get(
        "/v1/cards/{id}",
        about(
            "A card with its limits.",
            &[
                "id: integer",
                "account: integer",
                "number: string",
                "expiry: string?",
                "status: string",
                "wrong_pin_tries: integer",
                "has_pin: boolean",
                "limits: array",
                "own_limits: array",
                "own_controls: array",
            ],
        ),
    ),
    post(
        "/v1/cards/{id}/limits",
        about("Give a card limits of its own.", DONE)
            .body::<card_limits::Limits>()
            .guarded(),
    ),
    post(
        "/v1/cards/{id}/controls",
        about("Give a card controls of its own.", DONE)
            .body::<card_controls::Controls>()
            .guarded(),
    ),
    post(
        "/v1/cards/{id}/status",
        about("Stop, freeze or activate a card.", DONE)
            .body::<cards::StatusChange>()
            .guarded(),
    ),
    post(
        "/v1/cards/{id}/replace",
        about("Issue a card in place of another.", DONE)
            .body::<cards::Replacement>()
            .guarded(),
    ),
    post(
        "/v1/cards/{id}/device-tokens",
        about("Let a device pay with a number of its own.", DONE)
            .body::<cards::Device>()
            .guarded(),
    ),
    post(
        "/v1/cards/{id}/enrol",
        about("Make a shipped card usable.", DONE)
            .body::<pins::Enrolment>()
            .guarded(),
    ),
    post(
        "/v1/pins",
        about("Set the PIN of a card.", DONE).body::<pins::NewPin>(),
    ),
    post(
        "/v1/pins/unlock",
        about("Forget wrong PINs.", &["done: boolean"]).body::<pins::Locked>(),
    ),
    post(
        "/v1/pins/change",
        about("Change a PIN for its holder.", DONE).body::<pins::Change>(),
    ),
];

/// Money that no link brings, and what is held.
const MONEY: &[Row] = &[
    post(
        "/v1/loads",
        about(
            "Load a card.",
            &[
                "sequence: integer",
                "approved: boolean",
                "reason: string",
                "repeated: boolean",
            ],
        )
        .body::<loads::Wanted>(),
    ),
    post(
        "/v1/paper",
        about("Take the fee of something on paper.", DONE).body::<paper::Wanted>(),
    ),
    post(
        "/v1/transfers",
        about("From one holder to another.", DONE).body::<transfers::Wanted>(),
    ),
    get(
        "/v1/rates",
        about("Exchange rates.", &["rates: array", "next: string?"]).query::<Paging>(),
    ),
    post(
        "/v1/rates",
        about("Take rates in.", DONE).body::<rates::Stated>(),
    ),
    post(
        "/v1/charges",
        about(
            "From one purse to another at the rate in force.",
            &[
                "sequence: integer",
                "repeated: boolean",
                "credited: integer",
                "fee: integer",
                "rate: string",
            ],
        )
        .body::<rates::Wanted>(),
    ),
    post(
        "/v1/holds/{entry}/release",
        about("Let go of a hold.", DONE),
    ),
    post(
        "/v1/clearing",
        list("Post clearing lines.").body::<clearing::Lines>(),
    ),
    post(
        "/v1/clearing/check",
        list("Say what posting lines would do.").body::<clearing::Lines>(),
    ),
    post(
        "/v1/clearing/close",
        about("Close a clearing batch.", DONE).body::<clearing::Closing>(),
    ),
];

/// The day of an operator.
const DAY: &[Row] = &[
    get(
        "/v1/exceptions",
        about(
            "What a person must look at.",
            &[
                "total: integer",
                "open: integer",
                "newest: array",
                "next: integer?",
            ],
        )
        .query::<Paging>(),
    ),
    post(
        "/v1/exceptions/{sequence}/resolve",
        about("Take exceptions out of the queue.", DONE).body::<exceptions::Resolution>(),
    ),
    get(
        "/v1/programmes",
        about("Programmes in force.", &["programmes: array"]),
    ),
    post(
        "/v1/programmes/reload",
        about(
            "Read the programme files again.",
            &[
                "sequence: integer",
                "repeated: boolean",
                "programmes: array",
            ],
        ),
    ),
    post(
        "/v1/programmes/backtest",
        about(
            "Decide a recorded period again under a programme file.",
            &[
                "decisions: integer",
                "changed: integer",
                "changes: array",
                "examples: array",
                "declines: array",
                "in_shadow: integer",
                "through: integer",
                "through_at: string?",
                "whole: boolean",
            ],
        )
        .body::<backtests::Asking>(),
    ),
    get(
        "/v1/programmes/{name}/shadow",
        about(
            "What a programme file in shadow would have decided otherwise.",
            &["programme: string", "shadow: object?"],
        ),
    ),
    post(
        "/v1/programmes/{name}/shadow",
        about(
            "Judge the decisions of a programme under another file too.",
            &["programme: string", "shadow: object?"],
        )
        .body::<shadows::Candidate>(),
    ),
    get(
        "/v1/reconciliation",
        about("Totals by link and day.", &["links: array", "days: array"])
            .query::<reconciliation::Which>(),
    ),
];

/// Every route that something is told of.
#[cfg(test)]
pub(super) fn told() -> Vec<(&'static str, &'static str)> {
    let rows = [SWITCH, HOLDERS, CARDS, MONEY, DAY, LINKS]
        .into_iter()
        .flatten();
    rows.map(|row| (row.0, row.1)).collect()
}
