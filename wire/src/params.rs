//! The parameters of a request, decoded once (§0.1.1, §2).
//!
//! The verifier and the handler read the same list. A name may occur once in the whole request:
//! where gateways and handlers disagree about which of two values counts, a signature over one
//! lets the other through.

use crate::code::{Code, Fault};
use crate::percent::{self, DecodeError};

/// Largest request body, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;
/// Longest query, in bytes as sent; long lists belong into a form body.
pub const QUERY_LIMIT: usize = 64 * 1024;
/// Most parameters of one request, query and body together.
pub const PARAM_COUNT_LIMIT: usize = 512;
/// Longest parameter name, in decoded bytes.
pub const NAME_LIMIT: usize = 128;
/// Longest parameter value, in decoded bytes: 20 percent-encoded URLs of 8 KiB fit.
pub const VALUE_LIMIT: usize = 512 * 1024;

/// Parameters of one request, decoded, in the order sent, query before body.
#[derive(Clone, Default)]
pub struct Params {
    /// All names and values, one behind the other: two allocations for any number of parameters.
    text: String,
    spans: Vec<Span>,
    /// The first so many spans came with the query.
    in_query: usize,
    /// Positions in `spans` by name in byte order: what both signatures need, and `get`.
    sorted: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Span {
    name: usize,
    value: usize,
    end: usize,
}

impl Params {
    /// Reads the query and, if `content_type` says it is a form, the body. `content_type` is the
    /// header as sent; any other body has no parameters.
    ///
    /// `&` separates, `;` is data, `a` and `a=` both have the empty value, empty segments count
    /// for nothing.
    ///
    /// # Errors
    /// `InvalidParameter` for a broken escape, text that is not UTF-8, a name that occurs twice
    /// in any place, or more than the limits of this module; `RequestTooLarge` for a query or
    /// body over its limit. Nothing is decoded beyond the first fault.
    pub fn parse(query: &str, content_type: Option<&str>, body: &[u8]) -> Result<Self, Fault> {
        if query.len() > QUERY_LIMIT {
            let message = format!("The query is longer than {QUERY_LIMIT} bytes; send a form.");
            return Err(Fault::with_message(Code::RequestTooLarge, message));
        }
        if body.len() > BODY_LIMIT {
            let message = format!("The request body is longer than {BODY_LIMIT} bytes.");
            return Err(Fault::with_message(Code::RequestTooLarge, message));
        }
        let form = if is_form(content_type)? { body } else { &[] };
        let mut decoder = Decoder::with_room_for(query.len() + form.len());
        decoder.read(query.as_bytes())?;
        let in_query = decoder.spans.len();
        decoder.read(form)?;
        let mut params = decoder.finish(in_query);
        params.sort();
        match params.duplicate() {
            Some(name) => Err(unusable(name, "it is given more than once")),
            None => Ok(params),
        }
    }

    /// Parameters as a client has them, all in the query. Of a name given twice, `get` finds one.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut params = Self::default();
        for (name, value) in pairs {
            let start = params.text.len();
            params.text.push_str(&name.into());
            let middle = params.text.len();
            params.text.push_str(&value.into());
            params.spans.push(Span { name: start, value: middle, end: params.text.len() });
        }
        params.in_query = params.spans.len();
        params.sort();
        params
    }

    /// The value of `name`, letter case as sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.sorted
            .binary_search_by(|&at| self.name(at).cmp(name))
            .ok()
            .map(|found| self.pair(self.sorted[found]).1)
    }

    /// Name and value of every parameter, in the order sent, query before body.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.spans.len()).map(|at| self.pair(at))
    }

    /// As [`Params::iter`], but of the query only: what V3 signs by name (§4, step 2).
    pub fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.in_query).map(|at| self.pair(at))
    }

    /// All parameters, by name in byte order: what V1 signs (§3, step 3).
    pub fn sorted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sorted.iter().map(|&at| self.pair(at))
    }

    /// The query's parameters, by name in byte order.
    pub fn sorted_query(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sorted.iter().filter(|at| **at < self.in_query).map(|&at| self.pair(at))
    }

    /// Bytes of all names and values.
    pub(crate) fn text_len(&self) -> usize {
        self.text.len()
    }

    fn name(&self, at: usize) -> &str {
        let span = self.spans[at];
        &self.text[span.name..span.value]
    }

    fn pair(&self, at: usize) -> (&str, &str) {
        let span = self.spans[at];
        (&self.text[span.name..span.value], &self.text[span.value..span.end])
    }

    fn sort(&mut self) {
        let mut sorted: Vec<usize> = (0..self.spans.len()).collect();
        sorted.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)));
        self.sorted = sorted;
    }

    fn duplicate(&self) -> Option<&str> {
        let twice = self.sorted.windows(2).find(|two| self.name(two[0]) == self.name(two[1]))?;
        Some(self.name(twice[0]))
    }
}

