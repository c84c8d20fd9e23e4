//! One body under way: handed on piece by piece, within its limits, up to a verified end.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use tokio::time::{Instant, timeout};

use super::digest::{self, Announced};
use super::exchange::{Body, Piece};
use super::host_slots::Place;
use super::verdict::{broken_body, error};
use super::wanted::{self, Part, Restart, Resume};
use super::{FetchError, FetchSettings};
use crate::domain::fault::{FaultClass, Retry};
use crate::domain::version::Version;

/// Longest header value that is kept of an answer, in bytes; a longer one counts as absent.
const KEPT_VALUE: usize = 512;

/// The body of a source, and what its head said about it.
pub struct Source {
    body: Body,
    state: State,
    /// Bytes of the whole file.
    length: Option<u64>,
    /// Position in the file where this body begins, and where it ends if it ends as announced.
    offset: u64,
    end: Option<u64>,
    version: Option<Version>,
    restart: Option<Restart>,
    /// The end of the connection is the only sign of the end of the body.
    close_delimited: bool,
    content_type: Option<String>,
    digests: Vec<Announced>,
    received: u64,
    limits: Limits,
    /// Since the present window of the speed floor began: bytes received, and time spent waiting
    /// for the origin. Time the taker of the bytes needs is not the origin's.
    window_bytes: u64,
    window_waited: Duration,
    _place: Place,
}

#[derive(Debug)]
enum State {
    UnderWay,
    Ended,
    Failed(FetchError),
}

