//! Questions about messages for a device, asked beside the tasks that serve sockets.
//!
//! A device takes milliseconds and may take its whole deadline, so whoever serves a connection must
//! not wait for it. As many threads as there are connections to devices ask; what they learn comes
//! back as data. Everything is bounded: who finds the queue full, or waited in it beyond the
//! deadline, is told that no device is there.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::domain::conditions::PinVerdict;
use crate::domain::facts::Facts;
use crate::domain::pan::{CardToken, Pan};
use crate::domain::pin_choice::NewPin;
use crate::switch::clock::{self, Tick};
use crate::switch::pin::PinDesk;

/// Questions that may wait for a thread.
const QUEUE_MAX: usize = 4_096;

/// What one message wants to know of a device. It holds the card number as long as that takes.
pub struct Questions {
    /// The card's number.
    pub pan: Pan,
    /// Its name everywhere else.
    pub card: CardToken,
    /// A PIN block, to be judged.
    pub pin: Option<Zeroizing<Vec<u8>>>,
    /// The PIN block of a PIN that shall be the new one.
    pub new_pin: Option<Zeroizing<[u8; 8]>>,
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Questions")
    }
}

/// What was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    pin: Option<PinVerdict>,
    new_pin: Option<NewPin>,
}

/// The answer to the questions of the request in a slot.
pub struct Answered {
    /// The connection's own number for the request.
    pub slot: usize,
    /// What was learnt.
    pub learnt: Learnt,
}

/// Where questions are handed in; the threads end with it.
pub struct QuestionDesk {
    waiting: SyncSender<Asked>,
}

struct Asked {
    questions: Box<Questions>,
    pins: Arc<PinDesk>,
    slot: usize,
    at: Tick,
    answers: mpsc::Sender<Answered>,
}

impl Questions {
    /// The questions of a message, begun if there are none yet.
    pub fn about(asked: &mut Option<Box<Questions>>, pan: Pan, card: CardToken) -> &mut Questions {
        asked.get_or_insert_with(|| {
            Box::new(Questions {
                pan,
                card,
                pin: None,
                new_pin: None,
            })
        })
    }

    fn asked_of(&self, pins: &PinDesk) -> Learnt {
        let pin = self.pin.as_ref();
        let new_pin = self.new_pin.as_ref();
        Learnt {
            pin: pin.map(|block| pins.verdict(block, &self.pan, &self.card)),
            new_pin: new_pin.map(|block| pins.chosen(**block, &self.pan, &self.card)),
        }
    }

    fn unanswered(&self) -> Learnt {
        Learnt {
            pin: self.pin.as_ref().map(|_| PinVerdict::Unavailable),
            new_pin: self.new_pin.as_ref().map(|_| NewPin::CannotBeMade),
        }
    }
}

impl Learnt {
    /// States it among what a message says.
    pub fn told_to(self, facts: &mut Facts) {
        if let Some(pin) = self.pin {
            facts.pin = pin;
        }
        if let Some(new_pin) = self.new_pin {
            facts.rare.get_or_insert_default().new_pin = Some(new_pin);
        }
    }
}

impl QuestionDesk {
    /// A desk with so many threads; nothing waits longer than `deadline` for one of them.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(threads: usize, deadline: Duration) -> io::Result<QuestionDesk> {
        let (waiting, queue) = sync_channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        for _ in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("hsm".to_owned())
                .spawn(move || answer(&queue, deadline))?;
        }
        Ok(QuestionDesk { waiting })
    }

    /// Hands questions in; the answer comes through `answers`, which has room for it.
    pub fn ask(
        &self,
        questions: Box<Questions>,
        pins: &Arc<PinDesk>,
        slot: usize,
        answers: &mpsc::Sender<Answered>,
    ) {
        let asked = Asked {
            questions,
            pins: Arc::clone(pins),
            slot,
            at: clock::tick(),
            answers: answers.clone(),
        };
        if let Err(refused) = self.waiting.try_send(asked) {
            use std::sync::mpsc::TrySendError::{Disconnected, Full};
            let (Full(asked) | Disconnected(asked)) = refused;
            let learnt = asked.questions.unanswered();
            asked.done(learnt);
        }
    }
}

impl Asked {
    fn done(self, learnt: Learnt) {
        let slot = self.slot;
        // A connection that is gone misses it.
        let _ = self.answers.try_send(Answered { slot, learnt });
    }
}

fn answer(queue: &Mutex<Receiver<Asked>>, deadline_ns: u64) {
    loop {
        let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(asked) = queue.recv() else {
            return;
        };
        drop(queue);
        let is_late = clock::tick().since(asked.at) > deadline_ns;
        let learnt = if is_late {
            asked.questions.unanswered()
        } else {
            asked.questions.asked_of(&asked.pins)
        };
        asked.done(learnt);
    }
}
