//! Instants, business dates and the programme's time zone. There is no `now()` here.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// This instant plus whole days of 24 hours; saturates at the end of time.
    pub fn plus_days(self, days: u16) -> UnixMs {
        UnixMs(
            self.0
                .saturating_add(i64::from(days).saturating_mul(DAY_MS)),
        )
    }

    /// This instant less whole hours; saturates.
    pub fn minus_hours(self, hours: u32) -> UnixMs {
        UnixMs(
            self.0
                .saturating_sub(i64::from(hours).saturating_mul(3_600_000)),
        )
    }
}

impl fmt::Display for UnixMs {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A day of the programme's own calendar: days since 1970-01-01 there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct BusinessDate(pub i32);

impl BusinessDate {
    /// Year and month of this day, as `year * 12 + month - 1`: equal within one calendar month.
    pub fn month_index(self) -> i32 {
        let date = self.civil();
        i32::from(date.year())
            .saturating_mul(12)
            .saturating_add(i32::from(date.month()))
            .saturating_sub(1)
    }

    /// Whether both days are in one calendar month.
    pub fn is_in_month_of(self, other: BusinessDate) -> bool {
        self == other || self.month_index() == other.month_index()
    }

    /// The Monday of the week of this day.
    pub fn monday(self) -> BusinessDate {
        // Day 0 was a Thursday.
        let since_monday = self.0.saturating_add(3).rem_euclid(7);
        BusinessDate(self.0.saturating_sub(since_monday))
    }

    /// The day that `YYYY-MM-DD` names; nothing unless there is such a day.
    pub fn from_iso(text: &str) -> Option<BusinessDate> {
        let date: civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
        let epoch = civil::date(1970, 1, 1);
        let days = epoch.until(date).ok()?.get_days();
        Some(BusinessDate(days))
    }

    /// Years completed on a later day by who was born on this one; 0 before that.
    pub fn completed_years(self, on: BusinessDate) -> i32 {
        let (from, to) = (self.civil(), on.civil());
        let before_birthday = (to.month(), to.day()) < (from.month(), from.day());
        i32::from(to.year())
            .saturating_sub(i32::from(from.year()))
            .saturating_sub(i32::from(before_birthday))
            .max(0)
    }

    /// The day of the UTC calendar on which an instant falls.
    pub fn utc(at: UnixMs) -> BusinessDate {
        BusinessDate(i32::try_from(at.0.div_euclid(DAY_MS)).unwrap_or_default())
    }

    /// The day of this year, month and day, where there is one.
    pub fn of(year: i16, month: u16, day: u16) -> Option<BusinessDate> {
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let date = civil::Date::new(year, month, day).ok()?;
        let since = date.since(civil::date(1970, 1, 1)).ok()?;
        Some(BusinessDate(since.get_days()))
    }

    /// The day after this one.
    pub fn next(self) -> BusinessDate {
        BusinessDate(self.0.saturating_add(1))
    }

    /// Its year.
    pub fn year(self) -> i16 {
        self.civil().year()
    }

    /// This day in the calendar of everybody.
    pub fn civil(self) -> civil::Date {
        civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().try_days(self.0).unwrap_or_default())
            .unwrap_or(civil::Date::MAX)
    }
}

impl fmt::Display for BusinessDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.civil(), f)
    }
}

/// The calendar in which a programme counts days and months and reads expiry dates.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    name: String,
    /// From when on its clock has never been put forward or back again, and its seconds ahead of
    /// UTC since then.
    settled: Option<(UnixMs, i32)>,
}

/// When zones that have settled by then are taken for settled: 2000-01-01.
const SETTLED_BY: UnixMs = UnixMs(946_684_800_000);

impl Calendar {
    /// The calendar of an IANA time zone, from the tables compiled into the program.
    ///
    /// # Errors
    /// A sentence that names the zone when it is not in the IANA tables.
    pub fn in_zone(name: &str) -> Result<Calendar, String> {
        let zone = TimeZone::get(name)
            .map_err(|_| format!("time zone \"{name}\" is not in the IANA tables"))?;
        let from = Timestamp::from_millisecond(SETTLED_BY.0).ok();
        let settled = from.filter(|from| zone.following(*from).next().is_none());
        Ok(Calendar {
            settled: settled.map(|from| (SETTLED_BY, zone.to_offset(from).seconds())),
            zone,
            name: name.to_owned(),
        })
    }

