//! `/console/requests`: what became of a request, by the RequestId of its answer.

use askama::Template;
use http::StatusCode;
use wire::code::{Explanation, explain};
use wire::reply::{Reply, RequestRecord};

use super::format::{Moment, visible};
use super::page::{Answered, Frame, mendable, ok, page};
use super::visit::{Visit, unexpected};

#[derive(Template)]
#[template(path = "console/requests.html")]
struct RequestsPage {
    frame: Frame,
    id: String,
    missing: bool,
    found: Option<Found>,
}

struct Found {
    record: RequestRecord,
    at: Moment,
    message: String,
    explanation: Option<Explanation>,
}

pub(super) async fn show(visit: &Visit) -> Answered {
    let id = visit.query.text("id");
    let frame = Frame::still(visit, "/console/requests");
    if id.is_empty() {
        return ok(&RequestsPage { frame, id, missing: false, found: None });
    }
    let reply = match visit.call("GetRequestRecord", vec![("Id", id.clone())]).await {
        Ok(reply) => reply,
        // An id that cannot be one is not there either.
        Err(fault) if mendable(&fault).is_some() => {
            let template = RequestsPage { frame, id, missing: true, found: None };
            return page(StatusCode::NOT_FOUND, &template);
        }
        Err(fault) => return Err(fault.into()),
    };
    let Reply::GetRequestRecord(reply) = reply else { return Err(unexpected(&reply).into()) };
    let record = reply.record;
    let found = Found {
        at: Moment::new(record.time, visit.now),
        message: record.error_message.as_deref().map(visible).unwrap_or_default(),
        explanation: record.error_code.as_deref().and_then(explain),
        record,
    };
    ok(&RequestsPage { frame, id, missing: false, found: Some(found) })
}
