//! The error centre: a page for every code of the API, and one for the codes of failed jobs.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use wire::code::{Explanation, Origin, all_explanations, explain};

use crate::web;
use crate::web::assets;
use crate::web::console::{CAUSES, Cause};

/// Pages carry style and pictures of this server and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    assets: &'static str,
    explanation: &'a Explanation,
    /// Where the code comes from, in words.
    origin: String,
    request_id: Option<&'a str>,
    /// The console's record of that request.
    lookup: String,
}

#[derive(Template)]
#[template(path = "errors.html")]
struct ErrorsTemplate {
    assets: &'static str,
    explanations: Vec<Explanation>,
    unknown: Option<String>,
}

#[derive(Template)]
#[template(path = "job_errors.html")]
struct JobErrorsTemplate {
    assets: &'static str,
    causes: &'static [Cause],
}

/// The page of one code; an unknown code gets the list of all, with 404.
///
/// The query of a Recommend link names the request (`requestId`).
pub(super) fn error_page(code: &str, query: Option<&str>) -> Response {
    match explain(code) {
        Some(explanation) => {
            let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            let request_id = pairs.into_iter().find(|(n, _)| n == "requestId").map(|(_, v)| v);
            let template = ErrorTemplate {
                assets: assets::version(),
                explanation: &explanation,
                origin: origin(explanation.origin),
                request_id: request_id.as_deref(),
                lookup: lookup(request_id.as_deref().unwrap_or_default()),
            };
            page(StatusCode::OK, &template)
        }
        None if CAUSES.iter().any(|cause| cause.code == code) => {
            let place = format!("/errors/jobs#{code}");
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        None => {
            let unknown = Some(code.to_owned());
            let template = ErrorsTemplate {
                assets: assets::version(),
                explanations: all_explanations(),
                unknown,
            };
            page(StatusCode::NOT_FOUND, &template)
        }
    }
}

fn lookup(request_id: &str) -> String {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("id", request_id).finish();
    format!("/console/requests?{query}")
}

fn origin(origin: Origin) -> String {
    match origin {
        Origin::Documented(source) => format!("documented ({source})"),
        Origin::Observed(source) => format!("observed ({source})"),
        Origin::Chosen(reason) => format!("chosen by Haulage: {reason}"),
    }
}

/// The list of all codes.
pub(super) fn error_index() -> Response {
    let template = ErrorsTemplate {
        assets: assets::version(),
        explanations: all_explanations(),
        unknown: None,
    };
    page(StatusCode::OK, &template)
}

/// Why jobs fail: the codes of `ErrorCode`.
pub(super) fn job_errors() -> Response {
    page(StatusCode::OK, &JobErrorsTemplate { assets: assets::version(), causes: CAUSES })
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    web::page_with(POLICY, status, template)
}
