//! What the oracle refuses, the first reason first, for three products it knows by heart.

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, MessageKind, Presence, Purpose,
};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pin_choice::NewPin;
use cardswitch::domain::rare_facts::LoadChannel;

use crate::model_books::{
    Deal, Hand, HeldCard, Holder, Oracle, Product, gives_back, is_load, paid_in, total,
};
use crate::model_desk::PIN_TRIES;

impl Oracle {
    /// Counts a wrong PIN and forgives for a right one, whatever was answered; a locked one stays.
    pub(crate) fn count_try(&mut self, card: usize, pin: PinVerdict) {
        let tries = &mut self.cards[card].wrong_tries;
        match pin {
            _ if *tries >= PIN_TRIES => {}
            PinVerdict::Wrong => *tries += 1,
            PinVerdict::Correct => *tries = 0,
            _ => {}
        }
    }

    pub(crate) fn refusal(&self, card: usize, facts: &Facts) -> Option<Reason> {
        let HeldCard {
            holder,
            status,
            wrong_tries,
            ..
        } = self.cards[card];
        let who = &self.holders[holder];
        let prepaid = who.product == Product::Prepaid;
        let gift = who.product == Product::GiftCode;
        let amount = self.hand.amount;
        let refund = gives_back(facts.purpose);
        let load = is_load(facts.purpose);
        let enquiry = facts.purpose == Purpose::BalanceEnquiry;
        let cash = facts.purpose == Purpose::CashWithdrawal;
        let verify = facts.is_account_verification();
        let pin_change = facts.purpose == Purpose::PinChange;
        let spend = !refund && !load && !enquiry && !verify && !pin_change;

        let of_card = self.card_refusal(card, facts);
        if of_card.is_some() {
            return of_card;
        }
        let unsupported = match facts.purpose {
            Purpose::Unnamed => true,
            Purpose::AccountFunding | Purpose::QuasiCash => gift,
            Purpose::Load | Purpose::Activation => facts.kind == MessageKind::Authorization,
            Purpose::Purchase
            | Purpose::Refund
            | Purpose::OriginalCredit
            | Purpose::PinChange
            | Purpose::CashWithdrawal
            | Purpose::BalanceEnquiry => false,
        };
        if unsupported {
            return Some(Reason::NotSupported);
        }
        let (least, multiple_of) = match paid_in(facts) {
            _ if !prepaid || !(load || cash) => (1, 1),
            Some(LoadChannel::Bank) if load => (1, 1),
            Some(LoadChannel::CreditCard) if load => (1_000, 1),
            _ => (1_000, 1_000),
        };
        let uneven = amount.minor < least || amount.minor % multiple_of != 0;
        if (spend || refund || load) && uneven {
            return Some(Reason::InvalidAmount);
        }
        if (spend || refund || load) && self.order(holder, amount.currency).is_empty() {
            return Some(Reason::CurrencyNotAllowed);
        }
        if (spend || verify || enquiry || pin_change) && !gift {
            let refused = pin_refusal(wrong_tries, facts.pin, cash || pin_change);
            if refused.is_some() {
                return refused;
            }
        }
        let new_pin = facts.rare.as_ref().and_then(|rare| rare.new_pin);
        if pin_change && !matches!(new_pin, Some(NewPin::Chosen(_))) {
            return Some(Reason::PinNotAcceptable);
        }
        if spend || verify {
            let of_programme = blocked(who.product, facts).into_iter();
            let blocked = of_programme.chain(self.controlled_by_card(card, facts));
            if let Some(first) = blocked.min() {
                return Some(first);
            }
        }
        if cash && prepaid && who.kyc != Kyc::Verified {
            return Some(Reason::HolderNotVerified);
        }
        if load {
            let refused = load_refusal(who.product, status, facts);
            if refused.is_some() {
                return refused;
            }
        }
        if refund && gift && self.exceeds_purchase(card, facts, amount.minor) {
            return Some(Reason::RefundWithoutOriginal);
        }
        if spend || load {
            // Of two refusals the first in the order of precedence.
            let of_programme = self.limited(holder, facts);
            let limited = of_programme.into_iter();
            let limited = limited.chain(self.limited_by_card(card, facts)).min();
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
        (spend && !self.has_funds(card, facts)).then_some(Reason::InsufficientFunds)
    }

    /// What stands with the card itself; money may come back to one that is stopped.
    fn card_refusal(&self, card: usize, facts: &Facts) -> Option<Reason> {
        let HeldCard { status, expiry, .. } = self.cards[card];
        let refund = gives_back(facts.purpose);
        match status {
            CardStatus::Closed => return Some(Reason::AccountClosed),
            CardStatus::Active if !refund && self.is_from_dead_device(facts) => {
                return Some(Reason::InvalidCard);
            }
            CardStatus::Active => {}
            CardStatus::NotActivated if facts.purpose == Purpose::Activation => {}
            _ if refund => {}
            CardStatus::Stolen => return Some(Reason::CardStolen),
            CardStatus::Lost => return Some(Reason::CardLost),
            CardStatus::NotActivated => return Some(Reason::CardNotActivated),
            CardStatus::Frozen => return Some(Reason::CardFrozen),
        }
        let is_over = |expiry: ExpiryMonth| {
            expiry.is_over_on(self.today()) || facts.expiry.is_some_and(|it| it != expiry)
        };
        let is_over = !refund && expiry.is_some_and(is_over);
        is_over.then_some(Reason::CardExpired)
    }

    /// Whether purses have the amount, its mark-up and its fee.
    fn has_funds(&self, card: usize, facts: &Facts) -> bool {
        let Hand {
            amount, converted, ..
        } = self.hand;
        let holder = self.cards[card].holder;
        let fee = self.fee(card, facts);
        let order = self.spend_order(holder, facts.purpose);
        let own = order
            .iter()
            .filter(|purse| self.holders[holder].purses[**purse].0 == amount.currency);
        let available: i64 = own.map(|purse| self.available(holder, *purse)).sum();
        if !converted && amount.minor + fee <= available {
            return true;
        }
        if !self.exchanges(holder) {
            return false;
        }
        let mut wallet = self.wallet(holder);
        wallet.take_in_order(&order, amount.minor) == 0 && wallet.fee(&order, fee).is_some()
    }

    fn exceeds_purchase(&self, card: usize, facts: &Facts, minor: i64) -> bool {
        if facts.purpose == Purpose::OriginalCredit {
            return true;
        }
        self.refunded_purchase(card, facts).is_none_or(|id| {
            let left = total(&self.deals[id].posted) - self.refunded(id);
            self.deals[id].currency != self.hand.amount.currency || minor > left
        })
    }

    fn limited(&self, holder: usize, facts: &Facts) -> Option<Reason> {
        let Amount { currency, minor } = self.hand.amount;
        let who = &self.holders[holder];
        let channel = if facts.purpose == Purpose::CashWithdrawal {
            Counts::Cash
        } else if is_load(facts.purpose) {
            Counts::Load(paid_in(facts))
        } else {
            Counts::Purchase(facts.presence == Presence::Absent)
        };
        if minor > transaction_max(who, channel, currency) {
            return Some(Reason::TransactionLimit);
        }
        let mut count_is_reached = false;
        for (span, counts, amount_max, count_max) in spans(who, currency) {
            if !counts.covers(channel) {
                continue;
            }
            let counted = self.deals.iter().filter(|deal| {
                let counts = !gives_back(deal.purpose) && counts.covers(counts_of(deal));
                let is_within = match span {
                    Span::Day => deal.date == self.today(),
                    Span::Week => deal.date.monday() == self.today().monday(),
                    Span::Month => deal.date.month_index() == self.today().month_index(),
                    Span::Hours(hours) => deal.opened_at > self.at - hours * 3_600_000,
                };
                (deal.holder, deal.currency) == (holder, currency) && counts && is_within
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

/// What a limit counts, and what a transaction counts as.
#[derive(Clone, Copy, PartialEq)]
enum Counts {
    /// Whether only, or as, one without the card.
    Purchase(bool),
    Cash,
    /// All ways in; or this one.
    Load(Option<LoadChannel>),
}

impl Counts {
    fn covers(self, other: Counts) -> bool {
        match (self, other) {
            (Counts::Purchase(false), Counts::Purchase(_)) => true,
            (Counts::Load(None), Counts::Load(_)) => true,
            _ => self == other,
        }
    }
}

fn counts_of(deal: &Deal) -> Counts {
    match deal.purpose {
        Purpose::CashWithdrawal => Counts::Cash,
        purpose if is_load(purpose) => Counts::Load(deal.paid_in),
        _ => Counts::Purchase(deal.online),
    }
}

/// A28, A29, B4: the ways in, who may take loads, whose cards may pay for them.
fn load_refusal(product: Product, status: CardStatus, facts: &Facts) -> Option<Reason> {
    let not_allowed = Some(Reason::LoadNotAllowed);
    if facts.purpose == Purpose::Activation {
        let sold = product == Product::GiftCode && status == CardStatus::NotActivated;
        return not_allowed.filter(|_| !sold);
    }
    let rare = facts.rare.as_deref().cloned().unwrap_or_default();
    match (product, paid_in(facts)) {
        (Product::GiftCode, _) => not_allowed,
        (Product::Travel, _) | (Product::Prepaid, None | Some(LoadChannel::Bank)) => None,
        (Product::Prepaid, Some(LoadChannel::ShopTill)) => not_allowed,
        (Product::Prepaid, Some(LoadChannel::Atm)) => {
            let partners = ["10000000001", "10000000002"];
            let known = rare
                .load_partner
                .is_some_and(|it| partners.contains(&it.as_str()));
            not_allowed.filter(|_| !known)
        }
        (Product::Prepaid, Some(LoadChannel::CreditCard)) => {
            let bin = rare
                .funding_bin
                .map(|bin| bin.to_string())
                .unwrap_or_default();
            if !bin.starts_with("411111") && !bin.starts_with("555555") {
                return not_allowed;
            }
            (!rare.authenticated).then_some(Reason::AuthenticationRequired)
        }
    }
}

/// A7, A8, C1: three wrong PINs lock it; cash and a change of it need it; what nothing can verify
/// is refused.
fn pin_refusal(wrong_tries: u8, pin: PinVerdict, needed: bool) -> Option<Reason> {
    let locked = wrong_tries >= PIN_TRIES;
    match pin {
        PinVerdict::Absent if !needed => None,
        _ if locked => Some(Reason::PinLocked),
        PinVerdict::Absent => Some(Reason::PinRequired),
        PinVerdict::Correct => None,
        PinVerdict::Malformed => Some(Reason::PinMalformed),
        PinVerdict::Wrong if wrong_tries + 1 == PIN_TRIES => Some(Reason::PinLocked),
        PinVerdict::Wrong => Some(Reason::PinWrong),
        PinVerdict::Unavailable => Some(Reason::HsmUnavailable),
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

fn transaction_max(who: &Holder, channel: Counts, currency: Currency) -> i64 {
    let yen = currency == Currency::JPY;
    match (who.product, channel) {
        (Product::Prepaid, _) if !yen => i64::MAX,
        (Product::Prepaid, Counts::Purchase(_)) => 1_000_000,
        (Product::Prepaid, Counts::Cash) => 100_000,
        (Product::Prepaid, Counts::Load(Some(LoadChannel::CreditCard))) => match who.kyc {
            Kyc::Verified => 50_000,
            _ => 20_000,
        },
        (Product::Prepaid, Counts::Load(_)) => 500_000,
        (Product::Travel, Counts::Purchase(_)) if yen || currency == usd() => 1_000_000,
        _ => i64::MAX,
    }
}

/// Span, what counts, amount, count.
fn spans(who: &Holder, currency: Currency) -> Vec<(Span, Counts, i64, i64)> {
    let (all, online) = (Counts::Purchase(false), Counts::Purchase(true));
    let (cash, load) = (Counts::Cash, Counts::Load(None));
    let by_machine = Counts::Load(Some(LoadChannel::Atm));
    let mut spans = match (who.product, who.kyc) {
        _ if who.product == Product::Prepaid && currency != Currency::JPY => return vec![],
        (Product::Prepaid, Kyc::Verified) => vec![
            (Span::Day, all, 2_000_000, 2),
            (Span::Month, all, 5_000_000, 2_000),
            (Span::Day, online, 500_000, 100),
        ],
        (Product::Prepaid, _) => vec![
            (Span::Day, all, 100_000, 50),
            (Span::Month, all, 300_000, 500),
            (Span::Hours(24), all, i64::MAX, 60),
        ],
        (Product::Travel, _) if currency == usd() => {
            return vec![(Span::Day, all, 2_000_000, 200)];
        }
        _ => return vec![],
    };
    spans.extend([
        (Span::Week, online, 1_000_000, 300),
        (Span::Day, cash, 200_000, 5),
        (Span::Month, cash, 1_000_000, 50),
        (Span::Day, load, 1_000_000, 20),
        (Span::Month, load, 3_000_000, 2),
        (Span::Day, by_machine, 500_000, 10),
    ]);
    spans
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
    let cash = facts.purpose == Purpose::CashWithdrawal;
    let cash_abroad = cash && (abroad || facts.amount.currency != Currency::JPY);
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
            (cash_abroad, Reason::CashNotAllowed),
        ],
        Product::GiftCode => &[
            (recurring, Reason::Recurring),
            (instalment, Reason::Instalment),
            (mcc == 6540, Reason::MerchantCategory),
            (cash, Reason::CashNotAllowed),
            (
                facts.presence == Presence::Present,
                Reason::ChannelNotAllowed,
            ),
        ],
        Product::Travel => &[(funding || mcc == 7995, Reason::MerchantCategory)],
    };
    rows.iter().find(|row| row.0).map(|row| row.1)
}
