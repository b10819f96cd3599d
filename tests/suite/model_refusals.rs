//! What the oracle refuses, the first reason first, for three products it knows by heart.

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::CardStatus;
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, MessageKind, Presence, Purpose,
};
use cardswitch::domain::money::Currency;

use crate::model_books::{Holder, Oracle, Product, gives_back, total};

/// Wrong PINs that lock one, in both products that have PINs.
const PIN_TRIES: u8 = 3;

impl Oracle {
    /// Counts a wrong PIN and forgives for a right one, whatever was answered; a locked one stays.
    pub(crate) fn count_try(&mut self, holder: usize, pin: PinVerdict) {
        let tries = &mut self.holders[holder].wrong_tries;
        match pin {
            _ if *tries >= PIN_TRIES => {}
            PinVerdict::Wrong => *tries += 1,
            PinVerdict::Correct => *tries = 0,
            _ => {}
        }
    }

    pub(crate) fn refusal(&self, holder: usize, facts: &Facts) -> Option<Reason> {
        let who = &self.holders[holder];
        let prepaid = who.product == Product::Prepaid;
        let gift = who.product == Product::GiftCode;
        let amount = facts.cardholder_amount();
        let refund = gives_back(facts.purpose);
        let load = facts.purpose == Purpose::Load;
        let enquiry = facts.purpose == Purpose::BalanceEnquiry;
        let verify = facts.is_account_verification();
        let spend = !refund && !load && !enquiry && !verify;

        match who.status {
            CardStatus::Closed => return Some(Reason::AccountClosed),
            CardStatus::Active => {}
            _ if refund => {}
            CardStatus::Stolen => return Some(Reason::CardStolen),
            CardStatus::Lost => return Some(Reason::CardLost),
            CardStatus::NotActivated => return Some(Reason::CardNotActivated),
            CardStatus::Frozen => return Some(Reason::CardFrozen),
        }
        if let Some(expiry) = who.expiry
            && !refund
            && (expiry.is_over_on(self.today()) || facts.expiry.is_some_and(|it| it != expiry))
        {
            return Some(Reason::CardExpired);
        }
        let unsupported = match facts.purpose {
            Purpose::Unnamed => true,
            Purpose::CashWithdrawal => gift,
            Purpose::AccountFunding | Purpose::QuasiCash => gift,
            Purpose::Load | Purpose::Activation => facts.kind == MessageKind::Authorization,
            Purpose::Purchase
            | Purpose::Refund
            | Purpose::OriginalCredit
            | Purpose::BalanceEnquiry => false,
        };
        if unsupported {
            return Some(Reason::NotSupported);
        }
        let cash = facts.purpose == Purpose::CashWithdrawal;
        let uneven_load =
            (load || cash) && prepaid && (amount.minor < 1_000 || amount.minor % 1_000 != 0);
        if (spend || refund || load) && (amount.minor <= 0 || uneven_load) {
            return Some(Reason::InvalidAmount);
        }
        if (spend || refund || load) && self.order(holder, amount.currency).is_empty() {
            return Some(Reason::CurrencyNotAllowed);
        }
        if (spend || verify || enquiry) && !gift {
            let refused = pin_refusal(who.wrong_tries, facts.pin, cash);
            if refused.is_some() {
                return refused;
            }
        }
        if spend || verify {
            let blocked = blocked(who.product, facts);
            if blocked.is_some() {
                return blocked;
            }
        }
        if load && gift {
            return Some(Reason::LoadNotAllowed);
        }
        if refund && gift && self.exceeds_purchase(holder, facts, amount.minor) {
            return Some(Reason::RefundWithoutOriginal);
        }
        if spend || load {
            let limited = self.limited(holder, facts);
            if limited.is_some() {
                return limited;
            }
        }
        if load && prepaid {
            let most = match who.kyc {
                Kyc::Verified => 3_000_000,
                _ => 100_000,
            };
            let balance: i64 = who.purses.iter().map(|purse| purse.1).sum();
            if balance + amount.minor > most {
                return Some(Reason::MaximumBalance);
            }
        }
        let purses = self.order(holder, amount.currency);
        let available: i64 = purses.iter().map(|it| self.available(holder, *it)).sum();
        (spend && amount.minor > available).then_some(Reason::InsufficientFunds)
    }

    fn exceeds_purchase(&self, holder: usize, facts: &Facts, minor: i64) -> bool {
        if facts.purpose == Purpose::OriginalCredit {
            return true;
        }
        self.refunded_purchase(holder, facts).is_none_or(|id| {
            let left = total(&self.deals[id].posted) - self.refunded(id);
            self.deals[id].currency != facts.cardholder_amount().currency || minor > left
        })
    }

