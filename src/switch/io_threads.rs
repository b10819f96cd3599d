//! The threads that serve connections: each has its share of them for good, and a runtime of its
//! own.
//!
//! Answers for its connections come to a thread as one bundle for each batch that the single writer
//! made durable: it is woken once, whatever number of connections they are for. Whoever else has
//! work to do, the operators' API among them, does it on other threads.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, mpsc, oneshot};

use super::cpus::Places;
use super::jobs::SequencerReply;

/// The threads; they end when this is dropped, with the sessions they have.
pub(super) struct IoThreads {
    first: IoThread,
    others: Vec<IoThread>,
}

struct IoThread {
    handle: Handle,
    home: Arc<Home>,
    /// Dropped, it ends the thread.
    _ends: oneshot::Sender<()>,
}

/// Answers for a connection, and the connection.
type Letter = (mpsc::Sender<Vec<SequencerReply>>, Vec<SequencerReply>);

/// What others know of a thread that serves connections.
#[derive(Default)]
pub struct Home {
    letters: Mutex<Vec<Letter>>,
    brought: Notify,
    connections: AtomicUsize,
}

impl Home {
    /// Puts answers by for a connection of the thread, which is told by [`Home::ring`]. As many
    /// wait as there are requests in flight, and no more.
    pub(super) fn bring(&self, letter: Letter) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push(letter);
    }

    /// Has the thread hand out what was brought.
    pub(super) fn ring(&self) {
        self.brought.notify_one();
    }

    async fn hand_out(self: Arc<Home>) {
        let mut letters = Vec::new();
        loop {
            self.brought.notified().await;
            let mut brought = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut letters, &mut *brought);
            drop(brought);
            for (connection, replies) in letters.drain(..) {
                // A connection that is gone misses its answers; a repeat gets them.
                let _ = connection.try_send(replies);
            }
        }
    }
}

/// A place at a thread for one connection.
pub(super) struct Berth {
    /// Its thread's.
    pub(super) home: Arc<Home>,
    /// Where its task runs.
    pub(super) handle: Handle,
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.home.connections.fetch_sub(1, Relaxed);
    }
}

impl IoThreads {
    /// Starts so many, one at least, each at its place.
    ///
    /// # Errors
    /// When the system gives no thread, no descriptor for its sockets, or not the place.
    pub(super) fn start(count: usize, places: &Places) -> io::Result<IoThreads> {
        let others = (1..count).map(|before| places.start_io(before, IoThread::start));
        Ok(IoThreads {
            first: places.start_io(0, IoThread::start)?,
            others: others.collect::<io::Result<_>>()?,
        })
    }

    /// A place at the thread that has the fewest connections.
    pub(super) fn berth(&self) -> Berth {
        let connections = |thread: &&IoThread| thread.home.connections.load(Relaxed);
        let all = std::iter::once(&self.first).chain(&self.others);
        let thread = all.min_by_key(connections).unwrap_or(&self.first);
        thread.home.connections.fetch_add(1, Relaxed);
        Berth {
            home: Arc::clone(&thread.home),
            handle: thread.handle.clone(),
        }
    }
}

impl IoThread {
    fn start() -> io::Result<IoThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let home = Arc::new(Home::default());
        let (ends, end) = oneshot::channel();
        let handing_out = Arc::clone(&home).hand_out();
        thread::Builder::new()
            .name("io".to_owned())
            .spawn(move || {
                runtime.spawn(handing_out);
                // Nothing is sent: it resolves when the other end is dropped.
                let _ = runtime.block_on(end);
                runtime.shutdown_background();
            })?;
        Ok(IoThread {
            handle,
            home,
            _ends: ends,
        })
    }
}

/// The connection as a socket of the thread that this is called on.
///
/// # Errors
/// When the thread's poll cannot take one more.
pub(super) fn at_home(stream: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(stream.into_std()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_comes_to_the_thread_that_has_the_fewest() {
        let threads = IoThreads::start(3, &Places::default()).unwrap();
        let mut berths: Vec<Berth> = (0..9).map(|_| threads.berth()).collect();
        let count = |home: &Arc<Home>| home.connections.load(Relaxed);
        assert!(berths.iter().all(|berth| count(&berth.home) == 3));
        let left = berths.pop().unwrap();
        let home = Arc::clone(&left.home);
        drop(left);
        assert_eq!(count(&home), 2);
        assert!(Arc::ptr_eq(&threads.berth().home, &home));
    }

    #[test]
    fn answers_wait_until_the_thread_is_rung_for_and_come_in_their_order() {
        let threads = IoThreads::start(1, &Places::default()).unwrap();
        let berth = threads.berth();
        let (sender, mut answers) = mpsc::channel(3);
        for _ in 0..2 {
            berth.home.bring((sender.clone(), Vec::with_capacity(1)));
        }
        assert!(answers.is_empty());
        berth.home.bring((sender, Vec::with_capacity(7)));
        berth.home.ring();
        let rooms = [(); 3].map(|()| answers.blocking_recv().unwrap().capacity());
        assert_eq!(rooms, [1, 1, 7]);
        assert!(answers.blocking_recv().is_none());
    }
}
