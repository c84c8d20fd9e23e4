//! `Headers` and `BasicAuth` of a metadata object, additions of this server: what a request for
//! the source carries besides what every request carries.
//!
//! Nothing here repeats a caller's text, not even a name: messages count headers and name only
//! words of this file. What the transfer itself decides (framing, ranges, conditions, codings) is
//! not the caller's to set.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::json;
use crate::spec::SOURCE_HEADER_LIMITS;

const HEADERS: &str = "Headers";
const BASIC_AUTH: &str = "BasicAuth";
const AUTHORIZATION: &str = "Authorization";

/// Names that are refused. The first rows are the transfer's own (RFC 9110, RFC 9112); the last
/// are what metadata services ask for exactly because a forged request cannot have it.
const REFUSED: [&str; 16] = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "HTTP2-Settings",
    "Expect",
    "Range",
    "Accept-Encoding",
    "Metadata",
    "Metadata-Flavor",
    "X-Metadata-Token",
    "X-Google-Metadata-Request",
];

/// Beginnings of names that are refused.
const REFUSED_FAMILIES: [&str; 3] = ["If-", "Proxy-", "X-aws-ec2-metadata-"];

/// Schemes that authenticate the connection and not the request (RFC 4559 §6): connections are
/// shared by all jobs for an origin.
const REFUSED_SCHEMES: [&str; 2] = ["NTLM", "Negotiate"];

/// Headers for the requests to one source: names are tokens, values printable ASCII, no name
/// twice in any letter case. They are secrets: `Debug` shows how many there are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SourceHeaders(Vec<(String, String)>);

impl SourceHeaders {
    /// Names and values, in the order sent; those of `BasicAuth` last.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// Reads both fields of an object; `None` if neither says anything.
    pub(super) fn read(
        headers: Option<&Value>,
        basic_auth: Option<&Value>,
    ) -> Result<Option<Self>, String> {
        let mut read = Self::default();
        if let Some(object) = object(HEADERS, headers)? {
            for (at, (name, value)) in object.iter().enumerate() {
                read.add(name, value)
                    .map_err(|why| format!("{HEADERS}: header {} {why}", at + 1))?;
            }
        }
        if let Some(object) = object(BASIC_AUTH, basic_auth)? {
            if read.has(AUTHORIZATION) {
                return Err(format!("it has both {BASIC_AUTH} and an {AUTHORIZATION} header"));
            }
            read.0.push((AUTHORIZATION.to_owned(), basic_credentials(&object)?));
        }
        let limits = &SOURCE_HEADER_LIMITS;
        if read.0.len() > limits.count {
            return Err(format!("{HEADERS} has more than {} headers", limits.count));
        }
        let bytes: usize = read.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limits.bytes {
            return Err(format!(
                "{HEADERS} and {BASIC_AUTH} have more than {} bytes",
                limits.bytes
            ));
        }
        Ok(Some(read).filter(|read| !read.0.is_empty()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    fn add(&mut self, name: &str, value: &Value) -> Result<(), String> {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err("has a name that is no token (RFC 9110 §5.1)".to_owned());
        }
        if let Some(word) = refused(name) {
            return Err(format!("is {word}, which a caller may not set"));
        }
        if self.has(name) {
            return Err("has the name of another".to_owned());
        }
        let Value::String(value) = value else {
            return Err("has no string as its value".to_owned());
        };
        let is_inner = |byte: u8| byte == b' ' || byte == b'\t' || byte.is_ascii_graphic();
        if !value.bytes().all(is_inner) {
            return Err("has a value with other characters than printable ASCII".to_owned());
        }
        if value.is_empty() || value.trim_ascii() != value {
            return Err("has a value that is empty, or begins or ends with a blank".to_owned());
        }
        let scheme = value.split([' ', '\t']).next().unwrap_or_default();
        if name.eq_ignore_ascii_case(AUTHORIZATION)
            && let Some(word) = find(&REFUSED_SCHEMES, |word| scheme.eq_ignore_ascii_case(word))
        {
            return Err(format!("has the scheme {word}, which is bound to a connection"));
        }
        self.0.push((name.to_owned(), value.clone()));
        Ok(())
    }
}

impl fmt::Debug for SourceHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceHeaders({})", self.0.len())
    }
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The word of this file that `name` falls under, if it is refused.
fn refused(name: &str) -> Option<String> {
    let starts = |family: &str| {
        name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family))
    };
    let word = find(&REFUSED, |word| name.eq_ignore_ascii_case(word)).map(str::to_owned);
    word.or_else(|| find(&REFUSED_FAMILIES, starts).map(|family| format!("{family}*")))
}

