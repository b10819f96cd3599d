//! What a seed draws: how large its world is, and which faults it has at which rates. Every seed
//! switches a subset of the faults off, so that rare ones meet each other.

use std::ops::Range;

use crate::dice::Dice;

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many messages acquirers think of; repeats come on top.
    pub(crate) messages: u32,
    pub(crate) acquirers: u32,
    pub(crate) cards: u32,
    /// Most messages of one turn of the world.
    pub(crate) burst: u64,
    /// Blocks of 4 KiB of the ring, its first one included.
    pub(crate) ring_blocks: u64,
    /// Whether the watermark is written before the reply, or by and by.
    pub(crate) watermark_before_reply: bool,
    /// Milliseconds that a turn takes at most.
    pub(crate) turn_ms: u64,
    pub(crate) faults: Faults,
    /// Of a thousand turns: so many end with a checkpoint.
    pub(crate) checkpoints: u64,
    /// Numbers of messages that are left out.
    pub(crate) left_out: Vec<Range<u32>>,
}

/// Rates in a thousand; of messages, turns or restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Of messages and answers: lost on the way.
    pub(crate) lost: u64,
    /// Of messages: come twice.
    pub(crate) doubled: u64,
    /// Of messages: come turns later, behind others.
    pub(crate) late: u64,
    /// Of turns: the clock jumps, mostly to where days, months and years end.
    pub(crate) clock_jump: u64,
    /// Of turns: the clock is set back.
    pub(crate) clock_back: u64,
    /// Of turns: the process ends at one of its next writes, what it wrote stays.
    pub(crate) kill: u64,
    /// Of turns: power goes at one of the next writes; what was not synced may be gone.
    pub(crate) power_cut: u64,
    /// Of turns: one of the next writes fails.
    pub(crate) write_error: u64,
    /// Whether a disk that failed once confirms from then on what it does not keep.
    pub(crate) lying: u64,
    /// Of turns: the store is full.
    pub(crate) full: u64,
    /// Of turns: a write to the ring goes to another place.
    pub(crate) misdirected: u64,
    /// Of restarts: a bit of what is stored has changed.
    pub(crate) rot: u64,
    /// Of restarts: power goes again while it starts.
    pub(crate) cut_at_start: u64,
    /// Of turns: the store does not keep up with the ring.
    pub(crate) slow: u64,
}

/// Names of the faults, and where each stands.
pub(crate) type FaultRow = (&'static str, fn(&mut Faults) -> &mut u64);

pub(crate) const FAULTS: [FaultRow; 14] = [
    ("lost", |faults| &mut faults.lost),
    ("doubled", |faults| &mut faults.doubled),
    ("late", |faults| &mut faults.late),
    ("clock jump", |faults| &mut faults.clock_jump),
    ("clock back", |faults| &mut faults.clock_back),
    ("kill", |faults| &mut faults.kill),
    ("power cut", |faults| &mut faults.power_cut),
    ("write error", |faults| &mut faults.write_error),
    ("lying disk", |faults| &mut faults.lying),
    ("full disk", |faults| &mut faults.full),
    ("misdirected write", |faults| &mut faults.misdirected),
    ("bit rot", |faults| &mut faults.rot),
    ("cut at start", |faults| &mut faults.cut_at_start),
    ("slow store", |faults| &mut faults.slow),
];

impl Plan {
    /// The plan of a seed.
    pub(crate) fn draw(seed: u64, messages: u32) -> Plan {
        let dice = &mut Dice::of(seed, 1, 0);
        let mut faults = Faults {
            lost: dice.pick(&[10, 30, 100]),
            doubled: dice.pick(&[10, 30, 100]),
            late: dice.pick(&[20, 60, 200]),
            clock_jump: dice.pick(&[5, 15, 40]),
            clock_back: dice.pick(&[5, 20]),
            kill: dice.pick(&[3, 8, 20]),
            power_cut: dice.pick(&[3, 8, 20]),
            write_error: dice.pick(&[3, 8]),
            lying: 1_000,
            full: dice.pick(&[3, 8]),
            misdirected: dice.pick(&[4, 12]),
            rot: dice.pick(&[200, 600]),
            cut_at_start: dice.pick(&[200, 500]),
            slow: dice.pick(&[300, 900, 1_000]),
        };
        // What ends a run early is rarer than the rest.
        let switched_on = [
            700, 700, 700, 600, 400, 350, 450, 250, 500, 200, 120, 150, 300, 600,
        ];
        for ((_, rate), chance) in FAULTS.iter().zip(switched_on) {
            if !dice.permille(chance) {
                *rate(&mut faults) = 0;
            }
        }
        Plan {
            seed,
            messages,
            acquirers: dice.pick(&[2, 3, 4, 6]),
            cards: dice.pick(&[4, 8, 16, 32]),
            burst: dice.pick(&[6, 16, 28, 40]),
            ring_blocks: dice.pick(&[6, 9, 20, 60]),
            watermark_before_reply: faults.misdirected > 0 || dice.permille(500),
            turn_ms: dice.pick(&[50, 2_000, 60_000, 600_000]),
            faults,
            checkpoints: dice.pick(&[0, 5, 15, 50]),
            left_out: Vec::new(),
        }
    }

    /// Whether a message is left out.
    pub(crate) fn leaves_out(&self, number: u32) -> bool {
        self.left_out.iter().any(|range| range.contains(&number))
    }

    /// What is drawn, in one line.
    pub(crate) fn describe(&self) -> String {
        let mut faults = self.faults;
        let on = FAULTS.iter().filter_map(|(name, rate)| {
            let rate = *rate(&mut faults);
            (rate > 0).then(|| format!("{name} {rate}"))
        });
        let on: Vec<String> = on.collect();
        format!(
            "seed {}: {} messages of {} acquirers about {} cards, at most {} a turn of {} ms, a \
             ring of {} blocks, the watermark {}; in a thousand: checkpoint {}, {}",
            self.seed,
            self.messages,
            self.acquirers,
            self.cards,
            self.burst,
            self.turn_ms,
            self.ring_blocks,
            match self.watermark_before_reply {
                true => "before the reply",
                false => "by and by",
            },
            self.checkpoints,
            match on.is_empty() {
                true => "no fault".to_owned(),
                false => on.join(", "),
            }
        )
    }
}
