//! One visit of somebody who is signed in: whom it acts for, and the one way to the operations.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;
use wire::action;
use wire::code::{Code, Fault};
use wire::params::Params;
use wire::reply::Reply;
use wire::spec::{self, Operation};

use super::form::{Fields, TOKEN, link};
use super::page;
use super::session;
use crate::api::auth::Caller;
use crate::api::listen::Peer;
use crate::api::records::{Entry, Scheme};
use crate::api::{Api, gate};
use crate::door::random;
use crate::store::ConsoleSession;

/// A browser has this long to send a form.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// A visit.
pub(super) struct Visit {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    pub(super) session: ConsoleSession,
    /// When the page is made, in Unix seconds.
    pub(super) now: i64,
    pub(super) path: String,
    pub(super) query: Fields,
    /// The other end of the connection.
    source: Option<IpAddr>,
    /// A live page looks again and again: what it reads is not a request of a person.
    pub(super) is_watching: bool,
    /// Id of the call that was refused, for whoever asks about it.
    refused: OnceLock<String>,
}

/// A form that arrived, before it is known from whom.
pub(super) struct Arrival {
    pub(super) headers: HeaderMap,
    /// Path and query.
    pub(super) target: String,
    pub(super) form: Fields,
    pub(super) source: Option<IpAddr>,
}

impl Arrival {
    /// Takes a form in, of at most `limit` bytes, from pages of this server alone.
    ///
    /// # Errors
    /// The page that says why not.
    pub(super) async fn read(api: &Api, request: Request, limit: usize) -> Result<Self, Response> {
        let source = Peer::of(&request);
        let (parts, body) = request.into_parts();
        if !session::is_same_origin(api, &parts.headers) {
            return Err(page::refuse_origin(api));
        }
        let collected = tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, limit).collect());
        let Ok(Ok(body)) = collected.await else {
            return Err(page::refuse(api, &Fault::new(Code::RequestTooLarge)));
        };
        let target = parts.uri.path_and_query().map_or("/console", |target| target.as_str());
        Ok(Self {
            target: target.to_owned(),
            form: Fields::parse(&body.to_bytes()),
            headers: parts.headers,
            source,
        })
    }
}

impl Visit {
    /// The visit of a browser to a path with a query; `None` when it is not signed in.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn begin(
        api: &Arc<Api>,
        headers: &HeaderMap,
        target: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Self>, Fault> {
        let found = session::find(api, headers).await?;
        let visit = |(session, caller)| Self { source, ..Self::of(api, session, caller, target) };
        Ok(found.map(visit))
    }

    pub(super) fn of(
        api: &Arc<Api>,
        session: ConsoleSession,
        caller: Caller,
        target: &str,
    ) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            api: api.clone(),
            caller,
            session,
            now: api.ops.schedule.now().seconds(),
            path: path.to_owned(),
            query: Fields::parse(query.as_bytes()),
            source: None,
            is_watching: false,
            refused: OnceLock::new(),
        }
    }

    /// The RequestId of the first call that was refused.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.get().map(String::as_str)
    }

    /// The path below `/console`, in pieces.
    pub(super) fn segments(&self) -> Vec<&str> {
        let below = self.path.strip_prefix("/console").unwrap_or_default();
        below.split('/').filter(|piece| !piece.is_empty()).collect()
    }

    /// Path and query, as asked.
    pub(super) fn target(&self) -> String {
        let pairs = self.query.kept();
        link(&self.path, pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    pub(super) fn holds_token(&self, form: &Fields) -> bool {
        self.api.console.is_token(&self.session.hash, form.get(TOKEN).unwrap_or_default())
    }

    /// The account whose things the page is about, where it is not the visitor's own.
    pub(super) fn account(&self) -> Option<&str> {
        self.query.get("account").filter(|name| *name != self.caller.name)
    }

    /// Every account for operators who did not choose one, else the one that is meant.
    pub(super) fn account_or_all(&self) -> String {
        match self.query.get("account") {
            Some(name) => name.to_owned(),
            None if self.caller.operator => "*".to_owned(),
            None => String::new(),
        }
    }

    /// Runs an operation with parameters as an SDK would send them; empty ones are left out.
    ///
    /// # Errors
    /// What the API would answer.
    pub(super) async fn call(
        &self,
        action: &'static str,
        params: Vec<(&'static str, String)>,
    ) -> Result<Reply, Fault> {
        let operation =
            spec::operation(action).ok_or_else(|| Fault::new(Code::InvalidActionNotFound))?;
        let params = Params::from_pairs(params.into_iter().filter(|(_, value)| !value.is_empty()));
        let started = Instant::now();
        let answer = self.run(operation, &params).await;
        if !self.is_watching {
            self.record(operation, started, answer.as_ref().err());
        }
        answer
    }

    async fn run(&self, operation: &'static Operation, params: &Params) -> Result<Reply, Fault> {
        if let Err(retry_after_ms) = self.api.throttle.admit(self.caller.account, operation).await {
            self.api.metrics.throttled.inc();
            return Err(Fault::new(Code::ThrottlingUser).retry_after(retry_after_ms));
        }
        let account = params.get("Account");
        let subject = gate::subject(&self.api, &self.caller, account, operation).await?;
        let request = action::Request::parse(operation, params)?;
        self.api.ops.run(&subject, request).await
    }

    /// As the gate remembers a signed request.
    fn record(&self, operation: &'static Operation, started: Instant, fault: Option<&Fault>) {
        let request_id = random::request_id();
        if let Some(fault) = fault {
            let code = fault.code_text();
            let operation = operation.action;
            tracing::info!(request_id, operation, %code, "request of the console refused");
            // The first is the one that the page is about.
            let _ = self.refused.set(request_id.clone());
        }
        self.api.records.add(Entry {
            request_id,
            time: self.api.clock.now(),
            operation: operation.action,
            access_key_id: self.caller.access_key_id.clone(),
            account: Some(self.caller.account),
            source: self.source,
            took: started.elapsed(),
            scheme: Scheme::Session,
            fault: fault.cloned(),
        });
    }
}

/// A reply of another operation than was called: cannot happen, and says so in the log.
pub(super) fn unexpected(reply: &Reply) -> Fault {
    tracing::error!(action = reply.action(), "the console got another operation's reply");
    Fault::new(Code::InternalError)
}
