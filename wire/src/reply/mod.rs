//! Replies, typed: what an operation answers, and how it is put into words (§7).

mod console;
mod fields;
mod node;

pub use console::{
    AccessKeyInfo, AccountInfo, AccountLoad, AccountReply, CreateAccessKeyReply,
    CreateConsoleSessionReply, FailureCount, GetConfigurationReply, GetRequestRecordReply,
    GetUploadStatisticsReply, ListAccessKeysReply, ListAccountsReply, NodeInfo, NodeSummary, Point,
    QueueInfo, RequestRecord, SettingInfo, StorageInfo,
};
pub use node::Node;

use crate::code::Fault;
use crate::envelope::Format;

/// A success.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    UploadMediaByUrl(UploadMediaByUrlReply),
    GetUrlUploadInfos(GetUrlUploadInfosReply),
    CancelUrlUploadJobs(CancelUrlUploadJobsReply),
    GetPlayInfo(GetPlayInfoReply),
    ListUrlUploadJobs(ListUrlUploadJobsReply),
    ReplaceUploadUrl(ReplaceUploadUrlReply),
    GetUploadStatistics(GetUploadStatisticsReply),
    GetRequestRecord(GetRequestRecordReply),
    ListAccounts(ListAccountsReply),
    CreateAccount(AccountReply),
    UpdateAccount(AccountReply),
    ListAccessKeys(ListAccessKeysReply),
    CreateAccessKey(CreateAccessKeyReply),
    /// Nothing but the RequestId.
    UpdateAccessKey,
    /// Nothing but the RequestId.
    DeleteAccessKey,
    GetConfiguration(GetConfigurationReply),
    CreateConsoleSession(CreateConsoleSessionReply),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UploadMediaByUrlReply {
    pub upload_jobs: Vec<UploadJob>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UploadJob {
    pub job_id: String,
    pub source_url: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GetUrlUploadInfosReply {
    pub infos: Vec<UrlUploadInfo>,
    /// Ids or URLs, as asked.
    pub non_exists: Vec<String>,
}

/// A job (§9.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UrlUploadInfo {
    pub job_id: String,
    pub upload_url: String,
    pub media_id: Option<String>,
    pub status: String,
    /// Bytes; a string on the wire.
    pub file_size: Option<u64>,
    /// Unix seconds.
    pub creation_time: i64,
    /// Unix seconds.
    pub complete_time: Option<i64>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub user_data: Option<String>,
    /// Ours.
    pub progress: Option<ProgressInfo>,
    /// Ours: of the stored bytes, if asked for and stored.
    pub digests: Option<Digests>,
    /// Ours: the newest attempts, oldest first.
    pub attempts: Option<Vec<AttemptInfo>>,
    /// Ours: of a pending job, if asked for.
    pub queue_place: Option<QueuePlaceInfo>,
    /// Ours: name of the account, where several are meant.
    pub account: Option<String>,
}

/// Ours: where a pending job stands in its account's line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueuePlaceInfo {
    /// 1 is the next.
    pub position: u64,
    /// Otherwise it is at least that.
    pub is_exact: bool,
    /// `low`, `normal` or `high`.
    pub priority: String,
    /// Whether the account's queue is paused.
    pub paused: bool,
    /// Until it starts, where the account's past tells.
    pub estimated_seconds: Option<u64>,
}

/// Ours: how far a job is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProgressInfo {
    /// Bytes received.
    pub bytes: u64,
    /// Bytes announced.
    pub total: Option<u64>,
    /// 1 for the first.
    pub attempt: u32,
    pub title: String,
    /// When a job that waits after a fault tries again, in Unix seconds.
    pub next_attempt: Option<i64>,
    /// Unix seconds.
    pub deadline: i64,
    /// Attempts that ended without a word of their worker.
    pub rescues: u32,
}

/// Ours: an attempt at a job.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttemptInfo {
    /// 1 for the first.
    pub number: u32,
    /// Unix seconds.
    pub start_time: i64,
    /// Unix seconds; absent while it runs.
    pub end_time: Option<i64>,
    /// `Running`, `HandedBack`, `PutOff`, `Succeeded`, `Failed` or `Expired`.
    pub ending: String,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// Received when it ended, of it and those it resumed.
    pub bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CancelUrlUploadJobsReply {
    /// Job ids, also if URLs were given.
    pub canceled_jobs: Vec<String>,
    /// Ids or URLs, as asked.
    pub non_exists: Vec<String>,
    /// Ours (decision 2 of the product): `Some` if asked for.
    pub outcomes: Option<Vec<Outcome>>,
}

/// Ours: what a cancel did with one job, or with an input that has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub input: String,
    pub job_id: Option<String>,
    pub outcome: OutcomeKind,
    pub status: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutcomeKind {
    /// By this call.
    Canceled,
    /// The job has started, or has ended, or was cancelled before.
    NotPending,
    NotExist,
}

impl OutcomeKind {
    /// As sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "Canceled",
            Self::NotPending => "NotPending",
            Self::NotExist => "NotExist",
        }
    }
}

/// §9.4.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GetPlayInfoReply {
    pub video_base: VideoBase,
    pub play_info: Vec<PlayInfo>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct VideoBase {
    pub video_id: String,
    pub title: String,
    /// Seconds; a string on the wire.
    pub duration: Option<f64>,
    pub cover_url: Option<String>,
    pub status: String,
    /// Unix seconds.
    pub creation_time: i64,
    /// `video` or `audio`.
    pub media_type: String,
    pub storage_class: Option<String>,
}

