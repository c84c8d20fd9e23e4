//! Who is signed in: the cookie, the session behind it, and the token that every form carries.
//!
//! The cookie holds 256 random bits; the store keeps their SHA-256, so a copy of the database opens
//! no session. A session lives as long as its access key may sign: every visit asks again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use wire::code::{Code, Fault};

use super::live::Streams;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::door::random;
use crate::door::vault::Vault;
use crate::ops::store_fault;
use crate::store::ConsoleSession;

/// Name of the cookie.
pub const COOKIE: &str = "haulage-session";
/// Random bytes of the cookie's token.
const TOKEN_BYTES: usize = 32;

/// What the console keeps beside the API.
pub struct Console {
    /// Makes the tokens of forms; from the vault, for this purpose alone.
    forms: Hmac<Sha256>,
    /// How long a session lasts.
    pub session: Duration,
    pub(super) streams: Arc<Streams>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Console({:?})", self.session)
    }
}

impl Console {
    pub fn new(vault: &Vault, session: Duration) -> Self {
        let key = vault.derive("console forms");
        let forms = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        Self { forms, session, streams: Arc::default() }
    }

    /// The token of a session's forms.
    pub(super) fn token(&self, session: &[u8; 32]) -> String {
        let mut mac = self.forms.clone();
        mac.update(session);
        hex::encode(mac.finalize().into_bytes())
    }

    /// Whether `token` is the session's; in constant time.
    pub(super) fn is_token(&self, session: &[u8; 32], token: &str) -> bool {
        let Ok(sent) = hex::decode(token) else { return false };
        let mut mac = self.forms.clone();
        mac.update(session);
        mac.verify_slice(&sent).is_ok()
    }
}

/// The session of a browser and whom it acts for; `None` when there is none, it is over, or its key
/// or account may not sign any more.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn find(
    api: &Api,
    headers: &HeaderMap,
) -> Result<Option<(ConsoleSession, Caller)>, Fault> {
    let Some(hash) = hash_of(headers) else { return Ok(None) };
    find_by_hash(api, &hash).await
}

/// As [`find`], for a stream that goes on.
pub(super) async fn find_by_hash(
    api: &Api,
    hash: &[u8; 32],
) -> Result<Option<(ConsoleSession, Caller)>, Fault> {
    let found = api.store.session_find(hash, api.clock.now()).await.map_err(store_fault)?;
    let Some(session) = found else { return Ok(None) };
    match api.auth.session_caller(&session.access_key_id).await {
        Ok(caller) => Ok(Some((session, caller))),
        Err(fault) if is_about_the_key(fault.code()) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn is_about_the_key(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidAccessKeyIdNotFound | Code::InvalidAccessKeyIdInactive | Code::ForbiddenRAM
    )
}

/// Opens a session of an access key: the header that gives the browser its cookie.
///
/// # Errors
/// When the key may not sign, or the store does not answer.
pub(super) async fn open(api: &Api, access_key_id: &str) -> Result<HeaderValue, Fault> {
    api.auth.session_caller(access_key_id).await?;
    let token: [u8; TOKEN_BYTES] = random::bytes();
    let token = hex::encode(token);
    let now = api.clock.now();
    let session = ConsoleSession {
        hash: Sha256::digest(&token).into(),
        access_key_id: access_key_id.to_owned(),
        created: now,
        expires: now + api.console.session,
    };
    api.store.session_open(session).await.map_err(store_fault)?;
    Ok(cookie(api, &token, api.console.session))
}

/// Ends the browser's session, if it has one: the header that takes the cookie away.
///
/// # Errors
/// When the store does not answer; the session may still be open then.
pub(super) async fn close(api: &Api, headers: &HeaderMap) -> Result<HeaderValue, Fault> {
    if let Some(hash) = hash_of(headers) {
        api.store.session_close(&hash).await.map_err(store_fault)?;
    }
    Ok(cookie(api, "", Duration::ZERO))
}

fn cookie(api: &Api, token: &str, age: Duration) -> HeaderValue {
    let secure = if api.public_url.starts_with("https://") { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        age.as_secs()
    );
    HeaderValue::try_from(text).expect("hexadecimal digits and attributes are a header's value")
}

fn hash_of(headers: &HeaderMap) -> Option<[u8; 32]> {
    headers.get_all(header::COOKIE).iter().find_map(hash_of_cookie)
}

/// The hash of the session that a `Cookie` or `Set-Cookie` value names.
pub(super) fn hash_of_cookie(value: &HeaderValue) -> Option<[u8; 32]> {
    let pairs = value.to_str().ok()?.split(';');
    let mut tokens = pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let token = tokens.next()?;
    (token.len() == 2 * TOKEN_BYTES).then(|| Sha256::digest(token).into())
}

/// Whether a request that changes something comes from a page of this server. Browsers say so
/// themselves; a program that says nothing holds no cookie of anybody's.
pub(super) fn is_same_origin(api: &Api, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    origin == origin_of(&api.public_url) || (authority.is_some() && authority == text(header::HOST))
}

/// Scheme, host and port of a URL.
pub(super) fn origin_of(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let end = rest.find('/').unwrap_or(rest.len());
    &url[..scheme.len() + 3 + end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_session_alone() {
        let console = Console::new(&Vault::new([7; 32]), Duration::from_secs(60));
        let token = console.token(&[1; 32]);
        assert!(console.is_token(&[1; 32], &token));
        assert!(!console.is_token(&[2; 32], &token));
        assert!(!console.is_token(&[1; 32], ""));
        assert!(!console.is_token(&[1; 32], "no hex"));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let token = "ab".repeat(TOKEN_BYTES);
        let mut headers = HeaderMap::new();
        let value = format!("a=b; {COOKIE}={token}; {COOKIE}x=1");
        headers.insert(header::COOKIE, value.parse().unwrap());
        assert_eq!(hash_of(&headers), Some(Sha256::digest(&token).into()));
        headers.insert(header::COOKIE, format!("x{COOKIE}={token}").parse().unwrap());
        assert_eq!(hash_of(&headers), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin_of("https://a.example:1/x/y"), "https://a.example:1");
        assert_eq!(origin_of("http://a.example"), "http://a.example");
    }
}
