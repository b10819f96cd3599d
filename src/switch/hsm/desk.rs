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

use crate::domain::card_value::CardValueVerdict;
use crate::domain::chip::ChipUse;
use crate::domain::conditions::PinVerdict;
use crate::domain::facts::Facts;
use crate::domain::pan::{CardToken, Pan};
use crate::domain::pin_choice::NewPin;
use crate::iso8583::Message;
use crate::switch::card_check::{AskedValue, IssuerAnswer};
use crate::switch::clock::{self, Tick};
use crate::switch::jobs::SequencerReply;
use crate::switch::link_keys::LinkKey;
use crate::switch::mac::{LinkMac, Seal, Unproven, Unsealed};
use crate::switch::pin::{PinDesk, Zone};

/// Questions that may wait for a thread.
const QUEUE_MAX: usize = 4_096;

/// What one message wants to know of a device. It holds the card number as long as that takes.
pub struct Questions {
    /// The card's number.
    pub pan: Pan,
    /// Its name everywhere else.
    pub card: CardToken,
    /// What PIN blocks of its link come under; `None`: the key that nobody names.
    pub pin_key: Option<Arc<LinkKey>>,
    /// A PIN block, to be judged.
    pub pin: Option<Zeroizing<Vec<u8>>>,
    /// The PIN block of a PIN that shall be the new one.
    pub new_pin: Option<Zeroizing<[u8; 8]>>,
    /// A chip's data, of which the cryptogram is to be judged.
    pub chip: Option<ChipData>,
    /// The value of a track.
    pub track: Option<AskedValue>,
    /// The value printed on the card.
    pub printed: Option<AskedValue>,
}

/// The data of a chip, and its sequence number where that stands beside them.
pub struct ChipData {
    /// The sequence number (PSN).
    pub sequence_number: Option<u8>,
    /// The data.
    pub data: Zeroizing<Vec<u8>>,
}

/// What a chip shall be told about a decision.
pub struct AnswerQuestion {
    /// The card's number.
    pub pan: Pan,
    /// What the chip said.
    pub chip: ChipData,
    /// The response code for chips.
    pub code: [u8; 2],
    /// Whether that is an approval.
    pub is_approved: bool,
}

impl AnswerQuestion {
    /// Chip data of the answer; `None` when they cannot be made.
    pub fn answered_by(&self, pins: &PinDesk) -> Option<IssuerAnswer> {
        let chip = (self.chip.sequence_number, &**self.chip.data);
        let code = (self.code, self.is_approved);
        pins.cards()?.answer(&self.pan, chip, code)
    }
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
    chip: Option<ChipUse>,
    track: Option<CardValueVerdict>,
    printed: Option<CardValueVerdict>,
}

/// What came of being asked.
pub enum Answered {
    /// The answer to the questions of the request in a slot.
    Learnt {
        /// The connection's own number for the request.
        slot: usize,
        /// What was learnt.
        learnt: Learnt,
    },
    /// What a chip shall be told, with the decision about its request.
    Made(Box<SequencerReply>, Option<IssuerAnswer>),
    /// Whether a message is its link's own.
    Judged {
        /// The connection's own number for the message.
        number: u64,
        /// What its answer is authenticated with.
        judged: Result<Option<Seal>, Unproven>,
    },
    /// An answer with its authentication code; `None`: nobody made one.
    Sealed(Option<Box<Unsealed>>),
}

/// Where questions are handed in; the threads end with it.
pub struct QuestionDesk {
    waiting: SyncSender<Asked>,
}

struct Asked {
    matter: Matter,
    pins: Arc<PinDesk>,
    at: Tick,
    answers: mpsc::Sender<Answered>,
}

/// What is asked.
enum Matter {
    /// What must be known before a request is decided, and the slot of that.
    Facts(Box<Questions>, usize),
    /// What a chip shall be told about the decision.
    Answer(Box<AnswerQuestion>, Box<SequencerReply>),
    /// Whether a message is its link's own, and its number.
    Mac(Arc<LinkMac>, Box<Message>, u64),
    /// The authentication code of an answer.
    Seal(Arc<LinkMac>, Seal, Box<Unsealed>),
}

impl Questions {
    /// The questions of a message, begun if there are none yet.
    pub fn about(asked: &mut Option<Box<Questions>>, pan: Pan, card: CardToken) -> &mut Questions {
        asked.get_or_insert_with(|| {
            Box::new(Questions {
                pan,
                card,
                pin_key: None,
                pin: None,
                new_pin: None,
                chip: None,
                track: None,
                printed: None,
            })
        })
    }

