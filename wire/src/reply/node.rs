//! One description of a reply, written as JSON or as XML (§7.2).

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value of a reply.
#[derive(Clone, PartialEq, Debug)]
pub enum Node<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    /// A JSON number; `null`, and nothing in XML, if it is not finite.
    Float(f64),
    Bool(bool),
    Object(Vec<(&'static str, Node<'a>)>),
    /// `"X":[…]`; in XML the element X repeated, so that an empty list is nothing.
    Flat(Vec<Node<'a>>),
    /// `"Xs":{"X":[…]}`; in XML `<Xs><X/>…</Xs>`, also if empty. The name is the item's.
    Wrapped(&'static str, Vec<Node<'a>>),
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Node<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl Node<'_> {
    /// JSON without blanks.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a node has string keys and writes to memory")
    }

    /// An XML document with this root element.
    pub fn to_xml(&self, root: &str) -> Vec<u8> {
        let mut out = String::with_capacity(512);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        self.element_into(&mut out, root);
        out.into_bytes()
    }

    fn element_into(&self, out: &mut String, name: &str) {
        match self {
            Self::Flat(items) => items.iter().for_each(|item| item.element_into(out, name)),
            Self::Text(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Bool(_)
            | Self::Object(_)
            | Self::Wrapped(..) => {
                out.extend(["<", name, ">"]);
                self.content_into(out);
                out.extend(["</", name, ">"]);
            }
        }
    }

    fn content_into(&self, out: &mut String) {
        match self {
            Self::Text(text) => escape_into(out, text),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) if value.is_finite() => out.push_str(&value.to_string()),
            Self::Float(_) => {}
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Object(fields) => {
                fields.iter().for_each(|(name, node)| node.element_into(out, name));
            }
            // A list inside a list has no name of its own in XML; no reply has one.
            Self::Flat(items) => items.iter().for_each(|item| item.content_into(out)),
            Self::Wrapped(name, items) => {
                items.iter().for_each(|item| item.element_into(out, name));
            }
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, node)| (name, node)))
            }
            Self::Flat(items) => serializer.collect_seq(items),
            Self::Wrapped(name, items) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(name, items)?;
                map.end()
            }
        }
    }
}

/// Text content: markup and the carriage return (which a parser would turn into a line feed)
/// escaped, characters that XML 1.0 cannot say (section 2.2: most controls, U+FFFE, U+FFFF)
/// replaced by U+FFFD. XML libraries leave them in and so write documents that nothing can read.
fn escape_into(out: &mut String, text: &str) {
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escaped = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\r' => "&#13;",
            '\t' | '\n' => continue,
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(escaped);
        plain = at + character.len_utf8();
    }
    out.push_str(&text[plain..]);
}
