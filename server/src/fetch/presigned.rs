//! When a presigned link ends, as far as the link itself says so. It is only looked at to understand
//! a refusal: our clock may be wrong, and a link that still works is not doubted.

use std::borrow::Cow;

use crate::domain::time::Timestamp;

/// Names of the date and the seconds from it on: AWS Signature V4, Google Cloud Storage V4, OSS V4.
const DATED: [(&str, &str); 3] = [
    ("X-Amz-Date", "X-Amz-Expires"),
    ("X-Goog-Date", "X-Goog-Expires"),
    ("x-oss-date", "x-oss-expires"),
];

/// Whether the query of this path and query says that the link ended before `now`.
pub(super) fn has_expired(path_and_query: &str, now: Timestamp) -> bool {
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    end(query).is_some_and(|end| end <= now)
}

/// The first end that the query names.
fn end(query: &str) -> Option<Timestamp> {
    let value = |name: &str| -> Option<Cow<'_, str>> {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let dated = DATED.iter().find_map(|(date, seconds)| {
        let (from, seconds) = (time(&value(date)?)?, value(seconds)?.parse::<i64>().ok()?);
        from.0.checked_add(seconds.checked_mul(1_000)?).map(Timestamp)
    });
    // S3 V2, OSS V1, Google Cloud Storage V2 and CloudFront, all of them with a Signature.
    let seconds = || {
        value("Signature")?;
        let seconds: i64 = value("Expires")?.parse().ok()?;
        seconds.checked_mul(1_000).map(Timestamp)
    };
    // A shared access signature of Azure.
    let azure = || value("sig").and_then(|_| time(&value("se")?));
    dated.or_else(seconds).or_else(azure)
}

/// A time of day in UTC: `20260102T030405Z`, or with dashes and colons, with or without seconds.
fn time(text: &str) -> Option<Timestamp> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let (date, clock) = digits.strip_suffix('Z')?.split_once('T')?;
    let numbers = [date, clock].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if !numbers || date.len() != 8 || !matches!(clock.len(), 4 | 6) {
        return None;
    }
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let (hour, minute) = (&clock[..2], &clock[2..4]);
    let second = if clock.len() == 6 { &clock[4..] } else { "00" };
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    text.parse().ok().map(|at: jiff::Timestamp| Timestamp(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02T03:04:05Z.
    const AT: i64 = 1_767_323_045;

    #[test]
    fn the_end_of_a_link_is_read_in_every_dialect() {
        for (query, end_at) in [
            ("X-Amz-Algorithm=a&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&x=1", Some(AT + 60)),
            ("X-Goog-Date=20260102T030405Z&X-Goog-Expires=3600", Some(AT + 3_600)),
            ("x-oss-expires=1&x-oss-date=20260102T030405Z", Some(AT + 1)),
            ("AWSAccessKeyId=a&Signature=s%2B&Expires=1767323045", Some(AT)),
            ("Expires=1767323045&Signature=s&Key-Pair-Id=k", Some(AT)),
            ("sv=2024&se=2026-01-02T03%3A04%3A05Z&sig=x", Some(AT)),
            ("se=2026-01-02T03%3A04Z&sig=x", Some(AT - 5)),
            ("Expires=1767323045", None),
            ("se=2026-01-02T03:04:05Z", None),
            ("se=2026-01-02&sig=x", None),
            ("X-Amz-Date=20260102T030405Z", None),
            ("X-Amz-Date=20261302T030405Z&X-Amz-Expires=60", None),
            ("X-Amz-Date=20260102T030405Z&X-Amz-Expires=9223372036854775807", None),
            ("X-Amz-Date=\u{e9}0260102T030405Z&X-Amz-Expires=60", None),
            ("Signature=s&Expires=soon", None),
            ("", None),
        ] {
            let expected = end_at.map(Timestamp::from_seconds);
            assert_eq!(end(query), expected, "{query}");
        }
    }

    #[test]
    fn a_link_without_an_end_or_before_it_has_not_expired() {
        let link = "/a.mp4?Expires=1767323045&Signature=s";
        assert!(!has_expired(link, Timestamp::from_seconds(AT - 1)));
        assert!(has_expired(link, Timestamp::from_seconds(AT)));
        assert!(!has_expired("/a.mp4", Timestamp(i64::MAX)));
        // What is behind a `#` or in the path is no query.
        assert!(!has_expired("/Expires=1&Signature=s", Timestamp(i64::MAX)));
    }
}
