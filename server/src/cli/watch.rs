//! `haulage watch ID...`

use std::collections::HashMap;

use super::follow::follow;
use super::progress::Progress;
use super::screen::{Ink, Screen, emit};
use super::setup::ServerArgs;
use super::{Failure, Outcome, human};
use crate::client::{Client, JobInfo};

/// Most jobs followed at once.
const IDS_LIMIT: usize = 10_000;

/// Follow jobs until they end; exit 1 if one fails
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Job ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Machine output on standard output: a line of JSON whenever a job has moved
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        if self.ids.len() > IDS_LIMIT {
            return Err(Failure::Usage(format!("at most {IDS_LIMIT} jobs in one command")));
        }
        let client = self.server.client()?;
        until_final(&client, self.ids, Screen::stderr(), self.json).await
    }
}

/// Follows jobs and shows them; says no when one failed or is unknown.
pub(super) async fn until_final(
    client: &Client,
    ids: Vec<String>,
    screen: Screen,
    json: bool,
) -> Outcome {
    let mut progress = Progress::new(screen);
    let mut emitted: HashMap<String, JobInfo> = HashMap::new();
    let followed = follow(client, ids, None, |jobs| {
        if json {
            for job in jobs.iter().filter(|job| emitted.get(&job.job_id) != Some(job)) {
                emit(job);
            }
            emitted = jobs.iter().map(|job| (job.job_id.clone(), job.clone())).collect();
        } else {
            progress.show(jobs);
        }
    })
    .await;
    progress.finish();
    let followed = followed?;
    let failed: Vec<_> = followed.jobs.iter().filter(|job| job.is_failure()).collect();
    for job in &failed {
        screen.say(failure_line(screen, job));
    }
    for id in &followed.unknown {
        screen.say(format!("{}  {}", human::printable(id), screen.paint(Ink::Red, "no such job")));
    }
    match (failed.len(), followed.unknown.len()) {
        (0, 0) => Ok(()),
        (0, unknown) => Err(Failure::No(format!("{} unknown", human::count(unknown, "job")))),
        (failed, _) => Err(Failure::No(format!("{} failed", human::count(failed, "job")))),
    }
}

/// Why a job failed, in a line.
pub(super) fn failure_line(screen: Screen, job: &JobInfo) -> String {
    let code = job.error_code.as_deref().unwrap_or("failed");
    let message = job.error_message.as_deref().unwrap_or_default();
    let code = screen.paint(Ink::Red, human::printable(code));
    format!("{}  {code}  {}", human::printable(&job.job_id), human::printable(message))
}
