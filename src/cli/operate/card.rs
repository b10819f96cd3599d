//! `cardswitch card`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::card_control;
use super::table::{more, table};
use super::{Place, Said, done, number_given, secret_line, text};
use crate::cli::api::Api;
use crate::cli::import::Failed;

/// What `card` can be told.
#[derive(Args)]
pub struct CardArgs {
    #[command(subcommand)]
    command: CardCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum CardCommand {
    /// List cards in the order in which they were issued.
    List {
        /// Cards whose number ends so.
        #[arg(long, value_name = "DIGITS")]
        last_four: Option<String>,
        /// Go on behind this card.
        #[arg(long, default_value_t = 0)]
        after: u32,
        /// Rows at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Find a card by its whole number; - reads it from standard input.
    Find {
        /// The number, or -.
        pan: String,
    },
    /// Show a card with its limits and what is used of them.
    Show {
        /// Number of the card within the switch.
        card: u32,
    },
    /// Stop a card until it is made active again.
    Freeze(Which),
    /// Make a card active, also after a freeze.
    Activate(Which),
    /// Report a card lost; its device tokens end.
    Lost(Which),
    /// Report a card stolen; its device tokens end.
    Stolen(Which),
    /// Give a card limits of its own, in place of those that it has; the tighter one counts.
    Limits {
        /// Number of the card within the switch.
        card: u32,
        /// CHANNEL:WINDOW:CURRENCY:AMOUNT[:COUNT], such as e-commerce:day:JPY:5000, or with no
        /// amount purchase:month:JPY::30. Amounts are minor units; 0 lets nothing through.
        #[arg(long = "limit", value_name = "LIMIT", required_unless_present = "none")]
        limits: Vec<String>,
        /// None: only those of its programme.
        #[arg(long, conflicts_with = "limits")]
        none: bool,
    },
    /// Give a card controls of its own, in place of those that it has: kinds of messages that it
    /// refuses beside the blocks of its programme.
    Controls {
        /// Number of the card within the switch.
        card: u32,
        /// Refuse what meets all of KEY=VALUE[,VALUE] [KEY=VALUE...], such as domestic=false,
        /// presence=absent, mcc=5541,3501-3999, "purpose=cash-withdrawal country_not=JP,KR". Keys
        /// are those of a programme's blocks; say it again for another control.
        #[arg(long = "refuse", value_name = "WHAT", required_unless_present = "none")]
        refused: Vec<String>,
        /// None: only the blocks of its programme.
        #[arg(long, conflicts_with = "refused")]
        none: bool,
    },
    /// Issue another card in place of one; account and balance stay.
    Replace {
        /// Number of the card within the switch.
        card: u32,
        /// Number of the new card; - reads it from standard input.
        #[arg(long)]
        pan: String,
        /// Last valid month of the new card, YYMM.
        #[arg(long)]
        expiry: Option<String>,
        /// What becomes of the old one: lost, stolen, closed or frozen.
        #[arg(long)]
        old: String,
        /// active, or not-activated for a card that is shipped.
        #[arg(long, default_value = "active")]
        status: String,
    },
    /// Make a shipped card usable for its holder; the initial PIN comes from standard input.
    Enrol {
        /// Number of the card within the switch.
        card: u32,
        /// The last four digits of its number, as the holder reads them.
        #[arg(long)]
        last_four: String,
        /// Its number, where PINs belong to cards.
        #[arg(long)]
        pan: Option<String>,
    },
    /// Set the PIN of a card, which comes from standard input.
    SetPin {
        /// Its number.
        #[arg(long)]
        pan: String,
    },
    /// Forget wrong PINs of a card.
    UnlockPin {
        /// Its number; - reads it from standard input.
        #[arg(long)]
        pan: String,
    },
    /// Let a device pay with a number of its own.
    AddDevice {
        /// Number of the card within the switch.
        card: u32,
        /// The device's number; - reads it from standard input.
        #[arg(long)]
        pan: String,
    },
}

#[derive(Args)]
struct Which {
    /// Number of the card within the switch.
    card: u32,
}

/// Runs `card`.
pub fn run(args: &CardArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        CardCommand::List {
            last_four,
            after,
            limit,
        } => list(api, last_four.as_deref(), *after, *limit),
        CardCommand::Find { pan } => {
            let asked = json!({ "pan": &*number_given(pan)? });
            let answer = api.post("/v1/cards/lookup", &asked)?;
            let word = |key: &str| text(&answer[key]);
            let words = format!(
                "card {}  {}  account {}",
                word("card"),
                word("number"),
                word("account")
            );
            Ok(Said::new(answer, words))
        }
        CardCommand::Show { card } => show(api, *card),
        CardCommand::Freeze(which) => status(api, which.card, "frozen"),
        CardCommand::Activate(which) => status(api, which.card, "active"),
        CardCommand::Lost(which) => status(api, which.card, "lost"),
        CardCommand::Stolen(which) => status(api, which.card, "stolen"),
        CardCommand::Limits { card, limits, none } => {
            let limits: Result<Vec<Value>, Failed> = limits.iter().map(|it| limit(it)).collect();
            let asked = json!({ "limits": limits? });
            let answer = api.post(&format!("/v1/cards/{card}/limits"), &asked)?;
            let these = if *none { "no" } else { "these" };
            let what = format!("card {card} has {these} limits of its own");
            let words = done(&answer, &what);
            Ok(Said::new(answer, words))
        }
        CardCommand::Controls {
            card,
            refused,
            none,
        } => {
            let controls: Result<Vec<Value>, Failed> =
                refused.iter().map(|it| card_control::read(it)).collect();
            let asked = json!({ "controls": controls? });
            let answer = api.post(&format!("/v1/cards/{card}/controls"), &asked)?;
            let these = if *none { "no" } else { "these" };
            let what = format!("card {card} has {these} controls of its own");
            let words = done(&answer, &what);
            Ok(Said::new(answer, words))
        }
        CardCommand::Replace {
            card,
            pan,
            expiry,
            old,
            status,
        } => {
            let asked = json!({
                "pan": &*number_given(pan)?, "expiry": expiry, "old_status": old, "status": status,
            });
            let answer = api.post(&format!("/v1/cards/{card}/replace"), &asked)?;
            let words = done(&answer, &format!("card {card} is replaced"));
            Ok(Said::new(answer, words))
        }
        CardCommand::Enrol {
            card,
            last_four,
            pan,
        } => {
            let pin = secret_line("the PIN")?;
            let asked = json!({ "last_four": last_four, "pin": &*pin, "pan": pan });
            let answer = api.post(&format!("/v1/cards/{card}/enrol"), &asked)?;
            let words = done(&answer, &format!("card {card} may be used"));
            Ok(Said::new(answer, words))
        }
        CardCommand::SetPin { pan } => {
            let pin = secret_line("the PIN")?;
            let answer = api.post("/v1/pins", &json!({ "pan": pan, "pin": &*pin }))?;
            let words = done(&answer, "the PIN is set");
            Ok(Said::new(answer, words))
        }
        CardCommand::UnlockPin { pan } => {
            let asked = json!({ "pan": &*number_given(pan)? });
            let answer = api.post("/v1/pins/unlock", &asked)?;
            Ok(Said::new(answer, "wrong PINs are forgotten"))
        }
        CardCommand::AddDevice { card, pan } => {
            let asked = json!({ "pan": &*number_given(pan)? });
            let answer = api.post(&format!("/v1/cards/{card}/device-tokens"), &asked)?;
            let words = done(&answer, &format!("the device pays with card {card}"));
            Ok(Said::new(answer, words))
        }
    })
}

