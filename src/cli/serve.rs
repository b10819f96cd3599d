//! `cardswitch serve`: the switch itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::crypto::hsm::{Hsm, MacScheme};
use crate::crypto::key::scrub_stack;
use crate::crypto::mac::Padding;
use crate::crypto::payshield::client::PayShield;
use crate::domain::rate_file::{self, RateRow};
use crate::engine::command::{Answer, Body};
use crate::engine::operation::Order;
use crate::engine::operation_money::MoneyOrder;
use crate::journal::{Recovery, RingMode};
use crate::ops::admin;
use crate::ops::admin::socket::AdminSocket;
use crate::ops::log;
use crate::switch::card_check::CardChecks;
use crate::switch::clock;
use crate::switch::config::{
    CardCheck, Config, ExchangeConfig, HsmConfig, LinkKeys, Listener, MacConfig, Overrides,
};
use crate::switch::cpus::Places;
use crate::switch::hsm::desk::QuestionDesk;
use crate::switch::hsm::key_table;
use crate::switch::hsm::line::DeviceLine;
use crate::switch::jobs::Jobs;
use crate::switch::key_file::KeyFile;
use crate::switch::pin::{PinDesk, PinKeys, PinKeysError};
use crate::switch::pin_keys;
use crate::switch::rulebook::LoadedRules;
use crate::switch::rules_in_force::RulesInForce;
use crate::switch::server::{Server, ServerError};
use crate::switch::store::{self, OpenStore};
use crate::switch::tls::TlsDoors;

use super::{key, serve_admin, serve_demo};

/// PIN keys of the demo.
const DEMO_PIN_KEYS: &str = include_str!("../../fixtures/demo-pin-keys.toml");
/// Which of them is the chips', and the leading digits of their cards.
const DEMO_CHIP_KEY: &str = "chip";
const DEMO_BIN: &str = "47617390010102";
/// Which of them authenticates messages.
const DEMO_MAC_KEY: &str = "mac";
/// Which of them new keys come under, and how long the key before stays good.
const DEMO_EXCHANGE_KEY: &str = "exchange";
const DEMO_OVERLAP_SECONDS: u64 = 300;
/// Exchange rates of the demo.
const DEMO_RATES: &str = include_str!("../../fixtures/demo-rates.toml");
/// Threads for everything but connections of peers: new ones are taken while a large page is made.
const API_THREADS: usize = 2;
/// How long tasks that outlive the stop may take.
const RUNTIME_STOP: Duration = Duration::from_secs(1);

/// What `serve` can be told.
#[derive(Args)]
pub struct ServeArgs {
    /// Open the demo accounts and cards on first start, and print them.
    #[arg(long)]
    demo: bool,
    /// Directory of the store [default: ./cardswitch-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen here, e.g. 127.0.0.1:8583,be2,iso87-ascii; repeatable, replaces the configured ones.
    #[arg(long, value_name = "ADDR,FRAMING,SPEC")]
    listen: Vec<Listener>,
    /// Address of the operators' API, loopback only without [admin_tls] [default: 127.0.0.1:8580].
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration file; `spec/config.toml` shows every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Live this many seconds ahead of the wall clock, to see what days bring; with --demo only,
    /// for its store stays ahead for good. `acquirer run --own-switch` starts switches so.
    #[arg(long, value_name = "SECONDS", requires = "demo")]
    clock_ahead: Option<u32>,
}

/// Whoever keeps the keys, and where that is said.
type Keeper = (String, Arc<dyn Hsm>);

/// Why the switch stopped, with the exit code that says so.
pub(super) struct Stopped {
    code: u8,
    sentence: String,
}

impl Stopped {
    pub(super) fn because(code: u8, error: impl std::fmt::Display) -> Stopped {
        Stopped {
            code,
            sentence: error.to_string(),
        }
    }
}

