//! What a session makes of each message that comes: a request for the single writer, an answer at
//! once, or a refusal.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::decision::Reason;
use crate::iso8583::{DecodeFailure, Message, decode};
use crate::transport::Frame;

use super::clock::{self, Tick};
use super::dialect::request::{Reject, Request, RequestParser};
use super::dialect::response::Reply;
use super::dialect::table::Management;
use super::in_flight::InFlight;
use super::jobs::SequencerRequest;
use super::link_keys::{NewKey, NotTaken};
use super::mac::{LinkMac, Seal, Unproven};
use super::overload::{is_decided, is_question};
use super::session::Session;
use super::session_log::Steps;
use super::sessions::SignOn;
use super::telemetry::Telemetry;
use super::wire::Wire;

/// A message that came, and what its answer needs.
pub(crate) struct Incoming {
    /// Its transport header.
    pub(super) header: Bytes,
    /// What it says.
    pub(crate) message: Message,
    pub(super) steps: Steps,
    /// What its answer is authenticated with; `None`: it is not.
    pub(super) seal: Option<Seal>,
}

impl<W: Wire> Session<'_, W> {
    /// Translates the message of a frame; returns when that was done.
    pub(super) fn take_frame(
        &mut self,
        frame: Frame,
        received: Tick,
        requests: &mut Vec<SequencerRequest>,
    ) -> Tick {
        let link = self.link;
        let decoded_or_not = decode(link.spec, frame.body.clone());
        let decoded = clock::tick();
        let steps = Steps { received, decoded };
        let message = match decoded_or_not {
            Ok(message) => message,
            Err(failure) => {
                self.answer_undecodable(frame.header, failure, steps);
                return clock::tick();
            }
        };
        self.unread = None;
        if self.is_full() && is_decided(message.mti()) {
            if is_question(message.mti()) {
                let most = link.listener.in_flight_max;
                let reject = Reject {
                    reason: Reason::Overload,
                    evidence: format!("{most} requests of this connection wait already"),
                };
                Telemetry::add(&link.telemetry.requests_turned_away);
                self.reject(&self.unproven(frame.header, message, steps), &reject);
            } else {
                self.held = Some(frame);
            }
            return clock::tick();
        }
        let incoming = Incoming {
            header: frame.header,
            message,
            steps,
            seal: None,
        };
        match &link.mac {
            None => self.take_message(incoming, requests),
            Some(mac) => self.take_unproven(mac, incoming, requests),
        }
    }

    /// A message that is answered before it was proven to be the peer's.
    fn unproven(&self, header: Bytes, message: Message, steps: Steps) -> Incoming {
        Incoming {
            header,
            message,
            steps,
            seal: self.link.mac.as_ref().map(|mac| mac.own_seal()),
        }
    }

    /// Judges the authentication code of a message; where a device does that, it is gone on with
    /// when that has answered.
    #[inline(never)]
    fn take_unproven(
        &mut self,
        mac: &Arc<LinkMac>,
        mut incoming: Incoming,
        requests: &mut Vec<SequencerRequest>,
    ) -> Tick {
        if let Some(waiting) = &mut self.waiting {
            waiting.judge(mac, incoming, &self.link.pins);
            return clock::tick();
        }
        match mac.judge(&incoming.message) {
            Ok(seal) => {
                incoming.seal = seal;
                self.take_message(incoming, requests)
            }
            Err(unproven) => {
                self.refuse(incoming, unproven);
                clock::tick()
            }
        }
    }

    /// Goes on with the messages that are judged, in the order in which they came.
    pub(super) fn take_judged(
        &mut self,
        number: u64,
        judged: Result<Option<Seal>, Unproven>,
    ) -> Vec<SequencerRequest> {
        let mut requests = Vec::new();
        let waited = self.in_flight.len();
        if let Some(waiting) = &mut self.waiting {
            waiting.judged(number, judged);
        }
        while let Some((mut incoming, judged)) = self.waiting.as_mut().and_then(|it| it.proven()) {
            match judged {
                Ok(seal) => {
                    incoming.seal = seal;
                    self.take_message(incoming, &mut requests);
                }
                Err(unproven) => self.refuse(incoming, unproven),
            }
        }
        let taken = self.in_flight.len().saturating_sub(waited);
        self.link.meter.taken(taken);
        requests
    }

    /// A message that is not proven to be the peer's: told to whoever watches, a few at a time.
    fn refuse(&mut self, mut incoming: Incoming, unproven: Unproven) {
        let link = self.link;
        Telemetry::add(&link.telemetry.macs_refused);
        let reject = unproven.reject();
        if let Some(admission) = link.desk.admit(clock::instant()) {
            tracing::warn!(
                link = link.listener.name,
                peer = %self.peer,
                mti = %incoming.message.mti(),
                why = reject.evidence,
                kept_back = admission.kept_back,
                "a message is not proven to be its link's"
            );
        }
        incoming.seal = link.mac.as_ref().map(|mac| mac.own_seal());
        self.reject(&incoming, &reject);
    }

    /// Makes of a message what it asks for; returns when that was done.
    #[inline]
    fn take_message(&mut self, incoming: Incoming, requests: &mut Vec<SequencerRequest>) -> Tick {
        let link = self.link;
        let asked = match &link.permits {
            None => self.parser().parse(&incoming.message),
            Some(permits) => permits.parse(&self.parser(), &incoming.message, &link.telemetry),
        };
        match asked {
            Request::Card(_) if !self.may_send_requests() => {
                let reject = Reject {
                    reason: Reason::NotSignedOn,
                    evidence: "the link has not signed on".to_owned(),
                };
                self.reject(&incoming, &reject);
            }
            Request::Card(request) => {
                let submitted = clock::tick();
                let slot = self.in_flight.insert(InFlight {
                    message: incoming.message,
                    header: incoming.header,
                    masked: request.masked,
                    received: incoming.steps.received,
                    decoded: incoming.steps.decoded,
                    seal: incoming.seal,
                });
                let asked = SequencerRequest {
                    slot,
                    facts: request.facts,
                    submitted,
                };
                match &mut self.waiting {
                    None => requests.push(asked),
                    Some(waiting) => {
                        requests.extend(waiting.take(asked, request.questions, &link.pins));
                    }
                }
                return submitted;
            }
            Request::Management(what) => self.manage(&incoming, what),
            Request::NewKey(new) => self.new_keys.push((incoming, new)),
            Request::Settlement(wanted) => self.settlements.push((incoming, wanted)),
            Request::Reject(reject) => self.reject(&incoming, &reject),
            Request::Unasked => {
                Telemetry::add(&link.telemetry.messages_unanswerable);
                tracing::warn!(
                    link = link.listener.name,
                    mti = %incoming.message.mti(),
                    "an answer to something never asked"
                );
            }
        }
        clock::tick()
    }

    fn parser(&self) -> RequestParser<'_> {
        RequestParser {
            dialect: &self.link.dialect,
            spec: self.link.spec,
            dialect_number: self.link.dialect_number,
            token_key: &self.link.token_key,
            pins: &self.link.pins,
            pin_key: self.link.pin_key.as_ref(),
            rulebook: &self.rulebook,
            link: &self.link.listener.name,
            link_number: self.link.number,
            replacement_amounts: self.link.listener.replacement_amounts,
        }
    }

    fn may_send_requests(&self) -> bool {
        match self.sign_on {
            SignOn::On => true,
            SignOn::NotYet => !self.link.listener.sign_on_required,
            SignOn::Off => false,
        }
    }

    /// Notes that the peer signs on or off, or is signed off.
    pub(super) fn sign(&mut self, sign_on: SignOn) {
        let before = std::mem::replace(&mut self.sign_on, sign_on);
        let meter = &self.link.meter;
        meter.signed(before == SignOn::On, sign_on == SignOn::On);
        self.seat.signed(sign_on);
    }

    fn manage(&mut self, incoming: &Incoming, what: Management) {
        match what {
            Management::SignOn => self.sign(SignOn::On),
            Management::SignOff => self.sign(SignOn::Off),
            // A cutover is the single writer's to decide.
            Management::Echo | Management::Cutover => {}
            // New keys are taken elsewhere.
            Management::NewKey | Management::NewMacKey | Management::NewPinKey => {}
        }
        let approved = self.link.dialect.codes.code(Reason::Approved);
        self.reply_to(incoming, &Reply::coded(approved));
        let kept_back = match what {
            Management::Echo => match self.link.lines.admit(clock::instant()) {
                Some(admission) => admission.kept_back,
                None => return,
            },
            _ => 0,
        };
        let link = &self.link.listener.name;
        tracing::info!(link, management = ?what, kept_back, "network management");
    }

    /// Takes a new key of the link, and says so when it is kept.
    pub(super) async fn take_key(&mut self, incoming: Incoming, new: Box<NewKey>) {
        let link = self.link;
        let Some(exchange) = link.exchange.clone() else {
            let reject = Reject {
                reason: Reason::NotSupported,
                evidence: "the link takes no keys".to_owned(),
            };
            return self.reject(&incoming, &reject);
        };
        let taking = move || exchange.take(&new, clock::now());
        let taken = tokio::task::spawn_blocking(taking).await;
        let taken = taken.map_err(|error| NotTaken::NotKept(error.to_string()));
        match taken.and_then(|taken| taken) {
            Ok(taken) => {
                Telemetry::add(&link.telemetry.link_keys_taken);
                tracing::info!(
                    link = link.listener.name,
                    peer = %self.peer,
                    kind = ?taken.kind,
                    check_value = base16ct::upper::encode_string(&taken.check_value),
                    is_known = taken.is_known,
                    "a new key of the link is in force"
                );
                let approved = link.dialect.codes.code(Reason::Approved);
                self.reply_to(&incoming, &Reply::coded(approved));
            }
            Err(not_taken) => {
                let reject = Reject {
                    reason: match not_taken {
                        NotTaken::NotOffered(_) => Reason::NotSupported,
                        _ => Reason::KeyNotTaken,
                    },
                    evidence: not_taken.to_string(),
                };
                if let Some(admission) = link.desk.admit(clock::instant()) {
                    tracing::warn!(
                        link = link.listener.name,
                        peer = %self.peer,
                        why = reject.evidence,
                        kept_back = admission.kept_back,
                        "a new key of the link was not taken"
                    );
                }
                self.reject(&incoming, &reject);
            }
        }
    }

    /// A message that is not processed is answered, and logged like a decision. To whom it may be
    /// anybody's nothing is repeated but what the peer knows it by.
    pub(super) fn reject(&mut self, incoming: &Incoming, reject: &Reject) {
        let code = self.link.dialect.codes.code(reject.reason);
        let is_bare = matches!(reject.reason, Reason::MacWrong | Reason::MacUnavailable);
        let reply = Reply {
            is_bare,
            ..Reply::coded(code)
        };
        self.reply_to(incoming, &reply);
        let (message, steps) = (&incoming.message, incoming.steps);
        self.lines.push_reject(message, reject, code, steps);
    }

    /// Answers a message at once.
    pub(super) fn reply_to(&mut self, incoming: &Incoming, reply: &Reply<'_>) {
        let Incoming {
            header,
            message,
            seal,
            ..
        } = incoming;
        self.render_reply(header, (message, seal.as_ref()), reply);
    }

    /// Answers with a format error when the message type and DE 11 could be read.
    fn answer_undecodable(&mut self, header: Bytes, failure: DecodeFailure, steps: Steps) {
        Telemetry::add(&self.link.telemetry.messages_undecodable);
        self.diagnose();
        let answerable = failure
            .partial
            .filter(|partial| partial.has(11) && partial.mti().response().is_some());
        match answerable {
            Some(partial) => {
                let reject = Reject {
                    reason: Reason::FormatError,
                    evidence: failure.error.to_string(),
                };
                self.reject(&self.unproven(header, partial, steps), &reject);
            }
            None => {
                Telemetry::add(&self.link.telemetry.messages_unanswerable);
                tracing::warn!(
                    link = self.link.listener.name,
                    error = %failure.error,
                    "a message that cannot be answered"
                );
            }
        }
    }
}
