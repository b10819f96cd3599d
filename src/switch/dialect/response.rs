//! `render_response`: a decision, or a refusal to process, into the response message.

use std::fmt::Write;

use arrayvec::{ArrayString, ArrayVec};
use bytes::BytesMut;

use crate::domain::decision::{ApprovalCode, Approved, Balances, Decision, ResponseCode};
use crate::domain::exchange::Billed;
use crate::domain::money::Amount;
use crate::domain::rate::share;
use crate::iso8583::{CodePlace, EncodeError, Message, MessageSpec, MessageWriter, Mti};

use super::balances::{balance_groups, group};
use super::chips::CHIP_DATA;
use super::edition_2003;
use super::table::{Dialect, Edition};

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
    /// DE 6, DE 10 and DE 51, where the programme converted.
    pub billed: Option<Billed>,
    /// DE 66, where totals were compared.
    pub settlement: Option<u8>,
    /// DE 55, where the chip has proven itself.
    pub chip: Option<&'a [u8]>,
    /// Whether nothing is repeated but what the peer knows its message by: its content may be
    /// anybody's.
    pub is_bare: bool,
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
            billed: decision.billed,
            settlement: None,
            chip: None,
            is_bare: false,
        }
    }
}

/// Writes the response to a request. It repeats what the specification says of its type, and what
/// the dialect says besides.
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
    match written(dialect, spec, request, reply, out)? {
        Some(writer) => writer.finish().map(|()| true),
        None => Ok(false),
    }
}

/// The same with room for an authentication code, and where that is.
///
/// # Errors
/// As [`render`]; also when the specification has no room for a code.
pub fn render_with_code(
    dialect: &Dialect,
    spec: &MessageSpec,
    request: &Message,
    reply: &Reply<'_>,
    out: &mut BytesMut,
) -> Result<Option<CodePlace>, EncodeError> {
    let writer = written(dialect, spec, request, reply, out)?;
    writer.map(MessageWriter::finish_with_code).transpose()
}

/// The response but for its end.
#[inline(always)]
fn written<'s, 'b>(
    dialect: &Dialect,
    spec: &'s MessageSpec,
    request: &Message,
    reply: &Reply<'_>,
    out: &'b mut BytesMut,
) -> Result<Option<MessageWriter<'s, 'b>>, EncodeError> {
    let Some(mti) = request.mti().response() else {
        return Ok(None);
    };
    let mut both = Elements::new();
    let mut matching = Elements::new();
    let mut echoed = echoed(dialect, spec, mti, &mut both);
    if reply.is_bare {
        // No more fit than there are elements.
        let known_by = echoed.iter().filter(|it| KNOWN_BY.contains(it)).copied();
        known_by.for_each(|it| matching.push(it));
        echoed = &matching;
    }
    let own = if reply.chip.is_some() {
        OWN_OF_A_CHIP
    } else if reply.approved.is_some() || reply.billed.is_some() {
        OWN_OF_AMOUNTS
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
    Ok(Some(writer))
}

/// What a peer knows its message by: times, trace and retrieval numbers, acquirer, terminal, and
/// what network management is about.
const KNOWN_BY: &[u8] = &[7, 11, 12, 24, 32, 37, 41, 70];

/// Numbers of elements, ascending.
type Elements = ArrayVec<u8, 128>;

/// What clients match on, as the specification says of the type, and what the dialect adds to it,
/// as far as the type may have that. From 1993 on the function code tells answers about the link
/// apart.
fn echoed<'a>(
    dialect: &'a Dialect,
    spec: &'a MessageSpec,
    mti: Mti,
    both: &'a mut Elements,
) -> &'a [u8] {
    let rule = spec.rule(mti);
    let of_type = rule.map_or(&[][..], |rule| rule.echoed());
    let is_of_link = dialect.edition != Edition::Of1987 && matches!(mti.class(), 5 | 8);
    if of_type == dialect.echo && !is_of_link {
        return of_type;
    }
    let fits = |element: &&u8| rule.is_none_or(|rule| rule.may_have(**element));
    let mut added = dialect.echo.iter().filter(fits).peekable();
    // No more than there are elements fit, and there is room for those.
    let mut push = |element: u8| both.try_push(element).is_ok();
    for element in of_type {
        while let Some(before) = added.next_if(|other| *other < element) {
            push(*before);
        }
        added.next_if_eq(&element);
        push(*element);
    }
    added.for_each(|element| {
        push(*element);
    });
    if is_of_link && !both.contains(&FUNCTION_CODE) {
        both.try_push(FUNCTION_CODE).ok();
        both.sort_unstable();
    }
    both
}

