//! Cancelling many jobs: first a page that says what will happen to each, then the deed, then what
//! became of each. The last page answers the form itself: to send it again cancels nothing more.

use std::collections::BTreeMap;

use askama::Template;
use wire::reply::{OutcomeKind, Reply};

use super::form::{Fields, own_path};
use super::format::line;
use super::jobs::PAGE;
use super::page::{Answered, Frame, ok};
use super::view::{Job, Status, picked, status};
use super::visit::{Visit, unexpected};

/// Ids that one call takes (contract §9.2, §9.3).
const PER_CALL: usize = 10;

#[derive(Template)]
#[template(path = "console/cancel.html")]
struct CancelPage {
    frame: Frame,
    /// Whether it was done.
    done: bool,
    rows: Vec<Row>,
    cancelled: usize,
    back: String,
}

struct Row {
    pick: String,
    id: String,
    account: Option<String>,
    /// The job, where there is one.
    job: Option<Job>,
    fate: Fate,
}

/// What will become, or became, of one job.
struct Fate {
    tone: &'static str,
    words: &'static str,
    /// The state it is in, where that says why.
    state: Option<Status>,
    cancels: bool,
}

/// Jobs by account, in pieces that one call takes.
fn calls(form: &Fields) -> Vec<(String, Vec<String>)> {
    let mut by_account: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, account) in form.all("job").take(PAGE).map(picked) {
        let ids = by_account.entry(account.unwrap_or_default()).or_default();
        if !id.is_empty() && !id.contains(',') && !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut calls = Vec::new();
    for (account, ids) in by_account {
        for piece in ids.chunks(PER_CALL) {
            let ids = piece.iter().map(|id| (*id).to_owned()).collect();
            calls.push((account.to_owned(), ids));
        }
    }
    calls
}

pub(super) async fn cancel(visit: &Visit, form: &Fields) -> Answered {
    let done = form.get("sure").is_some();
    let calls = if form.get("all").is_some() { all_pending(form) } else { calls(form) };
    let mut rows = Vec::new();
    for (account, ids) in &calls {
        let fates = if done { Some(deed(visit, account, ids).await?) } else { None };
        let jobs = look(visit, account, ids).await?;
        rows.extend(ids.iter().map(|id| row(id, account, &jobs, fates.as_ref())));
    }
    let cancelled = rows.iter().filter(|row| row.fate.cancels).count();
    let back = own_path(form.get("return").unwrap_or_default()).to_owned();
    ok(&CancelPage { frame: Frame::still(visit, "/console/jobs"), done, rows, cancelled, back })
}

/// Those of the page that were pending when it was made.
fn all_pending(form: &Fields) -> Vec<(String, Vec<String>)> {
    let pairs: Vec<String> = form.all("pending").map(|pick| format!("job={pick}")).collect();
    calls(&Fields::parse(pairs.join("&").as_bytes()))
}

async fn look(
    visit: &Visit,
    account: &str,
    ids: &[String],
) -> Result<BTreeMap<String, Job>, super::page::Trouble> {
    let params = vec![
        ("Account", account.to_owned()),
        ("JobIds", ids.join(",")),
        ("IncludeProgress", "true".to_owned()),
    ];
    let reply = visit.call("GetURLUploadInfos", params).await?;
    let Reply::GetUrlUploadInfos(reply) = reply else { return Err(unexpected(&reply).into()) };
    let other = Some(account).filter(|name| !name.is_empty() && *name != visit.caller.name);
    let job = |info| Job::new(info, other, visit.now);
    Ok(reply.infos.iter().map(|info| (info.job_id.clone(), job(info))).collect())
}

/// Cancels, and says what became of each.
async fn deed(
    visit: &Visit,
    account: &str,
    ids: &[String],
) -> Result<BTreeMap<String, (OutcomeKind, Option<String>)>, super::page::Trouble> {
    let params = vec![
        ("Account", account.to_owned()),
        ("JobIds", ids.join(",")),
        ("IncludeOutcomes", "true".to_owned()),
    ];
    let reply = visit.call("CancelUrlUploadJobs", params).await?;
    let Reply::CancelUrlUploadJobs(reply) = reply else { return Err(unexpected(&reply).into()) };
    let outcomes = reply.outcomes.unwrap_or_default();
    Ok(outcomes.into_iter().map(|o| (o.input, (o.outcome, o.status))).collect())
}

fn row(
    id: &str,
    account: &str,
    jobs: &BTreeMap<String, Job>,
    fates: Option<&BTreeMap<String, (OutcomeKind, Option<String>)>>,
) -> Row {
    let job = jobs.get(id).cloned();
    let fate = match fates {
        None => expected(job.as_ref()),
        Some(fates) => became(fates.get(id)),
    };
    let account = Some(account).filter(|name| !name.is_empty());
    Row {
        pick: account.map_or_else(|| id.to_owned(), |name| format!("{id}@{name}")),
        id: line(id),
        account: account.map(str::to_owned),
        job,
        fate,
    }
}

const UNKNOWN: Fate =
    Fate { tone: "warn", words: "There is no such job", state: None, cancels: false };

fn expected(job: Option<&Job>) -> Fate {
    match job {
        None => UNKNOWN,
        Some(job) if job.is_pending => {
            Fate { tone: "busy", words: "Will be cancelled", state: None, cancels: true }
        }
        Some(job) => Fate {
            tone: "",
            words: "Is not pending any more and stays",
            state: Some(job.status.clone()),
            cancels: false,
        },
    }
}

fn became(outcome: Option<&(OutcomeKind, Option<String>)>) -> Fate {
    match outcome {
        None | Some((OutcomeKind::NotExist, _)) => UNKNOWN,
        Some((OutcomeKind::Canceled, _)) => {
            Fate { tone: "good", words: "Cancelled", state: None, cancels: true }
        }
        Some((OutcomeKind::NotPending, wire)) => Fate {
            tone: "",
            words: "Was not pending any more and stays",
            state: wire.as_deref().map(|wire| status(wire, false)),
            cancels: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_asked_for_by_account_and_in_pieces() {
        let mut text = String::new();
        for n in 0..12 {
            text.push_str(&format!("job=id{n}&"));
        }
        text.push_str("job=id3&job=other%40press&job=bad%2Cid&job=");
        let calls = calls(&Fields::parse(text.as_bytes()));
        let sizes: Vec<(&str, usize)> =
            calls.iter().map(|(account, ids)| (account.as_str(), ids.len())).collect();
        assert_eq!(sizes, [("", 10), ("", 2), ("press", 1)]);
    }
}
