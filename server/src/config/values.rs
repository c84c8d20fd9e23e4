//! How the text of a setting becomes a value: one small module a kind, each with the words that
//! tell an operator what it accepts. A reason for refusing never repeats the text it refuses:
//! [`super::load`] decides whether that may be shown.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

mod storage;

pub(super) use storage::{keys, part_size, place, places};

/// Units of sizes, largest first.
const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Units of durations in milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Splits `64KiB` into its number and its unit; one space between them is fine.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// `1GiB`: the largest unit that divides `bytes`.
pub fn size_text(bytes: u64) -> String {
    largest_unit(bytes, &SIZE_UNITS, "B")
}

/// `5s`: the largest unit that divides `duration`, which is taken in whole milliseconds.
pub fn duration_text(duration: Duration) -> String {
    largest_unit(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS, "s")
}

/// A duration with its unit, as settings have them; `None` for anything else, and for none.
pub fn parse_duration(text: &str) -> Option<Duration> {
    duration::parse(text).ok()
}

fn largest_unit(value: u64, units: &[(&str, u64)], of_zero: &str) -> String {
    let fits = |(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(*factor);
    let (unit, factor) = units.iter().find(fits).copied().unwrap_or((of_zero, 1));
    format!("{}{unit}", value / factor)
}

/// Bytes.
pub(super) mod size {
    pub(in crate::config) const ACCEPTS: &str =
        "bytes, or a size such as `64KiB`, `20MiB`, `1GiB`, `2TiB`";

    pub(in crate::config) fn parse(text: &str) -> Result<u64, String> {
        let plain = text.parse().ok();
        plain.or_else(|| super::scaled(text, &super::SIZE_UNITS)).ok_or_else(String::new)
    }
}

/// Yes or no.
pub(super) mod switch {
    pub(in crate::config) const ACCEPTS: &str = "`on` or `off`";

    pub(in crate::config) fn parse(text: &str) -> Result<bool, String> {
        match text {
            "on" | "true" => Ok(true),
            "off" | "false" => Ok(false),
            _ => Err(String::new()),
        }
    }
}

/// Bytes a second; `none` and 0 are no limit.
pub(super) mod rate {
    pub(in crate::config) const ACCEPTS: &str =
        "a size a second such as `500KiB` or `20MiB`, or `none`";

    pub(in crate::config) fn parse(text: &str) -> Result<u64, String> {
        if text == "none" { Ok(0) } else { super::size::parse(text) }
    }
}

/// A time that must pass for something to happen: more than nothing.
pub(super) mod duration {
    use super::Duration;

    pub(in crate::config) const ACCEPTS: &str =
        "a duration such as `250ms`, `5s`, `2m`, `1h`, `30d`, more than 0";

    pub(in crate::config) fn parse(text: &str) -> Result<Duration, String> {
        match super::pause::parse(text)? {
            Duration::ZERO => Err("it is 0".to_owned()),
            some => Ok(some),
        }
    }
}

/// A time that may be nothing.
pub(super) mod pause {
    use super::Duration;

    pub(in crate::config) const ACCEPTS: &str =
        "a duration such as `0s`, `250ms`, `5s`, `2m`, `1h`, `30d`";

    pub(in crate::config) fn parse(text: &str) -> Result<Duration, String> {
        let millis = super::scaled(text, &super::DURATION_UNITS);
        // A bare number is refused: nobody can see whether it means seconds or milliseconds.
        millis.map(Duration::from_millis).ok_or_else(String::new)
    }
}

/// How many: at least one.
pub(super) mod count {
    pub(in crate::config) const ACCEPTS: &str = "a whole number from 1 up";

    pub(in crate::config) fn parse<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
        match super::number(text)? {
            0 => Err("it is 0".to_owned()),
            some => super::fitting(some),
        }
    }
}

/// How many, unless it follows from something else.
pub(super) mod reserve {
    pub(in crate::config) const ACCEPTS: &str = "a whole number, or `auto`";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<usize>, String> {
        if text == "auto" {
            return Ok(None);
        }
        super::fitting(super::number(text)?).map(Some)
    }
}

/// How many at most; 0 and `none` mean that there is no limit, or that nothing is allowed, as the
/// setting says.
pub(super) mod limit {
    pub(in crate::config) const ACCEPTS: &str = "a whole number, or `none` for 0";

    pub(in crate::config) fn parse<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
        let number = if text == "none" { 0 } else { super::number(text)? };
        super::fitting(number)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| String::new())
}

fn fitting<T: TryFrom<u64>>(number: u64) -> Result<T, String> {
    T::try_from(number).map_err(|_| "it is too large".to_owned())
}

/// An address and port to listen on.
pub(super) mod address {
    pub(in crate::config) const ACCEPTS: &str =
        "an IP address and a port, such as `127.0.0.1:8710` or `[::]:8710`";

    pub(in crate::config) fn parse(text: &str) -> Result<std::net::SocketAddr, String> {
        text.parse().map_err(|_| String::new())
    }
}

