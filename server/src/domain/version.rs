//! Which bytes a transfer is receiving: what must be the same at the origin before bytes of two
//! answers may stand in one file.

use serde::{Deserialize, Serialize};

/// A strong validator, as the origin spelt it. Weak ones do not become a value of this type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Validator {
    /// A strong entity tag with its quotes (RFC 9110 §8.8.3).
    Tag(String),
    /// A `Last-Modified` that is strong by RFC 9110 §8.8.2.2.
    Date(String),
}

impl Validator {
    /// The value of an `If-Range` field (RFC 9110 §13.1.5).
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(text) | Self::Date(text) => text,
        }
    }
}

/// One version of one object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version {
    pub validator: Validator,
    /// Bytes of the whole object, where the origin said so.
    pub total: Option<u64>,
    /// SHA-256 in hex of the URL that answered, after redirects and without its query: a validator
    /// says nothing about another resource, and signed links change their query each time.
    pub place: String,
}
