//! Opens the doors: listeners, connection permits, the single writer's thread, graceful stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::domain::facts::LinkNumber;
use crate::engine::command::{Answer, Body, Housekeep};
use crate::engine::operation::{Done, Order};
use crate::engine::operation_holder::HolderOrder;
use crate::iso8583::MessageSpec;
use crate::journal::{JournalReader, SledJournal};
use crate::transport::FrameCodec;

use super::checkpointer::{CheckpointDesk, Checkpointer, Source};
use super::clock;
use super::commit::CommitFault;
use super::config::{Config, DIALECT_STANDARD, Listener, RetentionConfig};
use super::cpus::{CpusError, Places};
use super::doctor::Desk;
use super::door::{self, Door, DoorTls};
use super::io_threads::IoThreads;
use super::jobs::{Job, Jobs, Stopping};
use super::link::Link;
use super::link_keys::{KeysOfLink, LinkKeyBook, LinkKeysError};
use super::overload::{Space, watch_space};
use super::pin::PinDesk;
use super::rulebook::LoadedRules;
use super::rules_in_force::RulesInForce;
use super::sequencer::{Sequencer, SequencerFault};
use super::sessions::Sessions;
use super::spec_source::{self, Loaded};
use super::store::OpenStore;
use super::telemetry::Telemetry;
use super::test_message;
use super::tls::{TlsDoor, TlsDoors, TlsError, TlsFiles};
use super::token::TokenKey;

/// How long a stop waits for peers to take their last answers.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Holds released, or cards that end, by one command, so that a sweep never delays a decision for
/// long.
const RELEASES_MAX: usize = 256;

