//! The notation of `fixtures/decisions`: how a line of text becomes a step of a case.
//!
//! ```text
//! case  RULE … what is promised                      one case, to the next `case`
//! change PROGRAMME: old text => new text             edits the shipped programme file
//! card  K PROGRAMME KYC purse=minor … [expiry=YYMM] [status=…]
//! at    2027-03-01 12:00                             the clock, in Tokyo; starts as written here
//! without PROGRAMME                                  the programme is not loaded any more
//! rate  USD JPY 150.25                           a rate holds from now on
//! charge K reference USD JPY minor | credited n fee n at rate | balances   (or `refused: …`)
//! transfer K L reference minor | done [before] | balances          (or `refused: …`)
//! unlock K                                           the issuer unlocks the PIN of a card
//! housekeep [releases=n] [answers=h] [entries=h] [tombstones=h] | n released [more] | balances
//!   MTI #stan CARD PURPOSE amount word …             | code reason | balances | remarks
//! ```
//!
//! A message without `#stan` gets one of its own; `mcc=5541,5542` sends one message for each.
//! `new-pin=chosen` is a PIN change's other PIN, `pin-pad` says that the terminal takes PINs,
//! `takes-part` that it takes an approval of a part, `chip=right/7` that a chip's cryptogram is
//! right and its counter 7 (`/7/1`: of the card numbered 1 of those with the number), `track=wrong`
//! and `printed=wrong` what came of card verification values,
//! `part=2!` that this is the second part of a capture and the last, `id=…` what the network
//! calls the transaction.
//! Cards that nobody opened: `stranger` (no programme has the BIN), `nobody` (no such card) and
//! `garbled` (the check digit is wrong). Balances read `K 500(30) 20`: every purse in the order of
//! the programme, held amounts in brackets; `=` says that nothing has changed. Remarks:
//! `!exception`, `again` (a stored answer), `slowed`, `shows K …` (what DE 54 says), `because "…"`.

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth, PinReference};
use cardswitch::domain::chip::ChipUse;
use cardswitch::domain::conditions::{LocalTime, PinVerdict, PointOfService};
use cardswitch::domain::facts::{
    Certainty, Device, Evidence, FactName, Facts, Initiation, IssuerRoute, LinkNumber, MessageKind,
    Presence, Purpose, Trace,
};
use cardswitch::domain::merchant::{Mcc, Origin};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::pin_choice::{NewPin, PinRefused};
use cardswitch::domain::rare_facts::{CapturePart, RareFacts};
use cardswitch::domain::rate::Rate;
use cardswitch::domain::rate_file::RateRow;
use cardswitch::domain::short_text::ShortText;
use cardswitch::domain::time::UnixMs;
use cardswitch::engine::command::Housekeep;
use serde::de::DeserializeOwned;

/// One case of a fixture file.
pub(crate) struct CaseText {
    pub(crate) title: String,
    pub(crate) lines: Vec<(usize, Line)>,
}

/// One line of a case.
pub(crate) enum Line {
    Change {
        programme: String,
        old: String,
        new: String,
    },
    Without(String),
    /// The issuer unlocks the PIN of a card.
    UnlockPin(String),
    Card(Box<CardLine>),
    Rate(RateRow),
    Charge(ChargeLine, Expected),
    Transfer(TransferLine, Expected),
    At(UnixMs),
    Housekeep(Housekeep, Expected),
    Message(Box<MessageLine>),
}

/// A card with its account.
pub(crate) struct CardLine {
    pub(crate) name: String,
    pub(crate) programme: String,
    pub(crate) kyc: Kyc,
    pub(crate) balances: Vec<(String, i64)>,
    pub(crate) expiry: Option<ExpiryMonth>,
    pub(crate) status: CardStatus,
}

/// Money from one holder to another.
pub(crate) struct TransferLine {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) reference: String,
    pub(crate) minor: i64,
}