/// Runs the switch until SIGINT or SIGTERM.
pub fn run(args: &ServeArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            eprintln!("cardswitch: {}", stopped.sentence);
            ExitCode::from(stopped.code)
        }
    }
}

fn start(args: &ServeArgs) -> Result<(), Stopped> {
    if let Some(seconds) = args.clock_ahead {
        clock::live_ahead(Duration::from_secs(seconds.into()));
    }
    let overrides = Overrides {
        data_dir: args.data.clone(),
        listeners: args.listen.clone(),
        admin: args.admin,
    };
    let mut config = Config::load(args.config.as_deref(), &overrides)
        .map_err(|error| Stopped::because(78, error))?;
    authenticate_demo(args, &mut config);
    let config = config;
    // Before a store is opened for nothing.
    Places::of(&config.cpus).map_err(|error| Stopped::because(78, error))?;
    let rules = LoadedRules::load(
        config.programmes_dir.as_deref(),
        config.dialects_dir.as_deref(),
    )
    .map_err(|error| Stopped::because(78, error))?;
    raise_open_files(&config);
    let mut store = store::open(&config.data_dir, &config.journal, &rules)
        .map_err(|error| Stopped::because(error.exit_code(), error))?;
    let checks = card_checks(args, &config);
    let hsm = match &config.hsm {
        Some(hsm) => {
            let (hsm, desk) = device(hsm)?;
            store.pins = store.pins.with_desk(desk);
            Some(hsm)
        }
        None => software(args, &config)?,
    };
    scrub_stack();
    let links: Vec<&LinkKeys> = config
        .listeners
        .iter()
        .flat_map(Listener::all_keys)
        .collect();
    store.pins = with_keys(store.pins, hsm, checks, &links)?;
    let rates = rates(args, &config)?;
    let directory = config.log_directory();
    let log = log::init(&config.log, directory.as_deref(), clock::now)
        .map_err(|error| Stopped::because(73, error))?;
    if let Some(keeper) = store.pins.keeper() {
        tracing::info!(
            keeper,
            "PINs, cards and messages are judged with keys that this one keeps"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(API_THREADS)
        .thread_name("api")
        .enable_all()
        .build()
        .map_err(|error| Stopped::because(71, format!("start the runtime: {error}")))?;
    let result = runtime.block_on(serve(args, &config, rules, (store, rates), &log));
    runtime.shutdown_timeout(RUNTIME_STOP);
    drop(log);
    result
}

/// The demo judges the authentication codes that come, and wants none.
fn authenticate_demo(args: &ServeArgs, config: &mut Config) {
    let has_keys = config.hsm.is_some() || config.key_file.is_some() || config.pin_keys.is_some();
    if has_keys || !args.demo {
        return;
    }
    for listener in &mut config.listeners {
        listener.keys.mac.get_or_insert_with(|| MacConfig {
            key: DEMO_MAC_KEY.to_owned(),
            scheme: MacScheme::Retail(Padding::Zeros),
            is_required: false,
        });
        listener
            .keys
            .exchange
            .get_or_insert_with(|| ExchangeConfig {
                under: DEMO_EXCHANGE_KEY.to_owned(),
                overlap_seconds: DEMO_OVERLAP_SECONDS,
            });
    }
}

/// What is checked of cards: as configured; the demo checks the chips that come.
fn card_checks(args: &ServeArgs, config: &Config) -> Vec<CardCheck> {
    let has_keys = config.hsm.is_some() || config.key_file.is_some() || config.pin_keys.is_some();
    if !config.card_checks.is_empty() || has_keys || !args.demo {
        return config.card_checks.clone();
    }
    vec![CardCheck {
        chip_key: Some(DEMO_CHIP_KEY.to_owned()),
        chip_required: false,
        ..CardCheck::standard(vec![DEMO_BIN.to_owned()])
    }]
}

/// A desk that judges with these keys: PINs where there is one for PIN blocks, which there must be
/// when they are for nothing else (cards, messages), and cards by the rows.
fn with_keys(
    pins: PinDesk,
    hsm: Option<Keeper>,
    checks: Vec<CardCheck>,
    links: &[&LinkKeys],
) -> Result<PinDesk, Stopped> {
    let Some((place, hsm)) = hsm else {
        return match checks.is_empty() {
            true => Ok(pins),
            false => Err(Stopped::because(78, "card_check: there are no keys")),
        };
    };
    let pins = pins.with_hsm(Arc::clone(&hsm));
    let has_pin_key = hsm.keys().iter().any(|key| key.usage == "P0");
    let is_for_more = !checks.is_empty() || links.iter().any(|keys| keys.mac.is_some());
    let pins = match has_pin_key || !is_for_more {
        true => {
            let of_links = links.iter().filter_map(|keys| keys.pin_key.as_deref());
            let of_links: Vec<&str> = of_links.collect();
            let keys = PinKeys::kept_by(&place, Arc::clone(&hsm), &of_links);
            pins.with_keys(keys.map_err(|error| Stopped::because(78, error))?)
        }
        false => pins,
    };
    if checks.is_empty() {
        return Ok(pins);
    }
    let cards = CardChecks::new(hsm, checks);
    let wrong = |mistakes: Vec<String>| Stopped::because(78, mistakes.join("; "));
    Ok(pins.with_cards(cards.map_err(wrong)?))
}

/// The keys in this process: the configured ones, else those of the demo. Not inlined: what is left
/// of them on the stack must lie below whoever scrubs it.
#[inline(never)]
fn software(args: &ServeArgs, config: &Config) -> Result<Option<Keeper>, Stopped> {
    let wrong = |error: PinKeysError| Stopped::because(78, error);
    let of_clear = |place: &str, keys: PinKeys| (place.to_owned(), Arc::clone(keys.keeper()));
    match (&config.key_file, &config.pin_keys) {
        (Some(path), _) => {
            let sealing_key = key::sealing_key(config.sealing_key_file.as_deref())
                .map_err(|(code, sentence)| Stopped::because(code, sentence))?;
            let file =
                KeyFile::load(path, &sealing_key).map_err(|error| Stopped::because(78, error))?;
            let place = path.display().to_string();
            let hsm = pin_keys::software(&place, &file).map_err(wrong)?;
            Ok(Some((place, Arc::new(hsm))))
        }
        (None, Some(path)) => {
            let keys = PinKeys::load(path).map_err(wrong)?;
            Ok(Some(of_clear(&path.display().to_string(), keys)))
        }
        (None, None) if args.demo => {
            let keys = PinKeys::parse("of the demo", DEMO_PIN_KEYS).map_err(wrong)?;
            Ok(Some(of_clear("of the demo", keys)))
        }
        (None, None) => Ok(None),
    }
}

/// Devices that keep the keys. One that is away now may come back; one that says other check
/// values than the table has the wrong keys.
fn device(config: &HsmConfig) -> Result<(Keeper, QuestionDesk), Stopped> {
    let table = key_table::load(&config.keys).map_err(|error| Stopped::because(78, error))?;
    let threads = config
        .connections_max
        .saturating_mul(config.addresses.len());
    let terms = config.terms();
    let no_threads = |error| Stopped::because(71, format!("look after the HSM: {error}"));
    let desk = QuestionDesk::new(threads, terms.deadline).map_err(no_threads)?;
    let line = DeviceLine::new(terms).map_err(no_threads)?;
    let hsm = PayShield::new(line, config.settings, table);
    match hsm.health() {
        Err(error) => eprintln!("cardswitch: {error}; PINs are refused until it is there"),
        Ok(_) => match key_table::disagreements(&hsm).as_slice() {
            [] => {}
            wrong => return Err(Stopped::because(78, wrong.join("; "))),
        },
    }
    let place = config.keys.display().to_string();
    Ok(((place, Arc::new(hsm)), desk))
}

/// The exchange rates to take in at start: those of the configured file, else of the demo.
fn rates(args: &ServeArgs, config: &Config) -> Result<Vec<RateRow>, Stopped> {
    let rates = match &config.rates {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Stopped::because(78, format!("read {}: {error}", path.display()))
            })?;
            rate_file::parse(&path.display().to_string(), &text)
        }
        None if args.demo => rate_file::parse("of the demo", DEMO_RATES),
        None => return Ok(Vec::new()),
    };
    rates.map_err(|error| Stopped::because(78, error))
}