/// A stream. Not encrypted, no narrow band: those fields are constant.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PlayInfo {
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Bytes.
    pub size: u64,
    pub play_url: String,
    pub format: String,
    pub definition: String,
    pub specification: String,
    /// Seconds; a string on the wire.
    pub duration: Option<f64>,
    /// Kilobits per second; a string on the wire.
    pub bitrate: Option<f64>,
    /// A string on the wire.
    pub fps: Option<f64>,
    pub stream_type: String,
    pub status: String,
    pub job_id: String,
    /// Unix seconds.
    pub creation_time: i64,
    /// Unix seconds.
    pub modification_time: i64,
    pub codec_name: Option<String>,
    /// Ours: `Some` if asked for.
    pub digests: Option<Digests>,
}

/// Ours: digests of stored bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Digests {
    /// Lower-case hexadecimal, where it was computed.
    pub sha256: Option<String>,
    /// CRC-64/XZ; a decimal string on the wire: clients lose digits of such numbers (§7.2).
    pub crc64: u64,
    /// Lower-case hexadecimal, where it was computed.
    pub md5: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListUrlUploadJobsReply {
    pub infos: Vec<UrlUploadInfo>,
    pub next_token: Option<String>,
}

/// Ours: a job with its URL from now on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplaceUploadUrlReply {
    pub job_id: String,
    pub upload_url: String,
    /// Whether the job was given this URL before, so that nothing has changed.
    pub repeated: bool,
}

impl Reply {
    /// The operation that answers this.
    pub fn action(&self) -> &'static str {
        match self {
            Self::UploadMediaByUrl(_) => "UploadMediaByURL",
            Self::GetUrlUploadInfos(_) => "GetURLUploadInfos",
            Self::CancelUrlUploadJobs(_) => "CancelUrlUploadJobs",
            Self::GetPlayInfo(_) => "GetPlayInfo",
            Self::ListUrlUploadJobs(_) => "ListUrlUploadJobs",
            Self::ReplaceUploadUrl(_) => "ReplaceUploadUrl",
            Self::GetUploadStatistics(_) => "GetUploadStatistics",
            Self::GetRequestRecord(_) => "GetRequestRecord",
            Self::ListAccounts(_) => "ListAccounts",
            Self::CreateAccount(_) => "CreateAccount",
            Self::UpdateAccount(_) => "UpdateAccount",
            Self::ListAccessKeys(_) => "ListAccessKeys",
            Self::CreateAccessKey(_) => "CreateAccessKey",
            Self::UpdateAccessKey => "UpdateAccessKey",
            Self::DeleteAccessKey => "DeleteAccessKey",
            Self::GetConfiguration(_) => "GetConfiguration",
            Self::CreateConsoleSession(_) => "CreateConsoleSession",
        }
    }

    /// The body of a success, with `RequestId` first. It never has a `Code`: one client takes any
    /// reply with one for an error (§0.1.5).
    pub fn render(&self, format: Format, request_id: &str) -> Vec<u8> {
        let mut fields = vec![("RequestId", Node::from(request_id))];
        self.fields_into(&mut fields);
        let root = Node::Object(fields);
        match format {
            Format::Json => root.to_json(),
            Format::Xml => root.to_xml(&[self.action(), "Response"].concat()),
        }
    }

    fn fields_into<'a>(&'a self, fields: &mut Vec<(&'static str, Node<'a>)>) {
        match self {
            Self::UploadMediaByUrl(reply) => reply.fields_into(fields),
            Self::GetUrlUploadInfos(reply) => reply.fields_into(fields),
            Self::CancelUrlUploadJobs(reply) => reply.fields_into(fields),
            Self::GetPlayInfo(reply) => reply.fields_into(fields),
            Self::ListUrlUploadJobs(reply) => reply.fields_into(fields),
            Self::ReplaceUploadUrl(reply) => reply.fields_into(fields),
            Self::GetUploadStatistics(reply) => reply.fields_into(fields),
            Self::GetRequestRecord(reply) => reply.fields_into(fields),
            Self::ListAccounts(reply) => reply.fields_into(fields),
            Self::CreateAccount(reply) | Self::UpdateAccount(reply) => reply.fields_into(fields),
            Self::ListAccessKeys(reply) => reply.fields_into(fields),
            Self::CreateAccessKey(reply) => reply.fields_into(fields),
            Self::UpdateAccessKey | Self::DeleteAccessKey => {}
            Self::GetConfiguration(reply) => reply.fields_into(fields),
            Self::CreateConsoleSession(reply) => reply.fields_into(fields),
        }
    }
}

/// The body of an error (§7.3). `host_id` is the host as the caller named it, `recommend` the
/// whole URL of the page that explains the code.
pub fn render_fault(
    fault: &Fault,
    format: Format,
    request_id: &str,
    host_id: &str,
    recommend: &str,
) -> Vec<u8> {
    let code = fault.code_text();
    let root = Node::Object(vec![
        ("RequestId", Node::from(request_id)),
        ("HostId", Node::from(host_id)),
        ("Code", Node::from(code.as_ref())),
        ("Message", Node::from(fault.message())),
        ("Recommend", Node::from(recommend)),
    ]);
    match format {
        Format::Json => root.to_json(),
        Format::Xml => root.to_xml("Error"),
    }
}
