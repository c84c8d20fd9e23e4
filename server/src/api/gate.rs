//! The way of an API request, from its bytes to its answer. Which of two errors wins is
//! observable, so the order of the checks (contract §8.1) is one function: [`pass`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;
use wire::action;
use wire::code::{Code, Fault};
use wire::envelope::{self, Format, HttpParts};
use wire::params::{BODY_LIMIT, Params};
use wire::reply::{Reply, render_fault};
use wire::spec::Operation;

use super::Api;
use super::auth::Caller;
use super::listen::Peer;
use super::records::{Entry, Scheme};
use crate::domain::account::{AccountId, Subject};
use crate::door::random;
use crate::ops::store_fault;
use crate::store::{Nonce, NonceUse};
use crate::telemetry::metrics::RequestLabels;

/// How long a nonce stays used: a request is valid for 15 minutes before and after its time, and
/// one minute of grace covers the edges (contract §6).
const NONCE_WINDOW: Duration = Duration::from_secs(31 * 60);
/// A client has this long to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// `HostId` of requests that name no host.
const NO_HOST: &str = "unknown";

/// A request, whole, owned: the answer is made apart from its connection.
struct Arrived {
    method: Method,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Answers an API request. The answer is made on a task of its own: a client that hangs up does
/// not tear an operation in half, and a panic still answers in the API's shape.
pub(super) async fn answer(api: Arc<Api>, request: Request) -> Response {
    let started = Instant::now();
    let request_id = random::request_id();
    let host = host_of(request.headers());
    let source = Peer::of(&request);
    let arrived = match arrive(request).await {
        Ok(arrived) => arrived,
        Err(fault) => {
            let response = fault_response(&api, &fault, Format::Json, &request_id, &host);
            let seen = Seen::nothing(Format::Json);
            record(&api, request_id, source, started, seen, Some(fault));
            return response;
        }
    };
    let format = arrived.with_parts(envelope::guess_format);
    let worker = api.clone();
    let id = request_id.clone();
    let made = api.tasks.spawn("request", async move { pass(&worker, &arrived, &id).await }).await;
    let passed = made.ok().flatten().unwrap_or_else(|| Passed {
        seen: Seen::nothing(format),
        outcome: Err(Fault::new(Code::InternalError)),
    });
    let Passed { seen, outcome } = passed;
    let response = match &outcome {
        Ok(reply) => {
            let body = reply.render(seen.format, &request_id);
            finish(StatusCode::OK, seen.format, &request_id, body)
        }
        Err(fault) => fault_response(&api, fault, seen.format, &request_id, &host),
    };
    let labels = RequestLabels { operation: seen.operation, status: response.status().as_u16() };
    record(&api, request_id, source, started, seen, outcome.err());
    api.metrics.requests.get_or_create(&labels).inc();
    api.metrics.request_seconds.observe(started.elapsed().as_secs_f64());
    response
}

/// What became of a request.
struct Passed {
    seen: Seen,
    outcome: Result<Reply, Fault>,
}

/// What is known of a request, as far as it came.
struct Seen {
    operation: &'static str,
    format: Format,
    scheme: Scheme,
    access_key_id: String,
    /// Whose key that is, whether or not the signature was right.
    account: Option<AccountId>,
}

impl Seen {
    fn nothing(format: Format) -> Self {
        Self {
            operation: "unknown",
            format,
            scheme: Scheme::Unknown,
            access_key_id: String::new(),
            account: None,
        }
    }
}

/// Remembers a request for whoever asks about it by its id.
fn record(
    api: &Api,
    request_id: String,
    source: Option<IpAddr>,
    started: Instant,
    seen: Seen,
    fault: Option<Fault>,
) {
    api.records.add(Entry {
        request_id,
        time: api.clock.now(),
        operation: seen.operation,
        access_key_id: seen.access_key_id,
        account: seen.account,
        source,
        took: started.elapsed(),
        scheme: seen.scheme,
        fault,
    });
}

/// The order of checks: parse, format, version and action, common parameters, access key, time,
/// signature, nonce, account, throttle, whose things are meant, operation parameters, operation.
async fn pass(api: &Api, arrived: &Arrived, request_id: &str) -> Passed {
    let mut seen = Seen::nothing(arrived.with_parts(envelope::guess_format));
    let outcome = steps(api, arrived, &mut seen).await;
    if let Err(fault) = &outcome {
        tracing::info!(
            request_id,
            operation = seen.operation,
            code = %fault.code_text(),
            "request refused"
        );
    }
    Passed { seen, outcome }
}

async fn steps(api: &Api, arrived: &Arrived, seen: &mut Seen) -> Result<Reply, Fault> {
    let content_type = arrived.header("content-type");
    let params = Params::parse(&arrived.query, content_type, &arrived.body)?;
    let envelope = arrived.with_parts(|parts| envelope::read(parts, &params))?;
    seen.operation = envelope.operation.action;
    seen.format = envelope.format;
    seen.access_key_id = envelope.credentials.access_key_id.clone();
    seen.scheme = match envelope.credentials.scheme {
        envelope::Scheme::V1 => Scheme::V1,
        envelope::Scheme::V3 => Scheme::V3,
    };
    let now = api.clock.now();

    let caller = api.auth.authenticate(&envelope.credentials, now, |credentials, secret| {
        arrived.with_parts(|parts| credentials.verify(parts, &params, secret))
    });
    let caller = caller.await.map_err(|refusal| {
        seen.account = refusal.account;
        refusal.fault
    })?;
    seen.account = Some(caller.account);
    let nonce = Nonce {
        access_key_id: &envelope.credentials.access_key_id,
        value: &envelope.credentials.nonce,
        expires: now + NONCE_WINDOW,
        now,
    };
    // A replay is told so before it is counted, and a throttled call does not use its nonce up.
    if api.store.nonce_seen(nonce).await.map_err(store_fault)? {
        return Err(Fault::new(Code::SignatureNonceUsed));
    }
    caller.check_account()?;
    if let Err(retry_after_ms) = api.throttle.admit(caller.account, envelope.operation).await {
        api.metrics.throttled.inc();
        return Err(Fault::new(Code::ThrottlingUser).retry_after(retry_after_ms));
    }
    let durable = match api.store.nonce_take(nonce).await.map_err(store_fault)? {
        NonceUse::Fresh(durable) => durable,
        NonceUse::Replayed => return Err(Fault::new(Code::SignatureNonceUsed)),
    };
    let answer = run(api, &caller, envelope.operation, &params).await;
    // The answer is an acknowledgement, also that this nonce is used up.
    durable.await.map_err(store_fault)?;
    answer
}

async fn run(
    api: &Api,
    caller: &Caller,
    operation: &Operation,
    params: &Params,
) -> Result<Reply, Fault> {
    let subject = subject(api, caller, params.get("Account"), operation).await?;
    let request = action::Request::parse(operation, params)?;
    api.ops.run(&subject, request).await
}

/// Operations that can be about every account at once.
const FOR_ALL: [&str; 3] = ["ListUrlUploadJobs", "GetUploadStatistics", "ListAccessKeys"];

/// Whose things a request is about: the caller's own, or, for operators, those of the account that
/// the parameter `Account` names, or of all (`*`).
///
/// # Errors
/// `Forbidden.RAM` when somebody else names an account that is not their own, whether or not it
/// exists; `InvalidParameter.Account` when an operator names none that exists, or all of them
/// where an operation is about one.
pub async fn subject(
    api: &Api,
    caller: &Caller,
    account_param: Option<&str>,
    operation: &Operation,
) -> Result<Subject, Fault> {
    let own = Subject {
        access_key_id: caller.access_key_id.clone(),
        ..Subject::own(caller.account, caller.operator)
    };
    let name = match account_param {
        None | Some("") => return Ok(own),
        Some(name) if name == caller.name => return Ok(own),
        Some(name) => name,
    };
    if !caller.operator {
        return Err(Fault::new(Code::ForbiddenRAM));
    }
    if name == "*" {
        if FOR_ALL.contains(&operation.action) {
            return Ok(Subject { all: true, ..own });
        }
        let why = format!("Only {} take every account.", FOR_ALL.join(", "));
        return Err(Fault::invalid_because("Account", why));
    }
    let accounts = api.store.account_list().await.map_err(store_fault)?;
    match accounts.into_iter().find(|account| account.name == name) {
        Some(account) => Ok(Subject { account: account.id, ..own }),
        None => Err(Fault::invalid_because("Account", "No account has this name.")),
    }
}

impl Arrived {
    fn with_parts<T>(&self, read: impl FnOnce(&HttpParts<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        read(&HttpParts {
            method: self.method.as_str(),
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Takes the request in, within the limits.
async fn arrive(request: Request) -> Result<Arrived, Fault> {
    let (parts, body) = request.into_parts();
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT).collect());
    let body = match collected.await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Fault::new(Code::RequestTooLarge));
        }
        Ok(Err(_)) | Err(_) => {
            let message = "The request's body did not arrive whole.";
            return Err(Fault::with_message(Code::InvalidParameter, message));
        }
    };
    // Two hosts are two requests to somebody on the way.
    if parts.headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(Fault::with_message(Code::InvalidParameter, "Host was sent twice."));
    }
    let mut headers = Vec::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        let value =
            std::str::from_utf8(value.as_bytes()).map_err(|_| Fault::invalid(name.as_str()))?;
        headers.push((name.as_str().to_owned(), value.to_owned()));
    }
    Ok(Arrived {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        headers,
        body,
    })
}

