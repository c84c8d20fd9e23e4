//! `ListUrlUploadJobs`, an operation of ours: a page of the account's jobs, newest first.

use std::collections::HashMap;

use wire::action::ListUrlUploadJobs;
use wire::code::Fault;
use wire::reply::{ListUrlUploadJobsReply, Reply, UrlUploadInfo};

use super::{Ops, positions, store_fault};
use crate::domain::account::Subject;
use crate::domain::job::{AWAITING_URL, StateKind};
use crate::domain::time::Timestamp;
use crate::store::PageRequest;

impl Ops {
    pub(super) async fn list_url_upload_jobs(
        &self,
        subject: &Subject,
        request: ListUrlUploadJobs,
    ) -> Result<Reply, Fault> {
        let before = match &request.next_token {
            Some(token) => {
                let key = self.codec.page_key(subject.account(), token);
                Some(key.ok_or_else(|| Fault::invalid("NextToken"))?)
            }
            None => None,
        };
        let mut states: Vec<StateKind> =
            request.statuses.iter().flat_map(|status| states_of(status)).copied().collect();
        states.sort_unstable();
        states.dedup();
        let page = PageRequest {
            account: subject.account(),
            states,
            fault: request.error_code,
            url_contains: request.upload_url,
            since: request.start_time.map(Timestamp::from_seconds),
            until: request.end_time.map(Timestamp::from_seconds),
            before,
            limit: request.page_size,
        };
        let page = self.store.job_page(page).await.map_err(store_fault)?;
        let names = if subject.all { self.account_names().await? } else { HashMap::new() };
        let wanted = |status: &str| {
            request.statuses.is_empty() || request.statuses.iter().any(|s| s == status)
        };
        let mut jobs = page.jobs;
        jobs.retain(|job| wanted(job.full_status()));
        let waiting = if request.include_position { positions::waiting(&jobs) } else { Vec::new() };
        let mut infos: Vec<UrlUploadInfo> = jobs
            .into_iter()
            .map(|job| {
                let account = names.get(&job.account).cloned();
                UrlUploadInfo { account, ..self.info(job, true) }
            })
            .collect();
        self.add_places(&waiting, &mut infos).await?;
        let next_token = page.next.map(|key| self.codec.page_token(subject.account(), key));
        Ok(Reply::ListUrlUploadJobs(ListUrlUploadJobsReply { infos, next_token }))
    }
}

/// The states that show as a wire status; several statuses share a state, so the page is filtered
/// once more by the exact status.
fn states_of(status: &str) -> &'static [StateKind] {
    match status {
        "PENDING" => &[StateKind::Pending],
        "PROCESSING" => &[StateKind::Running, StateKind::Waiting],
        "DOWNLOADING" | "DOWNLOAD_SUCCESS" | "UPLOADING" | "UPLOAD_SUCCESS" => {
            &[StateKind::Running]
        }
        "SUCCESS" => &[StateKind::Succeeded],
        "DOWNLOAD_FAIL" | "UPLOAD_FAIL" => &[StateKind::Failed],
        "CANCELED" => &[StateKind::Canceled],
        AWAITING_URL => &[StateKind::AwaitingUrl],
        _ => &[],
    }
}