/// Has the single writer take rates in; those that it knows change nothing.
async fn take_rates(server: &Server, rates: Vec<RateRow>) -> Result<(), Stopped> {
    if rates.is_empty() {
        return Ok(());
    }
    let order = Order::Money(MoneyOrder::SetRates(rates));
    let job = server.jobs.command(Body::Operate(Box::new(order))).await;
    match job.map_err(|error| Stopped::because(70, error))? {
        Answer::Ordered(Err(refused)) => Err(Stopped::because(78, format!("rates: {refused}"))),
        _ => Ok(()),
    }
}

/// Asks the system for as many open files as the listeners may need.
fn raise_open_files(config: &Config) {
    let connections: usize = config
        .listeners
        .iter()
        .map(|door| door.connections_max)
        .sum();
    let wanted = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(256);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => eprintln!(
            "cardswitch: the system allows {limit} open files; {wanted} would serve every \
             connection that the listeners may accept"
        ),
        Ok(_) => {}
        Err(error) => eprintln!("cardswitch: raise the limit of open files: {error}"),
    }
}

fn not_started(error: ServerError) -> Stopped {
    match error {
        ServerError::Tls { .. }
        | ServerError::Keys { .. }
        | ServerError::LinkKeys(_)
        | ServerError::Cpus(_) => Stopped::because(78, error),
        error => Stopped::because(71, error),
    }
}

