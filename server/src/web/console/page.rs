//! What the pages share: the frame around them, the headers they go out with, and the pages that
//! say why something was not done.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use wire::code::{Code, Fault, explain};

use super::form::link;
use super::format::duration;
use super::session::origin_of;
use super::visit::Visit;
use crate::api::Api;
use crate::web::assets;

/// What a page or an action answers.
pub(super) enum Answer {
    Page(StatusCode, String),
    /// Look there.
    Moved(String),
}

/// Why there is no such answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What the API would say.
    Fault(Fault),
    NoSuchPage,
    /// The form does not carry the session's token.
    Token,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

pub(super) type Answered = Result<Answer, Trouble>;

/// Renders a page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Answered {
    match template.render() {
        Ok(html) => Ok(Answer::Page(status, html)),
        Err(error) => {
            tracing::error!(%error, "a page does not render");
            Err(Fault::new(Code::InternalError).into())
        }
    }
}

/// A page with status 200.
pub(super) fn ok(template: &impl Template) -> Answered {
    page(StatusCode::OK, template)
}

/// To a path of the console, with a notice of what was done there.
pub(super) fn done(path: &str, notice: &str) -> Answered {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    pairs.retain(|(name, _)| name != "done");
    pairs.push(("done".to_owned(), notice.to_owned()));
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(Answer::Moved(link(path, pairs)))
}

/// The notices that [`done`] can name. A link that names another shows nothing: nobody can put
/// words into the page.
const NOTICES: &[(&str, &str)] = &[
    ("submitted", "Accepted. The newest jobs are at the top."),
    ("cancelled", "The job is cancelled."),
    ("not-pending", "Nothing was cancelled: the job is not pending any more."),
    ("url-replaced", "The job goes on with the new URL."),
    ("again", "Submitted again: this is the new job."),
    ("key-changed", "The key is changed; it takes effect within a second."),
    ("key-deleted", "The key is deleted, and its sessions with it."),
    ("account-made", "The account is made. Give it a key next."),
    ("account-changed", "The account is changed; it takes effect within a second."),
];

/// A place of the navigation.
pub(super) struct Place {
    pub(super) href: &'static str,
    pub(super) name: &'static str,
    /// The drawing: path data in a square of 16.
    pub(super) icon: &'static str,
    operators: bool,
}

const fn place(href: &'static str, name: &'static str, icon: &'static str) -> Place {
    Place { href, name, icon, operators: false }
}

/// In groups.
static PLACES: [&[Place]; 3] = [
    &[
        place("/console", "Overview", "M2 13V8M6 13V3M10 13V6M14 13V9"),
        place("/console/jobs", "Jobs", "M2 4h1M6 4h8M2 8h1M6 8h8M2 12h1M6 12h8"),
        place("/console/submit", "Submit", "M8 13V3M4 7l4-4 4 4M3 14h10"),
        place("/console/media", "Media", "M2 3h12v10H2zM6.5 6v4l3.5-2z"),
    ],
    &[
        place(
            "/console/keys",
            "Keys",
            "M10.5 2.5a3 3 0 1 1-2 5.2L3 13.2V14h2v-1.5h1.5V11L8.6 8.9M11 5.4v.1",
        ),
        Place {
            operators: true,
            ..place(
                "/console/accounts",
                "Accounts",
                "M8 8a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 8 8zM3 14c.5-3 2.500-4 5-4s4.500 1 5 4",
            )
        },
        Place {
            operators: true,
            ..place(
                "/console/configuration",
                "Configuration",
                "M2 5h7M12 5h2M9 3v4M2 11h2M7 11h7M7 9v4",
            )
        },
        place(
            "/console/requests",
            "Requests",
            "M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM10.500 10.500L14 14",
        ),
    ],
    &[
        place("/explorer", "API explorer", "M5 4L1.500 8 5 12M11 4l3.500 4L11 12"),
        place("/errors", "Error centre", "M8 2l6.500 11.500h-13zM8 6.500v3M8 11.500v.1"),
    ],
];

/// What stands around every page of somebody who is signed in.
pub(super) struct Frame {
    pub(super) assets: &'static str,
    pub(super) version: &'static str,
    current: &'static str,
    pub(super) csrf: String,
    pub(super) key_id: String,
    pub(super) account: String,
    pub(super) operator: bool,
    pub(super) notice: Option<&'static str>,
    /// Where the page's changes come from.
    pub(super) live: String,
    pub(super) draining: bool,
}

impl Frame {
    /// For the page at `current`, an address of the navigation.
    pub(super) fn new(visit: &Visit, current: &'static str) -> Self {
        let named = visit.query.get("done");
        let notice = NOTICES.iter().find(|(name, _)| Some(*name) == named).map(|(_, text)| *text);
        Self {
            assets: assets::version(),
            version: env!("CARGO_PKG_VERSION"),
            current,
            csrf: visit.api.console.token(&visit.session.hash),
            key_id: visit.caller.access_key_id.clone(),
            account: visit.caller.name.clone(),
            operator: visit.caller.operator,
            notice,
            live: link("/console/live", [("page", visit.target().as_str())]),
            draining: visit.api.stop.is_draining(),
        }
    }

    /// As [`Frame::new`], for what answers a form: it is not made again.
    pub(super) fn still(visit: &Visit, current: &'static str) -> Self {
        Self { live: String::new(), ..Self::new(visit, current) }
    }

    /// The navigation, without what the visitor may not open.
    pub(super) fn groups(&self) -> Vec<Vec<&'static Place>> {
        let open = |place: &&Place| self.operator || !place.operators;
        PLACES.iter().map(|group| group.iter().filter(open).collect()).collect()
    }

    pub(super) fn is_current(&self, href: &str) -> bool {
        self.current == href
    }
}

