//! Plays a scenario: sends each step, waits for its reply, checks what is expected.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use jiff::Zoned;

use crate::cli::api::Api;
use crate::iso8583::{Mask, Message, MessageSpec};

use super::alias;
use super::balance::Looks;
use super::chip::{self, ChipPlan, Chips};
use super::circumstances::Circumstances;
use super::clock;
use super::compose::{self, ComposeError, Sent};
use super::exceptions::Queue;
use super::link::{Link, LinkError, LinkPlan};
use super::own_switch::OwnSwitch;
use super::report::{self, Check, Reader, StepReport, Tally};
use super::scenario::Scenario;
use super::seal::{self, StepMac};
use super::step::{Expectation, ReplyPlace, Send, Step, Want};
use super::value::Moment;
use super::words;

/// Whom a scenario is played with.
#[derive(Debug)]
pub(super) struct Peer {
    /// How to reach it; a switch of the scenario's own has another address after each start.
    pub(super) plan: LinkPlan,
    /// Its admin API.
    pub(super) admin: Api,
    /// The scenario's own switch, where it has one.
    pub(super) own: Option<OwnSwitch>,
}

/// Plays the whole scenario over a link just opened, and says how it went; a failed step does not
/// stop the next.
///
/// # Errors
/// The output cannot be written.
pub(super) fn play(
    scenario: &Scenario,
    peer: Peer,
    link: Link,
    reader: Reader,
    out: &mut dyn Write,
) -> io::Result<Tally> {
    report::write_title(out, reader, &scenario.title)?;
    let mut player = Player::new(peer, link);
    let mut tally = Tally::default();
    for step in &scenario.steps {
        let report = player.step(step);
        tally.add(&report.checks);
        report::write_step(out, reader, &report)?;
    }
    report::write_tally(out, reader, tally)?;
    Ok(tally)
}

struct Player {
    peer: Peer,
    link: Option<Link>,
    next_stan: u32,
    next_rrn: u64,
    sent: Vec<Option<Sent>>,
    saved: BTreeMap<String, String>,
    looks: Looks,
    chips: Chips,
}

const STAN_MAX: u32 = 999_999;
const RRN_MAX: u64 = 999_999_999_999;

impl Player {
    fn new(peer: Peer, link: Link) -> Self {
        // Numbers begin at the microsecond, so that the next run repeats nothing of this one, even
        // within the same second of DE 7: no message takes less than a microsecond.
        let started = u64::try_from(clock::utc().timestamp().as_microsecond()).unwrap_or_default();
        let stan = u32::try_from(started % u64::from(STAN_MAX)).unwrap_or_default();
        Self {
            peer,
            link: Some(link),
            next_stan: stan + 1,
            next_rrn: started % RRN_MAX,
            sent: Vec::new(),
            saved: BTreeMap::new(),
            looks: Looks::default(),
            chips: Chips::default(),
        }
    }

    fn step(&mut self, step: &Step) -> StepReport {
        let mut report = StepReport {
            name: step.name.clone(),
            ..StepReport::default()
        };
        self.undergo(step.circumstances, &mut report);
        let ahead = self
            .peer
            .own
            .as_ref()
            .map_or(Duration::ZERO, OwnSwitch::ahead);
        let now = clock::utc_ahead(ahead);
        report.at = now.strftime("%H:%M:%S").to_string();
        let before = step.exception.as_ref().map(|_| self.queue(&mut report));
        let exchanged = match &step.send {
            Some(send) => self.send(step, send, &now, &mut report),
            None => {
                if step.circumstances.break_the_line()
                    && let Err(error) = self.connected()
                {
                    report.checks.push(Check::fail(error.to_string()));
                }
                None
            }
        };
        self.sent.push(exchanged);
        if let Some(expected) = &step.balance {
            let time_passed = !step.circumstances.later.is_zero();
            let deadline = time_passed.then(|| clock::instant() + self.peer.plan.reply_timeout);
            self.looks
                .look(&self.peer.admin, expected, deadline, &mut report);
        }
        if let (Some(expected), Some(Some(before))) = (&step.exception, before)
            && let Some(now) = self.queue(&mut report)
        {
            report.checks.push(before.check(&now, expected));
        }
        report
    }

