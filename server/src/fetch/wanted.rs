//! What is asked of an origin, and what its answer must say before bytes are put behind bytes that
//! are here already (RFC 9110 §14, §13.1.5). When in doubt the transfer begins anew.

use http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};

use super::host_slots::Place;
use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::SourceUrl;
use crate::domain::version::{Validator, Version};

/// Longest validator that is kept, in bytes; with a longer one a transfer cannot be continued.
const VALIDATOR_LIMIT: usize = 512;
/// A `Last-Modified` this much older than `Date` is strong: "enough difference" between two clocks
/// (RFC 9110 §8.8.2.2); the figure is the one that RFC 7232 §2.2.2 gave.
const SETTLED_SECONDS: i64 = 60;

static NO_HEADERS: SourceHeaders = SourceHeaders::none();

/// A source as a job wants it.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub url: &'a SourceUrl,
    /// For the origin (scheme, host and port) of `url` alone: a redirect that leaves it loses them
    /// for good, also if a later one leads back.
    pub headers: &'a SourceHeaders,
    /// Bytes that are here already; `None` asks for the whole.
    pub from: Option<Resume>,
    /// A place at the host of `url`, if one was taken in advance.
    pub place: Option<Place>,
}

impl<'a> Wanted<'a> {
    /// The whole file, with nothing besides the URL.
    pub fn whole(url: &'a SourceUrl) -> Self {
        Self { url, headers: &NO_HEADERS, from: None, place: None }
    }
}

/// Where to go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The first byte that is missing here.
    pub offset: u64,
    /// The version whose bytes before `offset` are here.
    pub version: Version,
    pub link: Link,
}

/// How the bytes that are here came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// By the URL that is asked now.
    Same,
    /// By another one, which somebody has replaced by this one, saying that it is the same file.
    Replaced,
}

/// Why a transfer that was to be continued began anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// There is another object, or another version of it, than the bytes here are of.
    Changed,
    /// The origin does not continue, or not in a way that can be trusted.
    NotContinued,
}

/// The part of the object that an answer carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// Position of its last byte.
    pub(super) last: u64,
    /// Bytes of the whole object.
    pub(super) total: u64,
}

/// Judges a 206 to a request that began at `resume.offset`, answered by `place`.
pub(super) fn part(resume: &Resume, place: &str, headers: &HeaderMap) -> Result<Part, Restart> {
    // Several parts in one body: nobody asked for two.
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let multipart = b"multipart/";
    if kind.len() >= multipart.len() && kind[..multipart.len()].eq_ignore_ascii_case(multipart) {
        return Err(Restart::NotContinued);
    }
    let version = &resume.version;
    let moved = version.place != place;
    match (resume.link, &version.validator, version.total) {
        _ if !moved => {}
        (Link::Same, _, _) => return Err(Restart::Changed),
        // Two files may well have one date, and a validator alone speaks of one resource only (RFC
        // 9110 §8.8.1): at another place it takes a tag, the length and somebody's word.
        (Link::Replaced, Validator::Tag(_), Some(_)) => {}
        (Link::Replaced, Validator::Tag(_) | Validator::Date(_), _) => {
            return Err(Restart::NotContinued);
        }
    }
    // An origin that ignores If-Range is found out by what it says of the part.
    let (name, ours) = match &version.validator {
        Validator::Tag(tag) => (ETAG, tag),
        Validator::Date(date) => (LAST_MODIFIED, date),
    };
    match only(headers, &name) {
        Some(theirs) if theirs == ours => {}
        Some(_) => return Err(Restart::Changed),
        None => return Err(Restart::NotContinued),
    }
    let range = only(headers, &CONTENT_RANGE).and_then(content_range);
    let (first, last, total) = range.ok_or(Restart::NotContinued)?;
    let total = match (total, version.total) {
        (Some(now), Some(before)) if now != before => return Err(Restart::Changed),
        (Some(now), _) => now,
        // A part up to the known end needs no total; any other could be cut short unseen.
        (None, Some(before)) if !moved && last.checked_add(1) == Some(before) => before,
        (None, _) => return Err(Restart::NotContinued),
    };
    if first != resume.offset || last < first || last >= total {
        return Err(Restart::NotContinued);
    }
    Ok(Part { last, total })
}

