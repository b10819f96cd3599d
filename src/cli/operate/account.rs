//! `cardswitch account`, `cardswitch hold`, `cardswitch holder`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::table::{more, table};
use super::{Page, Place, Said, done, number_given, text};
use crate::cli::api::Api;
use crate::cli::import::Failed;

/// What `account` can be told.
#[derive(Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    command: AccountCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum AccountCommand {
    /// List accounts in the order in which they were opened.
    List {
        /// Accounts of this programme only.
        #[arg(long)]
        programme: Option<String>,
        /// Go on behind this account.
        #[arg(long, default_value_t = 0)]
        after: u32,
        /// Rows at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// List purses below zero, the longest first.
    Negative {
        #[command(flatten)]
        page: Page,
    },
    /// Show purses, cards and the newest entries of an account.
    Show {
        /// Its number.
        account: u32,
    },
    /// Open an empty account with its first card.
    Open {
        /// Its programme.
        #[arg(long)]
        programme: String,
        /// The registered holder whose account it is.
        #[arg(long, conflicts_with = "kyc", required_unless_present = "kyc")]
        holder: Option<u64>,
        /// Without a holder, where the programme does not ask: verified or unverified.
        #[arg(long)]
        kyc: Option<String>,
        /// Number of the card; - reads it from standard input.
        #[arg(long)]
        pan: String,
        /// Last valid month of the card, YYMM; left out for a bearer number.
        #[arg(long)]
        expiry: Option<String>,
        /// active, or not-activated for a card that is shipped.
        #[arg(long, default_value = "active")]
        status: String,
    },
    /// Record how well the holder of an account is known: verified or unverified.
    Kyc {
        /// Its number.
        account: u32,
        /// verified or unverified.
        kyc: String,
    },
    /// Close an account and its cards for ever; the rest is paid out as the programme says.
    Close {
        /// Its number.
        account: u32,
    },
    /// Erase the data of a closed account's cards, once retention_days of its programme are over.
    /// Postings and statements stay; `store erased` proves what is left where.
    Erase {
        /// Its number.
        account: u32,
    },
}

/// Runs `account`.
pub fn run(args: &AccountArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        AccountCommand::List {
            programme,
            after,
            limit,
        } => list(api, programme.as_deref(), *after, *limit),
        AccountCommand::Negative { page } => {
            let answer = api.get(&page.of("/v1/negative-balances"))?;
            let columns = [
                ("account", "/account"),
                ("currency", "/currency"),
                ("balance", "/balance"),
                ("since", "/since"),
                ("days", "/days"),
            ];
            let rows = table(answer.get("oldest"), &columns, "no purse is below zero\n");
            let words = rows + &more(&answer);
            Ok(Said::new(answer, words))
        }
        AccountCommand::Show { account } => show(api, *account),
        AccountCommand::Open {
            programme,
            holder,
            kyc,
            pan,
            expiry,
            status,
        } => {
            let asked = json!({
                "programme": programme, "holder": holder, "kyc": kyc,
                "pan": &*number_given(pan)?, "expiry": expiry, "status": status,
            });
            let answer = api.post("/v1/accounts", &asked)?;
            let (account, card) = (text(&answer["account"]), text(&answer["card"]));
            let what = format!("account {account} with card {card} is open");
            let words = done(&answer, &what);
            Ok(Said::new(answer, words))
        }
        AccountCommand::Kyc { account, kyc } => {
            let path = format!("/v1/accounts/{account}/kyc");
            let answer = api.post(&path, &json!({ "kyc": kyc }))?;
            let words = done(
                &answer,
                &format!("the holder of account {account} is {kyc}"),
            );
            Ok(Said::new(answer, words))
        }
        AccountCommand::Close { account } => {
            let answer = api.post(&format!("/v1/accounts/{account}/close"), &json!({}))?;
            let words = done(&answer, &format!("account {account} is closed"));
            Ok(Said::new(answer, words))
        }
        AccountCommand::Erase { account } => {
            let answer = api.post(&format!("/v1/accounts/{account}/erase"), &json!({}))?;
            let what = format!("the card data of account {account} are erased");
            let words = done(&answer, &what);
            Ok(Said::new(answer, words))
        }
    })
}

fn list(api: &Api, programme: Option<&str>, after: u32, limit: usize) -> Result<Said, Failed> {
    let programme = programme.map_or(String::new(), |name| format!("&programme={name}"));
    let answer = api.get(&format!(
        "/v1/accounts?after={after}&limit={limit}{programme}"
    ))?;
    let columns = [
        ("account", "/id"),
        ("programme", "/programme"),
        ("kyc", "/kyc"),
        ("holder", "/holder"),
        ("currency", "/purses/0/currency"),
        ("first purse", "/purses/0/balance"),
        ("held", "/purses/0/held"),
        ("card", "/cards/0"),
    ];
    let words = table(answer.get("accounts"), &columns, "no accounts\n") + &more(&answer);
    Ok(Said::new(answer, words))
}

