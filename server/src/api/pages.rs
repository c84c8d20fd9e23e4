//! Pages about the server itself: the error centre, and the welcome at `/console`.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use wire::code::{Explanation, Origin, all_explanations, explain};

use crate::web;

/// Pages carry their style inline and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    explanation: &'a Explanation,
    /// Where the code comes from, in words.
    origin: String,
    request_id: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "errors.html")]
struct ErrorsTemplate {
    explanations: Vec<Explanation>,
    unknown: Option<String>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomeTemplate {
    version: &'static str,
    operations: &'static [wire::spec::Operation],
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
                explanation: &explanation,
                origin: origin(explanation.origin),
                request_id: request_id.as_deref(),
            };
            page(StatusCode::OK, &template)
        }
        None => {
            let unknown = Some(code.to_owned());
            let template = ErrorsTemplate { explanations: all_explanations(), unknown };
            page(StatusCode::NOT_FOUND, &template)
        }
    }
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
    let template = ErrorsTemplate { explanations: all_explanations(), unknown: None };
    page(StatusCode::OK, &template)
}

/// What a browser sees at `/`.
pub(super) async fn welcome() -> Response {
    let operations = wire::spec::OPERATIONS;
    page(StatusCode::OK, &WelcomeTemplate { version: env!("CARGO_PKG_VERSION"), operations })
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    web::page_with(POLICY, status, template)
}
