//! The loop: reads replies, fills windows or follows the schedule, writes requests.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use crate::cli::acquirer::clock;
use crate::cli::acquirer::link::{self, LinkError, LinkPlan, REPLY_BYTES_MAX};
use crate::cli::acquirer::wire::Wire;
use crate::transport::FrameCodec;

use super::alarm::Alarm;
use super::connection::{Connection, InFlight, Outgoing, ReadEnd, Received, Window};
use super::exchange::due_ns;
use super::layout::Layouts;
use super::plan::{LoadError, LoadPlan, Pace, Progress, window_of};
use super::report::LoadReport;
use super::template::Templates;

const EVENTS_AT_ONCE: usize = 1_024;
const TICK_NS: u64 = 100_000_000;
/// Below this distance from the next scheduled message the loop spins instead of sleeping: longer
/// than a timer is late, and short enough to leave the processor to what is measured.
const SPIN_NS: u64 = 40_000;
const RANDOM_SEED: u64 = 8_583;

/// Runs a load to its end; `progress` is called ten times a second.
///
/// # Errors
/// The plan cannot run or a connection cannot be opened. What happens later is in the report.
pub fn run(plan: &LoadPlan, progress: &mut dyn FnMut(&Progress)) -> Result<LoadReport, LoadError> {
    let mut engine = Engine::open(plan)?;
    engine.run(progress)?;
    Ok(engine.report())
}

pub(super) struct Engine<'a> {
    pub(super) plan: &'a LoadPlan,
    pub(super) templates: Templates,
    pub(super) codec: FrameCodec,
    pub(super) layouts: Layouts,
    pub(super) connections: Vec<Connection>,
    pub(super) poll: Poll,
    /// Of an open loop.
    alarm: Option<Alarm>,
    pub(super) start: Instant,
    /// The measured part, in nanoseconds since the start.
    pub(super) measured: std::ops::Range<u64>,
    /// The next message of the schedule, for an open loop.
    pub(super) scheduled: u64,
    pub(super) random: u64,
    pub(super) next_rrn: u64,
    pub(super) transmission: u64,
    pub(super) in_flight: usize,
    pub(super) cpu: [Option<Duration>; 2],
    pub(super) counts: LoadReport,
}

impl<'a> Engine<'a> {
    fn open(plan: &'a LoadPlan) -> Result<Self, LoadError> {
        let window = window_of(plan)?;
        let templates = Templates::build(plan)?;
        let poll = Poll::new()?;
        let alarm = match plan.pace {
            Pace::PerSecond(_) => Some(Alarm::of(&poll)?),
            Pace::Window(_) => None,
        };
        let stride = window * plan.connections;
        let mut connections = Vec::new();
        for index in 0..plan.connections {
            let open = |error: &dyn std::fmt::Display| LoadError::Open {
                number: index + 1,
                reason: error.to_string(),
            };
            let stream = open_stream(plan).map_err(|error| open(&error))?;
            let stream = stream.over(|socket| {
                socket.set_nonblocking(true)?;
                Ok(mio::net::TcpStream::from_std(socket))
            });
            let mut stream = stream.map_err(|error| open(&error))?;
            let token = Token(connections.len());
            poll.registry().register(
                stream.socket(),
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            let mut terminal = *b"L0000000";
            terminal.copy_from_slice(format!("L{:07}", index % 10_000_000).as_bytes());
            let buffer = (window.min(128) * 512).max(4_096);
            connections.push(Connection {
                stream,
                alive: true,
                terminal,
                window: Window::new(window, window * index, stride),
                received: Received::new(usize::try_from(buffer).unwrap_or(4_096)),
                out: Outgoing::default(),
                owed: 0,
                next_scheduled: u64::from(index),
            });
        }
        let warmup = nanos(plan.warmup);
        let measured = warmup..warmup + nanos(plan.duration);
        // Reference numbers begin at the second of the start: a second run repeats nothing.
        let now = clock::utc().timestamp();
        let second = u64::try_from(now.as_second()).unwrap_or_default();
        for connection in &mut connections {
            let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
            connection.window.begin_within_second(nanos);
        }
        Ok(Self {
            plan,
            templates,
            codec: FrameCodec::new(&plan.framing, REPLY_BYTES_MAX),
            layouts: Layouts::default(),
            connections,
            poll,
            alarm,
            start: clock::instant(),
            measured,
            scheduled: 0,
            random: RANDOM_SEED,
            next_rrn: second % 10_000 * 100_000_000,
            transmission: 0,
            in_flight: 0,
            cpu: [None; 2],
            counts: empty_report(plan)?,
        })
    }

    fn run(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        let drained = self.measured.end + nanos(self.plan.reply_timeout);
        let mut next_tick = 0_u64;
        let mut replies_at_tick = 0;
        let mut now = self.now();
        self.update_time();
        self.start_sending(now);
        loop {
            if now >= next_tick {
                self.tick(now);
                let replies = self.counts.replies_ever - replies_at_tick;
                replies_at_tick = self.counts.replies_ever;
                let elapsed = Duration::from_nanos(now);
                let per_second = replies * (1_000_000_000 / TICK_NS);
                progress(&Progress {
                    elapsed,
                    per_second,
                    in_flight: self.in_flight,
                });
                next_tick = now + TICK_NS;
            }
            self.mark_cpu(now);
            // Before asking whether the run is over: a loop that got no core across the end still
            // owes what was due in that time, and leaving it out would flatter the switch.
            self.follow_schedule(now);
            let is_over = now >= self.measured.end && (self.is_idle() || now >= drained);
            if is_over || self.connections.iter().all(|connection| !connection.alive) {
                break;
            }
            let timeout = self.poll_timeout(next_tick)?;
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            now = self.now();
            for event in events.iter().filter(|event| !Alarm::is_it(event.token())) {
                now = self.serve(event);
            }
        }
        self.finish();
        Ok(())
    }

    /// Whether everything that was sent is answered and everything that was due is sent.
    fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self
                .connections
                .iter()
                .all(|connection| connection.owed == 0)
    }

