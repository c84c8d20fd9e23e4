//! Play URLs: `GET /media/{media id}.{extension}?Expires=…&Signature=…`.
//!
//! Whoever holds the URL may read the one medium until it expires; nothing else is asked. The
//! signature is checked before the store is, so a guessed URL costs one MAC and teaches nothing:
//! wrong and expired ones get 403 alike.
//!
//! HTTP semantics are those of RFC 9110: preconditions (§13), one range (§14), strong entity tags.
//! An object never changes under its URL, so the SHA-256 of its bytes is its tag.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::blob::{BlobError, Delivery, Locations, ObjectReader};
use crate::domain::id::{IdCodec, Key};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::time::Timestamp;
use crate::door::Clock;
use crate::store::Store;

mod conditions;

use conditions::{Answer, Validators};

/// Where play URLs begin, below the public base.
pub const PREFIX: &str = "/media/";
/// Longest query string that is looked at, in bytes; ours has about 80.
const QUERY_LIMIT: usize = 1024;
/// Longest time a client may keep a copy, in seconds; less when the URL expires sooner.
const CACHE_SECONDS: i64 = 3600;

/// Makes and checks play URLs.
#[derive(Clone)]
pub struct PlayUrls {
    base: String,
    mac: Hmac<Sha256>,
}

impl fmt::Debug for PlayUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlayUrls({})", self.base)
    }
}

/// Why a play URL is not honoured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MediaRefusal {
    /// Not signed by us for this medium, or altered.
    #[error("The signature of this play URL is not valid. Ask GetPlayInfo for a new one.")]
    Signature,
    /// Its time is over.
    #[error("This play URL has expired. Ask GetPlayInfo for a new one.")]
    Expired,
}

impl PlayUrls {
    /// Play URLs below `base` (scheme, host and port, with or without a final slash), signed with
    /// a key that serves no other purpose (`Vault::derive`).
    pub fn new(base: String, key: [u8; 32]) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        Self { base, mac }
    }

    /// A URL for a medium until `expires`, to the second; its name as [`file_name`] has it.
    pub fn sign(&self, media: Key, codec: &IdCodec, extension: &str, expires: Timestamp) -> String {
        let name = file_name(codec, media, extension);
        let expires = expires.seconds().to_string();
        let signature =
            URL_SAFE_NO_PAD.encode(self.signed(&name, &expires).finalize().into_bytes());
        format!("{}{PREFIX}{name}?Expires={expires}&Signature={signature}", self.base)
    }

    /// The medium that a URL of ours names, if it is still good at `now`. `path` and `query` as in
    /// the request line; further parameters, which players add, do not count.
    ///
    /// # Errors
    /// A [`MediaRefusal`]; nothing else was looked at.
    pub fn verify(
        &self,
        codec: &IdCodec,
        path: &str,
        query: Option<&str>,
        now: Timestamp,
    ) -> Result<Key, MediaRefusal> {
        self.grant(codec, path, query, now).map(|grant| grant.media)
    }

    fn grant<'a>(
        &self,
        codec: &IdCodec,
        path: &'a str,
        query: Option<&str>,
        now: Timestamp,
    ) -> Result<Grant<'a>, MediaRefusal> {
        const WRONG: MediaRefusal = MediaRefusal::Signature;
        let name = path.strip_prefix(PREFIX).ok_or(WRONG)?;
        let query = query.filter(|query| query.len() <= QUERY_LIMIT).ok_or(WRONG)?;
        let expires = only(query, "Expires").ok_or(WRONG)?;
        let signature = only(query, "Signature").ok_or(WRONG)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| WRONG)?;
        // Compares in constant time.
        self.signed(name, expires).verify_slice(&signature).map_err(|_| WRONG)?;
        let seconds: i64 = expires.parse().map_err(|_| WRONG)?;
        let id = name.split_once('.').map_or(name, |(id, _)| id);
        let media = codec.media_key(id).ok_or(WRONG)?;
        if now.seconds() >= seconds {
            return Err(MediaRefusal::Expired);
        }
        Ok(Grant { media, name, seconds_left: seconds - now.seconds() })
    }

    /// Neither a name nor a number contains a line feed, so no two pairs sign the same text.
    fn signed(&self, name: &str, expires: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(b"play\n");
        mac.update(name.as_bytes());
        mac.update(b"\n");
        mac.update(expires.as_bytes());
        mac
    }
}

