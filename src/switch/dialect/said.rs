//! Facts that a message states besides its amount, card and identity: the rows of the dialect's
//! table, and the elements that every ISO 8583:1987 message has for them.

use std::borrow::Cow;

use crate::domain::conditions::LocalTime;
use crate::domain::facts::{Evidence, Facts};
use crate::domain::rare_facts::{CapturePart, CompanyCode, FundingBin, MonthDay, RareFacts};
use crate::iso8583::{Message, MessageSpec};
use crate::switch::token::TokenKey;

use super::table::{Dialect, Edition, ElementRows, Indicator, Reach, ReadFact, Statement};
use super::value_set::Read;

/// Characters of one group of additional amounts (DE 54).
const AMOUNT_GROUP: usize = 20;
/// The amount type of cash given with a purchase.
const CASH_BACK: &str = "40";

/// Sets the facts that the rows of a dialect's table read. Of the rows of one fact, the one that
/// stands first in the file decides.
pub(super) fn read_rows(
    (dialect, spec): (&Dialect, &MessageSpec),
    token_key: &TokenKey,
    message: &Message,
    facts: &mut Facts,
) {
    let mut first: [Option<(usize, &Indicator)>; Statement::FACTS] = [None; Statement::FACTS];
    let mut parts = (None, None);
    let mut read: [Option<usize>; ReadFact::FACTS] = [None; ReadFact::FACTS];
    for rows in &dialect.rows {
        if !message.has(rows.element) {
            continue;
        }
        let digits = match rows.part.is_empty() {
            true => message.digits(rows.element),
            false => None,
        };
        let text = match &digits {
            Some(digits) => Cow::Borrowed(digits.as_str()),
            None if rows.part.is_empty() => text_of(message, rows.element),
            None => match text_of_part(message, spec, rows) {
                Some(text) => Cow::Owned(text),
                None => continue,
            },
        };
        if let Some(fitting) = rows.fitting(&text) {
            let indicators = fitting
                .iter()
                .filter_map(|row| rows.indicators.get(usize::from(*row)));
            for (place, indicator) in indicators {
                if let Some(slot) = first.get_mut(indicator.says.fact())
                    && slot.is_none_or(|(earlier, _)| *place < earlier)
                {
                    *slot = Some((*place, indicator));
                }
            }
            continue;
        }
        // Neighbouring rows read the same characters most often.
        let mut reach = Reach::default();
        let mut cut = reach.cut(&text).map(Read::new);
        for (place, indicator) in &rows.indicators {
            let Some(slot) = first.get_mut(indicator.says.fact()) else {
                continue;
            };
            if indicator.reach != reach {
                reach = indicator.reach;
                cut = reach.cut(&text).map(Read::new);
            }
            let is_earlier = slot.is_none_or(|(earlier, _)| *place < earlier);
            if is_earlier && cut.is_some_and(|it| indicator.test.fits(it)) {
                *slot = Some((*place, indicator));
            }
        }
        for (place, reading) in &rows.readings {
            let Some(slot) = read.get_mut(reading.fact.number()) else {
                continue;
            };
            let is_earlier = slot.is_none_or(|earlier| *place < earlier);
            let stated = reading.reach.cut(&text).map(|it| it.trim_matches(' '));
            if let (true, Some(stated)) = (is_earlier, stated.filter(|it| !it.is_empty())) {
                *slot = Some(*place);
                take_over(reading.fact, stated, token_key, facts, &mut parts);
            }
        }
    }
    for (_, indicator) in first.into_iter().flatten() {
        state(facts, indicator);
    }
    if let (Some(number), count) = parts {
        rare(facts).part = Some(CapturePart {
            number,
            last: count.is_some_and(|count| number >= count),
        });
    }
}

/// The text of a part of an element; of bytes, two hexadecimal digits for each. A part that is not
/// there, or that the specification does not tell apart, states nothing.
fn text_of_part(message: &Message, spec: &MessageSpec, rows: &ElementRows) -> Option<String> {
    let mut parts = message.parts(spec, rows.element)?.ok()?;
    let (last, path) = rows.part.split_last()?;
    for key in path {
        let part = parts.iter().find(|part| part.key() == key)?;
        parts = part.parts()?.ok()?;
    }
    Some(parts.iter().find(|part| part.key() == last)?.shown())
}

