//! Pages about the server itself: the error centre, and the welcome at `/console`.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use wire::code::{Explanation, Origin, all_explanations, explain};

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
    match template.render() {
        Ok(html) => {
            let mut response = (status, Html(html)).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page does not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
