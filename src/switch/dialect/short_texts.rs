//! What each text of two or three digits says: elements such as DE 22 and DE 25 have few values and
//! many rows, so their rows are judged when the table is read and not with every message.

use smallvec::SmallVec;

use super::table::Indicator;
use super::value_set::Read;

/// Positions of the indicators that fit, for every text of two and of three digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShortTexts {
    two: Vec<Fitting>,
    three: Vec<Fitting>,
}

type Fitting = SmallVec<[u8; 8]>;

impl ShortTexts {
    /// For the indicators of one element.
    pub(super) fn of(indicators: &[(usize, Indicator)]) -> ShortTexts {
        let fitting = |text: String| {
            (0_u8..=u8::MAX)
                .zip(indicators)
                .filter(|(_, (_, indicator))| {
                    let read = indicator.reach.cut(&text).map(Read::new);
                    read.is_some_and(|read| indicator.test.fits(read))
                })
                .map(|(position, _)| position)
                .collect()
        };
        // More rows than positions: none is worked out beforehand.
        let count = if indicators.len() > usize::from(u8::MAX) {
            0
        } else {
            1_000
        };
        ShortTexts {
            two: (0..count.min(100))
                .map(|value| fitting(format!("{value:02}")))
                .collect(),
            three: (0..count)
                .map(|value| fitting(format!("{value:03}")))
                .collect(),
        }
    }

    /// Positions of the indicators that fit a text; `None` when it is no such text.
    pub(super) fn fitting(&self, text: &str) -> Option<&[u8]> {
        let table = match text.len() {
            2 => &self.two,
            3 => &self.three,
            _ => return None,
        };
        let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
        let number = text.bytes().try_fold(0_usize, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + digit(byte))
        });
        table.get(number?).map(SmallVec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn what_was_worked_out_beforehand_is_what_the_rows_say() {
        let text = include_str!("../../../spec/dialect/iso87.toml");
        let dialect = table::parse(text).unwrap();
        let mut judged = 0;
        for rows in &dialect.rows {
            for text in [
                "00",
                "05",
                "06",
                "99",
                "000",
                "051",
                "810",
                "812",
                "999",
                "0A",
                "5",
                "0510",
                // More digits than a number has room for.
                "999999999999999999999999",
            ] {
                let Some(fitting) = rows.fitting(text) else {
                    let is_short = matches!(text.len(), 2 | 3) && !text.contains('A');
                    assert!(
                        !is_short || !rows.readings.is_empty(),
                        "DE{} {text}",
                        rows.element
                    );
                    continue;
                };
                let by_rows: Vec<u8> = (0_u8..)
                    .zip(&rows.indicators)
                    .filter(|(_, (_, indicator))| {
                        let read = indicator.reach.cut(text).map(Read::new);
                        read.is_some_and(|read| indicator.test.fits(read))
                    })
                    .map(|(position, _)| position)
                    .collect();
                assert_eq!(fitting, by_rows, "DE{} {text}", rows.element);
                judged += 1;
            }
        }
        assert!(judged > 20, "{judged}");
    }
}
