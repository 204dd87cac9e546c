//! Dates as people read them, in UTC: which hour it is where a report is read nobody knows.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Year, month (1 to 12) and day of a day counted from 1 January 1970 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month as usize, day)
}

/// `26 November 2026`.
pub fn date(unix_secs: u64) -> String {
    let (year, month, day) = civil(unix_secs / 86_400);
    format!("{day} {} {year}", MONTHS.get(month - 1).copied().unwrap_or_default())
}

/// `26 November 2026, 15:05 UTC`.
pub fn date_time(unix_secs: u64) -> String {
    let minutes = unix_secs % 86_400 / 60;
    format!("{}, {:02}:{:02} UTC", date(unix_secs), minutes / 60, minutes % 60)
}

/// `2026-11-26 15:05`, for tables that say that it is UTC.
pub(super) fn short(unix_secs: u64) -> String {
    let (year, month, day) = civil(unix_secs / 86_400);
    let minutes = unix_secs % 86_400 / 60;
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // As `date -u -d @SECONDS` has them.
        for (secs, text) in [
            (0, "1 January 1970, 00:00 UTC"),
            (951_782_399, "28 February 2000, 23:59 UTC"),
            (951_782_400, "29 February 2000, 00:00 UTC"),
            (1_709_251_200, "1 March 2024, 00:00 UTC"),
            (1_795_705_500, "26 November 2026, 15:05 UTC"),
            (4_102_444_799, "31 December 2099, 23:59 UTC"),
        ] {
            assert_eq!(date_time(secs), text);
        }
        assert_eq!((short(0), short(1_795_705_500)), ("1970-01-01 00:00".to_owned(), "2026-11-26 15:05".to_owned()));
    }
}