/// Money of one purse changed into another currency.
pub(crate) struct ChargeLine {
    pub(crate) card: String,
    pub(crate) reference: String,
    pub(crate) source: Currency,
    pub(crate) charge: Currency,
    pub(crate) minor: i64,
}

/// A message, or one for each merchant category.
pub(crate) struct MessageLine {
    pub(crate) facts: Facts,
    pub(crate) categories: Vec<Mcc>,
    /// The step whose approval code is quoted.
    pub(crate) quotes: Option<u32>,
    /// Whether the line names its own trace number.
    pub(crate) is_numbered: bool,
    pub(crate) expected: Expected,
}

/// What must come of a step.
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) outcome: String,
    pub(crate) balances: String,
    pub(crate) exceptions: Vec<String>,
    pub(crate) again: bool,
    pub(crate) slowed: bool,
    pub(crate) shows: Option<String>,
    pub(crate) because: Option<String>,
}

/// The cases of one file.
pub(crate) fn cases(text: &str) -> Result<Vec<CaseText>, String> {
    let mut cases: Vec<CaseText> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("case ") {
            cases.push(CaseText {
                title: title.trim().to_owned(),
                lines: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().ok_or("a line before the first case")?;
        let parsed = line_of(line).map_err(|wrong| format!("line {number}: {wrong}"))?;
        case.lines.push((number, parsed));
    }
    Ok(cases)
}

fn line_of(line: &str) -> Result<Line, String> {
    let (word, rest) = line.split_once(' ').ok_or("expected more than one word")?;
    let rest = rest.trim();
    Ok(match word {
        "change" => {
            let (programme, edit) = rest.split_once(": ").ok_or("expected PROGRAMME: edit")?;
            let (old, new) = edit.split_once(" => ").ok_or("expected old => new")?;
            Line::Change {
                programme: programme.to_owned(),
                old: old.replace("\\n", "\n"),
                new: new.replace("\\n", "\n"),
            }
        }
        "unlock" => Line::UnlockPin(rest.to_owned()),
        "without" => Line::Without(rest.to_owned()),
        "card" => Line::Card(Box::new(card(rest)?)),
        "at" => Line::At(instant(rest)?),
        "rate" => Line::Rate(rate(rest)?),
        "transfer" => {
            let (asked, told) = rest.split_once('|').ok_or("expected | outcome")?;
            Line::Transfer(transfer(asked)?, expected(told)?)
        }
        "charge" => {
            let (asked, told) = rest.split_once('|').ok_or("expected | outcome")?;
            Line::Charge(charge(asked)?, expected(told)?)
        }
        "housekeep" => {
            let mut columns = rest.splitn(2, '|');
            let terms = housekeep(columns.next().unwrap_or_default())?;
            Line::Housekeep(terms, expected(columns.next().unwrap_or_default())?)
        }
        _ => Line::Message(Box::new(message(line)?)),
    })
}

fn card(text: &str) -> Result<CardLine, String> {
    let mut words = text.split_whitespace();
    let mut word = || words.next().ok_or("expected NAME PROGRAMME KYC");
    let mut card = CardLine {
        name: word()?.to_owned(),
        programme: word()?.to_owned(),
        kyc: named(word()?)?,
        balances: Vec::new(),
        expiry: ExpiryMonth::from_yymm(3112),
        status: CardStatus::Active,
    };
    for word in words {
        match word.split_once('=').ok_or(format!("what is {word:?}?"))? {
            ("expiry", "none") => card.expiry = None,
            ("expiry", yymm) => card.expiry = ExpiryMonth::from_yymm(number(yymm)?),
            ("status", status) => card.status = named(status)?,
            (purse, minor) => card.balances.push((purse.to_owned(), number(minor)?)),
        }
    }
    Ok(card)
}

/// `USD JPY 150.25`; from when on is the clock's business.
fn rate(text: &str) -> Result<RateRow, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [from, to, rate] = words[..] else {
        return Err("expected FROM TO RATE".to_owned());
    };
    Ok(RateRow {
        from: currency(from)?,
        to: currency(to)?,
        rate: Rate::parse(rate)?,
        effective: UnixMs(0),
    })
}

fn transfer(text: &str) -> Result<TransferLine, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [from, to, reference, minor] = words[..] else {
        return Err("expected FROM TO REFERENCE minor".to_owned());
    };
    Ok(TransferLine {
        from: from.to_owned(),
        to: to.to_owned(),
        reference: reference.to_owned(),
        minor: number(minor)?,
    })
}

