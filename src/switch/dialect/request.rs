//! `parse_request`: one ISO 8583:1987 message into the words of the trade.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::domain::card::ExpiryMonth;
use crate::domain::conditions::PointOfService;
use crate::domain::decision::{ApprovalCode, Reason};
use crate::domain::facts::{Evidence, FactName, Facts, LinkNumber, MessageKind, Purpose, Trace};
use crate::domain::masking;
use crate::domain::merchant::{AcceptorName, Mcc, Origin};
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{MaskedPan, Pan};
use crate::domain::reconciliation::Claim;
use crate::domain::rulebook::Rulebook;
use crate::domain::short_text::ShortText;
use crate::engine::reconcile::{CutOver, Reconcile};
use crate::iso8583::{Message, MessageSpec, Mti};
use crate::switch::config::ReplacementAmounts;
use crate::switch::hsm::desk::Questions;
use crate::switch::link_keys::{LinkKey, NewKey};
use crate::switch::pin::PinDesk;
use crate::switch::token::TokenKey;

use super::edition_2003;
use super::key_exchange;
use super::pins;
use super::proofs;
use super::route::route;
use super::said;
use super::table::{Dialect, Edition, Management};

/// Originators without an acquirer identification are numbered above every DE 32 of 11 digits.
const LINK_ORIGINATORS: u64 = 1 << 40;

/// One more than the greatest `MMDDhhmmss`.
const MMDDHHMMSS: u64 = 10_000_000_000;
/// The function code of a partial reversal in 1993.
const PARTIAL_REVERSAL: u64 = 401;

/// What a message asks of us.
#[derive(Debug)]
pub enum Request {
    /// To decide, record or undo something about a card.
    Card(CardRequest),
    /// To manage the link.
    Management(Management),
    /// To take a new key of the link.
    NewKey(Box<NewKey>),
    /// To end the link's business day, or to compare its totals.
    Settlement(Settlement),
    /// Something we do not do, or cannot read far enough; answered with this reason.
    Reject(Reject),
    /// An answer to something we never asked; not answered.
    Unasked,
}

/// A request about a link's business day.
#[derive(Debug)]
pub enum Settlement {
    /// The network's day has changed.
    CutOver(CutOver),
    /// What the peer counted.
    Reconcile(Box<Reconcile>),
}

/// A request about a card.
#[derive(Debug)]
pub struct CardRequest {
    /// What it says.
    pub facts: Arc<Facts>,
    /// The card number as it may be shown.
    pub masked: MaskedPan,
    /// What a device must say before it may be decided.
    pub questions: Option<Box<Questions>>,
}

/// A message that will not be processed.
#[derive(Debug, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// What is wrong with it, without content.
    pub evidence: String,
}

impl Reject {
    pub(super) fn missing(element: u8) -> Reject {
        Reject {
            reason: Reason::FormatError,
            evidence: format!("element {element} is missing"),
        }
    }

    fn wrong(element: u8, expected: &str) -> Reject {
        Reject {
            reason: Reason::FormatError,
            evidence: format!("element {element}: expected {expected}"),
        }
    }
}

/// What turns messages into requests on one link.
pub struct RequestParser<'a> {
    /// The dialect's table.
    pub dialect: &'a Dialect,
    /// How the elements of its messages are written.
    pub spec: &'a MessageSpec,
    /// Its number in the rulebook.
    pub dialect_number: u8,
    /// Names cards.
    pub token_key: &'a TokenKey,
    /// Judges PIN blocks.
    pub pins: &'a PinDesk,
    /// What PIN blocks of the link come under; `None`: the key that nobody names.
    pub pin_key: Option<&'a Arc<LinkKey>>,
    /// Knows whose card numbers are ours.
    pub rulebook: &'a Rulebook,
    /// Name of the link, the originator of messages without DE 32.
    pub link: &'a str,
    /// Number of the link in the journal.
    pub link_number: LinkNumber,
    /// What the peer puts into DE 95.
    pub replacement_amounts: ReplacementAmounts,
}