    fn now(&self) -> u64 {
        nanos(clock::instant().duration_since(self.start))
    }

    fn start_sending(&mut self, now: u64) {
        if let Pace::Window(_) = self.plan.pace {
            for index in 0..self.connections.len() {
                self.with_connection(index, |engine, connection| {
                    engine.fill(connection, now);
                    connection.out.flush_to(&mut connection.stream)
                });
            }
        }
    }

    /// Ten times a second: the time in the messages, and what waited too long.
    fn tick(&mut self, now: u64) {
        self.update_time();
        let before = now.saturating_sub(nanos(self.plan.reply_timeout));
        let measured = self.measured.clone();
        for connection in &mut self.connections {
            let was = connection.window.in_flight();
            let counts = |sent: &InFlight| measured.contains(&sent.from_ns);
            self.counts.timeouts += connection.window.expire(before, counts);
            self.in_flight -= was - connection.window.in_flight();
        }
        for index in 0..self.connections.len() {
            self.with_connection(index, |engine, connection| {
                engine.fill(connection, now);
                connection.out.flush_to(&mut connection.stream)
            });
        }
    }

    fn update_time(&mut self) {
        // A clock that cannot be written as DE 7 leaves the first of January.
        let time = clock::mmddhhmmss(&clock::utc());
        self.transmission = time.parse().unwrap_or(101_000_000);
        self.templates.set_time(self.transmission);
    }

    fn mark_cpu(&mut self, now: u64) {
        let [begin, end] = &mut self.cpu;
        if begin.is_none() && now >= self.measured.start {
            *begin = thread_cpu();
        }
        if end.is_none() && now >= self.measured.end {
            *end = thread_cpu();
        }
    }

    fn poll_timeout(&self, next_tick: u64) -> io::Result<Duration> {
        let now = self.now();
        let mut until = next_tick;
        if now < self.measured.end {
            until = until.min(self.measured.end);
            if let (Pace::PerSecond(rate), Some(alarm)) = (self.plan.pace, &self.alarm) {
                let due = due_ns(self.scheduled, rate);
                if due < now + SPIN_NS {
                    return Ok(Duration::ZERO);
                }
                alarm.set(Duration::from_nanos(due - now - SPIN_NS / 2))?;
            }
        }
        Ok(Duration::from_nanos(until.saturating_sub(now)))
    }

