//! The dice of the model test: random messages, few of everything, so that they collide.

use cardswitch::domain::card::{ExpiryMonth, PinReference};
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::decision::ApprovalCode;
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, IssuerRoute, Presence, Purpose, Trace,
};
use cardswitch::domain::merchant::Mcc;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::pin_choice::{NewPin, PinRefused};
use cardswitch::domain::rare_facts::{AdviceReason, CapturePart, LoadChannel};

use crate::decisions_notation::{plain_facts, token};

/// A small generator (xorshift64*): the same seed, the same commands, on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let limit = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.below(limit)).unwrap()].clone()
    }

    /// A message: the same again, one that follows an earlier one, or a fresh one. Cards come with
    /// whether they have a PIN.
    pub(crate) fn message(
        &mut self,
        sent: &[Facts],
        approvals: &[ApprovalCode],
        cards: &[(CardToken, bool)],
    ) -> Facts {
        let recent = sent.len().min(60);
        if recent == 0 {
            return self.fresh(cards);
        }
        let back = usize::try_from(self.below(60)).unwrap() % recent;
        let earlier = sent[sent.len() - 1 - back].clone();
        match self.below(100) {
            0..8 => Facts {
                repeat: true,
                mti: earlier.mti + 1 - earlier.mti % 2,
                ..earlier
            },
            8..55 => self.following(earlier, approvals),
            _ => self.fresh(cards),
        }
    }

    fn fresh(&mut self, cards: &[(CardToken, bool)]) -> Facts {
        let dice = self;
        let purpose = dice.pick(&[
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Refund,
            Purpose::Load,
            Purpose::Load,
            Purpose::OriginalCredit,
            Purpose::BalanceEnquiry,
            Purpose::AccountFunding,
            Purpose::CashWithdrawal,
            Purpose::CashWithdrawal,
            Purpose::Activation,
            Purpose::PinChange,
        ]);
        let mti = match purpose {
            Purpose::Load | Purpose::Activation if dice.chance(60) => 200,
            _ => dice.pick(&[100, 100, 100, 200, 200, 120, 220, 420]),
        };
        let mut facts = plain_facts(mti).unwrap();
        facts.purpose = purpose;
        facts.trace = trace(dice);
        let holders = [0, 0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9];
        let card = match dice.below(16) {
            0 => None,
            1..6 => Some(cards.len() - 1 - usize::try_from(dice.below(4)).unwrap()),
            _ => Some(dice.pick(&holders)),
        };
        let (card, has_pin) = card.map_or((token("nobody"), true), |card| cards[card]);
        facts.card = card;
        if dice.chance(2) {
            facts.route = dice.pick(&[IssuerRoute::Unknown, IssuerRoute::Malformed]);
        }
        facts.amount = amount(dice);
        if dice.chance(8) {
            facts.billing = Some(amount(dice));
        }
        facts.terminal = dice.pick(&["T1", "T2"]).parse().unwrap();
        facts.acceptor = dice.pick(&["S1", "S2"]).parse().unwrap();
        facts.rrn = dice
            .pick(&["", "", "R1", "R2", "R3", "R4"])
            .parse()
            .unwrap();
        let usual = [5411; 24].into_iter();
        let special = [5541, 4784, 7011, 3500, 6540, 5947, 5968, 4900, 7995];
        let categories: Vec<u16> = usual.chain(special).collect();
        facts.mcc = Some(Mcc(dice.pick(&categories)));
        special_facts(dice, &mut facts);
        let is_cash = facts.purpose == Purpose::CashWithdrawal;
        if is_cash && dice.chance(80) {
            facts.pin = PinVerdict::Correct;
            facts.amount = cash(dice);
        } else if has_pin && dice.chance(14) {
            facts.pin = pin(dice);
        }
        rare_facts(dice, &mut facts);
        if facts.purpose == Purpose::PinChange {
            match has_pin {
                true => pin_change(dice, &mut facts),
                false => facts.purpose = Purpose::BalanceEnquiry,
            }
        }
        if facts.purpose == Purpose::Load {
            load_facts(dice, &mut facts);
        }
        facts
    }

    /// Something about an earlier message: a completion, a reversal, a refund, another try.
    fn following(&mut self, earlier: Facts, approvals: &[ApprovalCode]) -> Facts {
        let dice = self;
        let mti = match earlier.purpose {
            Purpose::Load if dice.chance(75) => dice.pick(&[400, 420]),
            _ => dice.pick(&[220, 220, 400, 420, 120, 200, 100]),
        };
        let mut facts = plain_facts(mti).unwrap();
        let names = (earlier.card, earlier.purpose, earlier.mcc);
        (facts.card, facts.purpose, facts.mcc) = names;
        (facts.route, facts.amount, facts.billing) =
            (earlier.route, earlier.amount, earlier.billing);
        (facts.terminal, facts.acceptor) = (earlier.terminal, earlier.acceptor);
        facts.trace = match dice.below(5) {
            0 => earlier.trace,
            _ => trace(dice),
        };
        if dice.chance(60) {
            facts.original = Some(earlier.trace);
        }
        if dice.chance(60) {
            facts.rrn = earlier.rrn;
        }
        if dice.chance(20) {
            facts.amount.minor = amount(dice).minor;
        }
        if dice.chance(20) {
            let part = dice.below(u64::try_from(facts.amount.minor + 2).unwrap());
            facts.replacement_minor = Some(i64::try_from(part).unwrap());
        }
        if dice.chance(20) {
            facts.purpose = Purpose::Refund;
        }
        if dice.chance(15) && !approvals.is_empty() {
            let recent = approvals.len().saturating_sub(12);
            facts.quoted_approval = Some(dice.pick(&approvals[recent..]));
        }
        facts.stand_in_approved = !dice.chance(10);
        rare_facts(dice, &mut facts);
        if earlier.purpose == Purpose::Load && dice.chance(80) {
            facts.rare.get_or_insert_default().advice_reason = Some(dice.pick(&[
                AdviceReason::Cancelled,
                AdviceReason::Cancelled,
                AdviceReason::Timeout,
            ]));
        }
        let earlier_id = earlier.rare.as_ref().and_then(|rare| rare.lifecycle_id);
        if let (true, Some(id)) = (dice.chance(70), earlier_id) {
            facts.rare.get_or_insert_default().lifecycle_id = Some(id);
        }
        if dice.chance(10) {
            facts.origin.acquirer_country = Some(840);
        }
        facts
    }
}

