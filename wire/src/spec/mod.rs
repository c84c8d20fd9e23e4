//! One table of the operations: what the parser enforces, the throttle counts, the explorer shows
//! and `openapi.json` and the documents say (§8 to §12, §15). A limit stands here or nowhere.

mod openapi;
mod operations;
mod ours;
mod rows;

pub use openapi::openapi;
pub use operations::{
    COMMON_PARAMETERS, METADATA_FIELDS, OPERATIONS, SOURCE_HEADER_LIMITS, USER_DATA_LIMITS,
};

use crate::code::Code;

/// The only version of the API.
pub const API_VERSION: &str = "2017-03-21";

/// `mpd` and everything a source may be: what `Formats` of GetPlayInfo may name.
pub const FORMATS: &[&str] = &[
    "mpd", "mp4", "ts", "3gp", "mpg", "mpeg", "mpe", "dat", "vob", "asf", "avi", "wmv", "flv",
    "f4v", "rm", "rmvb", "mov", "mkv", "m3u8", "dv", "gif", "m2t", "m4v", "mj2", "mjpeg", "mts",
    "ogg", "qt", "swf", "webm", "mp3", "wma", "wav", "aac", "ra", "m4a", "flac", "ape", "ac3",
    "amr", "caf", "acm",
];

/// Supported extensions of sources, lower case (§9.1).
pub const EXTENSIONS: &[&str] = match FORMATS.split_first() {
    Some((_mpd, extensions)) => extensions,
    None => &[],
};

/// Longest URL of a source or a cover, in bytes after decoding.
pub const URL_LIMIT: usize = 8 * 1024;

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name on the wire, letter case included.
    pub action: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What a caller must know besides, in sentences.
    pub doc: &'static str,
    /// RAM access level (§15).
    pub access: Access,
    /// Calls per second per account; `None` is no limit.
    pub qps: Option<u32>,
    /// Calls per day per account; `None` is no limit.
    pub daily: Option<u32>,
    pub parameters: &'static [Parameter],
    /// Besides `RequestId`, which every reply begins with.
    pub reply: &'static [Field],
    /// Codes of the operation itself; those of the gateway are not repeated.
    pub errors: &'static [Code],
    /// Not in the cloud's API.
    pub ours: bool,
}

impl Operation {
    /// The parameter of that name, letter case included.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// Limits of `UserData` (§13.4), in bytes.
#[derive(Clone, Copy, Debug)]
pub struct UserDataLimits {
    pub callback_url: usize,
    pub extend: usize,
}

/// Limits of `Headers` and `BasicAuth` of a metadata object, taken together.
#[derive(Clone, Copy, Debug)]
pub struct SourceHeaderLimits {
    /// Most headers.
    pub count: usize,
    /// Most bytes of all names and values.
    pub bytes: usize,
}

/// RAM access level (§15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Create,
    Get,
    List,
    Update,
    Delete,
}

impl Access {
    /// As policies and pages spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A parameter of a request. An empty value is as good as none.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub example: &'static str,
    pub doc: &'static str,
    /// Not in the cloud's API, which ignores it.
    pub ours: bool,
}

/// What a parameter holds, with its limits. Lengths are bytes of decoded UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any text.
    Text { max: usize },
    /// Letters, digits, `_` and `-`.
    Word { min: usize, max: usize },
    /// A decimal integer.
    Integer { min: i64, max: i64 },
    /// `true` or `false` in any letter case.
    Boolean,
    /// JSON as text.
    Json { max: usize },
    /// One of these, in any letter case.
    OneOf(&'static [&'static str]),
    /// A comma list of these, in any letter case.
    SomeOf(&'static [&'static str]),
    /// A comma list of texts. `items` counts as sent, before duplicates are dropped.
    List { items: usize, max: usize },
    /// A time, `YYYY-MM-DDThh:mm:ssZ`.
    Time,
    /// A URL.
    Url { max: usize },
    /// A comma list of URLs, each percent-encoded (§9.1). `items` counts as sent.
    Urls { items: usize },
}

impl Kind {
    /// The type's name in the cloud's documents.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Integer { .. } => "Long",
            Self::Boolean => "Boolean",
            Self::Text { .. }
            | Self::Word { .. }
            | Self::Json { .. }
            | Self::OneOf(_)
            | Self::SomeOf(_)
            | Self::List { .. }
            | Self::Time
            | Self::Url { .. }
            | Self::Urls { .. } => "String",
        }
    }

    /// The limits as a phrase for people; empty if there is nothing to say.
    pub fn limits(self) -> String {
        match self {
            Self::Text { max } => format!("at most {max} bytes"),
            Self::Word { min, max } => format!("{min} to {max} of A–Z a–z 0–9 _ -"),
            Self::Integer { min, max } => format!("{min} to {max}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Json { max } => format!("JSON, at most {max} bytes"),
            Self::OneOf(values) => format!("one of {}", values.join(", ")),
            Self::SomeOf(values) => format!("comma-separated, of {}", values.join(", ")),
            Self::List { items, .. } => format!("comma-separated, at most {items}"),
            Self::Time => "UTC, as 2026-01-02T03:04:05Z".to_owned(),
            Self::Url { max } => format!("http or https URL, at most {max} bytes"),
            Self::Urls { items } => {
                format!("comma-separated, each percent-encoded, at most {items}")
            }
        }
    }
}

/// A field of a reply.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    /// Left out when there is nothing to say.
    pub optional: bool,
    pub doc: &'static str,
    /// Not in the cloud's API; only present if a parameter of ours asked for it.
    pub ours: bool,
}

/// Type and list style of a reply's field (§7.2).
#[derive(Debug)]
pub enum FieldKind {
    String,
    /// A JSON number without a fraction.
    Long,
    /// A JSON number.
    Double,
    /// `true` or `false`.
    Boolean,
    Object(&'static [Field]),
    /// `"X":[…]`; in XML the element X repeated.
    FlatStrings,
    /// As above, of objects.
    Flat(&'static [Field]),
    /// `"Xs":{"X":[…]}`; in XML `<Xs><X/>…</Xs>`. The name is the item's.
    Wrapped(&'static str, &'static [Field]),
}

/// The operation of that name, letter case included.
pub fn operation(action: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.action == action)
}
