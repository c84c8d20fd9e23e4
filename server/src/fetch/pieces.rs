//! Asks for single pieces of a file, each through the whole gate, and judges what comes.

use http::header::HeaderMap;
use tokio::time::Instant;

use super::FetchError;
use super::client::{Fetcher, check_codings, confided};
use super::guard::Target;
use super::host_slots::Place;
use super::manners::Offence;
use super::source::Source;
use super::spread::{SEGMENT, Spread};
use super::verdict::{self, Meaning, error};
use super::wanted::{self, Link, Restart, Resume};
use crate::domain::fault::{FaultClass, Retry};
use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::SourceUrl;
use crate::domain::version::Version;

/// A file smaller than so many pieces is not worth a second connection, whatever is configured.
const LEAST_PIECES: u64 = 4;
/// Most connections for one file, whatever is configured: they bound its pieces in memory.
const CONNECTIONS: usize = 16;

/// Where pieces are asked for, and of what.
#[derive(Clone)]
pub(super) struct Way {
    target: Target,
    confided: HeaderMap,
    version: Version,
    pub(super) total: u64,
}

/// What came of a piece.
#[derive(Debug)]
pub(super) struct Segment {
    /// From its beginning on, as far as they came.
    pub(super) bytes: Vec<u8>,
    pub(super) end: Result<(), (Offence, FetchError)>,
}

impl Fetcher {
    /// The body of `source`, which `url` led to, by as many connections as configured
    /// (`parallel_ranges`) where that can help and is proper: a large rest, of a known version and
    /// length, that came without a redirect from a host that has not refused such before. Else by
    /// the one it has.
    pub fn spread(&self, source: Source, url: &SourceUrl, headers: &SourceHeaders) -> Spread {
        let Some(way) = self.way(&source, url, headers) else { return Spread::alone(source) };
        let inner = self.inner();
        let most = inner.settings.parallel_ranges.min(CONNECTIONS);
        let most = inner.manners.allowed(way.target.host(), most, Instant::now());
        let budget = inner.spreads.clone().try_acquire_owned();
        match budget {
            Ok(budget) if most > 1 => Spread::over(source, self.clone(), way, most, budget),
            Ok(_) | Err(_) => Spread::alone(source),
        }
    }

    fn way(&self, source: &Source, url: &SourceUrl, headers: &SourceHeaders) -> Option<Way> {
        let settings = &self.inner().settings;
        if settings.parallel_ranges < 2 {
            return None;
        }
        let (version, total) = (source.version()?.clone(), source.length()?);
        let least = settings.parallel_from.max(LEAST_PIECES * SEGMENT);
        if total.checked_sub(source.offset())? < least {
            return None;
        }
        let target = self.inner().guard.target(url.expose()).ok()?;
        let confided = confided(headers).ok()?;
        let version = Version { total: Some(total), ..version };
        (target.place() == version.place).then_some(Way { target, confided, version, total })
    }

    /// A place at the host for a further connection, if there is one to spare now. A full host is no
    /// fault here: the transfer goes on with the connections that it has.
    pub(super) fn place_now(&self, way: &Way) -> Option<Place> {
        self.inner().slots.take_further(way.target.host())
    }

    pub(super) fn note(&self, way: &Way, offence: Offence, width: usize) {
        let host = way.target.host();
        tracing::debug!(host, ?offence, width, "a piece of a source did not come");
        self.inner().manners.note(host, offence, width, Instant::now());
    }

    /// The bytes from `from` up to `end`, as far as they come.
    pub(super) async fn segment(&self, way: &Way, from: u64, end: u64) -> Segment {
        let failed = |(offence, fault)| Segment { bytes: Vec::new(), end: Err((offence, fault)) };
        let mut source = match self.piece(way, from, end).await {
            Ok(source) => source,
            Err(failure) => return failed(failure),
        };
        let mut bytes = Vec::with_capacity(usize::try_from(end - from).unwrap_or(0));
        let end = loop {
            match source.chunk().await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => break Ok(()),
                Err(fault) => break Err((Offence::Broken, fault)),
            }
        };
        Segment { bytes, end }
    }

    /// The answer to a request for a piece. Redirects are not followed: the first answer came without.
    async fn piece(&self, way: &Way, from: u64, end: u64) -> Result<Source, (Offence, FetchError)> {
        let (version, link) = (way.version.clone(), Link::Same);
        let resume = Resume { offset: from, version, link, last: Some(end - 1) };
        let place = way.version.place.as_str();
        let broken = |fault| (Offence::Broken, fault);
        let answer = self.inner().answer(&way.target, &way.confided, Some(&resume)).await;
        let response = answer.map_err(broken)?;
        let status = response.status();
        let (head, body) = response.into_parts();
        let part = match verdict::answer(status, true) {
            Meaning::Rest => wanted::part(&resume, place, &head.headers),
            Meaning::Body => {
                let now = wanted::version(&head.headers, place, None);
                let same = now.is_some_and(|now| now.validator == way.version.validator);
                Err(if same { Restart::NotContinued } else { Restart::Changed })
            }
            Meaning::Anew | Meaning::Follow | Meaning::Doubtful(_) => Err(Restart::NotContinued),
            Meaning::Transient(class) => {
                let retry = verdict::retry_after(&head.headers, self.inner().clock.now());
                let fault = verdict::status_fault(status, class, retry, false);
                return Err((Offence::Refused, fault));
            }
            Meaning::Permanent(class) => {
                let retry = verdict::refusal(status, false);
                return Err((Offence::Refused, verdict::status_fault(status, class, retry, false)));
            }
        };
        let part = match part {
            Ok(part) if part.last == end - 1 && check_codings(&head.headers).is_ok() => part,
            Ok(_) | Err(Restart::NotContinued) => return Err(mishandled()),
            Err(Restart::Changed) => return Err(changed()),
        };
        let settings = &self.inner().settings;
        // Its place at the host is held by whoever asked.
        let source = Source::rest(&head.headers, body, settings, None, &resume, part, place);
        source.map_err(broken)?.ok_or_else(mishandled)
    }
}

fn mishandled() -> (Offence, FetchError) {
    let message = "The origin did not answer a request for a piece with that piece.";
    (Offence::Mishandled, error(FaultClass::Protocol, Retry::Backoff, message))
}

fn changed() -> (Offence, FetchError) {
    let message = "The object at the origin changed while its pieces came.";
    (Offence::Changed, error(FaultClass::Truncated, Retry::Backoff, message))
}