fn charge(text: &str) -> Result<ChargeLine, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [card, reference, source, target, minor] = words[..] else {
        return Err("expected CARD REFERENCE SOURCE CHARGE minor".to_owned());
    };
    Ok(ChargeLine {
        card: card.to_owned(),
        reference: reference.to_owned(),
        source: currency(source)?,
        charge: currency(target)?,
        minor: number(minor)?,
    })
}

fn currency(letters: &str) -> Result<Currency, String> {
    Currency::from_alpha(letters).ok_or(format!("no currency {letters}"))
}

fn housekeep(text: &str) -> Result<Housekeep, String> {
    let mut terms = Housekeep {
        answers_hours: 48,
        entries_hours: 9_600,
        tombstones_hours: 48,
        releases_max: 1_000,
    };
    for word in text.split_whitespace() {
        match word.split_once('=').ok_or(format!("what is {word:?}?"))? {
            ("answers", hours) => terms.answers_hours = number(hours)?,
            ("entries", hours) => terms.entries_hours = number(hours)?,
            ("tombstones", hours) => terms.tombstones_hours = number(hours)?,
            ("releases", most) => terms.releases_max = number(most)?,
            (other, _) => return Err(format!("what is {other:?}?")),
        }
    }
    Ok(terms)
}

/// Wall time in Tokyo, as the programmes count it.
pub(crate) fn instant(text: &str) -> Result<UnixMs, String> {
    let civil: jiff::civil::DateTime = text
        .replacen(' ', "T", 1)
        .parse()
        .map_err(|error| format!("{text:?}: {error}"))?;
    let zoned = civil
        .in_tz("Asia/Tokyo")
        .map_err(|error| error.to_string())?;
    Ok(UnixMs(zoned.timestamp().as_millisecond()))
}

fn expected(text: &str) -> Result<Expected, String> {
    let mut columns = text.split('|').map(str::trim);
    let mut expected = Expected {
        outcome: columns.next().unwrap_or_default().to_owned(),
        balances: columns
            .next()
            .ok_or("expected | outcome | balances")?
            .to_owned(),
        ..Expected::default()
    };
    let mut remarks = columns.next().unwrap_or_default();
    while !remarks.is_empty() {
        let (word, rest) = remarks.split_once(' ').unwrap_or((remarks, ""));
        remarks = rest.trim_start();
        match word {
            "again" => expected.again = true,
            "slowed" => expected.slowed = true,
            "shows" => expected.shows = Some(std::mem::take(&mut remarks).to_owned()),
            "because" => {
                let quoted = std::mem::take(&mut remarks).trim_matches('"');
                expected.because = Some(quoted.to_owned());
            }
            _ => match word.strip_prefix('!') {
                Some(kind) => expected.exceptions.push(kind.to_owned()),
                None => return Err(format!("what is the remark {word:?}?")),
            },
        }
    }
    Ok(expected)
}

fn message(line: &str) -> Result<MessageLine, String> {
    let (words, rest) = line.split_once('|').ok_or("expected | code reason | …")?;
    let mut words = words.split_whitespace();
    let mti: u16 = number(words.next().unwrap_or_default())?;
    let mut message = MessageLine {
        facts: plain_facts(mti)?,
        categories: Vec::new(),
        quotes: None,
        is_numbered: false,
        expected: expected(rest)?,
    };
    for word in words {
        let known = match word.split_once('=') {
            Some((key, value)) => stated(&mut message, key, value)?,
            None => said(&mut message, word)?,
        };
        if !known {
            return Err(format!("what is {word:?}?"));
        }
    }
    if message.categories.is_empty() {
        message.categories.push(Mcc(5411));
    }
    Ok(message)
}

