//! The URL rule (§9.1): the one way in which items of URL lists, and the URLs of metadata, become
//! the text that jobs are stored, compared and answered with.
//!
//! Clients send items percent-encoded in different ways, or not at all; all of them must mean the
//! same job. What follows the scheme is kept byte for byte: no case folding, no normal form.

use std::fmt;

use crate::percent;
use crate::spec::{EXTENSIONS, URL_LIMIT};

/// Why an item is no URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UrlProblem {
    Empty,
    Encoding,
    Scheme,
    Host,
    Characters,
    TooLong,
}

impl fmt::Display for UrlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Encoding => f.write_str("its percent-encoding is broken or not UTF-8"),
            Self::Scheme => f.write_str("it does not begin with http:// or https://"),
            Self::Host => f.write_str("it has no host"),
            Self::Characters => f.write_str("it has a control character or a backslash"),
            Self::TooLong => write!(f, "it is longer than {URL_LIMIT} bytes"),
        }
    }
}

/// An item in its normal form: trimmed; kept as it is if it begins with `http://` or `https://` in
/// any letter case, otherwise percent-decoded once (`+` is a space) and then required to.
///
/// `None` for what is then no URL: without a host, longer than [`URL_LIMIT`] bytes, or with a
/// control character or backslash, which parsers disagree about.
pub fn normalise_url(item: &str) -> Option<String> {
    normalise(item).ok()
}

/// As [`normalise_url`], saying why not.
pub(super) fn normalise(item: &str) -> Result<String, UrlProblem> {
    let item = item.trim_ascii();
    if item.is_empty() {
        return Err(UrlProblem::Empty);
    }
    let url = match after_scheme(item) {
        Some(_) => item.to_owned(),
        None => percent::decode(item).map_err(|_| UrlProblem::Encoding)?.into_owned(),
    };
    let rest = after_scheme(&url).ok_or(UrlProblem::Scheme)?;
    if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return Err(UrlProblem::Host);
    }
    if url.chars().any(|character| character.is_control() || character == '\\') {
        return Err(UrlProblem::Characters);
    }
    if url.len() > URL_LIMIT {
        return Err(UrlProblem::TooLong);
    }
    Ok(url)
}

fn after_scheme(url: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// The last segment of a normalised URL's path, as it stands there.
fn last_segment(url: &str) -> &str {
    let rest = after_scheme(url).unwrap_or("");
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    rest.split_once('/').map_or("", |(_host, path)| path.rsplit('/').next().unwrap_or(""))
}

/// The supported extension in which the path of a normalised URL ends, lower case.
pub(super) fn extension(url: &str) -> Option<&'static str> {
    let (_, extension) = last_segment(url).rsplit_once('.')?;
    super::reader::choice(EXTENSIONS, extension)
}

/// The file name in a normalised URL, percent-decoded if it can be; empty if there is none.
pub(super) fn file_name(url: &str) -> String {
    let segment = last_segment(url);
    percent::decode_path(segment).unwrap_or_else(|_| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_clients_encode_a_url_means_the_same_url() {
        let url = "http://media.example/a b.mp4";
        for item in [
            "http://media.example/a b.mp4",
            "http%3A//media.example/a%20b.mp4",
            "http%3A%2F%2Fmedia.example%2Fa%20b.mp4",
            "http%3a%2f%2fmedia.example%2fa+b.mp4",
            "  http%3A//media.example/a b.mp4 ",
        ] {
            assert_eq!(normalise_url(item).as_deref(), Some(url), "{item}");
        }
    }

    #[test]
    fn a_url_that_is_plain_is_not_decoded() {
        for url in
            ["http://h/%2561.mp4", "HTTPS://H/A+b%zz.MP4", "http://h/é *~'()!+.mp4?x=1&y=%2C#frag"]
        {
            assert_eq!(normalise_url(url).as_deref(), Some(url));
        }
        // Once, not twice.
        assert_eq!(normalise_url("http%3A//h/%2561").as_deref(), Some("http://h/%61"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let long = format!("http://h/{}.mp4", "a".repeat(URL_LIMIT));
        for (item, problem) in [
            ("", UrlProblem::Empty),
            ("  ", UrlProblem::Empty),
            ("ftp://h/a.mp4", UrlProblem::Scheme),
            ("//h/a.mp4", UrlProblem::Scheme),
            ("http:/h/a.mp4", UrlProblem::Scheme),
            ("http%253A%252F%252Fh/a.mp4", UrlProblem::Scheme),
            ("http%3A//h/%zz", UrlProblem::Encoding),
            ("http%3A//h/%FF", UrlProblem::Encoding),
            ("http://", UrlProblem::Host),
            ("http:///a.mp4", UrlProblem::Host),
            ("http://?a.mp4", UrlProblem::Host),
            ("http://h\\@evil/a.mp4", UrlProblem::Characters),
            ("http%3A//h/a%0d%0ab.mp4", UrlProblem::Characters),
            ("http://h/\u{7f}.mp4", UrlProblem::Characters),
            (&long, UrlProblem::TooLong),
        ] {
            assert_eq!(normalise(item), Err(problem), "{item:.40}");
        }
    }

    #[test]
    fn the_extension_is_that_of_the_paths_last_segment() {
        assert_eq!(extension("http://h/a.MP4?x=.avi#y.flv"), Some("mp4"));
        assert_eq!(extension("http://h/d.mp4/a.tar.webm"), Some("webm"));
        for url in
            ["http://h.mp4", "http://h/a", "http://h/a.mp4/", "http://h/?a.mp4", "http://h/a.exe"]
        {
            assert_eq!(extension(url), None, "{url}");
        }
    }

    #[test]
    fn the_file_name_is_decoded_where_it_can_be() {
        assert_eq!(file_name("http://h/d/a%20b+%C3%A9.mp4?x"), "a b+é.mp4");
        assert_eq!(file_name("http://h/a%zz.mp4"), "a%zz.mp4");
        assert_eq!(file_name("http://h"), "");
    }
}
