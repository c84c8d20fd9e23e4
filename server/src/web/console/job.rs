//! `/console/jobs/{id}`: one job, every attempt at it, and what can be done with it.

use askama::Template;
use http::StatusCode;
use wire::code::{Code, Fault};
use wire::percent;
use wire::reply::{AttemptInfo, Reply, UrlUploadInfo};

use super::causes::{Cause, cause_of};
use super::form::{Fields, link};
use super::format::{Moment, bytes, count, duration, line, visible};
use super::media::{Medium, medium};
use super::page::{Answered, Frame, Trouble, done, mendable, page};
use super::submit::words;
use super::view::Job;
use super::visit::{Visit, unexpected};

#[derive(Template)]
#[template(path = "console/job.html")]
struct JobPage {
    frame: Frame,
    job: Job,
    facts: Vec<(&'static str, String)>,
    /// Pretty-printed where it is JSON.
    user_data: Option<String>,
    cause: Option<&'static Cause>,
    events: Vec<Event>,
    speed: Option<String>,
    left: Option<String>,
    medium: Option<Medium>,
    /// The query that names the account, for the forms.
    query: String,
    /// Another URL as it was typed, and why it was not taken.
    typed: String,
    problem: Option<String>,
    /// Until when another URL helps.
    deadline: Moment,
}

#[derive(Template)]
#[template(path = "console/no_job.html")]
struct NoJobPage<'a> {
    frame: Frame,
    id: String,
    operator: bool,
    account: &'a str,
}

/// A point of the timeline.
struct Event {
    tone: &'static str,
    title: String,
    at: Moment,
    text: String,
    code: Option<String>,
}

pub(super) async fn show(visit: &Visit, id: &str) -> Answered {
    render(visit, id, None).await
}

/// The page; after a refusal, with the URL that was refused and why.
async fn render(visit: &Visit, id: &str, refused: Option<(String, String)>) -> Answered {
    let Some(info) = find(visit, id).await? else {
        return page(
            StatusCode::NOT_FOUND,
            &NoJobPage {
                frame: Frame::still(visit, "/console/jobs"),
                id: line(id),
                operator: visit.caller.operator,
                account: visit.account().unwrap_or(&visit.caller.name),
            },
        );
    };
    let job = Job::new(&info, visit.account(), visit.now);
    let medium = match &info.media_id {
        // A medium that cannot be shown now is no reason not to show its job.
        Some(id) if job.media.is_some() => medium(visit, id).await.ok(),
        Some(_) | None => None,
    };
    let (speed, left) = pace(&info, visit.now);
    let (status, frame) = match &refused {
        None => (StatusCode::OK, Frame::new(visit, "/console/jobs")),
        Some(_) => (StatusCode::UNPROCESSABLE_ENTITY, Frame::still(visit, "/console/jobs")),
    };
    let (typed, problem) = refused.unzip();
    let deadline = info.progress.as_ref().map(|progress| progress.deadline).unwrap_or_default();
    let template = JobPage {
        frame,
        facts: facts(&info, visit.now),
        user_data: info.user_data.as_deref().map(pretty),
        cause: job.error.as_deref().and_then(cause_of),
        events: events(&info, visit.now),
        speed,
        left,
        medium,
        query: link("", [("account", visit.account().unwrap_or_default())]),
        typed: typed.unwrap_or_default(),
        problem,
        deadline: Moment::new(deadline, visit.now),
        job,
    };
    page(status, &template)
}

/// The job, with its attempts.
///
/// # Errors
/// What the API answers.
pub(super) async fn find(visit: &Visit, id: &str) -> Result<Option<UrlUploadInfo>, Fault> {
    let params = vec![
        ("Account", visit.account().unwrap_or_default().to_owned()),
        // A comma would ask for two.
        ("JobIds", id.replace(',', "")),
        ("IncludeProgress", "true".to_owned()),
        ("IncludeAttempts", "true".to_owned()),
        ("IncludePosition", "true".to_owned()),
    ];
    let reply = visit.call("GetURLUploadInfos", params).await?;
    let Reply::GetUrlUploadInfos(reply) = reply else { return Err(unexpected(&reply)) };
    Ok(reply.infos.into_iter().next())
}

/// Gives the job another URL, if it awaits one.
pub(super) async fn replace(visit: &Visit, id: &str, form: &Fields) -> Answered {
    let url = form.text("url");
    let account = visit.account().unwrap_or_default();
    let params = vec![
        ("Account", account.to_owned()),
        ("JobId", id.to_owned()),
        ("UploadURL", percent::encode(&url)),
    ];
    match visit.call("ReplaceUploadUrl", params).await {
        Ok(Reply::ReplaceUploadUrl(_)) => {
            done(&link(&format!("/console/jobs/{id}"), [("account", account)]), "url-replaced")
        }
        Ok(reply) => Err(unexpected(&reply).into()),
        Err(fault) if fault.code() == Code::InvalidJobIdNotFound => Err(Trouble::NoSuchPage),
        Err(fault) if mendable(&fault).is_some() => {
            render(visit, id, Some((url, fault.message().to_owned()))).await
        }
        Err(fault) => render(visit, id, Some((url, words(&fault)))).await,
    }
}

