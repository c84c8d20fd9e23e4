//! Requests of the operations, parsed and checked: what an operation's code receives.
//!
//! The limits are read from the table of [`crate::spec`]. Hosts and addresses are not judged here:
//! a forbidden source fails its own job later, and not the call (decision 12 of the product).

mod console;
mod json;
mod metadata;
mod reader;
mod replace;
mod selector;
mod source_headers;
mod upload;
mod url;
pub mod user_data;

use std::collections::BTreeMap;

pub use console::{
    CreateAccessKey, CreateAccount, DeleteAccessKey, GetRequestRecord, GetUploadStatistics,
    ListUrlUploadJobs, UpdateAccessKey, UpdateAccount,
};
pub use replace::ReplaceUploadUrl;
pub use source_headers::SourceHeaders;
pub use url::normalise_url;

use self::reader::Reader;

use crate::code::{Code, Fault};
use crate::params::Params;
use crate::spec::Operation;

/// A request that passed every rule that can be judged without the store or the network.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    UploadMediaByUrl(UploadMediaByUrl),
    GetUrlUploadInfos(GetUrlUploadInfos),
    CancelUrlUploadJobs(CancelUrlUploadJobs),
    GetPlayInfo(GetPlayInfo),
    ListUrlUploadJobs(ListUrlUploadJobs),
    ReplaceUploadUrl(ReplaceUploadUrl),
    GetUploadStatistics(GetUploadStatistics),
    GetRequestRecord(GetRequestRecord),
    ListAccounts,
    CreateAccount(CreateAccount),
    UpdateAccount(UpdateAccount),
    ListAccessKeys,
    CreateAccessKey(CreateAccessKey),
    UpdateAccessKey(UpdateAccessKey),
    DeleteAccessKey(DeleteAccessKey),
    GetConfiguration,
    CreateConsoleSession,
}

impl Request {
    /// Reads the operation's parameters.
    ///
    /// # Errors
    /// A [`Fault`] that names the first parameter that is missing or unusable.
    pub fn parse(operation: &Operation, params: &Params) -> Result<Self, Fault> {
        let reader = Reader::new(operation, params);
        match operation.action {
            "UploadMediaByURL" => UploadMediaByUrl::read(&reader).map(Self::UploadMediaByUrl),
            "GetURLUploadInfos" => GetUrlUploadInfos::read(&reader).map(Self::GetUrlUploadInfos),
            "CancelUrlUploadJobs" => {
                CancelUrlUploadJobs::read(&reader).map(Self::CancelUrlUploadJobs)
            }
            "GetPlayInfo" => GetPlayInfo::read(&reader).map(Self::GetPlayInfo),
            "ListUrlUploadJobs" => ListUrlUploadJobs::read(&reader).map(Self::ListUrlUploadJobs),
            "ReplaceUploadUrl" => ReplaceUploadUrl::read(&reader).map(Self::ReplaceUploadUrl),
            "GetUploadStatistics" => {
                GetUploadStatistics::read(&reader).map(Self::GetUploadStatistics)
            }
            "GetRequestRecord" => GetRequestRecord::read(&reader).map(Self::GetRequestRecord),
            "ListAccounts" => Ok(Self::ListAccounts),
            "CreateAccount" => CreateAccount::read(&reader).map(Self::CreateAccount),
            "UpdateAccount" => UpdateAccount::read(&reader).map(Self::UpdateAccount),
            "ListAccessKeys" => Ok(Self::ListAccessKeys),
            "CreateAccessKey" => CreateAccessKey::read(&reader).map(Self::CreateAccessKey),
            "UpdateAccessKey" => UpdateAccessKey::read(&reader).map(Self::UpdateAccessKey),
            "DeleteAccessKey" => DeleteAccessKey::read(&reader).map(Self::DeleteAccessKey),
            "GetConfiguration" => Ok(Self::GetConfiguration),
            "CreateConsoleSession" => Ok(Self::CreateConsoleSession),
            // A row of the table that nothing parses; a test walks the table.
            _ => Err(Fault::new(Code::InvalidActionNotFound)),
        }
    }
}

/// §9.1. One job per URL, all or none.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadMediaByUrl {
    /// 1 to 20 sources, in the order sent; the same URL may occur more than once.
    pub sources: Vec<Source>,
    pub session_id: Option<String>,
    /// SHA-256 over the sorted operation parameters (common ones, signature, nonce and time left
    /// out): equal for two requests that ask for the same (decision 7 of the product).
    pub fingerprint: [u8; 32],
}

