//! Decides what operators ask for about rates, transfers and money of several currencies.

use crate::domain::account::{AccountId, Kyc, PurseIndex, Split};
use crate::domain::money::{Amount, Currency};
use crate::domain::programme::{Channel, Limit, Programme, Window};
use crate::domain::rate_file::{RATES_MAX, RateRow};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;

use super::command::{Answer, Outcome};
use super::event::Event;
use super::funds;
use super::ledger::{LedgerAccount, Posting, Postings, debit_purses};
use super::operate::{above_maximum, account_of, has_open_card, not_allowed};
use super::operation::{Done, Operation, OrderRefused, Reference};
use super::operation_money::{
    Charge, CountedTransfer, MoneyOperation, MoneyOrder, Movement, Paper, PaperOrder, Transfer,
};
use super::state::{AccountRecord, State};

/// Decides an order; `sequence` is the record it would make, `at` its time.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    (sequence, at): (u64, UnixMs),
    order: &MoneyOrder,
) -> Outcome {
    let operation = match order {
        MoneyOrder::SetRates(rows) => set_rates(state, rows, at),
        MoneyOrder::Transfer {
            reference,
            transfer: wanted,
        } => match state.movement(reference) {
            Some((done, Movement::Transfer(earlier))) if earlier == *wanted => {
                Ok(Decided::Before(done))
            }
            Some(_) => Err(other_content()),
            None if state.referred(reference).is_some() => Err(other_content()),
            None => transfer(rulebook, state, *reference, *wanted, at).map(Decided::New),
        },
        MoneyOrder::Charge {
            reference,
            account,
            source,
            charge: target,
            minor,
        } => {
            let wanted = (*account, *source, *target, *minor);
            match state.movement(reference) {
                Some((done, Movement::Charge(earlier))) => repeated(done, &earlier, wanted, state),
                Some(_) => Err(other_content()),
                None if state.referred(reference).is_some() => Err(other_content()),
                None => charge(rulebook, state, wanted, at).map(|(charge, movements)| {
                    Decided::New(MoneyOperation::Charged {
                        reference: *reference,
                        charge,
                        movements,
                    })
                }),
            }
        }
        MoneyOrder::Paper {
            reference,
            order: wanted,
        } => match state.movement(reference) {
            Some((done, Movement::Paper(earlier))) if earlier == *wanted => {
                Ok(Decided::Before(done))
            }
            Some(_) => Err(other_content()),
            None if state.referred(reference).is_some() => Err(other_content()),
            None => paper(rulebook, state, *reference, *wanted).map(Decided::New),
        },
    };
    conclude(operation, sequence)
}

fn conclude(operation: Result<Decided, OrderRefused>, sequence: u64) -> Outcome {
    let (answer, event) = match operation {
        Ok(Decided::New(operation)) => {
            let event = Event::Operated(Box::new(Operation::Money(operation)));
            let before = false;
            (Ok(Done { sequence, before }), Some(event))
        }
        Ok(Decided::Before(sequence)) => {
            let before = true;
            (Ok(Done { sequence, before }), None)
        }
        Err(refused) => (Err(refused), None),
    };
    Outcome {
        answer: Answer::Ordered(answer),
        event,
    }
}

/// What becomes of an order that is not refused.
enum Decided {
    New(MoneyOperation),
    /// Done before, by this record.
    Before(u64),
}

fn set_rates(state: &State, rows: &[RateRow], at: UnixMs) -> Result<Decided, OrderRefused> {
    let news = state.rates().news(rows, at);
    if news.is_empty() {
        return Ok(Decided::Before(state.sequence()));
    }
    if !state.rates().has_room_for(news.len()) {
        let what = format!("more than {RATES_MAX} rates in force or to come");
        return Err(OrderRefused::Conflict(what));
    }
    Ok(Decided::New(MoneyOperation::RatesSet(news)))
}