fn rare_facts(dice: &mut Dice, facts: &mut Facts) {
    facts.point.partial_approval = dice.chance(50);
    if dice.chance(25) {
        let id = dice.pick(&["L1", "L2", "L3", "L4", "L5", "L6"]);
        facts.rare.get_or_insert_default().lifecycle_id = Some(id.parse().unwrap());
    }
    if dice.chance(10) {
        facts.rare.get_or_insert_default().incremental = true;
    }
    if dice.chance(15) {
        facts.rare.get_or_insert_default().part = Some(CapturePart {
            number: 2,
            last: dice.chance(50),
        });
    }
}

fn special_facts(dice: &mut Dice, facts: &mut Facts) {
    if dice.chance(3) {
        facts.initiation = dice.pick(&[Initiation::Recurring, Initiation::Instalment]);
    }
    if dice.chance(20) {
        facts.certainty = Certainty::Estimated;
    }
    if dice.chance(2) {
        facts.device = Device::InFlight;
    }
    facts.presence = dice.pick(&[Presence::Unsaid, Presence::Absent, Presence::Present]);
    if dice.chance(3) {
        facts.pin = PinVerdict::Unverified;
    }
    if dice.chance(3) {
        facts.expiry = ExpiryMonth::from_yymm(2807);
    }
    if dice.chance(25) {
        facts.origin.acquirer_country = Some(dice.pick(&[392, 840]));
    }
    facts.stand_in_approved = !dice.chance(20);
}

fn pin(dice: &mut Dice) -> PinVerdict {
    let (wrong, malformed) = (PinVerdict::Wrong, PinVerdict::Malformed);
    dice.pick(&[wrong, wrong, wrong, PinVerdict::Correct, malformed])
}

/// Mostly with the current PIN, and with another one that may be chosen.
fn pin_change(dice: &mut Dice, facts: &mut Facts) {
    if dice.chance(70) {
        facts.pin = PinVerdict::Correct;
    }
    let reference = PinReference {
        key_index: 1,
        value: [4, 7, 1, 1],
    };
    let chosen = NewPin::Chosen(reference);
    let refused = NewPin::Refused(PinRefused::Consecutive);
    facts.rare.get_or_insert_default().new_pin =
        dice.pick(&[Some(chosen), Some(chosen), Some(refused), None]);
}

/// Cash as machines pay it out, mostly at home.
fn cash(dice: &mut Dice) -> Amount {
    let minor = dice.pick(&[1_000, 2_000, 2_900, 5_000, 10_000, 30_000, 79_900, 100_000]);
    let letters = dice.pick(&["JPY", "JPY", "JPY", "USD", "USD", "EUR", "CHF"]);
    Amount::new(minor, Currency::from_alpha(letters).unwrap())
}

/// In which way a load comes in, and from whom.
fn load_facts(dice: &mut Dice, facts: &mut Facts) {
    let (atm, card) = (LoadChannel::Atm, LoadChannel::CreditCard);
    let ways = [
        None,
        Some(atm),
        Some(atm),
        Some(LoadChannel::Bank),
        Some(card),
    ];
    if dice.chance(70) {
        let minor = dice.pick(&[1_000, 3_000, 10_000, 15_000, 40_000, 200_000, 600_000]);
        facts.amount = Amount::new(minor, Currency::JPY);
    }
    let rare = facts.rare.get_or_insert_default();
    rare.load_channel = dice.pick(&ways);
    if dice.chance(3) {
        rare.load_channel = Some(LoadChannel::ShopTill);
    }
    let (first, second) = ("10000000001", "10000000002");
    let partner = dice.pick(&[first, first, second, "10000000009"]);
    rare.load_partner = dice.chance(90).then(|| partner.parse().unwrap());
    let issuer = dice.pick(&["41111100", "55555544", "40000000"]);
    rare.funding_bin = dice.chance(90).then(|| issuer.parse().unwrap());
    rare.authenticated = dice.chance(80);
}

/// Few numbers, so that they collide.
fn trace(dice: &mut Dice) -> Trace {
    Trace {
        originator: 1,
        transmitted: dice.pick(&[101_000_000, 101_000_001]),
        stan: u32::try_from(1 + dice.below(90)).unwrap(),
    }
}

pub(crate) fn amount(dice: &mut Dice) -> Amount {
    let minor = dice.pick(&[
        0, 1, 10, 10, 300, 500, 500, 1_000, 1_000, 2_000, 3_000, 20_000, 45_000, 60_000, 100_001,
        999_000, 1_000_000, 1_000_001,
    ]);
    let minor = if dice.chance(25) {
        i64::try_from(1 + dice.below(40_000)).unwrap()
    } else {
        minor
    };
    let letters = dice.pick(&[
        "JPY", "JPY", "JPY", "JPY", "JPY", "USD", "USD", "EUR", "GBP", "CHF",
    ]);
    Amount::new(minor, Currency::from_alpha(letters).unwrap())
}
