//! `haulage jobs [ID|URL...]`

use super::progress::{name, status_ink};
use super::screen::{Ink, Screen, emit};
use super::setup::ServerArgs;
use super::table::{Cell, Table};
use super::{Failure, Outcome, human, watch};
use crate::client::{Client, Infos, JobInfo, Selector};

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
        let client = self.server.client()?;
        let screen = Screen::stderr();
        let statuses: Vec<String> = self.status.iter().map(|s| s.to_ascii_uppercase()).collect();
        let (infos, more) = if self.which.is_empty() {
            listed(&client, &statuses, self.limit).await?
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
async fn listed(
    client: &Client,
    statuses: &[String],
    limit: usize,
) -> Result<(Infos, bool), Failure> {
    let mut infos = Infos::default();
    let mut token = None;
    loop {
        let page_size = PAGE.min(limit - infos.infos.len());
        let page = client.list(statuses, page_size, token.as_deref()).await?;
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
}
