//! Numbers, times and texts as people read them.

use wire::time::format_utc;

/// What is younger than this, in seconds, is now: a live page would change every second otherwise.
const NOW: i64 = 60;
/// Longest text that is shown whole in a line, in characters.
const LINE: usize = 120;

/// A point in time, three ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    /// For the attribute `datetime`.
    pub(super) iso: String,
    /// `2026-01-02 03:04:05`, UTC.
    pub(super) utc: String,
    /// Seen from the time of the page.
    pub(super) ago: String,
}

impl Moment {
    /// Both in Unix seconds.
    pub(super) fn new(at: i64, now: i64) -> Self {
        let iso = format_utc(at);
        let utc = iso.trim_end_matches('Z').replacen('T', " ", 1);
        let ago = if at > now + 1 {
            format!("in {}", rough(at.abs_diff(now)))
        } else if now - at < NOW {
            "just now".to_owned()
        } else {
            format!("{} ago", rough(now.abs_diff(at)))
        };
        Self { iso, utc, ago }
    }
}

/// Hours and minutes of a Unix time, UTC.
pub(super) fn clock(at: i64) -> String {
    format_utc(at).get(11..16).unwrap_or_default().to_owned()
}

/// One unit, rounded down.
fn rough(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Two units: `3 min 5 s`.
pub(super) fn duration(seconds: u64) -> String {
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// A span that may be a fraction of a second.
pub(super) fn seconds(value: f64) -> String {
    if value < 10.0 {
        let text = format!("{value:.1}");
        format!("{} s", text.trim_end_matches(".0"))
    } else {
        duration(whole(value))
    }
}

/// Rounds; what is no number, or below zero, is zero.
pub(super) fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let rounded = value.round() as u64;
    rounded
}

/// A size in decimal units, with three digits.
pub(super) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if value < 1_000 {
        return format!("{value} B");
    }
    let mut amount = value as f64 / 1_000.0;
    let mut unit = 0;
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1_000.0;
        unit += 1;
    }
    let digits = if amount < 9.995 { 2 } else { usize::from(amount < 99.95) };
    let number = format!("{amount:.digits$}");
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        number
    };
    format!("{number} {}", UNITS[unit])
}

/// A count with thin spaces between thousands.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Somebody's text, safe to look at: controls and signs that turn the direction of the text are
/// shown as what they are instead of acting.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\u{0}'..='\u{1f}' => {
                // The control pictures lie in the order of the controls.
                out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'));
            }
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out
}

/// As [`visible`], cut in the middle to a line.
pub(super) fn line(text: &str) -> String {
    let text = visible(text).replace(['\n', '\t'], " ");
    let length = text.chars().count();
    if length <= LINE {
        return text;
    }
    let head: String = text.chars().take(LINE * 2 / 3).collect();
    let tail: String = text.chars().skip(length - LINE / 3).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_at_most() {
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 kB"),
            (1_234, "1.23 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1 MB"),
            (100_000_000, "100 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn moments_are_told_from_the_page_on() {
        for (at, ago) in
            [(100, "just now"), (90, "just now"), (-100, "3 min ago"), (700, "in 10 min")]
        {
            assert_eq!(Moment::new(at, 100).ago, ago);
        }
        assert_eq!(Moment::new(0, 100).utc, "1970-01-01 00:00:00");
    }

    #[test]
    fn texts_that_turn_or_hide_are_shown_as_what_they_are() {
        assert_eq!(visible("a\u{202e}gpj.exe"), "a⟨U+202E⟩gpj.exe");
        assert_eq!(visible("a\u{0}\u{1b}[31m"), "a\u{2400}\u{241b}[31m");
        assert_eq!(visible("שלום"), "שלום");
        let long = format!("http://a/{}end", "x".repeat(1_000));
        assert!(line(&long).chars().count() <= LINE + 1);
        assert!(line(&long).ends_with("end"));
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(123), "123");
        assert_eq!(duration(3_725), "1 h 2 min");
        assert_eq!(seconds(1.25), "1.2 s");
        assert_eq!(seconds(2.0), "2 s");
        assert_eq!(seconds(75.0), "1 min 15 s");
    }
}