fn list(api: &Api, last_four: Option<&str>, after: u32, limit: usize) -> Result<Said, Failed> {
    let digits = last_four.map_or(String::new(), |digits| format!("&last_four={digits}"));
    let answer = api.get(&format!("/v1/cards?after={after}&limit={limit}{digits}"))?;
    let columns = [
        ("card", "/id"),
        ("number", "/number"),
        ("account", "/account"),
        ("expiry", "/expiry"),
        ("status", "/status"),
    ];
    let words = table(answer.get("cards"), &columns, "no cards\n") + &more(&answer);
    Ok(Said::new(answer, words))
}

fn show(api: &Api, card: u32) -> Result<Said, Failed> {
    let answer = api.get(&format!("/v1/cards/{card}"))?;
    let word = |key: &str| text(&answer[key]);
    let mut words = format!(
        "card {card}  {}  account {}  expiry {}  {}  wrong PINs {}\n\n",
        word("number"),
        word("account"),
        word("expiry"),
        word("status"),
        word("wrong_pin_tries")
    );
    let columns = [
        ("limit of", "/channel"),
        ("per", "/window"),
        ("currency", "/currency"),
        ("amount", "/amount_max"),
        ("used", "/used_minor"),
        ("times", "/count_max"),
        ("used", "/used_count"),
    ];
    words += &table(answer.get("limits"), &columns, "no limits\n");
    if answer["own_limits"] != json!([]) {
        words += "\nlimits of its own\n";
        words += &table(answer.get("own_limits"), &columns, "");
    }
    let controls = answer["own_controls"].as_array();
    for (n, control) in (1_usize..).zip(controls.into_iter().flatten()) {
        if n == 1 {
            words += "\nrefuses of its own\n";
        }
        words += &format!("{n}  {}\n", card_control::words(control));
    }
    Ok(Said::new(answer, words))
}

/// A limit as the command line has it.
fn limit(given: &str) -> Result<Value, Failed> {
    let expected = || {
        let what = format!("{given}: expected CHANNEL:WINDOW:CURRENCY:AMOUNT[:COUNT]");
        (64, what)
    };
    let number = |text: &str| match text {
        "" => Ok(None),
        digits => digits.parse::<i64>().map(Some).map_err(|_| expected()),
    };
    let (channel, window, currency, amount, count) =
        match given.split(':').collect::<Vec<_>>().as_slice() {
            [channel, window, currency, amount] => (*channel, *window, *currency, *amount, ""),
            [channel, window, currency, amount, count] => {
                (*channel, *window, *currency, *amount, *count)
            }
            _ => return Err(expected()),
        };
    Ok(json!({
        "channel": channel,
        "window": window,
        "currency": currency,
        "amount_max": number(amount)?,
        "count_max": number(count)?,
    }))
}

fn status(api: &Api, card: u32, status: &str) -> Result<Said, Failed> {
    let path = format!("/v1/cards/{card}/status");
    let answer: Value = api.post(&path, &json!({ "status": status }))?;
    let words = done(&answer, &format!("card {card} is {status}"));
    Ok(Said::new(answer, words))
}