/// One URL with its metadata; values of the call that a metadata entry does not override are
/// already filled in.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Source {
    /// Normalised by the decoding rule of §9.1; begins with `http://` or `https://` in the letter
    /// case it was sent in, at most 8 KiB.
    pub url: String,
    /// Lower case, without dot, one of [`crate::spec::EXTENSIONS`].
    pub extension: String,
    /// At most 128 bytes; the URL's file name, decoded and cut to the limit, if none was given.
    pub title: String,
    /// Whether the caller gave the title.
    pub title_given: bool,
    pub description: Option<String>,
    pub tags: Option<String>,
    pub cover_url: Option<String>,
    pub cate_id: Option<i64>,
    /// Bytes.
    pub file_size: Option<u64>,
    /// Ours: among the jobs of the account.
    pub priority: Priority,
    /// Ours: what the bytes must be; the job fails if they are not.
    pub md5: Option<[u8; 16]>,
    /// Ours.
    pub sha256: Option<[u8; 32]>,
    /// Ours: CRC-64/XZ, as OSS's `x-oss-hash-crc64ecma`.
    pub crc64: Option<u64>,
    /// Ours: `Headers` and `BasicAuth`; never empty.
    pub headers: Option<SourceHeaders>,
    pub reference_id: Option<String>,
    pub template_group_id: Option<String>,
    pub workflow_id: Option<String>,
    pub storage_location: Option<String>,
    pub app_id: Option<String>,
    /// As sent; checked to be a JSON object with usable `MessageCallback` and `Extend` (§13.4).
    pub user_data: Option<String>,
}

/// Ours: how urgent a job is among those of its account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

/// Ids or URLs, never both: where a caller sent both, only the ids count (seed, §9.2, §9.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// As sent, de-duplicated in first-seen order, 1 to 10, none empty. Not checked to be ids of
    /// ours: an id that cannot be one simply does not exist.
    JobIds(Vec<String>),
    /// 1 to 10, each by the decoding rule, de-duplicated in first-seen order.
    Urls(Vec<SelectedUrl>),
}

/// A URL of a selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectedUrl {
    /// Normalised (§9.1): decides which jobs are meant, and is what answers show.
    pub url: String,
}

/// §9.2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetUrlUploadInfos {
    pub selector: Selector,
    /// Ours: also answer `Progress` fields of running jobs.
    pub include_progress: bool,
    /// Ours: also answer `Digests` of jobs that succeeded.
    pub include_digests: bool,
    /// Ours: also answer `Attempts`.
    pub include_attempts: bool,
    /// Ours: also answer `QueuePlace` of pending jobs.
    pub include_position: bool,
}

impl GetUrlUploadInfos {
    fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            selector: Selector::read(reader, "UploadURLs")?,
            include_progress: reader.boolean("IncludeProgress")?,
            include_digests: reader.boolean("IncludeDigests")?,
            include_attempts: reader.boolean("IncludeAttempts")?,
            include_position: reader.boolean("IncludePosition")?,
        })
    }
}

/// §9.3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CancelUrlUploadJobs {
    pub selector: Selector,
    /// Ours (decision 2): also answer `Outcomes`.
    pub include_outcomes: bool,
}

impl CancelUrlUploadJobs {
    fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            selector: Selector::read(reader, "UploadUrls")?,
            include_outcomes: reader.boolean("IncludeOutcomes")?,
        })
    }
}

/// §9.4.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetPlayInfo {
    pub media: MediaSelector,
    /// Lower case; empty means all.
    pub formats: Vec<String>,
    /// Upper case; empty means all.
    pub definitions: Vec<String>,
    /// `video`, `audio`, or both by default.
    pub stream_types: Vec<String>,
    pub output_type: OutputType,
    /// Seconds a play URL stays valid; `None` means the server's default.
    pub auth_timeout: Option<u64>,
    pub result_type: ResultType,
    /// Codec filter, lower case.
    pub codec_name: Option<String>,
    /// Ours: also answer `Digests` of the streams.
    pub include_digests: bool,
    /// Parameters that are accepted and change nothing here, by name (PlayConfig, ReAuthInfo, …).
    pub ignored: BTreeMap<String, String>,
}

impl GetPlayInfo {
    fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        // The id that is not used is not judged either.
        let media = match reader.text("VideoId")? {
            Some(id) => MediaSelector::VideoId(id.to_owned()),
            None => match reader.text("ReferenceId")? {
                Some(id) => MediaSelector::ReferenceId(id.to_owned()),
                None => return Err(Fault::missing_one_of("VideoId or ReferenceId")),
            },
        };
        let mut stream_types = owned(reader.some_of("StreamType")?);
        if stream_types.is_empty() {
            stream_types = vec!["video".to_owned(), "audio".to_owned()];
        }
        let mut ignored = BTreeMap::new();
        for name in ["AdditionType", "PlayConfig", "ReAuthInfo", "DigitalWatermarkType", "Trace"] {
            if let Some(value) = reader.text(name)? {
                ignored.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(Self {
            media,
            formats: owned(reader.some_of("Formats")?),
            definitions: owned(reader.some_of("Definition")?),
            stream_types,
            output_type: match reader.one_of("OutputType")? {
                Some("oss") => OutputType::Oss,
                _ => OutputType::Cdn,
            },
            auth_timeout: reader.integer("AuthTimeout")?.map(i64::unsigned_abs),
            result_type: match reader.one_of("ResultType")? {
                Some("Multiple") => ResultType::Multiple,
                _ => ResultType::Single,
            },
            codec_name: reader.text("CodecName")?.map(str::to_ascii_lowercase),
            include_digests: reader.boolean("IncludeDigests")?,
            ignored,
        })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaSelector {
    VideoId(String),
    ReferenceId(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputType {
    Cdn,
    Oss,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResultType {
    Single,
    Multiple,
}

fn owned(values: Vec<&'static str>) -> Vec<String> {
    values.into_iter().map(str::to_owned).collect()
}
