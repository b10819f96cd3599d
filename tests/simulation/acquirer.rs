//! Acquirers: what they think of, under which names, and what they remember of it.

use crate::ask::{Ask, GivenPin, Kind, Money, Name, What};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::switch::Shop;
use crate::wire::{CARDS_MAX, Plastic};

/// How far back a message may follow an earlier one.
const MEMORY: u64 = 64;

struct Sent {
    ask: Ask,
    sendings: u32,
    is_answered: bool,
}

pub(crate) struct Acquirers {
    shop: &'static Shop,
    count: u32,
    cards: u32,
    sent: Vec<Sent>,
    /// Which of the sent ones has which number.
    by_number: Vec<Option<usize>>,
}

impl Acquirers {
    pub(crate) fn new(plan: &Plan) -> Acquirers {
        Acquirers {
            shop: Shop::get(),
            count: plan.acquirers,
            cards: plan.cards,
            sent: Vec::new(),
            by_number: Vec::new(),
        }
    }

    pub(crate) fn plastic(&self, card: usize) -> &'static Plastic {
        &self.shop.cards[card]
    }

    pub(crate) fn ask(&self, id: usize) -> Ask {
        self.sent[id].ask
    }

    /// The client has seen an answer.
    pub(crate) fn answered(&mut self, id: usize) {
        self.sent[id].is_answered = true;
    }

    pub(crate) fn is_answered(&self, id: usize) -> bool {
        self.sent[id].is_answered
    }

    /// The ask if it goes over this link, and how often it was sent now.
    pub(crate) fn send(&mut self, id: usize, link: u32) -> (Option<Ask>, u32) {
        let sent = &mut self.sent[id];
        if sent.ask.name.acquirer != link {
            return (None, 0);
        }
        sent.sendings += 1;
        (Some(sent.ask), sent.sendings)
    }

    /// Thinks of the message with this number, a new one or one about an earlier one.
    pub(crate) fn think(&mut self, number: u32, dice: &mut Dice) -> usize {
        let ask = match self.earlier(number, dice) {
            Some(earlier) if dice.permille(450) => self.following(number, earlier, dice),
            Some(_) | None => self.fresh(number, dice),
        };
        let id = self.sent.len();
        self.sent.push(Sent {
            ask,
            sendings: 0,
            is_answered: false,
        });
        let place = usize::try_from(number).unwrap();
        self.by_number.resize(place, None);
        self.by_number.push(Some(id));
        id
    }

    /// All acquirers count alike: their names differ in nothing else.
    fn name(&self, number: u32) -> Name {
        let stan = number / self.count + 1;
        Name {
            acquirer: number % self.count,
            transmitted: 101_000_000 + stan / 50 % 60,
            stan: stan % 1_000_000,
        }
    }

    /// An earlier message of the same acquirer.
    fn earlier(&self, number: u32, dice: &mut Dice) -> Option<usize> {
        let back = u32::try_from(1 + dice.below(MEMORY)).unwrap() * self.count;
        let number = usize::try_from(number.checked_sub(back)?).unwrap();
        self.by_number.get(number).copied().flatten()
    }

    fn fresh(&self, number: u32, dice: &mut Dice) -> Ask {
        let card = match dice.permille(10) {
            true => CARDS_MAX - 1,
            false => u32::try_from(dice.below(u64::from(self.cards))).unwrap(),
        };
        let what = dice.pick(&[
            What::Purchase,
            What::Purchase,
            What::Purchase,
            What::Purchase,
            What::Purchase,
            What::Purchase,
            What::Purchase,
            What::Load,
            What::Refund,
            What::Enquiry,
        ]);
        let kind = match what {
            What::Purchase => dice.pick(&[
                Kind::Authorization,
                Kind::Authorization,
                Kind::Authorization,
                Kind::Authorization,
                Kind::Financial,
                Kind::Financial,
                Kind::StandIn,
                Kind::Advice,
            ]),
            What::Load => Kind::Financial,
            What::Refund => dice.pick(&[Kind::Financial, Kind::Advice]),
            What::Enquiry => Kind::Authorization,
        };
        let currency = dice.pick(&[Money::Yen, Money::Yen, Money::Yen, Money::Dollar]);
        let minor = match dice.below(20) {
            _ if what == What::Enquiry => 0,
            0 => 0,
            1 => 400_000 + dice.below(3),
            2..6 => 20_000 + dice.below(150_000),
            _ => 1 + dice.below(12_000),
        };
        let asks_pin = matches!(what, What::Purchase | What::Enquiry)
            && matches!(kind, Kind::Authorization | Kind::Financial);
        let pin = match dice.below(100) {
            _ if !asks_pin => None,
            0..4 => Some(GivenPin::Wrong),
            4..7 => Some(GivenPin::Right),
            _ => None,
        };
        Ask {
            kind,
            what,
            name: self.name(number),
            terminal: u32::try_from(dice.below(2)).unwrap(),
            card: usize::try_from(card).unwrap(),
            minor: i64::try_from(minor).unwrap(),
            currency,
            original: None,
            remaining: None,
            pin,
            takes_part: kind == Kind::Authorization && what == What::Purchase && dice.permille(250),
        }
    }

    /// About an earlier message: its capture, its reversal, a refund, or its name used again.
    fn following(&self, number: u32, earlier: usize, dice: &mut Dice) -> Ask {
        let Sent { ask: before, .. } = self.sent[earlier];
        let mut ask = Ask {
            name: self.name(number),
            original: Some(before.name),
            remaining: None,
            pin: None,
            takes_part: false,
            ..before
        };
        let is_spending = before.what == What::Purchase;
        match dice.below(100) {
            0..30 if is_spending => {
                ask.kind = Kind::Advice;
                ask.minor = self.moved(before.minor, dice);
            }
            30..45 if is_spending => {
                (ask.kind, ask.what) = (Kind::Advice, What::Refund);
                ask.minor = self.moved(before.minor, dice);
            }
            45..49 if before.kind.conversation() != Kind::Reversal => {
                // Some use a name twice; one who only forgets that it has sent it sends the same.
                ask = Ask {
                    minor: before.minor + 1,
                    ..before
                };
            }
            _ => {
                ask.kind = dice.pick(&[Kind::Reversal, Kind::ReversalAdvice]);
                if dice.permille(300) && before.minor > 0 {
                    let part = dice.below(before.minor.unsigned_abs() + 1);
                    ask.remaining = Some(i64::try_from(part).unwrap());
                }
            }
        }
        ask
    }

    /// An amount, mostly the same, else less or more.
    fn moved(&self, minor: i64, dice: &mut Dice) -> i64 {
        match dice.below(10) {
            0..6 => minor,
            6..9 => minor - minor / 3,
            _ => minor + minor / 7 + 1,
        }
    }
}
