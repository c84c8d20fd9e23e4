//! Asks for a source and follows its redirects, each through the whole gate, until a body comes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, RANGE, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::connect::{self, Connector, Network, Road};
use super::exchange::{Body, Exchange, Get, Over};
use super::guard::{Guard, Target};
use super::host_slots::{HostSlots, Place};
use super::manners::Manners;
use super::presigned;
use super::resolve::{Dns, Resolve};
use super::source::Source;
use super::verdict::{self, Meaning, error};
use super::wanted::{self, Restart, Resume, Wanted};
use super::{FetchError, FetchSettings, FetcherError};
use crate::domain::fault::{FaultClass, Retry};
use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::{HostId, SourceUrl};
use crate::door::Clock;

/// A chain of redirects may take this many times what one request may take.
const CHAIN_FACTOR: u32 = 2;
/// How much of a refusal's body is searched for the word "expired", and for how long.
const REFUSAL_BYTES: usize = 4 * 1024;
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// Transfers of a node that may have several connections at once. Each holds at most
/// `parallel_ranges` pieces of 4 MiB in memory; beyond, transfers have one connection.
const SPREADS: usize = 8;

const AGENT: &str = concat!("Haulage/", env!("CARGO_PKG_VERSION"));

/// The guarded client. Clones share connections, limits and the resolver.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

pub(super) struct Inner {
    pub(super) guard: Arc<Guard>,
    exchange: Exchange,
    pub(super) slots: HostSlots,
    pub(super) manners: Manners,
    /// Transfers that may have several connections at once: each holds pieces in memory.
    pub(super) spreads: Arc<Semaphore>,
    pub(super) settings: FetchSettings,
    pub(super) clock: Clock,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher(..)")
    }
}

impl Fetcher {
    /// # Errors
    /// When the extra roots or the system's resolver configuration cannot be read.
    pub fn new(settings: FetchSettings) -> Result<Self, FetcherError> {
        let resolver = Arc::new(Dns::new(&settings.resolvers)?);
        Self::with_resolver(settings, resolver, Clock::System)
    }

    /// As [`Fetcher::new`], with somebody else to ask for addresses and for the time of day
    /// (which `Retry-After` dates are measured against).
    ///
    /// # Errors
    /// When the extra roots cannot be read.
    pub fn with_resolver(
        settings: FetchSettings,
        resolver: Arc<dyn Resolve>,
        clock: Clock,
    ) -> Result<Self, FetcherError> {
        Self::on_road(settings, resolver, clock, Road::Straight)
    }

    /// In a model of the network; all else is as it is.
    ///
    /// # Errors
    /// When the extra roots cannot be read.
    pub fn in_model(
        settings: FetchSettings,
        resolver: Arc<dyn Resolve>,
        clock: Clock,
        network: Arc<dyn Network>,
    ) -> Result<Self, FetcherError> {
        Self::on_road(settings, resolver, clock, Road::Model(network))
    }

    pub(super) fn on_road(
        settings: FetchSettings,
        resolver: Arc<dyn Resolve>,
        clock: Clock,
        road: Road,
    ) -> Result<Self, FetcherError> {
        let guard = Guard::new(settings.allow.clone(), settings.own_listeners.clone());
        let guard = Arc::new(guard);
        let connector = Connector {
            guard: Arc::clone(&guard),
            resolver,
            tls: Arc::new(tls_config(&settings)?),
            timeout: settings.connect_timeout,
            road,
        };
        let slots = HostSlots::new(settings.per_host);
        let exchange = Exchange::new(connector, settings.header_timeout, settings.per_host);
        let manners = Manners::default();
        let spreads = Arc::new(Semaphore::new(SPREADS));
        Ok(Self(Arc::new(Inner { guard, exchange, slots, manners, spreads, settings, clock })))
    }

