//! Reads parameters by the table: a limit of [`crate::spec`] is enforced here, once for all
//! operations. An empty value is as good as none (§9.1 says so of SessionId; clients send empty
//! strings for what they do not set).

use super::url;
use crate::code::Fault;
use crate::params::Params;
use crate::spec::{Kind, Operation};
use crate::time::parse_utc;

pub(super) struct Reader<'a> {
    operation: &'a Operation,
    params: &'a Params,
}

impl<'a> Reader<'a> {
    pub(super) fn new(operation: &'a Operation, params: &'a Params) -> Self {
        Self { operation, params }
    }

    pub(super) fn params(&self) -> &'a Params {
        self.params
    }

    /// The value that is not empty, and what the table says of it.
    fn read(&self, name: &str) -> Result<Option<(&'a str, Kind)>, Fault> {
        let row = self.operation.parameter(name);
        let row = row.expect("an operation reads only the parameters of its row in the table");
        match self.params.get(name).filter(|value| !value.is_empty()) {
            Some(value) => Ok(Some((value, row.kind))),
            None if row.required => Err(Fault::missing(name)),
            None => Ok(None),
        }
    }

    /// A text, a word, or JSON as text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(None) };
        let is_usable = match kind {
            Kind::Text { max } => value.len() <= max && !value.chars().any(char::is_control),
            Kind::Word { min, max } => is_word(value, min, max),
            Kind::Json { max } => value.len() <= max,
            Kind::Integer { .. }
            | Kind::Boolean
            | Kind::OneOf(_)
            | Kind::SomeOf(_)
            | Kind::List { .. }
            | Kind::Time
            | Kind::Url { .. }
            | Kind::Urls { .. } => mistaken(name),
        };
        if is_usable { Ok(Some(value)) } else { Err(out_of_limits(name, kind)) }
    }

    /// A text that the table says must be there.
    pub(super) fn required_text(&self, name: &str) -> Result<&'a str, Fault> {
        self.text(name)?.ok_or_else(|| Fault::missing(name))
    }

    /// A URL that the table says must be there, normalised (§9.1). An unusable one is told of as
    /// the parameter `as_in`.
    pub(super) fn required_url(&self, name: &str, as_in: &str) -> Result<String, Fault> {
        let (value, kind) = self.read(name)?.ok_or_else(|| Fault::missing(name))?;
        let Kind::Url { max } = kind else { mistaken(name) };
        let url = url::normalise(value)
            .map_err(|problem| Fault::invalid_because(as_in, format_args!("{name}: {problem}.")))?;
        if url.len() > max { Err(out_of_limits(as_in, kind)) } else { Ok(url) }
    }

    /// In Unix seconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(None) };
        let Kind::Time = kind else { mistaken(name) };
        parse_utc(value).map(Some).ok_or_else(|| out_of_limits(name, kind))
    }

    /// Absent is `false`. Clients send `True`, `true` and the like (§0.1.10).
    pub(super) fn boolean(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.choice(name)?.unwrap_or(false))
    }

    /// A boolean whose absence is something else than `false`.
    pub(super) fn choice(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.read(name)? {
            None => Ok(None),
            Some((value, _)) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some((value, _)) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some((_, kind)) => Err(out_of_limits(name, kind)),
        }
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(None) };
        let Kind::Integer { min, max } = kind else { mistaken(name) };
        let number = decimal(value).filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| out_of_limits(name, kind))
    }

    /// In the spelling of the table.
    pub(super) fn one_of(&self, name: &str) -> Result<Option<&'static str>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(None) };
        let Kind::OneOf(values) = kind else { mistaken(name) };
        choice(values, value).map(Some).ok_or_else(|| out_of_limits(name, kind))
    }

    /// In the spelling of the table, each once; empty if the parameter is absent.
    pub(super) fn some_of(&self, name: &str) -> Result<Vec<&'static str>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(Vec::new()) };
        let Kind::SomeOf(values) = kind else { mistaken(name) };
        let mut chosen = Vec::new();
        for item in value.split(',') {
            let found = choice(values, item.trim_ascii());
            let found = found.ok_or_else(|| out_of_limits(name, kind))?;
            if !chosen.contains(&found) {
                chosen.push(found);
            }
        }
        Ok(chosen)
    }

    /// The items of a list, as sent but trimmed, duplicates included; `None` if it is absent.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<&'a str>>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(None) };
        let Kind::List { items, max } = kind else { mistaken(name) };
        let mut list = Vec::new();
        for (at, item) in value.split(',').map(str::trim_ascii).enumerate() {
            if at == items {
                return Err(too_many(name, items));
            }
            if item.is_empty() || item.len() > max {
                let why = format!("Item {} is empty or longer than {max} bytes.", at + 1);
                return Err(Fault::invalid_because(name, why));
            }
            list.push(item);
        }
        Ok(Some(list))
    }

    /// The items of a list of URLs, normalised (§9.1), duplicates included; `None` if it is
    /// absent.
    pub(super) fn urls(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let Some((value, kind)) = self.read(name)? else { return Ok(None) };
        let Kind::Urls { items } = kind else { mistaken(name) };
        let mut list = Vec::new();
        for (at, item) in value.split(',').enumerate() {
            if at == items {
                return Err(too_many(name, items));
            }
            let url = url::normalise(item).map_err(|problem| {
                Fault::invalid_because(name, format_args!("Item {}: {problem}.", at + 1))
            })?;
            list.push(url);
        }
        Ok(Some(list))
    }
}

/// `min` to `max` of letters, digits, `_` and `-`.
pub(super) fn is_word(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Digits, with a minus sign perhaps; no plus sign, no blanks.
pub(super) fn decimal(text: &str) -> Option<i64> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    starts_well.then(|| text.parse().ok()).flatten()
}

/// The value that is the same but for letter case.
pub(super) fn choice(values: &'static [&'static str], text: &str) -> Option<&'static str> {
    values.iter().copied().find(|value| value.eq_ignore_ascii_case(text))
}

fn too_many(name: &str, items: usize) -> Fault {
    Fault::invalid_because(name, format_args!("It has more than {items} items."))
}

fn out_of_limits(name: &str, kind: Kind) -> Fault {
    Fault::invalid_because(name, format_args!("It takes {}.", kind.limits()))
}

fn mistaken(name: &str) -> ! {
    unreachable!("the parser reads {name} as another kind than the table says")
}