fn show(api: &Api, account: u32) -> Result<Said, Failed> {
    let answer = api.get(&format!("/v1/accounts/{account}"))?;
    let word = |key: &str| text(&answer[key]);
    let mut words = format!(
        "account {account}  {}  {}  holder {}\n",
        word("programme"),
        word("kyc"),
        word("holder")
    );
    for (key, what) in [("closed_at", "closed"), ("erased_at", "card data erased")] {
        if !answer[key].is_null() {
            words += &format!("{what} {}\n", word(key));
        }
    }
    words += "\n";
    let purses = [
        ("purse", "/id"),
        ("currency", "/currency"),
        ("balance", "/balance"),
        ("held", "/held"),
        ("available", "/available"),
    ];
    words += &table(answer.get("purses"), &purses, "no purses\n");
    let cards = [
        ("card", "/id"),
        ("number", "/number"),
        ("expiry", "/expiry"),
        ("status", "/status"),
    ];
    words += "\n";
    words += &table(answer.get("cards"), &cards, "no cards\n");
    let entries = [
        ("entry", "/id"),
        ("opened", "/opened_at"),
        ("purpose", "/purpose"),
        ("state", "/state"),
        ("authorized", "/authorized"),
        ("held", "/held"),
        ("posted", "/posted"),
        ("merchant", "/merchant"),
    ];
    words += "\n";
    words += &table(answer.get("entries"), &entries, "no entries\n");
    Ok(Said::new(answer, words))
}

/// What `hold` can be told.
#[derive(Args)]
pub struct HoldArgs {
    #[command(subcommand)]
    command: HoldCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum HoldCommand {
    /// List what is held on an account, with the time at which each hold ends by itself.
    List {
        /// Number of the account.
        account: u32,
        #[command(flatten)]
        page: Page,
    },
    /// Let go of a hold before its time; a capture that comes later still posts.
    Release {
        /// Number of the entry that holds.
        entry: u64,
    },
}

/// Runs `hold`.
pub fn run_hold(args: &HoldArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        HoldCommand::List { account, page } => {
            let answer = api.get(&page.of(&format!("/v1/accounts/{account}/holds")))?;
            let columns = [
                ("entry", "/entry"),
                ("card", "/card"),
                ("held", "/held"),
                ("currency", "/currency"),
                ("merchant", "/merchant"),
                ("since", "/opened_at"),
                ("until", "/expires_at"),
            ];
            let words = table(answer.get("holds"), &columns, "nothing is held\n") + &more(&answer);
            Ok(Said::new(answer, words))
        }
        HoldCommand::Release { entry } => {
            let answer = api.post(&format!("/v1/holds/{entry}/release"), &json!({}))?;
            let words = done(&answer, &format!("entry {entry} holds nothing any more"));
            Ok(Said::new(answer, words))
        }
    })
}

/// What `holder` can be told.
#[derive(Args)]
pub struct HolderArgs {
    #[command(subcommand)]
    command: HolderCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum HolderCommand {
    /// Register a holder who may have one account of a programme.
    Register {
        /// The programme.
        #[arg(long)]
        programme: String,
        /// Day of birth, YYYY-MM-DD.
        #[arg(long)]
        born: String,
        /// The consent of a parent is recorded.
        #[arg(long)]
        consent: bool,
        /// verified or unverified.
        #[arg(long)]
        kyc: String,
    },
    /// Show what is recorded of a holder.
    Show {
        /// Its number.
        holder: u64,
    },
    /// Record how well a holder is known: verified or unverified.
    Kyc {
        /// Its number.
        holder: u64,
        /// verified or unverified.
        kyc: String,
    },
}

/// Runs `holder`.
pub fn run_holder(args: &HolderArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        HolderCommand::Register {
            programme,
            born,
            consent,
            kyc,
        } => {
            let asked = json!({
                "programme": programme, "born": born, "consent": consent, "kyc": kyc,
            });
            let answer = api.post("/v1/holders", &asked)?;
            let words = format!("holder {} is registered", text(&answer["holder"]));
            Ok(Said::new(answer, words))
        }
        HolderCommand::Show { holder } => {
            let answer = api.get(&format!("/v1/holders/{holder}"))?;
            let word = |key: &str| text(&answer[key]);
            let words = format!(
                "holder {holder}  {}  born {}  {}  account {}",
                word("programme"),
                word("born"),
                word("kyc"),
                word("account")
            );
            Ok(Said::new(answer, words))
        }
        HolderCommand::Kyc { holder, kyc } => {
            let path = format!("/v1/holders/{holder}/kyc");
            let answer: Value = api.post(&path, &json!({ "kyc": kyc }))?;
            let words = done(&answer, &format!("holder {holder} is {kyc}"));
            Ok(Said::new(answer, words))
        }
    })
}
