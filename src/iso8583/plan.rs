//! The short walk over a message that has nothing wrong with it.
//!
//! Messages carry few different sets of elements, so that each set is compiled once, to a [`Plan`]:
//! where the elements of fixed length stand from the one of varying length before them, and which
//! neighbours are looked at in one go because they hold the same content. The walk over a message
//! of that set reads the lengths that vary and moves the rest; it gathers what is wrong without
//! asking in between and answers only whether all is good. When anything is not, the careful walk
//! of the decoder says what.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use super::bitmap::Bitmap;
use super::class::{Content, MASKED_WORDS_MAX, NOTHING, Stretch, WORD_BYTES, Word};
use super::message::{Distance, Many, Place, Rows};
use super::spec::Layout;
use super::step::{Reach, Step};

/// A set of elements as the short walk runs it.
pub(super) struct Plan {
    present: Bitmap,
    /// Where the elements of fixed length stand from the start of their leg.
    fixed: Box<[Place]>,
    rows: Rows,
    /// Room for the elements when they are many.
    many: Option<Box<Many>>,
    legs: Box<[Leg]>,
    /// What is looked at in all legs, in their order.
    looks: Box<[Look]>,
}

/// Elements of fixed length, and what follows them.
struct Leg {
    /// How many elements of fixed length.
    count: usize,
    /// Their bytes.
    size: usize,
    /// How many looks are taken in it.
    looks: usize,
    then: Then,
}

/// What follows the elements of fixed length.
enum Then {
    /// An element of varying length.
    Varying(Step),
    /// An element that its whole program reads, by number.
    Program(u8),
    /// Nothing.
    End,
}

/// Something that is looked at, at places in bytes from the start of a leg.
enum Look {
    /// The stretch of one content that ends here; the next one begins at another place.
    Stretch {
        content: Content,
        words: Words,
        end: usize,
        next: usize,
    },
    /// A stretch begins here, behind bytes that may be anything.
    Start { next: usize },
    /// Bits of one byte that are zero.
    Zero { place: usize, bits: u8 },
}

/// How many words are looked at.
#[derive(Clone, Copy)]
enum Words {
    /// Enough for the longest.
    Always(usize),
    /// As many as the bytes need.
    Needed,
}

impl Plan {
    /// Compiles a set of elements; `None` when the specification does not have one of them.
    fn new(layout: &Layout, present: Bitmap) -> Option<Self> {
        let mut compiler = Compiler::default();
        let (mut fixed, mut codings) = (Vec::new(), Vec::new());
        for number in present.elements() {
            let program = layout.program(number)?;
            fixed.extend(compiler.element(number, Step::new(program)));
            codings.push(program.coding);
        }
        compiler.turn(Content::Free, 0);
        compiler.end_leg(Then::End);
        let (rows, many) = Rows::new(present, &codings);
        Some(Self {
            present,
            fixed: fixed.into(),
            rows,
            many,
            legs: compiler.legs.into(),
            looks: compiler.looks.into(),
        })
    }

    /// The elements of the set.
    pub(super) const fn present(&self) -> Bitmap {
        self.present
    }

    /// Which row an element has.
    #[inline(always)]
    pub(super) const fn rows(&self) -> Rows {
        self.rows
    }

    /// Room for the elements when they are many.
    #[inline(always)]
    pub(super) fn many(&self) -> Option<Box<Many>> {
        self.many.clone()
    }

    /// Walks over the elements of a message from this place to the end of its frame, and says where
    /// they stand; `None` when anything is not as specified.
    #[inline]
    pub(super) fn walk(
        &self,
        layout: &Layout,
        start: usize,
        frame: &[u8],
        mut places: &mut [Place],
    ) -> Option<()> {
        let mut fixed = &self.fixed[..];
        let mut looks = &self.looks[..];
        let mut walk = Walk {
            frame,
            start,
            refused: NOTHING,
            wrong: 0,
        };
        let mut at = start;
        for leg in &self.legs {
            let (own, rest) = places.split_at_mut_checked(leg.count)?;
            let (from_leg, others) = fixed.split_at_checked(leg.count)?;
            fixed = others;
            let by = Distance::new(at);
            for (place, from_leg) in own.iter_mut().zip(from_leg) {
                *place = from_leg.further(by);
            }
            let (own, others) = looks.split_at_checked(leg.looks)?;
            looks = others;
            for look in own {
                walk.look(look, at)?;
            }
            at = at.wrapping_add(leg.size);
            let (place, end) = match &leg.then {
                Then::Varying(step) => walk.varying(step, at)?,
                Then::Program(number) => walk.program(layout, *number, at)?,
                Then::End => break,
            };
            // A place cannot say an end behind the largest frame.
            at = end;
            let (own, others) = rest.split_first_mut()?;
            *own = place;
            places = others;
        }
        let good = at == frame.len() && walk.wrong == 0 && walk.refused == NOTHING;
        good.then_some(())
    }
}