impl RequestParser<'_> {
    /// What a message asks of us.
    pub fn parse(&self, message: &Message) -> Request {
        let mti = message.mti();
        if !mti.is_request() {
            return Request::Unasked;
        }
        let kind = match (mti.class(), mti.function()) {
            (1, 0) => MessageKind::Authorization,
            (1, 2) => MessageKind::AuthorizationAdvice,
            (2, 0) => MessageKind::Financial,
            (2, 2) => MessageKind::FinancialAdvice,
            (4, 0 | 2) => MessageKind::Reversal,
            (5, 0 | 2) => return settled(self.reconcile(message)),
            (8, _) => return self.management(message),
            _ => return Request::Reject(unsupported(mti)),
        };
        match self.facts(kind, message) {
            Ok(request) => Request::Card(request),
            Err(reject) => Request::Reject(reject),
        }
    }

    fn management(&self, message: &Message) -> Request {
        let element = self.dialect.edition.management();
        let code = message.number(element);
        let Some(code) = code.and_then(|code| u16::try_from(code).ok()) else {
            return Request::Reject(Reject::missing(element));
        };
        match self.dialect.management(code) {
            Some(Management::Cutover) => settled(self.cut_over(message)),
            Some(management) => key_exchange::asked(self.dialect, message, management),
            None => Request::Reject(Reject {
                reason: Reason::NotSupported,
                evidence: format!("network management {code:03} is not in the dialect's table"),
            }),
        }
    }

    fn cut_over(&self, message: &Message) -> Result<Settlement, Reject> {
        let trace = self.trace(message)?;
        Ok(Settlement::CutOver(CutOver {
            link: self.link_number,
            to: month_day(message, self.dialect.edition.reconciliation_date())?,
            asker: Some((trace.transmitted, trace.stan)),
        }))
    }

    /// DE 74 to 77, 80, 81, 86 to 89 and 97: what the peer counted (lifecycle D.7).
    fn reconcile(&self, message: &Message) -> Result<Settlement, Reject> {
        let trace = self.trace(message)?;
        let of = month_day(message, self.dialect.edition.reconciliation_date())?;
        let asker = (trace.transmitted, trace.stan);
        if self.dialect.edition == Edition::Of2003 {
            return Ok(Settlement::Reconcile(Box::new(Reconcile {
                link: self.link_number,
                of,
                currency: edition_2003::net_currency(message),
                claim: edition_2003::claim(message),
                asker,
            })));
        }
        let count = |element: u8| message.number(element);
        let minor = |element: u8| count(element).and_then(|minor| i64::try_from(minor).ok());
        let claim = Claim {
            credits: count(74),
            credit_reversals: count(75),
            debits: count(76),
            debit_reversals: count(77),
            enquiries: count(80),
            authorizations: count(81),
            credits_minor: minor(86),
            credit_reversals_minor: minor(87),
            debits_minor: minor(88),
            debit_reversals_minor: minor(89),
            net_minor: said::signed(message, 97),
        };
        Ok(Settlement::Reconcile(Box::new(Reconcile {
            link: self.link_number,
            of,
            currency: currency(message, 50).or_else(|| currency(message, 49)),
            claim,
            asker,
        })))
    }

    fn facts(&self, kind: MessageKind, message: &Message) -> Result<CardRequest, Reject> {
        let (pan, track_expiry) = card_number(message)?;
        let processing_code = message.number(3).ok_or_else(|| Reject::missing(3))?;
        let purpose = self.dialect.purpose(processing_code);
        let trace = self.trace(message)?;
        let edition = self.dialect.edition;
        let (amount, remaining) = self.amounts(kind, message, purpose)?;
        let (acceptor_name, merchant_country) = self.acceptor(message);
        let card = self.token_key.token(&pan);
        let desk = (self.pins, self.pin_key);
        let mut questions = None;
        let mut facts = Facts {
            kind,
            mti: message.mti().number(),
            repeat: message.mti().is_repeat(),
            purpose,
            dialect: self.dialect_number,
            trace,
            route: route(self.rulebook, &pan),
            card,
            expiry: expiry(message, track_expiry)?,
            amount,
            billing: billing(edition, message),
            replacement_minor: remaining,
            mcc: message
                .number(edition.mcc())
                .and_then(|code| u16::try_from(code).ok())
                .map(Mcc),
            terminal: identification(message, 41),
            acceptor: identification(message, 42),
            origin: Origin {
                acquirer_country: message.number(19).and_then(|code| u16::try_from(code).ok()),
                merchant_country,
            },
            acceptor_name: without_card_numbers(acceptor_name),
            rrn: trimmed(message, 37),
            quoted_approval: quoted_approval(message),
            original: self.original(message, trace),
            stand_in_approved: stand_in_approved(edition, message),
            initiation: Default::default(),
            certainty: Default::default(),
            device: Default::default(),
            presence: Default::default(),
            pin: pins::verdict(desk, message, &pan, card, &mut questions),
            link: self.link_number,
            point: PointOfService::default(),
            local: said::local_time(edition, message, trace.transmitted),
            rare: None,
            evidence: SmallVec::new(),
        };
        let table = (self.dialect, self.spec);
        said::read_rows(table, self.token_key, message, &mut facts);
        said::read_elements(edition, message, &mut facts);
        proofs::read(
            self.dialect,
            desk,
            message,
            &pan,
            &mut facts,
            &mut questions,
        );
        if matches!(purpose, Purpose::AccountFunding | Purpose::QuasiCash) {
            let source = format!("processing code {:02}", processing_code / 10_000).into();
            facts.evidence.push(Evidence {
                fact: FactName::Purpose,
                source,
            });
        }
        Ok(CardRequest {
            facts: Arc::new(facts),
            masked: pan.masked(),
            questions,
        })
    }

    /// Name and country of the card acceptor (DE 43).
    fn acceptor(&self, message: &Message) -> (AcceptorName, Option<[u8; 2]>) {
        let edition = self.dialect.edition;
        if edition == Edition::Of1987
            && let Some(name) = plain(message, 43)
        {
            let whole = message.ascii(43).unwrap_or_default();
            return (name, country_letters(edition, whole));
        }
        let text = match edition {
            Edition::Of1987 | Edition::Of1993 => message.text(43).unwrap_or_default(),
            Edition::Of2003 => match edition_2003::acceptor(message, self.spec) {
                Some(told) => return told,
                None => Cow::Owned(edition_2003::acceptor_text(message).unwrap_or_default()),
            },
        };
        (
            acceptor_name(edition, &text),
            country_letters(edition, text.as_bytes()),
        )
    }

    fn trace(&self, message: &Message) -> Result<Trace, Reject> {
        let originator = match message.number(32) {
            Some(acquirer) => acquirer,
            None => self.link_originator(),
        };
        let element = match self.dialect.edition {
            Edition::Of1987 => 7,
            // There DE 7 changes in a repeat; DE 12 (YYMMDDhhmmss) does not.
            Edition::Of1993 | Edition::Of2003 => 12,
        };
        let at = message.number(element);
        let transmitted = at.ok_or_else(|| Reject::missing(element))? % MMDDHHMMSS;
        let stan = message.number(11).ok_or_else(|| Reject::missing(11))?;
        let transmitted =
            u32::try_from(transmitted).map_err(|_| Reject::wrong(element, "MMDDhhmmss"))?;
        Trace::with_long_stan(originator, transmitted, stan)
            .ok_or_else(|| Reject::wrong(11, "twelve digits at most"))
    }

    /// What the transaction amounts to, and what shall remain of it after a partial reversal.
    fn amounts(
        &self,
        kind: MessageKind,
        message: &Message,
        purpose: Purpose,
    ) -> Result<(Amount, Option<i64>), Reject> {
        let edition = self.dialect.edition;
        let amount = amount(edition, message, purpose)?;
        let is_reversal = kind == MessageKind::Reversal;
        match self.dialect.edition {
            Edition::Of1987 => Ok((amount, self.remaining(replacement(message)?, amount))),
            Edition::Of1993 | Edition::Of2003
                if is_reversal && message.number(24) == Some(PARTIAL_REVERSAL) =>
            {
                // DE 30 has what was asked first, DE 4 what shall stand instead (lifecycle D.3).
                let before = message.digits(30);
                let before = before.as_ref().and_then(|digits| match edition {
                    Edition::Of2003 => edition_2003::amount(digits.as_str()),
                    Edition::Of1987 | Edition::Of1993 => {
                        let before = digits.as_str().get(..12)?.parse().ok()?;
                        Some(Amount::new(before, amount.currency))
                    }
                });
                let original = before.ok_or_else(|| Reject::missing(30))?;
                Ok((original, self.remaining(Some(amount.minor), original)))
            }
            Edition::Of1993 | Edition::Of2003 => Ok((amount, None)),
        }
    }

    /// What shall remain of the transaction amount after a partial reversal. More than the whole is
    /// passed on as it stands, for the engine to wonder about.
    fn remaining(&self, stated: Option<i64>, amount: Amount) -> Option<i64> {
        match (self.replacement_amounts, stated) {
            (ReplacementAmounts::Reversed, Some(reversed @ 1..)) if reversed <= amount.minor => {
                Some(amount.minor - reversed)
            }
            _ => stated,
        }
    }

    fn link_originator(&self) -> u64 {
        LINK_ORIGINATORS | u64::from(crc32fast::hash(self.link.as_bytes()))
    }

    /// DE 90: MTI 4, STAN 6, DE 7 10, DE 32 11, DE 33 11, zeros where unknown (lifecycle D.1).
    /// In 1993 DE 56: MTI 4, STAN 6, DE 12 12, then length 2 and digits of DE 32; in 2003 MTI 4,
    /// STAN 12, DE 12 14, then the digits of DE 32.
    fn original(&self, message: &Message, own: Trace) -> Option<Trace> {
        let element = match self.dialect.edition {
            Edition::Of1987 => 90,
            Edition::Of1993 | Edition::Of2003 => 56,
        };
        let digits = message.digits(element)?;
        let part = |from: usize, to: usize| digits.as_str().get(from..to)?.parse::<u64>().ok();
        let stan_end = match self.dialect.edition {
            Edition::Of1987 | Edition::Of1993 => 10,
            Edition::Of2003 => 16,
        };
        let stan = part(4, stan_end).filter(|stan| *stan != 0)?;
        let (at, acquirer) = match self.dialect.edition {
            Edition::Of1987 => (part(10, 20), part(20, 31)),
            Edition::Of1993 => {
                let length = part(22, 24).and_then(|length| usize::try_from(length).ok());
                let end = length.map_or(24, |length| length.min(11) + 24);
                (part(12, 22), part(24, end))
            }
            Edition::Of2003 => (part(20, 30), part(30, digits.as_str().len().min(41))),
        };
        let transmitted = at.filter(|at| *at != 0)?;
        let originator = acquirer
            .filter(|acquirer| *acquirer != 0)
            .unwrap_or(own.acquirer());
        Trace::with_long_stan(originator, u32::try_from(transmitted).ok()?, stan)
    }
}

