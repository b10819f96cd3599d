//! What one link may send: types of messages, cards, amounts.
//!
//! Asked before anything is decided; what is refused here is answered, counted and logged, but
//! neither decided nor recorded, so that a wrong PIN in it is no try.

use crate::domain::decision::Reason;
use crate::domain::facts::{Facts, MessageKind};
use crate::domain::money::Currency;
use crate::domain::pan::Pan;
use crate::domain::rulebook::Rulebook;
use crate::iso8583::Message;

use super::dialect::request::{Reject, Request, RequestParser, card_number};
use super::telemetry::Telemetry;

/// Class of network management (08xx): every link may sign on, echo and sign off.
const MANAGEMENT: u8 = 8;

/// What one link may send; whatever is not said is not restricted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permits {
    /// Types of requests, as four digits without the mark of a repeat.
    pub message_types: Option<Vec<u16>>,
    /// Leading digits of card numbers.
    pub bins: Option<Vec<String>>,
    /// Programmes whose number ranges may be named.
    pub programmes: Option<Vec<String>>,
    /// Largest amount of one message, minor units by currency; no other currency.
    pub amounts_max: Option<Vec<(Currency, i64)>>,
}

impl Permits {
    /// Whether nothing is restricted.
    pub fn are_all(&self) -> bool {
        *self == Permits::default()
    }

    /// What a message asks of us, or that its link may not ask it.
    pub(super) fn parse(
        &self,
        parser: &RequestParser<'_>,
        message: &Message,
        telemetry: &Telemetry,
    ) -> Request {
        let refused = match self.refuses(parser.rulebook, message) {
            Some(refused) => refused,
            None => match parser.parse(message) {
                Request::Card(request) => match self.refuses_amount(&request.facts) {
                    Some(refused) => refused,
                    None => return Request::Card(request),
                },
                other => return other,
            },
        };
        Telemetry::add(&telemetry.requests_not_permitted);
        Request::Reject(refused)
    }

    /// Why a message may not come over this link, as far as its elements tell.
    fn refuses(&self, rulebook: &Rulebook, message: &Message) -> Option<Reject> {
        let mti = message.mti();
        if !mti.is_request() || mti.class() == MANAGEMENT {
            return None;
        }
        if let Some(types) = &self.message_types
            && !types.contains(&mti.request().number())
        {
            return Some(refused(format!("it may not send {mti}")));
        }
        if self.bins.is_none() && self.programmes.is_none() {
            return None;
        }
        // A message without a readable number is refused further on, for that.
        let (pan, _) = card_number(message).ok()?;
        if self.may_name(rulebook, &pan) {
            return None;
        }
        Some(refused("it may not name this card".to_owned()))
    }

    /// Why the amount of a message may not come over this link. What a reversal undoes was
    /// within it.
    fn refuses_amount(&self, facts: &Facts) -> Option<Reject> {
        let amounts = self.amounts_max.as_ref()?;
        if facts.kind == MessageKind::Reversal || facts.amount.minor == 0 {
            return None;
        }
        let most = amounts
            .iter()
            .find(|(currency, _)| *currency == facts.amount.currency);
        match most {
            Some((_, most)) if facts.amount.minor <= *most => None,
            Some((currency, most)) => {
                Some(refused(format!("at most {most} of {currency} a message")))
            }
            None => Some(refused(format!("nothing in {}", facts.amount.currency))),
        }
    }

    fn may_name(&self, rulebook: &Rulebook, pan: &Pan) -> bool {
        let in_bins = self.bins.as_ref().is_none_or(|bins| {
            bins.iter()
                .any(|bin| pan.expose().starts_with(bin.as_str()))
        });
        let in_programmes = self.programmes.as_ref().is_none_or(|names| {
            rulebook.range_of(pan).is_some_and(|(programme, _)| {
                names
                    .iter()
                    .any(|name| name.as_str() == programme.name.as_str())
            })
        });
        in_bins && in_programmes
    }
}

fn refused(what: String) -> Reject {
    Reject {
        reason: Reason::LinkNotPermitted,
        evidence: format!("of this link: {what}"),
    }
}
