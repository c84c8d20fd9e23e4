//! Percent-encoding as the signatures and the form bodies use it.
//!
//! One encoder and one decoder for the whole product: a verifier that decodes differently from
//! the handler verifies another request than the one that runs (§3, step 2; §0.1.1).

use std::borrow::Cow;

/// Bytes that stay as they are (§3, step 2; RFC 3986 "unreserved").
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

const HEX: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

/// Appends the canonical encoding of `text`: every byte but the unreserved ones as `%XX`, upper
/// case.
pub fn encode_into(out: &mut String, text: &str) {
    encode_with(out, text, "%");
}

/// Appends the canonical encoding of the canonical encoding of `text`, in one pass: the string to
/// sign of V1 encodes the canonical query a second time, and only its `%` changes by that.
pub fn encode_twice_into(out: &mut String, text: &str) {
    encode_with(out, text, "%25");
}

fn encode_with(out: &mut String, text: &str, mark: &str) {
    let mut plain = 0;
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        if is_unreserved(byte) {
            continue;
        }
        // Unreserved runs may end inside a character only if this byte continues it, and then
        // the run is empty: `plain` is always on a character boundary or equal to `at`.
        if plain < at {
            out.push_str(&text[plain..at]);
        }
        out.push_str(mark);
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 0x0f)]);
        plain = at + 1;
    }
    if plain < text.len() {
        out.push_str(&text[plain..]);
    }
}

/// The canonical encoding of `text`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    encode_into(&mut out, text);
    out
}

/// Why a text could not be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// A `%` that is not followed by two hexadecimal digits.
    BadEscape,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
}

/// Decodes form text: `+` is a space, `%XX` a byte in either letter case, everything else itself.
/// Borrows when nothing had to be decoded.
///
/// # Errors
/// A broken escape, or bytes that are not UTF-8 (overlong forms and surrogates included).
pub fn decode(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    decode_bytes(&mut bytes, text.as_bytes(), b' ')?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| DecodeError::NotUtf8)
}

/// As [`decode`], for input whose own encoding is not known yet, appended to `out`: what is
/// appended is UTF-8.
///
/// # Errors
/// As [`decode`]; `out` is then of no use.
pub fn decode_into(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), DecodeError> {
    let start = out.len();
    decode_bytes(out, bytes, b' ')?;
    str::from_utf8(&out[start..]).map(drop).map_err(|_| DecodeError::NotUtf8)
}

/// As [`decode`], of a part of a URL's path: a `+` is a plus sign there.
///
/// # Errors
/// As [`decode`].
pub fn decode_path(text: &str) -> Result<String, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    decode_bytes(&mut bytes, text.as_bytes(), b'+')?;
    String::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)
}

fn decode_bytes(out: &mut Vec<u8>, bytes: &[u8], plus: u8) -> Result<(), DecodeError> {
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'+' => plus,
            b'%' => {
                let high = rest.next().and_then(|digit| hex_value(*digit));
                let low = rest.next().and_then(|digit| hex_value(*digit));
                match (high, low) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => return Err(DecodeError::BadEscape),
                }
            }
            _ => byte,
        });
    }
    Ok(())
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_but_the_unreserved_is_escaped_in_upper_case() {
        assert_eq!(encode("AZaz09-_.~"), "AZaz09-_.~");
        assert_eq!(encode(" +*/,!'()\u{e9}"), "%20%2B%2A%2F%2C%21%27%28%29%C3%A9");
        assert_eq!(encode("a\u{1f600}b"), "a%F0%9F%98%80b");
    }

    #[test]
    fn encoding_twice_is_encoding_the_encoding() {
        for text in ["", "plain", "a b*~%2B+\u{e9}", "100%", "\u{4e2d}\u{6587}/x"] {
            let mut once_more = String::new();
            encode_twice_into(&mut once_more, text);
            assert_eq!(once_more, encode(&encode(text)));
        }
    }

    #[test]
    fn form_text_is_decoded_strictly() {
        assert_eq!(decode("a+b%20c%2fd%2F;"), Ok(Cow::Borrowed("a b c/d/;")));
        assert_eq!(decode("%252C"), Ok(Cow::Borrowed("%2C")));
        for broken in ["%", "%2", "%zz", "%u4e2d", "a%+1", "%-1"] {
            assert_eq!(decode(broken), Err(DecodeError::BadEscape), "{broken}");
        }
        for not_utf8 in ["%C0%AF", "%ED%A0%80", "%FF", "%E4%B8"] {
            assert_eq!(decode(not_utf8), Err(DecodeError::NotUtf8), "{not_utf8}");
        }
    }
}
