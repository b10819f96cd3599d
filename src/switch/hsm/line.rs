//! Connections to devices: pooled, with deadlines, reconnected, never waited for without an end.
//!
//! ```text
//!  0  2  length of the rest
//!  2  n  header: a number of ours in hexadecimal, which the answer repeats
//!    2  code of the command or of the answer, then its fields
//! ```
//!
//! A connection carries one command at a time. After a failure nothing more is read from it: an
//! answer that comes too late must not be taken for the next one. A device that cannot be reached
//! is not tried again for a while, so that nobody waits for a dead one; the next device is asked.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::crypto::hsm::HsmError;
use crate::crypto::payshield::Line;
use crate::switch::clock;

/// Commands in a row that a device may leave unanswered before it counts as away.
const LATE_MAX: u32 = 3;

/// How devices are talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTerms {
    /// Devices with the same LMK, in the order in which they are asked.
    pub addresses: Vec<SocketAddr>,
    /// Connections to each of them.
    pub connections_max: usize,
    /// Time from a request to its answer, waiting for a connection included.
    pub deadline: Duration,
    /// Time for which a device that failed is not asked.
    pub retry: Duration,
    /// Time between looks at whether devices are there.
    pub health_every: Duration,
    /// Characters of a header, 0 to 8.
    pub header_characters: usize,
}

/// A line to devices.
pub struct DeviceLine(Arc<Shared>);

struct Shared {
    terms: LineTerms,
    devices: Vec<Place>,
    number: AtomicU32,
}

/// One device.
struct Place {
    address: SocketAddr,
    pool: Mutex<Pool>,
    freed: Condvar,
    is_up: AtomicBool,
}

#[derive(Default)]
struct Pool {
    idle: Vec<TcpStream>,
    open: usize,
    late: u32,
    away_until: Option<Instant>,
}

/// What came of one command on one connection.
enum Failed {
    /// The connection is no good.
    Broken(io::Error),
    /// The deadline passed.
    Late,
    /// The answer has another header.
    OtherHeader,
}

impl DeviceLine {
    /// A line; devices are looked after as long as it lives.
    ///
    /// # Errors
    /// The system gives no thread to look after them.
    pub fn new(terms: LineTerms) -> io::Result<DeviceLine> {
        let devices = terms.addresses.iter().map(|address| Place {
            address: *address,
            pool: Mutex::default(),
            freed: Condvar::new(),
            is_up: AtomicBool::new(true),
        });
        let shared = Arc::new(Shared {
            devices: devices.collect(),
            number: AtomicU32::new(0),
            terms,
        });
        let watched = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("hsm-health".to_owned())
            .spawn(move || look_after(&watched))?;
        Ok(DeviceLine(shared))
    }

    /// How many devices answered when they were last asked.
    pub fn devices_up(&self) -> usize {
        let up = |place: &&Place| place.is_up.load(Relaxed);
        self.0.devices.iter().filter(up).count()
    }
}

/// Asks every device for its health now and then: one that is back is used again at once.
fn look_after(watched: &Weak<Shared>) {
    while let Some(shared) = watched.upgrade() {
        for place in &shared.devices {
            let deadline = clock::instant() + shared.terms.deadline;
            // What came of it is in the device's own state.
            let _ = shared.ask(place, "NC", &[], deadline, true);
        }
        let rest = shared.terms.health_every;
        drop(shared);
        std::thread::sleep(rest);
    }
}

impl Line for DeviceLine {
    fn name(&self) -> String {
        let addresses = self.0.terms.addresses.iter().map(SocketAddr::to_string);
        addresses.collect::<Vec<String>>().join(", ")
    }

    fn exchange(&self, command: &'static str, fields: &[u8]) -> Result<Vec<u8>, HsmError> {
        let deadline = clock::instant() + self.0.terms.deadline;
        let mut last = HsmError::Unreachable {
            detail: "there is none".to_owned(),
        };
        for place in &self.0.devices {
            match self.0.ask(place, command, fields, deadline, false) {
                Err(error @ HsmError::Unreachable { .. }) => last = error,
                other => return other,
            }
        }
        Err(last)
    }
}