fn find(words: &[&'static str], matches: impl Fn(&str) -> bool) -> Option<&'static str> {
    words.iter().copied().find(|word| matches(word))
}

/// An object, or a string that holds one, as forms and some clients send it.
fn object(name: &str, value: Option<&Value>) -> Result<Option<Map<String, Value>>, String> {
    let parsed = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        // The words of the JSON reader may repeat a key, which is not to be shown here.
        Some(Value::String(text)) => json::parse(text).unwrap_or_default(),
        Some(other) => other.clone(),
    };
    match parsed {
        Value::Object(object) => Ok(Some(object)),
        _ => Err(format!("{name} is no object")),
    }
}

/// The value of `Authorization` (RFC 7617 §2).
fn basic_credentials(object: &Map<String, Value>) -> Result<String, String> {
    let (mut user, mut password) = (None, None);
    for (key, value) in object {
        let slot = if key.eq_ignore_ascii_case("User") {
            &mut user
        } else if key.eq_ignore_ascii_case("Password") {
            &mut password
        } else {
            return Err(format!("{BASIC_AUTH} has another key than User and Password"));
        };
        let Some(text) = value.as_str().filter(|text| !text.chars().any(char::is_control)) else {
            return Err(format!("{BASIC_AUTH} has a value that is no text without controls"));
        };
        if slot.replace(text).is_some() {
            return Err(format!("{BASIC_AUTH} has a key twice"));
        }
    }
    let (Some(user), Some(password)) = (user, password) else {
        return Err(format!("{BASIC_AUTH} has not both User and Password"));
    };
    if user.contains(':') {
        return Err(format!("{BASIC_AUTH}: User has a colon, which cannot be sent"));
    }
    Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(headers: Value) -> Result<Vec<(String, String)>, String> {
        let read = SourceHeaders::read(Some(&headers), None)?;
        Ok(read.unwrap_or_default().into_pairs())
    }

    fn basic(auth: &Value) -> Result<Vec<(String, String)>, String> {
        let read = SourceHeaders::read(None, Some(auth))?;
        Ok(read.unwrap_or_default().into_pairs())
    }

    #[test]
    fn headers_are_taken_as_an_object_or_as_a_string_that_holds_one() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        let both = pairs(&[("Cookie", "a=b; c=d"), ("X-Token", "t\tu")]);
        assert_eq!(read(json!({"Cookie": "a=b; c=d", "X-Token": "t\tu"})), Ok(both));
        let text = r#"{"Authorization":"Bearer x"}"#;
        assert_eq!(read(json!(text)), Ok(pairs(&[("Authorization", "Bearer x")])));
        for nothing in [json!({}), json!(""), json!("{}"), Value::Null] {
            assert_eq!(read(nothing), Ok(Vec::new()));
        }
    }

    #[test]
    fn headers_that_are_the_transfers_own_or_open_metadata_services_are_refused() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "connection",
            "RANGE",
            "If-Range",
            "if-none-match",
            "Accept-Encoding",
            "Proxy-Authorization",
            "te",
            "Trailer",
            "Upgrade",
            "Expect",
            "Metadata-Flavor",
            "x-aws-ec2-metadata-token",
        ] {
            let why = read(json!({"X-A": "1", name: "x"})).unwrap_err();
            assert!(why.starts_with("Headers: header 2 is "), "{name}: {why}");
        }
        for name in ["Cookie", "Authorization", "Referer", "User-Agent", "Accept", "Iffy", "Proxy"]
        {
            assert!(read(json!({name: "x"})).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_could_break_out_of_a_header_is_refused_and_never_repeated() {
        let long = "v".repeat(8 * 1024);
        let many: Map<String, Value> = (0..17).map(|n| (format!("X-{n}"), json!("v"))).collect();
        for headers in [
            json!({"": "CANARY"}),
            json!({"X CANARY": "v"}),
            json!({"X:CANARY": "v"}),
            json!({"X-CANARY\r\nY": "v"}),
            json!({"X-É": "CANARY"}),
            json!({"X": "CANARY\r\nHost: other"}),
            json!({"X": "CANARY\u{0}"}),
            json!({"X": "CANARY\u{7f}"}),
            json!({"X": "CANARYé"}),
            json!({"X": " CANARY"}),
            json!({"X": "CANARY "}),
            json!({"X": ""}),
            json!({"X": 7}),
            json!({"X": null}),
            json!({"X": ["CANARY"]}),
            json!({"X": "a", "x": "CANARY"}),
            json!({"X": long}),
            json!({"Authorization": "ntlm CANARY"}),
            json!({"authorization": "Negotiate CANARY"}),
            json!(["CANARY"]),
            json!("CANARY"),
            json!("{\"CANARY\":\"a\",\"CANARY\":\"b\"}"),
            json!(true),
            Value::Object(many),
        ] {
            let why = read(headers.clone()).unwrap_err();
            assert!(!why.contains("CANARY") && !why.contains("vvv"), "{why}");
        }
    }

    #[test]
    fn basic_credentials_become_an_authorization_header() {
        // RFC 7617 §2's own example.
        let auth = json!({"user": "Aladdin", "Password": "open sesame"});
        let [(name, value)] = &basic(&auth).unwrap()[..] else { panic!("one header") };
        assert_eq!(
            (name.as_str(), value.as_str()),
            ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
        // RFC 7617 §2.1: UTF-8.
        let [(_, value)] = &basic(&json!({"User": "test", "Password": "123£"})).unwrap()[..]
        else {
            panic!("one header")
        };
        assert_eq!(value, "Basic dGVzdDoxMjPCow==");
        for auth in [
            json!({"User": "CANARY"}),
            json!({"Password": "CANARY"}),
            json!({"User": "CAN:ARY", "Password": ""}),
            json!({"User": "CANARY\n", "Password": ""}),
            json!({"User": 1, "Password": "CANARY"}),
            json!({"User": "a", "user": "b", "Password": "CANARY"}),
            json!({"User": "a", "Password": "b", "Realm": "CANARY"}),
            json!("CANARY"),
        ] {
            let why = basic(&auth).unwrap_err();
            assert!(!why.contains("CANARY"), "{why}");
        }
        let (auth, headers) =
            (json!({"User": "a", "Password": "b"}), json!({"authorization": "x"}));
        assert!(SourceHeaders::read(Some(&headers), Some(&auth)).is_err());
    }

    #[test]
    fn the_debug_form_shows_nothing_of_the_headers() {
        let headers = SourceHeaders::read(Some(&json!({"X-CANARY": "CANARY"})), None).unwrap();
        assert_eq!(format!("{headers:?}"), "Some(SourceHeaders(1))");
    }
}
