//! The world of one seed: acquirers with their network and clocks, a switch on a disk, and what
//! goes wrong; every answer and all books are held against the oracle.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use cardswitch::domain::account::AccountId;
use cardswitch::domain::card::CardId;
use cardswitch::domain::money::Currency;
use cardswitch::domain::programme::Channel;
use cardswitch::domain::time::Calendar;
use cardswitch::journal::JournalError;

use crate::acquirer::Acquirers;
use crate::ask::Money;
use crate::deal;
use crate::dice::Dice;
use crate::disk::{SharedDisk, Trouble};
use crate::oracle::{Oracle, Wallet};
use crate::plan::Plan;
use crate::switch::Switch;
use crate::wire;

/// 2027-12-28 in Tokyo: a year ends and a leap day comes.
const START_MS: i64 = 1_829_900_000_000;
/// Turns after the last message in which nothing goes wrong and everything must be answered.
const LAST_TURNS: u64 = 400;
/// Turns after which a message without an answer is repeated.
const PATIENCE_TURNS: u64 = 3;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Messages that reached the switch, repeats included.
    pub(crate) messages: u64,
    pub(crate) approvals: u64,
    pub(crate) restarts: u64,
    /// Restarts that did not begin with the first record.
    pub(crate) from_checkpoint: u64,
    /// Damage that was found and refused, which ends a run.
    pub(crate) refused: bool,
    /// Everything that was answered, in order, as one number.
    pub(crate) trace: u64,
    /// What happened, where it was asked for.
    pub(crate) history: Vec<String>,
    /// Number of the last message that was thought of.
    pub(crate) last_message: u32,
    /// What went wrong with the switch.
    pub(crate) violation: Option<String>,
}

pub(crate) struct World<'p> {
    plan: &'p Plan,
    tells: bool,
    report: Report,
    now: Arc<AtomicI64>,
    turn: u64,
    disk: SharedDisk,
    switch: Switch,
    oracle: Oracle,
    acquirers: Acquirers,
    /// Numbers of asks by the turn in which they arrive.
    network: BTreeMap<u64, Vec<usize>>,
    /// Asks that are repeated when nothing came until then.
    waiting: VecDeque<(u64, usize)>,
    /// Asks of the turn of the switch, in order of arrival.
    arrived: Vec<usize>,
    frames: Vec<u8>,
}

type Step = Result<(), End>;

/// Why a run is over.
enum End {
    Violation(String),
    /// Damage that was put there was found.
    Refused,
}

impl From<String> for End {
    fn from(what: String) -> End {
        End::Violation(what)
    }
}

/// Runs a plan.
pub(crate) fn run(plan: &Plan, tells: bool) -> Report {
    let mut world = match World::new(plan, tells) {
        Ok(world) => world,
        Err(error) => {
            return Report {
                violation: Some(format!("it does not start: {error}")),
                ..Report::default()
            };
        }
    };
    match world.live() {
        Ok(()) => {}
        Err(End::Refused) => world.report.refused = true,
        Err(End::Violation(what)) => {
            world.tell(|| format!("VIOLATION: {what}"));
            world.report.violation = Some(what);
        }
    }
    world.report
}