/// How far the walk is.
struct Walk<'f> {
    frame: &'f [u8],
    /// Where the stretch starts that has not been looked at.
    start: usize,
    /// What was refused so far.
    refused: Word,
    /// What else was wrong so far: zero for nothing.
    wrong: u8,
}

impl Walk<'_> {
    #[inline(always)]
    fn look(&mut self, look: &Look, base: usize) -> Option<()> {
        match *look {
            Look::Stretch {
                content,
                words,
                end,
                next,
            } => {
                let (start, end) = (self.start, base.wrapping_add(end));
                self.start = base.wrapping_add(next);
                let words = match words {
                    Words::Always(words) => words,
                    Words::Needed => end.saturating_sub(start).div_ceil(WORD_BYTES),
                };
                gather(content, self.frame, start..end, words, &mut self.refused)
            }
            Look::Start { next } => {
                self.start = base.wrapping_add(next);
                Some(())
            }
            Look::Zero { place, bits } => {
                self.wrong |= bits & self.frame.get(base.wrapping_add(place))?;
                Some(())
            }
        }
    }

    /// Walks over one element of varying length; answers where it ends, too.
    #[inline(always)]
    fn varying(&mut self, step: &Step, at: usize) -> Option<(Place, usize)> {
        let Reach {
            value,
            end,
            length,
            wrong,
        } = step.reach(self.frame, at)?;
        self.wrong |= wrong;
        let [first, last] = step.fill();
        if first | last != 0 {
            // No branch on the length: half of all numbers have an odd one, which nobody guesses.
            let odd = 0_u8.wrapping_sub(u8::from(length & 1 == 1));
            self.wrong |= odd & first & self.byte(value);
            self.wrong |= odd & last & self.byte(end.wrapping_sub(1));
        }
        Some((Place::new(at, end, value, length), end))
    }

    /// A byte of the frame; zero behind it, where the walk does not end well.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.frame.get(at).copied().unwrap_or_default()
    }

    /// Walks over one element as its whole program says; answers where it ends, too.
    #[inline(never)]
    fn program(&mut self, layout: &Layout, number: u8, at: usize) -> Option<(Place, usize)> {
        let program = layout.program(number)?;
        let (rest, taken) = program.take(self.frame.get(at..)?).ok()?;
        if !program.coding.holds(taken.value, usize::from(taken.length)) {
            return None;
        }
        let end = self.frame.len().saturating_sub(rest.len());
        self.start = end;
        let value = at.saturating_add(taken.lead);
        Some((Place::new(at, end, value, taken.length), end))
    }
}

/// Gathers what a content refuses of a stretch, in so many words.
#[inline(never)]
fn gather(
    content: Content,
    frame: &[u8],
    Range { start, end }: Range<usize>,
    words: usize,
    refused: &mut Word,
) -> Option<()> {
    let stretch = Stretch {
        frame,
        start,
        end,
        words,
    };
    match content.gather(stretch, refused) {
        Some(()) => Some(()),
        // So near the start of the frame that a word does not fit.
        None => content.holds(frame.get(start..end)?).then_some(()),
    }
}

/// What is compiled so far.
struct Compiler {
    legs: Vec<Leg>,
    looks: Vec<Look>,
    /// The leg that is compiled: its elements, its bytes and the looks before it.
    count: usize,
    size: usize,
    looks_before: usize,
    /// The stretch that is compiled: its content, and its bytes at most.
    content: Content,
    bytes: usize,
}

impl Default for Compiler {
    fn default() -> Self {
        Self {
            legs: Vec::new(),
            looks: Vec::new(),
            count: 0,
            size: 0,
            looks_before: 0,
            content: Content::Free,
            bytes: 0,
        }
    }
}

impl Compiler {
    /// Adds an element; answers its place from the start of its leg when its length is fixed.
    fn element(&mut self, number: u8, step: Step) -> Option<Place> {
        let start = self.size;
        let lead = usize::from(step.lead());
        let size_max = usize::from(step.size_max());
        if step.is_program() {
            self.turn(Content::Free, 0);
            self.end_leg(Then::Program(number));
        } else if step.is_fixed() {
            if step.content() != self.content {
                self.turn(step.content(), 0);
            }
            let end = start.saturating_add(size_max);
            let [first, last] = step.fill();
            for (place, bits) in [(start, first), (end.saturating_sub(1), last)] {
                if bits != 0 {
                    self.looks.push(Look::Zero { place, bits });
                }
            }
            self.bytes = self.bytes.saturating_add(size_max);
            self.count = self.count.saturating_add(1);
            self.size = end;
            return Some(Place::new(start, end, start, step.length_max()));
        } else {
            if step.content() == self.content && step.joins() {
                self.bytes = self.bytes.saturating_add(lead);
            } else {
                self.turn(step.content(), lead);
            }
            self.bytes = self.bytes.saturating_add(size_max);
            self.end_leg(Then::Varying(step));
        }
        None
    }

