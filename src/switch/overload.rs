//! Questions that are turned away: answered at once, neither decided nor recorded, because they
//! waited too long, the peer's window is full, or the store's disk nearly is.
//!
//! Invariant: only questions are. An advice or a reversal tells what has happened already, so it is
//! taken as long as there is room for its record; and a repeat whose original was answered gets
//! that answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::decision::Reason;
use crate::domain::facts::MessageKind;
use crate::engine::state::State;
use crate::iso8583::Mti;

use super::clock::Tick;
use super::jobs::SequencerRequest;

/// How often the room on the store's disk is looked at.
const SPACE_EVERY: Duration = Duration::from_secs(1);
const ENOUGH: u64 = u64::MAX;

/// Whether a message asks something, so that it may be answered with "not now".
pub(super) fn is_question(mti: Mti) -> bool {
    matches!((mti.class(), mti.function()), (1 | 2, 0))
}

/// Whether a message waits for the single writer.
pub(super) fn is_decided(mti: Mti) -> bool {
    matches!(mti.class(), 1 | 2 | 4)
}

/// The room on the store's disk, as it was seen last.
#[derive(Debug)]
pub struct Space {
    /// MiB left when that is less than is kept; [`ENOUGH`] otherwise.
    left_mib: AtomicU64,
    keep_mib: u64,
}

impl Space {
    /// Room of which so many MiB are kept for advices and reversals; 0: none.
    pub fn keeping(keep_mib: u64) -> Space {
        Space {
            left_mib: AtomicU64::new(ENOUGH),
            keep_mib,
        }
    }

    /// Notes what is left; whether that is another answer than before.
    pub fn note(&self, left_mib: u64) -> bool {
        let seen = if left_mib < self.keep_mib {
            left_mib
        } else {
            ENOUGH
        };
        let before = self.left_mib.swap(seen, Relaxed);
        (before == ENOUGH) != (seen == ENOUGH)
    }

    /// Why there is no room for questions, when there is none.
    pub fn shortage(&self) -> Option<String> {
        let (left, keep) = (self.left_mib.load(Relaxed), self.keep_mib);
        (left != ENOUGH)
            .then(|| format!("{left} MiB are left for the store, {keep} are kept for advices"))
    }
}

/// What makes the single writer turn a question away.
pub(super) struct Overload {
    /// Longest wait before it is taken up, nanoseconds.
    pub(super) wait_ns_max: u64,
    /// Room on the store's disk.
    pub(super) space: Arc<Space>,
}

impl Overload {
    /// Questions wait so long at most; 0: as long as it takes.
    pub(super) fn within(wait_ms_max: u64) -> Overload {
        Overload {
            wait_ns_max: match wait_ms_max {
                0 => u64::MAX,
                ms => ms.saturating_mul(1_000_000),
            },
            space: Arc::new(Space::keeping(0)),
        }
    }

    /// Why a request that is taken up now is turned away instead.
    pub(super) fn turns_away(
        &self,
        state: &State,
        request: &SequencerRequest,
        now: Tick,
    ) -> Option<(Reason, String)> {
        let waited_ns = now.since(request.submitted);
        let why = if waited_ns > self.wait_ns_max {
            let (waited, most) = (waited_ns / 1_000_000, self.wait_ns_max / 1_000_000);
            (Reason::Overload, format!("waited {waited} ms of {most}"))
        } else {
            (Reason::SystemFault, self.space.shortage()?)
        };
        let facts = &request.facts;
        let asks = matches!(
            facts.kind,
            MessageKind::Authorization | MessageKind::Financial
        );
        (asks && state.answer(&facts.key()).is_none()).then_some(why)
    }
}

