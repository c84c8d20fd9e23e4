//! Ids or URLs of a query or a cancel (§9.2, §9.3).

use super::reader::Reader;
use super::{SelectedUrl, Selector};
use crate::code::Fault;

impl Selector {
    /// If there are ids, the URLs are not even looked at. The limit counts items as sent;
    /// duplicates are dropped afterwards, so that eleven items are too many whatever they say.
    pub(super) fn read(reader: &Reader<'_>, urls: &str) -> Result<Self, Fault> {
        if let Some(ids) = reader.list("JobIds")? {
            return Ok(Self::JobIds(distinct(ids.into_iter().map(str::to_owned))));
        }
        if let Some(list) = reader.urls(urls)? {
            return Ok(Self::Urls(distinct(list.into_iter().map(|url| SelectedUrl { url }))));
        }
        Err(Fault::missing_one_of(&format!("JobIds or {urls}")))
    }
}

/// First-seen order. At most ten items: comparing all of them is the quickest way.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}
