//! What an answer or an error means for the job: go on, follow, fail for good, or try again.
//! One place for all of them; the rows are those of http_faults.md.

use std::error::Error;
use std::io;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use rustls::{CertificateError, InvalidMessage};

use super::FetchError;
use super::connect::{DialError, Greeting};
use super::exchange::{BodyFault, HeadFault, NoAnswer};
use super::guard::Refusal;
use crate::domain::fault::{FaultClass, JobFault, Retry};
use crate::domain::time::Timestamp;

/// Shortest and longest pause an origin may ask for (http_faults.md row 68).
const RETRY_AFTER_MIN_MS: u64 = 1_000;
const RETRY_AFTER_MAX_MS: u64 = 3_600_000;

/// What the status of an answer to a plain GET means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// A body follows.
    Body,
    /// A part follows, which a request for the rest asked for; what it says is still to be judged.
    Rest,
    /// The rest is not to be had: ask for the whole.
    Anew,
    /// Go where `Location` says.
    Follow,
    /// A fault of this class for good.
    Permanent(FaultClass),
    /// A fault of this class that may pass; `Retry-After` counts.
    Transient(FaultClass),
    /// A fault of this class that one more try tells from a passing mix-up.
    Doubtful(FaultClass),
}

/// The meaning of every status.
pub fn status(status: StatusCode) -> Meaning {
    match status.as_u16() {
        // Nobody asked for another protocol.
        101 => Meaning::Permanent(FaultClass::Protocol),
        // The origin has accepted to make the file, later.
        202 => Meaning::Transient(FaultClass::HttpStatus),
        204 | 205 => Meaning::Permanent(FaultClass::Empty),
        // Nobody asked for a part.
        206 => Meaning::Doubtful(FaultClass::Protocol),
        200..=299 => Meaning::Body,
        301 | 302 | 303 | 307 | 308 => Meaning::Follow,
        408 | 425 | 429 | 500..=599 => Meaning::Transient(FaultClass::HttpStatus),
        _ => Meaning::Permanent(FaultClass::HttpStatus),
    }
}

/// As [`status`], where the request may have asked for a rest (`Range` with `If-Range`).
pub(super) fn answer(code: StatusCode, asked_for_rest: bool) -> Meaning {
    match code {
        StatusCode::PARTIAL_CONTENT if asked_for_rest => Meaning::Rest,
        // 416: there is nothing behind what is here, which proves nothing (http_faults.md row 55).
        // 400: some origins cannot read a Range; a plain request tells.
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::BAD_REQUEST if asked_for_rest => {
            Meaning::Anew
        }
        other => status(other),
    }
}

/// Whether another URL for the same file can help where `code` is the answer for good.
///
/// 401, 403 and 410 refuse the URL as such: the stores whose links are signed for a time answer 403
/// when it is over (S3, OSS, Azure), others 401 or 410. Some answer 400 (Google Cloud Storage:
/// `ExpiredToken`) or hide behind 404; these mean many things, so the link itself must say that it
/// has expired.
pub(super) fn refusal(code: StatusCode, expired_link: bool) -> Retry {
    match code.as_u16() {
        401 | 403 | 410 => Retry::AnotherUrl,
        400 | 404 if expired_link => Retry::AnotherUrl,
        _ => Retry::Never,
    }
}

/// The fault of a status that is neither a body nor a redirect.
pub(super) fn status_fault(
    code: StatusCode,
    class: FaultClass,
    retry: Retry,
    expired: bool,
) -> FetchError {
    let number = code.as_u16();
    let message = match class {
        FaultClass::Empty => format!("The origin answered {number}: there is no content."),
        FaultClass::Protocol if number == 206 => {
            "The origin answered 206 with a part of the file though the whole was asked for."
                .to_owned()
        }
        FaultClass::Protocol => format!("The origin answered {number}, which nobody asked for."),
        _ if expired => format!("The origin answered {number}: the link has expired."),
        _ => match code.canonical_reason() {
            Some(reason) => format!("The origin answered {number} ({reason})."),
            None => format!("The origin answered {number}."),
        },
    };
    error(class, retry, message)
}

/// When to try again after a transient answer: `Retry-After` in seconds or as a date (RFC 9110
/// §10.2.3), within limits; anything else is the usual backoff.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Retry {
    let Some(text) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) else {
        return Retry::Backoff;
    };
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        match jiff::fmt::rfc2822::parse(text) {
            Ok(at) => {
                u64::try_from(at.timestamp().as_millisecond().saturating_sub(now.0)).unwrap_or(0)
            }
            Err(_) => return Retry::Backoff,
        }
    };
    Retry::NotBefore(wait.clamp(RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS))
}