fn transfer(
    rulebook: &Rulebook,
    state: &State,
    reference: Reference,
    transfer: Transfer,
    at: UnixMs,
) -> Result<MoneyOperation, OrderRefused> {
    let Transfer { from, to, minor } = transfer;
    let (giver, programme) = account_of(rulebook, state, from)?;
    let (taker, _) = account_of(rulebook, state, to)?;
    let purse = programme
        .transfer
        .ok_or_else(|| not_allowed("the programme has no transfers"))?;
    if from == to || giver.account.programme != taker.account.programme {
        return Err(not_allowed(
            "a transfer goes to another account of the same programme",
        ));
    }
    if minor <= 0 {
        return Err(not_allowed("a transfer moves more than 0"));
    }
    if giver.account.kyc != Kyc::Verified {
        return Err(not_allowed("only a verified holder can transfer"));
    }
    for record in [giver, taker] {
        if !has_open_card(state, record) {
            let what = format!("account {} is closed", record.account.id.0);
            return Err(OrderRefused::Conflict(what));
        }
    }
    let source = giver.account.purses.get(purse.position());
    let source = source.ok_or_else(|| not_allowed("the account has no purse for transfers"))?;
    let date = programme.calendar.date_of(at);
    let counted = CountedTransfer {
        at,
        date,
        currency: source.currency,
        minor,
    };
    if let Some(limit) = transfer_limit(state, programme, giver, &counted) {
        return Err(OrderRefused::Conflict(limit));
    }
    if minor > source.available() {
        let available = source.available();
        let what = format!("available {available}, asked {minor}");
        return Err(OrderRefused::Conflict(what));
    }
    if let Some(most) = above_maximum(programme, taker, purse, minor) {
        let what = format!("the receiving account would be above its maximum of {most}");
        return Err(OrderRefused::Conflict(what));
    }
    let to_purse = LedgerAccount::Purse(to, purse);
    Ok(MoneyOperation::Transferred {
        reference,
        transfer,
        date,
        currency: source.currency,
        postings: debit_purses(from, &Split::whole(purse, minor), to_purse),
    })
}

/// The fee of something on paper, out of the purses of the programme's first currency in the order
/// of spending.
fn paper(
    rulebook: &Rulebook,
    state: &State,
    reference: Reference,
    order: PaperOrder,
) -> Result<MoneyOperation, OrderRefused> {
    let (record, programme) = account_of(rulebook, state, order.account)?;
    let fee = match order.paper {
        Paper::Statement => programme.statement_fee,
        Paper::PinNotice => programme.pin_notice_fee,
    };
    let fee = fee.ok_or_else(|| not_allowed("the programme does not send that on paper"))?;
    if !has_open_card(state, record) {
        let what = format!("account {} is closed", order.account.0);
        return Err(OrderRefused::Conflict(what));
    }
    let currency = programme.purse_currency(PurseIndex(0));
    let currency = currency.ok_or_else(|| not_allowed("the programme has no purse"))?;
    let split = funds::spend(&programme.spend_order, &record.account, currency, fee);
    // A purse below zero lessens what the others can spend, as in a purchase (A14).
    let own = record.account.purses.iter();
    let own = own.filter(|purse| purse.currency == currency);
    let available = own.fold(0_i64, |sum, purse| sum.saturating_add(purse.available()));
    if available.min(split.total()) < fee {
        let what = format!("available {available}, the fee is {fee}");
        return Err(OrderRefused::Conflict(what));
    }
    let to = LedgerAccount::Fees(record.account.programme);
    Ok(MoneyOperation::PaperOrdered {
        reference,
        order,
        currency,
        postings: debit_purses(order.account, &split, to),
    })
}

/// The limit on transfers that one more would pass, in words (rule A16).
fn transfer_limit(
    state: &State,
    programme: &Programme,
    giver: &AccountRecord,
    wanted: &CountedTransfer,
) -> Option<String> {
    let rows = state.transfers.get(&giver.account.id);
    let used = |limit: &Limit| {
        let is_within = |row: &&CountedTransfer| match limit.window {
            Window::Transaction => false,
            Window::Day => row.date == wanted.date,
            Window::Week => row.date >= wanted.date.monday(),
            Window::Month => row.date.month_index() == wanted.date.month_index(),
            Window::Rolling { hours } => row.at > wanted.at.minus_hours(u32::from(hours)),
        };
        rows.into_iter()
            .flatten()
            .filter(|row| row.currency == wanted.currency)
            .filter(is_within)
            .fold((0_i64, 0_u32), |(minor, count), row| {
                (minor.saturating_add(row.minor), count.saturating_add(1))
            })
    };
    let limits = programme.limits.iter().filter(|limit| {
        limit.channel == Channel::Transfer
            && limit.currency == wanted.currency
            && !limit.shadow
            && limit.kyc.is_none_or(|kyc| kyc == giver.account.kyc)
    });
    limits
        .filter_map(|limit| {
            let (minor, count) = used(limit);
            let window = limit.window;
            let most = limit.amount_max;
            if let Some(most) = most.filter(|most| minor.saturating_add(wanted.minor) > *most) {
                let asked = wanted.minor;
                return Some(format!(
                    "limit on transfers per {window} {most}, used {minor}, asked {asked}"
                ));
            }
            let most = limit.count_max.filter(|most| count >= *most)?;
            Some(format!(
                "limit on transfers per {window} {most} in number, used {count}"
            ))
        })
        .next()
}

