//! `CancelUrlUploadJobs`: cancels what is still pending. The store decides by one conditional
//! write; a job that a worker has claimed once is never cancelled here (decision 4).

use wire::action::{CancelUrlUploadJobs, Selector};
use wire::code::Fault;
use wire::reply::{CancelUrlUploadJobsReply, Outcome, OutcomeKind, Reply};

use super::{Ops, store_fault};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::SourceUrl;
use crate::store::{CancelBy, CancelVerdict};

impl Ops {
    pub(super) async fn cancel_url_upload_jobs(
        &self,
        account: AccountId,
        request: CancelUrlUploadJobs,
    ) -> Result<Reply, Fault> {
        let judged = match request.selector {
            Selector::JobIds(ids) => self.cancel_ids(account, ids).await?,
            Selector::Urls(asked) => {
                let urls: Vec<String> = asked.into_iter().map(|u| u.url).collect();
                let by = CancelBy::Urls(urls.iter().map(SourceUrl::new).collect());
                let verdicts = self.cancel(account, by).await?;
                urls.into_iter().zip(verdicts).collect()
            }
        };
        Ok(Reply::CancelUrlUploadJobs(self.cancel_reply(judged, request.include_outcomes)))
    }

    /// One verdict for each id, in order; ids that cannot be ours do not exist.
    async fn cancel_ids(
        &self,
        account: AccountId,
        ids: Vec<String>,
    ) -> Result<Vec<(String, CancelVerdict)>, Fault> {
        let decoded: Vec<Option<Key>> = ids.iter().map(|id| self.codec.job_key(id)).collect();
        let keys = decoded.iter().flatten().copied().collect();
        let mut verdicts = self.cancel(account, CancelBy::Keys(keys)).await?.into_iter();
        let judged = ids.into_iter().zip(decoded).map(|(id, key)| {
            let verdict = key.and_then(|_| verdicts.next()).unwrap_or(CancelVerdict::NotExist);
            (id, verdict)
        });
        Ok(judged.collect())
    }

    async fn cancel(&self, account: AccountId, by: CancelBy) -> Result<Vec<CancelVerdict>, Fault> {
        self.store.job_cancel_pending(account, by, self.schedule.now()).await.map_err(store_fault)
    }

    fn cancel_reply(
        &self,
        judged: Vec<(String, CancelVerdict)>,
        with_outcomes: bool,
    ) -> CancelUrlUploadJobsReply {
        let mut canceled_jobs = Vec::new();
        let mut non_exists = Vec::new();
        let mut outcomes = Vec::new();
        for (input, verdict) in judged {
            let mut outcome = |kind, key: Option<Key>, status: Option<&str>| {
                outcomes.push(Outcome {
                    input: input.clone(),
                    job_id: key.map(|key| self.codec.job_id(key)),
                    outcome: kind,
                    status: status.map(str::to_owned),
                });
            };
            match verdict {
                CancelVerdict::Canceled(keys) => {
                    for key in keys {
                        outcome(OutcomeKind::Canceled, Some(key), Some("CANCELED"));
                        canceled_jobs.push(self.codec.job_id(key));
                    }
                }
                CancelVerdict::NotPending(key, kind) => {
                    outcome(OutcomeKind::NotPending, Some(key), Some(status_of(kind)));
                }
                CancelVerdict::NotExist => {
                    outcome(OutcomeKind::NotExist, None, None);
                    non_exists.push(input);
                }
            }
        }
        self.metrics.jobs_canceled.inc_by(canceled_jobs.len() as u64);
        CancelUrlUploadJobsReply {
            canceled_jobs,
            non_exists,
            outcomes: with_outcomes.then_some(outcomes),
        }
    }
}

/// The wire status of a state whose phase and fault are not at hand.
fn status_of(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Pending => "PENDING",
        StateKind::Running | StateKind::Waiting | StateKind::AwaitingUrl => "PROCESSING",
        StateKind::Succeeded => "SUCCESS",
        StateKind::Failed => "DOWNLOAD_FAIL",
        StateKind::Canceled => "CANCELED",
    }
}