    /// Breaks the line, waits, kills the switch, as the step says.
    fn undergo(&mut self, circumstances: Circumstances, report: &mut StepReport) {
        if circumstances.break_the_line() {
            self.link = None;
        }
        thread::sleep(circumstances.delay);
        if !circumstances.need_own_switch() {
            return;
        }
        // A scenario with such steps was not begun without.
        let Some(own) = &mut self.peer.own else {
            return;
        };
        match own.crash(circumstances.later) {
            Ok(()) => {
                own.address().clone_into(&mut self.peer.plan.address);
                match own.admin() {
                    Ok(admin) => self.peer.admin = admin,
                    Err((_, why)) => report.checks.push(Check::fail(why)),
                }
            }
            Err(error) => report.checks.push(Check::fail(error.to_string())),
        }
    }

    /// The exception queue as it is now; a failed check when it cannot be seen.
    fn queue(&self, report: &mut StepReport) -> Option<Queue> {
        match Queue::look(&self.peer.admin) {
            Ok(queue) => Some(queue),
            Err(reason) => {
                report
                    .checks
                    .push(Check::fail(format!("exception: {reason}")));
                None
            }
        }
    }

    /// Builds, sends, checks and saves; `None` when nothing could be sent.
    fn send(
        &mut self,
        step: &Step,
        send: &Send,
        now: &Zoned,
        report: &mut StepReport,
    ) -> Option<Sent> {
        let (stan, rrn) = (self.next_stan, self.next_rrn);
        self.next_stan = self.next_stan % STAN_MAX + 1;
        self.next_rrn = (self.next_rrn + 1) % RRN_MAX;
        let moment = Moment {
            stan,
            rrn,
            now,
            saved: &self.saved,
        };
        let composed = compose::compose(self.peer.plan.spec, send, &moment, &self.sent);
        let composed = composed.and_then(|bytes| match &step.chip {
            None => Ok((bytes, None)),
            Some(plan) => with_chip(plan, self.peer.plan.spec, bytes, &mut self.chips),
        });
        let composed = composed.and_then(|(bytes, asked)| {
            let plan = &self.peer.plan;
            Ok((with_code(plan, step.mac, bytes)?, asked))
        });
        let (bytes, asked) = match composed {
            Ok(composed) => composed,
            Err(error) => {
                report
                    .checks
                    .push(Check::fail(format!("not sent: {error}")));
                return None;
            }
        };
        let sent = self.exchange(&bytes, step.circumstances.await_reply, report)?;
        let Some(reply) = &sent.reply else {
            return Some(sent);
        };
        let moment = Moment {
            stan,
            rrn,
            now,
            saved: &self.saved,
        };
        report.checks.extend(check_reply(
            reply,
            &step.expect,
            &moment,
            self.peer.plan.spec,
        ));
        if let (Some(key), StepMac::Right | StepMac::Wrong) = (&self.peer.plan.mac, step.mac) {
            report.checks.push(match key.is_right(reply) {
                true => Check::pass("the reply is authenticated".to_owned()),
                false => Check::fail("the reply is not authenticated".to_owned()),
            });
        }
        if let (Some(plan), Some(asked)) = (&step.chip, &asked) {
            report.checks.push(plan.check(asked, reply));
        }
        for (name, element) in &step.save {
            match compose::element_text(reply, *element) {
                Some(text) => {
                    self.saved.insert(name.clone(), text.trim_end().to_owned());
                }
                None => report.checks.push(Check::fail(format!(
                    "save {name}: the reply has no {}",
                    alias::element_name(*element)
                ))),
            }
        }
        Some(sent)
    }

    /// Sends a built message; a missing reply is a failed check of its own.
    fn exchange(
        &mut self,
        bytes: &Bytes,
        await_reply: bool,
        report: &mut StepReport,
    ) -> Option<Sent> {
        let Some(request) = compose::read_back(self.peer.plan.spec, bytes) else {
            report.checks.push(Check::fail(
                "not sent: the message does not decode".to_owned(),
            ));
            return None;
        };
        report.request = Some(words::request(&request));
        let stan = request.number(11).unwrap_or_default();
        if !await_reply {
            if let Err(error) = self.connected().and_then(|link| link.send(bytes)) {
                report.checks.push(Check::fail(error.to_string()));
                self.link = None;
            }
            let reply = None;
            return Some(Sent { request, reply });
        }
        let began = clock::instant();
        let outcome = self.connected().and_then(|link| link.exchange(bytes, stan));
        let reply = match outcome {
            Ok(reply) => {
                report.latency_us = Some(clock::instant().duration_since(began).as_micros());
                report.reply = Some(words::reply(&reply));
                if Some(reply.mti()) != request.mti().response() {
                    report.checks.push(Check::fail(format!(
                        "{} does not answer {}",
                        reply.mti(),
                        request.mti()
                    )));
                }
                Some(reply)
            }
            Err(error) => {
                report.checks.push(Check::fail(error.to_string()));
                self.link = None;
                None
            }
        };
        Some(Sent { request, reply })
    }

