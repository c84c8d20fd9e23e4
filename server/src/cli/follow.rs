//! Following jobs to their end: asks again and again for those that have not ended, slowly enough
//! for the server's rate limit, and survives a server that is away for a moment.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Failure;
use crate::client::{Client, ClientError, JobInfo, Selector};

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_millis(300);
/// Per call of a round: keeps to half of the 100 calls a second that VOD allows one account.
const PER_CALL: Duration = Duration::from_millis(20);
/// Ids of one call (contract §9.2).
const IDS_PER_CALL: usize = 10;
/// Rounds in a row without an answer, after which the server counts as gone.
const SILENT_ROUNDS: u32 = 20;

/// What a round of questions told.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// In the order of the ids asked for; each as last seen.
    pub(super) jobs: Vec<JobInfo>,
    /// Ids that the server does not know.
    pub(super) unknown: Vec<String>,
}

/// Follows `ids` until all are final; `show` sees all known jobs after each round.
pub(super) async fn follow(
    client: &Client,
    ids: Vec<String>,
    round: Option<Duration>,
    mut show: impl FnMut(&[JobInfo]),
) -> Result<Followed, Failure> {
    let round = round.unwrap_or(ROUND);
    let mut seen = HashSet::new();
    let mut open: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
    let mut followed = Followed::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut ended: HashSet<String> = HashSet::new();
    let mut silent = 0;
    while !open.is_empty() {
        let calls = u32::try_from(open.len().div_ceil(IDS_PER_CALL)).unwrap_or(u32::MAX);
        let mut pause = round.max(PER_CALL.saturating_mul(calls));
        match client.infos(&Selector::Ids(open.clone())).await {
            Ok(infos) => {
                silent = 0;
                for info in infos.infos {
                    if info.is_final() {
                        ended.insert(info.job_id.clone());
                    }
                    match places.get(&info.job_id) {
                        Some(place) => followed.jobs[*place] = info,
                        None => {
                            places.insert(info.job_id.clone(), followed.jobs.len());
                            followed.jobs.push(info);
                        }
                    }
                }
                ended.extend(infos.non_exists.iter().cloned());
                followed.unknown.extend(infos.non_exists);
                open.retain(|id| !ended.contains(id));
                show(&followed.jobs);
            }
            Err(error) if error.is_transient() && silent < SILENT_ROUNDS => {
                silent += 1;
                if let ClientError::Refused(refusal) = &error {
                    pause = pause.max(refusal.retry_after.unwrap_or_default());
                }
            }
            Err(error) => return Err(error.into()),
        }
        if !open.is_empty() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(followed)
}
