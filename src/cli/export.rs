//! `cardswitch export`: decisions and postings as files that DuckDB, Spark or ClickHouse read.
//!
//! Reads a store that is not in use by itself; of a running switch it asks the operators' API page
//! by page, so that decisions are made in between. Memory grows with the cards of the store, not
//! with what happened.

use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use crate::domain::account::AccountId;
use crate::domain::card::CardId;
use crate::domain::money::Currency;
use crate::domain::pan::MaskedPan;
use crate::engine::event::{AccountOpened, Event};
use crate::engine::operation::Operation;
use crate::engine::operation_end::EndOperation;
use crate::engine::operation_holder::HolderOperation;
use crate::engine::record;
use crate::journal::{self, HeldStore, JournalError, SledOptions};
use crate::ops::activity::{Activity, ActivityPage, activity, letters};
use crate::switch::clock;

use super::api::Api;
use super::export_table::{Cell, DECISIONS, Format, POSTINGS, Table};
use super::import::Failed;
use super::tail::Since;

/// Records between two looks of the progress bar at itself.
const DRAW_RECORDS: u64 = 4_096;
/// Records asked of a running switch at once: little, so that whoever waits for an answer of the
/// switch waits for little else.
const PAGE_ROWS: u32 = 100;
/// Rows between two offers of the processor to whoever waits for it: the least niceness alone does
/// not make a kernel take it from us before our slice of time is over.
const YIELD_ROWS: u64 = 16;
/// The least niceness there is.
const NICENESS: i32 = 19;

/// What `export` can be told.
#[derive(Args)]
pub struct ExportArgs {
    /// How the files are written.
    #[arg(long, value_enum)]
    format: Format,
    /// Folder for decisions.* and postings.*; made when it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only what happened since then: 90s, 10m, 2h, 1d ago or a time such as
    /// 2026-11-21T09:00:00+09:00.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only what happened before then.
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    /// Directory of the store.
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Operators' API of the switch that has the store open.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8580")]
    admin: String,
    /// Records asked of a running switch in a second; 0: as many as it gives.
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    rate: u32,
}

/// The period, milliseconds since 1970.
#[derive(Clone, Copy)]
struct Period {
    since_ms: i64,
    until_ms: i64,
}

/// The tables, and how far they are.
struct Export {
    period: Period,
    decisions: Table,
    postings: Table,
    bar: ProgressBar,
}

/// How often a page is asked for.
struct Pace {
    /// From one to the next.
    every: Duration,
    due: Instant,
}

impl Pace {
    fn of(rate: u32) -> Pace {
        let each = |rate| Duration::from_secs(u64::from(PAGE_ROWS)) / rate;
        let every = NonZero::new(rate).map_or(Duration::ZERO, |rate| each(rate.get()));
        let due = clock::instant();
        Pace { every, due }
    }

    /// Until the next page is due. Time that was lost is not made up for.
    fn rest(&mut self) {
        let now = clock::instant();
        self.due = now.max(self.due + self.every);
        thread::sleep(self.due.saturating_duration_since(now));
    }
}