/// The text of an element; of bytes, two hexadecimal digits for each.
fn text_of(message: &Message, element: u8) -> Cow<'_, str> {
    if let Some(text) = message.text(element) {
        return text;
    }
    let bytes = message.binary(element).unwrap_or_default();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let digits = digits.filter_map(|nibble| char::from_digit(u32::from(nibble), 16));
    Cow::Owned(digits.map(|digit| digit.to_ascii_uppercase()).collect())
}

fn state(facts: &mut Facts, indicator: &Indicator) {
    match indicator.says {
        Statement::Initiation(value) => facts.initiation = value,
        Statement::Certainty(value) => facts.certainty = value,
        Statement::Device(value) => facts.device = value,
        Statement::Presence(value) => facts.presence = value,
        Statement::Entry(value) => facts.point.entry = value,
        Statement::Attendance(value) => facts.point.attendance = value,
        Statement::StoredCredential(value) => facts.point.stored_credential = value,
        Statement::PartialApproval => facts.point.partial_approval = true,
        Statement::Incremental => rare(facts).incremental = true,
        Statement::Authenticated => rare(facts).authenticated = true,
        Statement::LoadChannel(value) => rare(facts).load_channel = Some(value),
        Statement::PinPad => facts.point.pin_pad = true,
        Statement::AdviceReason(value) => rare(facts).advice_reason = Some(value),
    }
    if let Some(fact) = indicator.says.evident() {
        facts.evidence.push(Evidence {
            fact,
            source: Cow::Borrowed(indicator.source),
        });
    }
}

/// Takes a fact over as it stands; what is too long or no number states nothing.
fn take_over(
    fact: ReadFact,
    read: &str,
    token_key: &TokenKey,
    facts: &mut Facts,
    parts: &mut (Option<u16>, Option<u16>),
) {
    let number = || read.parse().ok().filter(|number: &u16| *number > 0);
    match fact {
        ReadFact::LifecycleId => {
            rare(facts).lifecycle_id = token_key.lifecycle_id(read);
        }
        ReadFact::PartNumber => parts.0 = number(),
        ReadFact::PartCount => parts.1 = number(),
        ReadFact::LoadPartner => rare(facts).load_partner = CompanyCode::of(read),
        ReadFact::FundingBin => {
            let digits = read.bytes().all(|byte| byte.is_ascii_digit());
            rare(facts).funding_bin = FundingBin::of(read).filter(|_| digits);
        }
    }
}

fn rare(facts: &mut Facts) -> &mut RareFacts {
    facts.rare.get_or_insert_default()
}

/// Sets what every message of 1987 states in an element of its own.
pub(super) fn read_elements(edition: Edition, message: &Message, facts: &mut Facts) {
    if edition == Edition::Of1987 {
        facts.point.pin_pad = pin_pad(message);
    }
    let date = message.number(15).map(|date| date % 10_000);
    if let Some(date) = date.and_then(|date| u16::try_from(date).ok()) {
        rare(facts).settlement = Some(MonthDay(date));
    }
    if let Some(rate) = message.number(10).and_then(|rate| u32::try_from(rate).ok()) {
        rare(facts).billing_rate = Some(rate);
    }
    let fee = match edition {
        Edition::Of1987 => acquirer_fee(message),
        Edition::Of1993 | Edition::Of2003 => first_fee(edition, message),
    };
    if let Some(minor) = fee {
        rare(facts).acquirer_fee_minor = Some(minor);
    }
    if let Some(minor) = cash_part(edition, message) {
        rare(facts).cash_minor = Some(minor);
    }
}

/// DE 22, third digit of three: 1 says that the terminal takes PINs.
fn pin_pad(message: &Message) -> bool {
    let text = message.digits(22);
    text.is_some_and(|text| text.as_str().len() == 3 && text.as_str().ends_with('1'))
}

/// DE 28: `D` debits the cardholder, `C` credits (lifecycle D.6).
fn acquirer_fee(message: &Message) -> Option<i64> {
    signed(message, 28)
}