/// A message in which nothing special is said.
pub(crate) fn plain_facts(mti: u16) -> Result<Facts, String> {
    let kind = match mti {
        100 | 101 => MessageKind::Authorization,
        120 | 121 => MessageKind::AuthorizationAdvice,
        200 | 201 => MessageKind::Financial,
        220 | 221 => MessageKind::FinancialAdvice,
        400 | 401 | 420 | 421 => MessageKind::Reversal,
        _ => return Err(format!("{mti:04} is no message about a card")),
    };
    Ok(Facts {
        kind,
        mti,
        repeat: mti % 2 == 1,
        purpose: Purpose::Purchase,
        dialect: 0,
        trace: trace(0),
        route: IssuerRoute::Ours,
        card: CardToken([0; 16]),
        expiry: None,
        amount: Amount::new(0, Currency::JPY),
        billing: None,
        replacement_minor: None,
        mcc: None,
        terminal: short("TERM0001"),
        acceptor: short("SHOP0001"),
        acceptor_name: short("A shop in Tokyo"),
        origin: Origin::default(),
        rrn: ShortText::EMPTY,
        quoted_approval: None,
        original: None,
        stand_in_approved: true,
        initiation: Initiation::Cardholder,
        certainty: Certainty::Final,
        device: Device::Ordinary,
        presence: Presence::Unsaid,
        pin: PinVerdict::Absent,
        link: LinkNumber::default(),
        point: PointOfService::default(),
        local: LocalTime::UNSAID,
        rare: None,
        evidence: Default::default(),
    })
}

