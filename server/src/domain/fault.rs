//! Why a job failed: the table of `docs/job-errors.md`, and which causes deserve a retry.

use std::fmt;

/// The class of a job's fault; each has one `ErrorCode` on the wire. Codes begin with
/// `URLInvalidError`, the only one the cloud publishes, wherever the source is to blame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultClass {
    /// Not a usable http(s) URL, or no supported extension.
    Url,
    /// The egress firewall refused the host, an address it resolves to, or a redirect's target.
    ForbiddenAddress,
    /// The name does not resolve.
    Unresolvable,
    /// No connection.
    Unreachable,
    /// Certificate or handshake.
    Tls,
    /// The origin answered with a status that is not a success.
    HttpStatus,
    /// Redirect loop, too many redirects, or a bad `Location`.
    Redirect,
    /// Broken HTTP framing.
    Protocol,
    /// Fewer or other bytes than announced.
    Truncated,
    /// The object changed while it was read.
    Changed,
    /// Too slow, or past the job's deadline.
    Stalled,
    /// Over the size limit.
    TooLarge,
    /// No bytes.
    Empty,
    /// The bytes are no audio or video.
    NotMedia,
    /// Digest or size differs from what was declared.
    ChecksumMismatch,
    /// The object store refused after retries.
    Storage,
    /// Our own fault after retries.
    Internal,
}

impl FaultClass {
    pub const ALL: [Self; 17] = [
        Self::Url,
        Self::ForbiddenAddress,
        Self::Unresolvable,
        Self::Unreachable,
        Self::Tls,
        Self::HttpStatus,
        Self::Redirect,
        Self::Protocol,
        Self::Truncated,
        Self::Changed,
        Self::Stalled,
        Self::TooLarge,
        Self::Empty,
        Self::NotMedia,
        Self::ChecksumMismatch,
        Self::Storage,
        Self::Internal,
    ];

    /// `ErrorCode` of GetURLUploadInfos, events and console.
    pub fn code(self) -> &'static str {
        match self {
            Self::Url => "URLInvalidError",
            Self::ForbiddenAddress => "URLInvalidError.ForbiddenAddress",
            Self::Unresolvable => "URLInvalidError.Unresolvable",
            Self::Unreachable => "URLInvalidError.Unreachable",
            Self::Tls => "URLInvalidError.Tls",
            Self::HttpStatus => "URLInvalidError.HttpStatus",
            Self::Redirect => "URLInvalidError.Redirect",
            Self::Protocol => "URLInvalidError.Protocol",
            Self::Truncated => "URLInvalidError.Truncated",
            Self::Changed => "URLInvalidError.Changed",
            Self::Stalled => "URLInvalidError.Stalled",
            Self::TooLarge => "URLInvalidError.TooLarge",
            Self::Empty => "URLInvalidError.Empty",
            Self::NotMedia => "URLInvalidError.NotMedia",
            Self::ChecksumMismatch => "URLInvalidError.ChecksumMismatch",
            Self::Storage => "StorageError",
            Self::Internal => "InternalError",
        }
    }

    /// The class a stored code names.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// Where the job stood when this class of fault struck, as a wire status of a failed job
    /// (contract §9.2): the fetch phase, or the store phase.
    pub fn is_store_phase(self) -> bool {
        matches!(self, Self::Storage | Self::Internal)
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Trying again cannot help: the job fails now.
    Never,
    /// Broken in a way that is either a passing mix-up or the origin's habit: a job's first attempt
    /// is followed by one more, which tells them apart; a later attempt by none.
    Once,
    /// A transient fault: try again after the usual backoff, within the attempt limit.
    Backoff,
    /// As `Backoff`, but not before this many milliseconds (the origin's `Retry-After`).
    NotBefore(u64),
    /// Nothing went wrong: this node has no place for the transfer. The job goes back at no cost.
    AtNoCost,
    /// The origin refuses this URL, now and in future; another URL for the same file may be let
    /// through. Without received bytes that makes no difference, and the job fails now.
    AnotherUrl,
}

/// A job's fault: its class and one sentence for the caller. The sentence never contains bytes of
/// a response, nor the query or credentials of a URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFault {
    pub class: FaultClass,
    pub message: String,
}

impl JobFault {
    pub fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// The fault of a job that this one halted and that was given no other URL.
    pub fn lapsed(&self) -> Self {
        Self::new(self.class, format!("{}{LAPSED}", self.message))
    }
}

/// What the message of [`JobFault::lapsed`] ends in.
pub const LAPSED: &str = " No other URL was given before the job's deadline.";

impl fmt::Display for JobFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.code(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_again_by_its_code_and_codes_are_unique() {
        for class in FaultClass::ALL {
            assert_eq!(FaultClass::from_code(class.code()), Some(class));
        }
        assert_eq!(FaultClass::from_code("URLInvalidError.Nonsense"), None);
    }

    #[test]
    fn every_class_is_explained_in_the_documents() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/job-errors.md");
        let document = std::fs::read_to_string(path).unwrap();
        for class in FaultClass::ALL {
            assert!(document.contains(&format!("| `{}` |", class.code())), "{class:?}");
        }
    }
}
