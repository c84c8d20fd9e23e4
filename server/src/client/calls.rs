//! The operations the client calls: their parameters and answers, in the names of the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, ClientError};

/// Most URLs in one `UploadMediaByURL` (contract §9.1).
const UPLOAD_LIMIT: usize = 20;
/// Most ids or URLs in one query or cancel (contract §9.2, §9.3).
const SELECT_LIMIT: usize = 10;

/// Jobs to submit.
#[derive(Clone, Default)]
pub struct UploadRequest {
    pub urls: Vec<String>,
    /// Objects of `UploadMetadatas`, each with the `SourceURL` it belongs to, as it stands in
    /// `urls`.
    pub metadata: Vec<Value>,
    pub session_id: Option<String>,
}

impl fmt::Debug for UploadRequest {
    /// Leaves out URLs and metadata, which may carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadRequest({} URLs)", self.urls.len())
    }
}

/// The URL that an object of `UploadMetadatas` belongs to; both spellings occur (contract §9.1).
pub fn metadata_url(entry: &Value) -> Option<&str> {
    entry.get("SourceURL").or_else(|| entry.get("SourceUrl"))?.as_str()
}

/// The answer to `UploadMediaByURL`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Submitted {
    pub upload_jobs: Vec<UploadJob>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadJob {
    pub job_id: String,
    #[serde(rename = "SourceURL")]
    pub source_url: String,
}

/// Which jobs a call is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    Ids(Vec<String>),
    Urls(Vec<String>),
}

/// The answer to `GetURLUploadInfos`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Infos {
    #[serde(rename = "URLUploadInfoList")]
    pub infos: Vec<JobInfo>,
    pub non_exists: Vec<String>,
}

/// Another URL for a job.
#[derive(Clone, Default)]
pub struct Replacement {
    pub job_id: String,
    pub url: String,
    /// `Headers` and `BasicAuth` for it, as in `UploadMetadatas`.
    pub metadata: Option<Value>,
}

impl fmt::Debug for Replacement {
    /// Leaves out the URL and the metadata, which may carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replacement({})", self.job_id)
    }
}

/// The answer to `ReplaceUploadUrl`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Replaced {
    pub job_id: String,
    #[serde(rename = "UploadURL")]
    pub upload_url: String,
    /// `Replaced` or `Repeated`.
    pub outcome: String,
}

/// A page of `ListUrlUploadJobs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InfoPage {
    #[serde(rename = "URLUploadInfoList")]
    pub infos: Vec<JobInfo>,
    pub next_token: Option<String>,
}

/// One job as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobInfo {
    pub job_id: String,
    #[serde(rename = "UploadURL")]
    pub upload_url: String,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_id: Option<String>,
    /// Bytes, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// How far a running job has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Progress {
    pub bytes_received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    pub attempt: u32,
    pub title: String,
}

impl JobInfo {
    /// Whether the job has come to its end.
    pub fn is_final(&self) -> bool {
        self.is_success() || self.is_canceled() || self.is_failure()
    }

    pub fn is_success(&self) -> bool {
        self.status == "SUCCESS"
    }

    pub fn is_canceled(&self) -> bool {
        self.status == "CANCELED"
    }

    pub fn is_failure(&self) -> bool {
        self.status.ends_with("_FAIL")
    }

    /// Whether the job goes on only when it is given another URL.
    pub fn awaits_url(&self) -> bool {
        self.status == "AWAITING_URL"
    }

    pub fn is_pending(&self) -> bool {
        self.status == "PENDING"
    }

    /// Bytes received so far, or the size once done.
    pub fn bytes(&self) -> Option<u64> {
        let so_far = self.progress.as_ref().map(|progress| progress.bytes_received);
        self.file_size.as_ref().and_then(|size| size.parse().ok()).or(so_far)
    }
}

/// The answer to `CancelUrlUploadJobs` with `IncludeOutcomes`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Canceled {
    pub canceled_jobs: Vec<String>,
    pub non_exists: Vec<String>,
    pub outcomes: Vec<Outcome>,
}

/// What became of one input of a cancel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Outcome {
    pub input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// `Canceled`, `NotPending` or `NotExist`.
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl Outcome {
    pub fn is_canceled(&self) -> bool {
        self.outcome == "Canceled"
    }
}

