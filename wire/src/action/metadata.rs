//! `UploadMetadatas` (§9.1): an array of objects, or one object, each about one URL of the call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::reader::{self, is_word};
use super::source_headers::SourceHeaders;
use super::{Priority, json, url};
use crate::code::{Code, Fault};
use crate::spec::{Kind, METADATA_FIELDS};

/// The parameter.
const NAME: &str = "UploadMetadatas";

/// Most objects of one call; more than URLs, because an object without a URL is ignored.
const ENTRY_LIMIT: usize = 100;

/// All objects of a call.
pub(super) struct Metadatas {
    entries: Vec<Entry>,
}

/// One object. Its fields are judged only if its URL is in the call.
pub(super) struct Entry {
    /// Position, from 1, for messages.
    number: usize,
    /// Normalised; `None` if it is no URL and so matches none.
    source_url: Option<String>,
    /// Known fields by the name of the table. `null` is as good as absent.
    fields: Vec<(&'static str, Value)>,
}

impl Metadatas {
    pub(super) fn none() -> Self {
        Self { entries: Vec::new() }
    }

    /// # Errors
    /// `InvalidParameter.UploadMetadatas` for what is not such JSON.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let value = json::parse(text).map_err(|why| Fault::invalid_because(NAME, why))?;
        // One old page shows a single object.
        let objects = match value {
            Value::Array(items) => items,
            single => vec![single],
        };
        if objects.len() > ENTRY_LIMIT {
            let why = format!("It has more than {ENTRY_LIMIT} objects.");
            return Err(Fault::invalid_because(NAME, why));
        }
        let objects = objects.into_iter().enumerate();
        let entries = objects.map(|(at, object)| Entry::parse(at + 1, object));
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// The metadata of the `occurrence`-th (from 0) of the call's items that have this URL. Where
    /// a URL is uploaded several times, its objects are dealt out in order, the last one to the
    /// rest.
    pub(super) fn of(&self, source_url: &str, occurrence: usize) -> Option<&Entry> {
        let matching = |entry: &&Entry| entry.source_url.as_deref() == Some(source_url);
        let mut entries = self.entries.iter().filter(matching);
        let last = self.entries.iter().rfind(matching);
        entries.nth(occurrence).or(last)
    }
}

impl Entry {
    fn parse(number: usize, object: Value) -> Result<Self, Fault> {
        let Value::Object(object) = object else {
            return Err(invalid(number, "it is not an object"));
        };
        let fields = known_fields(number, object)?;
        let source_url = match fields.iter().find(|(name, _)| *name == "SourceURL") {
            Some((_, Value::String(text))) if !text.is_empty() => url::normalise_url(text),
            _ => return Err(invalid(number, "it has no SourceURL")),
        };
        Ok(Self { number, source_url, fields })
    }

    /// Text that is shown to people, within its limit and without emoji and controls. A
    /// description may have several lines.
    pub(super) fn prose(&self, name: &str) -> Result<Option<&str>, Fault> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let Kind::Text { max } = kind(name) else { mistaken(name) };
        if text.len() > max {
            return Err(too_long(name, max));
        }
        let may_break = name == "Description";
        if text.chars().any(|c| is_illegal(c) && !(may_break && matches!(c, '\n' | '\r' | '\t'))) {
            return Err(illegal(name));
        }
        Ok(Some(text))
    }