    fn connected(&mut self) -> Result<&mut Link, LinkError> {
        match &mut self.link {
            Some(link) => Ok(link),
            none => Ok(none.insert(Link::open(&self.peer.plan)?)),
        }
    }
}

/// The message with its authentication code, where the scenario has a key.
fn with_code(plan: &LinkPlan, mac: StepMac, bytes: Bytes) -> Result<Bytes, ComposeError> {
    let Some(key) = &plan.mac else {
        return match mac {
            StepMac::Right => Ok(bytes),
            StepMac::Wrong | StepMac::Absent => Err(ComposeError::NoMacKey),
        };
    };
    let message = compose::read_back(plan.spec, &bytes).ok_or(ComposeError::NothingSent)?;
    match mac {
        StepMac::Right => Ok(key.sealed(plan.spec, &message, false)?),
        StepMac::Wrong => Ok(key.sealed(plan.spec, &message, true)?),
        // A repeat copies what its original had.
        StepMac::Absent => Ok(seal::without_code(plan.spec, &message)?),
    }
}

/// The message with what the chip says of it.
fn with_chip(
    plan: &ChipPlan,
    spec: &MessageSpec,
    bytes: Bytes,
    chips: &mut Chips,
) -> Result<(Bytes, Option<chip::Asked>), ComposeError> {
    let message = compose::read_back(spec, &bytes);
    let said = message.and_then(|message| {
        let (elements, asked) = plan.elements(&message, chips)?;
        Some((message, elements, asked))
    });
    let (message, elements, asked) = said.ok_or(ComposeError::NoCard)?;
    let bytes = compose::with_elements(spec, &message, &elements)?;
    Ok((bytes, Some(asked)))
}

fn check_reply(
    reply: &Message,
    expectations: &[Expectation],
    moment: &Moment<'_>,
    spec: &MessageSpec,
) -> Vec<Check> {
    expectations
        .iter()
        .map(|expectation| check_one(reply, expectation, moment, spec))
        .collect()
}

fn check_one(
    reply: &Message,
    expectation: &Expectation,
    moment: &Moment<'_>,
    spec: &MessageSpec,
) -> Check {
    let (name, got) = match expectation.place {
        ReplyPlace::Mti => ("mti".to_owned(), Some(reply.mti().to_string())),
        ReplyPlace::Element(de) => (alias::element_name(de), compose::element_text(reply, de)),
    };
    let shown = |text: &str| shown(text, expectation.place, spec);
    match (&expectation.want, got) {
        (Want::Present, Some(_)) => Check::pass(format!("{name} is present")),
        (Want::Present, None) => Check::fail(format!("{name}: expected present, got nothing")),
        (Want::Absent, None) => Check::pass(format!("{name} is absent")),
        (Want::Absent, Some(got)) => {
            Check::fail(format!("{name}: expected absent, got {}", shown(&got)))
        }
        (Want::Equal(value), got) => match (value.expand(moment), got) {
            (None, _) => Check::fail(format!("{name}: the value to compare with was not saved")),
            (Some(want), None) => {
                Check::fail(format!("{name}: expected {}, got nothing", shown(&want)))
            }
            (Some(want), Some(got)) if is_same(&want, &got, expectation.place, spec) => {
                Check::pass(format!("{name} = {}", shown(&want)))
            }
            (Some(want), Some(got)) => Check::fail(format!(
                "{name}: expected {}, got {}",
                shown(&want),
                shown(&got)
            )),
        },
    }
}

/// Padding is the wire's business: numbers compare without leading zeros, text without spaces.
fn is_same(want: &str, got: &str, place: ReplyPlace, spec: &MessageSpec) -> bool {
    let ReplyPlace::Element(de) = place else {
        return want == got;
    };
    let Some(element) = spec.element(de) else {
        return false;
    };
    if compose::class_of(element) == "n" && !element.is_variable() {
        return want.trim_start_matches('0') == got.trim_start_matches('0');
    }
    want.trim_end() == got.trim_end()
}

fn shown(text: &str, place: ReplyPlace, spec: &MessageSpec) -> String {
    let mask = match place {
        ReplyPlace::Mti => Mask::Shown,
        ReplyPlace::Element(de) => spec
            .element(de)
            .map_or(Mask::Wipe, |element| element.mask()),
    };
    match mask {
        Mask::Shown => text.trim_end().to_owned(),
        Mask::Pan => words::masked(text),
        Mask::Wipe => format!("{} characters", text.chars().count()),
    }
}