/// The answer to `GetPlayInfo`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlayInfos {
    pub video_base: VideoBase,
    play_info_list: PlayInfoList,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PlayInfoList {
    play_info: Vec<PlayInfo>,
}

impl PlayInfos {
    /// The stream of the source, untouched.
    pub fn original(&self) -> Option<&PlayInfo> {
        self.play_info_list.play_info.first()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VideoBase {
    pub title: String,
}

/// A stream. Numbers that VOD writes as text are text here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlayInfo {
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Bytes.
    pub size: u64,
    #[serde(rename = "PlayURL")]
    pub play_url: String,
    pub format: String,
    /// Seconds.
    pub duration: Option<String>,
    /// Kbit/s.
    pub bitrate: Option<String>,
    pub codec_name: Option<String>,
}

/// Which jobs a list is about; empty or `None` means any.
#[derive(Clone, Default)]
pub struct Search {
    pub statuses: Vec<String>,
    /// Exact code of a failed job.
    pub error_code: Option<String>,
    /// Part of the URL. May carry a secret.
    pub url: Option<String>,
    /// `YYYY-MM-DDThh:mm:ssZ`; created then or later.
    pub start_time: Option<String>,
    /// As above; created before.
    pub end_time: Option<String>,
    /// Name of an account, or `*`, for operators.
    pub account: Option<String>,
}

/// Without the part of the URL.
impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("statuses", &self.statuses)
            .field("error_code", &self.error_code)
            .field("start_time", &self.start_time)
            .field("end_time", &self.end_time)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// What `CreateConsoleSession` answers.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConsoleTicket {
    /// A secret for a minute.
    pub ticket: String,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    pub expire_time: String,
}

/// No ticket.
impl fmt::Debug for ConsoleTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsoleTicket(until {})", self.expire_time)
    }
}

impl Client {
    /// Submits all URLs, in as many calls as it takes. Of several calls, each is accepted whole or
    /// refused whole; after a refusal no further one is made. `on_accepted` hears of each call's
    /// jobs as they are accepted.
    ///
    /// # Errors
    /// The first refusal, or why there is no answer.
    pub async fn upload(
        &self,
        request: &UploadRequest,
        mut on_accepted: impl FnMut(&[UploadJob]),
    ) -> Result<Submitted, ClientError> {
        let mut all = Submitted::default();
        for (at, urls) in request.urls.chunks(UPLOAD_LIMIT).enumerate() {
            let mut params = vec![param("UploadURLs", list(urls))];
            let of_these = |entry: &&Value| {
                metadata_url(entry).is_some_and(|of| urls.iter().any(|url| url == of))
            };
            let metadata: Vec<&Value> = request.metadata.iter().filter(of_these).collect();
            if !metadata.is_empty() {
                params.push(param("UploadMetadatas", json!(metadata).to_string()));
            }
            let session = request.session_id.as_ref().map(|id| match at {
                0 => id.clone(),
                // A session id names one call.
                _ => format!("{id}-{}", at + 1),
            });
            params.extend(session.map(|id| param("SessionId", id)));
            let answer: Submitted = self.call("UploadMediaByURL", &params).await?;
            on_accepted(&answer.upload_jobs);
            all.upload_jobs.extend(answer.upload_jobs);
        }
        Ok(all)
    }

    /// What the server knows of these jobs, progress included.
    ///
    /// # Errors
    /// The first refusal, or why there is no answer.
    pub async fn infos(&self, selector: &Selector) -> Result<Infos, ClientError> {
        let mut all = Infos::default();
        for asked in selector.params("UploadURLs") {
            let params = [asked, param("IncludeProgress", "true")];
            let answer: Infos = self.call("GetURLUploadInfos", &params).await?;
            all.infos.extend(answer.infos);
            all.non_exists.extend(answer.non_exists);
        }
        Ok(all)
    }

    /// Cancels what is pending of these jobs.
    ///
    /// # Errors
    /// The first refusal, or why there is no answer.
    pub async fn cancel(&self, selector: &Selector) -> Result<Canceled, ClientError> {
        let mut all = Canceled::default();
        for asked in selector.params("UploadUrls") {
            let params = [asked, param("IncludeOutcomes", "true")];
            let answer: Canceled = self.call("CancelUrlUploadJobs", &params).await?;
            all.canceled_jobs.extend(answer.canceled_jobs);
            all.non_exists.extend(answer.non_exists);
            all.outcomes.extend(answer.outcomes);
        }
        Ok(all)
    }

