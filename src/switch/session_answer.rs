//! A session's answers: decisions into messages; what a chip is told is made before.

use crate::domain::chip::ChipVerdict;
use crate::iso8583::Message;

use super::dialect::chips;
use super::dialect::response::{Reply, render};
use super::hsm::desk::AnswerQuestion;
use super::jobs::SequencerReply;
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
        self.render_reply(&request.header, &request.message, &told);
        self.lines.push_decision(request, reply);
    }

    /// Renders an answer behind those that wait to be written.
    pub(super) fn render_reply(&mut self, header: &[u8], request: &Message, reply: &Reply<'_>) {
        if !self.writable {
            return;
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
}