    /// Open loop: gives every connection what is due by now, and sends it.
    fn follow_schedule(&mut self, now: u64) {
        let Pace::PerSecond(rate) = self.plan.pace else {
            return;
        };
        let count = u64::from(self.plan.connections);
        let end = self.measured.end;
        let mut touched = 0_u64;
        while due_ns(self.scheduled, rate) <= now && due_ns(self.scheduled, rate) < end {
            let index = usize::try_from(self.scheduled % count).unwrap_or_default();
            if let Some(connection) = self.connections.get_mut(index) {
                connection.owed += 1;
            }
            self.scheduled += 1;
            touched = (touched + 1).min(count);
        }
        for back in 1..=touched {
            let index = usize::try_from((self.scheduled - back) % count).unwrap_or_default();
            self.with_connection(index, |engine, connection| {
                engine.fill(connection, now);
                connection.out.flush_to(&mut connection.stream)
            });
        }
    }

    /// Serves one ready socket and returns the time it was read at.
    fn serve(&mut self, event: &Event) -> u64 {
        let mut now = 0;
        self.with_connection(event.token().0, |engine, connection| {
            if event.is_readable() {
                loop {
                    let end = connection.received.read_from(&mut connection.stream)?;
                    now = engine.now();
                    engine.take_replies(connection, now)?;
                    match end {
                        ReadEnd::Drained => break,
                        ReadEnd::Full => {}
                        ReadEnd::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                    }
                }
            } else {
                now = engine.now();
            }
            engine.fill(connection, now);
            connection.out.flush_to(&mut connection.stream)
        });
        if now == 0 { self.now() } else { now }
    }

    /// Works on one connection; one that fails is closed and what it had in flight is lost.
    fn with_connection(
        &mut self,
        index: usize,
        work: impl FnOnce(&mut Self, &mut Connection) -> io::Result<()>,
    ) {
        // Taken out, so that the work may use the rest of the engine.
        let mut connections = std::mem::take(&mut self.connections);
        if let Some(connection) = connections.get_mut(index).filter(|found| found.alive)
            && work(self, connection).is_err()
        {
            connection.alive = false;
            let measured = self.measured.clone();
            self.in_flight -= connection.window.in_flight();
            let counts = |sent: &InFlight| measured.contains(&sent.from_ns);
            self.counts.timeouts += connection.window.expire(u64::MAX, counts);
            self.counts.connections_lost += 1;
        }
        self.connections = connections;
    }

    /// What is still in flight when nobody waits any more is unanswered.
    fn finish(&mut self) {
        let measured = self.measured.clone();
        for connection in &mut self.connections {
            let counts = |sent: &InFlight| measured.contains(&sent.from_ns);
            self.counts.timeouts += connection.window.expire(u64::MAX, counts);
            self.counts.not_sent += connection.owed;
        }
    }

    fn report(mut self) -> LoadReport {
        if let [Some(begin), Some(end)] = self.cpu {
            self.counts.client_cpu = Some(end.saturating_sub(begin));
        }
        self.counts.codes.sort_unstable();
        self.counts
    }
}

fn open_stream(plan: &LoadPlan) -> Result<Wire<std::net::TcpStream>, LinkError> {
    let link_plan = LinkPlan {
        address: plan.address.clone(),
        framing: plan.framing.clone(),
        spec: plan.spec,
        reply_timeout: plan.reply_timeout,
        tls: plan.tls.clone(),
        mac: plan.mac.clone(),
    };
    link::open_stream(&link_plan, plan.sign_on)
}

fn empty_report(plan: &LoadPlan) -> Result<LoadReport, LoadError> {
    // Three digits from a nanosecond to an hour.
    let latency_ns =
        Histogram::new_with_bounds(1, 3_600_000_000_000, 3).map_err(io::Error::other)?;
    Ok(LoadReport {
        duration: plan.duration,
        sent: 0,
        replies: 0,
        replies_ever: 0,
        latency_ns,
        codes: Vec::new(),
        timeouts: 0,
        unmatched: 0,
        unreadable: 0,
        unauthenticated: 0,
        repeats_answered_otherwise: 0,
        not_sent: 0,
        connections_lost: 0,
        client_cpu: None,
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Processor time of this thread, where the system tells.
fn thread_cpu() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}