    /// An id of another thing.
    pub(super) fn id(&self, name: &str) -> Result<Option<&str>, Fault> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match kind(name) {
            Kind::Text { max } if text.len() > max => Err(too_long(name, max)),
            Kind::Text { .. } if text.chars().any(char::is_control) => Err(illegal(name)),
            Kind::Word { min, max } if !is_word(text, min, max) => {
                let why = format_args!("It takes {}.", kind(name).limits());
                Err(Fault::invalid_because(name, why))
            }
            _ => Ok(Some(text)),
        }
    }

    pub(super) fn tags(&self) -> Result<Option<&str>, Fault> {
        let Some(text) = self.text("Tags")? else { return Ok(None) };
        let Kind::List { items, max } = kind("Tags") else { mistaken("Tags") };
        for (at, tag) in text.split(',').enumerate() {
            if at == items {
                return Err(Fault::new(Code::TagsExceededMax));
            }
            if tag.trim_ascii().len() > max {
                return Err(too_long("Tags", max));
            }
        }
        if text.chars().any(is_illegal) { Err(illegal("Tags")) } else { Ok(Some(text)) }
    }

    /// Normalised as every URL.
    pub(super) fn cover_url(&self) -> Result<Option<String>, Fault> {
        let Some(text) = self.text("CoverURL")? else { return Ok(None) };
        let Kind::Url { max } = kind("CoverURL") else { mistaken("CoverURL") };
        let normal = url::normalise(text)
            .map_err(|problem| invalid(self.number, format_args!("CoverURL: {problem}")))?;
        if normal.len() > max { Err(too_long("CoverURL", max)) } else { Ok(Some(normal)) }
    }

    /// A number, or a string with its digits.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Kind::Integer { min, max } = kind(name) else { mistaken(name) };
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => reader::decimal(text),
            Some(value) => value.as_i64(),
        };
        let number = number.filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| {
            invalid(self.number, format_args!("{name} takes {}", kind(name).limits()))
        })
    }

    /// With or without a dot before it.
    pub(super) fn file_extension(&self) -> Result<Option<&'static str>, Fault> {
        let Some(text) = self.text("FileExtension")? else { return Ok(None) };
        let Kind::OneOf(extensions) = kind("FileExtension") else { mistaken("FileExtension") };
        let extension = reader::choice(extensions, text.strip_prefix('.').unwrap_or(text));
        extension.map(Some).ok_or_else(|| Fault::new(Code::InvalidFileNameExtension))
    }

    pub(super) fn priority(&self) -> Result<Priority, Fault> {
        let Some(text) = self.text("Priority")? else { return Ok(Priority::default()) };
        let Kind::OneOf(levels) = kind("Priority") else { mistaken("Priority") };
        match reader::choice(levels, text) {
            Some("low") => Ok(Priority::Low),
            Some("normal") => Ok(Priority::Normal),
            Some("high") => Ok(Priority::High),
            _ => Err(invalid(self.number, "Priority takes low, normal or high")),
        }
    }

    /// A digest of N bytes in hexadecimal (any letter case) or Base64; the two never have one
    /// length.
    pub(super) fn digest<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>, Fault> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let decoded =
            if text.len() == 2 * N { hex::decode(text).ok() } else { STANDARD.decode(text).ok() };
        let digest = decoded.and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
        digest.map(Some).ok_or_else(|| {
            let why = format_args!("{name} takes {N} bytes in hexadecimal or Base64");
            invalid(self.number, why)
        })
    }

    /// A string of decimal digits. A number too, as long as no client can have lost its last
    /// digits on the way (§7.2).
    pub(super) fn crc64(&self) -> Result<Option<u64>, Fault> {
        const EXACT: u64 = (1 << 53) - 1;
        let crc = match self.value("Crc64") {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok()
            }
            Some(value) => value.as_u64().filter(|number| *number <= EXACT),
        };
        crc.map(Some).ok_or_else(|| {
            invalid(self.number, "Crc64 takes a 64-bit number as a string of decimal digits")
        })
    }

    pub(super) fn headers(&self) -> Result<Option<SourceHeaders>, Fault> {
        let (headers, basic_auth) = (self.value("Headers"), self.value("BasicAuth"));
        SourceHeaders::read(headers, basic_auth).map_err(|why| invalid(self.number, why))
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// A string that is not empty.
    fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(invalid(self.number, format_args!("{name} is not a string"))),
        }
    }
}

/// Keys in any letter case, because the cloud's own samples differ (§0.1.11); a field given in
/// two spellings is given twice. Unknown keys are left out.
fn known_fields(
    number: usize,
    object: Map<String, Value>,
) -> Result<Vec<(&'static str, Value)>, Fault> {
    let mut fields: Vec<(&'static str, Value)> = Vec::new();
    for (key, value) in object {
        let known = METADATA_FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(&key));
        let Some(known) = known.filter(|_| !value.is_null()) else { continue };
        if fields.iter().any(|(name, _)| *name == known.name) {
            return Err(invalid(number, format_args!("it has {} twice", known.name)));
        }
        fields.push((known.name, value));
    }
    Ok(fields)
}

fn kind(name: &str) -> Kind {
    let row = METADATA_FIELDS.iter().find(|field| field.name == name);
    row.expect("only fields of the table are read").kind
}

/// Emoji and characters that are none: what the cloud calls illegal in titles, descriptions and
/// tags. Its list is not published; ours are the blocks of emoji and pictographs, the marks that
/// compose them, controls and non-characters.
pub(super) fn is_illegal(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200d}' | '\u{20e3}' | '\u{fe0f}' | '\u{fffe}' | '\u{ffff}'
                | '\u{2600}'..='\u{27bf}'
                | '\u{2b50}' | '\u{2b55}'
                | '\u{1f000}'..='\u{1faff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn illegal(name: &str) -> Fault {
    let message = format!("The specified {name} contains illegal emoticon or special characters.");
    Fault::with_message(Code::IllegalCharacters, message)
}

pub(super) fn too_long(name: &str, max: usize) -> Fault {
    let message = format!("The specified {name} length has exceeded {max} bytes.");
    Fault::with_message(Code::LengthExceededMax, message)
}

fn invalid(number: usize, why: impl std::fmt::Display) -> Fault {
    Fault::invalid_because(NAME, format_args!("Object {number}: {why}."))
}

fn mistaken(name: &str) -> ! {
    unreachable!("the metadata's {name} is read as another kind than the table says")
}
