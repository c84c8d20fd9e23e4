//! Signing in and out.
//!
//! A ticket opens a session: the page makes one by signing `CreateConsoleSession` in the browser,
//! where the secret stays, or `haulage console` prints an address with one. Whoever is asked to
//! sign in again in the middle of something keeps what they typed: it travels through the form.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use wire::code::Fault;

use super::form::{CARRIER_LIMIT, FORM_LIMIT, Fields, own_path};
use super::page::{self, Answer, Answered};
use super::session;
use super::visit::Arrival;
use crate::api::Api;
use crate::web::assets;

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage<'a> {
    assets: &'static str,
    /// Where to go afterwards.
    back: &'a str,
    /// A form that waits to be sent, encoded.
    form: String,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "console/confirm.html")]
struct ConfirmPage<'a> {
    assets: &'static str,
    ticket: &'a str,
}

#[derive(Template)]
#[template(path = "console/resume.html")]
struct ResumePage<'a> {
    assets: &'static str,
    path: &'a str,
    csrf: String,
    fields: Vec<(String, String)>,
}

/// A field's name as its form labels it.
fn label(name: &str) -> &str {
    match name {
        "urls" => "URLs",
        "title" => "Title",
        "user_data" => "User data",
        "account" => "Account",
        "job" => "Job",
        "key" => "Access key",
        other => other,
    }
}

/// `GET /console/sign-in`.
pub(super) async fn show(State(api): State<Arc<Api>>, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let back = own_path(query.get("return").unwrap_or_default()).to_owned();
    finish(&api, StatusCode::OK, &back, String::new(), None)
}

/// The sign-in page in place of `target`; with a form, which is kept.
pub(super) fn ask(api: &Api, target: &str, form: Option<&Fields>) -> Response {
    let problem = form.map(|_| {
        "You are not signed in any more. Nothing was done; what you typed is kept until you are."
    });
    let kept = form.map(Fields::encoded).unwrap_or_default();
    finish(api, StatusCode::UNAUTHORIZED, own_path(target), kept, problem)
}

fn finish(
    api: &Api,
    status: StatusCode,
    back: &str,
    form: String,
    problem: Option<&str>,
) -> Response {
    let template = SignInPage { assets: assets::version(), back, form, problem };
    page::finish(api, page::page(status, &template))
}

/// `GET /console/ticket?value=…`: asks first, so that a link alone signs nobody in.
pub(super) async fn confirm(State(api): State<Arc<Api>>, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let ticket = query.text("value");
    let template = ConfirmPage { assets: assets::version(), ticket: &ticket };
    page::finish(&api, page::ok(&template))
}

/// `POST /console/ticket`: a session for a ticket.
pub(super) async fn redeem(State(api): State<Arc<Api>>, request: Request) -> Response {
    let arrival = match Arrival::read(&api, request, CARRIER_LIMIT).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refusal,
    };
    let form = &arrival.form;
    let back = own_path(form.get("return").unwrap_or_default());
    let kept = form.text("form");
    match open(&api, form.get("value").unwrap_or_default()).await {
        Ok(cookie) => {
            let mut response = page::finish(&api, welcome(&api, &cookie, back, &kept));
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(fault) if fault.status() < 500 => {
            let problem = "The ticket is not good any more: each is good for one sign-in within a \
                           minute. Make another.";
            finish(&api, StatusCode::FORBIDDEN, back, kept, Some(problem))
        }
        Err(fault) => page::refuse(&api, &fault),
    }
}

async fn open(api: &Api, ticket: &str) -> Result<HeaderValue, Fault> {
    let access_key_id = api.ops.redeem_ticket(ticket).await?;
    session::open(api, &access_key_id).await
}

/// Where a new session begins: at the page that was asked for, or at the form that waits. The form
/// is not sent by itself: only a person knows whether it is still meant.
fn welcome(api: &Api, cookie: &HeaderValue, back: &str, kept: &str) -> Answered {
    if kept.is_empty() {
        return Ok(Answer::Moved(back.to_owned()));
    }
    let hash = session::hash_of_cookie(cookie);
    let template = ResumePage {
        assets: assets::version(),
        path: back,
        csrf: hash.map(|hash| api.console.token(&hash)).unwrap_or_default(),
        fields: Fields::parse(kept.as_bytes()).kept(),
    };
    page::ok(&template)
}

/// `POST /console/sign-out`: the session ends here and now, and the cookie goes. Its own form
/// carries the token; without a session there is nothing to end.
pub(super) async fn sign_out(State(api): State<Arc<Api>>, request: Request) -> Response {
    let arrival = match Arrival::read(&api, request, FORM_LIMIT).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refusal,
    };
    match super::visit::Visit::begin(&api, &arrival.headers, &arrival.target, arrival.source).await
    {
        Ok(Some(visit)) if !visit.holds_token(&arrival.form) => {
            return page::respond(&visit, Err(page::Trouble::Token));
        }
        Ok(_) => {}
        Err(fault) => return page::refuse(&api, &fault),
    }
    match session::close(&api, &arrival.headers).await {
        Ok(cookie) => {
            let moved = Answer::Moved("/console/sign-in".to_owned());
            let mut response = page::finish(&api, Ok(moved));
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(fault) => page::refuse(&api, &fault),
    }
}