    /// Gives a job that awaits one another URL.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub async fn replace(&self, replacement: &Replacement) -> Result<Replaced, ClientError> {
        let Replacement { job_id, url, metadata } = replacement;
        let url = list(std::slice::from_ref(url));
        let mut params = vec![param("JobId", job_id.as_str()), param("UploadURL", url)];
        for name in ["Headers", "BasicAuth"] {
            let value = metadata.as_ref().and_then(|metadata| metadata.get(name));
            params.extend(value.map(|value| param(name, value.to_string())));
        }
        self.call("ReplaceUploadUrl", &params).await
    }

    /// A page of jobs, newest first. It may be short, or empty, and still have a next one.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub async fn list(
        &self,
        search: &Search,
        page_size: usize,
        next_token: Option<&str>,
    ) -> Result<InfoPage, ClientError> {
        let mut params = vec![param("PageSize", page_size.to_string())];
        if !search.statuses.is_empty() {
            params.push(param("Status", search.statuses.join(",")));
        }
        let given = [
            ("ErrorCode", search.error_code.as_deref()),
            ("UploadURL", search.url.as_deref()),
            ("StartTime", search.start_time.as_deref()),
            ("EndTime", search.end_time.as_deref()),
            ("Account", search.account.as_deref()),
            ("NextToken", next_token),
        ];
        params.extend(given.iter().filter_map(|(name, value)| Some(param(name, (*value)?))));
        self.call("ListUrlUploadJobs", &params).await
    }

    /// A ticket that signs a browser in to the console, once.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub async fn console_ticket(&self) -> Result<ConsoleTicket, ClientError> {
        self.call("CreateConsoleSession", &[]).await
    }

    /// The streams of a stored medium.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub async fn play_info(&self, media_id: &str) -> Result<PlayInfos, ClientError> {
        self.call("GetPlayInfo", &[param("VideoId", media_id)]).await
    }
}

impl Selector {
    /// The parameter of each call it takes.
    fn params(&self, urls_name: &'static str) -> Vec<(String, String)> {
        match self {
            Self::Ids(ids) => {
                ids.chunks(SELECT_LIMIT).map(|ids| param("JobIds", ids.join(","))).collect()
            }
            Self::Urls(urls) => {
                urls.chunks(SELECT_LIMIT).map(|urls| param(urls_name, list(urls))).collect()
            }
        }
    }
}

fn param(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// A list of URLs. Each is encoded once more, as the contract demands, so that commas and percent
/// signs arrive as they are (contract §9.1).
fn list(urls: &[String]) -> String {
    let encoded = urls.iter().map(|url| url::form_urlencoded::byte_serialize(url.as_bytes()));
    encoded.map(Iterator::collect).collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_urls_with_commas_and_percent_signs_apart() {
        let urls = ["http://h/a,b.mp4".to_owned(), "http://h/a%20b+c.mp4?x=1".to_owned()];
        assert_eq!(
            list(&urls),
            "http%3A%2F%2Fh%2Fa%2Cb.mp4,http%3A%2F%2Fh%2Fa%2520b%2Bc.mp4%3Fx%3D1"
        );
    }

    #[test]
    fn a_selector_of_many_becomes_calls_of_ten() {
        let ids: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        let params = Selector::Ids(ids).params("UploadUrls");
        assert_eq!(params.len(), 3);
        assert_eq!(params[2], param("JobIds", "20"));
        let url = Selector::Urls(vec!["http://h/a.mp4".to_owned()]);
        assert_eq!(url.params("UploadUrls")[0].0, "UploadUrls");
    }

    #[test]
    fn each_status_is_pending_running_or_final() {
        let job = |status: &str| JobInfo { status: status.to_owned(), ..JobInfo::default() };
        for status in ["SUCCESS", "DOWNLOAD_FAIL", "UPLOAD_FAIL", "CANCELED"] {
            assert!(job(status).is_final(), "{status}");
        }
        for status in [
            "PENDING",
            "PROCESSING",
            "DOWNLOADING",
            "DOWNLOAD_SUCCESS",
            "UPLOADING",
            "UPLOAD_SUCCESS",
            "AWAITING_URL",
        ] {
            assert!(!job(status).is_final(), "{status}");
        }
    }
}
