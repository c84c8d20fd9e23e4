//! The console: an operator sees the queue, finds a job, understands a failure, and acts.
//!
//! Pages are made on the server and read without scripts; filters are GET forms, actions POST
//! forms. Everything shown or done goes through [`visit::Visit::call`], which is the way of an API
//! call without its signature: same table, same parameter checks, same limits, same permissions.
//! So the console can do nothing that an access key cannot.
//!
//! A page marks the parts that change (`<!--live:id-->…<!--/live-->`); [`live`] makes the page
//! again about once a second and sends the parts that differ.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};

use wire::code::{Code, Fault};

use crate::api::Api;
use crate::api::listen::Peer;

mod accounts;
mod advice;
mod again;
mod bulk;
mod causes;
mod chart;
mod configuration;
mod form;
mod format;
mod job;
mod jobs;
mod keys;
mod live;
mod media;
mod overview;
mod page;
mod requests;
mod session;
mod sign_in;
mod submit;
mod view;
mod visit;

pub(crate) use causes::{CAUSES, Cause};
pub use session::{COOKIE, Console};

use form::FORM_LIMIT;
use page::{Answered, Trouble};
use visit::{Arrival, Visit};

/// All paths of the console.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/console", get(read))
        .route("/console/sign-in", get(sign_in::show))
        .route("/console/ticket", get(sign_in::confirm).post(sign_in::redeem))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/live", get(live::stream))
        .route("/console/{*path}", get(read).post(act))
}

/// A page, for whoever is signed in; the sign-in page for everybody else.
async fn read(State(api): State<Arc<Api>>, request: Request) -> Response {
    let source = Peer::of(&request);
    let (parts, _) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/console", |target| target.as_str());
    match Visit::begin(&api, &parts.headers, target, source).await {
        Ok(Some(visit)) => {
            let answered = show(&visit).await;
            page::respond(&visit, answered)
        }
        Ok(None) => sign_in::ask(&api, target, None),
        Err(fault) => page::refuse(&api, &fault),
    }
}

/// An action. Without a session the sign-in page keeps what was typed; without the session's own
/// token in the form nothing is done.
async fn act(State(api): State<Arc<Api>>, request: Request) -> Response {
    let arrival = match Arrival::read(&api, request, FORM_LIMIT).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refusal,
    };
    // On a task of its own: a browser that hangs up does not tear an action in half.
    let worker = api.clone();
    let done = api.tasks.spawn("console action", async move { act_on(&worker, arrival).await });
    done.await
        .ok()
        .flatten()
        .unwrap_or_else(|| page::refuse(&api, &Fault::new(Code::InternalError)))
}

async fn act_on(api: &Arc<Api>, arrival: Arrival) -> Response {
    match Visit::begin(api, &arrival.headers, &arrival.target, arrival.source).await {
        Ok(Some(visit)) => {
            let answered = if visit.holds_token(&arrival.form) {
                perform(&visit, &arrival.form).await
            } else {
                Err(Trouble::Token)
            };
            page::respond(&visit, answered)
        }
        Ok(None) => sign_in::ask(api, &arrival.target, Some(&arrival.form)),
        Err(fault) => page::refuse(api, &fault),
    }
}

/// The page at a path. Boxed, because the pages' futures are large and one of them runs.
async fn show(visit: &Visit) -> Answered {
    match visit.segments().as_slice() {
        [] => Box::pin(overview::show(visit)).await,
        ["jobs"] => Box::pin(jobs::show(visit)).await,
        ["jobs", id] => Box::pin(job::show(visit, id)).await,
        ["submit"] => submit::show(visit),
        ["media"] => Box::pin(media::list(visit)).await,
        ["media", id] => Box::pin(media::show(visit, id)).await,
        ["keys"] => Box::pin(keys::show(visit)).await,
        ["accounts"] => Box::pin(accounts::show(visit)).await,
        ["configuration"] => Box::pin(configuration::show(visit)).await,
        ["requests"] => Box::pin(requests::show(visit)).await,
        _ => Err(Trouble::NoSuchPage),
    }
}

/// The action at a path.
async fn perform(visit: &Visit, form: &form::Fields) -> Answered {
    match visit.segments().as_slice() {
        ["submit"] => Box::pin(submit::submit(visit, form)).await,
        ["jobs", "cancel"] => Box::pin(bulk::cancel(visit, form)).await,
        ["jobs", id, "cancel"] => Box::pin(job::cancel(visit, id)).await,
        ["jobs", id, "url"] => Box::pin(job::replace(visit, id, form)).await,
        ["jobs", id, "again"] => Box::pin(again::submit(visit, id)).await,
        ["keys"] => Box::pin(keys::create(visit, form)).await,
        ["keys", "status"] => Box::pin(keys::set_status(visit, form)).await,
        ["keys", "delete"] => Box::pin(keys::delete(visit, form)).await,
        ["accounts"] => Box::pin(accounts::create(visit, form)).await,
        ["accounts", "status"] => Box::pin(accounts::set_status(visit, form)).await,
        ["accounts", "weight"] => Box::pin(accounts::set_weight(visit, form)).await,
        ["accounts", "queue"] => Box::pin(accounts::set_paused(visit, form)).await,
        _ => Err(Trouble::NoSuchPage),
    }
}