impl Shared {
    /// One command to one device. A connection that was idle may have died of old age: the command
    /// is sent once more on another, for none of them changes anything in the device.
    fn ask(
        &self,
        place: &Place,
        command: &'static str,
        fields: &[u8],
        deadline: Instant,
        even_if_away: bool,
    ) -> Result<Vec<u8>, HsmError> {
        let mut is_repeated = false;
        loop {
            let (mut slot, was_idle) = place.take(&self.terms, deadline, even_if_away)?;
            let failed = match self.exchange_on(&mut slot, command, fields, deadline) {
                Ok(answer) => {
                    place.answered(slot);
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            drop(slot);
            match failed {
                Failed::Broken(_) if was_idle && !is_repeated => {
                    // The others are as old.
                    place.forget_idle();
                    is_repeated = true;
                }
                Failed::Broken(error) => {
                    place.is_away(&self.terms, &error.to_string());
                    return Err(HsmError::Unreachable {
                        detail: format!("{}: {error}", place.address),
                    });
                }
                Failed::Late => {
                    place.is_late(&self.terms);
                    let limit_ms = u64::try_from(self.terms.deadline.as_millis());
                    return Err(HsmError::Late {
                        command,
                        limit_ms: limit_ms.unwrap_or(u64::MAX),
                    });
                }
                Failed::OtherHeader => {
                    return Err(HsmError::Garbled {
                        command,
                        detail: "it has another header",
                    });
                }
            }
        }
    }

    fn exchange_on(
        &self,
        slot: &mut Slot<'_>,
        command: &str,
        fields: &[u8],
        deadline: Instant,
    ) -> Result<Vec<u8>, Failed> {
        let Some(stream) = &mut slot.stream else {
            return Err(Failed::Broken(io::ErrorKind::NotConnected.into()));
        };
        let header = self.header();
        let length = header.len() + command.len() + fields.len();
        let length = u16::try_from(length)
            .map_err(|_| Failed::Broken(io::Error::other("a command of more than 65535 bytes")))?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(header.as_bytes());
        frame.extend_from_slice(command.as_bytes());
        frame.extend_from_slice(fields);
        stream.set_write_timeout(Some(left_until(deadline)?))?;
        stream.write_all(&frame)?;
        let mut length = [0; 2];
        read_whole(stream, &mut length, deadline)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        read_whole(stream, &mut answer, deadline)?;
        match answer.strip_prefix(header.as_bytes()) {
            Some(rest) => Ok(rest.to_vec()),
            None => Err(Failed::OtherHeader),
        }
    }

    fn header(&self) -> String {
        let mut header = String::new();
        let number = self.number.fetch_add(1, Relaxed);
        // Writing to a text cannot fail.
        let _ = write!(header, "{number:08X}");
        let skipped = header.len().saturating_sub(self.terms.header_characters);
        header.split_off(skipped)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failed::Late,
            _ => Failed::Broken(error),
        }
    }
}

fn left_until(deadline: Instant) -> Result<Duration, Failed> {
    let left = deadline.saturating_duration_since(clock::instant());
    if left.is_zero() {
        return Err(Failed::Late);
    }
    Ok(left)
}

fn read_whole(stream: &mut TcpStream, bytes: &mut [u8], deadline: Instant) -> Result<(), Failed> {
    let mut missing = bytes;
    while !missing.is_empty() {
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        match stream.read(missing) {
            Ok(0) => return Err(Failed::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => missing = missing.split_at_mut(count).1,
            // A read with a time limit ends at every signal.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A place in the pool, given back when it goes; without its connection unless that is still good.
struct Slot<'a> {
    place: &'a Place,
    stream: Option<TcpStream>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut pool = self.place.pool();
        pool.open = pool.open.saturating_sub(1);
        drop(pool);
        self.place.freed.notify_one();
    }
}

impl Place {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, and whether it was there already.
    fn take(
        &self,
        terms: &LineTerms,
        deadline: Instant,
        even_if_away: bool,
    ) -> Result<(Slot<'_>, bool), HsmError> {
        let mut pool = self.pool();
        loop {
            let now = clock::instant();
            if !even_if_away && pool.away_until.is_some_and(|until| now < until) {
                return Err(HsmError::Unreachable {
                    detail: format!("{} failed a moment ago", self.address),
                });
            }
            if pool.open < terms.connections_max {
                break;
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                let limit_ms = u64::try_from(terms.deadline.as_millis());
                return Err(HsmError::Busy {
                    limit_ms: limit_ms.unwrap_or(u64::MAX),
                });
            }
            let waited = self.freed.wait_timeout(pool, left);
            pool = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        pool.open += 1;
        let idle = pool.idle.pop();
        drop(pool);
        let mut slot = Slot {
            place: self,
            stream: idle,
        };
        if slot.stream.is_some() {
            return Ok((slot, true));
        }
        let left = deadline.saturating_duration_since(clock::instant());
        let left = left.max(Duration::from_millis(1));
        let connected = TcpStream::connect_timeout(&self.address, left);
        match connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => {
                slot.stream = Some(stream);
                Ok((slot, false))
            }
            Err(error) => {
                drop(slot);
                self.is_away(terms, &error.to_string());
                Err(HsmError::Unreachable {
                    detail: format!("{}: {error}", self.address),
                })
            }
        }
    }

    /// It answered: the connection is good for the next command.
    fn answered(&self, mut slot: Slot<'_>) {
        let stream = slot.stream.take();
        let mut pool = self.pool();
        pool.idle.extend(stream);
        pool.late = 0;
        pool.away_until = None;
        drop(pool);
        if !self.is_up.swap(true, Relaxed) {
            tracing::info!(device = %self.address, "the HSM answers again");
        }
    }

    fn forget_idle(&self) {
        self.pool().idle.clear();
    }

    fn is_late(&self, terms: &LineTerms) {
        let mut pool = self.pool();
        pool.late = pool.late.saturating_add(1);
        let is_away = pool.late >= LATE_MAX;
        drop(pool);
        if is_away {
            self.is_away(terms, "it does not answer in time");
        }
    }

    fn is_away(&self, terms: &LineTerms, why: &str) {
        let mut pool = self.pool();
        pool.away_until = Some(clock::instant() + terms.retry);
        pool.idle.clear();
        drop(pool);
        if self.is_up.swap(false, Relaxed) {
            tracing::error!(device = %self.address, why, "the HSM is away");
        }
    }
}
