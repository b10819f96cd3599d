//! The slow oracle: it knows by heart what the programme of the simulation promises, keeps books of
//! its own and shares no code with the engine.
//!
//! Purses of each card: 0 yen to withdraw, 1 yen that may only be spent, 2 dollars; 1 is spent
//! before 0.

use std::collections::{BTreeMap, HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::ask::{Ask, GivenPin, Kind, Money, Name, Told, What};
use crate::deal::{Channel, Deal, Parts, Stands};
use crate::oracle_past::Found;

pub(crate) const TRIES_MAX: u32 = 3;
pub(crate) const ANSWERS_HOURS: u32 = 48;
pub(crate) const ENTRIES_HOURS: u32 = 240;
const HOLD_MS: i64 = 3 * 86_400_000;
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// Most of one purchase, of a day, of a month; purchases and loads a day.
pub(crate) const YEN_OF_ONE: i64 = 400_000;
pub(crate) const YEN_OF_A_DAY: i64 = 500_000;
pub(crate) const YEN_OF_A_MONTH: i64 = 1_200_000;
pub(crate) const PURCHASES_OF_A_DAY: u32 = 30;
pub(crate) const YEN_LOADED_A_DAY: i64 = 600_000;

/// One card with its purses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wallet {
    pub(crate) balance: [i64; 3],
    pub(crate) held: [i64; 3],
    pub(crate) tries: u32,
    /// Amount and number by channel and day, and by channel and month.
    days: BTreeMap<(Channel, i64), (i64, u32)>,
    months: BTreeMap<(Channel, i64), (i64, u32)>,
    /// Numbers of its deals that are not forgotten.
    pub(crate) deals: Vec<usize>,
}

impl Wallet {
    pub(crate) fn with(balance: [i64; 3]) -> Wallet {
        Wallet {
            balance,
            ..Wallet::default()
        }
    }
}

/// By what a message is the same message.
pub(crate) type Key = (Kind, Name, u32);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) card: usize,
    minor: i64,
    currency: Money,
    what: What,
    pub(crate) told: Told,
    pub(crate) deal: Option<usize>,
}

#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) wallets: Vec<Wallet>,
    /// Records until now.
    pub(crate) sequence: u64,
    pub(crate) at: i64,
    pub(crate) deals: Vec<Deal>,
    pub(crate) answers: HashMap<Key, Answer, RandomState>,
    pub(crate) requests: VecDeque<(i64, Key)>,
    pub(crate) advices: VecDeque<(i64, Key)>,
    /// Reversals that came first, by card and original: what shall remain, if anything.
    pub(crate) stones: HashMap<(usize, Name), Option<i64>, RandomState>,
    pub(crate) stones_by_age: VecDeque<(i64, (usize, Name))>,
    pub(crate) resting: VecDeque<(i64, usize)>,
    /// The deal that the message in hand opened or moved.
    pub(crate) touched: Option<usize>,
}

/// Purses of a currency in the order of spending.
fn order(currency: Money) -> &'static [usize] {
    match currency {
        Money::Yen => &[1, 0],
        Money::Dollar => &[2],
    }
}

/// Days since 1970 in Tokyo, which knows no summer time.
pub(crate) fn tokyo_day(at: i64) -> i64 {
    (at + 9 * HOUR_MS).div_euclid(86_400_000)
}

/// Months since the year 0 of a day since 1970.
pub(crate) fn month_of(day: i64) -> i64 {
    // Years begin with March here, so that the leap day is the last one.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    (era * 400 + year) * 12 + (5 * of_year + 2) / 153 + 2
}

pub(crate) fn is_debit(what: What) -> bool {
    what == What::Purchase
}

impl Oracle {
    pub(crate) fn available(&self, card: usize, purse: usize) -> i64 {
        self.wallets[card].balance[purse] - self.wallets[card].held[purse]
    }

    fn sum_available(&self, card: usize, currency: Money) -> i64 {
        let purses = order(currency).iter();
        purses.map(|purse| self.available(card, *purse)).sum()
    }

