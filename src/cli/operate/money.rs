//! `cardswitch load`, `cardswitch transfer`, `cardswitch rate`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::table::{more, table};
use super::{Page, Place, Said, done, text};

/// What `load` can be told.
#[derive(Args)]
pub struct LoadArgs {
    /// Number of the card within the switch.
    card: u32,
    /// Amount in minor units.
    #[arg(long)]
    minor: i64,
    /// ISO 4217 letters.
    #[arg(long, default_value = "JPY")]
    currency: String,
    /// How it was paid in: bank, atm, credit-card or shop-till.
    #[arg(long)]
    channel: String,
    /// Your own name for it: the same one never loads twice.
    #[arg(long)]
    reference: String,
    /// Who brought it, where the programme asks.
    #[arg(long)]
    partner: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs `load`; exit code 1 when the programme's rules refuse it.
pub fn run_load(args: &LoadArgs) -> ExitCode {
    args.place.run(|api| {
        let asked = json!({
            "reference": args.reference, "card": args.card, "minor": args.minor,
            "currency": args.currency, "channel": args.channel, "partner": args.partner,
        });
        let answer = api.post("/v1/loads", &asked)?;
        if answer["approved"].as_bool() != Some(true) {
            let (reason, evidence) = (text(&answer["reason"]), text(&answer["evidence"]));
            let sequence = text(&answer["sequence"]);
            let what = format!(
                "the load is refused: {reason} ({evidence}); cardswitch explain {sequence} tells \
                 more"
            );
            return Err((1, what));
        }
        let words = done(&answer, &format!("card {} is loaded", args.card));
        Ok(Said::new(answer, words))
    })
}

/// What `transfer` can be told.
#[derive(Args)]
pub struct TransferArgs {
    /// Account that gives.
    #[arg(long)]
    from: u32,
    /// Account that gets.
    #[arg(long)]
    to: u32,
    /// Amount in minor units.
    #[arg(long)]
    minor: i64,
    /// Your own name for it: the same one never moves it twice.
    #[arg(long)]
    reference: String,
    #[command(flatten)]
    place: Place,
}

/// Runs `transfer`.
pub fn run_transfer(args: &TransferArgs) -> ExitCode {
    args.place.run(|api| {
        let asked = json!({
            "reference": args.reference, "from": args.from, "to": args.to, "minor": args.minor,
        });
        let answer = api.post("/v1/transfers", &asked)?;
        let what = format!("account {} has it from account {}", args.to, args.from);
        let words = done(&answer, &what);
        Ok(Said::new(answer, words))
    })
}

/// What `rate` can be told.
#[derive(Args)]
pub struct RateArgs {
    #[command(subcommand)]
    command: RateCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum RateCommand {
    /// List exchange rates in force and to come.
    List(Page),
    /// Take in a rate.
    Set {
        /// ISO 4217 letters of the currency that is given.
        from: String,
        /// ISO 4217 letters of the currency that is got.
        to: String,
        /// How much of it for one.
        rate: String,
        /// From when, a time with its zone [default: now].
        #[arg(long)]
        effective: Option<String>,
    },
}

/// Runs `rate`.
pub fn run_rate(args: &RateArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        RateCommand::List(page) => {
            let answer = api.get(&page.of("/v1/rates"))?;
            let columns = [
                ("from", "/from"),
                ("to", "/to"),
                ("rate", "/rate"),
                ("effective", "/effective"),
                ("in force", "/in_force"),
            ];
            let words = table(answer.get("rates"), &columns, "no rates\n") + &more(&answer);
            Ok(Said::new(answer, words))
        }
        RateCommand::Set {
            from,
            to,
            rate,
            effective,
        } => {
            let row = json!({ "from": from, "to": to, "rate": rate, "effective": effective });
            let answer = api.post("/v1/rates", &json!({ "rates": [row] }))?;
            let words = done(&answer, &format!("{rate} {to} for one {from}"));
            Ok(Said::new(answer, words))
        }
    })
}