/// First and last byte, and the total unless it is `*` (RFC 9110 §14.4); `None` for everything
/// that is not such a range of bytes.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, range) = text.trim().split_once(' ')?;
    let (positions, total) = range.trim().split_once('/')?;
    let (first, last) = positions.split_once('-')?;
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<u64>().ok()).flatten()
    };
    let total = match total {
        "*" => None,
        digits => Some(number(digits)?),
    };
    unit.eq_ignore_ascii_case("bytes").then_some((number(first)?, number(last)?, total))
}

/// The version that a whole answer (200) is of; `None` when it has no strong validator or the
/// origin says that it does not do ranges.
pub(super) fn version(headers: &HeaderMap, place: &str, total: Option<u64>) -> Option<Version> {
    if headers.get_all(ACCEPT_RANGES).iter().any(|value| value.as_bytes() == b"none") {
        return None;
    }
    let validator = if headers.contains_key(ETAG) {
        // With a tag of any kind the date must not be used (RFC 9110 §13.1.5).
        let tag = only(headers, &ETAG).filter(|tag| is_strong_tag(tag))?;
        Validator::Tag(tag.to_owned())
    } else {
        let date = only(headers, &LAST_MODIFIED)?;
        let seconds = |text| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second());
        let settled = seconds(only(headers, &DATE)?)?.checked_sub(seconds(date)?)?;
        if settled < SETTLED_SECONDS {
            return None;
        }
        Validator::Date(date.to_owned())
    };
    let fits = validator.as_str().len() <= VALIDATOR_LIMIT;
    fits.then(|| Version { validator, total, place: place.to_owned() })
}

/// `"…"` of the characters of an entity tag (RFC 9110 §8.8.3), without `W/`.
fn is_strong_tag(tag: &str) -> bool {
    let inside = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.is_some_and(|inside| inside.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x7e)))
}