    /// What a channel counts on a day of now, and in its month.
    pub(crate) fn usage(&self, card: usize, channel: Channel) -> ((i64, u32), (i64, u32)) {
        let day = tokyo_day(self.at);
        let wallet = &self.wallets[card];
        let of_day = wallet.days.get(&(channel, day)).copied();
        let of_month = wallet.months.get(&(channel, month_of(day))).copied();
        (of_day.unwrap_or_default(), of_month.unwrap_or_default())
    }

    /// Something was recorded that is none of the oracle's business.
    pub(crate) fn recorded(&mut self, now: i64, records: u64) {
        self.sequence += records;
        self.at = self.at.max(now);
    }

    /// What becomes of a message at an instant.
    pub(crate) fn take(&mut self, ask: &Ask, now: i64) -> Told {
        let key = (ask.kind.conversation(), ask.name, ask.terminal);
        if let Some(answer) = self.answers.get(&key) {
            let is_same = (answer.card, answer.minor, answer.currency, answer.what)
                == (ask.card, ask.minor, ask.currency, ask.what);
            if is_same {
                return answer.told;
            }
            self.recorded(now, 1);
            return plain(ask, b"94");
        }
        self.recorded(now, 1);
        self.touched = None;
        let told = self.judge(ask);
        let answer = Answer {
            card: ask.card,
            minor: ask.minor,
            currency: ask.currency,
            what: ask.what,
            told,
            deal: self.touched,
        };
        self.answers.insert(key, answer);
        match ask.kind {
            Kind::Authorization | Kind::Financial => self.requests.push_back((self.at, key)),
            _ => self.advices.push_back((self.at, key)),
        }
        told
    }

    fn judge(&mut self, ask: &Ask) -> Told {
        let is_reversal = ask.kind.conversation() == Kind::Reversal;
        if ask.card >= self.wallets.len() {
            return plain(ask, if is_reversal { b"00" } else { b"14" });
        }
        let stone = self.stones.get(&(ask.card, ask.name)).copied();
        match ask.kind {
            Kind::Authorization | Kind::Financial => {
                let told = match stone {
                    Some(_) => plain(ask, b"96"),
                    None => self.authorize(ask),
                };
                self.count_try(ask);
                return told;
            }
            Kind::StandIn | Kind::Advice => {
                let minor = match stone {
                    Some(None) => 0,
                    Some(Some(rest)) => ask.minor.min(rest),
                    None => ask.minor,
                };
                let rest = Ask { minor, ..*ask };
                match (ask.kind, ask.what) {
                    _ if minor <= 0 => {}
                    (Kind::StandIn, _) => self.force_hold(&rest),
                    (_, What::Purchase) => self.capture(ask, minor),
                    (_, What::Refund) if ask.currency == Money::Yen => self.give_back(&rest),
                    (_, What::Refund | What::Load | What::Enquiry) => {}
                }
            }
            Kind::Reversal | Kind::ReversalAdvice => self.reverse(ask),
        }
        plain(ask, b"00")
    }

    /// A wrong PIN counts and a right one forgives, whatever was answered; a locked one stays.
    fn count_try(&mut self, ask: &Ask) {
        let tries = &mut self.wallets[ask.card].tries;
        match ask.pin {
            Some(GivenPin::Wrong) if *tries < TRIES_MAX => *tries += 1,
            Some(GivenPin::Right) if *tries < TRIES_MAX => *tries = 0,
            _ => {}
        }
    }

