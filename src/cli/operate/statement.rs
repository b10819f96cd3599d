//! `cardswitch statement`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::table::{more, table};
use super::{Place, Said, text};

/// What `statement` can be told.
#[derive(Args)]
pub struct StatementArgs {
    /// Number of the account.
    account: u32,
    /// First day, YYYY-MM-DD in the programme's time zone [default: the beginning].
    #[arg(long)]
    from: Option<String>,
    /// Last day [default: today].
    #[arg(long)]
    to: Option<String>,
    /// Go on behind this line.
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Lines at most.
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    /// As comma-separated values.
    #[arg(long, conflicts_with = "html")]
    csv: bool,
    /// As a page to print.
    #[arg(long)]
    html: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs `statement`.
pub fn run(args: &StatementArgs) -> ExitCode {
    args.place.run(|api| {
        let mut path = format!(
            "/v1/accounts/{}/statement?after={}&limit={}",
            args.account, args.after, args.limit
        );
        for (key, day) in [("from", &args.from), ("to", &args.to)] {
            if let Some(day) = day {
                path += &format!("&{key}={day}");
            }
        }
        if args.csv || args.html {
            path += if args.csv {
                "&format=csv"
            } else {
                "&format=html"
            };
            let answered = api.answer_to_get(&path)?;
            if answered.status != 200 {
                return Err(api.refused(&path, &answered));
            }
            return Ok(Said::new(
                Value::String(answered.text.clone()),
                answered.text,
            ));
        }
        let answer = api.get(&path)?;
        let words = told(&answer);
        Ok(Said::new(answer, words))
    })
}

fn told(answer: &Value) -> String {
    let purses = [
        ("purse", "/id"),
        ("currency", "/currency"),
        ("before", "/before"),
        ("deposits", "/deposits"),
        ("withdrawals", "/withdrawals"),
        ("after", "/after"),
        ("held", "/held"),
    ];
    let lines = [
        ("line", "/sequence"),
        ("at", "/opened_at"),
        ("kind", "/kind"),
        ("state", "/state"),
        ("authorized", "/authorized"),
        ("currency", "/currency"),
        ("fee", "/fee"),
        ("refunded", "/refunded"),
        ("merchant", "/merchant_name"),
    ];
    format!(
        "account {}  {}  {} to {}\n\n{}\n{}{}",
        text(&answer["account"]),
        text(&answer["programme"]),
        text(&answer["from"]),
        text(&answer["to"]),
        table(answer.get("purses"), &purses, "no purses\n"),
        table(answer.get("lines"), &lines, "nothing happened\n"),
        more(answer)
    )
}
