//! Numbers, times and foreign text as people read them.

use std::fmt::Display;
use std::time::Duration;

/// `5.0 GiB`: three digits or so, binary units.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = count as f64;
    // Rounded first, so that 1023.96 KiB becomes 1.0 MiB and not 1024.0 KiB.
    while unit + 1 < UNITS.len() && (value * 10.0).round() >= 10_240.0 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `0.4 s`, `12.3 s`, `4:05`, `1:02:03`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    // At most u64 seconds, which f64's rounding cannot leave.
    let whole = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours == 0 {
        format!("{minutes}:{rest:02}")
    } else {
        format!("{hours}:{minutes:02}:{rest:02}")
    }
}

/// `6.0 s` of a text of seconds, as the API has it; the text itself when it is none.
pub(super) fn seconds_text(text: &str) -> String {
    let seconds = text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds.map_or_else(|| printable(text), span)
}

/// `812 kbit/s` of a text of Kbit/s, as the API has it; the text itself when it is none.
pub(super) fn bitrate_text(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(kilobits) if kilobits >= 9_999.5 => format!("{:.1} Mbit/s", kilobits / 1_000.0),
        Ok(kilobits) => format!("{kilobits:.0} kbit/s"),
        Err(_) => printable(text),
    }
}

/// `1 job`, `2 jobs`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Text of others without its control characters: a title or a URL must not steer the terminal.
/// Line breaks stay; whoever needs one line cuts there.
pub(super) fn printable(text: impl Display) -> String {
    let steers = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    text.to_string().chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// A URL as it may be shown: without query, fragment and user information, which may be secrets.
pub(super) fn url(text: &str) -> String {
    let (base, cut) = match text.find(['?', '#']) {
        Some(at) => (&text[..at], "?…"),
        None => (text, ""),
    };
    let shown = match base.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}{cut}")
        }
        None => format!("{base}{cut}"),
    };
    printable(shown).replace('\n', "\u{fffd}")
}

/// At most `width` characters of one line, the end replaced by `…`.
pub(super) fn elided(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_three_digits_or_so() {
        for (count, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (105_976, "103.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn spans_are_seconds_then_clock_time() {
        for (millis, text) in [
            (0, "0.0 s"),
            (6_040, "6.0 s"),
            (59_949, "59.9 s"),
            (59_950, "1:00"),
            (245_000, "4:05"),
            (3_723_000, "1:02:03"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        assert_eq!(seconds_text("6.0430"), "6.0 s");
        assert_eq!(seconds_text("unknown"), "unknown");
        assert_eq!(seconds_text("-1"), "-1");
    }

    #[test]
    fn bitrates_and_counts_read_naturally() {
        assert_eq!(bitrate_text("140.4"), "140 kbit/s");
        assert_eq!(bitrate_text("12345.6"), "12.3 Mbit/s");
        assert_eq!(bitrate_text("?"), "?");
        assert_eq!((count(1, "job"), count(0, "job")), ("1 job".to_owned(), "0 jobs".to_owned()));
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(elided("a title\nwith a second line", 20), "a title");
        assert_eq!(elided("abcdef", 4), "abc…");
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        assert_eq!(
            url("https://me:pw@h.example/a@b.mp4?Signature=s#f"),
            "https://h.example/a@b.mp4?…"
        );
        assert_eq!(url("http://h/a.mp4"), "http://h/a.mp4");
    }

    proptest! {
        #[test]
        fn whatever_the_url_its_query_is_not_shown(path in "[a-z/]{0,8}", query in "[A-Z]{4,12}") {
            let shown = url(&format!("http://user:{query}@host/{path}?{query}"));
            prop_assert!(!shown.contains(&query));
        }

        #[test]
        fn elided_text_fits(text: String, width in 1usize..40) {
            prop_assert!(elided(&text, width).chars().count() <= width);
        }
    }
}
