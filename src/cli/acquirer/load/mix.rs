//! Which kinds of message a load sends, and in which proportion.

use std::str::FromStr;

/// A kind of message the load client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 0100, a purchase.
    Purchase,
    /// 0420, the full reversal of an approved purchase.
    Reversal,
    /// 0101, the last purchase again.
    Repeat,
    /// 0100, a balance enquiry.
    Balance,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Purchase, Self::Reversal, Self::Repeat, Self::Balance];

    /// Its place in [`Kind::ALL`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Purchase => 0,
            Self::Reversal => 1,
            Self::Repeat => 2,
            Self::Balance => 3,
        }
    }

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Reversal => "reversal",
            Self::Repeat => "repeat",
            Self::Balance => "balance",
        }
    }
}

/// Proportions of kinds, written `purchase=90,reversal=5,repeat=5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Each kind and the sum of the shares up to and with it.
    bounds: Vec<(Kind, u64)>,
    total: u64,
}

impl Mix {
    /// Purchases only.
    pub fn purchases() -> Self {
        Self {
            bounds: vec![(Kind::Purchase, 1)],
            total: 1,
        }
    }

    /// The kind that a random number falls on.
    pub(super) fn kind_of(&self, random: u64) -> Kind {
        let point = random % self.total;
        let found = self.bounds.iter().find(|(_, bound)| point < *bound);
        found.map_or(Kind::Purchase, |(kind, _)| *kind)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bounds: Vec<(Kind, u64)> = Vec::new();
        let mut total = 0_u64;
        for part in text.split(',') {
            let share = part.split_once('=').and_then(|(name, share)| {
                let kind = Kind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == name.trim())?;
                Some((kind, share.trim().parse::<u32>().ok()?))
            });
            let Some((kind, share)) = share else {
                return Err(format!(
                    "read '{part}': expected KIND=SHARE with purchase, reversal, repeat or balance"
                ));
            };
            if bounds.iter().any(|(known, _)| *known == kind) {
                return Err(format!("read '{part}': the kind is given twice"));
            }
            total += u64::from(share);
            bounds.push((kind, total));
        }
        if total == 0 {
            return Err("send nothing: expected a share above 0".to_owned());
        }
        Ok(Self { bounds, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_gives_each_kind_its_share() {
        let mix: Mix = "purchase=90,reversal=6,repeat=4".parse().unwrap();
        let count = |kind| {
            (0..100)
                .filter(|&random| mix.kind_of(random) == kind)
                .count()
        };
        assert_eq!(Kind::ALL.map(count), [90, 6, 4, 0]);
    }

    #[test]
    fn a_kind_knows_its_place() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }

    #[test]
    fn a_wrong_mix_is_refused_with_the_part() {
        for text in [
            "purchase",
            "purchase=x",
            "loan=5",
            "purchase=1,purchase=2",
            "purchase=0",
            "",
        ] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