fn stated(message: &mut MessageLine, key: &str, value: &str) -> Result<bool, String> {
    let facts = &mut message.facts;
    match key {
        "mcc" => {
            for mcc in value.split(',') {
                message.categories.push(Mcc(number(mcc)?));
            }
        }
        "billing" => facts.billing = Some(amount(value)?),
        "remain" => facts.replacement_minor = Some(number(value)?),
        "of" => facts.original = Some(trace(number(value.trim_start_matches('#'))?)),
        "quotes" => message.quotes = Some(number(value.trim_start_matches('#'))?),
        "id" => rare(facts).lifecycle_id = Some(short(value)),
        "part" => {
            rare(facts).part = Some(CapturePart {
                number: number(value.trim_end_matches('!'))?,
                last: value.ends_with('!'),
            });
        }
        "new-pin" => rare(facts).new_pin = Some(new_pin(value)?),
        "by" => rare(facts).load_channel = Some(named(value)?),
        "partner" => rare(facts).load_partner = Some(short(value)),
        "paid-by" => rare(facts).funding_bin = Some(short(value)),
        "cash" => rare(facts).cash_minor = Some(number(value)?),
        "rrn" => facts.rrn = short(value),
        "terminal" => facts.terminal = short(value),
        "acceptor" => facts.acceptor = short(value),
        "expiry" => facts.expiry = ExpiryMonth::from_yymm(number(value)?),
        "pin" => facts.pin = named(value)?,
        "chip" => rare(facts).chip = Some(chip(value)?),
        "track" => rare(facts).track = Some(named(value)?),
        "printed" => rare(facts).printed = Some(named(value)?),
        "entry" => facts.point.entry = named(value)?,
        "attendance" => facts.point.attendance = named(value)?,
        "reason" => rare(facts).advice_reason = Some(named(value)?),
        "acquirer" => facts.origin.acquirer_country = Some(number(value)?),
        "country" => {
            let letters = value.as_bytes().try_into();
            facts.origin.merchant_country = Some(letters.map_err(|_| "two letters")?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn said(message: &mut MessageLine, word: &str) -> Result<bool, String> {
    let facts = &mut message.facts;
    match word {
        "takes-part" => facts.point.partial_approval = true,
        "pin-pad" => facts.point.pin_pad = true,
        "incremental" => rare(facts).incremental = true,
        "authenticated" => rare(facts).authenticated = true,
        "declined" => facts.stand_in_approved = false,
        "recurring" | "instalment" => {
            facts.initiation = named(word)?;
            note(facts, FactName::Initiation);
        }
        "estimated" => {
            facts.certainty = Certainty::Estimated;
            note(facts, FactName::Certainty);
        }
        "in-flight" => {
            facts.device = Device::InFlight;
            note(facts, FactName::Device);
        }
        "present" | "absent" => {
            facts.presence = named(word)?;
            note(facts, FactName::Presence);
        }
        "pin" => facts.pin = PinVerdict::Unverified,
        "stranger" | "nobody" | "garbled" => {
            facts.card = token(word);
            facts.route = match word {
                "stranger" => IssuerRoute::Unknown,
                "garbled" => IssuerRoute::Malformed,
                _ => IssuerRoute::Ours,
            };
        }
        _ if word.starts_with('#') => {
            facts.trace = trace(number(&word[1..])?);
            message.is_numbered = true;
        }
        _ if word.starts_with(|c: char| c.is_ascii_uppercase()) => facts.card = token(word),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => facts.amount = amount(word)?,
        _ => match named(word) {
            Ok(purpose) => {
                facts.purpose = purpose;
                if matches!(purpose, Purpose::AccountFunding | Purpose::QuasiCash) {
                    note(facts, FactName::Purpose);
                }
            }
            Err(_) => return Ok(false),
        },
    }
    Ok(true)
}

/// `right/7/1`: verdict, counter, sequence number.
fn chip(value: &str) -> Result<ChipUse, String> {
    let mut parts = value.split('/');
    let mut chip = ChipUse::unread(named(parts.next().unwrap_or_default())?);
    chip.counter = parts.next().map_or(Ok(0), number)?;
    chip.sequence_number = parts.next().map_or(Ok(0), number)?;
    Ok(chip)
}

fn new_pin(value: &str) -> Result<NewPin, String> {
    Ok(match value {
        "chosen" => NewPin::Chosen(PinReference {
            key_index: 1,
            value: [4, 7, 1, 1],
        }),
        "repeated" => NewPin::Refused(PinRefused::Repeated),
        "malformed" => NewPin::Malformed,
        "without-a-key" => NewPin::CannotBeMade,
        _ => return Err(format!("{value} is no new PIN")),
    })
}

fn rare(facts: &mut Facts) -> &mut RareFacts {
    facts.rare.get_or_insert_default()
}

/// Says where a fact was read, as a dialect does.
fn note(facts: &mut Facts, fact: FactName) {
    facts.evidence.push(Evidence {
        fact,
        source: format!("{fact:?} was stated").into(),
    });
}

/// The trace of the message numbered so; 0 is never used.
pub(crate) fn trace(stan: u32) -> Trace {
    Trace {
        originator: 123_456,
        transmitted: 301_030_000 + stan,
        stan,
    }
}

/// The token of the card named so.
pub(crate) fn token(name: &str) -> CardToken {
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    CardToken(bytes)
}

/// `1500` yen or `1500USD` cents.
fn amount(text: &str) -> Result<Amount, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let currency = match &text[digits.len()..] {
        "" => Currency::JPY,
        letters => currency(letters)?,
    };
    Ok(Amount::new(number(digits)?, currency))
}

fn short<const N: usize>(text: &str) -> ShortText<N> {
    ShortText::of(text).unwrap_or_else(|| panic!("{text:?} is longer than {N}"))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let digits = text.replace('_', "");
    digits
        .parse()
        .map_err(|_| format!("expected a number, got {text:?}"))
}

/// A word of the trade, as it stands in programme and dialect files.
fn named<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|_| format!("what is {word:?}?"))
}
