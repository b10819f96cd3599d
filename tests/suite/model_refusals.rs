//! What the oracle refuses, the first reason first, for three products it knows by heart.

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::CardStatus;
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, MessageKind, Presence, Purpose,
};
use cardswitch::domain::money::Currency;

use crate::model_books::{Oracle, Product, total};

impl Oracle {
    pub(crate) fn refusal(&self, holder: usize, facts: &Facts) -> Option<Reason> {
        let who = &self.holders[holder];
        let prepaid = who.product == Product::Prepaid;
        let gift = who.product == Product::GiftCode;
        let amount = facts.cardholder_amount();
        let refund = facts.purpose == Purpose::Refund;
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
            Purpose::CashWithdrawal | Purpose::Unnamed => true,
            Purpose::AccountFunding | Purpose::QuasiCash => gift,
            Purpose::Load => facts.kind == MessageKind::Authorization,
            Purpose::Purchase | Purpose::Refund | Purpose::BalanceEnquiry => false,
        };
        if unsupported {
            return Some(Reason::NotSupported);
        }
        let uneven_load = load && prepaid && (amount.minor < 1_000 || amount.minor % 1_000 != 0);
        if (spend || refund || load) && (amount.minor <= 0 || uneven_load) {
            return Some(Reason::InvalidAmount);
        }
        if (spend || refund || load) && self.order(holder, amount.currency).is_empty() {
            return Some(Reason::CurrencyNotAllowed);
        }
        if (spend || verify || enquiry) && facts.pin == PinVerdict::Unverified && !gift {
            return Some(Reason::PinNotVerifiable);
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
            let limited = self.limited(holder, load, amount.currency, amount.minor);
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
        self.refunded_purchase(holder, facts).is_none_or(|id| {
            let left = total(&self.deals[id].posted) - self.refunded(id);
            self.deals[id].currency != facts.cardholder_amount().currency || minor > left
        })
    }

    fn limited(&self, holder: usize, load: bool, currency: Currency, minor: i64) -> Option<Reason> {
        let usd = Currency::from_alpha("USD").unwrap();
        let who = &self.holders[holder];
        const NONE: i64 = i64::MAX;
        // Per transaction; amount and count per day; amount and count per month.
        let (one, day, day_count, month, month_count) = match (who.product, who.kyc, load) {
            (Product::Prepaid, _, true) => (500_000, 1_000_000, 20, 3_000_000, 3),
            (Product::Prepaid, Kyc::Verified, false) => (1_000_000, 2_000_000, 3, 5_000_000, 2_000),
            (Product::Prepaid, _, false) => (1_000_000, 100_000, 50, 300_000, 500),
            (Product::Travel, _, false) if currency == usd => {
                (1_000_000, 2_000_000, 200, NONE, NONE)
            }
            (Product::Travel, _, false) if currency == Currency::JPY => {
                (1_000_000, NONE, NONE, NONE, NONE)
            }
            _ => (NONE, NONE, NONE, NONE, NONE),
        };
        let (today, month_now) = (self.today(), self.today().month_index());
        let counted = self.deals.iter().filter(|deal| {
            let same_channel = (deal.purpose == Purpose::Load) == load;
            let counts = deal.purpose != Purpose::Refund;
            deal.holder == holder && deal.currency == currency && same_channel && counts
        });
        let (mut on_day, mut on_day_count, mut in_month, mut in_month_count) = (0, 0, 0, 0);
        for deal in counted {
            let one = i64::from(deal.counts_as_one);
            if deal.date == today {
                on_day += deal.counted;
                on_day_count += one;
            }
            if deal.date.month_index() == month_now {
                in_month += deal.counted;
                in_month_count += one;
            }
        }
        if minor > one {
            Some(Reason::TransactionLimit)
        } else if minor > day - on_day || minor > month - in_month {
            Some(Reason::PeriodAmountLimit)
        } else if on_day_count >= day_count || in_month_count >= month_count {
            Some(Reason::PeriodCountLimit)
        } else {
            None
        }
    }
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
