//! Balance expectations: what the switch's admin API says about a card's account.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::cli::api::Api;
use crate::cli::import::Failed;

use super::clock;
use super::report::{Check, StepReport};
use super::step::{BalanceExpectation, Figure, Minor, PurseField};
use super::words;

/// How soon to look again at an account that time has not reached yet.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The looks at accounts in one conversation.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Every figure of each card at the last look at it.
    last: BTreeMap<String, Json>,
}

impl Looks {
    /// Looks the card's account up, tells it, and compares every figure that is expected. When time
    /// has passed, the switch is given until `deadline` to have noticed.
    pub(super) fn look(
        &mut self,
        admin: &Api,
        expected: &BalanceExpectation,
        deadline: Option<Instant>,
        report: &mut StepReport,
    ) {
        let pan = &expected.card.pan;
        let card = words::masked(pan);
        let (account, checks) = loop {
            let account = match account_of(admin, pan) {
                Ok(account) => account,
                Err(reason) => {
                    let text = format!("balance of card {card}: {reason}");
                    report.checks.push(Check::fail(text));
                    return;
                }
            };
            let checks = self.checks(expected, &account);
            let is_over = deadline.is_none_or(|deadline| clock::instant() >= deadline);
            if is_over || checks.iter().all(|check| check.passed) {
                break (account, checks);
            }
            thread::sleep(LOOK_AGAIN_AFTER);
        };
        report.balance = Some(format!("card {card} has {}", in_words(&account)));
        report.checks.extend(checks);
        self.last.insert(pan.clone(), account);
    }

    fn checks(&self, expected: &BalanceExpectation, account: &Json) -> Vec<Check> {
        let before = self.last.get(&expected.card.pan);
        let figures = expected.figures.iter().map(|(figure, want)| {
            let got = read(account, figure);
            let before = before.and_then(|account| read(account, figure));
            compare(&name_of(figure), *want, before, got)
        });
        figures.collect()
    }
}

fn compare(what: &str, want: Minor, before: Option<i64>, got: Option<i64>) -> Check {
    match (want, before, got) {
        (Minor::Is(want), _, Some(got)) if got == want => Check::pass(format!("{what} = {want}")),
        (Minor::Is(want), _, Some(got)) => {
            Check::fail(format!("{what}: expected {want}, got {got}"))
        }
        (Minor::MovedBy(want), Some(before), Some(got)) if got - before == want => {
            Check::pass(match want {
                0 => format!("{what} has not moved"),
                _ => format!("{what} moved by {want:+}"),
            })
        }
        (Minor::MovedBy(want), Some(before), Some(got)) => Check::fail(format!(
            "{what}: expected a move by {want:+}, got {:+} ({before} to {got})",
            got - before
        )),
        (Minor::Is(_) | Minor::MovedBy(_), _, None) => {
            Check::fail(format!("{what}: the account has no such figure"))
        }
        (Minor::MovedBy(_), None, Some(_)) => {
            Check::fail(format!("{what}: the earlier look did not find it"))
        }
    }
}

fn name_of(figure: &Figure) -> String {
    match figure {
        Figure::Available => "available".to_owned(),
        Figure::Purse(purse, field) => format!("{purse} {}", field.name()),
    }
}

fn read(account: &Json, figure: &Figure) -> Option<i64> {
    match figure {
        Figure::Available => account.get("available")?.as_i64(),
        Figure::Purse(purse, field) => purse_figure(account, purse, *field),
    }
}

fn purse_figure(account: &Json, purse: &str, field: PurseField) -> Option<i64> {
    let purses = account.get("purses")?.as_array()?;
    let found = purses.iter().find(|candidate| match candidate.get("id") {
        Some(Json::String(id)) => id == purse,
        Some(Json::Number(id)) => *purse == id.to_string(),
        _ => false,
    })?;
    found.get(field.name())?.as_i64()
}

/// `withdrawable ¥50,000, non-withdrawable ¥20,000 (¥1,200 held)`; without empty purses.
fn in_words(account: &Json) -> String {
    let purses = account.get("purses").and_then(Json::as_array);
    let told: Vec<String> = purses.into_iter().flatten().filter_map(told).collect();
    if told.is_empty() {
        "nothing".to_owned()
    } else {
        told.join(", ")
    }
}

fn told(purse: &Json) -> Option<String> {
    let id = purse.get("id")?.as_str()?;
    let currency = purse.get("currency")?.as_str()?;
    let figure = |field: PurseField| purse.get(field.name()).and_then(Json::as_i64);
    let money = |minor: i64| words::money(minor.unsigned_abs(), minor < 0, currency);
    match (figure(PurseField::Balance)?, figure(PurseField::Held)?) {
        (0, 0) => None,
        (balance, 0) => Some(format!("{id} {}", money(balance))),
        (balance, held) => Some(format!("{id} {} ({} held)", money(balance), money(held))),
    }
}

fn account_of(admin: &Api, pan: &str) -> Result<Json, String> {
    // The sentence of a failed call names its address, never the body with the card number.
    let failed = |(_, why): Failed| format!("ask the admin API: {why}");
    let found = admin.post("/v1/cards/lookup", &json!({ "pan": pan }));
    let found = found.map_err(failed)?;
    let account = match found.get("account") {
        Some(Json::String(id)) => id.clone(),
        Some(Json::Number(id)) => id.to_string(),
        _ => return Err("ask the admin API: the card has no account".to_owned()),
    };
    admin
        .get(&format!("/v1/accounts/{account}"))
        .map_err(failed)
}
