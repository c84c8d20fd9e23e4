//! Preconditions and ranges: what of an object a request is to be answered with.
//!
//! The order is that of RFC 9110 §13.2.2.

use axum::http::Method;
use axum::http::header::{self, HeaderMap, HeaderName};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

use crate::domain::time::Timestamp;

/// How an object's state is told apart from another.
pub(super) struct Validators {
    /// Strong, with its quotes.
    pub(super) etag: String,
    /// HTTP date.
    pub(super) last_modified: Option<String>,
    modified_seconds: Option<i64>,
}

impl Validators {
    /// `tag` is another for other bytes.
    pub(super) fn new(tag: &str, modified: Option<Timestamp>) -> Self {
        let modified_seconds = modified.map(Timestamp::seconds);
        let last_modified = modified_seconds.and_then(|seconds| {
            let at = jiff::Timestamp::from_second(seconds).ok()?;
            DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
        });
        Self { etag: format!("\"{tag}\""), last_modified, modified_seconds }
    }
}

/// What to answer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// All bytes.
    Whole,
    /// These bytes, both ends included.
    Part { first: u64, last: u64 },
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

pub(super) fn answer(
    method: &Method,
    headers: &HeaderMap,
    validators: &Validators,
    size: u64,
) -> Answer {
    if headers.contains_key(header::IF_MATCH) {
        if !lists(headers, header::IF_MATCH, &validators.etag, Comparison::Strong) {
            return Answer::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) =
        (date(headers, header::IF_UNMODIFIED_SINCE), validators.modified_seconds)
        && modified > since
    {
        return Answer::PreconditionFailed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if lists(headers, header::IF_NONE_MATCH, &validators.etag, Comparison::Weak) {
            return Answer::NotModified;
        }
    } else if let (Some(since), Some(modified)) =
        (date(headers, header::IF_MODIFIED_SINCE), validators.modified_seconds)
        && modified <= since
    {
        return Answer::NotModified;
    }
    // Ranges are defined for GET alone (§14.2), and a range that is not understood is no range.
    if *method != Method::GET || !range_applies(headers, validators) {
        return Answer::Whole;
    }
    match single(headers, header::RANGE).and_then(parse_range) {
        Some(range) => range.of(size),
        None => Answer::Whole,
    }
}

/// The text of a header that appears once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value.trim())
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<i64> {
    let text = single(headers, name)?;
    Some(DateTimeParser::new().parse_timestamp(text).ok()?.as_second())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag equals nothing.
    Strong,
    /// A weak tag equals its strong twin.
    Weak,
}

/// Whether a list of entity tags has ours, or is `*`. Ours contains no comma, so splitting at
/// commas cannot make a foreign tag look like it.
fn lists(headers: &HeaderMap, name: HeaderName, etag: &str, comparison: Comparison) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| {
        let opaque = match comparison {
            Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
            Comparison::Strong => tag,
        };
        tag == "*" || opaque == etag
    })
}

/// `If-Range` (§13.1.5): only our very tag, or our very date. The date is a strong validator here,
/// because the bytes under a play URL never change.
fn range_applies(headers: &HeaderMap, validators: &Validators) -> bool {
    if !headers.contains_key(header::IF_RANGE) {
        return true;
    }
    single(headers, header::IF_RANGE).is_some_and(|text| {
        text == validators.etag || Some(text) == validators.last_modified.as_deref()
    })
}

/// One range of a `Range: bytes=…`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Range {
    /// From a position to another, included, or to the end.
    From(u64, Option<u64>),
    /// This many bytes at the end.
    Last(u64),
}

impl Range {
    fn of(self, size: u64) -> Answer {
        match self {
            Self::From(first, _) if first >= size => Answer::Unsatisfiable,
            Self::From(first, last) => {
                Answer::Part { first, last: last.map_or(size - 1, |last| last.min(size - 1)) }
            }
            Self::Last(0) => Answer::Unsatisfiable,
            Self::Last(_) if size == 0 => Answer::Unsatisfiable,
            Self::Last(count) => Answer::Part { first: size.saturating_sub(count), last: size - 1 },
        }
    }
}

/// `None` for another unit, a malformed range, and a list of several, which a server may ignore
/// (§14.2): answering with the whole is right and cannot be abused to multiply the answer.
fn parse_range(text: &str) -> Option<Range> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |digits: &str| {
        // A leading sign is no digit to us, although it is to `parse`. More than fits is a lot.
        let digits =
            Some(digits).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
        digits.map(|digits| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    match set.trim().split_once('-')? {
        ("", count) => Some(Range::Last(number(count)?)),
        (first, "") => Some(Range::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Range::From(first, Some(last)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_of_bytes_is_understood_and_nothing_else_is() {
        for (text, wanted) in [
            ("bytes=0-0", Range::From(0, Some(0))),
            ("bytes=5-", Range::From(5, None)),
            ("Bytes = 5-9", Range::From(5, Some(9))),
            ("bytes=-7", Range::Last(7)),
            ("bytes=0-99999999999999999999999", Range::From(0, Some(u64::MAX))),
        ] {
            assert_eq!(parse_range(text), Some(wanted), "{text}");
        }
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-5",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "items=0-1",
            "bytes=1--2",
            "bytes=0x1-2",
        ] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }

    #[test]
    fn a_range_is_cut_to_the_object_or_refused() {
        let part = |first, last| Answer::Part { first, last };
        for (range, size, wanted) in [
            (Range::From(0, None), 10, part(0, 9)),
            (Range::From(9, Some(9)), 10, part(9, 9)),
            (Range::From(5, Some(u64::MAX)), 10, part(5, 9)),
            (Range::From(10, None), 10, Answer::Unsatisfiable),
            (Range::Last(3), 10, part(7, 9)),
            (Range::Last(30), 10, part(0, 9)),
            (Range::Last(0), 10, Answer::Unsatisfiable),
            (Range::Last(1), 0, Answer::Unsatisfiable),
            (Range::From(0, None), 0, Answer::Unsatisfiable),
        ] {
            assert_eq!(range.of(size), wanted, "{range:?} of {size}");
        }
    }
}