/// Whether a person's browser opened `/`: it asks for a page and names no operation.
pub(super) fn is_browser_visit(request: &Request) -> bool {
    let headers = request.headers();
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    request.method() == Method::GET
        && wants_page
        && request.uri().query().is_none_or(|query| !query.contains("Action="))
        && !headers.contains_key("x-acs-action")
}

/// A path that is nobody's answers in the API's shape too.
pub(super) async fn unknown_path(State(api): State<Arc<Api>>, request: Request) -> Response {
    refuse_outright(&api, &request, Fault::new(Code::InvalidActionNotFound))
}

pub(super) async fn wrong_method(State(api): State<Arc<Api>>, request: Request) -> Response {
    refuse_outright(&api, &request, Fault::new(Code::UnsupportedHTTPMethod))
}

/// Refuses a request by its path or method alone.
fn refuse_outright(api: &Api, request: &Request, fault: Fault) -> Response {
    let (started, request_id, format) = (Instant::now(), random::request_id(), format_of(request));
    let host = host_of(request.headers());
    let response = fault_response(api, &fault, format, &request_id, &host);
    let seen = Seen::nothing(format);
    record(api, request_id, Peer::of(request), started, seen, Some(fault));
    response
}

fn format_of(request: &Request) -> Format {
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter_map(|(n, v)| v.to_str().ok().map(|v| (n.as_str(), v)))
        .collect();
    envelope::guess_format(&HttpParts {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: &headers,
        body: &[],
    })
}

fn host_of(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.unwrap_or(NO_HOST).to_owned()
}

fn fault_response(
    api: &Api,
    fault: &Fault,
    format: Format,
    request_id: &str,
    host: &str,
) -> Response {
    let recommend =
        format!("{}/errors/{}?requestId={request_id}", api.public_url, fault.code_text());
    let body = render_fault(fault, format, request_id, host, &recommend);
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = finish(status, format, request_id, body);
    if let Some(ms) = fault.retry_after_ms() {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-acs-retry-after"), HeaderValue::from(ms));
    }
    response
}

fn finish(status: StatusCode, format: Format, request_id: &str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-acs-request-id"), id);
    }
    response
}
