//! What is asked of a source.

use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::SourceUrl;

static NO_HEADERS: SourceHeaders = SourceHeaders::none();

/// A source as a job wants it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub url: &'a SourceUrl,
    /// For the origin (scheme, host and port) of `url` alone: a redirect that leaves it loses them
    /// for good, also if a later one leads back.
    pub headers: &'a SourceHeaders,
}

impl<'a> Wanted<'a> {
    /// The whole file, with nothing besides the URL.
    pub fn whole(url: &'a SourceUrl) -> Self {
        Self { url, headers: &NO_HEADERS }
    }
}
