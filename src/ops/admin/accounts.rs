//! Accounts: what stands on them, which are below zero, closing one, erasing its cards' data.

use std::sync::Arc;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::decision::PurseBalance;
use crate::domain::programme::Programme;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::engine::entry::{Entry, EntryState};
use crate::engine::operation::Order;
use crate::engine::state::{DeviceToken, State};
use crate::switch::clock;

use super::asked::{Path, Query, Shared};
use super::paging::{Paging, cut};
use super::versions::{IfMatch, Of};
use super::{AdminContext, Problem, number_of, order};

/// Entries shown of one account, newest first.
const ENTRIES_MAX: usize = 50;
const DAY_MS: i64 = 86_400_000;

/// One account with its purses, cards and newest entries.
pub(super) async fn account(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let number: u32 = number_of("account", &id)?;
    let rulebook = context.rules.rulebook();
    let view = context.jobs.query(move |state| {
        let id = AccountId(number);
        Some((
            Of::Account(id).tag(state)?,
            account_view(state, &rulebook, id)?,
        ))
    });
    let (tag, view) = view.await?.ok_or_else(|| {
        let what = format!("there is no account {number}");
        Problem(StatusCode::NOT_FOUND, what)
    })?;
    Ok(([(header::ETAG, tag)], Json(view)).into_response())
}

#[derive(Serialize)]
struct AccountView {
    id: u32,
    programme: String,
    holder: Option<u64>,
    kyc: crate::domain::account::Kyc,
    closed_at: Option<String>,
    erased_at: Option<String>,
    available: i64,
    purses: Vec<PurseView>,
    cards: Vec<CardView>,
    entries: Vec<EntryView>,
}

#[derive(Serialize)]
struct PurseView {
    id: String,
    currency: String,
    balance: i64,
    held: i64,
    available: i64,
}

#[derive(Serialize)]
struct CardView {
    id: u32,
    number: String,
    token: String,
    expiry: Option<String>,
    status: crate::domain::card::CardStatus,
    device_tokens: Vec<TokenView>,
}

#[derive(Serialize)]
struct TokenView {
    number: String,
    is_alive: bool,
}

#[derive(Serialize)]
struct EntryView {
    id: u64,
    purpose: crate::domain::facts::Purpose,
    state: EntryState,
    currency: String,
    authorized: i64,
    held: i64,
    posted: i64,
    merchant: String,
    mcc: Option<String>,
    rrn: String,
    approval: Option<String>,
    opened_at: String,
    expires_at: Option<String>,
}

fn account_view(state: &State, rulebook: &Rulebook, id: AccountId) -> Option<AccountView> {
    let record = state.account(id)?;
    let programme = rulebook.programme(state.programme_name(record.account.programme)?)?;
    let balances = state.balances(id);
    // The sum makes sense in one currency: that of the first purse.
    let main = balances.first()?.currency;
    let available = balances
        .iter()
        .filter(|row| row.currency == main)
        .fold(0_i64, |sum, row| {
            sum.saturating_add(row.balance.saturating_sub(row.held))
        });
    let ending = state.ending(id);
    let erased_at = ending.and_then(|ending| ending.erased_at);
    let cards = record.cards.iter().filter_map(|card| state.card(*card));
    let entries = record.entries.iter().rev().take(ENTRIES_MAX);
    Some(AccountView {
        id: id.0,
        programme: programme.name.to_string(),
        holder: state.holders().of_account(id).map(|holder| holder.id.0),
        kyc: record.account.kyc,
        closed_at: ending.map(|ending| ending.closed_at.to_string()),
        erased_at: erased_at.map(|at| at.to_string()),
        available,
        purses: balances
            .iter()
            .filter_map(|row| purse_view(programme, row))
            .collect(),
        cards: cards
            .map(|card| CardView {
                id: card.id.0,
                number: card.masked.to_string(),
                token: match card.is_erased() {
                    true => card.masked.to_string(),
                    false => card.token.to_string(),
                },
                expiry: card.expiry.map(|expiry| format!("{:04}", expiry.yymm())),
                status: card.status,
                device_tokens: state.device_tokens(card.id).map(token_view).collect(),
            })
            .collect(),
        entries: entries
            .filter_map(|id| state.entry(id))
            .map(entry_view)
            .collect(),
    })
}

