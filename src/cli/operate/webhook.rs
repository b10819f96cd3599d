//! `cardswitch webhook`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::table::table;
use super::{Place, Said, text};

/// What `webhook` can be told.
#[derive(Args)]
pub struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum WebhookCommand {
    /// List those who are told over HTTP, with how far they are.
    List,
    /// Show one with what was put aside.
    Show {
        /// Its name.
        name: String,
    },
    /// Have what was put aside told again, or the records of a range.
    Replay {
        /// Its name.
        name: String,
        /// Behind this record.
        #[arg(long, requires = "through")]
        after: Option<u64>,
        /// Up to and including this one.
        #[arg(long, requires = "after")]
        through: Option<u64>,
    },
}

/// Runs `webhook`.
pub fn run_webhook(args: &WebhookArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        WebhookCommand::List => {
            let answer = api.get("/v1/webhooks")?;
            let columns = [
                ("webhook", "/name"),
                ("tells", "/tells"),
                ("at record", "/next"),
                ("behind", "/behind"),
                ("failures in a row", "/failures_in_row"),
                ("put aside", "/dead"),
                ("last failure", "/last_failure"),
            ];
            let words = table(answer.get("webhooks"), &columns, "no webhooks\n");
            Ok(Said::new(answer, words))
        }
        WebhookCommand::Show { name } => {
            let answer = api.get(&format!("/v1/webhooks/{name}"))?;
            let columns = [
                ("behind record", "/after"),
                ("through", "/through"),
                ("at", "/at"),
                ("why", "/why"),
            ];
            let words = format!(
                "{} is told {} at {}; at record {}, {} behind\n\n{}",
                name,
                text(&answer["tells"]),
                text(&answer["url"]),
                text(&answer["next"]),
                text(&answer["behind"]),
                table(answer.get("dead"), &columns, "nothing was put aside\n")
            );
            Ok(Said::new(answer, words))
        }
        WebhookCommand::Replay {
            name,
            after,
            through,
        } => {
            let path = format!("/v1/webhooks/{name}/replay");
            let answer = api.post(&path, &json!({ "after": after, "through": through }))?;
            let words = match answer["ranges"].as_u64() {
                Some(0) => format!("nothing was put aside of what {name} is told"),
                _ => format!("{name} is told {} ranges again", text(&answer["ranges"])),
            };
            Ok(Said::new(answer, words))
        }
    })
}
