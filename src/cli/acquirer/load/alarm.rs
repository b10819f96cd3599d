//! Wakes an open loop when its next message is due. The readiness call counts milliseconds, in
//! which dozens of messages are due, and waiting for them awake takes the processor from what is
//! measured.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// No connection has this number.
const TOKEN: Token = Token(usize::MAX);

/// A timer among the connections of a loop.
pub(super) struct Alarm(OwnedFd);

impl Alarm {
    /// A timer that wakes this loop.
    pub(super) fn of(poll: &Poll) -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let source = &mut SourceFd(&timer.as_raw_fd());
        poll.registry()
            .register(source, TOKEN, Interest::READABLE)?;
        Ok(Alarm(timer))
    }

    /// Wakes the loop once after this time, which is above zero; an earlier call counts no more.
    pub(super) fn set(&self, after: Duration) -> io::Result<()> {
        let never = Timespec::default();
        let value = Itimerspec {
            it_interval: never,
            it_value: Timespec::try_from(after).map_err(io::Error::other)?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &value)?;
        Ok(())
    }

    /// Whether an event is the alarm's.
    pub(super) fn is_it(token: Token) -> bool {
        token == TOKEN
    }
}