/// Looks at the room on the disk of a folder, now and every second.
pub(super) async fn watch_space(
    space: Arc<Space>,
    folder: PathBuf,
    mut stopping: watch::Receiver<bool>,
) {
    if space.keep_mib == 0 {
        return;
    }
    let mut every = tokio::time::interval(SPACE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stopping.changed() => return,
        }
        match rustix::fs::statvfs(&folder) {
            Ok(disk) => {
                let left_mib = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
                let folder = folder.display();
                match (space.note(left_mib), space.shortage()) {
                    (false, _) => {}
                    (true, Some(why)) => {
                        tracing::error!(%folder, why, "requests are declined until there is room");
                    }
                    (true, None) => tracing::info!(%folder, left_mib, "there is room again"),
                }
            }
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "look at the room on a disk");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::{Facts, Purpose, Trace};
    use crate::domain::money::{Amount, Currency};
    use crate::domain::pan::CardToken;
    use crate::domain::time::UnixMs;
    use crate::engine::command::{Body, Command};
    use crate::engine::decide::decide;
    use crate::switch::clock;
    use crate::switch::rulebook::LoadedRules;

    #[test]
    fn only_what_asks_may_be_answered_with_not_now() {
        let mti = |text: &str| text.parse::<Mti>().unwrap();
        for asks in ["0100", "0101", "0200", "0201", "1100", "1200"] {
            assert!(is_question(mti(asks)), "{asks}");
        }
        for tells in [
            "0120", "0121", "0220", "0400", "0401", "0420", "0500", "0800",
        ] {
            assert!(!is_question(mti(tells)), "{tells}");
        }
    }

    /// A question about no card, and one that was answered already.
    fn fresh_and_answered() -> (State, SequencerRequest, SequencerRequest) {
        let request = |stan| {
            let trace = Trace {
                originator: 1,
                transmitted: 1,
                stan,
            };
            let (kind, purpose) = (MessageKind::Authorization, Purpose::Purchase);
            let amount = Amount::new(1, Currency::JPY);
            let facts = Facts::beside_the_wire(kind, purpose, trace, CardToken([1; 16]), amount);
            SequencerRequest {
                slot: 0,
                facts: Arc::new(facts),
                submitted: clock::tick(),
            }
        };
        let (fresh, answered) = (request(1), request(2));
        let mut state = State::new();
        let command = Command {
            sequence: 1,
            at: UnixMs(1),
            body: Body::Message(Arc::clone(&answered.facts)),
        };
        let rules = LoadedRules::load(None, None).unwrap();
        let outcome = decide(&rules.rulebook, &state, &command);
        state.apply(1, UnixMs(1), &outcome.event.unwrap()).unwrap();
        (state, fresh, answered)
    }

    #[test]
    fn what_waited_too_long_is_turned_away_unless_it_was_answered_before() {
        let (state, fresh, answered) = fresh_and_answered();
        let overload = Overload::within(1);
        let mut now = clock::tick();
        assert!(
            Overload::within(0)
                .turns_away(&state, &fresh, now)
                .is_none()
        );
        while now.since(fresh.submitted) <= 2_000_000 || now.since(answered.submitted) <= 2_000_000
        {
            now = clock::tick();
        }
        let (reason, evidence) = overload.turns_away(&state, &fresh, now).unwrap();
        assert_eq!(reason, Reason::Overload);
        assert!(evidence.ends_with(" ms of 1"), "{evidence}");
        assert!(
            overload
                .turns_away(&state, &fresh, fresh.submitted)
                .is_none()
        );
        assert!(overload.turns_away(&state, &answered, now).is_none());
    }

    #[test]
    fn a_disk_that_is_nearly_full_turns_away_what_asks_and_nothing_else() {
        let (state, mut fresh, answered) = fresh_and_answered();
        let mut overload = Overload::within(0);
        overload.space = Arc::new(Space::keeping(64));
        overload.space.note(10);
        let now = clock::tick();
        let (reason, evidence) = overload.turns_away(&state, &fresh, now).unwrap();
        assert_eq!(reason, Reason::SystemFault);
        let said = "10 MiB are left for the store, 64 are kept for advices";
        assert_eq!(evidence, said);
        assert!(overload.turns_away(&state, &answered, now).is_none());
        for kind in [
            MessageKind::AuthorizationAdvice,
            MessageKind::FinancialAdvice,
            MessageKind::Reversal,
        ] {
            Arc::make_mut(&mut fresh.facts).kind = kind;
            assert!(
                overload.turns_away(&state, &fresh, now).is_none(),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_room_is_told_once_when_it_runs_short_and_once_when_it_is_back() {
        let space = Space::keeping(64);
        let seen = [100, 64, 63, 10, 64, 100].map(|left| space.note(left));
        assert_eq!(seen, [false, false, true, false, true, false]);
    }
}