/// The value of a field that stands there exactly once, as text.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    const LM: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn validator(fields: &[(&'static str, &str)]) -> Option<String> {
        Some(version(&headers(fields), "here", None)?.validator.as_str().to_owned())
    }

    #[test]
    fn only_a_strong_validator_allows_a_continuation() {
        let later = "Sun, 06 Nov 1994 08:50:37 GMT";
        let soon = "Sun, 06 Nov 1994 08:50:36 GMT";
        for (fields, expected) in [
            (&[("etag", "\"v1\"")][..], Some("\"v1\"")),
            (&[("etag", "\"\"")], Some("\"\"")),
            (&[("etag", "\"v1\""), ("accept-ranges", "bytes")], Some("\"v1\"")),
            (&[("etag", "\"v1\""), ("accept-ranges", "none")], None),
            (&[("etag", "W/\"v1\"")], None),
            (&[("etag", "w/\"v1\"")], None),
            (&[("etag", "v1")], None),
            (&[("etag", "\"v1")], None),
            (&[("etag", "\"")], None),
            (&[("etag", "\"v 1\"")], None),
            (&[("etag", "\"a\"b\"")], None),
            (&[("etag", "\"v1\""), ("etag", "\"v2\"")], None),
            (&[], None),
            (&[("last-modified", LM), ("date", later)], Some(LM)),
            (&[("last-modified", LM), ("date", soon)], None),
            (&[("last-modified", LM), ("date", LM)], None),
            (&[("last-modified", later), ("date", LM)], None),
            (&[("last-modified", LM)], None),
            (&[("last-modified", "yesterday"), ("date", later)], None),
            (&[("etag", "W/\"v1\""), ("last-modified", LM), ("date", later)], None),
        ] {
            assert_eq!(validator(fields).as_deref(), expected, "{fields:?}");
        }
        assert_eq!(validator(&[("etag", &format!("\"{}\"", "x".repeat(600)))]), None);
    }

    fn resume(validator: Validator, total: Option<u64>) -> Resume {
        let version = Version { validator, total, place: "here".to_owned() };
        Resume { offset: 100, version, link: Link::Same }
    }

    fn judged(total: Option<u64>, fields: &[(&'static str, &str)]) -> Result<Part, Restart> {
        let resume = resume(Validator::Tag("\"v1\"".to_owned()), total);
        part(&resume, "here", &headers(fields))
    }

    #[test]
    fn a_part_must_begin_where_it_was_asked_for_and_be_of_the_same_object() {
        use Restart::{Changed, NotContinued};
        let whole = Ok(Part { last: 199, total: 200 });
        for (range, expected) in [
            ("bytes 100-199/200", whole),
            ("Bytes 100-199/200", whole),
            ("bytes 100-199/*", whole),
            ("bytes 100-149/200", Ok(Part { last: 149, total: 200 })),
            ("bytes 100-149/*", Err(NotContinued)),
            ("bytes 99-199/200", Err(NotContinued)),
            ("bytes 101-199/200", Err(NotContinued)),
            ("bytes 0-199/200", Err(NotContinued)),
            ("bytes 100-199/201", Err(Changed)),
            ("bytes 100-200/200", Err(NotContinued)),
            ("bytes 100-99/200", Err(NotContinued)),
            ("items 100-199/200", Err(NotContinued)),
            ("bytes */200", Err(NotContinued)),
            ("bytes +100-199/200", Err(NotContinued)),
            ("bytes 100-199", Err(NotContinued)),
            ("bytes=100-199/200", Err(NotContinued)),
            ("bytes 100-18446744073709551615/*", Err(NotContinued)),
            ("", Err(NotContinued)),
        ] {
            let fields = [("etag", "\"v1\""), ("content-range", range)];
            assert_eq!(judged(Some(200), &fields), expected, "{range}");
        }
        let twice = [
            ("etag", "\"v1\""),
            ("content-range", "bytes 100-199/200"),
            ("content-range", "bytes 100-199/200"),
        ];
        assert_eq!(judged(Some(200), &twice), Err(NotContinued));
    }

    #[test]
    fn a_length_that_was_not_known_is_learnt_from_the_part() {
        let of = |range| judged(None, &[("etag", "\"v1\""), ("content-range", range)]);
        assert_eq!(of("bytes 100-199/200"), Ok(Part { last: 199, total: 200 }));
        assert_eq!(of("bytes 100-199/*"), Err(Restart::NotContinued));
    }

    #[test]
    fn another_validator_place_or_shape_is_never_spliced() {
        let range = ("content-range", "bytes 100-199/200");
        let with = |fields: &[(&'static str, &str)]| judged(Some(200), fields);
        assert_eq!(with(&[range, ("etag", "\"v2\"")]), Err(Restart::Changed));
        assert_eq!(with(&[range, ("etag", "W/\"v1\"")]), Err(Restart::Changed));
        assert_eq!(with(&[range]), Err(Restart::NotContinued));
        let parts = ("content-type", "Multipart/ByteRanges; boundary=x");
        assert_eq!(with(&[parts, range, ("etag", "\"v1\"")]), Err(Restart::NotContinued));
        let fields = headers(&[range, ("etag", "\"v1\"")]);
        let ours = resume(Validator::Tag("\"v1\"".to_owned()), Some(200));
        assert_eq!(part(&ours, "elsewhere", &fields), Err(Restart::Changed));
        let dated = resume(Validator::Date(LM.to_owned()), Some(200));
        assert_eq!(part(&dated, "here", &fields), Err(Restart::NotContinued));
        let fields = headers(&[range, ("last-modified", LM)]);
        assert!(part(&dated, "here", &fields).is_ok());
    }

    #[test]
    fn a_replaced_url_may_lead_elsewhere_if_tag_and_length_are_the_same() {
        use Restart::{Changed, NotContinued};
        let ours = |validator, total| Resume { link: Link::Replaced, ..resume(validator, total) };
        let tag = || Validator::Tag("\"v1\"".to_owned());
        let range = ("content-range", "bytes 100-199/200");
        let same = headers(&[range, ("etag", "\"v1\"")]);
        let whole = Ok(Part { last: 199, total: 200 });
        assert_eq!(part(&ours(tag(), Some(200)), "elsewhere", &same), whole);
        assert_eq!(part(&ours(tag(), None), "elsewhere", &same), Err(NotContinued));
        assert_eq!(part(&ours(tag(), Some(201)), "elsewhere", &same), Err(Changed));
        let other = headers(&[range, ("etag", "\"v2\"")]);
        assert_eq!(part(&ours(tag(), Some(200)), "elsewhere", &other), Err(Changed));
        let silent = headers(&[("content-range", "bytes 100-199/*"), ("etag", "\"v1\"")]);
        assert_eq!(part(&ours(tag(), Some(200)), "elsewhere", &silent), Err(NotContinued));
        let dated = headers(&[range, ("last-modified", LM)]);
        let date = || Validator::Date(LM.to_owned());
        assert_eq!(part(&ours(date(), Some(200)), "elsewhere", &dated), Err(NotContinued));
        // A new signature for the same place: as ever.
        assert_eq!(part(&ours(date(), Some(200)), "here", &dated), whole);
        assert_eq!(part(&ours(tag(), None), "here", &same), whole);
    }
}
