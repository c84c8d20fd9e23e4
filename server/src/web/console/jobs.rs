//! `/console/jobs`: the jobs, newest first, by filters that are a GET form. Pages are keyset pages:
//! the address holds the place, so going on costs the same after a million jobs.

use askama::Template;
use wire::reply::{Reply, UrlUploadInfo};
use wire::time::parse_utc;

use super::causes::{CAUSES, Cause};
use super::form::{Fields, link};
use super::page::{Answer, Answered, Frame, mendable, ok, page};
use super::view::Job;
use super::visit::{Visit, unexpected};

/// Jobs of one page.
pub(super) const PAGE: usize = 50;

/// What the filter of states offers: name in the address, words, statuses on the wire.
const STATES: [(&str, &str, &str); 7] = [
    ("", "All", ""),
    ("pending", "Pending", "PENDING"),
    ("running", "Running", "PROCESSING,DOWNLOADING,DOWNLOAD_SUCCESS,UPLOADING,UPLOAD_SUCCESS"),
    ("awaiting", "Need a URL", "AWAITING_URL"),
    ("succeeded", "Succeeded", "SUCCESS"),
    ("failed", "Failed", "DOWNLOAD_FAIL,UPLOAD_FAIL"),
    ("cancelled", "Cancelled", "CANCELED"),
];

/// The names of the filters' fields.
const FILTERS: [&str; 6] = ["status", "q", "account", "from", "to", "code"];

#[derive(Template)]
#[template(path = "console/jobs.html")]
struct JobsPage {
    frame: Frame,
    states: Vec<StateLink>,
    filter: Filter,
    /// Whether jobs of several accounts are shown.
    many_accounts: bool,
    jobs: Vec<Job>,
    next: Option<String>,
    first: Option<String>,
    /// This page again.
    here: String,
    is_filtered: bool,
    clear: &'static str,
    codes: &'static [Cause],
}

struct StateLink {
    href: String,
    word: &'static str,
    current: bool,
}

/// The form as it was sent.
struct Filter {
    status: String,
    q: String,
    account: String,
    from: String,
    to: String,
    code: String,
    problem: Option<String>,
}

pub(super) async fn show(visit: &Visit) -> Answered {
    let mut filter = Filter::read(&visit.query);
    if is_job_id(&filter.q) {
        let account = visit.account().unwrap_or_default();
        return Ok(Answer::Moved(link(
            &format!("/console/jobs/{}", filter.q),
            [("account", account)],
        )));
    }
    let account = visit.account_or_all();
    let many_accounts = account == "*";
    let reply = match visit.call("ListUrlUploadJobs", filter.params(visit, account)).await {
        Ok(Reply::ListUrlUploadJobs(reply)) => reply,
        Ok(other) => return Err(unexpected(&other).into()),
        Err(fault) => {
            let Some(status) = mendable(&fault) else { return Err(fault.into()) };
            filter.problem = Some(fault.message().to_owned());
            return page(status, &refused(visit, filter));
        }
    };
    let jobs = rows(visit, &reply.infos);
    let with = |changes: &[(&str, &str)]| address(&visit.query, changes);
    ok(&JobsPage {
        frame: Frame::new(visit, "/console/jobs"),
        states: states(visit, &filter),
        is_filtered: FILTERS.iter().any(|name| visit.query.get(name).is_some()),
        many_accounts,
        jobs,
        next: reply.next_token.as_deref().map(|token| with(&[("next", token)])),
        first: visit.query.get("next").map(|_| with(&[("next", "")])),
        here: with(&[]),
        clear: "/console/jobs",
        codes: CAUSES,
        filter,
    })
}

/// The filters as they were typed, and why nothing can be looked for by them.
fn refused(visit: &Visit, filter: Filter) -> JobsPage {
    JobsPage {
        frame: Frame::still(visit, "/console/jobs"),
        states: states(visit, &filter),
        is_filtered: true,
        many_accounts: false,
        jobs: Vec::new(),
        next: None,
        first: None,
        here: address(&visit.query, &[]),
        clear: "/console/jobs",
        codes: CAUSES,
        filter,
    }
}

