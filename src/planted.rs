//! Bugs that were put in on purpose, so that the simulation proves that it would find them.
//!
//! The one place that lists them; each has one line where it bites. Only with the feature
//! `planted-bugs`: without it `planted!` is `false`, and nothing of this is in the binary.

/// Whether the bug of this name is switched on.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_on($crate::planted::Bug::$bug)
    };
}

/// Whether the bug of this name is switched on: never.
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

#[cfg(feature = "planted-bugs")]
pub use self::registry::{Bug, is_on, set};

#[cfg(feature = "planted-bugs")]
mod registry {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Switches one bug on in this thread, or all off.
    pub fn set(bug: Option<Bug>) {
        ON.set(bug);
    }

    /// Whether a bug is switched on in this thread.
    pub fn is_on(bug: Bug) -> bool {
        ON.get() == Some(bug)
    }

    macro_rules! bugs {
        ($($(#[doc = $sentence:literal])+ $bug:ident,)+) => {
            /// A planted bug.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Bug {
                $($(#[doc = $sentence])+ $bug,)+
            }

            impl Bug {
                /// All of them, each with its sentence.
                pub const ALL: &[(Bug, &str)] = &[
                    $((Bug::$bug, concat!($($sentence),+)),)+
                ];
            }
        };
    }

    bugs! {
        /// Answers leave before their batch is durable.
        ReplyBeforeSync,
        /// After a failed append the process goes on with what it has decided.
        GoesOnAfterFailedAppend,
        /// A write that failed is tried again, and believed.
        FailedSyncRetried,
        /// Places of the ring are used again before the store has their frames.
        RingReusedBeforeDrain,
        /// Places of the ring are freed before the store has synced their frames.
        DrainNotSynced,
        /// Frames that only the ring has are not read at a start.
        RingNotReplayed,
        /// At a damaged frame the journal is cut, whatever follows it.
        TailTruncatedInTheMiddle,
        /// The chain hash of a frame is not computed.
        ChecksumNotChecked,
        /// A frame is taken that does not follow the one before.
        SequenceGapAccepted,
        /// The watermark is not asked how far the journal must reach.
        WatermarkIgnored,
        /// A clock that is set back is believed.
        ClockSetBackBelieved,
        /// Wrong PINs are counted in memory and not in the journal.
        PinCounterNotJournalled,
        /// A right PIN does not forgive the wrong ones before it.
        RightPinForgivesNothing,
        /// Messages of two acquirers with the same numbers are the same message.
        RepeatKeyWithoutAcquirer,
        /// A repeat with another amount gets the answer of the first.
        OtherContentIsRepeat,
        /// A repeated refund is posted again.
        RefundPostedTwiceOnRepeat,
        /// What a reversal gives back can be given back by the next one.
        ReversalCreditsTwice,
        /// A reversal gives twice its amount back to the limits.
        LimitGivenBackTwice,
        /// The part of a reversal that shall remain is not looked at.
        PartialReversalUndoesAll,
        /// A reversal that comes first is forgotten.
        UnknownReversalLeavesNoTombstone,
        /// What a reversal lets go is let go twice.
        HoldReleasedTwice,
        /// What an expired hold had counted is given back twice.
        ExpiredHoldGivenBackTwice,
        /// A hold whose time is over is kept.
        HoldNeverExpires,
        /// A capture takes its money and leaves the hold.
        CaptureIgnoresHold,
        /// A credit leaves another purse below zero.
        NegativeBalanceNotOffset,
        /// The approval of a part names the full amount.
        PartialAnsweredWithFullAmount,
        /// Yen and dollars are added up to see what is available.
        TwoCurrenciesAdded,
        /// Days begin in Greenwich.
        DaysBeginInGreenwich,
        /// One purchase more than the limit of a day passes.
        CountLimitOffByOne,
        /// What was spent in the last month counts in the next.
        MonthNeverEnds,
        /// A checkpoint leaves out what limits have counted.
        CheckpointForgetsLimits,
        /// A checkpoint leaves out the answers that repeats get.
        CheckpointForgetsAnswers,
        /// Records that a checkpoint has in it are applied once more.
        CheckpointedReplayedAgain,
    }
}