/// The switch cannot open its doors.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listener's framing, specification or dialect.
    #[error("listener {listener}: {what}")]
    Listener {
        /// Which one.
        listener: String,
        /// What is wrong.
        what: String,
    },
    /// An address cannot be listened on.
    #[error("listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The keys of a link.
    #[error("listener {listener}: {what}")]
    Keys {
        /// Which one.
        listener: String,
        /// What is wrong.
        what: String,
    },
    /// The keys that came over the network.
    #[error(transparent)]
    LinkKeys(#[from] LinkKeysError),
    /// The certificates of a door.
    #[error("door {door}: {source}")]
    Tls {
        /// Which one.
        door: String,
        /// What is wrong.
        source: TlsError,
    },
    /// The processors that threads shall stay on.
    #[error(transparent)]
    Cpus(#[from] CpusError),
    /// A thread, of the single writer or of connections, cannot be started.
    #[error("start a thread: {0}")]
    Thread(std::io::Error),
    /// The journal has no number for one more link.
    #[error("listener {listener}: the journal cannot number it")]
    Unnumbered {
        /// Which one.
        listener: String,
    },
}

/// A running switch.
pub struct Server {
    /// Hands work to the single writer.
    pub jobs: Jobs,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// Programmes in force.
    pub rules: Arc<RulesInForce>,
    /// Names cards.
    pub token_key: Arc<TokenKey>,
    /// Judges PIN blocks.
    pub pins: Arc<PinDesk>,
    /// Reads the journal beside the single writer.
    pub journal: Option<JournalReader>,
    /// Has checkpoints made.
    pub checkpoints: Option<CheckpointDesk>,
    /// Certificates of the doors, the operators' one included.
    pub tls: TlsDoors,
    /// TLS of the operators' API.
    pub admin_tls: Option<Arc<TlsDoor>>,
    /// The sessions that are open.
    pub sessions: Arc<Sessions>,
    /// The room on the store's disk.
    pub space: Arc<Space>,
    /// Where it listens: name and bound address of each listener.
    pub addresses: Vec<(String, SocketAddr)>,
    /// The doors that take a test message without more ado.
    pub doors: Vec<test_message::Door>,
    stop: watch::Sender<bool>,
    tasks: TaskTracker,
    checkpointer: Option<Checkpointer>,
    /// They end with it.
    _threads: Arc<IoThreads>,
    writer: oneshot::Receiver<Result<SledJournal, SequencerFault>>,
}

impl Server {
    /// Starts the single writer and opens every listener of the configuration.
    ///
    /// # Errors
    /// [`ServerError`]; nothing keeps running then.
    pub async fn start(
        config: &Config,
        mut store: OpenStore,
        rules: LoadedRules,
    ) -> Result<Server, ServerError> {
        let telemetry = Arc::new(Telemetry::default());
        let in_force = RulesInForce::new(&rules, config.programmes_dir.clone());
        let in_force = Arc::new(in_force);
        let token_key = Arc::new(store.token_key);
        let pins = Arc::new(store.pins);
        let journal = store.journal.reader();
        telemetry.durable.store(store.state.sequence(), Relaxed);
        let source = journal.clone().map(|reader| Source {
            data_dir: config.data_dir.clone(),
            reader,
            checkpoints: store.checkpoints,
            last: store.base_sequence,
            begun_at: store.state.sequence(),
            telemetry: Arc::clone(&telemetry),
        });
        telemetry
            .checkpoint_sequence
            .store(store.base_sequence, Relaxed);
        let (jobs, queue) = Jobs::channel(config.sequencer.queue_batches_max);
        let sequencer = Sequencer::new(
            (store.state, store.journal),
            clock::now as fn() -> _,
            Arc::clone(&rules.rulebook),
            config.sequencer.clone(),
            Arc::clone(&telemetry),
            Arc::clone(&pins),
            &jobs,
        );
        let space = Arc::new(Space::keeping(config.journal.keep_free_mib));
        let sequencer = sequencer.watching(Arc::clone(&space));
        let (places, io_threads) = (Places::of(&config.cpus)?, config.io_threads_resolved());
        places.move_all().map_err(CpusError::System)?;
        let threads = IoThreads::start(io_threads, &places)
            .map(Arc::new)
            .map_err(ServerError::Thread)?;
        let (stop, stopping) = watch::channel(false);
        let tasks = TaskTracker::new();
        let sessions = Arc::new(Sessions::new(&telemetry));

        let book = LinkKeyBook::open(&config.data_dir).map(Arc::new)?;
        let mut certificates = Vec::new();
        let admin_tls = tls_door("admin", config.admin_tls.as_ref(), &mut certificates)?;
        let mut openings = Vec::new();
        for listener in &config.listeners {
            let make = |listener: &Listener| {
                let shared = (&rules, in_force.as_ref());
                link(
                    listener,
                    shared,
                    (&token_key, &pins, &book),
                    &jobs,
                    (&telemetry, &sessions),
                )
            };
            openings.push(Opening::new(listener, make, &mut certificates)?);
        }
        let tls = TlsDoors::new(certificates);
        let test_doors = openings.iter().filter_map(Opening::test_door).collect();
        let addresses = openings.iter().map(Opening::named).collect();
        let writer = start_writer(sequencer, queue, &places)?;
        let checkpointer =
            source.map(|source| Checkpointer::start(source, config.checkpoint.clone()));
        let checkpointer = checkpointer.transpose().map_err(ServerError::Thread)?;
        for opening in openings {
            let (socket, door) = opening.numbered(&jobs).await?;
            let shared = (tasks.clone(), Arc::clone(&threads));
            tasks.spawn(door::accept(socket, door, shared, stopping.clone()));
        }
        tasks.spawn(Arc::clone(&sessions).end_with(stopping.clone()));
        tasks.spawn(tls.clone().watch(stopping.clone()));
        let folder = config.data_dir.clone();
        tasks.spawn(watch_space(Arc::clone(&space), folder, stopping.clone()));
        tasks.spawn(sweep(jobs.clone(), config.retention.clone(), stopping));
        Ok(Server {
            jobs,
            telemetry,
            rules: in_force,
            token_key,
            pins,
            journal,
            checkpoints: checkpointer.as_ref().map(Checkpointer::desk),
            tls,
            admin_tls,
            sessions,
            space,
            addresses,
            doors: test_doors,
            stop,
            tasks,
            checkpointer,
            _threads: threads,
            writer,
        })
    }

    /// Runs until `stop` resolves or the single writer fails, then stops gracefully: no further
    /// connection, what is in flight is answered, the journal is closed.
    ///
    /// # Errors
    /// The fault that stopped the single writer; nothing of its last batch was answered.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), SequencerFault> {
        tokio::select! {
            () = stop => {}
            result = &mut self.writer => return finished(result, self.checkpointer).await,
        }
        tracing::info!("stopping: answering what is in flight");
        self.stop.send_replace(true);
        self.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait())
            .await
            .is_err()
        {
            let open = self.tasks.len();
            tracing::warn!(open, "connections did not take their answers in time");
        }
        // When the writer is gone already, its result says why.
        let _ = self.jobs.submit(Job::Stop).await;
        finished(self.writer.await, self.checkpointer).await
    }
}

