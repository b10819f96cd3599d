//! `cardswitch link`: links, their business days, the sessions that are open.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::table::{more, table};
use super::{Page, Place, Said, text};
use crate::cli::api::Api;
use crate::cli::import::Failed;

/// What `link` can be told.
#[derive(Args)]
pub struct LinkArgs {
    #[command(subcommand)]
    command: LinkCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum LinkCommand {
    /// List the links with their business day.
    List(Page),
    /// Show what was counted on each business day, with the last comparison.
    Totals {
        /// Of this link only.
        #[arg(long)]
        link: Option<String>,
        /// Of this day only, YYYY-MM-DD.
        #[arg(long)]
        date: Option<String>,
    },
    /// End the business day of a link and begin another.
    Cutover {
        /// Its name.
        link: String,
        /// The day that begins, YYYY-MM-DD.
        date: String,
    },
    /// List the sessions that are open.
    Sessions(Page),
    /// Sign a session off: its requests are refused until the peer signs on again.
    SignOff {
        /// Number of the session.
        session: u64,
    },
    /// Have a link's sessions answer what is in flight and end, and let it have no new one.
    Drain {
        /// Name of a link or a listener.
        #[arg(required_unless_present = "session", conflicts_with = "session")]
        link: Option<String>,
        /// Only this session; its peer may come again.
        #[arg(long)]
        session: Option<u64>,
    },
    /// Let a link have sessions again.
    Resume {
        /// Its name.
        link: String,
    },
}

/// Runs `link`.
pub fn run_link(args: &LinkArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        LinkCommand::List(page) => {
            let answer = api.get(&page.of("/v1/links"))?;
            let columns = [("link", "/name"), ("number", "/number"), ("day", "/day")];
            let words = table(answer.get("links"), &columns, "no links\n") + &more(&answer);
            Ok(Said::new(answer, words))
        }
        LinkCommand::Totals { link, date } => {
            let wanted = [("link", link), ("date", date)];
            let wanted = wanted
                .iter()
                .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}")));
            let query = wanted.collect::<Vec<_>>().join("&");
            let answer = api.get(&format!("/v1/reconciliation?{query}"))?;
            let columns = [
                ("link", "/link"),
                ("date", "/date"),
                ("currency", "/currency"),
                ("net", "/totals/net_minor"),
                ("reconciled", "/reconciled/result"),
            ];
            let words = table(answer.get("days"), &columns, "nothing was counted\n");
            Ok(Said::new(answer, words))
        }
        LinkCommand::Cutover { link, date } => {
            let path = format!("/v1/links/{link}/cutover");
            let answer = api.post(&path, &json!({ "date": date }))?;
            let words = format!("the business day of {link} is {}", text(&answer["day"]));
            Ok(Said::new(answer, words))
        }
        LinkCommand::Sessions(page) => sessions(api, page),
        LinkCommand::SignOff { session } => {
            let answer = api.post(&format!("/v1/sessions/{session}/sign-off"), &json!({}))?;
            let words = format!(
                "session {session} of {} at {} is signed off",
                text(&answer["link"]),
                text(&answer["peer"])
            );
            Ok(Said::new(answer, words))
        }
        LinkCommand::Drain { link, session } => drain(api, link.as_deref(), *session),
        LinkCommand::Resume { link } => {
            let answer = api.post(&format!("/v1/links/{link}/resume"), &json!({}))?;
            let words = match answer["was_drained"].as_bool() {
                Some(false) => format!("{link} was not drained; nothing has changed"),
                _ => format!("{link} may have sessions again"),
            };
            Ok(Said::new(answer, words))
        }
    })
}

fn sessions(api: &Api, page: &Page) -> Result<Said, Failed> {
    let answer = api.get(&page.of("/v1/sessions"))?;
    let columns = [
        ("session", "/session"),
        ("link", "/link"),
        ("listener", "/listener"),
        ("peer", "/peer"),
        ("since", "/since"),
        ("signed on", "/signed_on"),
        ("draining", "/draining"),
        ("in", "/messages_in"),
        ("out", "/messages_out"),
        ("in flight", "/in_flight"),
        ("last message", "/last_message_at"),
    ];
    let mut words = table(answer.get("sessions"), &columns, "no sessions\n") + &more(&answer);
    for name in answer["drained"].as_array().into_iter().flatten() {
        words += &format!("{} is drained: it takes no new session\n", text(name));
    }
    Ok(Said::new(answer, words))
}

fn drain(api: &Api, link: Option<&str>, session: Option<u64>) -> Result<Said, Failed> {
    let path = match (link, session) {
        (Some(link), _) => format!("/v1/links/{link}/drain"),
        (None, session) => format!("/v1/sessions/{}/drain", session.unwrap_or_default()),
    };
    let answer = api.post(&path, &json!({}))?;
    let words = match link {
        Some(link) => format!(
            "{link} takes no new session; {} are drained",
            text(&answer["sessions"])
        ),
        None => format!(
            "session {} of {} at {} is drained",
            text(&answer["session"]),
            text(&answer["link"]),
            text(&answer["peer"])
        ),
    };
    Ok(Said::new(answer, words))
}