fn settled(read: Result<Settlement, Reject>) -> Request {
    match read {
        Ok(settlement) => Request::Settlement(settlement),
        Err(reject) => Request::Reject(reject),
    }
}

/// A date whose last four digits are month and day.
fn month_day(message: &Message, element: u8) -> Result<Option<(u16, u16)>, Reject> {
    let Some(date) = message.number(element) else {
        return Ok(None);
    };
    let part = |number: u64| u16::try_from(number % 100).unwrap_or_default();
    let (month, day) = (part(date / 100), part(date));
    if (1..=12).contains(&month) && (1..=31).contains(&day) {
        Ok(Some((month, day)))
    } else {
        Err(Reject::wrong(element, "a month and a day"))
    }
}

fn unsupported(mti: Mti) -> Reject {
    Reject {
        reason: Reason::NotSupported,
        evidence: format!("message type {mti} is not processed here"),
    }
}

/// DE 2, or the number and expiry of track 2 (ISO/IEC 7813).
pub(crate) fn card_number(message: &Message) -> Result<(Pan, Option<u64>), Reject> {
    let track = message.digits(35);
    let track = track
        .as_ref()
        .and_then(|track| track.as_str().split_once('='));
    let track_expiry = track.and_then(|(_, rest)| rest.get(..4)?.parse().ok());
    if let Some(digits) = message.digits(2) {
        let pan = Pan::parse(digits.as_str()).ok_or_else(|| Reject::wrong(2, "8 to 19 digits"))?;
        return Ok((pan, track_expiry));
    }
    let (number, _) = track.ok_or_else(|| Reject::missing(2))?;
    let pan = Pan::parse(number)
        .ok_or_else(|| Reject::wrong(35, "a card number before the separator"))?;
    Ok((pan, track_expiry))
}

