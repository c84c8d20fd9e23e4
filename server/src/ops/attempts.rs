//! The attempts of a job as GetURLUploadInfos shows them.

use wire::reply::AttemptInfo;

use super::Ops;
use crate::domain::attempt::{Attempt, Ending};
use crate::domain::job::{Job, State};

impl Ops {
    /// The attempts that are over, and the one that runs.
    pub(super) fn attempts(&self, job: &Job, past: Vec<Attempt>) -> Vec<AttemptInfo> {
        let running = match job.progress.state {
            // The job was read before its attempts: by now it may be over and among them.
            State::Running { token, .. } if past.iter().all(|attempt| attempt.token != token) => {
                Some(self.running_attempt(job))
            }
            State::Running { .. }
            | State::Pending
            | State::Waiting { .. }
            | State::Succeeded
            | State::Failed(_)
            | State::Canceled
            | State::AwaitingUrl { .. } => None,
        };
        past.into_iter().map(info).chain(running).collect()
    }

    fn running_attempt(&self, job: &Job) -> AttemptInfo {
        AttemptInfo {
            number: job.progress.attempt,
            start_time: job.claimed.unwrap_or(job.created).seconds(),
            ending: "Running".to_owned(),
            bytes: self.received(job),
            ..AttemptInfo::default()
        }
    }
}

fn info(attempt: Attempt) -> AttemptInfo {
    let (error_code, error_message) =
        attempt.fault.map(|fault| (fault.class.code().to_owned(), fault.message)).unzip();
    AttemptInfo {
        number: attempt.number,
        start_time: attempt.started.seconds(),
        end_time: Some(attempt.ended.seconds()),
        ending: name(attempt.ending).to_owned(),
        error_code,
        error_message,
        bytes: attempt.bytes,
    }
}

fn name(ending: Ending) -> &'static str {
    match ending {
        Ending::HandedBack => "HandedBack",
        Ending::PutOff => "PutOff",
        Ending::Succeeded => "Succeeded",
        Ending::Failed => "Failed",
        Ending::Expired => "Expired",
    }
}