type Ended = Result<Result<SledJournal, SequencerFault>, oneshot::error::RecvError>;

async fn finished(ended: Ended, checkpointer: Option<Checkpointer>) -> Result<(), SequencerFault> {
    // The sender is only dropped unsent by a panic, and that aborts the process.
    let Ok(result) = ended else { return Ok(()) };
    let ended_well = result.is_ok();
    if let Some(checkpointer) = checkpointer {
        // The journal is still open for it to read; whatever becomes of it, the stop goes on.
        let _ = tokio::task::spawn_blocking(move || checkpointer.end(ended_well)).await;
    }
    result?.close().map_err(CommitFault::Journal)?;
    Ok(())
}

/// Starts the thread of the single writer; what becomes of it is told when it has ended.
fn start_writer(
    sequencer: Sequencer<SledJournal>,
    mut queue: mpsc::Receiver<Job>,
    places: &Places,
) -> Result<oneshot::Receiver<Result<SledJournal, SequencerFault>>, ServerError> {
    let (done, writer) = oneshot::channel();
    let work = move || {
        let guard = AbortOnPanic;
        let result = sequencer.run(&mut queue);
        std::mem::forget(guard);
        // Whoever waits for the end may have gone already.
        let _ = done.send(result);
    };
    let thread = std::thread::Builder::new().name("sequencer".to_owned());
    places
        .start_writer(|| thread.spawn(work))
        .map_err(ServerError::Thread)?;
    Ok(writer)
}

/// A panic of the single writer must not leave a process that looks alive.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// The number of a link in the journal; a new link gets one.
async fn number_of(jobs: &Jobs, name: &str) -> Result<LinkNumber, ServerError> {
    match jobs.command(Body::NameLink(name.to_owned())).await {
        Ok(Answer::LinkNamed(Some(number))) => Ok(number),
        // No number is left, or the single writer stopped at once and says why itself.
        Ok(_) | Err(_) => Err(ServerError::Unnumbered {
            listener: name.to_owned(),
        }),
    }
}

/// A door whose links have no number yet.
struct Opening {
    socket: TcpListener,
    link: Link,
    tls: Option<Arc<TlsDoor>>,
    /// Links by a name in the client's certificate.
    of_clients: Vec<(String, Link)>,
}

impl Opening {
    fn new(
        listener: &Listener,
        make: impl Fn(&Listener) -> Result<Link, ServerError>,
        certificates: &mut Vec<Arc<TlsDoor>>,
    ) -> Result<Opening, ServerError> {
        let files = listener.tls.as_ref().map(|tls| &tls.files);
        let tls = tls_door(&listener.name, files, certificates)?;
        let mut of_clients = Vec::new();
        for client in listener.tls.iter().flat_map(|tls| &tls.clients) {
            let of_client = Listener {
                name: client.link.clone(),
                may: client.may.clone(),
                keys: client.keys.clone().unwrap_or(listener.keys.clone()),
                ..listener.clone()
            };
            of_clients.push((client.name.clone(), make(&of_client)?));
        }
        Ok(Opening {
            link: make(listener)?,
            socket: door::bind(listener.address)?,
            tls,
            of_clients,
        })
    }

    /// Name and bound address.
    fn named(&self) -> (String, SocketAddr) {
        let listener = &self.link.listener;
        let address = self.socket.local_addr().unwrap_or(listener.address);
        (listener.name.clone(), address)
    }

    /// The door as a test message sees it: of the first edition, in the clear, without signing on.
    fn test_door(&self) -> Option<test_message::Door> {
        let listener = &self.link.listener;
        let is_plain = listener.dialect == DIALECT_STANDARD
            && !listener.sign_on_required
            && self.link.mac.as_ref().is_none_or(|mac| !mac.is_required())
            && self.tls.is_none();
        let framing = listener.cut().ok().filter(|_| is_plain)?;
        Some(test_message::Door {
            name: listener.name.clone(),
            address: self.socket.local_addr().ok()?,
            codec: self.link.codec.clone(),
            header: framing.header().of_request(),
            spec: self.link.spec,
        })
    }

    /// The door with the numbers that its links have in the journal.
    async fn numbered(mut self, jobs: &Jobs) -> Result<(TcpListener, Arc<Door>), ServerError> {
        self.link.number = number_of(jobs, &self.link.listener.name).await?;
        let mut clients = Vec::new();
        for (name, mut link) in self.of_clients {
            link.number = number_of(jobs, &link.listener.name).await?;
            clients.push((name, Arc::new(link)));
        }
        let tls = self.tls.map(|certificates| DoorTls {
            certificates,
            clients,
        });
        let link = Arc::new(self.link);
        Ok((self.socket, Arc::new(Door { link, tls })))
    }
}

