//! `render_response`: a decision, or a refusal to process, into the response message.

use std::fmt::Write;

use arrayvec::ArrayString;
use bytes::BytesMut;

use crate::domain::decision::{ApprovalCode, Approved, Balances, Decision, ResponseCode};
use crate::domain::money::{Amount, Currency};
use crate::iso8583::{EncodeError, Message, MessageRule, MessageSpec, MessageWriter};

use super::edition_2003;
use super::table::{Dialect, Edition};

/// Balances that DE 54 has room for (6 groups of 20 characters, in 2003 of 21).
const BALANCE_GROUPS_MAX: usize = 6;
/// DE 54.
type Groups = ArrayString<126>;

/// Amount type of what was asked, where a part was approved.
const ORIGINAL_AMOUNT: &str = "57";

/// What a response says beyond what it repeats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// DE 39.
    pub code: ResponseCode,
    /// DE 38.
    pub approval: Option<ApprovalCode>,
    /// DE 54.
    pub balances: Option<&'a Balances>,
    /// DE 4, DE 6 and DE 54, where a part was approved.
    pub approved: Option<Approved>,
    /// DE 66, where totals were compared.
    pub settlement: Option<u8>,
}

impl<'a> Reply<'a> {
    /// Nothing but a code.
    pub fn coded(code: ResponseCode) -> Reply<'a> {
        Reply {
            code,
            ..Reply::default()
        }
    }

    /// What a decision has to say.
    pub fn to(decision: &'a Decision) -> Reply<'a> {
        Reply {
            code: decision.code,
            approval: decision.approval,
            balances: decision.show_balances.then_some(&decision.balances),
            approved: decision.approved,
            settlement: None,
        }
    }
}

/// Writes the response to a request. What it repeats is what the specification says of its type,
/// and what the dialect says when the specification does not.
///
/// Returns whether there is one: a message that is not a request has none.
///
/// # Errors
/// When the message specification cannot carry an element that the dialect wants.
pub fn render(
    dialect: &Dialect,
    spec: &MessageSpec,
    request: &Message,
    reply: &Reply<'_>,
    out: &mut BytesMut,
) -> Result<bool, EncodeError> {
    let Some(mti) = request.mti().response() else {
        return Ok(false);
    };
    let echoed = match spec.rule(mti).map(MessageRule::echoed) {
        Some(echoed) if !echoed.is_empty() => echoed,
        Some(_) | None => dialect.echo.as_slice(),
    };
    let own = if reply.approved.is_some() {
        OWN_OF_A_PART
    } else if reply.settlement.is_some() {
        OWN_OF_A_SETTLEMENT
    } else {
        OWN
    };
    let mut writer = MessageWriter::begin(spec, mti, out);
    let mut rest = echoed;
    for number in own {
        let (before, from_here) = rest.split_at(rest.partition_point(|other| other < number));
        writer.copy_all(request, before)?;
        let after = from_here.strip_prefix(&[*number]);
        let asked = (dialect.edition, request);
        answer(&mut writer, asked, reply, *number, after.is_some())?;
        rest = after.unwrap_or(from_here);
    }
    writer.copy_all(request, rest)?;
    writer.finish()?;
    Ok(true)
}

/// Elements in which every response says something of its own, ascending.
const OWN: &[u8] = &[38, 39, 54];
/// The same where only a part was approved: also what was approved.
const OWN_OF_A_PART: &[u8] = &[4, 6, 38, 39, 51, 54];

/// The same where totals were compared.
const OWN_OF_A_SETTLEMENT: &[u8] = &[38, 39, 54, 66];