    fn limited(&self, holder: usize, facts: &Facts) -> Option<Reason> {
        let amount = facts.cardholder_amount();
        let (currency, minor) = (amount.currency, amount.minor);
        let load = facts.purpose == Purpose::Load;
        let online = !load && facts.presence == Presence::Absent;
        let who = &self.holders[holder];
        let most = match (who.product, load) {
            (Product::Prepaid, true) => 500_000,
            (Product::Prepaid, false) => 1_000_000,
            (Product::Travel, false) if currency == usd() || currency == Currency::JPY => 1_000_000,
            _ => i64::MAX,
        };
        if minor > most {
            return Some(Reason::TransactionLimit);
        }
        let mut count_is_reached = false;
        for (span, only_online, amount_max, count_max) in spans(who, load, currency) {
            if only_online && !online {
                continue;
            }
            let counted = self.deals.iter().filter(|deal| {
                // No cash is ever approved here; what stands of it was decided by others.
                let is_cash = deal.purpose == Purpose::CashWithdrawal;
                let same_channel = (deal.purpose == Purpose::Load) == load && !is_cash;
                let counts = !gives_back(deal.purpose) && (deal.online || !only_online);
                let is_within = match span {
                    Span::Day => deal.date == self.today(),
                    Span::Week => deal.date.monday() == self.today().monday(),
                    Span::Month => deal.date.month_index() == self.today().month_index(),
                    Span::Hours(hours) => deal.opened_at > self.at - hours * 3_600_000,
                };
                let mine = deal.holder == holder && deal.currency == currency;
                mine && same_channel && counts && is_within
            });
            let (mut used, mut count) = (0, 0);
            for deal in counted {
                used += deal.counted;
                count += i64::from(deal.counts_as_one);
            }
            if minor > amount_max - used {
                return Some(Reason::PeriodAmountLimit);
            }
            count_is_reached |= count >= count_max;
        }
        count_is_reached.then_some(Reason::PeriodCountLimit)
    }
}

/// A7, A8: three wrong PINs lock it; cash needs one; what nothing can verify is refused.
fn pin_refusal(wrong_tries: u8, pin: PinVerdict, cash: bool) -> Option<Reason> {
    let locked = wrong_tries >= PIN_TRIES;
    match pin {
        PinVerdict::Absent if !cash => None,
        _ if locked => Some(Reason::PinLocked),
        PinVerdict::Absent => Some(Reason::PinRequired),
        PinVerdict::Correct => None,
        PinVerdict::Malformed => Some(Reason::PinMalformed),
        PinVerdict::Wrong if wrong_tries + 1 == PIN_TRIES => Some(Reason::PinLocked),
        PinVerdict::Wrong => Some(Reason::PinWrong),
        PinVerdict::Unverified | PinVerdict::CannotBeChecked => Some(Reason::PinNotVerifiable),
    }
}

/// What a limit adds up.
enum Span {
    Day,
    Week,
    Month,
    Hours(i64),
}

/// Span, whether only card-absent purchases count, amount, count.
fn spans(who: &Holder, load: bool, currency: Currency) -> Vec<(Span, bool, i64, i64)> {
    match (who.product, who.kyc, load) {
        _ if who.product == Product::Prepaid && currency != Currency::JPY => vec![],
        (Product::Prepaid, _, true) => vec![
            (Span::Day, false, 1_000_000, 20),
            (Span::Month, false, 3_000_000, 3),
        ],
        (Product::Prepaid, Kyc::Verified, false) => vec![
            (Span::Day, false, 2_000_000, 3),
            (Span::Month, false, 5_000_000, 2_000),
            (Span::Day, true, 500_000, 100),
            (Span::Week, true, 1_000_000, 300),
        ],
        (Product::Prepaid, _, false) => vec![
            (Span::Day, false, 100_000, 50),
            (Span::Month, false, 300_000, 500),
            (Span::Hours(24), false, i64::MAX, 60),
            (Span::Week, true, 1_000_000, 300),
        ],
        (Product::Travel, _, false) if currency == usd() => {
            vec![(Span::Day, false, 2_000_000, 200)]
        }
        _ => vec![],
    }
}

fn usd() -> Currency {
    Currency::from_alpha("USD").unwrap()
}

fn blocked(product: Product, facts: &Facts) -> Option<Reason> {
    let mcc = facts.mcc.map_or(0, |mcc| mcc.0);
    let funding = matches!(facts.purpose, Purpose::AccountFunding | Purpose::QuasiCash);
    let abroad = facts.origin.acquirer_country.is_some_and(|it| it != 392);
    let untagged = mcc == 4900 && facts.presence == Presence::Absent && !abroad;
    let recurring = facts.initiation == Initiation::Recurring;
    let instalment = facts.initiation == Initiation::Instalment;
    let deposit = matches!(mcc, 7011 | 3500) && facts.certainty == Certainty::Estimated;
    let rows: &[(bool, Reason)] = match product {
        Product::Prepaid => &[
            (recurring || mcc == 5968 || untagged, Reason::Recurring),
            (instalment, Reason::Instalment),
            (deposit, Reason::Deposit),
            (facts.device == Device::InFlight, Reason::InFlight),
            (
                funding || matches!(mcc, 5541 | 4784 | 6540 | 5947),
                Reason::MerchantCategory,
            ),
        ],
        Product::GiftCode => &[
            (recurring, Reason::Recurring),
            (instalment, Reason::Instalment),
            (mcc == 6540, Reason::MerchantCategory),
            (
                facts.presence == Presence::Present,
                Reason::ChannelNotAllowed,
            ),
        ],
        Product::Travel => &[(funding || mcc == 7995, Reason::MerchantCategory)],
    };
    rows.iter().find(|row| row.0).map(|row| row.1)
}