/// The value of a query parameter that appears exactly once.
fn only<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(key, value)| (key == name).then_some(value));
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// A good play URL.
struct Grant<'a> {
    media: Key,
    /// File name as in the URL: 32 hex digits and an extension.
    name: &'a str,
    seconds_left: i64,
}

/// What serving media needs.
#[derive(Clone, Debug)]
pub struct MediaDeps {
    pub store: Arc<dyn Store>,
    pub locations: Locations,
    pub urls: PlayUrls,
    pub codec: IdCodec,
    pub clock: Clock,
}

/// Answers a request below [`PREFIX`]. `path` and `query` are those of the request line, still
/// encoded.
pub async fn serve(
    deps: &MediaDeps,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let mut response = match *method {
        Method::GET | Method::HEAD => medium(deps, method, path, query, headers).await,
        Method::OPTIONS => preflight(),
        _ => {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "Use GET or HEAD.");
            set(&mut refused, header::ALLOW, "GET, HEAD, OPTIONS");
            refused
        }
    };
    // For players on other origins; the URL is the permission, no cookie is.
    set(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(
        &mut response,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "Accept-Ranges, Content-Length, Content-Range, ETag",
    );
    set(&mut response, HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// Lets browsers ask for ranges from other origins.
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD");
    set(
        &mut response,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since",
    );
    set(&mut response, header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

async fn medium(
    deps: &MediaDeps,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let grant = match deps.urls.grant(&deps.codec, path, query, deps.clock.now()) {
        Ok(grant) => grant,
        Err(refusal) => return plain(StatusCode::FORBIDDEN, &refusal.to_string()),
    };
    let (object, facts) = match deps.store.media_object(grant.media).await {
        Ok(Some(found)) => found,
        Ok(None) => return plain(StatusCode::NOT_FOUND, "This medium does not exist any more."),
        Err(error) => {
            tracing::error!(media = grant.media.0, %error, "cannot look up a medium to play");
            return unavailable();
        }
    };
    let reader = match open(deps, &object).await {
        Ok(Some(reader)) if reader.size() == object.size => reader,
        Ok(found) => {
            // A success in the store stands for a whole object: this is damage, not a client's slip.
            let found = found.map(|reader| reader.size());
            tracing::error!(
                key = object.object_key,
                size = object.size,
                ?found,
                "an object is missing or has another size"
            );
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "This medium is damaged.");
        }
        Err(error) => {
            tracing::error!(key = object.object_key, %error, "cannot open an object to play");
            return unavailable();
        }
    };
    let validators = Validators::new(&tag(&object), reader.modified());
    let mut response = match conditions::answer(method, headers, &validators, object.size) {
        Answer::Whole => body(&object, &reader, StatusCode::OK, 0, object.size, method).await,
        Answer::Part { first, last } => {
            let partial = StatusCode::PARTIAL_CONTENT;
            let mut part = body(&object, &reader, partial, first, last - first + 1, method).await;
            if part.status() == partial {
                let range = format!("bytes {first}-{last}/{}", object.size);
                set(&mut part, header::CONTENT_RANGE, &range);
            }
            part
        }
        Answer::NotModified => empty(StatusCode::NOT_MODIFIED),
        Answer::PreconditionFailed => {
            return plain(StatusCode::PRECONDITION_FAILED, "The medium does not match.");
        }
        Answer::Unsatisfiable => {
            let mut none = plain(StatusCode::RANGE_NOT_SATISFIABLE, "No byte is in this range.");
            set(&mut none, header::CONTENT_RANGE, &format!("bytes */{}", object.size));
            return none;
        }
    };
    if response.status().is_server_error() {
        return response;
    }
    set(&mut response, header::ETAG, &validators.etag);
    if let Some(modified) = &validators.last_modified {
        set(&mut response, header::LAST_MODIFIED, modified);
    }
    let keep = grant.seconds_left.min(CACHE_SECONDS);
    set(&mut response, header::CACHE_CONTROL, &format!("private, max-age={keep}"));
    if response.status() != StatusCode::NOT_MODIFIED {
        describe(&mut response, &facts, grant.name);
    }
    response
}

async fn open(deps: &MediaDeps, object: &StoredObject) -> Result<Option<ObjectReader>, BlobError> {
    deps.locations.of(&object.location)?.open(&object.object_key).await
}

/// The bytes, or for HEAD the head that they would have.
async fn body(
    object: &StoredObject,
    reader: &ObjectReader,
    status: StatusCode,
    start: u64,
    len: u64,
    method: &Method,
) -> Response<Body> {
    let mut response = empty(status);
    set(&mut response, header::CONTENT_LENGTH, &len.to_string());
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    if *method == Method::HEAD {
        return response;
    }
    match reader.read_range(start, len).await {
        Ok(stream) => *response.body_mut() = Body::from_stream(stream),
        Err(error) => {
            tracing::error!(key = object.object_key, %error, "cannot read an object to play");
            return unavailable();
        }
    }
    response
}

/// Says what the bytes are.
fn describe(response: &mut Response<Body>, facts: &MediaFacts, name: &str) {
    let delivery = delivery(facts, name);
    set(response, header::CONTENT_TYPE, &delivery.content_type);
    set(response, header::CONTENT_DISPOSITION, &delivery.disposition);
}

/// How a medium is served, by us or by its bucket. Only types that no browser runs as a page or
/// program are named; the rest, such as Flash, is a file to save. `name` has letters, digits and
/// one dot.
pub fn delivery(facts: &MediaFacts, name: &str) -> Delivery {
    let playable = is_playable(&facts.content_type);
    let content_type = if playable { &facts.content_type } else { "application/octet-stream" };
    let disposition = if playable { "inline" } else { "attachment" };
    Delivery {
        content_type: content_type.to_owned(),
        disposition: format!("{disposition}; filename=\"{name}\"; filename*=UTF-8''{name}"),
    }
}

/// The file name of a medium in its play URL. `extension` is for the eyes of players; what is not a
/// letter or digit of ASCII is left out of it.
pub fn file_name(codec: &IdCodec, media: Key, extension: &str) -> String {
    let extension: String = extension.chars().filter(char::is_ascii_alphanumeric).collect();
    match extension.as_str() {
        "" => codec.media_id(media),
        extension => format!("{}.{extension}", codec.media_id(media)),
    }
}

fn is_playable(content_type: &str) -> bool {
    const OTHERS: [&str; 4] = [
        "image/gif",
        "application/mxf",
        "application/vnd.apple.mpegurl",
        "application/vnd.rn-realmedia",
    ];
    content_type.starts_with("video/")
        || content_type.starts_with("audio/")
        || OTHERS.contains(&content_type)
}

/// What tells an object from another: it is never changed, and so is its medium's.
fn tag(object: &StoredObject) -> String {
    match &object.sha256 {
        Some(sha256) => sha256.clone(),
        None => format!("{:016x}-{:x}", object.crc64, object.size),
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A short answer in words.
fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    set(&mut response, header::CONTENT_LENGTH, &(text.len() + 1).to_string());
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

fn unavailable() -> Response<Body> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "The storage does not answer.");
    set(&mut response, header::RETRY_AFTER, "5");
    response
}

/// Sets a header. A value that no header can hold is left out; ours are ASCII by construction.
fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests;
