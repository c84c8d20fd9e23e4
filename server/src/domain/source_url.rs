//! The URL of a source, as accepted: normalised by the wire's decoding rule, never re-parsed by
//! hand, and never printed with its secrets.

use std::fmt;

use sha2::{Digest, Sha256};

/// Longest accepted source URL, in bytes.
pub const URL_LIMIT: usize = 8 * 1024;

/// A source URL after the decoding rule of the contract (contract §9.1). Equality is byte
/// equality of that form; it decides which jobs a query or a cancel by URL means.
///
/// `Display` and `Debug` leave out user information, query and fragment, because presigned links
/// carry their secrets there. [`SourceUrl::expose`] is the whole text, for dialling, storing and
/// answering its owner.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceUrl(String);

impl SourceUrl {
    /// Takes text that already went through the decoding rule.
    pub fn new(normalised: impl Into<String>) -> Self {
        Self(normalised.into())
    }

    /// The whole URL, secrets included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first eight bytes of the SHA-256 of the URL: the index entry of look-ups by URL, which
    /// then compare the whole text.
    pub fn hash64(&self) -> i64 {
        first_eight(&self.0)
    }

    /// The host as the fetcher counts it: lower case, without user information, port, brackets and
    /// the dot of the root; empty when there is none. What the fetcher would refuse or write
    /// otherwise may come out as another host: nothing but politeness goes by it.
    pub fn host(&self) -> String {
        let Some((_, rest)) = self.0.split_once("://") else { return String::new() };
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let host = match place.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => place.split(':').next().unwrap_or_default(),
        };
        host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
    }

    fn redacted(&self) -> &str {
        let end = self.0.find(['?', '#']).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

/// A source's host, as queues tell hosts apart: the first eight bytes of the SHA-256 of its name.
/// Two hosts that share them share their places, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(pub i64);

impl HostId {
    /// Of a host as [`SourceUrl::host`] writes it.
    pub fn of(host: &str) -> Self {
        Self(first_eight(host))
    }
}

fn first_eight(text: &str) -> i64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.redacted();
        match shown.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = match rest.find('/') {
                    Some(at) => rest.split_at(at),
                    None => (rest, ""),
                };
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                write!(f, "{scheme}://{host}{path}")
            }
            None => f.write_str("(not a URL)"),
        }
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_neither_credentials_nor_query() {
        let url = SourceUrl::new("https://user:pw@h.example/a.mp4?Signature=s3cret#frag");
        assert_eq!(url.to_string(), "https://h.example/a.mp4");
        assert_eq!(format!("{url:?}"), "SourceUrl(https://h.example/a.mp4)");
        assert_eq!(SourceUrl::new("https://h.example?x=1").to_string(), "https://h.example");
    }

    #[test]
    fn a_host_is_told_without_what_stands_around_it() {
        for (url, host) in [
            ("http://H.Example/a@b.mp4", "h.example"),
            ("https://u:p@h.example.:8080?x=://y", "h.example"),
            ("http://[2001:DB8::1]:80/a", "2001:db8::1"),
            ("http://h.example#x", "h.example"),
            ("nonsense", ""),
        ] {
            assert_eq!(SourceUrl::new(url).host(), host, "{url}");
        }
    }
}
