//! Requests of the operations, parsed and checked: what an operation's code receives.

use std::collections::BTreeMap;

use crate::code::Fault;
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
}

impl Request {
    /// Reads the operation's parameters.
    ///
    /// # Errors
    /// A [`Fault`] that names the first parameter that is missing or unusable.
    pub fn parse(operation: &Operation, params: &Params) -> Result<Self, Fault> {
        let _ = (operation, params);
        unimplemented!("written by the wire task")
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
    /// Normalised by the decoding rule of §9.1; begins with `http://` or `https://`, at most
    /// 8 KiB.
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
    pub reference_id: Option<String>,
    pub template_group_id: Option<String>,
    pub workflow_id: Option<String>,
    pub storage_location: Option<String>,
    pub app_id: Option<String>,
    /// As sent; checked to be a JSON object with usable `MessageCallback` and `Extend` (§13.4).
    pub user_data: Option<String>,
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
}

/// §9.3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CancelUrlUploadJobs {
    pub selector: Selector,
    /// Ours (decision 2): also answer `Outcomes`.
    pub include_outcomes: bool,
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
    /// Parameters that are accepted and change nothing here, by name (PlayConfig, ReAuthInfo, …).
    pub ignored: BTreeMap<String, String>,
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

/// Ours: a page of the account's URL-upload jobs, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListUrlUploadJobs {
    /// Wire statuses, upper case; empty means all.
    pub statuses: Vec<String>,
    /// The `NextToken` of the page before.
    pub next_token: Option<String>,
    /// 1 to 100, 20 by default.
    pub page_size: usize,
}