    /// The firewall in force, for checks before a job is accepted.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Takes a place at the host of `url` for [`Fetcher::open`]; `None` when the host is full, or
    /// the URL is none that `open` would go to.
    pub fn place(&self, url: &SourceUrl) -> Option<Place> {
        let target = self.0.guard.target(url.expose()).ok()?;
        self.0.slots.take(target.host())
    }

    /// The places taken at each host that has any.
    pub fn places_taken(&self) -> BTreeMap<HostId, usize> {
        self.0.slots.taken()
    }

    /// Places at one host; 0 = no limit.
    pub fn per_host(&self) -> usize {
        self.0.slots.per_host()
    }

    /// Guards the URL, resolves, dials, sends a GET with the wanted headers (to the URL's own
    /// origin alone), follows redirects (each guarded anew), and returns once the head of an answer
    /// with a usable body is there. The place at its host is held until the [`Source`] is dropped; where
    /// a host is full, the error says [`Retry::AtNoCost`].
    ///
    /// With [`Wanted::from`] it asks for the rest, on condition that the version is the same. An
    /// answer that does not continue what is here begins at byte 0, if need be by asking once more
    /// for the whole: [`Source::offset`] says where the body begins.
    ///
    /// # Errors
    /// The fault that keeps the source from being read, and whether trying again can help.
    pub async fn open(&self, wanted: Wanted<'_>) -> Result<Source, FetchError> {
        let Wanted { url, headers, mut from, mut place } = wanted;
        let confided = confided(headers)?;
        let mut restart = None;
        // Twice at most: only a request for a rest is told to begin anew.
        loop {
            match self.0.ask(url, confided.clone(), from.as_ref(), place.take()).await? {
                Asked::Body(source) => return Ok(source.restarted(restart)),
                Asked::Anew(why) => (from, restart) = (None, Some(why)),
            }
        }
    }
}

/// How a request ended that met no fault.
#[expect(clippy::large_enum_variant, reason = "it lives as long as one return takes")]
enum Asked {
    Body(Source),
    /// The rest cannot be had in a way that is to be trusted: ask for the whole.
    Anew(Restart),
}

impl Inner {
    /// One chain of requests, from the URL of the job to an answer that is no redirect.
    async fn ask(
        &self,
        url: &SourceUrl,
        mut confided: HeaderMap,
        from: Option<&Resume>,
        mut place: Option<Place>,
    ) -> Result<Asked, FetchError> {
        let settings = &self.settings;
        let mut target = self.guard.target(url.expose()).map_err(|r| verdict::refused(&r))?;
        let first = target.host().to_owned();
        let mut chain_left =
            (settings.connect_timeout + settings.header_timeout).saturating_mul(CHAIN_FACTOR);
        let mut expired_link = false;
        for hop in 0.. {
            expired_link |= presigned::has_expired(target.path_and_query(), self.clock.now());
            let slot = self.place_at(target.host(), place.take(), &first)?;
            let began = Instant::now();
            let response = self.answer(&target, &confided, from).await?;
            match verdict::answer(response.status(), from.is_some()) {
                Meaning::Body => {
                    let (head, body) = response.into_parts();
                    check_codings(&head.headers)?;
                    let (status, place) = (head.status, target.place());
                    let source =
                        Source::new(status, &head.headers, body, settings, Some(slot), &place)?;
                    return Ok(Asked::Body(source.instead_of(from)));
                }
                Meaning::Rest => return self.rest(response, slot, &target.place(), from),
                Meaning::Anew => return Ok(Asked::Anew(Restart::NotContinued)),
                Meaning::Follow => {
                    if hop >= settings.redirects {
                        let message = format!("More than {} redirects.", settings.redirects);
                        return Err(error(FaultClass::Redirect, Retry::Never, message));
                    }
                    let (status, headers) = (response.status(), response.headers());
                    let next = self.redirected(&target, status, headers)?;
                    if !next.is_same_origin(&target) {
                        // For good: whoever leads back may have chosen where to.
                        confided.clear();
                    }
                    target = next;
                }
                Meaning::Permanent(class) => {
                    let status = response.status();
                    let expired = says_expired(response).await || expired_link;
                    let retry = verdict::refusal(status, expired_link);
                    return Err(verdict::status_fault(status, class, retry, expired));
                }
                Meaning::Doubtful(class) => {
                    let status = response.status();
                    return Err(verdict::status_fault(status, class, Retry::Once, false));
                }
                Meaning::Transient(class) => {
                    let retry = verdict::retry_after(response.headers(), self.clock.now());
                    return Err(verdict::status_fault(response.status(), class, retry, false));
                }
            }
            chain_left = chain_left.saturating_sub(began.elapsed());
            if chain_left.is_zero() {
                let message = "The redirects did not come to an end in time.";
                return Err(error(FaultClass::Stalled, Retry::Never, message));
            }
        }
        unreachable!("the number of redirects is limited")
    }

