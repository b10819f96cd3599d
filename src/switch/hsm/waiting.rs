//! Requests of one connection that wait for a device, and those of the same cards behind them.
//!
//! Requests of a card go on in the order in which they came; those of other cards pass by.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::desk::{AnswerQuestion, Answered, Learnt, Questions};
use crate::domain::pan::CardToken;
use crate::switch::jobs::{SequencerReply, SequencerRequest};
use crate::switch::mac::{LinkMac, Seal, Unproven, Unsealed};
use crate::switch::pin::PinDesk;
use crate::switch::session_take::Incoming;

/// The requests that wait.
pub(crate) struct WaitingRequests {
    waiting: VecDeque<Waiting>,
    /// Answers that a device helps with.
    making: usize,
    /// Messages that are not judged yet, and those behind them, in the order in which they came.
    unproven: VecDeque<UnprovenMessage>,
    /// Number of the message that comes next.
    next_number: u64,
    /// Answers that wait for their authentication code.
    sealing: usize,
    answers_max: usize,
    answers_in: mpsc::Sender<Answered>,
    answers: mpsc::Receiver<Answered>,
}

struct UnprovenMessage {
    number: u64,
    incoming: Incoming,
    judged: Option<Result<Option<Seal>, Unproven>>,
}

struct Waiting {
    request: SequencerRequest,
    is_asked: bool,
}

impl WaitingRequests {
    /// Nothing waits yet; there is room for every request in flight, and for as many answers that
    /// are given to what was refused meanwhile.
    pub(crate) fn new(in_flight_max: usize) -> WaitingRequests {
        let answers_max = in_flight_max.saturating_mul(2);
        let (answers_in, answers) = mpsc::channel(answers_max);
        WaitingRequests {
            waiting: VecDeque::new(),
            making: 0,
            unproven: VecDeque::new(),
            next_number: 0,
            sealing: 0,
            answers_max,
            answers_in,
            answers,
        }
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.making == 0 && self.beside() == 0
    }

    /// Messages and answers that wait and are not in flight.
    pub(crate) fn beside(&self) -> usize {
        self.unproven.len().saturating_add(self.sealing)
    }

    /// Has a message judged; those that come later wait behind it.
    pub(crate) fn judge(&mut self, mac: &Arc<LinkMac>, incoming: Incoming, pins: &Arc<PinDesk>) {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let message = incoming.message.clone();
        self.unproven.push_back(UnprovenMessage {
            number,
            incoming,
            judged: None,
        });
        if let Some(desk) = pins.desk() {
            desk.judge((mac, message, number), pins, &self.answers_in);
        }
    }

    /// Learns what came of a message.
    pub(crate) fn judged(&mut self, number: u64, judged: Result<Option<Seal>, Unproven>) {
        let asked = self.unproven.iter_mut().find(|it| it.number == number);
        if let Some(asked) = asked {
            asked.judged = Some(judged);
        }
    }

    /// The first message that came, once it is judged.
    pub(crate) fn proven(&mut self) -> Option<(Incoming, Result<Option<Seal>, Unproven>)> {
        let first = self.unproven.front_mut()?;
        let judged = first.judged.take()?;
        let first = self.unproven.pop_front()?;
        Some((first.incoming, judged))
    }

    /// Has an answer authenticated; whether there was room for it.
    pub(crate) fn seal(
        &mut self,
        asked: (&Arc<LinkMac>, Seal, Unsealed),
        pins: &Arc<PinDesk>,
    ) -> bool {
        let pending = self.waiting.len().saturating_add(self.making);
        if pending.saturating_add(self.beside()) >= self.answers_max {
            return false;
        }
        let Some(desk) = pins.desk() else {
            return false;
        };
        self.sealing += 1;
        desk.seal(asked, pins, &self.answers_in);
        true
    }

    /// Has made what a chip shall be told; gives the decision back where no device does that.
    pub(crate) fn make(
        &mut self,
        question: AnswerQuestion,
        reply: SequencerReply,
        pins: &Arc<PinDesk>,
    ) -> Option<SequencerReply> {
        let Some(desk) = pins.desk() else {
            return Some(reply);
        };
        self.making += 1;
        desk.make(
            (Box::new(question), Box::new(reply)),
            pins,
            &self.answers_in,
        );
        None
    }

    /// Takes a request, and asks its questions; gives it back when it may go on at once.
    pub(crate) fn take(
        &mut self,
        request: SequencerRequest,
        questions: Option<Box<Questions>>,
        pins: &Arc<PinDesk>,
    ) -> Option<SequencerRequest> {
        let is_asked = match (questions, pins.desk()) {
            (Some(questions), Some(desk)) => {
                desk.ask(questions, pins, request.slot, &self.answers_in);
                true
            }
            (Some(_), None) | (None, _) => false,
        };
        let card = request.facts.card;
        let is_behind = |it: &Waiting| it.request.facts.card == card;
        if !is_asked && !self.waiting.iter().any(is_behind) {
            return Some(request);
        }
        self.waiting.push_back(Waiting { request, is_asked });
        None
    }

    /// The next answer; waits for ever when nothing was asked.
    pub(crate) async fn next(&mut self) -> Option<Answered> {
        let answered = self.answers.recv().await;
        match &answered {
            Some(Answered::Made(..)) => self.making = self.making.saturating_sub(1),
            Some(Answered::Sealed(_)) => self.sealing = self.sealing.saturating_sub(1),
            Some(Answered::Learnt { .. } | Answered::Judged { .. }) | None => {}
        }
        answered
    }

    /// What may go on, now that this was answered, in the order in which it came.
    pub(crate) fn released(&mut self, slot: usize, learnt: Learnt) -> Vec<SequencerRequest> {
        let asked = self.waiting.iter_mut().find(|it| it.request.slot == slot);
        if let Some(asked) = asked {
            // Nobody else has the facts yet.
            learnt.told_to(Arc::make_mut(&mut asked.request.facts));
            asked.is_asked = false;
        }
        let mut held: Vec<CardToken> = Vec::new();
        let mut released = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let card = waiting.request.facts.card;
            if waiting.is_asked || held.contains(&card) {
                held.push(card);
                self.waiting.push_back(waiting);
            } else {
                released.push(waiting.request);
            }
        }
        released
    }
}

/// The next answer of a connection that may wait for some; else none ever.
pub(crate) async fn next(waiting: &mut Option<Box<WaitingRequests>>) -> Option<Answered> {
    match waiting {
        Some(waiting) => waiting.next().await,
        None => std::future::pending().await,
    }
}
