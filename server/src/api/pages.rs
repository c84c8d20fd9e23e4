//! Pages about the server itself: the error centre, and the welcome at `/console`.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use wire::code::{Explanation, all_explanations, explain};

/// Pages carry their style inline and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Query of an error page.
#[derive(Debug, Default, serde::Deserialize)]
pub struct ErrorQuery {
    #[serde(rename = "requestId")]
    request_id: Option<String>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    explanation: &'a Explanation,
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
pub(super) fn error_page(code: &str, query: &ErrorQuery) -> Response {
    match explain(code) {
        Some(explanation) => {
            let request_id = query.request_id.as_deref();
            page(StatusCode::OK, &ErrorTemplate { explanation: &explanation, request_id })
        }
        None => {
            let unknown = Some(code.to_owned());
            let template = ErrorsTemplate { explanations: all_explanations(), unknown };
            page(StatusCode::NOT_FOUND, &template)
        }
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
