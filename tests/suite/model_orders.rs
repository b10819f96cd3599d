//! What operators ask for at the model's table, beside the wire, and what must come of it.

use std::sync::Arc;

use cardswitch::domain::account::{Kyc, ProgrammeName};
use cardswitch::domain::card::{CardStatus, ExpiryMonth, PinReference};
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::facts::{CLEARING_ORIGINATOR, MessageKind, Trace};
use cardswitch::domain::holder::{Applicant, HolderId};
use cardswitch::domain::money::Currency;
use cardswitch::domain::pan::Pan;
use cardswitch::domain::rate::Rate;
use cardswitch::domain::rate_file::RateRow;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::clearing::{Presented, Presentment};
use cardswitch::engine::command::{Answer, Body, HeldBy, OpenAccount, Opened};
use cardswitch::engine::entry::EntryId;
use cardswitch::engine::operation::Order;
use cardswitch::engine::operation_card::CardOrder;
use cardswitch::engine::operation_holder::{HolderOrder, Whose};
use cardswitch::engine::operation_money::{MoneyOrder, Paper, PaperOrder, Transfer};
use cardswitch::engine::operation_rules::{NewRules, ProgrammeRecord};

use crate::decisions_notation::token;
use crate::model::{ENTRIES_HOURS, Step, Table, account_id, card_id, new_card, same};
use crate::model_books::HeldCard;
use crate::model_desk::{Named, Person};
use crate::model_dice::{Dice, amount};
use crate::model_operators::{Came, Moved, Target};
use crate::model_rates::{Number, StatedRate};

/// Days of birth: of a child, of somebody of fifteen, of a grown-up.
const BORN: [&str; 3] = ["2025-01-01", "2012-01-01", "1980-01-01"];
const PEOPLE_MAX: usize = 16;

fn ordered(order: Order) -> Body {
    Body::Operate(Box::new(order))
}

