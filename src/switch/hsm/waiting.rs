//! Requests of one connection that wait for a device, and those of the same cards behind them.
//!
//! Requests of a card go on in the order in which they came; those of other cards pass by.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::desk::{AnswerQuestion, Answered, Learnt, Questions};
use crate::domain::pan::CardToken;
use crate::switch::jobs::{SequencerReply, SequencerRequest};
use crate::switch::pin::PinDesk;

/// The requests that wait.
pub(crate) struct WaitingRequests {
    waiting: VecDeque<Waiting>,
    /// Answers that a device helps with.
    making: usize,
    answers_in: mpsc::Sender<Answered>,
    answers: mpsc::Receiver<Answered>,
}

struct Waiting {
    request: SequencerRequest,
    is_asked: bool,
}

impl WaitingRequests {
    /// Nothing waits yet; there is room for every request in flight.
    pub(crate) fn new(in_flight_max: usize) -> WaitingRequests {
        let (answers_in, answers) = mpsc::channel(in_flight_max);
        WaitingRequests {
            waiting: VecDeque::new(),
            making: 0,
            answers_in,
            answers,
        }
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.making == 0
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
        if let Some(Answered::Made(..)) = answered {
            self.making = self.making.saturating_sub(1);
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