/// Cancels, if the job is still pending.
pub(super) async fn cancel(visit: &Visit, id: &str) -> Answered {
    let params = vec![
        ("Account", visit.account().unwrap_or_default().to_owned()),
        ("JobIds", id.replace(',', "")),
    ];
    let reply = visit.call("CancelUrlUploadJobs", params).await?;
    let Reply::CancelUrlUploadJobs(reply) = reply else { return Err(unexpected(&reply).into()) };
    if reply.non_exists.iter().any(|missing| missing == id) {
        return Err(Trouble::NoSuchPage);
    }
    let notice = if reply.canceled_jobs.is_empty() { "not-pending" } else { "cancelled" };
    let account = visit.account().unwrap_or_default();
    done(&link(&format!("/console/jobs/{id}"), [("account", account)]), notice)
}

fn facts(info: &UrlUploadInfo, now: i64) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(place) = &info.queue_place {
        let at_least = if place.is_exact { "" } else { "at least " };
        let mut text = format!("{at_least}{} in the account's line", count(place.position));
        if place.paused {
            text += ", which is paused";
        } else if let Some(seconds) = place.estimated_seconds {
            text = format!("{text}, starts in about {}", duration(seconds));
        }
        facts.push(("Place", text));
        facts.push(("Priority", place.priority.clone()));
    }
    if let Some(progress) = &info.progress {
        if !progress.title.is_empty() {
            facts.push(("Title", visible(&progress.title)));
        }
        facts.push(("Attempts", progress.attempt.to_string()));
        if progress.rescues > 0 {
            facts.push(("Rescued", format!("{} (the worker went silent)", progress.rescues)));
        }
        if info.complete_time.is_none() {
            let deadline = Moment::new(progress.deadline, now);
            facts.push(("Deadline", format!("{} UTC, {}", deadline.utc, deadline.ago)));
        }
    }
    if let Some(size) = info.file_size {
        facts.push(("Size", format!("{} ({size} bytes)", bytes(size))));
    }
    if let Some(ended) = info.complete_time {
        let took = u64::try_from(ended - info.creation_time).unwrap_or(0);
        facts.push(("Took", format!("{} from acceptance to the end", duration(took))));
    }
    if let Some(media) = &info.media_id {
        facts.push(("Media id", media.clone()));
    }
    facts
}

/// JSON with its lines; other text as it is.
fn pretty(text: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
    visible(&pretty.unwrap_or_else(|_| text.to_owned()))
}

/// Speed of the running attempt, and how long the rest takes at that speed.
fn pace(info: &UrlUploadInfo, now: i64) -> (Option<String>, Option<String>) {
    let running = info.attempts.iter().flatten().find(|attempt| attempt.end_time.is_none());
    let (Some(running), Some(progress)) = (running, &info.progress) else { return (None, None) };
    let seconds = u64::try_from(now - running.start_time).unwrap_or(0);
    if seconds == 0 || progress.bytes == 0 {
        return (None, None);
    }
    let speed = progress.bytes / seconds;
    let left = progress.total.filter(|_| speed > 0);
    let left = left.map(|total| total.saturating_sub(progress.bytes) / speed.max(1));
    (Some(format!("{}/s", bytes(speed))), left.map(|left| format!("about {} left", duration(left))))
}

/// The story of the job, in order.
fn events(info: &UrlUploadInfo, now: i64) -> Vec<Event> {
    let event = |tone, title: String, at: i64, text: String| Event {
        tone,
        title,
        at: Moment::new(at, now),
        text,
        code: None,
    };
    let mut events = vec![event("", "Accepted".to_owned(), info.creation_time, String::new())];
    events.extend(info.attempts.iter().flatten().map(|attempt| attempt_event(attempt, now)));
    if let Some(next) = info.progress.as_ref().and_then(|progress| progress.next_attempt) {
        events.push(event("warn", "Next attempt".to_owned(), next, String::new()));
    }
    if let (Some(progress), "AWAITING_URL") = (&info.progress, info.status.as_str()) {
        let text = "Unless it is given another URL before.".to_owned();
        events.push(event("warn", "Fails".to_owned(), progress.deadline, text));
    }
    if let (Some(ended), "CANCELED") = (info.complete_time, info.status.as_str()) {
        let text = "It made no request.".to_owned();
        events.push(event("", "Cancelled".to_owned(), ended, text));
    }
    events
}

fn attempt_event(attempt: &AttemptInfo, now: i64) -> Event {
    let (tone, words) = match attempt.ending.as_str() {
        "Running" => ("busy", "is running"),
        "HandedBack" => ("", "was handed back by a stopping server, at no cost"),
        "PutOff" => ("warn", "failed for now"),
        "Succeeded" => ("good", "succeeded"),
        "Failed" => ("bad", "failed"),
        "Expired" => ("warn", "went silent; the job was rescued"),
        _ => ("", "ended"),
    };
    let took = attempt.end_time.map(|end| {
        format!("after {}", duration(u64::try_from(end - attempt.start_time).unwrap_or(0)))
    });
    let received = (attempt.bytes > 0).then(|| format!("{} received", bytes(attempt.bytes)));
    let reason = attempt.error_message.as_deref().map(visible);
    let parts: Vec<String> = [took, received, reason].into_iter().flatten().collect();
    Event {
        tone,
        title: format!("Attempt {} {words}", attempt.number),
        at: Moment::new(attempt.start_time, now),
        text: parts.join(" · "),
        code: attempt.error_code.clone(),
    }
}