/// DE 4 and DE 49, in 2003 DE 4 alone; what moves no money needs neither.
fn amount(edition: Edition, message: &Message, purpose: Purpose) -> Result<Amount, Reject> {
    let enquiry = matches!(purpose, Purpose::BalanceEnquiry | Purpose::PinChange);
    if edition == Edition::Of2003 {
        return match message.digits(4) {
            Some(digits) => edition_2003::amount(digits.as_str())
                .ok_or_else(|| Reject::wrong(4, "a currency with its own decimals")),
            None if enquiry => Ok(Amount::new(0, Currency::from_numeric(0))),
            None => Err(Reject::missing(4)),
        };
    }
    let minor = match message.number(4) {
        Some(minor) => i64::try_from(minor).map_err(|_| Reject::wrong(4, "twelve digits"))?,
        None if enquiry => 0,
        None => return Err(Reject::missing(4)),
    };
    let currency = match currency(message, 49) {
        Some(currency) => currency,
        None if enquiry => Currency::from_numeric(0),
        None if message.has(49) => return Err(Reject::wrong(49, "an ISO 4217 code")),
        None => return Err(Reject::missing(49)),
    };
    Ok(Amount::new(minor, currency))
}

/// A currency element: three digits, or three letters of the table.
fn currency(message: &Message, element: u8) -> Option<Currency> {
    if let Some(&[a, b, c]) = message.ascii(element)
        && [a, b, c].iter().all(u8::is_ascii_digit)
    {
        let digit = |byte: u8| u16::from(byte & 0x0f);
        let code = digit(a) * 100 + digit(b) * 10 + digit(c);
        return Some(Currency::from_numeric(code));
    }
    let text = message.text(element)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Currency::from_numeric);
    }
    Currency::from_alpha(&text)
}