/// Runs `export`.
pub fn run(args: &ExportArgs) -> ExitCode {
    match export(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn export(args: &ExportArgs) -> Result<(), Failed> {
    // Whoever decides goes first. Without it the export is only less polite.
    let _ = rustix::process::nice(NICENESS);
    let view = journal::view(&args.data).map_err(told)?;
    let unwritable = |error: io::Error| (73, format!("{}: {error}", args.to.display()));
    fs::create_dir_all(&args.to).map_err(unwritable)?;
    let begin = |name, columns| Table::begin(&args.to, name, columns, args.format);
    let mut export = Export {
        period: Period {
            since_ms: at_ms(args.since.as_ref())?.unwrap_or(i64::MIN),
            until_ms: at_ms(args.until.as_ref())?.unwrap_or(i64::MAX),
        },
        decisions: begin("decisions", DECISIONS).map_err(unwritable)?,
        postings: begin("postings", POSTINGS).map_err(unwritable)?,
        bar: bar()?,
    };
    export.bar.set_length(view.watermark.map_or(0, |it| it.0));
    if view.is_open {
        let api = Api::at(&args.admin, &args.data)?;
        export.of_running(
            &api,
            view.first_sequence.saturating_sub(1),
            Pace::of(args.rate),
        )?;
    } else {
        export.of_store(&args.data)?;
    }
    export.bar.finish_and_clear();
    for table in [export.decisions, export.postings] {
        let (path, rows) = table.finish().map_err(unwritable)?;
        println!("{rows:>12} rows  {}", path.display());
    }
    Ok(())
}

fn at_ms(since: Option<&Since>) -> Result<Option<i64>, Failed> {
    let at = match since {
        None => return Ok(None),
        Some(Since::At(at)) => *at,
        Some(Since::Ago(ago)) => {
            let at = Timestamp::now().saturating_sub(*ago);
            at.map_err(|error| (64, error.to_string()))?
        }
    };
    Ok(Some(at.as_millisecond()))
}

impl Export {
    /// Reads a store that nobody has open.
    fn of_store(&mut self, data: &Path) -> Result<(), Failed> {
        let options = SledOptions::standard();
        let held = HeldStore::take(data).map_err(told)?;
        // A shortened journal follows from its oldest checkpoint.
        let base = match held.first_sequence().map_err(told)? {
            1 => None,
            _ => {
                let checkpoints = held.checkpoints(options.cache_bytes);
                let labels = checkpoints
                    .list()
                    .map_err(|error| (65, error.to_string()))?;
                let oldest = labels.into_iter().rev().find_map(Result::ok);
                oldest.map(|label| label.position)
            }
        };
        let mut known = Known::default();
        let opened = held.open(options, base, &mut |records| {
            records.each(|sequence, bytes| {
                let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
                known.learn(&event);
                let mut row = activity(sequence, at, &event);
                known.complete(&mut row);
                self.take(&row).map_err(|error| error.to_string())
            })
        });
        opened.map_err(told)?.close().map_err(told)
    }

    /// Asks a running switch.
    fn of_running(&mut self, api: &Api, first: u64, mut pace: Pace) -> Result<(), Failed> {
        let mut after = first;
        loop {
            let path = format!("/v1/activity?after={after}&limit={PAGE_ROWS}");
            let page: ActivityPage = api.get_as(&path)?;
            let is_over = page.activity.last().is_some_and(|row| self.is_behind(row));
            for row in &page.activity {
                self.take(row).map_err(|error| (73, error.to_string()))?;
            }
            self.bar.set_length(page.next.saturating_add(page.behind));
            if page.behind == 0 || page.next <= after || is_over {
                return Ok(());
            }
            pace.rest();
            after = page.next;
        }
    }

    fn is_behind(&self, row: &Activity) -> bool {
        milliseconds(row) >= self.period.until_ms
    }

    fn take(&mut self, row: &Activity) -> io::Result<()> {
        if row.sequence.is_multiple_of(DRAW_RECORDS) {
            self.bar.set_position(row.sequence);
        }
        if row.sequence.is_multiple_of(YIELD_ROWS) {
            thread::yield_now();
        }
        let at = milliseconds(row);
        if at < self.period.since_ms || at >= self.period.until_ms {
            return Ok(());
        }
        let sequence = || Cell::sequence(Some(row.sequence));
        if let (Some(message), Some(decision)) = (&row.message, &row.decision) {
            self.decisions.row(&[
                sequence(),
                Cell::Number(at),
                Cell::sequence(row.transaction),
                Cell::number(row.account),
                Cell::number(row.card),
                Cell::text(row.number.as_deref()),
                Cell::Text(&message.mti),
                Cell::Text(&message.purpose),
                Cell::Text(&decision.outcome),
                Cell::Text(&decision.reason),
                Cell::Text(&decision.code),
                Cell::text(decision.approval.as_deref()),
                Cell::Number(message.amount_minor),
                Cell::Text(&message.currency),
                Cell::text(message.mcc.as_deref()),
                Cell::text(message.acceptor.as_deref()),
                Cell::text(message.merchant.as_deref()),
                Cell::text(message.terminal.as_deref()),
                Cell::Text(&message.stan),
                Cell::text(message.rrn.as_deref()),
                Cell::text(decision.evidence.as_deref()),
            ])?;
        }
        for posting in &row.postings {
            self.postings.row(&[
                sequence(),
                Cell::Number(at),
                Cell::sequence(row.transaction),
                Cell::text(row.operation.as_deref()),
                Cell::Text(&posting.ledger),
                Cell::number(posting.account),
                Cell::number(posting.purse),
                Cell::text(posting.currency.as_deref()),
                Cell::Number(posting.minor),
            ])?;
        }
        Ok(())
    }
}

fn milliseconds(row: &Activity) -> i64 {
    match row.at_ms {
        0 => {
            let at: Option<Timestamp> = row.at.parse().ok();
            at.map_or(0, Timestamp::as_millisecond)
        }
        at => at,
    }
}

/// What earlier records said of cards and accounts.
#[derive(Default)]
struct Known {
    /// By the number of the card, from 1.
    cards: Vec<Option<(AccountId, MaskedPan)>>,
    /// Which of the lists of purses an account has, by its number, from 1.
    accounts: Vec<Option<usize>>,
    purses: Vec<Vec<Currency>>,
}

impl Known {
    fn learn(&mut self, event: &Event) {
        match event {
            Event::AccountOpened(opened) => self.opened(opened),
            Event::Operated(operation) => match operation.as_ref() {
                Operation::Holder(HolderOperation::AccountOpened { opened, .. }) => {
                    self.opened(opened);
                }
                Operation::CardReplaced { card, with, .. } => {
                    if let Some(account) = self.card(*card).map(|known| known.0) {
                        put(&mut self.cards, with.card.0, (account, with.masked));
                    }
                }
                Operation::End(EndOperation::CardDataErased(account)) => {
                    let cards = self.cards.iter_mut().flatten();
                    for (_, masked) in cards.filter(|card| card.0 == *account) {
                        *masked = MaskedPan::erased();
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn opened(&mut self, opened: &AccountOpened) {
        put(
            &mut self.cards,
            opened.card.card.0,
            (opened.account, opened.card.masked),
        );
        let known = self.purses.iter().position(|list| *list == opened.purses);
        let place = known.unwrap_or_else(|| {
            self.purses.push(opened.purses.clone());
            self.purses.len() - 1
        });
        put(&mut self.accounts, opened.account.0, place);
    }

    fn card(&self, card: CardId) -> Option<(AccountId, MaskedPan)> {
        at(&self.cards, card.0)
    }

    /// Says of a row what its record does not.
    fn complete(&self, row: &mut Activity) {
        if let Some((account, masked)) = row.card.and_then(|card| self.card(CardId(card))) {
            row.account.get_or_insert(account.0);
            row.number = Some(masked.to_string());
        }
        let own = row.account;
        for posting in row.postings.iter_mut().filter(|it| it.currency.is_none()) {
            let account = posting.account.or(own);
            let list = account.and_then(|account| at(&self.accounts, account));
            let purses = list.and_then(|place| self.purses.get(place));
            let purse = posting.purse.and_then(|purse| usize::try_from(purse).ok());
            let currency = purses.and_then(|purses| purses.get(purse?));
            posting.currency = currency.map(|currency| letters(*currency));
        }
    }
}

fn put<T>(list: &mut Vec<Option<T>>, number: u32, value: T) {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    if list.len() <= place {
        list.resize_with(place.saturating_add(1), || None);
    }
    if let Some(row) = list.get_mut(place) {
        *row = Some(value);
    }
}

fn at<T: Copy>(list: &[Option<T>], number: u32) -> Option<T> {
    let place = usize::try_from(number).ok()?;
    list.get(place).copied().flatten()
}

fn bar() -> Result<ProgressBar, Failed> {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} records, {eta}");
    let style = style.map_err(|error| (70, error.to_string()))?;
    Ok(ProgressBar::new(0).with_style(style))
}

fn told(error: JournalError) -> Failed {
    (error.exit_code(), error.to_string())
}
