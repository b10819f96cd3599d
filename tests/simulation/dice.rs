//! The dice: one of its own for each seed, purpose and number, so that leaving something out does
//! not change what the others show.

/// A splitmix64 generator.
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of a purpose and a number under a seed.
    pub(crate) fn of(seed: u64, purpose: u64, number: u64) -> Dice {
        let mut dice = Dice(seed ^ purpose.wrapping_mul(0xA24B_AED4_963E_E407));
        dice.0 = dice.next() ^ number.wrapping_mul(0x9FB2_1C65_1E98_DF25);
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // Of 32 bits the high half of the product is even enough, and needs no division.
        ((self.next() >> 32) * limit) >> 32
    }

    /// True so many times in a thousand.
    pub(crate) fn permille(&mut self, chances: u64) -> bool {
        chances > 0 && self.below(1_000) < chances
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}
