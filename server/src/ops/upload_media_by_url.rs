//! `UploadMediaByURL`: accepts jobs, all of a call or none, durably before it answers.

use wire::action::{Source, UploadMediaByUrl};
use wire::code::{Code, Fault};
use wire::reply::{Reply, UploadJob, UploadMediaByUrlReply};

use super::{Ops, SESSION_WINDOW, store_fault};
use crate::domain::account::AccountId;
use crate::domain::job::JobRequest;
use crate::domain::source_url::SourceUrl;
use crate::store::{NewJob, Session, Submission, Submitted};

impl Ops {
    pub(super) async fn upload_media_by_url(
        &self,
        account: AccountId,
        request: UploadMediaByUrl,
    ) -> Result<Reply, Fault> {
        self.check_room()?;
        let now = self.clock.now();
        let fingerprint = request.fingerprint;
        let session =
            request.session_id.map(|id| Session { id, fingerprint, window: SESSION_WINDOW });
        let urls: Vec<String> = request.sources.iter().map(|s| s.url.clone()).collect();
        let submission = Submission {
            account,
            jobs: request.sources.into_iter().map(new_job).collect(),
            session,
            now,
            deadline: now + self.rules.job_deadline,
            limits: self.rules.submit,
        };
        let keys = match self.store.job_submit(submission).await.map_err(store_fault)? {
            Submitted::Accepted(keys) => {
                self.metrics.jobs_accepted.inc_by(keys.len() as u64);
                self.wake.notify_one();
                keys
            }
            Submitted::Replayed(keys) => keys,
            Submitted::SessionTaken => return Err(Fault::invalid("SessionId")),
            Submitted::DayQuota { opens } => {
                let wait = opens.since(now).as_millis();
                return Err(Fault::new(Code::ThrottlingUser)
                    .retry_after(u64::try_from(wait).unwrap_or(u64::MAX)));
            }
            Submitted::QueueFull => return Err(Fault::new(Code::QueueFull)),
            Submitted::ReferenceTaken(_) => return Err(Fault::invalid("ReferenceId")),
        };
        let upload_jobs = keys
            .into_iter()
            .zip(urls)
            .map(|(key, source_url)| UploadJob { job_id: self.codec.job_id(key), source_url })
            .collect();
        Ok(Reply::UploadMediaByUrl(UploadMediaByUrlReply { upload_jobs }))
    }

    /// Refuses new work while the disk has less than its reserve; reading and cancelling go on.
    fn check_room(&self) -> Result<(), Fault> {
        match self.spool.free_bytes() {
            Ok(free) if free < self.rules.min_free => Err(Fault::new(Code::StorageFull)),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "cannot tell how much room the disk has");
                Ok(())
            }
        }
    }
}

fn new_job(source: Source) -> NewJob {
    NewJob {
        url: SourceUrl::new(source.url),
        request: JobRequest {
            title: source.title,
            extension: source.extension,
            description: source.description,
            tags: source.tags,
            cover_url: source.cover_url,
            cate_id: source.cate_id,
            file_size: source.file_size,
            reference_id: source.reference_id,
            template_group_id: source.template_group_id,
            workflow_id: source.workflow_id,
            storage_location: source.storage_location,
            app_id: source.app_id,
            user_data: source.user_data,
        },
    }
}
