//! What a storage's refusal means: whether trying again can help, and what an operator can do.
//!
//! Nothing of an answer but its status and code goes further: messages repeat keys, addresses and
//! parts of signatures.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;

use crate::blob::BlobError;

/// Longest code that is kept, in characters; the longest of S3 has 43.
const CODE_LIMIT: usize = 64;
/// Codes of requests that fail by their moment, whatever their status (S3's list of error codes).
const PASSING: [&str; 9] = [
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
];

/// What was heard of the storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// A status that is no success, and the code of S3, if there was one.
    Status(u16, String),
    /// A success whose body is an error, or not what was asked for.
    Nonsense,
    NoConnection,
    /// Its certificate is not trusted.
    NoTrust,
    NoAnswer,
    /// The connection broke in the middle.
    Broken,
    /// The library made nothing of it.
    Unknown,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, code) if code.is_empty() => write!(f, "it says {status}"),
            Self::Status(status, code) => write!(f, "it says {status} {code}"),
            Self::Nonsense => f.write_str("its answer is none"),
            Self::NoConnection => f.write_str("no connection"),
            Self::NoTrust => f.write_str("its TLS certificate is not trusted"),
            Self::NoAnswer => f.write_str("no answer in time"),
            Self::Broken => f.write_str("the connection broke"),
            Self::Unknown => f.write_str("the request failed"),
        }
    }
}

impl Said {
    /// The status of a refusal, with the code in its body.
    pub(super) fn status(status: StatusCode, body: &Bytes) -> Self {
        Self::Status(status.as_u16(), code(body))
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status(_, code) if PASSING.contains(&code.as_str()) => true,
            // An upload that somebody ended is begun anew under another token.
            Self::Status(404, code) => code == "NoSuchUpload",
            Self::Status(501, _) => false,
            Self::Status(status, _) => matches!(status, 408 | 409 | 429 | 500..=599),
            Self::NoTrust => false,
            Self::Nonsense | Self::NoConnection | Self::NoAnswer | Self::Broken | Self::Unknown => {
                true
            }
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Status(_, code) if is_key(code) => {
                "correct the id and secret of this location in HAULAGE_STORAGE_KEYS"
            }
            Self::Status(_, code) if code == "RequestTimeTooSkewed" => "set this machine's clock",
            Self::Status(404, code) if code == "NoSuchBucket" || code.is_empty() => {
                "make the bucket, or correct its name or endpoint"
            }
            Self::Status(401 | 403, _) => {
                "give the key the rights that docs/storage.md lists, or correct it"
            }
            Self::Status(300..=400, _) => "correct region, endpoint or style of the URL",
            Self::Status(501, _) => "this service lacks a call that Haulage needs",
            Self::Status(507, _) => "free space in the storage",
            Self::NoConnection => "correct the endpoint, or start the storage",
            Self::NoTrust => "name the storage's root certificate with HAULAGE_EXTRA_CA",
            Self::Status(..) | Self::Nonsense | Self::NoAnswer | Self::Broken | Self::Unknown => {
                "see the storage's own log; Haulage tries again"
            }
        }
    }

    /// Whether it says that the object is there already, or that it cannot say.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Status(409 | 412, _))
    }

    /// Whether it says that it knows no such condition or call.
    pub(super) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Status(501, _))
            || matches!(self, Self::Status(400, code) if code == "NotImplemented" || code == "InvalidArgument")
    }

    pub(super) fn is_not_there(&self) -> bool {
        matches!(self, Self::Status(404, _))
    }

    /// The error of a call that did `action`.
    pub(super) fn error(self, action: &'static str) -> BlobError {
        match self {
            Self::Status(507, _) => BlobError::Full,
            said if said.is_transient() => BlobError::Failed { action, said },
            said => BlobError::Refused { action, said },
        }
    }
}

fn is_key(code: &str) -> bool {
    matches!(code, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthorizationHeaderMalformed")
}

/// The text of the `Code` element, if it is one word; empty otherwise.
pub(super) fn code(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let after = text.split_once("<Code>").map(|(_, after)| after);
    let code = after.and_then(|after| after.split_once("</Code>")).map_or("", |(code, _)| code);
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if code.len() <= CODE_LIMIT && code.bytes().all(fine) { code.to_owned() } else { String::new() }
}

/// The error of a library call that did `action`.
pub(super) fn of(
    action: &'static str,
    (error, said): (object_store::Error, Option<Said>),
) -> BlobError {
    said_by(&error, said).error(action)
}

/// What was said, as heard on the way or as the library has it.
pub(super) fn said_by(error: &object_store::Error, said: Option<Said>) -> Said {
    use object_store::Error;
    said.unwrap_or(match error {
        Error::NotFound { .. } => Said::Status(404, String::new()),
        Error::AlreadyExists { .. } => Said::Status(409, String::new()),
        Error::Precondition { .. } => Said::Status(412, String::new()),
        Error::PermissionDenied { .. } => Said::Status(403, String::new()),
        Error::Unauthenticated { .. } => Said::Status(401, String::new()),
        _ => Said::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, code: &str) -> Said {
        Said::Status(status, code.to_owned())
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for passing in [
            said(500, "InternalError"),
            said(503, "SlowDown"),
            said(503, ""),
            said(429, ""),
            said(400, "RequestTimeout"),
            said(403, "RequestTimeTooSkewed"),
            said(404, "NoSuchUpload"),
            said(409, "OperationAborted"),
            Said::Nonsense,
            Said::NoConnection,
            Said::NoAnswer,
            Said::Broken,
        ] {
            assert!(passing.is_transient(), "{passing}");
            assert!(passing.clone().error("x").is_transient(), "{passing}");
        }
        for staying in [
            said(403, "AccessDenied"),
            said(403, "SignatureDoesNotMatch"),
            said(401, ""),
            said(404, "NoSuchBucket"),
            said(400, "InvalidArgument"),
            said(301, "PermanentRedirect"),
            said(501, "NotImplemented"),
            Said::NoTrust,
        ] {
            assert!(!staying.is_transient(), "{staying}");
            assert!(!staying.clone().error("x").is_transient(), "{staying}");
        }
        assert!(matches!(said(507, "XMinioStorageFull").error("x"), BlobError::Full));
    }

    #[test]
    fn a_code_is_one_word_and_nothing_else_of_the_answer_is_kept() {
        let body = |code: &str| format!("<Error><Code>{code}</Code><Message>hunter2</Message>");
        assert_eq!(code(body("NoSuchKey").as_bytes()), "NoSuchKey");
        for bad in ["a b", "<b>", &"x".repeat(65), "naïve"] {
            assert_eq!(code(body(bad).as_bytes()), "", "{bad}");
        }
        assert_eq!(code(b"\xff\xfe"), "");
        let shown = Said::status(StatusCode::FORBIDDEN, &body("AccessDenied").into()).to_string();
        assert_eq!(shown, "it says 403 AccessDenied");
    }
}