    /// A place for a request of a chain that began at the host `first`: the one that was taken in
    /// advance, if it is at this host.
    fn place_at(&self, host: &str, taken: Option<Place>, first: &str) -> Result<Place, FetchError> {
        let taken = taken.filter(|place| place.is_at(host));
        taken.or_else(|| self.slots.take(host)).ok_or_else(|| {
            if host != first {
                self.slots.lead(first, host);
            }
            let message = "The source's host has as many transfers as it may.";
            error(FaultClass::Internal, Retry::AtNoCost, message)
        })
    }

    /// A 206: the rest that was asked for, or something that is not to be trusted.
    fn rest(
        &self,
        response: Response<Body>,
        slot: Place,
        place: &str,
        from: Option<&Resume>,
    ) -> Result<Asked, FetchError> {
        let (head, body) = response.into_parts();
        let headers = &head.headers;
        let judged = match from {
            Some(resume) if check_codings(headers).is_ok() => {
                wanted::part(resume, place, headers).map(|part| (resume, part))
            }
            Some(_) | None => Err(Restart::NotContinued),
        };
        let (resume, part) = match judged {
            Ok(judged) => judged,
            Err(why) => return Ok(Asked::Anew(why)),
        };
        let source = Source::rest(headers, body, &self.settings, Some(slot), resume, part, place)?;
        Ok(source.map_or(Asked::Anew(Restart::NotContinued), Asked::Body))
    }

    /// Sends the request and waits for the head of the answer; once more on another connection
    /// when a kept one turns out to be dead (http_faults.md row 97).
    pub(super) async fn answer(
        &self,
        target: &Target,
        confided: &HeaderMap,
        from: Option<&Resume>,
    ) -> Result<Response<Body>, FetchError> {
        let ask = |over| -> Result<_, FetchError> {
            Ok(self.exchange.ask(target, request(target, confided, from)?, over))
        };
        match ask(Over::Any)?.await {
            Err(unanswered) if unanswered.stale => ask(Over::Fresh)?.await,
            other => other,
        }
        .map_err(|unanswered| verdict::no_answer(&unanswered.why))
    }