    /// Ends the stretch, and begins one of another content so many bytes behind.
    fn turn(&mut self, content: Content, lead: usize) {
        let next = self.size.saturating_add(lead);
        let words = self.bytes.div_ceil(WORD_BYTES);
        let look = match (self.content, content) {
            (Content::Free, Content::Free) => None,
            (Content::Free, _) => Some(Look::Start { next }),
            (ended, _) => Some(Look::Stretch {
                content: ended,
                words: match words {
                    ..=MASKED_WORDS_MAX => Words::Always(words),
                    _ => Words::Needed,
                },
                end: self.size,
                next,
            }),
        };
        self.looks.extend(look);
        (self.content, self.bytes) = (content, 0);
    }

    fn end_leg(&mut self, then: Then) {
        let looks = self.looks.len();
        self.legs.push(Leg {
            count: self.count,
            size: self.size,
            looks: looks.saturating_sub(self.looks_before),
            then,
        });
        (self.count, self.size, self.looks_before) = (0, 0, looks);
    }
}

/// The sets of elements that have been seen in good messages, found by all threads without a lock.
pub(super) struct Plans(Box<[OnceLock<Box<Plan>>; PLANS]>);

impl Plans {
    /// The plan of a set that has been seen.
    #[inline]
    pub(super) fn find(&self, present: Bitmap) -> Option<&Plan> {
        for place in Self::places(present) {
            let plan = self.0.get(place)?.get()?;
            if plan.present.is(present) {
                return Some(plan);
            }
        }
        None
    }

    /// Compiles the plan of a set of elements, when there is room for it: those that follow are
    /// read as carefully as the first one was.
    pub(super) fn learn(&self, layout: &Layout, present: Bitmap) {
        let mut places = Self::places(present).filter_map(|place| self.0.get(place));
        if let Some(place) = places.find(|place| place.get().is_none())
            && let Some(plan) = Plan::new(layout, present)
        {
            // Another thread may have been first.
            let _ = place.set(Box::new(plan));
        }
    }

    /// Where the plan of a set may be.
    #[inline]
    fn places(present: Bitmap) -> impl Iterator<Item = usize> {
        let home = present.hash() / (HASHES / PLANS);
        (0..PROBES).map(move |probe| home.wrapping_add(probe) % PLANS)
    }
}

impl Default for Plans {
    fn default() -> Self {
        Self(Box::new([const { OnceLock::new() }; PLANS]))
    }
}

impl Clone for Plans {
    /// Nothing has been seen yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.iter().filter(|place| place.get().is_some()).count();
        formatter.debug_tuple("Plans").field(&known).finish()
    }
}