/// Text as it stands; empty means not set.
fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What an access key id is made of: it travels in headers, queries and shell commands.
pub(super) mod key_id {
    /// Longest access key id, in characters.
    const LIMIT: usize = 128;
    pub(in crate::config) const ACCEPTS: &str = "1 to 128 letters, digits, `.`, `_` or `-`";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<String>, String> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.len() > LIMIT || !text.bytes().all(fine) {
            return Err(String::new());
        }
        Ok(super::optional(text))
    }
}

/// A secret: long enough not to be guessed, without characters that a shell or a file would eat.
pub(super) mod secret {
    /// Characters.
    const SHORTEST: usize = 8;
    pub(in crate::config) const ACCEPTS: &str =
        "at least 8 printable ASCII characters without spaces";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<String>, String> {
        if !text.is_empty() && text.len() < SHORTEST {
            return Err("it is too short".to_owned());
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("it has characters that are not printable ASCII".to_owned());
        }
        Ok(super::optional(text))
    }
}

/// The base of links to this server.
pub(super) mod base_url {
    pub(in crate::config) const ACCEPTS: &str =
        "an http or https URL without query, such as `https://media.example.com`";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<String>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let url = url::Url::parse(text).map_err(|e| e.to_string())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        // Without the slash at the end, so that paths can be put behind it.
        plain.then(|| Some(text.trim_end_matches('/').to_owned())).ok_or_else(String::new)
    }
}

/// Where data is kept: a URL with a scheme.
pub(super) mod store_url {
    pub(in crate::config) const ACCEPTS: &str =
        "a URL with a scheme, such as `sqlite:///srv/haulage/haulage.db`";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<String>, String> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !text.is_empty() && (scheme.is_empty() || !scheme.bytes().all(fine)) {
            return Err(String::new());
        }
        Ok(super::optional(text))
    }
}

/// A directory or file that is always set.
pub(super) mod path {
    use std::path::PathBuf;

    pub(in crate::config) const ACCEPTS: &str = "a path";

    pub(in crate::config) fn parse(text: &str) -> Result<PathBuf, String> {
        super::optional_path::parse(text)?.ok_or_else(|| "it is empty".to_owned())
    }
}

/// A file; empty means none.
pub(super) mod optional_path {
    use std::path::PathBuf;

    pub(in crate::config) const ACCEPTS: &str = "a path";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<PathBuf>, String> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }
}

/// Directives of the log filter.
pub(super) mod filter {
    pub(in crate::config) const ACCEPTS: &str = "`off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,haulage::worker=debug`";

    pub(in crate::config) fn parse(text: &str) -> Result<String, String> {
        // The library's parser panics over some characters beyond ASCII (tracing-subscriber 0.3.23).
        if !text.is_ascii() {
            return Err("it has characters beyond ASCII".to_owned());
        }
        tracing_subscriber::EnvFilter::try_new(text).map_err(|e| e.to_string())?;
        Ok(text.to_owned())
    }
}

/// How log lines are written; `true` is JSON.
pub(super) mod log_format {
    pub(in crate::config) const ACCEPTS: &str = "`json` or `text`";

    pub(in crate::config) fn parse(text: &str) -> Result<bool, String> {
        match text {
            "json" => Ok(true),
            "text" => Ok(false),
            _ => Err(String::new()),
        }
    }
}

/// When MD5 is computed.
pub(super) mod md5_rule {
    use crate::domain::digest::Md5Rule;

    pub(in crate::config) const ACCEPTS: &str = "`asked` or `always`";

    pub(in crate::config) fn parse(text: &str) -> Result<Md5Rule, String> {
        match text {
            "asked" => Ok(Md5Rule::Asked),
            "always" => Ok(Md5Rule::Always),
            _ => Err(String::new()),
        }
    }
}

/// Networks and hosts that may be fetched although the firewall would refuse them.
pub(super) mod networks {
    pub(in crate::config) const ACCEPTS: &str = "a comma-separated list of networks or hosts, each with an optional port, such as `127.0.0.0/8,10.0.0.5:443`";

    pub(in crate::config) fn parse<T>(text: &str) -> Result<Vec<T>, String>
    where
        T: super::FromStr<Err: super::Display>,
    {
        super::list(text)
    }
}

/// DNS servers.
pub(super) mod addresses {
    use std::net::SocketAddr;

    pub(in crate::config) const ACCEPTS: &str =
        "a comma-separated list of IP addresses with ports, such as `9.9.9.9:53,[2620:fe::fe]:53`";

    pub(in crate::config) fn parse(text: &str) -> Result<Vec<SocketAddr>, String> {
        super::list(text)
    }
}

/// The items of a comma-separated list; empty text is the empty list.
fn list<T: FromStr<Err: Display>>(text: &str) -> Result<Vec<T>, String> {
    let items = text.split(',').map(str::trim).enumerate();
    let one = |(at, item): (usize, &str)| {
        item.parse().map_err(|e: T::Err| format!("item {}: {e}", at + 1))
    };
    if text.trim().is_empty() { Ok(Vec::new()) } else { items.map(one).collect() }
}

