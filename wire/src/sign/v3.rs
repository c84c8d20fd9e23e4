//! The header signature ACS3-HMAC-SHA256 (§4).

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::percent;

/// What `Authorization` begins with.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// Lower-case hexadecimal SHA-256 of a request's body: `x-acs-content-sha256`.
pub fn payload_hash(body: &[u8]) -> String {
    /// Most requests have no body, and its hash is known.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    if body.is_empty() { EMPTY.to_owned() } else { hex::encode(Sha256::digest(body)) }
}

/// The canonical request (§4, step 5). `query` in any order, decoded; `headers` with lower-case
/// names as they arrived; `signed_headers` is the client's list, separated by semicolons.
pub fn canonical_request<'a>(
    method: &str,
    query: impl Iterator<Item = (&'a str, &'a str)>,
    headers: &[(&str, &str)],
    signed_headers: &str,
    payload_hash: &str,
) -> String {
    let mut sorted: Vec<(&str, &str)> = query.collect();
    sorted.sort_unstable();
    canonical_request_of(method, sorted.into_iter(), headers, signed_headers, payload_hash)
}

/// As [`canonical_request`], of a query in order.
pub(crate) fn canonical_request_of<'a>(
    method: &str,
    sorted_query: impl Iterator<Item = (&'a str, &'a str)>,
    headers: &[(&str, &str)],
    signed_headers: &str,
    payload_hash: &str,
) -> String {
    let mut out = String::with_capacity(1024);
    out.push_str(method);
    out.push_str("\n/\n");
    let mut separator = "";
    for (name, value) in sorted_query {
        out.push_str(separator);
        percent::encode_into(&mut out, name);
        out.push('=');
        percent::encode_into(&mut out, value);
        separator = "&";
    }
    out.push('\n');
    for name in signed_headers.split(';') {
        out.push_str(name);
        out.push(':');
        out.push_str(&header_value(headers, name));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(signed_headers);
    out.push('\n');
    out.push_str(payload_hash);
    out
}

/// The value as signed: trimmed; of a header that was repeated, the values sorted and joined.
fn header_value<'a>(headers: &[(&str, &'a str)], name: &str) -> Cow<'a, str> {
    let mut values = headers.iter().filter(|(other, _)| *other == name).map(|(_, v)| v.trim());
    let Some(first) = values.next() else { return Cow::Borrowed("") };
    let mut all: Vec<&str> = values.collect();
    if all.is_empty() {
        return Cow::Borrowed(first);
    }
    all.push(first);
    all.sort_unstable();
    Cow::Owned(all.join(","))
}

/// The text that is signed (§4, step 6).
pub fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", hex::encode(Sha256::digest(canonical_request)))
}

/// The `Signature` part of `Authorization`, lower-case hexadecimal.
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    hex::encode(hmac_sha256(secret, string_to_sign))
}

/// Whether `given` is the signature. Compares bytes in constant time; only lower case counts, so
/// that a signature has one spelling.
pub(crate) fn matches(secret: &str, string_to_sign: &str, given: &str) -> bool {
    let expected = hmac_sha256(secret, string_to_sign);
    let mut decoded = [0u8; 32];
    let is_spelt_well = !given.bytes().any(|byte| byte.is_ascii_uppercase())
        && hex::decode_to_slice(given, &mut decoded).is_ok();
    is_spelt_well && bool::from(decoded.ct_eq(&expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_one_spelling() {
        let sts = string_to_sign("x");
        let good = signature("testsecret", &sts);
        assert!(matches("testsecret", &sts, &good));
        let upper = good.to_uppercase();
        let short = &good[..63];
        for twin in [upper.as_str(), short, "", &format!("{good}0"), &format!("{good}00")] {
            assert!(!matches("testsecret", &sts, twin), "{twin}");
        }
        assert!(!matches("othersecret", &sts, &good));
    }

    #[test]
    fn a_repeated_header_is_signed_as_its_sorted_values() {
        let headers = [("accept", " b "), ("host", "h"), ("accept", "a")];
        assert_eq!(header_value(&headers, "accept"), "a,b");
        assert_eq!(header_value(&headers, "host"), "h");
        assert_eq!(header_value(&headers, "date"), "");
    }

    #[test]
    fn the_hash_of_the_empty_body_is_the_hash_of_nothing() {
        assert_eq!(payload_hash(b""), hex::encode(Sha256::digest(b"")));
    }
}
