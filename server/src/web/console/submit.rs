//! `/console/submit`: several URLs, one a line. What was typed stays in the form when the server
//! refuses it.

use askama::Template;
use http::StatusCode;
use wire::code::Fault;
use wire::percent;
use wire::reply::Reply;

use super::again::titles;
use super::form::{Fields, link};
use super::page::{Answered, Frame, done, mendable, ok, page};
use super::visit::{Visit, unexpected};
use crate::door::random;

#[derive(Template)]
#[template(path = "console/submit.html")]
struct SubmitPage {
    frame: Frame,
    urls: String,
    title: String,
    user_data: String,
    account: String,
    /// The call's `SessionId`: a form that is sent twice makes its jobs once.
    session: String,
    problem: Option<String>,
}

/// Characters of a `SessionId`, of at most 50.
const SESSION_LENGTH: usize = 32;
/// Somebody went back to a form that was sent, and changed it.
const SENT: &str = "This form was sent before, with something else in it, and its jobs were made. \
                    Submit again to make jobs of what is in it now, too.";

pub(super) fn show(visit: &Visit) -> Answered {
    ok(&SubmitPage {
        frame: Frame::still(visit, "/console/submit"),
        urls: visit.query.text("urls"),
        title: String::new(),
        user_data: String::new(),
        account: visit.query.text("account"),
        session: random::alphanumeric(SESSION_LENGTH),
        problem: None,
    })
}

pub(super) async fn submit(visit: &Visit, form: &Fields) -> Answered {
    let urls: Vec<&str> = form
        .get("urls")
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .collect();
    if urls.is_empty() {
        let problem = "Give at least one URL.".to_owned();
        return refused(visit, form, form.text("session"), problem);
    }
    let account = form.text("account");
    let params = vec![
        ("Account", account.clone()),
        ("UploadURLs", urls.iter().map(|url| percent::encode(url)).collect::<Vec<_>>().join(",")),
        ("UploadMetadatas", titles(&urls, form.get("title").unwrap_or_default())),
        ("UserData", form.text("user_data")),
        ("SessionId", form.text("session")),
    ];
    match visit.call("UploadMediaByURL", params).await {
        Ok(Reply::UploadMediaByUrl(reply)) => {
            let of = Some(account.as_str()).filter(|name| *name != visit.caller.name);
            let of = of.unwrap_or_default();
            match reply.upload_jobs.as_slice() {
                [one] => {
                    let path = format!("/console/jobs/{}", one.job_id);
                    done(&link(&path, [("account", of)]), "submitted")
                }
                _ => done(&link("/console/jobs", [("account", of)]), "submitted"),
            }
        }
        Ok(other) => Err(unexpected(&other).into()),
        Err(fault) if fault == Fault::invalid("SessionId") => {
            refused(visit, form, random::alphanumeric(SESSION_LENGTH), SENT.to_owned())
        }
        Err(fault) if mendable(&fault).is_some() => {
            refused(visit, form, form.text("session"), fault.message().to_owned())
        }
        // It may have been done all the same: the same session makes sure that it is done once.
        Err(fault) => refused(visit, form, form.text("session"), words(&fault)),
    }
}

pub(super) fn words(fault: &Fault) -> String {
    match fault.retry_after_ms() {
        Some(ms) => format!("Too many calls just now. Try again in {} s.", ms.div_ceil(1_000)),
        None => "The server cannot do it now. Try again in a moment.".to_owned(),
    }
}

fn refused(visit: &Visit, form: &Fields, session: String, problem: String) -> Answered {
    let template = SubmitPage {
        frame: Frame::still(visit, "/console/submit"),
        urls: form.text("urls"),
        title: form.text("title"),
        user_data: form.text("user_data"),
        account: form.text("account"),
        session,
        problem: Some(problem),
    };
    page(StatusCode::UNPROCESSABLE_ENTITY, &template)
}
