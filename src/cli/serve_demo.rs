//! The accounts and cards of `cardswitch serve --demo`.

use crate::domain::money::Amount;
use crate::domain::pan::CardToken;
use crate::engine::command::{Body, Opened};
use crate::engine::state::AccountRecord;
use crate::switch::card_file::{self, CardRow};
use crate::switch::server::Server;

use super::serve::Stopped;

/// The demo cards.
const DEMO: &str = include_str!("../../fixtures/demo.toml");

/// Opens what of the demo is not open, and prints it.
pub(super) async fn open(server: &Server) -> Result<(), Stopped> {
    let rows = card_file::parse(DEMO, &server.rules.rulebook(), &server.token_key)
        .map_err(|error| Stopped::because(65, error))?;
    let (rows, left) = without_erased(server, rows).await?;
    let accounts = rows.iter().map(|row| row.account.clone()).collect();
    let opened = server
        .jobs
        .open(accounts)
        .await
        .map_err(|error| Stopped::because(70, error))?;
    announce!("\ndemo cards (test numbers, as in fixtures/demo.toml)");
    for (row, outcome) in rows.iter().zip(opened) {
        if let (Opened::Created(account, card), Some(pin)) = (&outcome, row.pin) {
            let job = server.jobs.command(Body::SetPin(*card, pin)).await;
            job.map_err(|error| Stopped::because(70, error))?;
            let token = row.account.card.token;
            server.pins.learn(token, row.on_file(*account, pin));
        }
        let account = match outcome {
            Opened::Created(account, _) | Opened::Existing(account, _) => account.0.to_string(),
            Opened::Refused(why) => why,
        };
        announce!("{}", demo_line(row, &account, server));
    }
    if left > 0 {
        let why = "card data were erased in this store";
        announce!("  {left} of its numbers have no card here and stay so: {why}");
    }
    announce!();
    Ok(())
}

/// The rows that are to be opened, and how many are not: once card data were erased, a number that
/// is not known may be one of theirs.
async fn without_erased(
    server: &Server,
    rows: Vec<CardRow>,
) -> Result<(Vec<CardRow>, usize), Stopped> {
    let tokens: Vec<_> = rows.iter().map(|row| row.account.card.token).collect();
    let asked = server.jobs.query(move |state| {
        let is_erased = |record: &AccountRecord| {
            let ending = state.ending(record.account.id);
            ending.is_some_and(|ending| ending.erased_at.is_some())
        };
        let erased = state.accounts().iter().any(is_erased);
        let is_open = |token: &CardToken| !erased || state.card_by_token(token).is_some();
        tokens.iter().map(is_open).collect::<Vec<bool>>()
    });
    let asked = asked.await;
    let open = asked.map_err(|error| Stopped::because(70, error))?;
    let all = rows.len();
    let rows = rows.into_iter().zip(open);
    let kept: Vec<CardRow> = rows.filter_map(|(row, open)| open.then_some(row)).collect();
    let left = all.saturating_sub(kept.len());
    Ok((kept, left))
}

fn demo_line(row: &CardRow, account: &str, server: &Server) -> String {
    let rulebook = server.rules.rulebook();
    let programme = rulebook.programme(&row.account.programme);
    let balances: Vec<String> = row
        .account
        .balances
        .iter()
        .filter_map(|(id, minor)| {
            let programme = programme?;
            let currency = programme.purse_currency(programme.purse_named(id)?)?;
            Some(format!("{id} {}", Amount::new(*minor, currency)))
        })
        .collect();
    format!(
        "  account {account:>2}  {:<10}  {}  {}  ({})",
        row.account.programme,
        row.pan.expose(),
        if balances.is_empty() {
            "empty".to_owned()
        } else {
            balances.join(", ")
        },
        row.note,
    )
}
