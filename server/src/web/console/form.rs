//! What a browser sends: the pairs of a query or of a form, decoded.

use std::fmt::Write;

/// Largest form, in bytes: twenty URLs of 8 KiB, percent-encoded, fit.
pub(super) const FORM_LIMIT: usize = 1024 * 1024;
/// Largest form that carries another one, which is encoded once more: three bytes for one at most.
pub(super) const CARRIER_LIMIT: usize = 3 * FORM_LIMIT + 4096;
/// Most pairs that are looked at.
const PAIRS: usize = 1_000;
/// Name of the field that holds the session's token.
pub(super) const TOKEN: &str = "csrf";

/// Decoded pairs in the order sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().take(PAIRS).collect())
    }

    /// The first value of this name that says something, without the blanks around it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// As [`Fields::get`], owned; empty when absent.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Everything but the session's token, to be sent again.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        self.0.iter().filter(|(name, _)| name != TOKEN).cloned().collect()
    }

    /// [`Fields::kept`] as one text.
    pub(super) fn encoded(&self) -> String {
        query(self.kept().iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// Pairs as a query string, without `?`; empty values are left out.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if !value.is_empty() {
            out.append_pair(name, value);
        }
    }
    out.finish()
}

/// A path with a query, or without where there are no pairs.
pub(super) fn link<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = query(pairs);
    let mut out = path.to_owned();
    if !query.is_empty() {
        let _ = write!(out, "?{query}");
    }
    out
}

/// The text if it is a path of the console that a redirect may go to, else the overview.
pub(super) fn own_path(text: &str) -> &str {
    let rest = text.strip_prefix("/console");
    let inside = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if inside && plain { text } else { "/console" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_inside_the_console() {
        for inside in ["/console", "/console/jobs", "/console?x=1", "/console/jobs?q=%2F%2Fa"] {
            assert_eq!(own_path(inside), inside);
        }
        for outside in [
            "//evil.example",
            "/consoles",
            "https://a.example/console",
            "",
            "/console\r\nX: y",
            "/console/\\evil",
        ] {
            assert_eq!(own_path(outside), "/console", "{outside}");
        }
    }

    #[test]
    fn an_empty_field_does_not_hide_a_filled_one() {
        // The sign-in page without scripts has two fields for the ticket.
        let fields = Fields::parse(b"value=&value=+ab+&other=+");
        assert_eq!((fields.get("value"), fields.get("other")), (Some("ab"), None));
    }

    #[test]
    fn a_kept_form_loses_the_token_and_nothing_else() {
        let fields = Fields::parse(b"urls=http%3A%2F%2Fa%2F%0Ab&csrf=secret&title=%E2%82%AC+1");
        let again = Fields::parse(fields.encoded().as_bytes());
        assert_eq!(again.get("csrf"), None);
        assert_eq!(again.text("urls"), "http://a/\nb");
        assert_eq!(again.text("title"), "€ 1");
    }
}
