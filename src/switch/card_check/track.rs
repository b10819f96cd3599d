//! The tracks of a magnetic stripe (ISO/IEC 7813): what of them is looked at. Shown nowhere.

use std::fmt;

/// What of a track is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Track<'a> {
    /// The card number.
    pub pan: &'a str,
    /// `YYMM`.
    pub expiry: &'a str,
    /// Three digits.
    pub service_code: &'a str,
    /// What the issuer put behind it.
    pub discretionary: &'a str,
}

impl<'a> Track<'a> {
    /// Track 2: number, `=`, expiry, service code, the issuer's own.
    pub fn second(text: &'a str) -> Option<Track<'a>> {
        let (pan, rest) = text.split_once('=')?;
        Track::of(pan, rest)
    }

    /// Track 1: `B`, number, `^`, name, `^`, then as track 2.
    pub fn first(text: &'a str) -> Option<Track<'a>> {
        let mut fields = text.trim_start_matches('%').strip_prefix('B')?.split('^');
        let (pan, _name) = (fields.next()?, fields.next()?);
        Track::of(pan, fields.next()?)
    }

    fn of(pan: &'a str, rest: &'a str) -> Option<Track<'a>> {
        let (expiry, rest) = rest.split_at_checked(4)?;
        let (service_code, discretionary) = rest.split_at_checked(3)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_track = digits(pan) && digits(expiry) && digits(service_code);
        (is_track && (8..=19).contains(&pan.len())).then_some(Track {
            pan,
            expiry,
            service_code,
            discretionary: discretionary.trim_end_matches('?'),
        })
    }

    /// The three digits that begin at a place, from 1, of the issuer's own part.
    pub fn value(&self, at: usize) -> Option<&'a str> {
        let from = at.checked_sub(1)?;
        let value = self.discretionary.get(from..from.checked_add(3)?)?;
        value
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(value)
    }
}

impl fmt::Debug for Track<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Track(withheld)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAN: &str = "4761739001010119";

    #[test]
    fn both_tracks_say_the_same_of_a_card() {
        let second = format!("{PAN}=31122011234567890");
        let first = format!("B{PAN}^YAMADA/HANAKO^3112201123456789012345?");
        for (track, value) in [
            (Track::second(&second).unwrap(), Some("678")),
            (Track::first(&first).unwrap(), Some("678")),
        ] {
            assert_eq!((track.pan, track.expiry), (PAN, "3112"));
            assert_eq!(track.service_code, "201");
            assert_eq!(track.value(6), value);
            assert_eq!(format!("{track:?}"), "Track(withheld)");
        }
        let track = Track::second(&second).unwrap();
        for (at, value) in [(0, None), (1, Some("123")), (8, Some("890")), (9, None)] {
            assert_eq!(track.value(at), value, "{at}");
        }
    }

    #[test]
    fn what_is_no_track_is_none() {
        for text in [
            "",
            "=",
            "4761739001010119",
            "4761739001010119=3112",
            "47617=3112201",
            "A=3112201",
        ] {
            assert!(Track::second(text).is_none(), "{text}");
        }
        for text in [
            "B4761739001010119",
            "B4761739001010119^X",
            "4761739001010119^X^3112201",
            "B^X^3112201",
        ] {
            assert!(Track::first(text).is_none(), "{text}");
        }
        let letters = format!("{PAN}=3112201ABCDEFG");
        assert_eq!(Track::second(&letters).unwrap().value(1), None);
    }
}
