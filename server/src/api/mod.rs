//! HTTP in: the router, and what every answer has in common.
//!
//! [`gate`] is the way of an API request, [`auth`] and [`throttle`] are its posts, [`records`] its
//! log; [`media`] serves
//! play URLs, [`pages`] what people and machines read about the server itself. [`listen`] accepts
//! connections.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::StatusCode;

use crate::blob::spool::Spool;
use crate::door::Clock;
use crate::ops::Ops;
use crate::run::stop::Stop;
use crate::run::tasks::Tasks;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::web::console::{self, Console};
use crate::web::{assets, explorer};

pub mod auth;
pub mod gate;
pub mod listen;
pub mod media;
pub mod pages;
pub mod records;
pub mod throttle;

/// What answering needs.
#[derive(Debug)]
pub struct Api {
    pub ops: Ops,
    pub store: Arc<dyn Store>,
    pub auth: auth::Authenticator,
    pub throttle: throttle::Throttle,
    pub media: media::MediaDeps,
    pub spool: Spool,
    pub clock: Clock,
    /// The newest requests; the operations look them up.
    pub records: Arc<records::Records>,
    pub metrics: Arc<Metrics>,
    /// Base of Recommend links and play URLs, without trailing slash.
    pub public_url: String,
    pub console: Console,
    pub tasks: Tasks,
    pub stop: Stop,
}

/// All paths of the server.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", any(root))
        .route("/media/{*path}", any(serve_media))
        .route("/errors", get(error_index))
        .route("/errors/jobs", get(|| async { pages::job_errors() }))
        .route("/errors/{code}", get(error_page))
        .route("/explorer", get(|| async { explorer::index() }))
        .route("/explorer/{action}", get(explorer_operation))
        .route("/assets/{version}/{*path}", get(asset))
        .route("/openapi.json", get(openapi))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(console::routes())
        .fallback(gate::unknown_path)
        .method_not_allowed_fallback(gate::wrong_method)
        .with_state(api)
}

/// The paths of a node that does not serve the API: what those who watch it ask for.
pub fn watching_router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(api)
}

/// `/` is the API; a browser that asks for a page is shown the console.
async fn root(State(api): State<Arc<Api>>, request: Request) -> Response {
    if gate::is_browser_visit(&request) {
        return (StatusCode::FOUND, [(http::header::LOCATION, "/console")]).into_response();
    }
    gate::answer(api, request).await
}

async fn serve_media(State(api): State<Arc<Api>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let uri = &parts.uri;
    media::serve(&api.media, &parts.method, uri.path(), uri.query(), &parts.headers).await
}

async fn error_index() -> Response {
    pages::error_index()
}

async fn error_page(Path(code): Path<String>, request: Request) -> Response {
    pages::error_page(&code, request.uri().query())
}

async fn explorer_operation(Path(action): Path<String>) -> Response {
    explorer::operation(&action)
}

async fn asset(Path((version, path)): Path<(String, String)>) -> Response {
    assets::serve(&version, &path)
}

async fn openapi(State(api): State<Arc<Api>>) -> Response {
    let page = wire::spec::openapi(&api.public_url).to_string();
    ([(http::header::CONTENT_TYPE, "application/json")], page).into_response()
}

/// Ready while the store answers and the node is not draining.
async fn ready(State(api): State<Arc<Api>>) -> Response {
    if api.stop.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match api.store.stats().await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
    }
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let stats = match api.store.stats().await {
        Ok(stats) => stats,
        Err(error) => {
            tracing::error!(%error, "metrics: the store does not answer");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let now = api.ops.schedule.now();
    let nodes = api.store.nodes(now - api.ops.node.lease).await.unwrap_or_default();
    let free = api.spool.free_bytes().unwrap_or(0);
    let page = api.metrics.page(&stats, &nodes, now, free);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(http::header::CONTENT_TYPE, content_type)], page).into_response()
}