fn states(visit: &Visit, filter: &Filter) -> Vec<StateLink> {
    let state = |(name, word, _): &(&str, &'static str, &str)| StateLink {
        href: address(&visit.query, &[("status", name), ("next", "")]),
        word,
        current: *name == filter.status,
    };
    STATES.iter().map(state).collect()
}

/// Jobs for a table; those of other accounts say whose they are.
pub(super) fn rows(visit: &Visit, infos: &[UrlUploadInfo]) -> Vec<Job> {
    let row = |info: &UrlUploadInfo| {
        let account = info.account.as_deref().or_else(|| visit.account());
        Job::new(info, account.filter(|name| *name != visit.caller.name), visit.now)
    };
    infos.iter().map(row).collect()
}

/// The page with other fields: an empty value takes one away.
fn address(query: &Fields, changes: &[(&str, &str)]) -> String {
    let names = FILTERS.iter().copied().chain(["next"]);
    let pairs = names.map(|name| {
        let changed = changes.iter().find(|(changed, _)| *changed == name);
        (name, changed.map_or_else(|| query.get(name).unwrap_or_default(), |(_, value)| value))
    });
    link("/console/jobs", pairs)
}

/// 32 lower-case hexadecimal digits: an id, which no URL is.
fn is_job_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// What a `datetime-local` control sends, UTC, as the API takes it.
fn time(text: &str) -> Option<String> {
    let whole = match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    parse_utc(&whole).map(|_| whole)
}

impl Filter {
    fn read(query: &Fields) -> Self {
        let mut filter = Self {
            status: query.text("status"),
            q: query.text("q"),
            account: query.text("account"),
            from: query.text("from"),
            to: query.text("to"),
            code: query.text("code"),
            problem: None,
        };
        let wrong = |at: &&mut String| !at.is_empty() && time(at).is_none();
        for at in [&mut filter.from, &mut filter.to].into_iter().filter(wrong) {
            at.clear();
            let problem = "A time is written 2026-01-02T03:04, in UTC. It was left out.";
            filter.problem = Some(problem.to_owned());
        }
        filter
    }

    fn params(&self, visit: &Visit, account: String) -> Vec<(&'static str, String)> {
        let state = STATES.iter().find(|(name, ..)| *name == self.status);
        vec![
            ("Account", account),
            ("Status", state.map(|(.., wire)| *wire).unwrap_or_default().to_owned()),
            ("UploadURL", self.q.clone()),
            ("ErrorCode", self.code.clone()),
            ("StartTime", time(&self.from).unwrap_or_default()),
            ("EndTime", time(&self.to).unwrap_or_default()),
            ("NextToken", visit.query.text("next")),
            ("PageSize", PAGE.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_on_keeps_the_filters_and_changing_one_goes_back_to_the_first_page() {
        let query = Fields::parse(b"status=failed&q=a%26b&next=t1&done=submitted");
        assert_eq!(
            address(&query, &[("next", "t2")]),
            "/console/jobs?status=failed&q=a%26b&next=t2"
        );
        assert_eq!(address(&query, &[("status", ""), ("next", "")]), "/console/jobs?q=a%26b");
    }

    #[test]
    fn times_are_taken_as_browsers_send_them() {
        assert_eq!(time("2026-01-02T03:04").as_deref(), Some("2026-01-02T03:04:00Z"));
        assert_eq!(time("2026-01-02T03:04:05").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(time("yesterday"), None);
        assert_eq!(time(""), None);
    }

    #[test]
    fn an_id_is_told_from_a_part_of_a_url() {
        assert!(is_job_id("0193d395194a83ad6ee2ef27a5b50000"));
        assert!(!is_job_id("0193D395194A83AD6EE2EF27A5B50000"));
        assert!(!is_job_id("film.mp4"));
    }
}