async fn serve(
    args: &ServeArgs,
    config: &Config,
    rules: LoadedRules,
    (store, rates): (OpenStore, Vec<RateRow>),
    log: &log::LogGuard,
) -> Result<(), Stopped> {
    // Before anybody can be served: from then on a signal must not end the process on the spot.
    let (stop, hang_up) = (stop_signal()?, hang_up_signal()?);
    let (records, base_sequence) = (store.records, store.base_sequence);
    for error in &store.passed_over {
        tracing::error!(%error, "a checkpoint cannot be used");
        eprintln!("cardswitch: {error}; the one before it was used, or the whole journal");
    }
    let (accounts, ..) = store.state.counts();
    let recovery = store.journal.recovery().clone();
    let ring = store.journal.ring_mode().map_or("none", RingMode::name);
    let server = Server::start(config, store, rules)
        .await
        .map_err(not_started)?;
    take_rates(&server, rates).await?;
    let tls = server.admin_tls.clone();
    let socket = AdminSocket::bind(config, tls, server.telemetry.clone())
        .await
        .map_err(|error| Stopped::because(71, format!("listen on {}: {error}", config.admin)))?;
    let admin_address = socket.address().unwrap_or(config.admin);
    let scheme = socket.scheme();
    let context = serve_admin::context(args.demo, config, &server, log)?;
    let (local_token, webhooks) = (context.gate.local_token_path(), context.webhooks.clone());
    let (stop_admin, admin_stops) = tokio::sync::oneshot::channel::<()>();
    let admin = tokio::spawn(admin::serve(socket, context, async {
        // A dropped sender stops it too.
        let _ = admin_stops.await;
    }));
    tracing::info!(
        sequence = records,
        base_sequence,
        accounts,
        generations = recovery.generations,
        ring,
        frames_from_ring = recovery.frames_from_ring,
        "started"
    );
    tell_what_was_torn(&recovery);
    announce!("cardswitch {}", env!("CARGO_PKG_VERSION"));
    announce!(
        "store      {} ({})",
        config.data_dir.display(),
        replayed(records, base_sequence)
    );
    for (name, address) in &server.addresses {
        announce!("listening  {address}  {name}");
    }
    announce!("admin      {scheme}://{admin_address}/healthz");
    if local_token.exists() {
        announce!("token      {}", local_token.display());
    }
    if let Some(seconds) = args.clock_ahead {
        announce!("clock      {seconds} seconds ahead of the wall clock");
    }
    if let Some(directory) = config.log_directory() {
        announce!("log        {}", log::active_file(&directory).display());
    }
    if args.demo {
        serve_demo::open(&server).await?;
    }
    announce!("{}", next_step(args.demo, accounts));

    let (rules, jobs) = (server.rules.clone(), server.jobs.clone());
    let reloads = tokio::spawn(reload_at_hang_up(hang_up, rules, jobs, server.tls.clone()));
    let stopped = server.run(stop).await;
    reloads.abort();
    drop(stop_admin);
    // Its connections may be idle; the runtime ends them.
    let _ = tokio::time::timeout(RUNTIME_STOP, admin).await;
    webhooks.save();
    match stopped {
        Ok(()) => {
            tracing::info!("stopped");
            announce!("stopped: everything answered is in the journal");
            Ok(())
        }
        Err(fault) => {
            tracing::error!(%fault, "stopped by a fault; nothing of the last batch was answered");
            Err(Stopped::because(fault.exit_code(), fault))
        }
    }
}

