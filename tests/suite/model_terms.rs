//! What the oracle approves where there is money for a part, and what cash costs.

use cardswitch::domain::facts::{Certainty, Facts, Initiation, Purpose};
use cardswitch::domain::money::{Amount, Currency};

use crate::model_books::{Hand, Oracle, Part, Product};
use crate::model_rates::share;

impl Oracle {
    /// The part of a purchase that there is money for, where both sides take a part.
    pub(crate) fn affordable(&self, card: usize, facts: &Facts) -> Option<(Hand, Part)> {
        let holder = self.cards[card].holder;
        // As the programme says that is in force.
        let agreed = match self.holders[holder].product {
            Product::Prepaid => self.refills,
            Product::GiftCode => true,
            Product::Travel => false,
        };
        // Of two amounts in one currency nobody can tell which is meant.
        let contradicts = facts.billing.is_some_and(|billing| {
            billing.currency == facts.amount.currency && billing != facts.amount
        });
        let agreed = agreed
            && !contradicts
            && facts.point.partial_approval
            && facts.purpose == Purpose::Purchase
            && facts.initiation == Initiation::Cardholder
            && facts.certainty == Certainty::Final
            && !facts.is_incremental();
        let Hand {
            amount,
            asked,
            converted,
        } = self.hand;
        let free = self.payable(holder);
        // Rounded down in one currency, and down again in the other.
        let by_transaction = converted || amount.currency == facts.amount.currency;
        let (minor, of_asked) = match facts.billing {
            _ if converted => {
                let of_asked = share(asked.minor, free, amount.minor);
                (share(amount.minor, of_asked, asked.minor), of_asked)
            }
            Some(billing) if !by_transaction || billing == amount => {
                (free, share(asked.minor, free, billing.minor))
            }
            _ => (free, free),
        };
        let part = match facts.billing {
            Some(billing) if by_transaction && billing != amount => {
                let billed = share(billing.minor, of_asked, asked.minor);
                (of_asked, Some(billed))
            }
            Some(_) => (of_asked, Some(minor)),
            None => (of_asked, None),
        };
        let hand = Hand {
            amount: Amount::new(minor, amount.currency),
            asked: Amount::new(of_asked, asked.currency),
            converted,
        };
        (agreed && minor > 0 && of_asked > 0).then_some((hand, part))
    }

    /// A27, C4: what cash costs; of prepaid the first of a month is free.
    pub(crate) fn fee(&self, card: usize, facts: &Facts) -> i64 {
        let holder = self.cards[card].holder;
        if facts.purpose != Purpose::CashWithdrawal || facts.is_incremental() {
            return 0;
        }
        let currency = self.hand.amount.currency;
        let month = self.today().month_index();
        let is_first = !self.deals.iter().any(|deal| {
            let is_cash = deal.purpose == Purpose::CashWithdrawal && deal.counts_as_one;
            let of_month = deal.date.month_index() == month;
            is_cash && of_month && (deal.holder, deal.currency) == (holder, currency)
        });
        let by_letters = |rows: &[(&str, i64)]| {
            let mine = |row: &&(&str, i64)| Currency::from_alpha(row.0) == Some(currency);
            rows.iter().find(mine).map_or(0, |row| row.1)
        };
        match self.holders[holder].product {
            Product::Prepaid if is_first => 0,
            Product::Prepaid => by_letters(&[("JPY", 110)]),
            Product::Travel => by_letters(&[
                ("JPY", 220),
                ("USD", 250),
                ("EUR", 250),
                ("GBP", 200),
                ("AUD", 300),
            ]),
            Product::GiftCode => 0,
        }
    }
}