/// Calls a second by operation.
pub(super) mod rates {
    use std::collections::BTreeMap;

    pub(in crate::config) const ACCEPTS: &str = "a comma-separated list of `Operation=calls per second`, such as `CancelUrlUploadJobs=500,GetURLUploadInfos=0`";

    pub(in crate::config) fn parse(text: &str) -> Result<BTreeMap<String, u32>, String> {
        let mut rates = BTreeMap::new();
        if text.trim().is_empty() {
            return Ok(rates);
        }
        for (at, item) in text.split(',').enumerate() {
            let item_said = |why: &str| format!("item {}: {why}", at + 1);
            let (name, rate) = item.split_once('=').ok_or_else(|| item_said("there is no `=`"))?;
            let name = name.trim();
            if wire::spec::operation(name).is_none() {
                let known = wire::spec::OPERATIONS.iter().map(|operation| operation.action);
                let hint = super::super::nearest(name, known)
                    .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                return Err(item_said(&format!("no operation has this name{hint}")));
            }
            let rate = rate.trim().parse().map_err(|_| item_said("its rate is no number"))?;
            if rates.insert(name.to_owned(), rate).is_some() {
                return Err(item_said("the operation is named twice"));
            }
        }
        Ok(rates)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_bytes_or_a_number_with_a_binary_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1_024),
            ("512B", 512),
            ("64KiB", 65_536),
            ("20 GiB", 20 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(size::parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "64kib", "64KB", "64K", "-1", "1.5GiB", "64  KiB", "99999999TiB"] {
            assert!(size::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)]
        {
            assert_eq!(duration::parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "5 sec", "s", "1.5s", "-1s", "1h30m", "99999999999999999d"] {
            assert!(duration::parse(text).is_err(), "{text}");
        }
        assert!(duration::parse("0s").is_err());
        assert_eq!(pause::parse("0s"), Ok(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn a_size_reads_back_as_it_was_written(bytes: u64) {
            prop_assert_eq!(size::parse(&size_text(bytes)), Ok(bytes));
        }

        #[test]
        fn a_duration_reads_back_as_it_was_written(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(pause::parse(&duration_text(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = (size::parse(&text), pause::parse(&text), addresses::parse(&text));
            let _ = (rates::parse(&text), base_url::parse(&text), filter::parse(&text));
            let _ = (place::parse(&text), places::parse(&text), keys::parse(&text));
        }
    }

    #[test]
    fn a_filter_of_characters_beyond_ascii_is_refused_without_a_panic() {
        assert!(filter::parse(" \u{10D53}=").is_err());
        assert!(filter::parse("info,haulage::worker=debug").is_ok());
    }

    #[test]
    fn counts_are_at_least_one_and_limits_may_be_none() {
        assert_eq!(count::parse::<usize>("64"), Ok(64));
        assert!(count::parse::<usize>("0").is_err());
        assert!(count::parse::<u32>("4294967296").is_err());
        assert_eq!(limit::parse::<u64>("none"), Ok(0));
        assert_eq!(limit::parse::<u64>("7"), Ok(7));
    }

    #[test]
    fn a_list_names_the_item_it_refuses() {
        assert_eq!(addresses::parse(""), Ok(Vec::new()));
        assert_eq!(addresses::parse("1.1.1.1:53, [::1]:53").unwrap().len(), 2);
        assert!(addresses::parse("1.1.1.1:53,nonsense").unwrap_err().starts_with("item 2: "));
        assert!(addresses::parse("1.1.1.1:53,").unwrap_err().starts_with("item 2: "));
    }

    #[test]
    fn rates_are_for_known_operations_only() {
        let rates = rates::parse("CancelUrlUploadJobs=500, GetURLUploadInfos=0").unwrap();
        assert_eq!(rates["CancelUrlUploadJobs"], 500);
        assert_eq!(rates["GetURLUploadInfos"], 0);
        let misspelt = rates::parse("CancelURLUploadJobs=1").unwrap_err();
        assert!(misspelt.contains("`CancelUrlUploadJobs`"), "{misspelt}");
        assert!(rates::parse("GetPlayInfo=1,GetPlayInfo=2").is_err());
        assert!(rates::parse("GetPlayInfo").is_err());
        assert!(rates::parse("GetPlayInfo=-1").is_err());
    }

    #[test]
    fn a_base_url_loses_its_last_slash_and_may_not_carry_more_than_a_path() {
        let parsed = base_url::parse("https://media.example.com/pull/").unwrap();
        assert_eq!(parsed.as_deref(), Some("https://media.example.com/pull"));
        for text in
            ["media.example.com", "ftp://h/", "http://h/?a=1", "http://u:p@h/", "http://h/#f"]
        {
            assert!(base_url::parse(text).is_err(), "{text}");
        }
    }
}
