//! Signs requests as a client does: for the command line, the tests and the benchmarks.

use std::fmt;

use super::{v1, v3};
use crate::envelope::Format;
use crate::percent;
use crate::spec::API_VERSION;
use crate::time::format_utc;

/// Type of a body with parameters.
const FORM: &str = "application/x-www-form-urlencoded";

/// Whose requests.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub access_key_secret: &'a str,
    /// Of a temporary credential.
    pub security_token: Option<&'a str>,
}

impl fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.access_key_id)
    }
}

/// When a request is made, and which of the requests of that moment it is.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub unix_seconds: i64,
    /// Unique for every request of the key.
    pub nonce: &'a str,
}

/// A signed request, ready to send as it is.
#[derive(Clone)]
pub struct Signed {
    pub method: &'static str,
    pub path_and_query: String,
    /// Names in lower case, `host` included where it is signed.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({}, {} bytes of body)", self.method, self.body.len())
    }
}

impl Signer<'_> {
    /// A POST with a V3 signature and the parameters in a form body. `host` is the `Host` header
    /// as it will be sent, port included.
    pub fn v3(
        &self,
        host: &str,
        action: &str,
        params: &[(String, String)],
        at: Moment<'_>,
    ) -> Signed {
        let body = form(params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let date = format_utc(at.unix_seconds);
        let hash = v3::payload_hash(body.as_bytes());
        let mut headers = vec![("host", host)];
        if !body.is_empty() {
            headers.push(("content-type", FORM));
        }
        headers.extend([
            ("x-acs-action", action),
            ("x-acs-version", API_VERSION),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", at.nonce),
            ("x-acs-content-sha256", &hash),
        ]);
        if let Some(token) = self.security_token {
            headers.push(("x-acs-accesskey-id", self.access_key_id));
            headers.push(("x-acs-security-token", token));
        }
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = v3::canonical_request("POST", std::iter::empty(), &headers, &names, &hash);
        let signature = v3::signature(self.access_key_secret, &v3::string_to_sign(&canonical));
        let authorization = format!(
            "{} Credential={},SignedHeaders={names},Signature={signature}",
            v3::ALGORITHM,
            self.access_key_id
        );
        headers.push(("accept", "application/json"));
        headers.push(("authorization", &authorization));
        Signed {
            method: "POST",
            path_and_query: "/".to_owned(),
            headers: owned(&headers),
            body: body.into_bytes(),
        }
    }

    /// A request with a V1 signature: for `"POST"` everything in the form body, for `"GET"`
    /// everything in the query.
    pub fn v1(
        &self,
        method: &'static str,
        action: &str,
        params: &[(String, String)],
        format: Format,
        at: Moment<'_>,
    ) -> Signed {
        let timestamp = format_utc(at.unix_seconds);
        let mut all: Vec<(&str, &str)> =
            params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend([
            ("Action", action),
            ("Version", API_VERSION),
            ("Format", format.name()),
            ("AccessKeyId", self.access_key_id),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", at.nonce),
            ("Timestamp", &timestamp),
        ]);
        all.extend(self.security_token.map(|token| ("SecurityToken", token)));
        let sts = v1::string_to_sign(method, all.iter().copied());
        let signature = v1::signature(self.access_key_secret, &sts);
        all.push(("Signature", &signature));
        let text = form(all.iter().copied());
        if method == "POST" {
            Signed {
                method,
                path_and_query: "/".to_owned(),
                headers: owned(&[("content-type", FORM)]),
                body: text.into_bytes(),
            }
        } else {
            let path_and_query = format!("/?{text}");
            Signed { method, path_and_query, headers: Vec::new(), body: Vec::new() }
        }
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn form<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        percent::encode_into(&mut out, name);
        out.push('=');
        percent::encode_into(&mut out, value);
    }
    out
}
