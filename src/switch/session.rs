//! One connection of a peer: read, decode, hand over, answer.
//!
//! One task per connection. Whatever one read brought is handed to the single writer as one job;
//! whatever the writer released is written with one write. Invariants: at most `in_flight_max`
//! requests wait for their answer, and no byte is read beyond that; what was handed over is
//! answered or, when the peer has gone, at least logged.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::codec::Decoder;

use crate::domain::rulebook::Rulebook;
use crate::transport::{Frame, FrameCodec};

use super::clock;
use super::config::WhenFull;
use super::dialect::request::Settlement;
use super::doctor::EXAMINED_BYTES_MAX;
use super::hsm::desk::Answered;
use super::hsm::waiting::{self, WaitingRequests};
use super::in_flight::InFlightTable;
use super::io_threads::Home;
use super::jobs::{Job, ReplyTo, SequencerReply, SequencerRequest};
use super::link::Link;
use super::link_keys::NewKey;
use super::read_room::ReadRoom;
use super::session_end::SessionEnd;
use super::session_log;
use super::session_take::Incoming;
use super::session_write;
use super::sessions::{Ending, Orders, Seat, SignOn};
use super::settlement;
use super::telemetry::Telemetry;
use super::wire::Wire;

/// How long a peer may go on sending to who takes nothing more before it is closed all the same.
const LINGER_MAX: Duration = Duration::from_secs(3);

/// One connection.
pub(super) struct Session<'a, W> {
    pub(super) link: &'a Link,
    /// The thread that serves it.
    home: &'a Arc<Home>,
    stream: W,
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// Tells of other programmes.
    rules: watch::Receiver<Arc<Rulebook>>,
    /// The programmes as the last read found them.
    pub(super) rulebook: Arc<Rulebook>,
    pub(super) codec: FrameCodec,
    pub(super) sign_on: SignOn,
    /// What others see of it, and what they tell it.
    pub(super) seat: Seat,
    /// Answers that wait to be written.
    pub(super) unwritten: usize,
    pub(super) in_flight: InFlightTable,
    pub(super) replies_in: mpsc::Sender<Vec<SequencerReply>>,
    replies: mpsc::Receiver<Vec<SequencerReply>>,
    /// Requests that wait for a device, where one keeps the keys.
    pub(super) waiting: Option<Box<WaitingRequests>>,
    read: BytesMut,
    /// A message that needs room, and came when there was none.
    pub(super) held: Option<Frame>,
    /// How much one read may bring.
    read_room: ReadRoom,
    pub(super) write: BytesMut,
    /// What the peer has sent until now, while none of it was a message.
    pub(super) unread: Option<Vec<u8>>,
    /// When the last byte came.
    last_read: Instant,
    /// When the frame that is not complete yet began.
    frame_began: Option<Instant>,
    /// Lines to be logged once their answers are written.
    pub(super) lines: session_log::Lines,
    /// Requests about the link's business day, for after what came with them.
    pub(super) settlements: Vec<(Incoming, Settlement)>,
    /// New keys of the link, likewise.
    pub(super) new_keys: Vec<(Incoming, Box<NewKey>)>,
    /// Whether the peer can still take answers.
    pub(super) writable: bool,
}