/// The URL of the job was refused.
pub(super) fn refused(refusal: &Refusal) -> FetchError {
    let message = match refusal.class() {
        FaultClass::Url => format!("Not a usable source: {refusal}."),
        _ => format!("The egress firewall refused the source: {refusal}."),
    };
    error(refusal.class(), Retry::Never, message)
}

/// The target of a redirect was refused.
pub(super) fn refused_redirect(refusal: &Refusal) -> FetchError {
    let class = refusal.class_in_redirect();
    let message = match class {
        FaultClass::Redirect => format!("The origin redirects to nowhere: {refusal}."),
        _ => format!("The egress firewall refused the target of a redirect: {refusal}."),
    };
    error(class, Retry::Never, message)
}

/// No answer came: the connection could not be made, or broke, or carried no HTTP.
pub(super) fn no_answer(why: &NoAnswer) -> FetchError {
    let broken: Option<&(dyn Error + 'static)> = match why {
        NoAnswer::Dial(dial) => return not_dialled(dial),
        NoAnswer::Late => {
            let message = "The origin accepted the connection but did not answer in time.";
            return error(FaultClass::Stalled, Retry::Backoff, message);
        }
        NoAnswer::Head(fault, greeting) => return no_head(*fault, *greeting),
        NoAnswer::Broken(cause) => cause.as_ref().map(|e| e as _),
        NoAnswer::Http2(cause) => Some(cause),
    };
    if let Some(tls) = broken.and_then(|e| causes(e).find_map(tls_error)) {
        return tls_fault(tls);
    }
    let message = "The origin closed the connection before it answered.";
    error(FaultClass::Protocol, Retry::Backoff, message)
}

/// What came is no head of an answer. `greeting` is what the other end said first.
fn no_head(fault: HeadFault, greeting: Greeting) -> FetchError {
    let (retry, message) = match (fault, greeting) {
        (HeadFault::TooLarge, _) => (Retry::Never, "The head of the origin's answer is too large."),
        // Left over from somebody else's answer, perhaps; another connection may be clean.
        (HeadFault::Broken, Greeting::Noise) => {
            (Retry::Backoff, "The origin sent something before its answer.")
        }
        (HeadFault::Broken, Greeting::Http | Greeting::OtherProtocol | Greeting::Nothing) => {
            (Retry::Never, "The origin does not speak HTTP/1.1 as it should.")
        }
    };
    error(FaultClass::Protocol, retry, message)
}

fn not_dialled(dial: &DialError) -> FetchError {
    match dial {
        DialError::Refused(refusal) => refused(refusal),
        DialError::Lookup(cause) => error(
            FaultClass::Unresolvable,
            Retry::Backoff,
            format!("The host cannot be found: {cause}."),
        ),
        DialError::Connect => {
            let message = "No address of the host accepts a connection.";
            error(FaultClass::Unreachable, Retry::Backoff, message)
        }
        DialError::ConnectTimeout => {
            let message = "No address of the host accepted a connection in time.";
            error(FaultClass::Unreachable, Retry::Backoff, message)
        }
        DialError::TlsTimeout => {
            let message = "The TLS handshake did not end in time.";
            error(FaultClass::Stalled, Retry::Backoff, message)
        }
        DialError::Tls(cause) => match tls_error(cause) {
            Some(tls) => tls_fault(tls),
            None => {
                let message = "The connection broke during the TLS handshake.";
                error(FaultClass::Tls, Retry::Backoff, message)
            }
        },
    }
}

fn tls_fault(tls: &rustls::Error) -> FetchError {
    let message = match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "The origin's certificate has expired."
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "The origin's certificate is not valid yet."
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "The origin's certificate is for another name."
            }
            CertificateError::UnknownIssuer => {
                "The origin's certificate was issued by nobody who is trusted here."
            }
            CertificateError::Revoked => "The origin's certificate has been revoked.",
            _ => "The origin's certificate is not acceptable.",
        },
        rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "The origin's TLS handshake is too large."
        }
        rustls::Error::InvalidMessage(_) => "The origin does not speak TLS on this port.",
        rustls::Error::PeerIncompatible(_) => {
            "The origin offers no version or cipher of TLS that is safe."
        }
        rustls::Error::AlertReceived(_) => "The origin broke off the TLS connection.",
        _ => "The TLS connection to the origin failed.",
    };
    error(FaultClass::Tls, Retry::Never, message)
}