/// DE 24, from 1993 on.
const FUNCTION_CODE: u8 = 24;

/// Elements in which every response says something of its own, ascending.
const OWN: &[u8] = &[38, 39, 54];
/// The same where only a part was approved, or the programme converted: also what that comes to.
const OWN_OF_AMOUNTS: &[u8] = &[4, 5, 6, 10, 38, 39, 51, 54];
/// All of these, and what the chip is told.
const OWN_OF_A_CHIP: &[u8] = &[4, 5, 6, 10, 38, 39, 51, 54, CHIP_DATA];

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
    let approved = reply.approved;
    let part = approved.and_then(|approved| approved.billing);
    let billing = part.or(reply.billed.map(|billed| billed.amount));
    match (number, &approved, billing) {
        (4, Some(approved), _) => amount(writer, edition, 4, approved.amount)?,
        (5, Some(approved), _) if echoed => {
            settlement_part(writer, (edition, request), approved)?;
        }
        (6, _, Some(billing)) => amount(writer, edition, 6, billing)?,
        (10, ..) if reply.billed.is_some() => {
            let rate = reply.billed.and_then(|billed| billed.rate.wire());
            if let Some(rate) = rate {
                writer.number(10, u64::from(rate))?;
            }
        }
        (51, _, Some(billing)) if edition != Edition::Of2003 && !request.has(51) => {
            let mut code = ArrayString::<3>::new();
            // Three digits fit.
            let _ = write!(code, "{:03}", billing.currency.numeric());
            writer.text(51, &code)?;
        }
        (51, _, Some(_)) => {
            writer.copy(request, 51)?;
        }
        (4..=10 | 51, ..) if echoed => {
            writer.copy(request, number)?;
        }
        (38, ..) => {
            if let Some(approval) = reply.approval {
                writer.text(38, approval.as_str())?;
            }
        }
        (39, ..) => {
            writer.text(39, &reply.code)?;
        }
        (66, ..) => {
            if let Some(settlement) = reply.settlement {
                writer.number(66, u64::from(settlement))?;
            }
        }
        (CHIP_DATA, ..) => {
            if let Some(chip) = reply.chip {
                chip_data(writer, request, chip)?;
            }
        }
        (54, ..) => {
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

/// DE 55 in the form that the request has: bytes, or their hexadecimal digits.
fn chip_data(
    writer: &mut MessageWriter<'_, '_>,
    request: &Message,
    chip: &[u8],
) -> Result<(), EncodeError> {
    match request.binary(CHIP_DATA) {
        Some(_) => writer.binary(CHIP_DATA, chip)?,
        None => writer.text(CHIP_DATA, &base16ct::upper::encode_string(chip))?,
    };
    Ok(())
}

/// DE 5 where a part was approved: the same part of what the request has there, rounded down.
fn settlement_part(
    writer: &mut MessageWriter<'_, '_>,
    (edition, request): (Edition, &Message),
    approved: &Approved,
) -> Result<(), EncodeError> {
    let whole = match edition {
        Edition::Of1987 | Edition::Of1993 => {
            let minor = request.number(5);
            let minor = minor.and_then(|minor| i64::try_from(minor).ok());
            minor.map(|minor| Amount::new(minor, approved.asked.currency))
        }
        Edition::Of2003 => request
            .digits(5)
            .and_then(|digits| edition_2003::amount(digits.as_str())),
    };
    if let Some(whole) = whole {
        let part = share(whole.minor, approved.amount.minor, approved.asked.minor);
        amount(writer, edition, 5, Amount::new(part, whole.currency))?;
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

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::rate::Rate;
    use crate::iso8583::{Mti, decode};

    /// The answer to a purchase of ten dollars that the network billed and settled otherwise, or
    /// that nobody converted.
    fn answered(dialect: &str, name: &str, billed: bool, reply: &Reply<'_>) -> Message {
        let dialect = table::parse(dialect).unwrap();
        let spec = MessageSpec::builtin(name).unwrap();
        let is_2003 = dialect.edition == Edition::Of2003;
        let of = |currency: &'static str, minor: u64| match is_2003 {
            true => format!("{currency}{minor:012}"),
            false => format!("{minor:012}"),
        };
        let mut texts = vec![(4, of("8402", 1_000)), (11, "7".to_owned())];
        if billed {
            texts.push((5, of("9782", 921)));
            texts.push((6, of("3920", 1_510)));
            texts.push((9, "60921000".to_owned()));
            texts.push((10, "41510000".to_owned()));
            if !is_2003 {
                texts.push((50, "978".to_owned()));
                texts.push((51, "392".to_owned()));
            }
        }
        if !is_2003 {
            texts.push((49, "840".to_owned()));
        }
        texts.sort_unstable();
        let mti = [100, 1_100, 2_100][usize::from(spec.version().unwrap_or_default())];
        let write = |mti: Mti, texts: &[(u8, String)]| {
            let mut out = BytesMut::new();
            let mut writer = MessageWriter::begin(spec, mti, &mut out);
            for (element, text) in texts {
                writer.text(*element, text).unwrap();
            }
            writer.finish().unwrap();
            decode(spec, out.freeze()).unwrap()
        };
        let request = write(Mti::new(mti), &texts);
        let mut out = BytesMut::new();
        assert!(render(&dialect, spec, &request, reply, &mut out).unwrap());
        decode(spec, out.freeze()).unwrap()
    }

    /// Elements of the answer to a message with these.
    fn answer_has(dialect: &str, spec: &MessageSpec, mti: u16, asked: &[u8]) -> Vec<u8> {
        let dialect = table::parse(dialect).unwrap();
        let mut out = BytesMut::new();
        let mut writer = MessageWriter::begin(spec, Mti::new(mti), &mut out);
        for element in asked {
            writer.text(*element, "1").unwrap();
        }
        writer.finish().unwrap();
        let request = decode(spec, out.freeze()).unwrap();
        let (mut out, code) = (BytesMut::new(), ResponseCode::from("0").unwrap());
        assert!(render(&dialect, spec, &request, &Reply::coded(code), &mut out).unwrap());
        decode(spec, out.freeze()).unwrap().elements().collect()
    }

    #[test]
    fn an_answer_repeats_what_specification_and_dialect_say() {
        let iso87 = include_str!("../../../spec/dialect/iso87.toml");
        let visa = include_str!("../../../spec/dialect/visa-style.toml");
        let mastercard = include_str!("../../../spec/dialect/mastercard-style.toml");
        let iso93 = include_str!("../../../spec/dialect/iso93.toml");
        let asked: &[u8] = &[4, 11, 15, 19, 32, 48, 62, 63];
        let spec = MessageSpec::builtin("iso87-ascii").unwrap();
        let later = MessageSpec::builtin("iso93-ascii").unwrap();
        let text = include_str!("../../../spec/iso8583/iso93-ascii.toml");
        let silent = MessageSpec::parse(text.split("\n[messages.").next().unwrap()).unwrap();
        let rows: [(_, _, _, &[u8], &[u8]); 8] = [
            (iso87, spec, 100, asked, &[4, 11, 32, 39]),
            (visa, spec, 100, asked, &[4, 11, 19, 32, 39, 62, 63]),
            (mastercard, spec, 100, asked, &[4, 11, 15, 32, 39, 63]),
            (mastercard, spec, 500, &[11, 15, 63], &[11, 15, 39, 63]),
            (iso93, later, 1_100, &[11, 24, 32], &[11, 32, 39]),
            (iso93, later, 1_804, &[11, 24, 32], &[11, 24, 32, 39]),
            (iso93, &silent, 1_100, &[11, 24, 32], &[11, 32, 39]),
            (iso93, &silent, 1_804, &[11, 24, 32], &[11, 24, 32, 39]),
        ];
        for (dialect, spec, mti, asked, expected) in rows {
            let got = answer_has(dialect, spec, mti, asked);
            assert_eq!(got, expected, "{mti} {}", spec.name());
        }
        // What the specification does not let a type have is not added to it.
        let strict = include_str!("../../../spec/iso8583/iso87-ascii.toml").replacen(
            "mandatory = [11, 39]\n",
            "mandatory = [11, 39]\noptional = [38, 62]\n",
            1,
        );
        let strict = MessageSpec::parse(&strict).unwrap();
        let got = answer_has(visa, &strict, 100, asked);
        assert_eq!(got, [4, 11, 32, 39, 62]);
    }

    #[test]
    fn amounts_of_an_answer_are_exact_in_every_edition() {
        let usd = |minor| Amount::new(minor, Currency::from_alpha("USD").unwrap());
        let yen = |minor| Amount::new(minor, Currency::JPY);
        let converted = Reply {
            billed: Some(Billed {
                amount: yen(1_500),
                rate: Rate::parse("150.00").unwrap(),
            }),
            ..Reply::coded(ResponseCode::from("00").unwrap())
        };
        let half = Reply {
            approved: Some(Approved {
                amount: usd(500),
                billing: Some(yen(755)),
                asked: usd(1_000),
            }),
            ..Reply::coded(ResponseCode::from("10").unwrap())
        };
        let plain = Reply::coded(ResponseCode::from("00").unwrap());
        let own = [(4, 1_000), (6, 1_500), (10, 41_500_000)];
        let part = [
            (4, 500),
            (5, 460),
            (6, 755),
            (9, 60_921_000),
            (10, 41_510_000),
        ];
        let echoed = [
            (4, 1_000),
            (5, 921),
            (6, 1_510),
            (9, 60_921_000),
            (10, 41_510_000),
        ];
        for (dialect, spec) in [
            (
                include_str!("../../../spec/dialect/iso87.toml"),
                "iso87-ascii",
            ),
            (
                include_str!("../../../spec/dialect/iso87.toml"),
                "iso87-binary",
            ),
            (
                include_str!("../../../spec/dialect/visa-style.toml"),
                "iso87-ascii",
            ),
            (
                include_str!("../../../spec/dialect/mastercard-style.toml"),
                "iso87-binary",
            ),
            (
                include_str!("../../../spec/dialect/iso93.toml"),
                "iso93-binary",
            ),
            (
                include_str!("../../../spec/dialect/iso2003.toml"),
                "iso03-ascii",
            ),
            (
                include_str!("../../../spec/dialect/iso2003.toml"),
                "iso03-binary",
            ),
        ] {
            for (billed, reply, amounts, currencies) in [
                (false, &converted, &own[..], ["", "392"]),
                (true, &half, &part, ["978", "392"]),
                (true, &plain, &echoed, ["978", "392"]),
                (false, &plain, &own[..1], ["", ""]),
            ] {
                let answer = answered(dialect, spec, billed, reply);
                for element in [4, 5, 6, 9, 10] {
                    let expected = amounts.iter().find(|row| row.0 == element);
                    let digits = answer.text(element);
                    let minor = digits.as_deref().map(|digits| match digits.len() {
                        16 => digits[4..].parse::<u64>().unwrap(),
                        _ => digits.parse().unwrap(),
                    });
                    assert_eq!(minor, expected.map(|row| row.1), "{spec} DE{element}");
                }
                if spec.starts_with("iso03") {
                    continue;
                }
                for (element, code) in [50, 51].into_iter().zip(currencies) {
                    let text = answer.text(element).unwrap_or_default();
                    assert_eq!(text, code, "{spec} DE{element}");
                }
            }
        }
    }
}
