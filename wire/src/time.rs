//! The protocol's times: `YYYY-MM-DDThh:mm:ssZ`, UTC, read and written without a clock (§2.1).

/// Seconds in a day; UTC on the wire knows no leap seconds.
const DAY: i64 = 86_400;

/// First and last second that four digits of year can say.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// `unix_seconds` as `YYYY-MM-DDThh:mm:ssZ`; times outside the years 0000 to 9999 become the
/// nearest that can be written.
pub fn format_utc(unix_seconds: i64) -> String {
    let seconds = unix_seconds.clamp(FIRST, LAST);
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads `YYYY-MM-DDThh:mm:ssZ` into Unix seconds, with or without a fraction of a second of up
/// to nine digits, which is dropped (§2.1: one Rust client sends nanoseconds). Nothing else: no
/// offset, no space for `T`, no second 60.
pub fn parse_utc(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (whole, rest) = (bytes.get(..19)?, &bytes[19..]);
    let fraction = rest.strip_suffix(b"Z")?;
    if let Some((dot, digits)) = fraction.split_first()
        && (*dot != b'.' || !(1..=9).contains(&digits.len()) || !all_digits(digits))
    {
        return None;
    }
    for (at, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if whole[at] != mark {
            return None;
        }
    }
    let year = number(&whole[..4])?;
    let month = number(&whole[5..7])?;
    let day = number(&whole[8..10])?;
    let hour = number(&whole[11..13])?;
    let minute = number(&whole[14..16])?;
    let second = number(&whole[17..19])?;
    let exists = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    exists.then(|| days_from_civil(year, month, day) * DAY + hour * 3_600 + minute * 60 + second)
}

fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn number(digits: &[u8]) -> Option<i64> {
    all_digits(digits)
        .then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the first of March of a March-based year, from the start of that year's era of 400
/// years. Counting from March puts the leap day last, so that no case distinction is needed.
fn days_before_march(year_of_era: i64) -> i64 {
    365 * year_of_era + year_of_era / 4 - year_of_era / 100
}

/// Days of one era of 400 years.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year.div_euclid(400) * ERA + days_before_march(year.rem_euclid(400)) + day_of_year - EPOCH
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let from_march = days + EPOCH;
    let day_of_era = from_march.rem_euclid(ERA);
    // The estimate is at most one year too late.
    let mut year_of_era = (day_of_era / 365).min(399);
    if days_before_march(year_of_era) > day_of_era {
        year_of_era -= 1;
    }
    let day_of_year = day_of_era - days_before_march(year_of_era);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = from_march.div_euclid(ERA) * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_and_read() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_323_045, "2026-01-02T03:04:05Z"),
            (FIRST, "0000-01-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format_utc(seconds), text);
            assert_eq!(parse_utc(text), Some(seconds));
        }
        assert_eq!(format_utc(i64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in (-200_000..60_000).map(|day| day * DAY + 45_296) {
            assert_eq!(parse_utc(&format_utc(day)), Some(day));
        }
    }

    #[test]
    fn a_fraction_of_a_second_is_accepted_and_dropped() {
        for text in ["2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.999999999Z"] {
            assert_eq!(parse_utc(text), Some(1_767_323_045));
        }
    }

    #[test]
    fn other_forms_of_time_are_refused() {
        for text in [
            "",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05+08:00",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05,1Z",
            "2026-01-02T03:04:05.1aZ",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:60:05Z",
            "2016-12-31T23:59:60Z",
            "10000-01-01T00:00:00Z",
            "-026-01-02T03:04:05Z",
            "1767323045",
            "2026-01-02T03:04:0\u{0665}Z",
            " 2026-01-02T03:04:05Z",
        ] {
            assert_eq!(parse_utc(text), None, "{text}");
        }
    }
}