    fn authorize(&mut self, ask: &Ask) -> Told {
        let asks_nothing = ask.kind == Kind::Authorization && ask.minor == 0;
        let moves = ask.what != What::Enquiry && !(asks_nothing && is_debit(ask.what));
        if moves && ask.minor <= 0 {
            return plain(ask, b"13");
        }
        // Money comes in to purses of yen only.
        if matches!(ask.what, What::Load | What::Refund) && ask.currency != Money::Yen {
            return plain(ask, b"57");
        }
        if matches!(ask.what, What::Purchase | What::Enquiry) && ask.pin.is_some() {
            let tries = self.wallets[ask.card].tries;
            match ask.pin {
                _ if tries >= TRIES_MAX => return plain(ask, b"75"),
                Some(GivenPin::Wrong) if tries + 1 == TRIES_MAX => return plain(ask, b"75"),
                Some(GivenPin::Wrong) => return plain(ask, b"55"),
                _ => {}
            }
        }
        if moves && let Some(code) = self.above_limit(ask) {
            return plain(ask, code);
        }
        let approved = Told {
            has_approval: true,
            ..plain(ask, b"00")
        };
        match ask.what {
            What::Enquiry => Told {
                available: Some((
                    self.sum_available(ask.card, Money::Yen),
                    self.sum_available(ask.card, Money::Dollar),
                )),
                ..approved
            },
            What::Purchase if !moves => approved,
            What::Purchase => {
                let free = self.sum_available(ask.card, ask.currency);
                if ask.minor <= free {
                    self.spend(ask, ask.minor);
                    return approved;
                }
                if !ask.takes_part || free <= 0 {
                    return plain(ask, b"51");
                }
                self.spend(ask, free);
                Told {
                    code: *b"10",
                    minor: free,
                    ..approved
                }
            }
            What::Refund => {
                self.give_back(ask);
                approved
            }
            What::Load => {
                let id = self.open(ask, ask.minor);
                self.credit(id, 0, ask.minor);
                self.count(id, Channel::Load(ask.currency), ask.minor, 1);
                approved
            }
        }
    }

