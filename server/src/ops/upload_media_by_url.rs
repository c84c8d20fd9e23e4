//! `UploadMediaByURL`: accepts jobs, all of a call or none, durably before it answers.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wire::action::{Source, UploadMediaByUrl};
use wire::code::{Code, Fault};
use wire::reply::{Reply, UploadJob, UploadMediaByUrlReply};

use super::{Ops, SESSION_WINDOW, store_fault};
use crate::domain::account::AccountId;
use crate::domain::digest::Declared;
use crate::domain::job::JobRequest;
use crate::domain::priority::Priority;
use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::SourceUrl;
use crate::door::sealed_headers;
use crate::store::{NewJob, Session, Submission, Submitted};

impl Ops {
    pub(super) async fn upload_media_by_url(
        &self,
        account: AccountId,
        request: UploadMediaByUrl,
    ) -> Result<Reply, Fault> {
        self.check_room()?;
        let asked =
            |source: &Source| self.locations.choose(source.storage_location.as_deref()).is_none();
        if request.sources.iter().any(asked) {
            return Err(Fault::new(Code::InvalidStorageNotFound));
        }
        let entry = self.schedule.enter();
        let now = entry.now();
        let fingerprint = self.keyed(request.fingerprint);
        let session =
            request.session_id.map(|id| Session { id, fingerprint, window: SESSION_WINDOW });
        let urls: Vec<String> = request.sources.iter().map(|s| s.url.clone()).collect();
        let submission = Submission {
            account,
            jobs: request.sources.into_iter().map(|s| self.new_job(account, s)).collect(),
            session,
            now,
            deadline: now + self.rules.job_deadline,
            limits: self.rules.submit,
        };
        let submitted = self.store.job_submit(submission).await;
        drop(entry);
        let keys = match submitted.map_err(store_fault)? {
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

    /// The fingerprint as it is stored. It covers headers and passwords, so a bare hash would let
    /// whoever has a copy of the database try passwords against it.
    fn keyed(&self, fingerprint: [u8; 32]) -> [u8; 32] {
        let key = self.vault.derive("session fingerprints");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes any key");
        mac.update(&fingerprint);
        mac.finalize().into_bytes().into()
    }

    fn new_job(&self, account: AccountId, source: Source) -> NewJob {
        let url = SourceUrl::new(source.url);
        let sealed_headers = source.headers.map(|headers| {
            let headers = SourceHeaders::new(headers.into_pairs());
            sealed_headers::seal(&self.vault, account, &url, &headers)
        });
        let request = JobRequest {
            title: source.title,
            priority: priority(source.priority),
            extension: source.extension,
            description: source.description,
            tags: source.tags,
            cover_url: source.cover_url,
            cate_id: source.cate_id,
            file_size: source.file_size,
            declared: Declared { md5: source.md5, sha256: source.sha256, crc64: source.crc64 },
            sealed_headers,
            reference_id: source.reference_id,
            template_group_id: source.template_group_id,
            workflow_id: source.workflow_id,
            storage_location: source.storage_location,
            app_id: source.app_id,
            user_data: source.user_data,
        };
        NewJob { url, request }
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

fn priority(asked: wire::action::Priority) -> Priority {
    match asked {
        wire::action::Priority::Low => Priority::Low,
        wire::action::Priority::Normal => Priority::Normal,
        wire::action::Priority::High => Priority::High,
    }
}