impl World<'_> {
    fn new(plan: &Plan, tells: bool) -> Result<World<'_>, JournalError> {
        let mut dice = Dice::of(plan.seed, 2, 0);
        let now = Arc::new(AtomicI64::new(
            START_MS + i64::try_from(dice.below(1 << 30)).unwrap(),
        ));
        let disk = SharedDisk::default();
        let mut switch = Switch::start(disk.clone(), plan, Arc::clone(&now))?;
        let balances: Vec<[i64; 3]> = (0..plan.cards)
            .map(|_| [300_000, 60_000, 50_000].map(|most| i64::try_from(dice.below(most)).unwrap()))
            .collect();
        switch.furnish(plan, &balances);
        let mut oracle = Oracle::default();
        oracle
            .wallets
            .extend(balances.into_iter().map(Wallet::with));
        oracle.recorded(now.load(Relaxed), switch.state().sequence());
        Ok(World {
            plan,
            tells,
            report: Report::default(),
            now,
            turn: 0,
            disk,
            switch,
            oracle,
            acquirers: Acquirers::new(plan),
            network: BTreeMap::new(),
            waiting: VecDeque::new(),
            arrived: Vec::new(),
            frames: Vec::new(),
        })
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.tells {
            let line = format!(
                "turn {:4} at {}: {}",
                self.turn,
                self.now.load(Relaxed),
                what()
            );
            self.report.history.push(line);
        }
    }

    fn trace(&mut self, what: u64) {
        let mixed = (self.report.trace ^ what).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.report.trace = mixed ^ (mixed >> 29);
    }

    fn live(&mut self) -> Step {
        let mut next = 0;
        while next < self.plan.messages {
            let mut dice = Dice::of(self.plan.seed, 3, self.turn);
            self.pass_time(&mut dice);
            let burst = 1 + dice.below(self.plan.burst);
            for _ in 0..burst.min(u64::from(self.plan.messages - next)) {
                self.send_new(next);
                next += 1;
            }
            self.take_turn(&mut dice, false)?;
        }
        // From here nothing goes wrong, and everything comes to its end.
        let end = self.turn + LAST_TURNS;
        while !(self.network.is_empty() && self.waiting.is_empty()) {
            if self.turn > end {
                return Err(format!("{} asks stay unanswered", self.waiting.len()).into());
            }
            let mut dice = Dice::of(self.plan.seed, 3, self.turn);
            self.now.fetch_add(100, Relaxed);
            self.take_turn(&mut dice, true)?;
        }
        self.restart(Trouble::Kill, true)
    }

    fn pass_time(&mut self, dice: &mut Dice) {
        let faults = &self.plan.faults;
        let mut now = self.now.load(Relaxed);
        now += i64::try_from(dice.below(self.plan.turn_ms)).unwrap();
        if dice.permille(faults.clock_jump) {
            let day = 86_400_000;
            let midnight = (now + 9 * 3_600_000).div_euclid(day) * day - 9 * 3_600_000;
            now = match dice.below(6) {
                // A moment before and after midnight in Tokyo, and in Greenwich.
                0 | 1 => midnight + day - 500,
                2 => midnight + day + 9 * 3_600_000 - 500,
                3 => now + 3 * day,
                4 => now + i64::try_from(dice.below(12)).unwrap() * day,
                _ => month_end(now) - 500,
            }
            .max(now);
        }
        if dice.permille(faults.clock_back) {
            now -= i64::try_from(dice.below(7_200_000)).unwrap();
        }
        self.now.store(now, Relaxed);
    }

    fn send_new(&mut self, number: u32) {
        if self.plan.leaves_out(number) {
            return;
        }
        self.report.last_message = number;
        let mut dice = Dice::of(self.plan.seed, 4, u64::from(number));
        let ask = self.acquirers.think(number, &mut dice);
        self.put_on_network(ask, &mut dice);
    }

    fn put_on_network(&mut self, ask: usize, dice: &mut Dice) {
        let faults = &self.plan.faults;
        let copies = 1 + u64::from(dice.permille(faults.doubled));
        for _ in 0..copies {
            if dice.permille(faults.lost) {
                continue;
            }
            let delay = match dice.permille(faults.late) {
                true => dice.below(12),
                false => 0,
            };
            self.network.entry(self.turn + delay).or_default().push(ask);
        }
        self.waiting.push_back((self.turn + PATIENCE_TURNS, ask));
    }

    /// Repeats what was not answered, delivers what is due, and lets the switch work on it.
    fn take_turn(&mut self, dice: &mut Dice, in_peace: bool) -> Step {
        while let Some((due, ask)) = self.waiting.front().copied()
            && due <= self.turn
        {
            self.waiting.pop_front();
            if self.acquirers.is_answered(ask) {
                continue;
            }
            if in_peace {
                self.network.entry(self.turn).or_default().push(ask);
                self.waiting.push_back((self.turn + PATIENCE_TURNS, ask));
            } else {
                self.put_on_network(ask, dice);
            }
        }
        if dice.permille(60) {
            self.switch.housekeep();
        }
        self.deliver(dice)?;
        if !in_peace {
            self.arm(dice);
        }
        let outcome = self.work(dice, in_peace);
        let was_armed = self.disk.lock().disarm();
        self.turn += 1;
        match outcome? {
            Some(trouble) => return self.restart(trouble, dice.permille(500)),
            None if dice.permille(self.plan.checkpoints) => {
                self.switch.checkpoint(&self.disk);
                self.tell(|| "a checkpoint is made".to_owned());
            }
            None => {}
        }
        match was_armed && dice.permille(300) {
            true => self.restart(Trouble::Kill, true),
            false => Ok(()),
        }
    }

    fn deliver(&mut self, dice: &mut Dice) -> Step {
        self.arrived.clear();
        let mut due = self.network.remove(&self.turn).unwrap_or_default();
        // They come over several links, in an order of nobody's choice.
        if due.len() > 1 {
            let turned = dice.index(due.len());
            due.rotate_left(turned);
        }
        for link in 0..self.plan.acquirers {
            self.frames.clear();
            for id in &due {
                let (ask, sendings) = self.acquirers.send(*id, link);
                let Some(ask) = ask else { continue };
                let card = self.acquirers.plastic(ask.card);
                wire::write(&ask, card, sendings > 1, &mut self.frames);
                self.arrived.push(*id);
            }
            if !self.frames.is_empty() {
                self.switch
                    .receive(usize::try_from(link).unwrap(), &self.frames)?;
            }
        }
        self.report.messages += u64::try_from(self.arrived.len()).unwrap();
        Ok(())
    }

    fn arm(&mut self, dice: &mut Dice) {
        let faults = &self.plan.faults;
        let lying = dice.permille(faults.lying);
        let troubles = [
            (faults.kill, Trouble::Kill),
            (faults.power_cut, Trouble::PowerCut),
            (faults.write_error, Trouble::WriteError { lying }),
            (faults.full, Trouble::Full),
            (faults.misdirected, Trouble::Misdirected),
        ];
        let is_corrupted = self.disk.lock().is_corrupted;
        for (rate, trouble) in troubles {
            let is_second = is_corrupted && trouble == Trouble::Misdirected;
            if dice.permille(rate) && !is_second {
                let own = Dice::of(self.plan.seed, 5, self.turn);
                self.disk.lock().arm(trouble, dice.below(5), own);
                self.tell(|| format!("armed: {trouble:?}"));
                return;
            }
        }
    }

    /// Lets the sequencer work until nothing is queued; what stopped it, if anything did.
    fn work(&mut self, dice: &mut Dice, in_peace: bool) -> Result<Option<Trouble>, End> {
        let mut first = 0;
        while let Some(turn) = self.switch.step() {
            let decided = (first, first + turn.taken, turn.kept_house);
            first += turn.taken;
            if let Err(fault) = turn.result {
                self.tell(|| format!("it stops: {fault}"));
                if turn.answered > 0 {
                    return Err(End::Violation(
                        "an answer left before its record was durable".to_owned(),
                    ));
                }
                self.disk_did_it(&fault.to_string())?;
                self.recover(Trouble::Kill, decided)?;
                return Ok(None);
            }
            self.judge(decided, dice, in_peace)?;
        }
        self.switch.clear();
        if !dice.permille(self.plan.faults.slow)
            && let Err(fault) = self.switch.keep_up()
        {
            self.tell(|| format!("it stops: {fault}"));
            self.disk_did_it(&fault.to_string())?;
            return Ok(Some(Trouble::Kill));
        }
        Ok(None)
    }

    /// A switch may stop for its disk, and for nothing else.
    fn disk_did_it(&self, fault: &str) -> Step {
        let known = ["broken pipe", "input/output error", "the disk is full"];
        match known.iter().any(|reason| fault.contains(reason)) {
            true => Ok(()),
            false => Err(format!("it stops: {fault}").into()),
        }
    }

    /// Holds the answers of a turn against the oracle, and brings them to their clients.
    fn judge(
        &mut self,
        (first, last, kept_house): (usize, usize, bool),
        dice: &mut Dice,
        in_peace: bool,
    ) -> Step {
        let now = self.switch.now();
        if kept_house {
            self.oracle.housekeep(now);
        }
        for slot in first..last {
            let id = self.arrived[slot];
            let ask = self.acquirers.ask(id);
            let expected = self.oracle.take(&ask, now);
            let frame = self.switch.answer(slot);
            let told = frame.and_then(|frame| wire::read(frame, &ask));
            let Some(told) = told else {
                return Err(format!("no answer that can be read to {ask:?}").into());
            };
            if told != expected {
                return Err(
                    format!("{ask:?}\n  expected {expected:?}\n  got      {told:?}").into(),
                );
            }
            self.tell(|| format!("{ask:?} -> {told:?}"));
            let said = u64::from(told.code[0]) << 40 | u64::from(told.code[1]) << 32;
            self.trace(said ^ told.minor.unsigned_abs() ^ u64::try_from(id).unwrap() << 48);
            if !in_peace && dice.permille(self.plan.faults.lost) {
                continue;
            }
            self.report.approvals += u64::from(told.is_approval());
            self.acquirers.answered(id);
        }
        Ok(())
    }

    /// A process that stopped between two turns.
    fn restart(&mut self, trouble: Trouble, proves_digest: bool) -> Step {
        let before = proves_digest.then(|| self.switch.state().digest());
        self.recover(trouble, (0, 0, false))?;
        if let Some(before) = before {
            let after = self.switch.state().digest();
            if before != after {
                return Err("the replayed state is another one".to_owned().into());
            }
            self.trace(u64::from_le_bytes(after.0[..8].try_into().unwrap()));
        }
        Ok(())
    }

    /// Starts the switch anew; `first..last` of what arrived was decided and not answered.
    fn recover(
        &mut self,
        trouble: Trouble,
        (first, last, kept_house): (usize, usize, bool),
    ) -> Step {
        let mut dice = Dice::of(self.plan.seed, 6, self.turn);
        self.report.restarts += 1;
        let durable = self.oracle.sequence;
        let cuts = trouble == Trouble::PowerCut || dice.permille(500);
        loop {
            self.spoil(durable, cuts, &mut dice);
            let started = Switch::start(self.disk.clone(), self.plan, Arc::clone(&self.now));
            let armed = self.disk.lock().disarm();
            match started {
                Ok(switch) => {
                    self.switch = switch;
                    break;
                }
                Err(JournalError::Damaged(_)) if self.disk.lock().is_corrupted => {
                    self.tell(|| "the damage is found".to_owned());
                    return Err(End::Refused);
                }
                Err(error) if !armed && self.disk_did_it(&error.to_string()).is_ok() => {
                    self.tell(|| format!("it does not start: {error}"));
                }
                Err(error) => return Err(format!("it does not start: {error}").into()),
            }
        }
        let now = self.switch.now();
        let recovery = &self.switch.recovery;
        let (found, base) = (recovery.last_sequence, recovery.base_sequence);
        self.report.from_checkpoint += u64::from(base > 0);
        self.tell(|| format!("it starts again with {found} records, those behind {base} replayed"));
        self.trace(found);
        if found < durable {
            return Err(format!("{found} records of {durable} that were answered").into());
        }
        // What was decided and not answered happened as far as it is there.
        if kept_house && self.oracle.sequence < found {
            self.oracle.housekeep(now);
        }
        for slot in first..last {
            if self.oracle.sequence < found {
                let ask = self.acquirers.ask(self.arrived[slot]);
                self.oracle.take(&ask, now);
            }
        }
        if self.oracle.sequence != found {
            let expected = self.oracle.sequence;
            return Err(format!("{found} records, expected {expected}").into());
        }
        self.check_books()
    }

    /// What happens to the disk before the next process finds it.
    fn spoil(&mut self, durable: u64, cuts: bool, dice: &mut Dice) {
        let faults = &self.plan.faults;
        let mut disk = self.disk.lock();
        if cuts || disk.is_lying() {
            disk.cut_power(dice);
        } else {
            disk.restart();
        }
        // One corruption in a life: two may hide each other.
        if !disk.is_corrupted && dice.permille(faults.rot) {
            // What a lazy watermark does not vouch for yet, nothing can miss.
            let up_to = (!self.plan.watermark_before_reply).then_some(durable);
            disk.rot(up_to, dice);
        }
        if dice.permille(faults.rot) {
            disk.checkpoints.rot();
        }
        if dice.permille(faults.cut_at_start) {
            disk.arm(
                Trouble::PowerCut,
                dice.below(4),
                Dice::of(dice.next(), 7, 0),
            );
        }
    }

    /// Holds all purses, PIN counters and windows of limits against the oracle.
    fn check_books(&self) -> Step {
        let state = self.switch.state();
        if let Err(error) = state.check_conservation() {
            return Err(format!("money is not conserved: {error}").into());
        }
        for (row, wallet) in self.oracle.wallets.iter().enumerate() {
            let number = u32::try_from(row).unwrap() + 1;
            let account = &state.account(AccountId(number)).unwrap().account;
            let tries = state.card(CardId(number)).unwrap().pin.wrong_tries;
            for (index, purse) in account.purses.iter().enumerate() {
                let (balance, held) = (wallet.balance[index], wallet.held[index]);
                if (purse.balance, purse.held) != (balance, held) {
                    return Err(format!(
                        "card {row}, purse {index}: expected {balance} with {held} held, got {} \
                         with {} held",
                        purse.balance, purse.held
                    )
                    .into());
                }
            }
            self.check_usage(row)?;
            if u32::from(tries) != wallet.tries {
                let expected = wallet.tries;
                return Err(format!("card {row}: {tries} wrong PINs, expected {expected}").into());
            }
        }
        Ok(())
    }

    /// Holds what the limits of a card have counted against the oracle.
    fn check_usage(&self, row: usize) -> Step {
        let state = self.switch.state();
        let number = u32::try_from(row).unwrap() + 1;
        let record = state.account(AccountId(number)).unwrap();
        let (yen, today) = (Currency::JPY, tokyo().date_of(state.at()));
        for (theirs, ours) in [
            (Channel::Purchase, deal::Channel::Purchase(Money::Yen)),
            (Channel::Load, deal::Channel::Load(Money::Yen)),
        ] {
            let used = state.usage(record, theirs, yen, today);
            let got = (
                (used.day_minor, used.day_count),
                (used.month_minor, used.month_count),
            );
            let expected = self.oracle.usage(row, ours);
            if got != expected {
                let what =
                    format!("card {row}, {theirs:?}: counted {got:?}, expected {expected:?}");
                return Err(what.into());
            }
        }
        Ok(())
    }
}

/// The calendar by which the programme counts; the oracle has its own.
fn tokyo() -> &'static Calendar {
    static TOKYO: OnceLock<Calendar> = OnceLock::new();
    TOKYO.get_or_init(|| Calendar::in_zone("Asia/Tokyo").unwrap())
}

/// Midnight in Tokyo at which the month of an instant ends.
fn month_end(now: i64) -> i64 {
    let mut day = crate::oracle::tokyo_day(now);
    let month = crate::oracle::month_of(day);
    while crate::oracle::month_of(day) == month {
        day += 1;
    }
    day * 86_400_000 - 9 * 3_600_000
}