impl<'a, W: Wire> Session<'a, W> {
    /// A session on a fresh connection.
    pub(super) fn new(
        (link, home): (&'a Link, &'a Arc<Home>),
        stream: W,
        peer: SocketAddr,
        seat: Seat,
    ) -> Session<'a, W> {
        let in_flight_max = link.listener.in_flight_max;
        // Every message of the channel answers at least one request in flight.
        let (replies_in, replies) = mpsc::channel(in_flight_max);
        let mut rules = link.rules.clone();
        let rulebook = Arc::clone(&rules.borrow_and_update());
        Session {
            link,
            home,
            stream,
            peer,
            rules,
            rulebook,
            codec: link.codec.clone(),
            sign_on: SignOn::NotYet,
            seat,
            unwritten: 0,
            in_flight: InFlightTable::new(in_flight_max),
            replies_in,
            replies,
            waiting: link
                .pins
                .desk()
                .map(|_| Box::new(WaitingRequests::new(in_flight_max))),
            read: BytesMut::new(),
            held: None,
            read_room: ReadRoom::new(),
            write: BytesMut::new(),
            unread: Some(Vec::new()),
            last_read: clock::instant(),
            frame_began: None,
            lines: session_log::Lines::default(),
            settlements: Vec::new(),
            new_keys: Vec::new(),
            writable: true,
        }
    }

    /// Serves the connection until it ends, then answers or logs what is still in flight.
    pub(super) async fn serve(mut self) -> SessionEnd {
        let end = match self.serve_until_end().await {
            Ok(end) | Err(end) => end,
        };
        if matches!(end, SessionEnd::Frame(_) | SessionEnd::ReadTimeout(_)) {
            self.diagnose();
        }
        // Whatever it said last, what it asked before is answered while it can be told.
        self.writable = !matches!(end, SessionEnd::WriteTimeout(_) | SessionEnd::Io(_));
        while !self.in_flight.is_empty() || self.awaits_device() {
            let replies = tokio::select! {
                Some(answered) = waiting::next(&mut self.waiting), if self.awaits_device() => {
                    if self.release(answered).await.is_err() {
                        break;
                    }
                    continue;
                }
                Some(replies) = self.replies.recv() => replies,
                else => break,
            };
            if let Err(late) = self.answer(replies).await {
                self.writable = false;
                tracing::debug!(link = self.link.listener.name, reason = %late, "late answer");
            }
        }
        self.sign(SignOn::NotYet);
        self.link.meter.abandoned(self.in_flight.len());
        // The peer may already be gone; nothing is lost by that.
        let _ = self.stream.shutdown().await;
        if matches!(end, SessionEnd::Stopping | SessionEnd::Drained) {
            // The limit passed: the peer has had its chance.
            let quiet = session_write::discard_until_quiet(&mut self.stream);
            let _ = tokio::time::timeout(LINGER_MAX, quiet).await;
        }
        end
    }

    async fn serve_until_end(&mut self) -> Result<SessionEnd, SessionEnd> {
        let wake = sleep_until(self.deadline().into());
        tokio::pin!(wake);
        loop {
            let orders = *self.seat.orders.borrow_and_update();
            if orders != Orders::default()
                && let Some(end) = self.obey(orders)
            {
                return Ok(end);
            }
            self.read_room.reserve(&mut self.read);
            tokio::select! {
                Some(replies) = self.replies.recv(), if !self.in_flight.is_empty() => {
                    self.answer(replies).await?;
                    // Frames that had no room may have some now.
                    self.take_frames().await?;
                }
                Some(answered) = waiting::next(&mut self.waiting), if self.awaits_device() => {
                    self.release(answered).await?;
                    self.take_frames().await?;
                }
                read = self.stream.read_buf(&mut self.read), if self.may_take() => {
                    let count = match read {
                        // A TLS connection that ends without a farewell, as many peers have it: a
                        // frame that it cut off is told as one of a plain connection is.
                        Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
                        read => read?,
                    };
                    if count == 0 {
                        return Ok(self.peer_closed());
                    }
                    self.read_room.fit(&self.read, count);
                    self.keep_unread(count);
                    self.last_read = clock::instant();
                    self.take_frames().await?;
                    if wake.deadline() > self.deadline().into() {
                        wake.as_mut().reset(self.deadline().into());
                    }
                }
                () = &mut wake => {
                    self.check_deadlines()?;
                    wake.as_mut().reset(self.deadline().into());
                }
                changed = self.seat.orders.changed() => {
                    if changed.is_err() {
                        // Nobody could tell it anything any more.
                        return Ok(SessionEnd::Stopping);
                    }
                }
            }
        }
    }

    /// Does what it was told; how it ends, if it has to.
    fn obey(&mut self, orders: Orders) -> Option<SessionEnd> {
        if self.seat.must_sign_off(orders) {
            self.sign(SignOn::Off);
        }
        orders.end.map(|why| match why {
            Ending::Drained => SessionEnd::Drained,
            Ending::Stopping => SessionEnd::Stopping,
        })
    }

    /// Whether there is room for what comes next, or a way to do without.
    fn may_take(&self) -> bool {
        let declines = self.link.listener.when_full == WhenFull::Decline;
        !self.is_full() || (declines && self.held.is_none())
    }

    /// Whether as many messages wait as may.
    pub(super) fn is_full(&self) -> bool {
        let beside = |waiting: &WaitingRequests| {
            let waits = self.in_flight.len().saturating_add(waiting.beside());
            waits >= self.link.listener.in_flight_max
        };
        self.in_flight.is_full() || self.waiting.as_deref().is_some_and(beside)
    }

    /// Remembers the bytes just read for the doctor, until a first message has come.
    fn keep_unread(&mut self, count: usize) {
        if let Some(unread) = &mut self.unread {
            let room = EXAMINED_BYTES_MAX.saturating_sub(unread.len());
            let start = self.read.len().saturating_sub(count);
            let new = self.read.get(start..).unwrap_or_default();
            unread.extend_from_slice(new.get(..room).unwrap_or(new));
        }
    }

    /// Says once what a peer speaks from which no message has been understood.
    pub(super) fn diagnose(&mut self) {
        let Some(unread) = self.unread.take() else {
            return;
        };
        self.link.diagnose(&unread, self.peer);
    }

    fn peer_closed(&mut self) -> SessionEnd {
        if self.read.is_empty() {
            SessionEnd::Closed
        } else {
            Telemetry::add(&self.link.telemetry.frames_broken);
            SessionEnd::Frame(self.codec.incomplete(&self.read))
        }
    }

    /// When something must have happened at the latest.
    fn deadline(&self) -> Instant {
        const NEVER: Duration = Duration::from_secs(86_400);
        let listener = &self.link.listener;
        match self.frame_began {
            Some(began) => began + Duration::from_millis(listener.read_timeout_ms),
            None => self.last_read + listener.idle_timeout().unwrap_or(NEVER),
        }
    }

    fn check_deadlines(&mut self) -> Result<(), SessionEnd> {
        let now = clock::instant();
        // A peer that waits for us, or whom we let wait, is not idle.
        if !self.in_flight.is_empty() || self.awaits_device() {
            self.last_read = now;
            self.frame_began = self.frame_began.map(|_| now);
            return Ok(());
        }
        if now < self.deadline() {
            return Ok(());
        }
        let listener = &self.link.listener;
        if self.frame_began.is_some() {
            Telemetry::add(&self.link.telemetry.connections_timed_out);
            return Err(SessionEnd::ReadTimeout(listener.read_timeout_ms));
        }
        if listener.idle_timeout().is_some() {
            Telemetry::add(&self.link.telemetry.connections_timed_out);
            return Err(SessionEnd::Idle(listener.idle_timeout_ms));
        }
        self.last_read = now;
        Ok(())
    }

    /// Takes every complete frame that there is room for, and hands the requests over as one job.
    async fn take_frames(&mut self) -> Result<(), SessionEnd> {
        // Nobody is left to change them when asking fails.
        if self.rules.has_changed().unwrap_or(false) {
            self.rulebook = Arc::clone(&self.rules.borrow_and_update());
        }
        let mut requests = Vec::new();
        let mut broken = None;
        let (mut frames, waited) = (0_usize, self.in_flight.len());
        // Frames of one read follow each other: the end of one's step is the begin of the next's.
        let mut received = clock::tick();
        while self.may_take() {
            let (frame, is_new) = match self.held.take() {
                Some(held) => (Ok(Some(held)), false),
                None => (self.codec.decode(&mut self.read), true),
            };
            match frame {
                Ok(Some(frame)) => {
                    frames += usize::from(is_new);
                    received = self.take_frame(frame, received, &mut requests);
                }
                Ok(None) => break,
                Err(error) => {
                    Telemetry::add(&self.link.telemetry.frames_broken);
                    broken = Some(SessionEnd::Frame(error));
                    break;
                }
            }
        }
        if frames > 0 {
            Telemetry::add_many(&self.link.telemetry.frames_received, frames);
        }
        self.link.meter.taken(self.in_flight.len() - waited);
        self.seat.came(frames, self.last_read, self.in_flight.len());
        self.codec
            .echo_keep_alive(clock::instant(), &mut self.write);
        self.frame_began = match (self.read.is_empty() || !self.may_take(), self.frame_began) {
            (true, _) => None,
            (false, Some(began)) if frames == 0 => Some(began),
            (false, _) => Some(clock::instant()),
        };
        self.hand_over(requests).await?;
        broken.map_or(Ok(()), Err)
    }

    /// Hands requests over, ends business days, and writes what was answered at once.
    async fn hand_over(&mut self, requests: Vec<SequencerRequest>) -> Result<(), SessionEnd> {
        self.submit(requests).await?;
        for (incoming, wanted) in std::mem::take(&mut self.settlements) {
            let settled = settlement::settle(self.link, wanted).await;
            match settled.map_err(|_| SessionEnd::Stopping)? {
                Ok(reply) => self.reply_to(&incoming, &reply),
                Err(reject) => self.reject(&incoming, &reject),
            }
        }
        for (incoming, new) in std::mem::take(&mut self.new_keys) {
            self.take_key(incoming, new).await;
        }
        self.write_out().await
    }

    /// Hands requests over as one job.
    async fn submit(&self, requests: Vec<SequencerRequest>) -> Result<(), SessionEnd> {
        if requests.is_empty() {
            return Ok(());
        }
        let job = Job::Requests {
            requests,
            replies: ReplyTo {
                connection: self.replies_in.clone(),
                home: Some(Arc::clone(self.home)),
            },
        };
        let submitted = self.link.jobs.submit(job).await;
        submitted.map_err(|_| SessionEnd::Stopping)
    }

    /// Whether a device has still to answer.
    fn awaits_device(&self) -> bool {
        self.waiting.as_ref().is_some_and(|it| !it.is_empty())
    }

    /// Hands over what a device has answered, and what waited behind it.
    async fn release(&mut self, answered: Answered) -> Result<(), SessionEnd> {
        let (slot, learnt) = match answered {
            Answered::Learnt { slot, learnt } => (slot, learnt),
            Answered::Made(reply, chip) => {
                self.finish(*reply, chip.as_deref());
                return self.write_out().await;
            }
            Answered::Judged { number, judged } => {
                let requests = self.take_judged(number, judged);
                return self.hand_over(requests).await;
            }
            Answered::Sealed(sealed) => {
                self.send_sealed(sealed);
                return self.write_out().await;
            }
        };
        let waiting = self.waiting.as_mut();
        let released = waiting.map(|waiting| waiting.released(slot, learnt));
        self.submit(released.unwrap_or_default()).await
    }

    /// Renders and writes a run of answers, and whatever else has been released meanwhile.
    async fn answer(&mut self, replies: Vec<SequencerReply>) -> Result<(), SessionEnd> {
        self.render_replies(replies);
        while let Ok(more) = self.replies.try_recv() {
            self.render_replies(more);
        }
        self.write_out().await
    }

    /// Writes everything rendered so far, then logs it.
    async fn write_out(&mut self) -> Result<(), SessionEnd> {
        let link = self.link;
        let rendered = clock::tick();
        let result = if self.write.is_empty() {
            Ok(())
        } else {
            session_write::write_all(link, &mut self.stream, &self.write).await
        };
        self.write.clear();
        let answers = std::mem::take(&mut self.unwritten);
        let went = if result.is_ok() { answers } else { 0 };
        self.seat.went(went, self.in_flight.len());
        let delivered = result.is_ok() && self.writable;
        self.lines.log((link, &self.rulebook), rendered, delivered);
        result
    }
}