/// Says what a start left out of a journal that was cut off in the middle of a group commit.
fn tell_what_was_torn(recovery: &Recovery) {
    if recovery.frames_wiped > 0 {
        tracing::warn!(
            frames = recovery.frames_wiped,
            last_sequence = recovery.last_sequence,
            "a torn group commit was wiped from the ring; none of it had been answered"
        );
    }
    if let Some(cut) = &recovery.cut {
        tracing::warn!(
            generation = cut.generation,
            last_sequence = cut.last_sequence,
            frames_ignored = cut.frames_ignored,
            "a torn group commit was cut off; none of it had been answered"
        );
    }
}

fn next_step(demo: bool, accounts: usize) -> &'static str {
    match (demo, accounts) {
        (true, _) => {
            "next       cardswitch acquirer run fixtures/scenarios/first-day.toml   \
             (in another terminal; `cardswitch tail` follows the decisions)"
        }
        (false, 0) => "next       cardswitch import fixtures/demo.toml   (there are no cards yet)",
        (false, _) => "next       cardswitch tail   (follows the decisions)",
    }
}

/// How the state came about.
fn replayed(records: u64, base_sequence: u64) -> String {
    match base_sequence {
        0 => format!("{records} records replayed"),
        base => {
            let behind = records.saturating_sub(base);
            format!("checkpoint at record {base}, {behind} records replayed")
        }
    }
}

/// Reads the programme files and the certificates again at every SIGHUP; with a mistake in any file
/// of the programmes, or of a door, nothing changes there.
async fn reload_at_hang_up(
    mut hang_up: Signal,
    rules: Arc<RulesInForce>,
    jobs: Jobs,
    tls: TlsDoors,
) {
    while hang_up.recv().await.is_some() {
        tls.reload();
        match rules.reload(&jobs).await {
            Ok(done) => tracing::info!(sequence = done.sequence, "programmes reloaded"),
            Err(error) => tracing::error!(%error, "programmes not reloaded; nothing has changed"),
        }
    }
}

/// Comes with every SIGHUP from now on.
fn hang_up_signal() -> Result<Signal, Stopped> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, Stopped> {
    signal(kind).map_err(|error| Stopped::because(71, format!("listen for signals: {error}")))
}

/// Resolves at the first SIGINT or SIGTERM from now on.
fn stop_signal() -> Result<impl Future<Output = ()>, Stopped> {
    let (mut interrupt, mut terminate) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