/// The certificates of a door, which join the others; `None`: it speaks in the clear.
fn tls_door(
    name: &str,
    files: Option<&TlsFiles>,
    others: &mut Vec<Arc<TlsDoor>>,
) -> Result<Option<Arc<TlsDoor>>, ServerError> {
    let Some(files) = files else {
        return Ok(None);
    };
    let opened = TlsDoor::open(name, files).map_err(|source| ServerError::Tls {
        door: name.to_owned(),
        source,
    })?;
    let opened = Arc::new(opened);
    others.push(Arc::clone(&opened));
    Ok(Some(opened))
}

fn link(
    listener: &Listener,
    (rules, in_force): (&LoadedRules, &RulesInForce),
    (token_key, pins, book): (&Arc<TokenKey>, &Arc<PinDesk>, &Arc<LinkKeyBook>),
    jobs: &Jobs,
    (telemetry, sessions): (&Arc<Telemetry>, &Arc<Sessions>),
) -> Result<Link, ServerError> {
    let wrong = |what: String| ServerError::Listener {
        listener: listener.name.clone(),
        what,
    };
    let framing = listener.cut().map_err(|error| wrong(error.to_string()))?;
    let spec = specification(listener).map_err(wrong)?;
    let (dialect_number, dialect) = rules
        .dialect(&listener.dialect)
        .ok_or_else(|| wrong(format!("no dialect is named {:?}", listener.dialect)))?;
    let keys = KeysOfLink::of(listener, pins, book).map_err(|what| ServerError::Keys {
        listener: listener.name.clone(),
        what,
    })?;
    Ok(Link {
        listener: listener.clone(),
        mac: keys.mac,
        pin_key: keys.pin,
        exchange: keys.exchange,
        number: LinkNumber::default(),
        codec: FrameCodec::new(&framing, listener.frame_bytes_max),
        spec,
        dialect,
        dialect_number,
        rules: in_force.subscribe(),
        token_key: Arc::clone(token_key),
        pins: Arc::clone(pins),
        jobs: jobs.clone(),
        telemetry: Arc::clone(telemetry),
        permits: (!listener.may.are_all()).then(|| listener.may.clone()),
        meter: telemetry.link(&listener.name, listener.connections_max),
        sessions: Arc::clone(sessions),
        desk: Desk::default(),
        lines: Desk::of_lines(),
    })
}

/// The specification of a listener; one in a file lives as long as the process, as listeners do.
fn specification(listener: &Listener) -> Result<&'static MessageSpec, String> {
    if let Some(spec) = MessageSpec::builtin(&listener.spec) {
        return Ok(spec);
    }
    let Loaded { spec, report } = spec_source::load(&listener.spec)?;
    if let Some(report) = report {
        let [taken, approximated, not_expressible] = report.counts();
        tracing::info!(
            link = listener.name,
            spec = listener.spec,
            taken,
            approximated,
            not_expressible,
            "imported a specification"
        );
    }
    Ok(Box::leak(Box::new(spec)))
}

/// Has every card looked at whose last month is over (rule A3).
async fn end_cards(jobs: &Jobs) -> Result<(), Stopping> {
    let order = Order::Holder(HolderOrder::RenewCards {
        cards_max: RELEASES_MAX,
    });
    loop {
        let answer = jobs.command(Body::Operate(Box::new(order.clone()))).await?;
        if !matches!(answer, Answer::Ordered(Ok(Done { before: false, .. }))) {
            return Ok(());
        }
    }
}

/// Tells the single writer that time has passed.
async fn sweep(jobs: Jobs, retention: RetentionConfig, mut stopping: watch::Receiver<bool>) {
    let hours = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let terms = Housekeep {
        answers_hours: hours(retention.answers_retention_hours),
        entries_hours: hours(retention.holds_retention_days.saturating_mul(24)),
        tombstones_hours: hours(retention.tombstone_retention_hours),
        releases_max: RELEASES_MAX,
    };
    let mut every = tokio::time::interval(Duration::from_secs(retention.expire_every_seconds));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stopping.changed() => return,
        }
        if jobs.submit(Job::Housekeep(terms)).await.is_err() || end_cards(&jobs).await.is_err() {
            return;
        }
    }
}
