//! `UserData` (§13.4): what a caller wants back in events, and where they are to be sent.

use serde_json::Value;

use super::metadata::too_long;
use super::{json, url};
use crate::code::Fault;
use crate::spec::USER_DATA_LIMITS;

/// The parameter.
const NAME: &str = "UserData";

/// What the server uses of a `UserData`; the text itself is kept as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserData {
    /// `MessageCallback.CallbackURL`: where events of this media go instead of the account's URL.
    /// At most 256 bytes. Not checked against the egress firewall, which judges every delivery.
    pub callback_url: Option<String>,
    /// `Extend`, at most 512 bytes: the string, or the JSON text of any other value.
    pub extend: Option<String>,
}

/// Reads a `UserData`. `MessageCallback` and `Extend` may be JSON, or strings that hold JSON: the
/// official samples do both. Other keys are left alone.
///
/// # Errors
/// `InvalidParameter.UserData`, or `LengthExceededMax` for a long `Extend` or `CallbackURL`.
pub fn parse(text: &str) -> Result<UserData, Fault> {
    let value = json::parse(text).map_err(|why| Fault::invalid_because(NAME, why))?;
    let Value::Object(object) = value else { return Err(invalid("It is not a JSON object.")) };
    Ok(UserData {
        callback_url: object.get("MessageCallback").map_or(Ok(None), callback_url)?,
        extend: object.get("Extend").map_or(Ok(None), extend)?,
    })
}

fn callback_url(value: &Value) -> Result<Option<String>, Fault> {
    let unpacked;
    let object = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => {
            unpacked = json::parse(text).map_err(|why| Fault::invalid_because(NAME, why))?;
            unpacked.as_object()
        }
        other => other.as_object(),
    };
    let object = object.ok_or_else(|| invalid("MessageCallback is not an object."))?;
    // HTTP is the default; there is no message queue here to send to.
    match object.get("CallbackType") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.is_empty() || kind.eq_ignore_ascii_case("http") => {}
        Some(_) => return Err(invalid("MessageCallback.CallbackType is not http.")),
    }
    let text = match object.get("CallbackURL") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err(invalid("MessageCallback.CallbackURL is not a string.")),
    };
    let normal = url::normalise(text).map_err(|problem| {
        Fault::invalid_because(NAME, format_args!("MessageCallback.CallbackURL: {problem}."))
    })?;
    if normal.len() > USER_DATA_LIMITS.callback_url {
        return Err(too_long("CallbackURL", USER_DATA_LIMITS.callback_url));
    }
    Ok(Some(normal))
}

fn extend(value: &Value) -> Result<Option<String>, Fault> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() > USER_DATA_LIMITS.extend {
        return Err(too_long("Extend", USER_DATA_LIMITS.extend));
    }
    Ok(Some(text))
}

fn invalid(why: &str) -> Fault {
    Fault::invalid_because(NAME, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_may_be_objects_or_strings_that_hold_them() {
        let as_objects = r#"{"MessageCallback":{"CallbackURL":"http://c.example/x","CallbackType":"http"},"Extend":{"localId":"42"}}"#;
        let as_strings = r#"{"MessageCallback":"{\"CallbackURL\":\"http://c.example/x\"}","Extend":"{\"localId\":\"42\"}"}"#;
        let expected = UserData {
            callback_url: Some("http://c.example/x".to_owned()),
            extend: Some("{\"localId\":\"42\"}".to_owned()),
        };
        assert_eq!(parse(as_objects).unwrap(), expected);
        assert_eq!(parse(as_strings).unwrap(), expected);
        assert_eq!(parse("{}").unwrap(), UserData::default());
        assert_eq!(
            parse(r#"{"MessageCallback":null,"Extend":null,"AccelerateConfig":{"Type":"oss"}}"#)
                .unwrap(),
            UserData::default()
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_at_once() {
        let long = format!(r#"{{"Extend":"{}"}}"#, "é".repeat(257));
        let far =
            format!(r#"{{"MessageCallback":{{"CallbackURL":"http://h/{}"}}}}"#, "a".repeat(256));
        for (text, code) in [
            ("", "InvalidParameter.UserData"),
            ("[]", "InvalidParameter.UserData"),
            (r#"{"Extend":1,"Extend":2}"#, "InvalidParameter.UserData"),
            (r#"{"MessageCallback":"nonsense"}"#, "InvalidParameter.UserData"),
            (r#"{"MessageCallback":[]}"#, "InvalidParameter.UserData"),
            (r#"{"MessageCallback":{"CallbackURL":"ftp://h/"}}"#, "InvalidParameter.UserData"),
            (r#"{"MessageCallback":{"CallbackURL":7}}"#, "InvalidParameter.UserData"),
            (r#"{"MessageCallback":{"CallbackType":"mns"}}"#, "InvalidParameter.UserData"),
            (&far, "LengthExceededMax"),
            (&long, "LengthExceededMax"),
        ] {
            assert_eq!(parse(text).unwrap_err().code_text(), code, "{text:.60}");
        }
        assert!(parse(&format!(r#"{{"Extend":"{}"}}"#, "a".repeat(512))).is_ok());
    }
}