/// Decodes segments into one buffer, which becomes the text of [`Params`].
struct Decoder {
    /// UTF-8 after every name and every value.
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Decoder {
    /// Decoded text is never longer than it was.
    fn with_room_for(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(16) }
    }

    fn read(&mut self, text: &[u8]) -> Result<(), Fault> {
        for segment in text.split(|byte| *byte == b'&').filter(|segment| !segment.is_empty()) {
            if self.spans.len() == PARAM_COUNT_LIMIT {
                let message = format!("The request has more than {PARAM_COUNT_LIMIT} parameters.");
                return Err(Fault::with_message(Code::InvalidParameter, message));
            }
            let (raw_name, raw_value) = match segment.iter().position(|byte| *byte == b'=') {
                Some(at) => (&segment[..at], &segment[at + 1..]),
                None => (segment, &[][..]),
            };
            let refuse = |why: &str| unusable(&String::from_utf8_lossy(raw_name), why);
            let name = self.append(raw_name).map_err(|error| refuse(reason(error)))?;
            let value = self.append(raw_value).map_err(|error| refuse(reason(error)))?;
            let span = Span { name, value, end: self.bytes.len() };
            if span.value - span.name > NAME_LIMIT {
                return Err(refuse(&format!("its name is longer than {NAME_LIMIT} bytes")));
            }
            if span.end - span.value > VALUE_LIMIT {
                return Err(refuse(&format!("its value is longer than {VALUE_LIMIT} bytes")));
            }
            self.spans.push(span);
        }
        Ok(())
    }

    /// Where the decoded text begins.
    fn append(&mut self, raw: &[u8]) -> Result<usize, DecodeError> {
        let start = self.bytes.len();
        percent::decode_into(&mut self.bytes, raw)?;
        Ok(start)
    }

    fn finish(self, in_query: usize) -> Params {
        let text = String::from_utf8(self.bytes).expect("every name and value is UTF-8");
        Params { text, spans: self.spans, in_query, sorted: Vec::new() }
    }
}

/// Values may be secrets (links, tokens, signatures): only the names are printed.
impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether the body holds parameters. A form in another charset than UTF-8 would be read wrongly,
/// so it is refused.
fn is_form(content_type: Option<&str>) -> Result<bool, Fault> {
    let Some(content_type) = content_type else { return Ok(false) };
    let mut parts = content_type.split(';').map(str::trim);
    let is_form = parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let foreign = parts.any(|part| match part.split_once('=') {
        Some((name, charset)) => {
            name.trim().eq_ignore_ascii_case("charset")
                && !charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        None => false,
    });
    if is_form && foreign {
        let message = "The request body is not UTF-8: its Content-Type names another charset.";
        return Err(Fault::with_message(Code::InvalidParameter, message));
    }
    Ok(is_form)
}

fn reason(error: DecodeError) -> &'static str {
    match error {
        DecodeError::BadEscape => "it has a percent sign without two hexadecimal digits",
        DecodeError::NotUtf8 => "it is not UTF-8",
    }
}

fn unusable(name: &str, why: &str) -> Fault {
    let message = format!("The specified parameter \"{}\" is not valid: {why}.", shown(name));
    Fault::with_message(Code::InvalidParameter, message)
}

/// Longest part of a caller's own text in a message, in characters.
const SHOWN_LIMIT: usize = 64;

/// A caller's text for a message: cut, and escaped so that a log line stays one line.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_LIMIT).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_LIMIT).is_some() {
        shown.push('…');
    }
    shown
}
