//! Pages that stay true: the parts of a page that changed, as server-sent events.
//!
//! The stream makes the whole page again, as a visit would, and compares its marked parts with
//! those it sent last. There is one way to draw a page, then, and what the stream shows a reload
//! shows too. Everything is best effort: a page that is throttled for a moment is only late.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::time::Instant;

use super::form::{Fields, own_path};
use super::page::Answer;
use super::session;
use super::show;
use super::visit::Visit;
use crate::api::Api;

/// Between two looks at a page.
const PERIOD: Duration = Duration::from_secs(1);
/// Something is said at least this often, so that a dead connection is noticed on both sides.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time; the browser opens the next one by itself.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Streams of one session at once: tabs. Browsers open six connections to a server.
const PER_SESSION: usize = 4;
/// Streams of the node at once; each makes a page a second.
const PER_NODE: usize = 64;

/// The streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<HashMap<[u8; 32], usize>>);

/// A place among the streams; given back when dropped.
#[derive(Debug)]
struct Place {
    streams: Arc<Streams>,
    session: [u8; 32],
}

impl Streams {
    fn enter(self: &Arc<Self>, session: [u8; 32]) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&session).copied().unwrap_or(0);
        if all >= PER_NODE || own >= PER_SESSION {
            return None;
        }
        open.insert(session, own + 1);
        Some(Place { streams: self.clone(), session })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.session);
            }
        }
    }
}

/// A page that is watched.
struct Watch {
    api: Arc<Api>,
    target: String,
    /// What was sent last, by id.
    sent: HashMap<String, String>,
    began: Instant,
    spoke: Instant,
    is_first: bool,
    _place: Place,
}

/// `GET /console/live?page=…`: the changes of a page of the console.
pub(super) async fn stream(State(api): State<Arc<Api>>, request: Request) -> Response {
    let found = match session::find(&api, request.headers()).await {
        Ok(found) => found,
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let Some((session, _)) = found else { return StatusCode::UNAUTHORIZED.into_response() };
    if api.stop.is_draining() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(place) = api.console.streams.enter(session.hash) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let now = Instant::now();
    let watch = Watch {
        api,
        target: own_path(query.get("page").unwrap_or_default()).to_owned(),
        sent: HashMap::new(),
        began: now,
        spoke: now,
        is_first: true,
        _place: place,
    };
    let events = stream::unfold(Some(watch), |watch| async move {
        let (text, watch) = watch?.next().await;
        Some((Ok::<_, Infallible>(text), watch))
    });
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Watch {
    /// The next events, and the watch if it goes on after them.
    async fn next(mut self) -> (String, Option<Self>) {
        loop {
            if !std::mem::take(&mut self.is_first) {
                let stop = self.api.stop.clone();
                tokio::select! {
                    () = tokio::time::sleep(PERIOD) => {}
                    () = stop.draining() => return (event("draining"), None),
                }
            }
            if self.began.elapsed() >= LIFETIME {
                return (event("again"), None);
            }
            let html = match self.look().await {
                Look::Page(html) => html,
                Look::Nothing => String::new(),
                Look::Over => return (event("over"), None),
            };
            let text = self.changes(&html);
            if !text.is_empty() {
                self.spoke = Instant::now();
                return (text, Some(self));
            }
            if self.spoke.elapsed() >= HEARTBEAT {
                self.spoke = Instant::now();
                return (": still here\n\n".to_owned(), Some(self));
            }
        }
    }

    /// Makes the page again, for a session that is asked for again.
    async fn look(&self) -> Look {
        let session = self._place.session;
        let (session, caller) = match session::find_by_hash(&self.api, &session).await {
            Ok(Some(found)) => found,
            Ok(None) => return Look::Over,
            Err(_) => return Look::Nothing,
        };
        let mut visit = Visit::of(&self.api, session, caller, &self.target);
        visit.is_watching = true;
        match show(&visit).await {
            Ok(Answer::Page(StatusCode::OK, html)) => Look::Page(html),
            Ok(Answer::Page(..) | Answer::Moved(_)) | Err(_) => Look::Nothing,
        }
    }

    /// Events for the parts that are not as they were sent.
    fn changes(&mut self, html: &str) -> String {
        let mut out = String::new();
        for (id, part) in parts(html) {
            if self.sent.get(id).is_some_and(|sent| sent == part) {
                continue;
            }
            let data = json!({ "id": id, "html": part });
            out.push_str(&format!("event: part\ndata: {data}\n\n"));
            self.sent.insert(id.to_owned(), part.to_owned());
        }
        out
    }
}

/// What a look at the page found.
enum Look {
    Page(String),
    /// Not now: throttled, or the store does not answer.
    Nothing,
    /// The session is over.
    Over,
}

fn event(name: &str) -> String {
    format!("event: {name}\ndata: -\n\n")
}

/// The marked parts of a page, by id. Values on the page cannot forge a mark: `<` is escaped in
/// them.
fn parts(html: &str) -> impl Iterator<Item = (&str, &str)> {
    html.split("<!--live:").skip(1).filter_map(|rest| {
        let (id, rest) = rest.split_once("-->")?;
        let (part, _) = rest.split_once("<!--/live-->")?;
        Some((id, part.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_parts_are_found_in_their_order() {
        let html =
            "a<!--live:x-->\n<p id=\"x\">1</p>\n<!--/live-->b<!--live:y--><i>2</i><!--/live-->";
        let found: Vec<_> = parts(html).collect();
        assert_eq!(found, [("x", "<p id=\"x\">1</p>"), ("y", "<i>2</i>")]);
    }

    #[test]
    fn a_session_has_so_many_streams_and_gets_them_back() {
        let streams: Arc<Streams> = Arc::default();
        let places: Vec<_> = (0..PER_SESSION).filter_map(|_| streams.enter([1; 32])).collect();
        assert_eq!(places.len(), PER_SESSION);
        assert!(streams.enter([1; 32]).is_none());
        assert!(streams.enter([2; 32]).is_some());
        drop(places);
        assert!(streams.enter([1; 32]).is_some());
        assert!(streams.0.lock().unwrap().is_empty());
    }

    #[test]
    fn the_node_has_so_many_streams() {
        let streams: Arc<Streams> = Arc::default();
        let session = |n: usize| [u8::try_from(n / PER_SESSION).unwrap(); 32];
        let places: Vec<_> = (0..PER_NODE).filter_map(|n| streams.enter(session(n))).collect();
        assert_eq!(places.len(), PER_NODE);
        assert!(streams.enter([255; 32]).is_none());
    }
}
