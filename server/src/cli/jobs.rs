//! `haulage jobs [ID|URL...]`

use wire::time::{format_utc, parse_utc};

use super::progress::{awaits, name, status_ink};
use super::screen::{Ink, Screen, emit};
use super::setup::ServerArgs;
use super::table::{Cell, Table};
use super::{Failure, Outcome, human, watch};
use crate::client::{Client, Infos, JobInfo, Search, Selector};
use crate::config::parse_duration;
use crate::domain::time::Timestamp;
use crate::door::Clock;

/// Jobs of one page of a list.
const PAGE: usize = 100;
/// Most jobs that one command lists.
const LIST_LIMIT: usize = 100_000;

/// Show jobs: those named, or the account's newest
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Job ids or source URLs; without any, the account's jobs, newest first
    #[arg(value_name = "ID|URL")]
    which: Vec<String>,
    /// Only jobs in these statuses, such as PENDING or SUCCESS
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    status: Vec<String>,
    /// Only jobs that failed with this code, such as URLInvalidError.HttpStatus
    #[arg(long, value_name = "CODE")]
    error: Option<String>,
    /// Only jobs whose URL contains this
    #[arg(long, value_name = "TEXT")]
    url: Option<String>,
    /// Only jobs created since: a time such as 2026-01-02T03:04:05Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only jobs created before: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only jobs of this account, `*` for every account's; for operators
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Most jobs to list when none are named
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
    /// Then follow those that have not ended; exit 1 if one fails
    #[arg(long)]
    watch: bool,
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        if self.limit == 0 || self.limit > LIST_LIMIT {
            return Err(Failure::Usage(format!("--limit: accepted: 1 to {LIST_LIMIT}")));
        }
        let search = self.search(Clock::System.now())?;
        let client = self.server.client()?;
        let screen = Screen::stderr();
        let statuses = &search.statuses;
        let (infos, more) = if self.which.is_empty() {
            listed(&client, &search, self.limit).await?
        } else {
            let mut infos = Infos::default();
            for selector in selectors(&self.which) {
                let some = client.infos(&selector).await?;
                infos.infos.extend(some.infos);
                infos.non_exists.extend(some.non_exists);
            }
            let wanted = |job: &JobInfo| statuses.is_empty() || statuses.contains(&job.status);
            infos.infos.retain(wanted);
            (infos, false)
        };
        let open: Vec<String> =
            infos.infos.iter().filter(|job| !job.is_final()).map(|j| j.job_id.clone()).collect();
        let following = self.watch && !open.is_empty();
        if self.json {
            emit(&infos);
        } else {
            show(screen, &infos, more, self.limit);
        }
        if following {
            return watch::until_final(&client, open, screen, self.json).await;
        }
        match infos.non_exists.len() {
            0 => Ok(()),
            unknown => Err(Failure::No(format!("{} unknown", human::count(unknown, "input")))),
        }
    }
}

impl Args {
    fn search(&self, now: Timestamp) -> Result<Search, Failure> {
        let search = Search {
            statuses: self.status.iter().map(|s| s.to_ascii_uppercase()).collect(),
            error_code: self.error.clone(),
            url: self.url.clone(),
            start_time: self
                .since
                .as_deref()
                .map(|text| moment("--since", text, now))
                .transpose()?,
            end_time: self.until.as_deref().map(|text| moment("--until", text, now)).transpose()?,
            account: self.account.clone(),
        };
        let given = [
            ("--error", &search.error_code),
            ("--url", &search.url),
            ("--since", &search.start_time),
            ("--until", &search.end_time),
            ("--account", &search.account),
        ];
        match given.iter().find(|(_, value)| value.is_some()) {
            Some((flag, _)) if !self.which.is_empty() => {
                Err(Failure::Usage(format!("{flag} searches all jobs; leave out those named")))
            }
            Some(_) | None => Ok(search),
        }
    }
}

/// A time as the API takes it, of a time or of how long ago.
fn moment(flag: &str, text: &str, now: Timestamp) -> Result<String, Failure> {
    if parse_utc(text).is_some() {
        return Ok(text.to_owned());
    }
    match parse_duration(text) {
        Some(ago) => Ok(format_utc((now - ago).seconds())),
        None => Err(Failure::Usage(format!(
            "{flag}: accepted: a time such as 2026-01-02T03:04:05Z, or how long ago, such as 90m or 2h"
        ))),
    }
}