/// The hashes that a set may have.
const HASHES: usize = 1 << 16;
/// Plans kept at most, of a few hundred bytes each.
const PLANS: usize = 128;
/// Places that are tried for each.
const PROBES: usize = 8;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::iso8583::MessageSpec;
    use crate::iso8583::decode::{carefully, head, planned};
    use crate::iso8583::element::Coding;

    /// Whatever the bytes are, the short walk agrees with the careful one: it reads the same where
    /// there is nothing wrong, and nothing else.
    #[test]
    fn the_short_walk_agrees_with_the_careful_one() {
        let forms = include_str!("../../fixtures/hostile/forms.toml");
        let forms = MessageSpec::parse(forms).unwrap();
        let seeds: [&[u8]; 6] = [
            include_bytes!("../../fuzz/corpus/messages/ascii-001"),
            include_bytes!("../../fuzz/corpus/messages/ascii-013"),
            include_bytes!("../../fuzz/corpus/messages/binary-001"),
            include_bytes!("../../fuzz/corpus/messages/binary-013"),
            include_bytes!("../../fuzz/corpus/messages/forms-0"),
            include_bytes!("../../fuzz/corpus/messages/forms-all"),
        ];
        let mut random = 8583_u64;
        let mut next = |limit: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap() % limit
        };
        let mut good = 0;
        for spec in MessageSpec::builtins().iter().chain([&forms]) {
            for _ in 0..4_000 {
                let mut frame = seeds[next(seeds.len())].to_vec();
                for _ in 0..next(3) {
                    let place = next(frame.len());
                    frame[place] = u8::try_from(next(256)).unwrap();
                }
                good += agree(spec, Bytes::from(frame));
            }
        }
        assert!(good > 1_000, "{good} good messages");
    }

    fn agree(spec: &MessageSpec, frame: Bytes) -> usize {
        let careful = carefully(spec, frame.clone());
        let layout = spec.layout();
        let short = head(layout, &frame).and_then(|(mti, words, start)| {
            let plan = Plan::new(layout, Bitmap::new(layout.header.bitmaps, words))?;
            let mut places = [Place::default(); 192];
            plan.walk(layout, start, &frame, &mut places)?;
            planned(spec, &plan, mti, start, frame).ok()
        });
        match (short, careful) {
            (Some(short), Ok(careful)) => {
                assert_eq!(short.mti(), careful.mti());
                assert!(short.elements().eq(careful.elements()));
                for element in short.elements() {
                    assert_eq!(short.wire(element), careful.wire(element), "{element}");
                    assert_eq!(short.raw(element), careful.raw(element), "{element}");
                    assert_eq!(short.text(element), careful.text(element), "{element}");
                    assert_eq!(short.length(element), careful.length(element), "{element}");
                }
                1
            }
            (None, Err(_)) => 0,
            (Some(_), Err(failure)) => panic!("good for the short walk: {failure}"),
            (None, Ok(message)) => panic!("only good for the careful walk: {message:?}"),
        }
    }

    /// A length that reaches behind the largest frame does not begin again at its front.
    #[test]
    fn a_value_behind_the_largest_frame_is_refused() {
        let numbers: Vec<u8> = (2..=192).filter(|number| *number != 65).collect();
        let row = |number| format!("{number} = {{ format = \"b...999\", name = \"bytes\" }}\n");
        let rows: String = numbers.iter().map(row).collect();
        let text = format!(
            "name = \"wide\"\n[defaults]\nmti = \"bcd\"\nbitmap = \"binary\"\n\
             bitmaps = \"up to three\"\ndigits = \"bcd\"\nodd_fill = \"left\"\nbinary = \"raw\"\n\
             length = \"bcd\"\n[elements]\n{rows}"
        );
        let spec = MessageSpec::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mut words = [1_u64 << 63, 1 << 63, 0];
        for number in &numbers[..131] {
            let bit = usize::from(number - 1);
            words[bit / 64] |= 1 << (63 - bit % 64);
        }
        let mut frame = vec![0x01, 0x00];
        frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        for _ in 0..65 {
            frame.extend_from_slice(&[0x09, 0x99]);
            frame.resize(frame.len() + 999, 0);
        }
        // The next value would end so far behind the frame that sixteen bits say a place inside it,
        // from where the rest of the elements would be read once more, up to the end.
        frame.extend_from_slice(&[0x09, 0x99]);
        let mut place = (frame.len() + 999) % 0x1_0000;
        while frame.len() - place > 1_001 {
            frame[place..place + 2].copy_from_slice(&[0x09, 0x99]);
            place += 1_001;
        }
        let left = frame.len() - place - 2;
        assert_eq!(left, 471);
        frame[place..place + 2].copy_from_slice(&[0x04, 0x71]);
        assert_eq!(agree(&spec, Bytes::from(frame)), 0);
    }

    /// What is seen once is found, and more sets than there is room for are still read.
    #[test]
    fn any_number_of_sets_is_read() {
        let spec = MessageSpec::builtin("iso87-binary").unwrap().clone();
        for set in 0..1_000_u64 {
            let mut frame = vec![0x01, 0x00];
            // Some of elements 3, 11 to 19 and 49, all of digits; 49 is text.
            let bits = 1 << 61 | (set & 0x1ff) << 45 | (set >> 9 & 1) << 15;
            frame.extend_from_slice(&bits.to_be_bytes());
            let mut present = Bitmap::default();
            for number in 2..=64 {
                if bits >> (64 - number) & 1 == 1 {
                    present.insert(number);
                    let program = spec.layout().program(number).unwrap();
                    let size = program.coding.wire_size(usize::from(program.length_max));
                    let byte = match program.coding {
                        Coding::Text(_) => b'9',
                        _ => 0x01,
                    };
                    frame.resize(frame.len() + size, byte);
                }
            }
            let frame = Bytes::from(frame);
            for _ in 0..2 {
                let message = crate::iso8583::decode(&spec, frame.clone()).unwrap();
                assert!(message.elements().eq(present.elements()));
                assert_eq!(message.bytes(), &frame);
            }
        }
        let known = spec.plans().0.iter().filter(|place| place.get().is_some());
        assert!((100..=PLANS).contains(&known.count()), "{:?}", spec.plans());
    }
}