/// DE 46 of 1993 and 2003, first group: type 2, currency 3 (in 2003 with its decimals 4), sign 1,
/// amount 8.
fn first_fee(edition: Edition, message: &Message) -> Option<i64> {
    let text = message.text(46)?;
    let from = match edition {
        Edition::Of2003 => 6,
        Edition::Of1987 | Edition::Of1993 => 5,
    };
    signed_amount(text.get(from..)?.get(..9)?)
}

/// An amount with its sign: `D` above zero, `C` below.
pub(super) fn signed(message: &Message, element: u8) -> Option<i64> {
    signed_amount(&message.text(element)?)
}

fn signed_amount(text: &str) -> Option<i64> {
    let minor: i64 = text.get(1..)?.parse().ok()?;
    match text.get(..1)? {
        "D" => Some(minor),
        "C" => Some(-minor),
        _ => None,
    }
}

/// DE 54, group of type 40: account 2, type 2, currency 3 (in 2003 with its decimals 4), sign 1,
/// amount 12.
fn cash_part(edition: Edition, message: &Message) -> Option<i64> {
    let text = message.text(54)?;
    let size = match edition {
        Edition::Of1987 | Edition::Of1993 => AMOUNT_GROUP,
        Edition::Of2003 => AMOUNT_GROUP + 1,
    };
    (0..text.len() / size)
        .filter_map(|n| text.get(n * size..(n + 1) * size))
        .find(|group| group.get(2..4) == Some(CASH_BACK))
        .and_then(|group| group.get(size - 12..)?.parse().ok())
}

/// DE 12 and DE 13, since 1993 DE 12 alone, against DE 7: the local clock is within half a year of
/// the transmission. `transmitted` is what the trace has of it, which in 1987 is DE 7.
pub(super) fn local_time(edition: Edition, message: &Message, transmitted: u32) -> LocalTime {
    let seconds = || {
        let local = match edition {
            Edition::Of1987 => message.number(13)?.checked_mul(1_000_000)? + message.number(12)?,
            Edition::Of1993 | Edition::Of2003 => message.number(12)? % 10_000_000_000,
        };
        let year: i32 = 366 * 86_400;
        let sent = match edition {
            Edition::Of1987 => transmitted.into(),
            Edition::Of1993 | Edition::Of2003 => message.number(7)?,
        };
        let ahead = second_of_year(local)? - second_of_year(sent)?;
        Some(match ahead {
            _ if ahead > year / 2 => ahead - year,
            _ if ahead < -year / 2 => ahead + year,
            _ => ahead,
        })
    };
    seconds().map_or(LocalTime::UNSAID, LocalTime::ahead_by)
}

