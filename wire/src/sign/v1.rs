//! The RPC signature, HMAC-SHA1, signature version 1.0 (§3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::hmac_sha1;
use crate::params::Params;
use crate::percent;

/// The one parameter that is not signed.
const UNSIGNED: &str = "Signature";

/// The text that is signed, of decoded parameters in any order; `Signature` is left out. `method`
/// is the HTTP method actually used, upper case.
pub fn string_to_sign<'a>(
    method: &str,
    params: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut sorted: Vec<(&str, &str)> = params.collect();
    sorted.sort_unstable();
    join(method, sorted.iter().copied(), 0)
}

/// As [`string_to_sign`], of parameters that know their order.
pub(crate) fn string_to_sign_of(method: &str, params: &Params) -> String {
    join(method, params.sorted(), params.text_len())
}

/// The canonical query, encoded a second time on the way: its `=` and `&` become `%3D` and `%26`.
fn join<'a>(
    method: &str,
    sorted: impl Iterator<Item = (&'a str, &'a str)>,
    text_len: usize,
) -> String {
    let mut out = String::with_capacity(text_len + text_len / 2 + 256);
    out.push_str(method);
    out.push_str("&%2F&");
    let mut separator = "";
    for (name, value) in sorted.filter(|(name, _)| *name != UNSIGNED) {
        out.push_str(separator);
        percent::encode_twice_into(&mut out, name);
        out.push_str("%3D");
        percent::encode_twice_into(&mut out, value);
        separator = "%26";
    }
    out
}

/// The value of the parameter `Signature`.
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    STANDARD.encode(hmac_sha1(secret, string_to_sign))
}

/// Whether `given` is the signature. Compares bytes in constant time; only strict standard Base64
/// with padding and zero pad bits counts, so that a signature has one spelling.
pub(crate) fn matches(secret: &str, string_to_sign: &str, given: &str) -> bool {
    let expected = hmac_sha1(secret, string_to_sign);
    // Twenty bytes are 28 characters; the decoder wants room for the 21 that 28 could hold.
    let mut decoded = [0u8; 21];
    match (given.len(), STANDARD.decode_slice(given, &mut decoded)) {
        (28, Ok(20)) => bool::from(decoded[..20].ct_eq(&expected)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STS: &str = "GET&%2F&a%3Db";

    #[test]
    fn a_signature_has_one_spelling() {
        let good = signature("testsecret", STS);
        assert!(matches("testsecret", STS, &good));
        assert!(!matches("othersecret", STS, &good));
        assert!(!matches("testsecret", "GET&%2F&a%3Dc", &good));

        let body = good.trim_end_matches('=');
        let last = body.as_bytes()[26];
        // The last character carries two bits that must be zero; its successor differs in them.
        let pad_bits = format!("{}{}=", &body[..26], char::from(last + 1));
        let url_safe = good.replace('+', "-").replace('/', "_");
        let long = "A".repeat(1_000_000);
        let twins =
            [body, "", "=", &pad_bits, &format!("{good}\n"), &format!(" {good}"), &long, "é"];
        for twin in twins {
            assert!(!matches("testsecret", STS, twin), "{:.40}", twin);
        }
        assert!(url_safe == good || !matches("testsecret", STS, &url_safe));
    }

    #[test]
    fn names_are_sorted_by_bytes_and_empty_values_stay() {
        let params = [("a", "1"), ("A_", "2"), ("A.", "3"), ("AB", ""), ("A", "4"), ("é", "5")];
        assert_eq!(
            string_to_sign("GET", params.into_iter()),
            "GET&%2F&A%3D4%26A.%3D3%26AB%3D%26A_%3D2%26a%3D1%26%25C3%25A9%3D5"
        );
    }
}