fn token_view(token: &DeviceToken) -> TokenView {
    TokenView {
        number: token.masked.to_string(),
        is_alive: token.is_alive,
    }
}

fn purse_view(programme: &Programme, row: &PurseBalance) -> Option<PurseView> {
    Some(PurseView {
        id: programme.purses.get(row.purse.position())?.id.clone(),
        currency: row.currency.to_string(),
        balance: row.balance,
        held: row.held,
        available: row.balance.saturating_sub(row.held),
    })
}

fn entry_view(entry: &Entry) -> EntryView {
    EntryView {
        id: entry.id.0,
        purpose: entry.purpose,
        state: entry.state,
        currency: entry.currency.to_string(),
        authorized: entry.authorized,
        held: entry.held.total(),
        posted: entry.posted.total(),
        merchant: entry.acceptor().to_string(),
        mcc: entry.mcc().map(|mcc| mcc.to_string()),
        rrn: entry.rrn().unwrap_or_default().to_string(),
        approval: entry.approval().map(|approval| approval.to_string()),
        opened_at: entry.opened_at.to_string(),
        expires_at: entry.expires_at().map(|at| at.to_string()),
    }
}

/// Closes an account and its cards for ever; its holder gets the rest where the programme says so.
pub(super) async fn close(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
) -> Result<Json<serde_json::Value>, Problem> {
    let account = AccountId(number_of("account", &id)?);
    let context = read.of(context, Of::Account(account));
    order(&context, Order::CloseAccount(account)).await
}

/// Erases what the cards of a closed account are known by, once its time is over.
pub(super) async fn erase(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
) -> Result<Json<serde_json::Value>, Problem> {
    let account = AccountId(number_of("account", &id)?);
    let tokens = context.jobs.query(move |state| {
        let record = state.account(account)?;
        let cards = record.cards.iter().filter_map(|card| state.card(*card));
        Some(cards.map(|card| card.token).collect::<Vec<_>>())
    });
    let tokens = tokens.await?.unwrap_or_default();
    let pins = Arc::clone(&context.pins);
    let context = read.of(context, Of::Account(account));
    let done = order(&context, Order::EraseCardData(account)).await?;
    pins.forget(account, &tokens);
    Ok(done)
}

/// Purses below zero, the one that is so for longest first.
pub(super) async fn negative(
    Shared(context): Shared<AdminContext>,
    Query(paging): Query<Paging>,
) -> Result<Json<serde_json::Value>, Problem> {
    let (now, limit, after) = (clock::now(), paging.limit()?, paging.after()?);
    let answer = context
        .jobs
        .query(move |state| negative_view(state, now, (after, limit)));
    Ok(Json(answer.await?))
}

fn negative_view(
    state: &State,
    now: UnixMs,
    (after, limit): (Option<[i64; 3]>, usize),
) -> serde_json::Value {
    let mut rows: Vec<_> = state.negatives().collect();
    let key = |row: &(AccountId, PurseIndex, UnixMs)| {
        let (account, purse, since) = *row;
        [since.0, account.0.into(), purse.0.into()]
    };
    rows.sort_by_key(key);
    let total = rows.len();
    let behind = rows
        .into_iter()
        .filter(|row| after.is_none_or(|after| key(row) > after));
    let (page, is_more) = cut(behind, limit, |_, _| false);
    let last = page.last().filter(|_| is_more).map(key);
    let next = last.map(|[since, account, purse]| format!("{since}.{account}.{purse}"));
    let shown: Vec<serde_json::Value> = page
        .iter()
        .filter_map(|(account, purse, since)| {
            let record = state.account(*account)?;
            let purse = record.account.purses.get(purse.position())?;
            Some(json!({
                "account": account.0,
                "currency": purse.currency.to_string(),
                "balance": purse.balance,
                "since": since.to_string(),
                "days": now.0.saturating_sub(since.0).div_euclid(DAY_MS).max(0),
            }))
        })
        .collect();
    json!({ "total": total, "oldest": shown, "next": next })
}
