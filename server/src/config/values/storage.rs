//! The kinds of values that say where objects are kept.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// Where objects are kept.
pub(in crate::config) mod place {
    use crate::blob::Place;

    pub(in crate::config) const ACCEPTS: &str = "`file:///srv/haulage/objects`, `s3://bucket/prefix?endpoint=https://host&region=name`, or `oss://bucket/prefix?region=name`";

    pub(in crate::config) fn parse(text: &str) -> Result<Option<Place>, String> {
        if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
    }
}

/// Places by the name of their location.
pub(in crate::config) mod places {
    use std::collections::BTreeMap;

    use crate::blob::Place;
    use crate::domain::media::DEFAULT_LOCATION;

    pub(in crate::config) const ACCEPTS: &str = "a comma-separated list of `name=URL`, with URLs as for `storage_url` and names of up to 128 letters, digits, `.`, `_` and `-`";

    pub(in crate::config) fn parse(text: &str) -> Result<BTreeMap<String, Place>, String> {
        let places = super::named(text)?;
        if places.contains_key(DEFAULT_LOCATION) {
            return Err("the default one is set by storage_url".to_owned());
        }
        Ok(places)
    }
}

/// Keys by the name of the location that they are for.
pub(in crate::config) mod keys {
    use std::collections::BTreeMap;

    use crate::blob::place::BucketKey;

    pub(in crate::config) const ACCEPTS: &str =
        "a comma-separated list of `location=id:secret`, such as `default=AKID:SECRET`";

    pub(in crate::config) fn parse(text: &str) -> Result<BTreeMap<String, BucketKey>, String> {
        super::named(text)
    }
}

/// Longest name of a storage location, in characters.
const LOCATION_LIMIT: usize = 128;

/// The items of a list of `name=value`; each name once.
fn named<T: FromStr<Err: Display>>(text: &str) -> Result<BTreeMap<String, T>, String> {
    let mut found = BTreeMap::new();
    if text.trim().is_empty() {
        return Ok(found);
    }
    for (at, item) in text.split(',').enumerate() {
        let item_said = |why: &str| format!("item {}: {why}", at + 1);
        let (name, value) = item.split_once('=').ok_or_else(|| item_said("there is no `=`"))?;
        let name = name.trim();
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=LOCATION_LIMIT).contains(&name.len()) || !name.bytes().all(fine) {
            return Err(item_said("its name is not letters, digits, `.`, `_` and `-`"));
        }
        let value = value.trim().parse().map_err(|e: T::Err| item_said(&e.to_string()))?;
        if found.insert(name.to_owned(), value).is_some() {
            return Err(item_said("the location is named twice"));
        }
    }
    Ok(found)
}

/// Bytes of one part of an upload.
pub(in crate::config) mod part_size {
    use crate::blob::s3::PART_BYTES;

    pub(in crate::config) const ACCEPTS: &str = "a size from `5MiB` to `512MiB`";

    pub(in crate::config) fn parse(text: &str) -> Result<u64, String> {
        let bytes = super::super::size::parse(text)?;
        if PART_BYTES.contains(&bytes) { Ok(bytes) } else { Err("it is not within".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_and_their_keys_are_named_once_each() {
        let parsed = places::parse("archive=s3://media?region=x, b.c_d-1=file:///srv/b").unwrap();
        assert_eq!(parsed.keys().collect::<Vec<_>>(), ["archive", "b.c_d-1"]);
        assert_eq!(keys::parse("archive=AKID:a=b/c+d").unwrap()["archive"].secret, "a=b/c+d");
        for (text, why) in [
            ("s3://media", "item 1: "),
            ("a=file:///x,a=file:///y", "item 2: the location is named twice"),
            ("default=file:///x", "storage_url"),
            ("a b=file:///x", "item 1: its name"),
            ("a=ftp://x", "item 1: it begins with none"),
        ] {
            let refused = places::parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        let refused = keys::parse("a=hunter2").unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_part_fits_into_memory_and_into_an_upload() {
        assert_eq!(part_size::parse("5MiB"), Ok(5 << 20));
        assert!(part_size::parse("4MiB").is_err() && part_size::parse("1GiB").is_err());
    }
}