/// Second of a leap year at `MMDDhhmmss`.
fn second_of_year(stamp: u64) -> Option<i32> {
    const DAYS_BEFORE: [i32; 12] = [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335];
    let stamp = i32::try_from(stamp).ok()?;
    let two = |divisor: i32| stamp / divisor % 100;
    let month = usize::try_from(two(100_000_000).checked_sub(1)?).ok()?;
    let day = DAYS_BEFORE.get(month)? + two(1_000_000) - 1;
    Some(((day * 24 + two(10_000)) * 60 + two(100)) * 60 + two(1))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::request::{Request, RequestParser};
    use super::super::table;
    use super::*;
    use crate::domain::conditions::{Attendance, EntryMode, PointOfService, StoredCredential};
    use crate::domain::facts::{Certainty, Initiation, LinkNumber};
    use crate::domain::rare_facts::LoadChannel;
    use crate::iso8583::{self, MessageWriter, Mti};
    use crate::switch::config::ReplacementAmounts;
    use crate::switch::pin::PinDesk;
    use crate::switch::rulebook::LoadedRules;

    #[test]
    fn a_part_within_an_element_states_what_its_row_says() {
        let text = include_str!("../../../spec/dialect/iso2003.toml").replace(
            "\n[pin_change]",
            "
[[indicator]]
fact = \"initiation\"
value = \"recurring\"
element = 104
part = \"56.81\"
equals = [\"4D313032\"]

[[indicator]]
fact = \"stored-credential\"
value = \"merchant-use\"
element = 104
part = \"56.82\"
byte = 2
bits = \"80\"

[[indicator]]
fact = \"load-channel\"
value = \"bank\"
element = 43
part = \"4\"
equals = [\"TOKYO\"]

[[reading]]
fact = \"load-partner\"
element = 104
part = \"57.5F20\"
from = 1
length = 8

[pin_change]",
        );
        let dialect = table::parse(&text).unwrap();
        let spec = MessageSpec::builtin("iso03-ascii").unwrap();
        let read = |name: &[u8], data: &[u8]| {
            let texts = [
                (2, "4761739001010119"),
                (3, "000000"),
                (4, "3920000000005001"),
                (7, "0301150000"),
                (11, "000000000001"),
                (12, "20270301150000"),
                (24, "100"),
            ];
            read_by(&dialect, spec, (2_100, &texts, &[(43, name), (104, data)]))
        };
        // Dataset 56 of ten bytes: tag 81 has four, tag 82 two; dataset 57: tag 5F20 has four.
        let whole = b"\x56\x00\x0a\x81\x04M102\x82\x02\x00\x80\x57\x00\x07\x5f\x20\x04AB12";
        let facts = read(b"\x10\x00\x00\x00\x00\x00\x00\x0005TOKYO", whole);
        assert_eq!(facts.initiation, Initiation::Recurring);
        assert_eq!(facts.point.stored_credential, StoredCredential::MerchantUse);
        assert_eq!(
            facts.rare.as_ref().unwrap().load_channel,
            Some(LoadChannel::Bank)
        );
        let partner = facts.rare.as_ref().unwrap().load_partner.unwrap();
        assert_eq!(partner.as_str(), "41423132");
        let source = &facts.evidence[0].source;
        assert_eq!(source, "DE104 part 56.81 = 4D313032");
        for (name, data) in [
            (&b"A shop"[..], &b"\x56\x00\x06\x81\x04M103"[..]),
            (b"A shop", b"\x57\x00\x06\x81\x04M102"),
            (b"A shop", b"\x56\x00\x09\x81\x04M102"),
            (b"A shop", b"\x56\x00\x00"),
        ] {
            let facts = read(name, data);
            assert_eq!(facts.initiation, Initiation::Cardholder, "{data:?}");
            assert_eq!(facts.rare.as_ref().and_then(|rare| rare.load_channel), None);
        }
    }

    #[test]
    fn a_second_of_the_year_counts_from_its_first_midnight() {
        let day = 86_400;
        for (stamp, second) in [
            (101_000_000, 0),
            (101_000_001, 1),
            (301_030_000, 60 * day + 3 * 3_600),
            (1_231_235_959, 366 * day - 1),
        ] {
            assert_eq!(second_of_year(stamp), Some(second), "{stamp}");
        }
        assert_eq!(second_of_year(1_301_000_000), None);
        assert_eq!(second_of_year(0), None);
    }

    /// What the generic dialect reads in a message with these elements.
    fn read(elements: &[(u8, &str)]) -> Facts {
        let dialect = table::parse(include_str!("../../../spec/dialect/iso87.toml")).unwrap();
        let spec = MessageSpec::builtin("iso87-ascii").unwrap();
        let always = [
            (2, "4761739001010119"),
            (3, "000000"),
            (4, "000000005000"),
            (7, "0301150000"),
            (11, "000001"),
            (49, "392"),
        ];
        let mut all: Vec<(u8, &str)> = always.into_iter().chain(elements.iter().copied()).collect();
        all.sort_by_key(|row| row.0);
        read_by(&dialect, spec, (100, &all, &[]))
    }

    /// Type, texts, and bytes behind them.
    type Said<'a> = (u16, &'a [(u8, &'a str)], &'a [(u8, &'a [u8])]);

    /// What a dialect reads.
    fn read_by(dialect: &Dialect, spec: &MessageSpec, (mti, texts, binary): Said<'_>) -> Facts {
        let rules = LoadedRules::load(None, None).unwrap();
        let mut bytes = BytesMut::new();
        let mut writer = MessageWriter::begin(spec, Mti::new(mti), &mut bytes);
        for (element, value) in texts {
            writer.text(*element, value).unwrap();
        }
        for (element, value) in binary {
            writer.binary(*element, value).unwrap();
        }
        writer.finish().unwrap();
        let message = iso8583::decode(spec, bytes.freeze()).unwrap();
        let parser = RequestParser {
            dialect,
            spec,
            dialect_number: 0,
            token_key: &TokenKey::fixed([7; 32]),
            pins: &PinDesk::default(),
            pin_key: None,
            rulebook: &rules.rulebook,
            link: "door",
            link_number: LinkNumber(1),
            replacement_amounts: ReplacementAmounts::Remaining,
        };
        match parser.parse(&message) {
            Request::Card(request) => Facts::clone(&request.facts),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_clock_at_the_point_of_service_is_told_in_1993_too() {
        let spec = MessageSpec::builtin("iso93-ascii").unwrap();
        let mut bytes = BytesMut::new();
        let mut writer = MessageWriter::begin(spec, Mti::new(1100), &mut bytes);
        writer.text(7, "0301150000").unwrap();
        writer.text(12, "270302000000").unwrap();
        writer.finish().unwrap();
        let message = iso8583::decode(spec, bytes.freeze()).unwrap();
        // The trace of 1993 is made of DE 12.
        let local = local_time(Edition::Of1993, &message, 302_000_000);
        assert_eq!(local.seconds_ahead(), Some(9 * 3_600));
    }

    #[test]
    fn an_ordinary_purchase_states_nothing_rare() {
        let facts = read(&[
            (12, "000000"),
            (13, "0302"),
            (22, "051"),
            (61, "0000000000"),
        ]);
        assert_eq!(facts.rare, None);
        assert_eq!(facts.link, LinkNumber(1));
        assert_eq!(facts.local.seconds_ahead(), Some(9 * 3_600));
        let expected = PointOfService {
            entry: EntryMode::Chip,
            attendance: Attendance::Attended,
            pin_pad: true,
            ..PointOfService::default()
        };
        assert_eq!(facts.point, expected);
    }

    #[test]
    fn the_generic_dialect_reads_every_rare_fact() {
        let facts = read(&[
            (10, "69972522"),
            (15, "0302"),
            (22, "810"),
            (28, "D00000110"),
            (47, "03000000123454567890100"),
            (54, "0002392C0000000000010040392D000000001000"),
            (60, "3000000005U3"),
            (62, "012345678901234 "),
            (63, "3900"),
            (71, "0002"),
            (72, "0002"),
        ]);
        let rare = RareFacts {
            lifecycle_id: "012345678901234".parse().ok(),
            incremental: true,
            part: Some(CapturePart {
                number: 2,
                last: true,
            }),
            cash_minor: Some(1_000),
            acquirer_fee_minor: Some(110),
            settlement: Some(MonthDay(302)),
            authenticated: true,
            load_channel: Some(LoadChannel::CreditCard),
            load_partner: "00000012345".parse().ok(),
            funding_bin: "45678901".parse().ok(),
            advice_reason: None,
            billing_rate: Some(69_972_522),
            new_pin: None,
            chip: None,
            track: None,
            printed: None,
        };
        assert_eq!(facts.rare, Some(Box::new(rare)));
        assert_eq!(facts.certainty, Certainty::Estimated);
        let expected = PointOfService {
            entry: EntryMode::ECommerce,
            attendance: Attendance::Unattended,
            partial_approval: true,
            stored_credential: StoredCredential::CardholderUse,
            pin_pad: false,
        };
        assert_eq!(facts.point, expected);
    }

    #[test]
    fn a_name_that_could_be_a_card_number_still_names_the_transaction_and_is_not_kept() {
        assert_eq!(
            read(&[(62, "4761739001010119")]).lifecycle_id(),
            None,
            "too long"
        );
        for name in ["6", "10"].map(|tail| format!("400000000000{tail}")) {
            let name = name.as_str();
            let kept = read(&[(62, name)]).lifecycle_id().unwrap();
            assert_eq!(read(&[(62, name)]).lifecycle_id(), Some(kept));
            assert!(
                kept.as_str().starts_with('#') && !kept.as_str().contains(&name[..6]),
                "{kept}"
            );
        }
        let plain = read(&[(62, "400000000000A")]).lifecycle_id().unwrap();
        assert_eq!(plain.as_str(), "400000000000A");
    }
}