#[derive(Debug)]
struct Limits {
    max_bytes: u64,
    stall: Duration,
    min_speed: u64,
    window: Duration,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("state", &self.state)
            .field("length", &self.length)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// The whole body of an answer by `place`, as [`Version`] names it.
    ///
    /// # Errors
    /// When the announced length is none or over the limit.
    pub(super) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: Body,
        settings: &FetchSettings,
        held: Place,
        place: &str,
    ) -> Result<Self, FetchError> {
        let chunked = headers.contains_key(http::header::TRANSFER_ENCODING);
        let length = if chunked { None } else { body.exact_length() };
        match length {
            Some(0) => return Err(empty(Retry::Never)),
            Some(length) if length > settings.max_bytes => {
                return Err(too_large(settings.max_bytes));
            }
            _ => {}
        }
        let kept = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            (value.len() <= KEPT_VALUE).then(|| value.to_owned())
        };
        Ok(Self {
            body,
            state: State::UnderWay,
            length,
            offset: 0,
            end: length,
            version: wanted::version(headers, place, length),
            restart: None,
            close_delimited: length.is_none() && !chunked,
            content_type: kept(CONTENT_TYPE),
            digests: digest::announced(status, headers),
            received: 0,
            limits: Limits {
                max_bytes: settings.max_bytes,
                stall: settings.stall_timeout,
                min_speed: settings.min_speed,
                window: settings.min_speed_window,
            },
            window_bytes: 0,
            window_waited: Duration::ZERO,
            _place: held,
        })
    }

    /// The body of a 206 that was judged to be the `part` which continues `resume`. `None` when its
    /// framing contradicts what it says of itself.
    ///
    /// # Errors
    /// When the whole file is over the limit.
    pub(super) fn rest(
        headers: &HeaderMap,
        body: Body,
        settings: &FetchSettings,
        held: Place,
        resume: &Resume,
        part: Part,
        place: &str,
    ) -> Result<Option<Self>, FetchError> {
        let end = part.last + 1;
        let framed = body.exact_length();
        if framed.is_some_and(|length| length != end - resume.offset) {
            return Ok(None);
        }
        if part.total > settings.max_bytes {
            return Err(too_large(settings.max_bytes));
        }
        let validator = resume.version.validator.clone();
        let version = Version { validator, total: Some(part.total), place: place.to_owned() };
        let status = StatusCode::PARTIAL_CONTENT;
        let source = Self::new(status, headers, body, settings, held, place)?;
        Ok(Some(Self {
            length: Some(part.total),
            offset: resume.offset,
            end: Some(end),
            version: Some(version),
            ..source
        }))
    }

    /// This whole body came although a rest was asked for: `from` tells whether of another version.
    pub(super) fn instead_of(self, from: Option<&Resume>) -> Self {
        let restart = from.map(|resume| {
            let same = self.version.as_ref().is_some_and(|now| {
                let before = &resume.version;
                now.validator == before.validator
                    && now.total.is_none_or(|n| before.total == Some(n))
            });
            if same { Restart::NotContinued } else { Restart::Changed }
        });
        Self { restart, ..self }
    }

    /// Notes why an earlier request for a rest was given up in favour of this one.
    pub(super) fn restarted(self, why: Option<Restart>) -> Self {
        Self { restart: why.or(self.restart), ..self }
    }

    /// Position in the file where this body begins: 0, or where the caller wanted to go on.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Why the body begins at 0 although the caller wanted to go on.
    pub fn restart(&self) -> Option<Restart> {
        self.restart
    }

    /// What this body is a version of, where a later request can make sure of it.
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Length of the whole file in bytes, when the origin announced it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// `Content-Type`, as it came.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Digests that the origin announced of the whole file.
    pub fn digests(&self) -> &[Announced] {
        &self.digests
    }

    /// The next piece of the body. `None` means that the whole body came and, where the origin
    /// announced a length, that it has this length; it stays `None` then. An end that TCP's FIN
    /// alone marks (plain HTTP/1.0 style) is taken for the end: nothing better is known.
    ///
    /// Drop the piece before you wait for anything: it holds a buffer that other transfers use.
    ///
    /// # Errors
    /// The fault that ended the body before its end; the same again when called again.
    pub async fn chunk(&mut self) -> Result<Option<Piece>, FetchError> {
        match &self.state {
            State::UnderWay => {}
            State::Ended => return Ok(None),
            State::Failed(e) => return Err(e.clone()),
        }
        let next = self.next_piece().await;
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => self.state = State::Ended,
            Err(e) => self.state = State::Failed(e.clone()),
        }
        next
    }

    async fn next_piece(&mut self) -> Result<Option<Piece>, FetchError> {
        let mut stall_left = self.limits.stall;
        loop {
            let window_left = self.limits.window.saturating_sub(self.window_waited);
            let patience =
                if self.limits.min_speed == 0 { stall_left } else { stall_left.min(window_left) };
            let began = Instant::now();
            let next = timeout(patience, self.body.piece()).await;
            let waited = began.elapsed();
            stall_left = stall_left.saturating_sub(waited);
            self.window_waited += waited;
            let next = match next {
                Ok(next) => next,
                Err(_) => {
                    self.check_speed()?;
                    if stall_left.is_zero() {
                        return Err(self.stalled());
                    }
                    continue;
                }
            };
            let Some(piece) = next.map_err(broken_body)? else { return self.end() };
            if piece.is_empty() {
                continue;
            }
            let size = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.received = self.received.saturating_add(size);
            self.window_bytes = self.window_bytes.saturating_add(size);
            let at = self.offset.saturating_add(self.received);
            if at > self.limits.max_bytes {
                return Err(too_large(self.limits.max_bytes));
            }
            if self.end.is_some_and(|end| at > end) {
                let message = "The origin sent more than the part that it announced.";
                return Err(error(FaultClass::Protocol, Retry::Once, message));
            }
            self.check_speed()?;
            return Ok(Some(piece));
        }
    }

    /// At the end of a window: enough bytes, or a stall.
    fn check_speed(&mut self) -> Result<(), FetchError> {
        if self.limits.min_speed == 0 || self.window_waited < self.limits.window {
            return Ok(());
        }
        let floor = u128::from(self.limits.min_speed) * self.limits.window.as_millis() / 1_000;
        if u128::from(self.window_bytes) < floor {
            let message = format!(
                "The origin sent less than {} bytes a second for {:?}.",
                self.limits.min_speed, self.limits.window
            );
            return Err(error(FaultClass::Stalled, Retry::Backoff, message));
        }
        self.window_bytes = 0;
        self.window_waited = Duration::ZERO;
        Ok(())
    }

    fn end(&self) -> Result<Option<Piece>, FetchError> {
        if self.length.is_some_and(|length| length != self.offset + self.received) {
            let message = "The file has not the length that the origin announced.";
            return Err(error(FaultClass::Truncated, Retry::Backoff, message));
        }
        if self.received == 0 {
            // Without an announced end, an empty body may be a connection that broke.
            let retry = if self.close_delimited { Retry::Backoff } else { Retry::Never };
            return Err(empty(retry));
        }
        Ok(None)
    }

    fn stalled(&self) -> FetchError {
        let message = format!("The origin sent nothing for {:?}.", self.limits.stall);
        error(FaultClass::Stalled, Retry::Backoff, message)
    }
}

fn empty(retry: Retry) -> FetchError {
    error(FaultClass::Empty, retry, "The origin sent an empty file.")
}

fn too_large(max_bytes: u64) -> FetchError {
    let message = format!("The file is larger than {max_bytes} bytes, the limit of this server.");
    error(FaultClass::TooLarge, Retry::Never, message)
}
