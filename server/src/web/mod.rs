//! Pages that people work with in a browser: the explorer of the API, and the console.
//!
//! What a page shows is in its HTML; first-party scripts, embedded in the binary, make it act.
//! Nothing is loaded from elsewhere, and nothing inline runs.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub mod assets;
pub mod console;
pub mod explorer;

/// Scripts and styles of this server alone, none inline; no form leaves the page by itself.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src \
    'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page with scripts and styles of this server.
fn page(status: StatusCode, template: &impl Template) -> Response {
    page_with(POLICY, status, template)
}

/// A page under a content security policy of its own; never kept by a cache: it is about this very
/// binary.
pub(crate) fn page_with(
    policy: &'static str,
    status: StatusCode,
    template: &impl Template,
) -> Response {
    match template.render() {
        Ok(html) => {
            let mut response = (status, Html(html)).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            harden(headers);
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page does not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What every answer of this module says, page or asset.
fn harden(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
