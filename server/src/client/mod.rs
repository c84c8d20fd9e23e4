//! A small client of the API: what the command line verbs and the demo send goes through here,
//! signed (V3) and over HTTP, exactly as an SDK's calls would.
//!
//! The server's address comes from whoever runs the program, not from a caller of the API, so it
//! does not pass the egress firewall. Proxies in the environment are ignored.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wire::sign::client::{Moment, Signer};

use crate::door::{Clock, random};

mod calls;
mod credentials;

pub use calls::{
    Canceled, ConsoleTicket, InfoPage, Infos, JobInfo, Outcome, PlayInfo, PlayInfos, Progress,
    Replaced, Replacement, Search, Selector, Submitted, UploadJob, UploadRequest, VideoBase,
    metadata_url,
};
pub use credentials::Credentials;

/// TCP and TLS of one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A call from its first byte to the last of its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer to a call, in bytes: 100 records of 8 KiB URLs and as much user data fit.
const ANSWER_LIMIT: usize = 8 << 20;
/// Characters of a random nonce.
const NONCE_LENGTH: usize = 32;
/// The header by which a throttled caller learns when to come back, in milliseconds.
const RETRY_AFTER: &str = "x-acs-retry-after";

/// Calls one server with one key.
#[derive(Clone)]
pub struct Client {
    server: Server,
    key: Credentials,
    clock: Clock,
    call_timeout: Duration,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}, {:?})", self.server.base, self.key)
    }
}

/// The address of a server: scheme, host and port, no path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    base: String,
    /// As it stands in the `Host` header.
    authority: String,
}

/// What cannot be the address of a server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the address of a server; accepted: such as http://127.0.0.1:8710")]
pub struct BadServer(String);

impl std::str::FromStr for Server {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        // What stands after the host could be a secret, and is wrong anyway.
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let bad = || BadServer(shown.rsplit('@').next().unwrap_or_default().to_owned());
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().filter(|s| matches!(*s, "http" | "https")).ok_or_else(bad)?;
        let authority = uri.authority().map(|a| a.as_str()).filter(|a| !a.contains('@'));
        let authority = authority.ok_or_else(bad)?.to_owned();
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(bad());
        }
        Ok(Self { base: format!("{scheme}://{authority}"), authority })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Why there is no answer, or not the one hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no server answers at {server} ({reason}); is `haulage serve` running there?")]
    Unreachable { server: String, reason: String },
    #[error("the server at {server} did not answer within {} s", after.as_secs())]
    TooSlow { server: String, after: Duration },
    #[error("the connection to {server} broke ({reason})")]
    Broken { server: String, reason: String },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("what answers at {server} is not Haulage: HTTP {status} with an unreadable body")]
    NotOurs { server: String, status: u16 },
    #[error("{0} is no URL that can be fetched")]
    BadUrl(String),
    #[error("HTTP {0}")]
    Status(u16),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ClientError {
    /// Whether the same call may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Broken { .. } => true,
            Self::Refused(refusal) => refusal.status >= 500 || refusal.retry_after.is_some(),
            Self::TooLarge { .. } | Self::NotOurs { .. } | Self::BadUrl(_) | Self::Status(_) => {
                false
            }
        }
    }
}

/// The server's no, as it said it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}\n  request {request_id}\n  see {recommend}")]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub request_id: String,
    /// Page that explains the code.
    pub recommend: String,
    pub retry_after: Option<Duration>,
}

/// The body of a refusal.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefusalBody {
    code: String,
    message: String,
    request_id: String,
    #[serde(default)]
    recommend: String,
}

/// Bytes fetched from a play URL.
#[derive(Debug)]
pub struct Fetched {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new(server: Server, key: Credentials, clock: Clock) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(provider)
            .expect("the provider supports the default protocol versions")
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        #[expect(clippy::disallowed_methods, reason = "the operator names this server, no caller")]
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { server, key, clock, call_timeout: CALL_TIMEOUT, http }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Sends one signed call and reads its answer.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer.
    async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        params: &[(String, String)],
    ) -> Result<T, ClientError> {
        let key = &self.key;
        let signer = Signer {
            access_key_id: &key.access_key_id,
            access_key_secret: &key.access_key_secret,
            security_token: None,
        };
        let nonce = random::alphanumeric(NONCE_LENGTH);
        let at = Moment { unix_seconds: self.clock.now().seconds(), nonce: &nonce };
        let signed = signer.v3(&self.server.authority, action, params, at);
        let mut request = Request::builder()
            .method(signed.method)
            .uri(format!("{}{}", self.server.base, signed.path_and_query));
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::from(signed.body))
            .map_err(|_| ClientError::BadUrl(self.server.base.clone()))?;
        let answer = self.exchange(request, ANSWER_LIMIT).await?;
        let not_ours =
            || ClientError::NotOurs { server: self.server.to_string(), status: answer.status };
        if (200..300).contains(&answer.status) {
            return serde_json::from_slice(&answer.body).map_err(|_| not_ours());
        }
        let body: RefusalBody = serde_json::from_slice(&answer.body).map_err(|_| not_ours())?;
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
        Err(Refusal {
            status: answer.status,
            code: body.code,
            message: body.message,
            request_id: body.request_id,
            recommend: body.recommend,
            retry_after: retry_after.and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
        }
        .into())
    }

    /// Fetches a play URL, unsigned as a player would; `range` is the value of a `Range` header.
    ///
    /// # Errors
    /// When there is no answer, it is no success, or it is larger than `limit` bytes.
    pub async fn fetch(
        &self,
        url: &str,
        range: Option<&str>,
        limit: usize,
    ) -> Result<Fetched, ClientError> {
        let mut request = Request::get(url);
        if let Some(range) = range {
            request = request.header(http::header::RANGE, range);
        }
        // The query of a play URL is its signature: it stays out of messages.
        let shown = || url.split('?').next().unwrap_or_default().to_owned();
        let request = request.body(Full::default()).map_err(|_| ClientError::BadUrl(shown()))?;
        let fetched = self.exchange(request, limit).await?;
        let status = StatusCode::from_u16(fetched.status);
        if status.is_ok_and(|status| status.is_success()) {
            Ok(fetched)
        } else {
            Err(ClientError::Status(fetched.status))
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Fetched, ClientError> {
        let server = || self.server.to_string();
        let exchange = async {
            let response = self.http.request(request).await.map_err(|e| {
                let reason = innermost(&e);
                if e.is_connect() {
                    ClientError::Unreachable { server: server(), reason }
                } else {
                    ClientError::Broken { server: server(), reason }
                }
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, limit).collect().await.map_err(|e| {
                if e.is::<http_body_util::LengthLimitError>() {
                    ClientError::TooLarge { limit }
                } else {
                    ClientError::Broken { server: server(), reason: innermost(e.as_ref()) }
                }
            })?;
            let (status, headers) = (head.status.as_u16(), head.headers);
            Ok(Fetched { status, headers, body: body.to_bytes() })
        };
        let slow = |_| ClientError::TooSlow { server: server(), after: self.call_timeout };
        tokio::time::timeout(self.call_timeout, exchange).await.map_err(slow)?
    }
}

/// The cause at the bottom of a chain: "connection refused" rather than "client error (Connect)".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

#[cfg(test)]
mod tests;