/// A body broke off before its end.
pub(super) fn broken_body(why: BodyFault) -> FetchError {
    match why {
        BodyFault::OverLimit => {
            let message = "The framing of the body exceeds a limit.";
            error(FaultClass::Protocol, Retry::Never, message)
        }
        // It may be a passing mix-up (rows 13 to 15).
        BodyFault::Broken => {
            error(FaultClass::Protocol, Retry::Once, "The framing of the body is broken.")
        }
        BodyFault::Cut => {
            let message = "The connection ended before the whole file had come.";
            error(FaultClass::Truncated, Retry::Backoff, message)
        }
    }
}

/// The error and what caused it, outermost first.
fn causes<'a>(
    failure: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(failure), |&e| e.source())
}

/// The TLS error inside an I/O error, whose `source` skips it.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref::<rustls::Error>()
}

pub(super) fn error(class: FaultClass, retry: Retry, message: impl Into<String>) -> FetchError {
    FetchError { fault: JobFault::new(class, message), retry }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        let expected = |code: u16| match code {
            101 => "permanent Protocol",
            202 => "transient HttpStatus",
            204 | 205 => "permanent Empty",
            206 => "doubtful Protocol",
            200 | 201 | 203 | 207..=299 => "body",
            301 | 302 | 303 | 307 | 308 => "follow",
            300 | 304 | 305 | 306 | 309..=399 => "permanent HttpStatus",
            408 | 425 | 429 => "transient HttpStatus",
            100 | 102..=199 | 400..=499 => "permanent HttpStatus",
            500..=599 => "transient HttpStatus",
            _ => "permanent HttpStatus",
        };
        for code in 100..=999u16 {
            let verdict = match status(StatusCode::from_u16(code).unwrap()) {
                Meaning::Body => "body".to_owned(),
                Meaning::Rest | Meaning::Anew => "of a rest".to_owned(),
                Meaning::Follow => "follow".to_owned(),
                Meaning::Permanent(class) => format!("permanent {class:?}"),
                Meaning::Transient(class) => format!("transient {class:?}"),
                Meaning::Doubtful(class) => format!("doubtful {class:?}"),
            };
            assert_eq!(verdict, expected(code), "{code}");
        }
    }

    #[test]
    fn a_request_for_a_rest_changes_the_meaning_of_three_statuses_alone() {
        for code in 100..=999u16 {
            let code = StatusCode::from_u16(code).unwrap();
            let expected = match code.as_u16() {
                206 => Meaning::Rest,
                400 | 416 => Meaning::Anew,
                _ => status(code),
            };
            assert_eq!(answer(code, true), expected, "{code}");
            assert_eq!(answer(code, false), status(code), "{code}");
        }
    }

    #[test]
    fn another_url_helps_where_this_one_is_refused() {
        for code in 100..=999u16 {
            let of = |expired| refusal(StatusCode::from_u16(code).unwrap(), expired);
            let never_or = |helps| if helps { Retry::AnotherUrl } else { Retry::Never };
            assert_eq!(of(false), never_or([401, 403, 410].contains(&code)), "{code}");
            assert_eq!(of(true), never_or([400, 401, 403, 404, 410].contains(&code)), "{code}");
        }
    }

    #[test]
    fn retry_after_is_a_number_or_a_date_within_limits() {
        let now = Timestamp::from_seconds(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let verdict = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now)
        };
        for (text, expected) in [
            ("2", Retry::NotBefore(2_000)),
            (" 120 ", Retry::NotBefore(120_000)),
            ("0", Retry::NotBefore(RETRY_AFTER_MIN_MS)),
            ("1000000000", Retry::NotBefore(RETRY_AFTER_MAX_MS)),
            ("99999999999999999999999999", Retry::NotBefore(RETRY_AFTER_MAX_MS)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Retry::NotBefore(60_000)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Retry::NotBefore(RETRY_AFTER_MIN_MS)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Retry::NotBefore(RETRY_AFTER_MAX_MS)),
            ("soon", Retry::Backoff),
            ("-1", Retry::Backoff),
            ("+5", Retry::Backoff),
            ("", Retry::Backoff),
        ] {
            assert_eq!(verdict(text), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), Retry::Backoff);
    }
}