impl Table<'_> {
    /// An operator does something beside the wire.
    pub(crate) fn operate(&mut self) -> Step {
        let has_ended = !self.oracle.desk.endings.is_empty();
        let (body, expected) = match self.dice.below(34) {
            _ if has_ended && self.dice.chance(20) => self.erase(),
            33 if self.dice.chance(60) => match self.dice.chance(50) {
                true => self.limit_card(),
                false => self.control_card(),
            },
            20..22 => self.add_device(),
            22..25 => self.change_kyc(),
            25 => {
                let cards_max = usize::try_from(1 + self.dice.below(3)).unwrap();
                let order = HolderOrder::RenewCards { cards_max };
                let expected = self.oracle.renew(self.now, cards_max);
                (ordered(Order::Holder(order)), expected)
            }
            26..28 => self.about_a_card(),
            28..30 => self.about_a_person(),
            30..32 => self.about_clearing(),
            32 => self.resolve_exception(),
            33 => self.beside_accounts(),
            0..2 => {
                let card = self.any_card();
                self.oracle.cards[card].wrong_tries = 0;
                (Body::UnlockPin(card_id(card)), Came::Done)
            }
            2..5 => {
                let (active, frozen) = (CardStatus::Active, CardStatus::Frozen);
                let statuses = [active, active, active, frozen, CardStatus::Lost];
                let (card, status) = (self.any_card(), self.dice.pick(&statuses));
                let order = Order::ChangeCardStatus(card_id(card), status);
                let expected = self.oracle.change_status(card, status);
                (ordered(order), expected)
            }
            5 => self.replace(),
            6..9 => self.set_rates(),
            9..13 => self.move_money(),
            13 if self.dice.chance(40) => {
                let holder = self.any_holder();
                let order = Order::CloseAccount(account_id(holder));
                (ordered(order), self.oracle.close(self.now, holder))
            }
            _ if self.opened.is_empty() => return Ok(()),
            _ => {
                let deals = u64::try_from(self.opened.len()).unwrap();
                let deal = deals - 1 - self.dice.below(deals.min(12));
                let deal = usize::try_from(deal).unwrap();
                let order = Order::ReleaseHold(EntryId(self.opened[deal]));
                let expected = self.oracle.release(self.now, deal);
                (ordered(order), expected)
            }
        };
        let told = format!("{body:?}");
        let link = match &body {
            Body::NameLink(name) => self.oracle.desk.links.iter().position(|it| it == name),
            _ => None,
        };
        let came = match self.execute(body)?.answer {
            Answer::PinChanged(true) => Came::Done,
            Answer::Ordered(Ok(done)) if done.before => Came::Before,
            Answer::Ordered(Ok(_)) => Came::Done,
            Answer::PinChanged(false) | Answer::Ordered(Err(_)) => Came::Refused,
            Answer::Opened(Opened::Created(..)) => Came::Done,
            Answer::Opened(Opened::Existing(..)) => Came::Before,
            Answer::Opened(Opened::Refused(_)) => Came::Refused,
            Answer::Presented(Presented::Posted(_)) => Came::Done,
            Answer::Presented(Presented::Repeated { .. }) => Came::Before,
            Answer::Presented(Presented::Refused(_)) => Came::Refused,
            Answer::LinkNamed(Some(number)) => {
                same("link", &link, &Some(usize::from(number.0) - 1))?;
                Came::Done
            }
            other => return Err(format!("{other:?}")),
        };
        let told = |what: String| format!("{what}\nafter {told}");
        // Rates that were known before are known, and so is what they come to.
        let is_of_rates = told(String::new()).contains("SetRates");
        let came = if is_of_rates && came == Came::Before {
            Came::Done
        } else {
            came
        };
        same("what came of it", &expected, &came).map_err(told)?;
        self.note_opened();
        if let Some(number) = self.comes_into_force.take() {
            self.in_force = number;
            self.oracle.refills = number == 1;
        }
        self.compare_books().map_err(told)
    }

    pub(crate) fn any_card(&mut self) -> usize {
        usize::try_from(self.dice.below(self.oracle.cards.len() as u64)).unwrap()
    }

    fn any_holder(&mut self) -> usize {
        usize::try_from(self.dice.below(self.oracle.holders.len() as u64)).unwrap()
    }

    /// The card data of an account that was closed, most often, are to go.
    fn erase(&mut self) -> (Body, Came) {
        let closed = self.oracle.desk.endings.keys().copied();
        let closed: Vec<usize> = closed.collect();
        let holder = match closed.is_empty() || self.dice.chance(10) {
            true => self.any_holder(),
            false => self.dice.pick(&closed),
        };
        let cards = &self.oracle.cards;
        let is_its = |card: &Option<usize>| card.is_some_and(|card| cards[card].holder == holder);
        let is_looked_at = !self.raised_about.values().any(is_its);
        let order = Order::EraseCardData(account_id(holder));
        let expected = self.oracle.erase(self.now, holder, is_looked_at);
        (ordered(order), expected)
    }

    fn replace(&mut self) -> (Body, Came) {
        let card = self.any_card();
        let (lost, frozen) = (CardStatus::Lost, CardStatus::Frozen);
        let status = self
            .dice
            .pick(&[lost, CardStatus::Stolen, frozen, CardStatus::Active]);
        // Now and then a number that somebody has.
        let number = self.oracle.cards.len() - usize::from(self.dice.chance(10));
        let with = HeldCard {
            token: token(&format!("again {number}")),
            status: CardStatus::Active,
            expiry: ExpiryMonth::from_yymm(3212),
            wrong_tries: 0,
            pin: None,
            is_erased: false,
            ..self.oracle.cards[card]
        };
        let order = Order::ReplaceCard {
            card: card_id(card),
            status,
            with: new_card(&with),
        };
        let expected = self.oracle.replace(self.now, card, status, with);
        (ordered(order), expected)
    }

    /// Some of the rates there are, from a while ago, from now or from later on.
    fn set_rates(&mut self) -> (Body, Came) {
        let (mut rows, mut stated) = (Vec::new(), Vec::new());
        let pairs = [
            ("USD", "JPY", 150_000),
            ("EUR", "JPY", 170_000),
            ("JPY", "GBP", 5),
            ("CHF", "JPY", 180_000),
            ("EUR", "USD", 1_100),
        ];
        for (from, to, thousandths) in pairs {
            if self.dice.chance(60) {
                continue;
            }
            let moved = thousandths * (90 + self.dice.below(20)) / 100 + self.dice.below(9);
            let text = format!("{}.{:03}", moved / 1_000, moved % 1_000);
            let hours = self.dice.pick(&[0, 0, 0, -1, 5, 30]);
            let currency = |letters| Currency::from_alpha(letters).unwrap();
            let effective = self.now.0 + hours * 3_600_000;
            rows.push(RateRow {
                from: currency(from),
                to: currency(to),
                rate: Rate::parse(&text).unwrap(),
                effective: UnixMs(effective),
            });
            stated.push(StatedRate {
                from: currency(from),
                to: currency(to),
                rate: Number::parse(&text),
                effective,
            });
        }
        self.oracle.rates.extend(stated);
        let order = Order::Money(MoneyOrder::SetRates(rows));
        (ordered(order), Came::Done)
    }

    /// A transfer or a charge, now and then the last one again.
    fn move_money(&mut self) -> (Body, Came) {
        let newest = self.oracle.holders.len() - 1;
        let dice = &mut self.dice;
        let holders = [0, 0, 1, 2, 4, 5, 6, 8, newest];
        let letters = ["JPY", "JPY", "USD", "EUR", "GBP", "AUD", "CHF"];
        let currency = |dice: &mut Dice| Currency::from_alpha(dice.pick(&letters)).unwrap();
        let mut what = Moved {
            from: dice.pick(&holders),
            to: Target::Holder(dice.pick(&holders)),
            minor: amount(dice).minor,
        };
        if dice.chance(60) {
            what.to = Target::Currencies(currency(dice), currency(dice));
            what.from = dice.pick(&[4, 4, 4, 8, 0]);
        } else if dice.chance(20) {
            (what.to, what.minor) = (Target::Paper(dice.chance(50)), 0);
        }
        let (mut first, mut name) = (self.now, format!("m{}", self.moved.len()));
        if let Some((earlier, at, known)) = self.moved.last()
            && self.now.0 - at.0 < i64::from(ENTRIES_HOURS) * 3_600_000
            && dice.chance(20)
        {
            (what, first, name) = (earlier.clone(), *at, known.clone());
            let is_other = dice.chance(30);
            match &mut what.to {
                Target::Paper(is_statement) => *is_statement ^= is_other,
                _ => what.minor += i64::from(is_other),
            }
        }
        self.moved.push((what.clone(), first, name.clone()));
        let expected = self.oracle.move_money(self.now, &name, what.clone());
        let reference = name.parse().unwrap();
        let order = match what.to {
            Target::Holder(to) => MoneyOrder::Transfer {
                reference,
                transfer: Transfer {
                    from: account_id(what.from),
                    to: account_id(to),
                    minor: what.minor,
                },
            },
            Target::Paper(is_statement) => MoneyOrder::Paper {
                reference,
                order: PaperOrder {
                    account: account_id(what.from),
                    paper: match is_statement {
                        true => Paper::Statement,
                        false => Paper::PinNotice,
                    },
                },
            },
            Target::Currencies(source, charge) => MoneyOrder::Charge {
                reference,
                account: account_id(what.from),
                source,
                charge,
                minor: what.minor,
            },
        };
        (ordered(Order::Money(order)), expected)
    }

    fn add_device(&mut self) -> (Body, Came) {
        let mut card = self.any_card();
        let mut token = token(&format!("device {}", self.dice.below(6)));
        let mut devices = self.oracle.desk.devices.iter();
        let dead = devices.find(|device| !device.is_alive);
        if let (Some(dead), true) = (dead, self.dice.chance(40)) {
            (card, token) = (dead.card, dead.token);
        } else if self.dice.chance(5) {
            token = self.oracle.cards[card].token;
        }
        let order = Order::AddDeviceToken {
            card: card_id(card),
            token,
            masked: Pan::parse("4761739001010119").unwrap().masked(),
        };
        (ordered(order), self.oracle.add_device(card, token))
    }

    fn change_kyc(&mut self) -> (Body, Came) {
        let kyc = match self.dice.below(20) {
            0 => Kyc::Bearer,
            1..13 => Kyc::Verified,
            _ => Kyc::Unverified,
        };
        let people = self.oracle.desk.people.len() as u64;
        let (whose, named) = match self.dice.chance(50) {
            true => {
                let lapsed = self.oracle.desk.lapsed.last();
                let lapsed = lapsed.map(|card| self.oracle.cards[*card].holder);
                let lapsed = lapsed.filter(|_| self.dice.chance(50));
                let account = lapsed.unwrap_or_else(|| self.any_holder());
                (Whose::Account(account_id(account)), Named::Account(account))
            }
            false => {
                let person = usize::try_from(self.dice.below(people)).unwrap();
                let id = HolderId(self.oracle.desk.people[person].id);
                (Whose::Holder(id), Named::Person(person))
            }
        };
        let order = Order::Holder(HolderOrder::ChangeKyc(whose, kyc));
        (ordered(order), self.oracle.change_kyc(named, kyc))
    }

    /// Its holder enrols a card or changes its PIN, the issuer sets one.
    fn about_a_card(&mut self) -> (Body, Came) {
        let (card, dice) = (self.any_card(), &mut self.dice);
        let (correct, wrong) = (PinVerdict::Correct, PinVerdict::Wrong);
        let others = [
            PinVerdict::Malformed,
            PinVerdict::Absent,
            PinVerdict::CannotBeChecked,
        ];
        let pin = match dice.below(10) {
            0..6 => correct,
            6..9 => wrong,
            _ => dice.pick(&others),
        };
        let of_account = dice.chance(50);
        let new = match of_account {
            true => PinReference::of_account(1, [4, 7, 1, 1]),
            false => PinReference {
                key_index: 1,
                value: [4, 7, 1, 1],
            },
        };
        let id = card_id(card);
        match dice.below(5) {
            0 => {
                let expected = self.oracle.set_pin(card, of_account, true);
                (Body::SetPin(id, new), expected)
            }
            1 => {
                let expected = self.oracle.set_pin(card, of_account, false);
                (ordered(Order::Card(CardOrder::SetPin(id, new))), expected)
            }
            2 => {
                let expected = self.oracle.change_pin(card, of_account, pin);
                let order = CardOrder::ChangePin { card: id, pin, new };
                (ordered(Order::Card(order)), expected)
            }
            _ => {
                let shipped =
                    self.oracle.cards.iter().position(|card| {
                        card.status == CardStatus::NotActivated && card.holder == 9
                    });
                let card = shipped.filter(|_| self.dice.chance(70)).unwrap_or(card);
                let are_last_digits = self.dice.chance(90);
                let digits = if are_last_digits { "0119" } else { "0118" };
                let order = CardOrder::Enrol {
                    card: card_id(card),
                    last_four: digits.parse().unwrap(),
                    pin,
                };
                let expected = self.oracle.enrol(card, are_last_digits, pin);
                (ordered(Order::Card(order)), expected)
            }
        }
    }

    /// Somebody is registered, or gets an account.
    fn about_a_person(&mut self) -> (Body, Came) {
        let people = self.oracle.desk.people.len();
        let programme = ProgrammeName::of("prepaid-jp").unwrap();
        if people < PEOPLE_MAX && self.dice.chance(50) {
            let (born, consent) = (self.dice.below(3), self.dice.chance(50));
            let born = usize::try_from(born).unwrap();
            let kycs = [Kyc::Verified, Kyc::Unverified, Kyc::Unverified, Kyc::Bearer];
            let kyc = self.dice.pick(&kycs);
            let applicant = Applicant {
                born: BusinessDate::from_iso(BORN[born]).unwrap(),
                consent,
            };
            let may_be = born == 2 || (born == 1 && consent);
            let expected = match may_be && kyc != Kyc::Bearer {
                true => Came::Done,
                false => Came::Refused,
            };
            if expected == Came::Done {
                let id = self.next_record();
                let account = None;
                self.oracle.desk.people.push(Person { id, kyc, account });
            }
            let order = HolderOrder::Register {
                programme,
                applicant,
                kyc,
            };
            return (ordered(Order::Holder(order)), expected);
        }
        // Those who came last have none yet.
        let person = people - 1 - usize::try_from(self.dice.below(people.min(4) as u64)).unwrap();
        let number = self.oracle.cards.len() - usize::from(self.dice.chance(10));
        let card = HeldCard {
            holder: 0,
            token: token(&format!("new {number}")),
            status: CardStatus::Active,
            expiry: ExpiryMonth::from_yymm(2705),
            wrong_tries: 0,
            pin: None,
            is_erased: false,
        };
        let account = OpenAccount {
            programme,
            kyc: Kyc::Unverified,
            balances: vec![("withdrawable".to_owned(), 20_000)],
            card: new_card(&card),
            holder: HeldBy::Registered(HolderId(self.oracle.desk.people[person].id)),
        };
        let expected = self.oracle.open_for(self.now, person, card, &[20_000, 0]);
        (Body::OpenAccount(Box::new(account)), expected)
    }

    /// A line of a clearing file about something earlier, or the end of a file.
    fn about_clearing(&mut self) -> (Body, Came) {
        let number = self.dice.below(6);
        let batch = format!("batch {number}");
        if self.sent.is_empty() || self.dice.chance(8) {
            let lines = u32::try_from(1 + self.dice.below(2)).unwrap();
            let expected = self.oracle.close_batch(&batch, lines);
            return (Body::CloseClearing(batch.parse().unwrap(), lines), expected);
        }
        let recent = self.sent.len().min(30) as u64;
        let back = usize::try_from(self.dice.below(recent)).unwrap();
        let mut facts = self.sent[self.sent.len() - 1 - back].clone();
        facts.original = Some(facts.trace).filter(|_| self.dice.chance(70));
        (facts.kind, facts.mti, facts.repeat) = (MessageKind::FinancialAdvice, 220, false);
        facts.trace = Trace {
            originator: CLEARING_ORIGINATOR + number,
            transmitted: 0,
            stan: u32::try_from(self.dice.below(20)).unwrap(),
        };
        if let Some(earlier) = &self.presented
            && self.dice.chance(20)
        {
            facts = earlier.clone();
        }
        self.presented = Some(facts.clone());
        let expected = self.oracle.present(self.now, &batch, &facts);
        let line = Presentment {
            batch: batch.parse().unwrap(),
            facts: Arc::new(facts),
        };
        (Body::Present(line), expected)
    }

    fn resolve_exception(&mut self) -> (Body, Came) {
        let mut sequence = self.next_record();
        if !self.exceptions.is_empty() && self.dice.chance(90) {
            sequence = self.dice.pick(&self.exceptions);
        }
        let expected = match self.exceptions.contains(&sequence) {
            true => Came::Done,
            false => Came::Refused,
        };
        self.exceptions.retain(|raised| *raised != sequence);
        self.raised_about.remove(&sequence);
        let note = "looked at".to_owned();
        (
            ordered(Order::ResolveException { sequence, note }),
            expected,
        )
    }

    /// Other programmes come into force, or the same again; a link gets its number.
    fn beside_accounts(&mut self) -> (Body, Came) {
        if self.dice.chance(60) {
            let name = self.dice.pick(&["east", "west", "north"]);
            let links = &mut self.oracle.desk.links;
            if !links.iter().any(|known| known == name) {
                links.push(name.to_owned());
            }
            return (Body::NameLink(name.to_owned()), Came::Done);
        }
        let wanted = usize::from(self.dice.chance(50));
        let order = Order::ChangeRules(NewRules {
            rulebook: Arc::new(self.rulebook(wanted).clone()),
            files: vec![ProgrammeRecord {
                name: ProgrammeName::of("prepaid-jp").unwrap(),
                version: 1,
                text: format!("the programme with number {wanted}"),
            }],
        });
        let known = self.oracle.desk.rules.replace(wanted);
        self.comes_into_force = Some(wanted);
        let expected = match known == Some(wanted) {
            true => Came::Before,
            false => Came::Done,
        };
        (ordered(order), expected)
    }
}
