//! A job as GetURLUploadInfos and ListUrlUploadJobs show it.

use wire::reply::{ProgressInfo, UrlUploadInfo};

use super::Ops;
use crate::domain::job::{Job, Phase, State};

impl Ops {
    /// Describes a job; with `with_progress`, also how far it has come.
    pub(super) fn info(&self, job: Job, with_progress: bool) -> UrlUploadInfo {
        let (error_code, error_message) = match &job.progress.state {
            State::Failed(fault) => {
                (Some(fault.class.code().to_owned()), Some(fault.message.clone()))
            }
            // The documented sample of a success shows this code (contract §9.2).
            State::Succeeded => (Some("200".to_owned()), None),
            State::AwaitingUrl { fault, .. } if with_progress => {
                (Some(fault.class.code().to_owned()), Some(fault.message.clone()))
            }
            State::Pending
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Canceled
            | State::AwaitingUrl { .. } => (None, None),
        };
        // The id exists from acceptance on but is shown once the medium is being made (§20.10).
        let media_id = match &job.progress.state {
            State::Succeeded => Some(self.codec.media_id(job.key)),
            State::Running { .. } if job.phase >= Phase::Uploading => {
                Some(self.codec.media_id(job.key))
            }
            State::Running { .. }
            | State::Pending
            | State::Waiting { .. }
            | State::Failed(_)
            | State::Canceled
            | State::AwaitingUrl { .. } => None,
        };
        let file_size = match &job.progress.state {
            State::Succeeded => Some(job.bytes),
            State::Pending
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Failed(_)
            | State::Canceled
            | State::AwaitingUrl { .. } => job.request.file_size,
        };
        let progress = with_progress.then(|| self.progress(&job));
        UrlUploadInfo {
            job_id: self.codec.job_id(job.key),
            status: if with_progress { job.full_status() } else { job.wire_status() }.to_owned(),
            upload_url: job.url.expose().to_owned(),
            media_id,
            file_size,
            creation_time: job.created.seconds(),
            complete_time: job.finished.map(|at| at.seconds()),
            error_code,
            error_message,
            user_data: job.request.user_data,
            progress,
            digests: None,
            attempts: None,
            queue_place: None,
            account: None,
        }
    }

    fn progress(&self, job: &Job) -> ProgressInfo {
        let live = self.board.progress(job.key);
        ProgressInfo {
            bytes: self.received(job),
            total: live.and_then(|p| p.total).or(job.request.file_size),
            attempt: job.progress.attempt,
            title: job.request.title.clone(),
            next_attempt: match job.progress.state {
                State::Waiting { due } => Some(due.seconds()),
                State::Pending
                | State::Running { .. }
                | State::Succeeded
                | State::Failed(_)
                | State::Canceled
                | State::AwaitingUrl { .. } => None,
            },
            deadline: job.deadline.seconds(),
            rescues: job.progress.rescues,
        }
    }

    /// Bytes come fresh from this node's transfers where it runs the job, otherwise from the last
    /// beat.
    pub(super) fn received(&self, job: &Job) -> u64 {
        self.board.progress(job.key).map_or(job.bytes, |p| p.bytes.max(job.bytes))
    }
}