/// The same reference is the same charge, or a mistake of the caller.
fn repeated(
    done: u64,
    earlier: &Charge,
    (account, source, target, minor): (AccountId, Currency, Currency, i64),
    state: &State,
) -> Result<Decided, OrderRefused> {
    let record = state.account(earlier.account);
    let currency = |purse: PurseIndex| {
        let purse = record?.account.purses.get(purse.position())?;
        Some(purse.currency)
    };
    let same = (earlier.account, earlier.minor) == (account, minor)
        && currency(earlier.source) == Some(source)
        && currency(earlier.target) == Some(target);
    if same {
        Ok(Decided::Before(done))
    } else {
        Err(other_content())
    }
}

fn other_content() -> OrderRefused {
    let what = "the reference stands for another movement of money".to_owned();
    OrderRefused::Conflict(what)
}

fn charge(
    rulebook: &Rulebook,
    state: &State,
    (account, source, target, minor): (AccountId, Currency, Currency, i64),
    at: UnixMs,
) -> Result<(Charge, Vec<(Currency, Postings)>), OrderRefused> {
    let (record, programme) = account_of(rulebook, state, account)?;
    let offered = programme
        .exchange
        .and_then(|rule| Some((rule.billing, rule.charge_fee?)));
    let (billing, percent) =
        offered.ok_or_else(|| not_allowed("the programme does not offer charges"))?;
    if source == target {
        return Err(not_allowed("a charge goes to another currency"));
    }
    if minor <= 0 {
        return Err(not_allowed("a charge moves more than 0"));
    }
    let purse = |currency: Currency| {
        let what = || not_allowed(&format!("the programme has no purse for {currency}"));
        programme.purse_of(currency).ok_or_else(what)
    };
    let (from, to) = (purse(source)?, purse(target)?);
    if !has_open_card(state, record) {
        let what = format!("account {} is closed", account.0);
        return Err(OrderRefused::Conflict(what));
    }
    let available = record.account.purses.get(from.position());
    let available = available.map_or(0, |purse| purse.available());
    if minor > available {
        let what = format!("available {available}, asked {minor}");
        return Err(OrderRefused::Conflict(what));
    }
    let rate = state.rates().find(source, target, billing, at);
    let rate = rate.ok_or_else(|| {
        OrderRefused::Conflict(format!("no rate from {source} to {target} is in force"))
    })?;
    let fee = percent.of(minor);
    let net = minor.saturating_sub(fee);
    let credited = rate.convert(Amount::new(net, source), target);
    let credited = credited
        .filter(|credited| *credited > 0)
        .ok_or_else(|| not_allowed("nothing is left of so small a charge"))?;
    if let Some(most) = above_maximum(programme, record, to, credited) {
        let what = format!("the account would be above its maximum of {most}");
        return Err(OrderRefused::Conflict(what));
    }
    let charge = Charge {
        account,
        source: from,
        target: to,
        minor,
        fee,
        credited,
        rate,
    };
    let movements = movements(&charge, record.account.programme, (source, target));
    Ok((charge, movements))
}

fn movements(
    charge: &Charge,
    programme: u8,
    (source, target): (Currency, Currency),
) -> Vec<(Currency, Postings)> {
    let posting = |account, minor| Posting { account, minor };
    let exchange = LedgerAccount::Exchange(programme);
    let (given, got) = (
        LedgerAccount::Purse(charge.account, charge.source),
        LedgerAccount::Purse(charge.account, charge.target),
    );
    let mut out = Postings::from_iter([
        posting(given, charge.minor.saturating_neg()),
        posting(exchange, charge.minor.saturating_sub(charge.fee)),
    ]);
    if charge.fee > 0 {
        let fees = LedgerAccount::ExchangeFees(programme);
        out.push(posting(fees, charge.fee));
    }
    let back = Postings::from_iter([
        posting(exchange, charge.credited.saturating_neg()),
        posting(got, charge.credited),
    ]);
    vec![(source, out), (target, back)]
}