    /// IANA name of the zone.
    pub fn zone_name(&self) -> &str {
        &self.name
    }

    /// The day of this calendar on which an instant falls.
    pub fn date_of(&self, at: UnixMs) -> BusinessDate {
        let day = self.local_ms(at).div_euclid(DAY_MS);
        BusinessDate(i32::try_from(day).unwrap_or_default())
    }

    /// The first instant of a day of this calendar.
    pub fn start_of(&self, date: BusinessDate) -> UnixMs {
        let start = date.civil().to_zoned(self.zone.clone());
        start.map_or(UnixMs(i64::MAX), |start| {
            UnixMs(start.timestamp().as_millisecond())
        })
    }

    /// The minute of this calendar's day, 0 to 1439, in which an instant falls.
    pub fn minute_of_day(&self, at: UnixMs) -> u16 {
        let minute = self.local_ms(at).rem_euclid(DAY_MS).div_euclid(60_000);
        u16::try_from(minute).unwrap_or_default()
    }

    /// Milliseconds of the local clock; 0 for an instant beyond the calendar.
    fn local_ms(&self, at: UnixMs) -> i64 {
        let Ok(instant) = Timestamp::from_millisecond(at.0) else {
            return 0;
        };
        if let Some((since, seconds)) = self.settled
            && at >= since
        {
            return at
                .0
                .saturating_add(i64::from(seconds).saturating_mul(1_000));
        }
        let offset_ms = i64::from(self.zone.to_offset(instant).seconds()).saturating_mul(1_000);
        at.0.saturating_add(offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UnixMs {
        UnixMs(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_business_day_starts_at_midnight_of_the_programme_not_of_utc() {
        let tokyo = Calendar::in_zone("Asia/Tokyo").unwrap();
        let cases = [
            ("2027-01-31T14:59:59.999Z", "2027-01-31"),
            ("2027-01-31T15:00:00Z", "2027-02-01"),
            ("2028-02-28T15:00:00Z", "2028-02-29"),
            ("2026-12-31T15:00:00Z", "2027-01-01"),
        ];
        for (instant, day) in cases {
            assert_eq!(tokyo.date_of(ms(instant)).to_string(), day, "{instant}");
            let date = BusinessDate::from_iso(day).unwrap();
            let start = tokyo.start_of(date);
            assert!(start <= ms(instant), "{day}");
            assert_eq!(tokyo.date_of(start), date);
            assert_ne!(tokyo.date_of(UnixMs(start.0 - 1)), date);
        }
    }

    #[test]
    fn a_week_starts_on_monday() {
        let tokyo = Calendar::in_zone("Asia/Tokyo").unwrap();
        for (day, monday) in [
            ("2027-03-01", "2027-03-01"),
            ("2027-03-07", "2027-03-01"),
            ("2027-03-08", "2027-03-08"),
            ("1969-12-31", "1969-12-29"),
        ] {
            let date = tokyo.date_of(ms(&format!("{day}T03:00:00Z")));
            assert_eq!(date.monday().to_string(), monday, "{day}");
        }
    }

    #[test]
    fn days_follow_daylight_saving_time() {
        let london = Calendar::in_zone("Europe/London").unwrap();
        assert_eq!(
            london.date_of(ms("2027-06-30T23:30:00Z")).to_string(),
            "2027-07-01"
        );
        assert_eq!(
            london.date_of(ms("2027-12-31T23:30:00Z")).to_string(),
            "2027-12-31"
        );
    }

    #[test]
    fn months_of_one_year_differ_and_days_of_one_month_agree() {
        let tokyo = Calendar::in_zone("Asia/Tokyo").unwrap();
        let month = |text| tokyo.date_of(ms(text)).month_index();
        assert_eq!(month("2027-03-01T00:00:00Z"), month("2027-03-31T14:00:00Z"));
        assert_ne!(month("2027-03-31T14:00:00Z"), month("2027-03-31T15:00:00Z"));
    }

    #[test]
    fn an_unknown_zone_is_refused_by_name() {
        assert!(
            Calendar::in_zone("Asia/Edo")
                .unwrap_err()
                .contains("Asia/Edo")
        );
    }
}