/// What the arguments name: anything with a scheme is a URL.
pub(super) fn selectors(which: &[String]) -> Vec<Selector> {
    let (urls, ids): (Vec<String>, Vec<String>) =
        which.iter().cloned().partition(|text| text.contains("://"));
    let mut selectors = Vec::new();
    if !ids.is_empty() {
        selectors.push(Selector::Ids(ids));
    }
    if !urls.is_empty() {
        selectors.push(Selector::Urls(urls));
    }
    selectors
}

/// At most `limit` jobs, and whether there are more.
async fn listed(client: &Client, search: &Search, limit: usize) -> Result<(Infos, bool), Failure> {
    let mut infos = Infos::default();
    let mut token = None;
    loop {
        let page_size = PAGE.min(limit - infos.infos.len());
        let page = client.list(search, page_size, token.as_deref()).await?;
        infos.infos.extend(page.infos);
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() || infos.infos.len() >= limit {
            return Ok((infos, token.is_some()));
        }
    }
}

fn show(screen: Screen, infos: &Infos, more: bool, limit: usize) {
    if infos.infos.is_empty() && infos.non_exists.is_empty() {
        screen.say("no jobs");
        return;
    }
    if !infos.infos.is_empty() {
        screen.say(table(infos).render(screen));
    }
    for input in &infos.non_exists {
        let input = human::url(input);
        screen.say(format!("{input}  {}", screen.paint(Ink::Red, "no such job")));
    }
    if more {
        let note = format!("only the newest {limit}; --limit shows more");
        screen.say(screen.paint(Ink::Dim, note));
    }
}

fn table(infos: &Infos) -> Table {
    let mut table = Table::new(&["job", "status", "size", "created", "name", "source"]);
    for job in &infos.infos {
        let size = job.bytes().filter(|size| *size > 0);
        table.row(vec![
            Cell::new(human::printable(&job.job_id)),
            Cell::new(human::printable(&job.status)).ink(status_ink(job)),
            Cell::new(size.map(human::bytes).unwrap_or_default()).right(),
            Cell::new(human::printable(job.creation_time.as_deref().unwrap_or_default())),
            Cell::new(name(job)),
            Cell::new(human::url(&job.upload_url)).ink(Ink::Dim),
        ]);
        if let Some(code) = job.error_code.as_deref().filter(|_| job.is_failure()) {
            let message = job.error_message.as_deref().unwrap_or_default();
            table.note(Ink::Red, human::printable(format!("  {code}: {message}")));
        }
        if job.awaits_url() {
            table.note(Ink::Yellow, awaits(job));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_urls_are_told_apart() {
        let which = ["a1".to_owned(), "http://h/a.mp4".to_owned(), "b2".to_owned()];
        let ids = Selector::Ids(vec!["a1".to_owned(), "b2".to_owned()]);
        let urls = Selector::Urls(vec!["http://h/a.mp4".to_owned()]);
        assert_eq!(selectors(&which), [ids, urls]);
        assert_eq!(selectors(&[]), []);
    }

    #[test]
    fn times_are_given_as_such_or_as_how_long_ago() {
        let now = Timestamp::from_seconds(1_767_323_045);
        let moment = |text| moment("--since", text, now).ok();
        assert_eq!(moment("2026-01-02T03:04:05Z").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(moment("2h").as_deref(), Some("2026-01-02T01:04:05Z"));
        assert_eq!(moment("90m").as_deref(), Some("2026-01-02T01:34:05Z"));
        for wrong in ["", "yesterday", "2026-01-02", "-2h"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_table_of_jobs_shows_why_one_failed_and_no_query() {
        let job = JobInfo {
            job_id: "j1".to_owned(),
            upload_url: "http://h/a.mp4?token=t".to_owned(),
            status: "DOWNLOAD_FAIL".to_owned(),
            error_code: Some("URLInvalidError.HttpStatus".to_owned()),
            error_message: Some("the origin answered 404".to_owned()),
            ..JobInfo::default()
        };
        let infos = Infos { infos: vec![job], non_exists: Vec::new() };
        let text = table(&infos).render(Screen::plain());
        assert!(text.contains("URLInvalidError.HttpStatus: the origin answered 404"), "{text}");
        assert!(!text.contains("token"), "{text}");
    }

    #[test]
    fn a_job_that_awaits_a_url_says_why_and_what_to_do() {
        let job = JobInfo {
            job_id: "j1".to_owned(),
            status: "AWAITING_URL".to_owned(),
            error_code: Some("URLInvalidError.HttpStatus".to_owned()),
            error_message: Some("The origin answered 403: the link has expired.".to_owned()),
            ..JobInfo::default()
        };
        let infos = Infos { infos: vec![job], non_exists: Vec::new() };
        let text = table(&infos).render(Screen::plain());
        assert!(text.contains("the link has expired. Give it another: haulage replace j1 URL"));
    }
}