/// Writes one of the response's own elements, when there is something to say in it.
#[inline]
fn answer(
    writer: &mut MessageWriter<'_, '_>,
    (edition, request): (Edition, &Message),
    reply: &Reply<'_>,
    number: u8,
    echoed: bool,
) -> Result<(), EncodeError> {
    let billing = reply.approved.and_then(|approved| approved.billing);
    match (number, &reply.approved) {
        (4, Some(approved)) => {
            amount(writer, edition, 4, approved.amount)?;
        }
        (6, _) => {
            if let Some(billing) = billing {
                amount(writer, edition, 6, billing)?;
            }
        }
        (51, _) if edition != Edition::Of2003 && (echoed || billing.is_some()) => {
            writer.copy(request, 51)?;
        }
        (38, _) => {
            if let Some(approval) = reply.approval {
                writer.text(38, &approval)?;
            }
        }
        (39, _) => {
            writer.text(39, &reply.code)?;
        }
        (66, _) => {
            if let Some(settlement) = reply.settlement {
                writer.number(66, u64::from(settlement))?;
            }
        }
        (54, approved) => {
            if let Some(balances) = reply.balances {
                writer.text(54, &balance_groups(edition, balances))?;
            } else if let Some(approved) = approved {
                let mut text = ArrayString::new();
                group(&mut text, edition, ORIGINAL_AMOUNT, approved.asked);
                writer.text(54, &text)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Writes an amount: its minor units, in 2003 with its currency in front.
fn amount(
    writer: &mut MessageWriter<'_, '_>,
    edition: Edition,
    number: u8,
    amount: Amount,
) -> Result<(), EncodeError> {
    match edition {
        Edition::Of1987 | Edition::Of1993 => {
            writer.number(number, amount.minor.unsigned_abs())?;
        }
        Edition::Of2003 => {
            writer.text(number, &edition_2003::digits(amount))?;
        }
    }
    Ok(())
}

/// DE 54: per balance account type 00, amount type, currency, sign, twelve digits (lifecycle D.6);
/// in 2003 the decimals of the currency behind it.
///
/// One currency: available (02), then ledger (01), over its purses together. Several currencies:
/// the available balance of each.
fn balance_groups(edition: Edition, balances: &Balances) -> Groups {
    let mut currencies: Vec<Currency> = Vec::new();
    for row in balances {
        if !currencies.contains(&row.currency) {
            currencies.push(row.currency);
        }
    }
    let sum = |currency: Currency, value: fn(&crate::domain::decision::PurseBalance) -> i64| {
        balances
            .iter()
            .filter(|row| row.currency == currency)
            .fold(0_i64, |sum, row| sum.saturating_add(value(row)))
    };
    let available = |currency| sum(currency, |row| row.balance.saturating_sub(row.held));
    let mut text = ArrayString::new();
    if let [only] = currencies.as_slice() {
        let ledger = sum(*only, |row| row.balance);
        group(
            &mut text,
            edition,
            "02",
            Amount::new(available(*only), *only),
        );
        group(&mut text, edition, "01", Amount::new(ledger, *only));
        return text;
    }
    for currency in currencies.into_iter().take(BALANCE_GROUPS_MAX) {
        group(
            &mut text,
            edition,
            "02",
            Amount::new(available(currency), currency),
        );
    }
    text
}

fn group(text: &mut Groups, edition: Edition, amount_type: &str, amount: Amount) {
    let sign = if amount.minor < 0 { 'D' } else { 'C' };
    let digits = amount.minor.unsigned_abs().min(999_999_999_999);
    // Six groups of twenty-one characters fit exactly, and no more than six are written.
    let _ = write!(text, "00{amount_type}{:03}", amount.currency.numeric());
    if edition == Edition::Of2003 {
        let _ = write!(text, "{}", amount.currency.exponent().unwrap_or_default());
    }
    let _ = write!(text, "{sign}{digits:012}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::PurseIndex;
    use crate::domain::decision::PurseBalance;

    fn row(purse: u8, letters: &str, balance: i64, held: i64) -> PurseBalance {
        let currency = Currency::from_alpha(letters).unwrap();
        PurseBalance {
            purse: PurseIndex(purse),
            currency,
            balance,
            held,
        }
    }

    #[test]
    fn one_currency_shows_available_then_ledger_over_all_purses() {
        let balances = Balances::from_iter([row(0, "JPY", 1_000, 300), row(1, "JPY", 500, 0)]);
        let text = balance_groups(Edition::Of1987, &balances);
        assert_eq!(text.as_str(), "0002392C0000000012000001392C000000001500");
        let text = balance_groups(Edition::Of2003, &balances);
        assert_eq!(text.as_str(), "00023920C00000000120000013920C000000001500");
    }

    #[test]
    fn a_negative_balance_is_a_debit() {
        let balances = Balances::from_iter([row(0, "JPY", -70, 0)]);
        assert_eq!(
            balance_groups(Edition::Of1993, &balances).get(..20),
            Some("0002392D000000000070")
        );
    }

    #[test]
    fn several_currencies_show_one_group_each() {
        let balances = ["JPY", "USD", "EUR", "GBP", "AUD"].map(|letters| row(0, letters, 5, 0));
        let text = balance_groups(Edition::Of1987, &balances.into_iter().collect());
        assert_eq!(text.len(), 5 * 20);
        assert!(text.contains("0002840C000000000005"));
    }
}
