//! Balance expectations: what the switch's admin API says about a card's account.

use serde_json::{Value as Json, json};

use super::report::Check;
use super::step::{BalanceExpectation, PurseField};
use super::words;

/// Looks the card's account up and compares every figure that is expected.
pub(super) fn check(admin: &str, expected: &BalanceExpectation) -> Vec<Check> {
    let card = words::masked(&expected.card.pan);
    let account = match account_of(admin, &expected.card.pan) {
        Ok(account) => account,
        Err(reason) => return vec![Check::fail(format!("balance of card {card}: {reason}"))],
    };
    let mut checks = Vec::new();
    if let Some(want) = expected.available {
        let got = account.get("available").and_then(Json::as_i64);
        checks.push(compare("available", want, got));
    }
    for (purse, field, want) in &expected.purses {
        let got = purse_figure(&account, purse, *field);
        checks.push(compare(&format!("{purse} {}", field.name()), *want, got));
    }
    checks
}

fn compare(what: &str, want: i64, got: Option<i64>) -> Check {
    match got {
        Some(got) if got == want => Check::pass(format!("{what} = {want}")),
        Some(got) => Check::fail(format!("{what}: expected {want}, got {got}")),
        None => Check::fail(format!(
            "{what}: expected {want}, the account has no such figure"
        )),
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

fn account_of(admin: &str, pan: &str) -> Result<Json, String> {
    let admin = admin.trim_end_matches('/');
    // The error of a failed call names its address, never the body with the card number.
    let failed = |error: ureq::Error| format!("ask the admin API: {error}");
    let found: Json = ureq::post(format!("{admin}/v1/cards/lookup"))
        .send_json(json!({ "pan": pan }))
        .map_err(failed)?
        .body_mut()
        .read_json()
        .map_err(failed)?;
    let account = match found.get("account") {
        Some(Json::String(id)) => id.clone(),
        Some(Json::Number(id)) => id.to_string(),
        _ => return Err("ask the admin API: the card has no account".to_owned()),
    };
    ureq::get(format!("{admin}/v1/accounts/{account}"))
        .call()
        .map_err(failed)?
        .body_mut()
        .read_json()
        .map_err(failed)
}
