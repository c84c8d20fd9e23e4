//! Headers that a caller confides to us for one source: credentials, in most cases.
//!
//! They are sealed before they reach the store, opened by the worker alone, and sent to the origin
//! of the submitted URL alone (`fetch`). They are checked at submission (`wire`).

use std::fmt;

/// Names and values, in the order they are sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SourceHeaders(Vec<(String, String)>);

impl SourceHeaders {
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The plain text that is sealed: a JSON array of pairs.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).expect("strings are JSON, and memory takes them")
    }

    /// Reads what [`SourceHeaders::to_text`] wrote; `None` for anything else.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }
}

impl fmt::Debug for SourceHeaders {
    /// Names can be telling too: only how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceHeaders({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written_and_never_shown() {
        let headers = SourceHeaders::new(vec![("X-A".to_owned(), "\"CANARY\\".to_owned())]);
        assert_eq!(SourceHeaders::from_text(&headers.to_text()), Some(headers.clone()));
        assert_eq!(SourceHeaders::from_text("CANARY"), None);
        assert_eq!(format!("{headers:?}"), "SourceHeaders(1)");
    }
}
