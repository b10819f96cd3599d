//! A session's answers: decisions into messages; what a chip is told is made before.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::domain::chip::ChipVerdict;
use crate::iso8583::Message;

use super::clock;
use super::dialect::chips;
use super::dialect::response::{Reply, render, render_with_code};
use super::hsm::desk::AnswerQuestion;
use super::jobs::SequencerReply;
use super::mac::{LinkMac, Seal, Unsealed};
use super::session::Session;
use super::slowing;
use super::wire::Wire;

impl<W: Wire> Session<'_, W> {
    /// Renders a run of answers; one that a device must help with is rendered when it has.
    pub(super) fn render_replies(&mut self, replies: Vec<SequencerReply>) {
        for reply in replies {
            let Some(reply) = slowing::at_once(&self.link.listener.name, &self.replies_in, reply)
            else {
                continue;
            };
            let Some(question) = self.chip_question(&reply) else {
                self.finish(reply, None);
                continue;
            };
            let link = self.link;
            if let Some(waiting) = &mut self.waiting {
                // Otherwise it comes back through the channel of answers.
                if let Some(reply) = waiting.make(question, reply, &link.pins) {
                    self.finish(reply, None);
                }
                continue;
            }
            let chip = question.answered_by(&link.pins);
            self.finish(reply, chip.as_deref());
        }
    }

    /// What a chip has to be told, where it has proven itself.
    fn chip_question(&self, reply: &SequencerReply) -> Option<AnswerQuestion> {
        let chip = reply.facts.chip()?;
        if chip.verdict != ChipVerdict::Right {
            return None;
        }
        let message = &self.in_flight.get(reply.slot)?.message;
        chips::question(self.link.dialect.edition, message, &reply.decision)
    }

    /// Renders the answer to a request in flight.
    pub(super) fn finish(&mut self, reply: SequencerReply, chip: Option<&[u8]>) {
        let Some(request) = self.in_flight.take(reply.slot) else {
            return;
        };
        let told = Reply {
            chip,
            ..Reply::to(&reply.decision)
        };
        let asked = (&request.message, request.seal.as_ref());
        self.render_reply(&request.header, asked, &told);
        self.lines.push_decision(request, reply);
    }

    /// Renders an answer behind those that wait to be written.
    pub(super) fn render_reply(
        &mut self,
        header: &Bytes,
        (request, seal): (&Message, Option<&Seal>),
        reply: &Reply<'_>,
    ) {
        if !self.writable {
            return;
        }
        if let (Some(mac), Some(seal)) = (&self.link.mac, seal) {
            return self.render_authenticated(header, (request, mac, seal), reply);
        }
        let before = self.write.len();
        let mark = self.codec.begin_reply(&mut self.write, header);
        match render(
            &self.link.dialect,
            self.link.spec,
            request,
            reply,
            &mut self.write,
        ) {
            Ok(true) => {
                self.unwritten += 1;
                if let Err(error) = self.codec.finish(&mut self.write, mark) {
                    tracing::error!(link = self.link.listener.name, %error, "frame an answer");
                }
            }
            Ok(false) => self.write.truncate(before),
            Err(error) => {
                self.write.truncate(before);
                tracing::error!(link = self.link.listener.name, %error, "render an answer");
            }
        }
    }

    /// The same with an authentication code; where a device makes that, the answer is written when
    /// it has.
    #[inline(never)]
    fn render_authenticated(
        &mut self,
        header: &Bytes,
        (request, mac, seal): (&Message, &Arc<LinkMac>, &Seal),
        reply: &Reply<'_>,
    ) {
        let link = self.link;
        let mut body = BytesMut::new();
        let rendered = render_with_code(&link.dialect, link.spec, request, reply, &mut body);
        let place = match rendered {
            Ok(Some(place)) => place,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(link = link.listener.name, %error, "render an answer");
                return;
            }
        };
        let header = header.clone();
        let mut unsealed = Unsealed {
            header,
            body,
            place,
        };
        let Some(waiting) = &mut self.waiting else {
            let sealed = mac.seal(seal, &mut unsealed).is_ok();
            return self.send_sealed(sealed.then_some(Box::new(unsealed)));
        };
        if !waiting.seal((mac, Arc::clone(seal), unsealed), &link.pins) {
            self.send_sealed(None);
        }
    }

    /// Frames an answer with its authentication code; without one none may go, and the peer will
    /// ask again.
    pub(super) fn send_sealed(&mut self, sealed: Option<Box<Unsealed>>) {
        let link = self.link;
        let Some(sealed) = sealed else {
            if let Some(admission) = link.desk.admit(clock::instant()) {
                tracing::error!(
                    link = link.listener.name,
                    kept_back = admission.kept_back,
                    "an answer stays away: nobody made its authentication code"
                );
            }
            return;
        };
        if !self.writable {
            return;
        }
        let mark = self.codec.begin_reply(&mut self.write, &sealed.header);
        self.write.extend_from_slice(&sealed.body);
        self.unwritten += 1;
        if let Err(error) = self.codec.finish(&mut self.write, mark) {
            tracing::error!(link = link.listener.name, %error, "frame an answer");
        }
    }
}
