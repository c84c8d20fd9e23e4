//! Heads: the request as bytes, and what an answer's head says of its body (RFC 9112).

use std::str;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Request, StatusCode};

use super::framing::{Chunks, Framing};

/// Largest head of an answer, in bytes, and most header fields.
pub(super) const HEAD_LIMIT: usize = 32 * 1024;
pub(super) const HEADER_FIELDS: usize = 100;

/// Why some bytes are not the head of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::fetch) enum HeadFault {
    Broken,
    TooLarge,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// How the body ends; an answer that has none ends at once.
    pub(super) framing: Framing,
    /// Whether another request may follow on the connection, once the body has ended.
    pub(super) reusable: bool,
}

impl Head {
    /// Whether the answer is still to come (RFC 9110 §15.2). Nobody asked for another protocol, so
    /// 101 is an answer.
    pub(super) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Reads a head from the front of `bytes`: the head and its length, `None` when there is more to
/// come.
///
/// # Errors
/// [`HeadFault`]: more bytes do not help.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadFault> {
    let mut fields = [httparse::EMPTY_HEADER; HEADER_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let within = &bytes[..bytes.len().min(HEAD_LIMIT)];
    let length = match httparse::ParserConfig::default().parse_response(&mut answer, within) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if within.len() == HEAD_LIMIT => {
            return Err(HeadFault::TooLarge);
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::TooLarge),
        Err(_) => return Err(HeadFault::Broken),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(HeadFault::Broken)?;
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for field in &*answer.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok();
        let pair = name.zip(HeaderValue::from_bytes(field.value).ok());
        let (name, value) = pair.ok_or(HeadFault::Broken)?;
        headers.append(name, value);
    }
    let is_1_1 = answer.version == Some(1);
    let (framing, clear) = framing(status, is_1_1, &headers)?;
    let reusable = clear && keeps(is_1_1, &headers);
    Ok(Some((Head { status, headers, framing, reusable }, length)))
}

/// Where the body ends (RFC 9112 §6.3), and whether the other side leaves no doubt of it.
fn framing(
    status: StatusCode,
    is_1_1: bool,
    headers: &HeaderMap,
) -> Result<(Framing, bool), HeadFault> {
    let length = length(headers);
    if status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || status.is_informational()
    {
        return Ok((Framing::Length(0), status != StatusCode::SWITCHING_PROTOCOLS));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // HTTP/1.0 has no codings; whoever sends one has a framing that is faulty (§6.1).
        if !is_1_1 {
            return Err(HeadFault::Broken);
        }
        // Two framings at once: believe the one that §6.3 says, and trust no more after it.
        let clear = !headers.contains_key(CONTENT_LENGTH);
        return match chunked(headers) {
            Some(true) => Ok((Framing::Chunked(Chunks::new()), clear)),
            Some(false) => Ok((Framing::Close, false)),
            None => Err(HeadFault::Broken),
        };
    }
    match length {
        Some(Some(length)) => Ok((Framing::Length(length), true)),
        Some(None) => Err(HeadFault::Broken),
        None => Ok((Framing::Close, false)),
    }
}

/// Whether the last of the transfer codings is `chunked`; `None` when they make no sense: none is
/// named, or `chunked` more than once or below another (§6.1).
fn chunked(headers: &HeaderMap) -> Option<bool> {
    let mut codings = Vec::new();
    for value in headers.get_all(TRANSFER_ENCODING) {
        let value = value.to_str().ok()?;
        codings.extend(value.split(',').map(str::trim).filter(|coding| !coding.is_empty()));
    }
    let (last, before) = codings.split_last()?;
    let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
    (!before.iter().any(is_chunked)).then(|| is_chunked(last))
}

/// The announced length: `None` without one, `Some(None)` when there are several or what is there
/// is no number. The same number many times is one (RFC 9110 §8.6).
fn length(headers: &HeaderMap) -> Option<Option<u64>> {
    let mut length: Option<Option<u64>> = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number = digits(number.trim_ascii());
            length = match length {
                None => Some(number),
                Some(before) if before == number => length,
                Some(_) => Some(None),
            };
        }
    }
    length
}

fn digits(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    plain.then(|| str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Whether the connection stays open (RFC 9112 §9.3). One word for its end outweighs all others.
fn keeps(is_1_1: bool, headers: &HeaderMap) -> bool {
    let says = |word: &str| {
        headers.get_all(CONNECTION).iter().any(|value| {
            let value = value.to_str().unwrap_or_default();
            value.split(',').any(|token| token.trim().eq_ignore_ascii_case(word))
        })
    };
    !says("close") && (is_1_1 || says("keep-alive"))
}

/// The head of a request, as it is sent. Its names and values have been checked by their types: no
/// byte in them can end a line.
pub(super) fn encode<B>(request: &Request<B>) -> Bytes {
    let uri = request.uri();
    let place = uri.path_and_query().map_or("/", |place| place.as_str());
    let mut head = Vec::with_capacity(512);
    for part in [request.method().as_str(), " ", place, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut field = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    for (name, value) in request.headers() {
        field(name.as_str(), value.as_bytes());
    }
    field("host", host.as_bytes());
    head.extend_from_slice(b"\r\n");
    head.into()
}
