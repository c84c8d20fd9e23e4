//! The operations: a file each. An operation is a story of a few store verbs; it knows neither
//! HTTP nor SQL. Its request is parsed and its caller known.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use wire::action::Request;
use wire::code::{Code, Fault};
use wire::reply::Reply;

use crate::api::media::PlayUrls;
use crate::api::records::Records;
use crate::blob::Locations;
use crate::blob::spool::Spool;
use crate::domain::account::Subject;
use crate::domain::id::IdCodec;
use crate::door::Clock;
use crate::door::schedule::Schedule;
use crate::door::vault::Vault;
use crate::store::{Store, StoreError, SubmitLimits};
use crate::telemetry::metrics::Metrics;
use crate::worker::board::Board;

mod access_keys;
mod accounts;
mod attempts;
mod cancel_url_upload_jobs;
mod console_session;
mod digests;
mod get_configuration;
mod get_play_info;
mod get_request_record;
mod get_upload_statistics;
mod get_url_upload_infos;
mod info;
mod list_url_upload_jobs;
mod node;
mod positions;
mod replace_upload_url;
mod upload_media_by_url;

#[cfg(test)]
mod for_tests;

pub use get_upload_statistics::Answers;
pub use node::NodeFacts;

/// What operations work with.
#[derive(Debug)]
pub struct Ops {
    pub store: Arc<dyn Store>,
    pub codec: IdCodec,
    /// The time of day.
    pub clock: Clock,
    /// The time that jobs go by.
    pub schedule: Schedule,
    pub play_urls: PlayUrls,
    pub spool: Spool,
    /// Where objects can be, by name.
    pub locations: Locations,
    /// Progress of this node's transfers.
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    /// Wakes the claim loop after a submission.
    pub wake: Arc<Notify>,
    pub rules: Rules,
    /// The newest requests.
    pub records: Arc<Records>,
    /// Seals secrets of new access keys, tickets, and the headers that callers confide for sources.
    pub vault: Vault,
    pub node: NodeFacts,
    /// Statistics answered a moment ago.
    pub answers: Answers,
}

/// The configured numbers that operations judge by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub submit: SubmitLimits,
    /// From acceptance to terminal.
    pub job_deadline: Duration,
    /// Validity of play URLs whose caller did not say.
    pub auth_timeout: Duration,
    /// Bytes that must stay free; below it submissions are refused.
    pub min_free: u64,
}

/// How far back jobs can be queried: one year (contract §9.2).
const QUERY_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// How long a `SessionId` counts as repeated (contract §9.1).
pub const SESSION_WINDOW: Duration = Duration::from_secs(600);

impl Ops {
    /// Answers a request about the things of `subject`.
    ///
    /// # Errors
    /// The [`Fault`] to answer with; nothing was changed then.
    pub async fn run(&self, subject: &Subject, request: Request) -> Result<Reply, Fault> {
        let account = subject.account;
        match request {
            Request::UploadMediaByUrl(r) => self.upload_media_by_url(account, r).await,
            Request::GetUrlUploadInfos(r) => self.get_url_upload_infos(account, r).await,
            Request::CancelUrlUploadJobs(r) => self.cancel_url_upload_jobs(account, r).await,
            Request::GetPlayInfo(r) => self.get_play_info(account, r).await,
            Request::ListUrlUploadJobs(r) => self.list_url_upload_jobs(subject, r).await,
            Request::ReplaceUploadUrl(r) => self.replace_upload_url(account, r).await,
            Request::GetUploadStatistics(r) => self.get_upload_statistics(subject, r).await,
            Request::GetRequestRecord(r) => self.get_request_record(subject, r).await,
            Request::ListAccounts => self.list_accounts(subject).await,
            Request::CreateAccount(r) => self.create_account(subject, r).await,
            Request::UpdateAccount(r) => self.update_account(subject, r).await,
            Request::ListAccessKeys => self.list_access_keys(subject).await,
            Request::CreateAccessKey(r) => self.create_access_key(subject, r).await,
            Request::UpdateAccessKey(r) => self.update_access_key(subject, r).await,
            Request::DeleteAccessKey(r) => self.delete_access_key(subject, r).await,
            Request::GetConfiguration => self.get_configuration(subject),
            Request::CreateConsoleSession => self.create_console_session(subject),
        }
    }
}

/// What a caller learns of a failing store; the log has the details.
pub(crate) fn store_fault(error: StoreError) -> Fault {
    match error {
        StoreError::Full => {
            tracing::error!("the store's disk is full");
            Fault::new(Code::StorageFull)
        }
        StoreError::Closed => Fault::new(Code::ServiceUnavailable),
        StoreError::Engine(_)
        | StoreError::Newer { .. }
        | StoreError::Unmigrated { .. }
        | StoreError::Unknown(_)
        | StoreError::Corrupt(_) => {
            tracing::error!(%error, "a store verb failed");
            Fault::new(Code::InternalError)
        }
    }
}
