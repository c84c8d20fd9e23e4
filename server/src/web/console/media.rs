//! `/console/media`: what the succeeded jobs made, and one medium with its player.

use askama::Template;
use wire::code::Fault;
use wire::reply::{PlayInfo, Reply};

use super::form::link;
use super::format::{Moment, bytes, duration, visible, whole};
use super::jobs::{PAGE, rows};
use super::page::{Answered, Frame, mendable, ok, page};
use super::view::Job;
use super::visit::{Visit, unexpected};

#[derive(Template)]
#[template(path = "console/media.html")]
struct MediaPage {
    frame: Frame,
    media: Vec<Job>,
    many_accounts: bool,
    q: String,
    account: String,
    next: Option<String>,
    first: Option<String>,
    /// Why nothing can be looked for by the filter.
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "console/medium.html")]
struct MediumPage {
    frame: Frame,
    medium: Medium,
    job: String,
}

/// A medium with its facts, ready to play.
pub(super) struct Medium {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) is_video: bool,
    pub(super) play_url: Option<String>,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) created: Moment,
    pub(super) job_id: String,
}

pub(super) async fn list(visit: &Visit) -> Answered {
    let account = visit.account_or_all();
    let many_accounts = account == "*";
    let q = visit.query.text("q");
    let params = vec![
        ("Account", account),
        ("Status", "SUCCESS".to_owned()),
        ("UploadURL", q.clone()),
        ("NextToken", visit.query.text("next")),
        ("PageSize", PAGE.to_string()),
    ];
    let of = visit.query.text("account");
    let reply = match visit.call("ListUrlUploadJobs", params).await {
        Ok(Reply::ListUrlUploadJobs(reply)) => reply,
        Ok(other) => return Err(unexpected(&other).into()),
        Err(fault) => {
            let Some(status) = mendable(&fault) else { return Err(fault.into()) };
            let template = MediaPage {
                frame: Frame::still(visit, "/console/media"),
                media: Vec::new(),
                many_accounts: false,
                next: None,
                first: None,
                account: of,
                q,
                problem: Some(fault.message().to_owned()),
            };
            return page(status, &template);
        }
    };
    let at = |next: &str| {
        link("/console/media", [("q", q.as_str()), ("account", of.as_str()), ("next", next)])
    };
    ok(&MediaPage {
        frame: Frame::new(visit, "/console/media"),
        media: rows(visit, &reply.infos),
        many_accounts,
        next: reply.next_token.as_deref().map(at),
        first: visit.query.get("next").map(|_| at("")),
        account: of.clone(),
        q: q.clone(),
        problem: None,
    })
}

pub(super) async fn show(visit: &Visit, id: &str) -> Answered {
    let medium = medium(visit, id).await?;
    let account = visit.account().unwrap_or_default();
    ok(&MediumPage {
        // A player must go on playing: its page is not made again.
        frame: Frame::still(visit, "/console/media"),
        job: link(&format!("/console/jobs/{}", medium.job_id), [("account", account)]),
        medium,
    })
}

/// What `GetPlayInfo` tells of a medium.
///
/// # Errors
/// What the API answers.
pub(super) async fn medium(visit: &Visit, id: &str) -> Result<Medium, Fault> {
    let params = vec![
        ("Account", visit.account().unwrap_or_default().to_owned()),
        ("VideoId", id.to_owned()),
    ];
    let reply = visit.call("GetPlayInfo", params).await?;
    let Reply::GetPlayInfo(reply) = reply else { return Err(unexpected(&reply)) };
    let base = reply.video_base;
    let stream = reply.play_info.into_iter().next();
    let seconds = stream.as_ref().and_then(|s| s.duration).or(base.duration);
    let mut facts = Vec::new();
    if let Some(seconds) = seconds {
        facts.push(("Duration", precise(seconds)));
    }
    if let Some(stream) = &stream {
        facts.extend(stream_facts(stream));
    }
    facts.push(("Status", base.status));
    facts.push(("Media id", base.video_id.clone()));
    Ok(Medium {
        id: base.video_id,
        title: visible(&base.title),
        is_video: base.media_type != "audio",
        job_id: stream.as_ref().map(|stream| stream.job_id.clone()).unwrap_or_default(),
        play_url: stream.map(|stream| stream.play_url),
        facts,
        created: Moment::new(base.creation_time, visit.now),
    })
}

/// Short media to the hundredth of a second.
fn precise(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{} s", (seconds * 100.0).round() / 100.0)
    } else {
        duration(whole(seconds))
    }
}

fn stream_facts(stream: &PlayInfo) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Size", format!("{} ({} bytes)", bytes(stream.size), stream.size))];
    facts.push(("Format", visible(&stream.format)));
    if let (Some(width), Some(height)) = (stream.width, stream.height) {
        facts.push(("Picture", format!("{width} × {height}")));
    }
    if let Some(codec) = &stream.codec_name {
        facts.push(("Codec", visible(codec)));
    }
    if let Some(rate) = stream.bitrate {
        facts.push(("Bit rate", format!("{rate:.0} kbit/s")));
    }
    if let Some(fps) = stream.fps {
        facts.push(("Frame rate", format!("{} /s", (fps * 1_000.0).round() / 1_000.0)));
    }
    facts
}