/// DE 6 and DE 51, in 2003 DE 6 alone: what the network converted the amount to.
fn billing(edition: Edition, message: &Message) -> Option<Amount> {
    if edition == Edition::Of2003 {
        return edition_2003::amount(message.digits(6)?.as_str());
    }
    let minor = i64::try_from(message.number(6)?).ok()?;
    Some(Amount::new(minor, currency(message, 51)?))
}

/// DE 95, first twelve digits (lifecycle D.3).
fn replacement(message: &Message) -> Result<Option<i64>, Reject> {
    let Some(text) = message.text(95) else {
        return Ok(None);
    };
    let digits = text
        .get(..12)
        .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|part| part.parse().ok())
        .map(Some)
        .ok_or_else(|| Reject::wrong(95, "twelve digits first"))
}

fn expiry(message: &Message, track: Option<u64>) -> Result<Option<ExpiryMonth>, Reject> {
    match message.number(14) {
        Some(yymm) => ExpiryMonth::from_yymm(yymm)
            .map(Some)
            .ok_or_else(|| Reject::wrong(14, "YYMM")),
        None => Ok(track.and_then(ExpiryMonth::from_yymm)),
    }
}

fn quoted_approval(message: &Message) -> Option<ApprovalCode> {
    Some(trimmed(message, 38)).filter(|code| !code.is_empty())
}

/// DE 39 of an advice: what the one who stood in decided; without it, it went ahead.
fn stand_in_approved(edition: Edition, message: &Message) -> bool {
    message
        .text(39)
        .is_none_or(|code| edition.is_approval(&code))
}

/// The last two of the forty characters of DE 43 when both are letters. Since 1993 the element has
/// no fixed length, and says the country this way only at that length.
fn country_letters(edition: Edition, text: &[u8]) -> Option<[u8; 2]> {
    if edition != Edition::Of1987 && text.len() != 40 {
        return None;
    }
    let letters: [u8; 2] = text.get(38..40)?.try_into().ok()?;
    letters
        .iter()
        .all(u8::is_ascii_uppercase)
        .then_some(letters)
}

/// A text without the spaces at its end.
fn without_right_spaces(text: &str) -> &str {
    let last = text.bytes().rposition(|byte| byte != b' ');
    let end = last.map_or(0, |last| last.saturating_add(1));
    text.get(..end).unwrap_or(text)
}

/// DE 43; of a longer one the first forty characters.
fn acceptor_name(edition: Edition, text: &str) -> AcceptorName {
    let text = match edition {
        Edition::Of1987 => text,
        Edition::Of1993 | Edition::Of2003 => text.get(..40).unwrap_or(text),
    };
    ShortText::of(without_right_spaces(text)).unwrap_or_default()
}

/// DE 41 or DE 42 as the switch keeps it.
fn identification<const N: usize>(message: &Message, element: u8) -> ShortText<N> {
    plain(message, element).unwrap_or_else(|| {
        let text = message.text(element).unwrap_or_default();
        edition_2003::shortened(without_right_spaces(&text))
    })
}

/// A text element without its right spaces; empty when the message does not have it.
fn trimmed<const N: usize>(message: &Message, element: u8) -> ShortText<N> {
    plain(message, element).unwrap_or_else(|| {
        let text = message.text(element).unwrap_or_default();
        ShortText::of(without_right_spaces(&text)).unwrap_or_default()
    })
}

/// A text element without its right spaces where it stands in the message as ASCII and fits.
fn plain<const N: usize>(message: &Message, element: u8) -> Option<ShortText<N>> {
    let characters = message.ascii(element)?;
    let spaces = characters.iter().rev().take_while(|byte| **byte == b' ');
    let length = characters.len().saturating_sub(spaces.count());
    ShortText::of_ascii(characters.get(..length)?)
}

/// A peer's free text as it may be kept: a card number in it is masked.
fn without_card_numbers<const N: usize>(text: ShortText<N>) -> ShortText<N> {
    // A masked text is as long as before, so it fits.
    match masking::masked_bytes(text.as_bytes()) {
        Some(masked) => ShortText::of(&masked).unwrap_or_default(),
        None => text,
    }
}
