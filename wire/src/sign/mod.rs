//! Both signatures, for the server that verifies and for the clients that sign (§3, §4).
//!
//! Nothing here looks at a raw query: what is signed are decoded names and values, encoded anew by
//! one rule, because every client encodes differently on the wire (§0.1.1).

pub mod client;
pub mod v1;
pub mod v3;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// HMAC-SHA1 of V1: the key is the secret and an ampersand (§3, step 5).
fn hmac_sha1(secret: &str, text: &str) -> [u8; 20] {
    let mut key = String::with_capacity(secret.len() + 1);
    key.push_str(secret);
    key.push('&');
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes());
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA256 of V3: the key is the bare secret (§4, step 7).
fn hmac_sha256(secret: &str, text: &str) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}