#[derive(Template)]
#[template(path = "console/trouble.html")]
struct TroublePage<'a> {
    frame: Frame,
    trouble: &'a Words,
    /// Where the trouble may pass by itself.
    again: Option<String>,
    request_id: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "console/trouble_plain.html")]
struct PlainTroublePage<'a> {
    assets: &'static str,
    trouble: &'a Words,
}

/// What is wrong, for somebody who can act.
pub(super) struct Words {
    status: StatusCode,
    title: String,
    text: String,
    fix: String,
    /// Its page in the error centre.
    code: Option<String>,
}

/// Whole seconds to wait before another try.
fn seconds_to_wait(fault: &Fault) -> u64 {
    fault.retry_after_ms().unwrap_or(1_000).div_ceil(1_000)
}

/// The status of what the visitor can mend by typing something else; nothing for what passes or is the
/// server's own trouble.
pub(super) fn mendable(fault: &Fault) -> Option<StatusCode> {
    let is_theirs = fault.status() < 500 && fault.retry_after_ms().is_none();
    StatusCode::from_u16(fault.status()).ok().filter(|_| is_theirs)
}

fn words_of(fault: &Fault) -> Words {
    let code = fault.code_text().into_owned();
    let fix = explain(&code).map(|explanation| explanation.fix).unwrap_or_default();
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let words = |status, title: &str, text: String, fix: String| Words {
        status,
        title: title.to_owned(),
        text,
        fix,
        code: Some(code.clone()),
    };
    match fault.code() {
        Code::ThrottlingUser | Code::Throttling | Code::ThrottlingApi => words(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many calls just now",
            "The account's limit of calls is used up, by this page or by programs that share it."
                .to_owned(),
            format!("Try again in {}.", duration(seconds_to_wait(fault))),
        ),
        Code::InternalError | Code::ServiceUnavailable => words(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server cannot answer now",
            "Its database does not answer. What was accepted before is safe.".to_owned(),
            "Reload in a moment. If it lasts, run `haulage doctor` on the server and read its log."
                .to_owned(),
        ),
        Code::ForbiddenRAM => words(
            StatusCode::FORBIDDEN,
            "Not for this key",
            "Only operators may do this, or look at this.".to_owned(),
            "Sign in with a key of an operator's account.".to_owned(),
        ),
        _ => words(status, "That did not work", fault.message().to_owned(), fix),
    }
}

fn words(trouble: &Trouble) -> Words {
    match trouble {
        Trouble::Fault(fault) => words_of(fault),
        Trouble::NoSuchPage => Words {
            status: StatusCode::NOT_FOUND,
            title: "There is no such page".to_owned(),
            text: "Nothing is at this address, or nothing that this key may see.".to_owned(),
            fix: "Begin from the overview, or look the job up in the list.".to_owned(),
            code: None,
        },
        Trouble::Token => Words {
            status: StatusCode::FORBIDDEN,
            title: "This form is not of this session".to_owned(),
            text: "Nothing was done. The form was made before you signed in again, or not by this \
                   server."
                .to_owned(),
            fix: "Go back, reload the page, and send the form again.".to_owned(),
            code: None,
        },
    }
}

/// The response to somebody who is signed in.
pub(super) fn respond(visit: &Visit, answered: Answered) -> Response {
    let made = answered.or_else(|trouble| {
        let words = words(&trouble);
        let frame = Frame::still(visit, "");
        let passes =
            matches!(words.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let again = Some(visit.target()).filter(|_| passes);
        page(
            words.status,
            &TroublePage { frame, trouble: &words, again, request_id: visit.refused() },
        )
    });
    finish(&visit.api, made)
}

/// The response where it is not known who asks.
pub(super) fn refuse(api: &Api, fault: &Fault) -> Response {
    let words = words_of(fault);
    plain(api, &words)
}

/// The answer to a form of another site.
pub(super) fn refuse_origin(api: &Api) -> Response {
    plain(
        api,
        &Words {
            status: StatusCode::FORBIDDEN,
            title: "This form came from another site".to_owned(),
            text: "Nothing was done.".to_owned(),
            fix: "Use the console's own pages. Behind a proxy, set public_url to the address that \
                  browsers see."
                .to_owned(),
            code: None,
        },
    )
}

fn plain(api: &Api, words: &Words) -> Response {
    let template = PlainTroublePage { assets: assets::version(), trouble: words };
    finish(api, page(words.status, &template))
}

/// An answer with the headers that every page has: nothing inline, nothing from elsewhere, kept
/// nowhere.
pub(super) fn finish(api: &Api, made: Answered) -> Response {
    let mut response = match made {
        Ok(Answer::Page(status, html)) => (status, Html(html)).into_response(),
        Ok(Answer::Moved(path)) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    harden(api, response.headers_mut());
    response
}

fn harden(api: &Api, headers: &mut HeaderMap) {
    // Media play from where play URLs lead: this server, which a proxy may make another origin, and
    // buckets.
    let mut media = vec!["'self'".to_owned(), origin_of(&api.public_url).to_owned()];
    media.extend(api.ops.locations.play_origins());
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src \
         'self'; media-src {}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        media.join(" ")
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // Not `no-referrer`: with it browsers send `Origin: null` with forms, also to ourselves.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_call_says_when_to_try_again() {
        let fault = Fault::new(Code::ThrottlingUser).retry_after(2_100);
        let words = words_of(&fault);
        assert_eq!(words.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(words.fix, "Try again in 3 s.");
    }

    #[test]
    fn a_notice_replaces_the_one_before() {
        let Ok(Answer::Moved(path)) = done("/console/jobs?q=a%26b&done=again", "submitted") else {
            panic!("a redirect")
        };
        assert_eq!(path, "/console/jobs?q=a%26b&done=submitted");
    }
}