    fn redirected(
        &self,
        from: &Target,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Target, FetchError> {
        let mut locations = headers.get_all(LOCATION).iter();
        let location = locations.next().map_or(&b""[..], HeaderValue::as_bytes);
        if locations.any(|other| other.as_bytes() != location) {
            let message = "The origin redirects to two places at once.";
            return Err(error(FaultClass::Protocol, Retry::Never, message));
        }
        let Ok(location) = std::str::from_utf8(location) else {
            let message = "The origin redirects to nowhere: the target cannot be read.";
            return Err(error(FaultClass::Redirect, Retry::Never, message));
        };
        let location = location.trim_matches([' ', '\t']);
        if location.is_empty() {
            let class = FaultClass::HttpStatus;
            return Err(verdict::status_fault(status, class, Retry::Never, false));
        }
        self.guard.redirect(from, location).map_err(|r| verdict::refused_redirect(&r))
    }
}

/// The caller's headers as HTTP has them, marked as sensitive: their values are never printed.
pub(super) fn confided(headers: &SourceHeaders) -> Result<HeaderMap, FetchError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        let Some((name, mut value)) = pair else {
            let message = "A header given for the source is not one that HTTP can carry.";
            return Err(error(FaultClass::Url, Retry::Never, message));
        };
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

/// The request says as little as possible: nothing of an earlier hop, and of the caller only the
/// headers confided for this origin.
fn request(
    target: &Target,
    confided: &HeaderMap,
    from: Option<&Resume>,
) -> Result<Get, FetchError> {
    let unusable = || {
        let message = "Not a usable source: the URL has characters that HTTP cannot carry.";
        error(FaultClass::Url, Retry::Never, message)
    };
    let host = target.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let (scheme, usual) = if target.is_https() { ("https", 443) } else { ("http", 80) };
    let authority = if target.port() == usual { host } else { format!("{host}:{}", target.port()) };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(target.path_and_query())
        .build()
        .map_err(|_| unusable())?;
    let mut request = Request::get(uri)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .body(Empty::new())
        .map_err(|_| unusable())?;
    // A caller may be another agent and accept other things, but never another coding.
    let headers = request.headers_mut();
    for (name, value) in confided {
        headers.insert(name, value.clone());
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(resume) = from {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| unusable());
        let last = resume.last.map(|last| last.to_string()).unwrap_or_default();
        headers.insert(RANGE, value(&format!("bytes={}-{last}", resume.offset))?);
        headers.insert(IF_RANGE, value(resume.version.validator.as_str())?);
    }
    Ok(request)
}

/// The bytes that come are the file's own: asked for as they are, never unpacked here, never
/// stored packed (http_faults.md row 106).
pub(super) fn check_codings(headers: &HeaderMap) -> Result<(), FetchError> {
    let only = |name, plain: &str| {
        headers.get_all(name).iter().all(|value| {
            let value = value.to_str().unwrap_or("?");
            value.split(',').all(|coding| {
                let coding = coding.trim();
                coding.is_empty() || coding.eq_ignore_ascii_case(plain)
            })
        })
    };
    if only(CONTENT_ENCODING, "identity") && only(TRANSFER_ENCODING, "chunked") {
        return Ok(());
    }
    let message = "The origin sent the file in an encoding that was not asked for.";
    Err(error(FaultClass::Protocol, Retry::Never, message))
}

/// Whether a refusal is about a link that has expired, as presigned links do. The body is only
/// searched for the word; nothing of it is kept (lessons.md row 5).
async fn says_expired(response: Response<Body>) -> bool {
    if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return false;
    }
    let mut body = response.into_body();
    let mut text = Vec::new();
    let read = async {
        while text.len() < REFUSAL_BYTES
            && let Ok(Some(piece)) = body.piece().await
        {
            let room = REFUSAL_BYTES - text.len();
            text.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    };
    // What was read in time is searched.
    drop(timeout(REFUSAL_TIME, read).await);
    text.windows(7).any(|word| word.eq_ignore_ascii_case(b"expired"))
}

/// The public roots, and those of the PEM file `extra`.
///
/// # Errors
/// [`FetcherError::ExtraCa`] when the file cannot be read or holds none.
pub fn trusted_roots(extra: Option<&Path>) -> Result<RootCertStore, FetcherError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let unreadable = |cause: String| FetcherError::ExtraCa { path: path.to_owned(), cause };
        let found = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(e.to_string()))?;
        let before = roots.len();
        for certificate in found {
            let certificate = certificate.map_err(|e| unreadable(e.to_string()))?;
            roots.add(certificate).map_err(|e| unreadable(e.to_string()))?;
        }
        if roots.len() == before {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
    }
    Ok(roots)
}

fn tls_config(settings: &FetchSettings) -> Result<ClientConfig, FetcherError> {
    let roots = trusted_roots(settings.extra_ca.as_deref())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| FetcherError::Tls(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if settings.http2 {
        config.alpn_protocols.push(connect::H2.to_vec());
    }
    Ok(config)
}