    fn above_limit(&self, ask: &Ask) -> Option<&'static [u8; 2]> {
        let channel = match (ask.what, ask.currency) {
            (What::Refund | What::Enquiry, _) | (_, Money::Dollar) => return None,
            (What::Purchase, _) => Channel::Purchase(Money::Yen),
            (What::Load, _) => Channel::Load(Money::Yen),
        };
        let (day, month) = self.usage(ask.card, channel);
        let (one, of_day, of_month, count) = match ask.what {
            What::Load => (i64::MAX, YEN_LOADED_A_DAY, i64::MAX, u32::MAX),
            _ => (YEN_OF_ONE, YEN_OF_A_DAY, YEN_OF_A_MONTH, PURCHASES_OF_A_DAY),
        };
        let above = ask.minor > one
            || day.0 + ask.minor > of_day
            || (of_month < i64::MAX && month.0 + ask.minor > of_month);
        match above {
            true => Some(b"61"),
            false => (day.1 >= count).then_some(b"65"),
        }
    }

    fn open(&mut self, ask: &Ask, authorized: i64) -> usize {
        let id = self.deals.len();
        let refund_of = match ask.what {
            What::Refund => self.find(ask, false, |deal| {
                is_debit(deal.what) && !deal.posted.is_empty()
            }),
            _ => Found::Nothing,
        };
        self.deals.push(Deal {
            card: ask.card,
            what: ask.what,
            currency: ask.currency,
            stands: Stands::Pending,
            authorized,
            held: Parts::default(),
            posted: Parts::default(),
            refund_of: match refund_of {
                Found::One(id) => Some(id),
                Found::Several | Found::Nothing => None,
            },
            refunded: 0,
            counted: 0,
            counted_as: 0,
            channel: None,
            day: tokyo_day(self.at),
            expires_at: None,
            rested_at: 0,
            name: ask.name,
        });
        self.wallets[ask.card].deals.push(id);
        self.touched = Some(id);
        id
    }

    pub(crate) fn rest(&mut self, id: usize, stands: Stands) {
        self.deals[id].stands = stands;
        self.deals[id].rested_at = self.at;
        self.resting.push_back((self.at, id));
    }

    pub(crate) fn count(&mut self, id: usize, channel: Channel, minor: i64, count: i32) {
        let deal = &mut self.deals[id];
        deal.channel = Some(channel);
        deal.counted = (deal.counted + minor).max(0);
        deal.counted_as += count;
        let wallet = &mut self.wallets[deal.card];
        let day = wallet.days.entry((channel, deal.day)).or_default();
        let month = (channel, month_of(deal.day));
        let month = wallet.months.entry(month).or_default();
        for window in [day, month] {
            window.0 = (window.0 + minor).max(0);
            window.1 = window.1.saturating_add_signed(count);
        }
    }

    /// What purses give of an amount, none below zero; the rest is missing.
    fn parts(&self, card: usize, currency: Money, minor: i64) -> Parts {
        let mut parts = Parts::default();
        let mut wanted = minor;
        for purse in order(currency) {
            let part = self.available(card, *purse).min(wanted).max(0);
            parts.add(*purse, part);
            wanted -= part;
        }
        parts
    }

    /// The same; what is missing comes from the last purse, below zero.
    fn parts_regardless(&self, card: usize, currency: Money, minor: i64) -> Parts {
        let mut parts = self.parts(card, currency, minor);
        let last = order(currency)[order(currency).len() - 1];
        parts.add(last, minor - parts.total());
        parts
    }

    fn hold(&mut self, id: usize, parts: &Parts) {
        let held = &mut self.wallets[self.deals[id].card].held;
        parts.each().for_each(|(purse, minor)| held[purse] += minor);
        self.deals[id].held = parts.clone();
        self.deals[id].expires_at = Some(self.at + HOLD_MS);
    }

    pub(crate) fn let_go(&mut self, id: usize, parts: &Parts) {
        let held = &mut self.wallets[self.deals[id].card].held;
        parts.each().for_each(|(purse, minor)| held[purse] -= minor);
        self.deals[id].held.remove(parts);
    }

    fn debit(&mut self, id: usize, parts: &Parts) {
        let deal = &mut self.deals[id];
        for (purse, minor) in parts.each() {
            self.wallets[deal.card].balance[purse] -= minor;
            deal.posted.add(purse, minor);
        }
    }

    fn spend(&mut self, ask: &Ask, minor: i64) {
        let parts = self.parts(ask.card, ask.currency, minor);
        let id = self.open(ask, minor);
        match ask.kind {
            Kind::Authorization => self.hold(id, &parts),
            _ => {
                self.debit(id, &parts);
                self.rest(id, Stands::Captured);
            }
        }
        self.count(id, Channel::Purchase(ask.currency), minor, 1);
    }

    fn force_hold(&mut self, ask: &Ask) {
        let parts = self.parts_regardless(ask.card, ask.currency, ask.minor);
        let id = self.open(ask, ask.minor);
        self.hold(id, &parts);
        self.count(id, Channel::Purchase(ask.currency), ask.minor, 1);
    }

    /// Posts so much of a capture. Its whole amount tells which hold it means: what of it was
    /// reversed before it came changes what it posts, not what it is about.
    fn capture(&mut self, ask: &Ask, minor: i64) {
        let same = |deal: &Deal| is_debit(deal.what) && deal.currency == ask.currency;
        let Found::One(id) = self.find(ask, true, same) else {
            let parts = self.parts_regardless(ask.card, ask.currency, minor);
            let id = self.open(ask, minor);
            self.debit(id, &parts);
            return self.rest(id, Stands::Captured);
        };
        self.touched = Some(id);
        let held = &self.deals[id].held;
        let from_hold = held.first(minor.min(held.total()));
        let beyond = minor - from_hold.total();
        let extra = self.parts_regardless(ask.card, ask.currency, beyond);
        self.let_go(id, &from_hold);
        let mut paid = from_hold;
        extra.each().for_each(|part| paid.add(part.0, part.1));
        self.debit(id, &paid);
        if self.deals[id].held.is_empty() {
            self.rest(id, Stands::Captured);
        }
    }

    fn give_back(&mut self, ask: &Ask) {
        let id = self.open(ask, ask.minor);
        self.credit(id, 1, ask.minor);
        if let Some(purchase) = self.deals[id].refund_of {
            self.deals[purchase].refunded += ask.minor;
        }
    }

    /// Credits a purse of yen, and fills the other one if it is below zero.
    fn credit(&mut self, id: usize, purse: usize, minor: i64) {
        let card = self.deals[id].card;
        let free = (self.available(card, purse) + minor).min(minor).max(0);
        let balance = &mut self.wallets[card].balance;
        balance[purse] += minor;
        let other = 1 - purse;
        let part = free.min(-balance[other]);
        if part > 0 {
            balance[purse] -= part;
            balance[other] += part;
        }
        self.deals[id].posted.add(purse, minor);
        self.rest(id, Stands::Captured);
    }
}

fn plain(ask: &Ask, code: &[u8; 2]) -> Told {
    Told {
        code: *code,
        minor: ask.minor,
        has_approval: false,
        available: None,
    }
}