    fn asked_of(&self, pins: &PinDesk) -> Learnt {
        let zone = Zone(self.pin_key.as_deref());
        let pin = self.pin.as_ref();
        let new_pin = self.new_pin.as_ref();
        let chip = self.chip.as_ref().zip(pins.cards());
        let value =
            |asked: &Option<AskedValue>| Some(pins.cards()?.value(&self.pan, asked.as_ref()?));
        Learnt {
            pin: pin.map(|block| pins.verdict(zone, block, &self.pan, &self.card)),
            new_pin: new_pin.map(|block| pins.chosen(zone, **block, &self.pan, &self.card)),
            chip: chip
                .and_then(|(chip, cards)| cards.chip(&self.pan, chip.sequence_number, &chip.data)),
            track: value(&self.track),
            printed: value(&self.printed),
        }
    }

    fn unanswered(&self) -> Learnt {
        Learnt {
            pin: self.pin.as_ref().map(|_| PinVerdict::Unavailable),
            new_pin: self.new_pin.as_ref().map(|_| NewPin::CannotBeMade),
            // Until these are judged they count as such already.
            chip: None,
            track: None,
            printed: None,
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
        if let Some(chip) = self.chip {
            facts.rare.get_or_insert_default().chip = Some(chip);
        }
        if let Some(track) = self.track {
            facts.rare.get_or_insert_default().track = Some(track);
        }
        if let Some(printed) = self.printed {
            facts.rare.get_or_insert_default().printed = Some(printed);
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
        self.hand_in(Matter::Facts(questions, slot), pins, answers);
    }

    /// Has made what a chip shall be told about a decision; both come through `answers`.
    pub fn make(
        &self,
        (question, reply): (Box<AnswerQuestion>, Box<SequencerReply>),
        pins: &Arc<PinDesk>,
        answers: &mpsc::Sender<Answered>,
    ) {
        self.hand_in(Matter::Answer(question, reply), pins, answers);
    }

    /// Has a message judged; what came of it comes through `answers`.
    pub fn judge(
        &self,
        (mac, message, number): (&Arc<LinkMac>, Message, u64),
        pins: &Arc<PinDesk>,
        answers: &mpsc::Sender<Answered>,
    ) {
        let matter = Matter::Mac(Arc::clone(mac), Box::new(message), number);
        self.hand_in(matter, pins, answers);
    }

    /// Has an answer authenticated; it comes through `answers`.
    pub fn seal(
        &self,
        (mac, seal, unsealed): (&Arc<LinkMac>, Seal, Unsealed),
        pins: &Arc<PinDesk>,
        answers: &mpsc::Sender<Answered>,
    ) {
        let matter = Matter::Seal(Arc::clone(mac), seal, Box::new(unsealed));
        self.hand_in(matter, pins, answers);
    }

    fn hand_in(&self, matter: Matter, pins: &Arc<PinDesk>, answers: &mpsc::Sender<Answered>) {
        let asked = Asked {
            matter,
            pins: Arc::clone(pins),
            at: clock::tick(),
            answers: answers.clone(),
        };
        if let Err(refused) = self.waiting.try_send(asked) {
            use std::sync::mpsc::TrySendError::{Disconnected, Full};
            let (Full(asked) | Disconnected(asked)) = refused;
            asked.done(false);
        }
    }
}

impl Asked {
    /// Answers; without a device where nobody may be asked any more.
    fn done(self, may_ask: bool) {
        let pins = &*self.pins;
        let answered = match self.matter {
            Matter::Facts(questions, slot) => Answered::Learnt {
                slot,
                learnt: match may_ask {
                    true => questions.asked_of(pins),
                    false => questions.unanswered(),
                },
            },
            Matter::Answer(question, reply) => {
                let made = may_ask.then(|| question.answered_by(pins)).flatten();
                Answered::Made(reply, made)
            }
            Matter::Mac(mac, message, number) => {
                let late = || Err(Unproven::Unjudged("nobody was free in time".to_owned()));
                let judged = if may_ask { mac.judge(&message) } else { late() };
                Answered::Judged { number, judged }
            }
            Matter::Seal(mac, seal, mut unsealed) => {
                let made = may_ask && mac.seal(&seal, &mut unsealed).is_ok();
                Answered::Sealed(made.then_some(unsealed))
            }
        };
        // A connection that is gone misses it.
        let _ = self.answers.try_send(answered);
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
        asked.done(!is_late);
    }
}
