//! A job as the pages show it.

use wire::reply::UrlUploadInfo;

use super::form::link;
use super::format::{Moment, bytes, count, line, visible};

/// A state in a word and a tone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Status {
    pub(super) word: &'static str,
    /// `good`, `bad`, `warn`, `busy`, or nothing.
    pub(super) tone: &'static str,
}

/// `waits` tells a job between attempts from one in transfer, which the wire calls alike.
pub(super) fn status(wire: &str, waits: bool) -> Status {
    let (word, tone) = match wire {
        "PENDING" => ("Pending", ""),
        "PROCESSING" if waits => ("Waiting", "warn"),
        "PROCESSING" => ("Starting", "busy"),
        "DOWNLOADING" => ("Downloading", "busy"),
        "DOWNLOAD_SUCCESS" => ("Downloaded", "busy"),
        "UPLOADING" => ("Storing", "busy"),
        "UPLOAD_SUCCESS" => ("Stored", "busy"),
        "SUCCESS" => ("Succeeded", "good"),
        "DOWNLOAD_FAIL" | "UPLOAD_FAIL" => ("Failed", "bad"),
        "CANCELED" => ("Cancelled", ""),
        "AWAITING_URL" => ("Needs a URL", "warn"),
        _ => ("Unknown", ""),
    };
    Status { word, tone }
}

/// How far a transfer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// `1.2 MB of 3 MB`.
    pub(super) text: String,
    /// Bytes, for the bar; without a total the bar has no end.
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    /// Without `%`.
    pub(super) percent: Option<u64>,
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) href: String,
    /// Where it is shown beside those of others.
    pub(super) account: Option<String>,
    /// What a checkbox sends: the id, and the account where it is not the visitor's own.
    pub(super) pick: String,
    /// Of one line.
    pub(super) title: String,
    pub(super) url: String,
    /// Of one line.
    pub(super) short_url: String,
    pub(super) status: Status,
    pub(super) is_pending: bool,
    /// Goes on only with another URL.
    pub(super) awaits_url: bool,
    /// Failed or cancelled.
    pub(super) may_be_repeated: bool,
    pub(super) created: Moment,
    pub(super) ended: Option<Moment>,
    pub(super) size: Option<String>,
    pub(super) progress: Option<Progress>,
    /// Of a job that waits after a fault.
    pub(super) next_attempt: Option<Moment>,
    pub(super) error: Option<String>,
    /// Family and member of the error: a line may break between them.
    pub(super) error_parts: Option<(String, String)>,
    pub(super) error_message: Option<String>,
    pub(super) media: Option<String>,
}

/// Between the id and the account in [`Job::pick`]; in neither of them.
const AT: char = '@';

impl Job {
    /// `account` is whose it is, where that is not the visitor: all links then say so.
    pub(super) fn new(info: &UrlUploadInfo, account: Option<&str>, now: i64) -> Self {
        let progress = info.progress.as_ref();
        let waits = progress.is_some_and(|progress| progress.next_attempt.is_some());
        let status = status(&info.status, waits);
        let failed = status.tone == "bad";
        let succeeded = status.tone == "good";
        let canceled = info.status == "CANCELED";
        let title = progress.map(|progress| progress.title.as_str()).unwrap_or_default();
        let of = account.unwrap_or_default();
        Self {
            href: link(&format!("/console/jobs/{}", info.job_id), [("account", of)]),
            pick: match account {
                Some(account) => format!("{}{AT}{account}", info.job_id),
                None => info.job_id.clone(),
            },
            title: line(if title.is_empty() { &info.upload_url } else { title }),
            url: visible(&info.upload_url),
            short_url: line(&info.upload_url),
            is_pending: info.status == "PENDING",
            awaits_url: info.status == "AWAITING_URL",
            may_be_repeated: failed || canceled,
            created: Moment::new(info.creation_time, now),
            ended: info.complete_time.map(|at| Moment::new(at, now)),
            size: info.file_size.map(bytes),
            progress: if status.tone == "busy" { progress_of(info) } else { None },
            error_parts: info.error_code.as_deref().filter(|_| failed).map(parts_of),
            error: info.error_code.clone().filter(|_| failed),
            error_message: info.error_message.as_deref().map(visible),
            next_attempt: progress
                .and_then(|progress| progress.next_attempt)
                .map(|at| Moment::new(at, now)),
            media: info
                .media_id
                .as_ref()
                .filter(|_| succeeded)
                .map(|id| link(&format!("/console/media/{id}"), [("account", of)])),
            account: account.map(str::to_owned),
            id: info.job_id.clone(),
            status,
        }
    }

    /// The bar's length, where there is one.
    pub(super) fn total(&self) -> String {
        let total = self.progress.as_ref().and_then(|progress| progress.total);
        total.map(|total| total.to_string()).unwrap_or_default()
    }
}

/// `URLInvalidError.` and `NotMedia`.
fn parts_of(code: &str) -> (String, String) {
    match code.split_once('.') {
        Some((family, member)) => (format!("{family}."), member.to_owned()),
        None => (String::new(), code.to_owned()),
    }
}

fn progress_of(info: &UrlUploadInfo) -> Option<Progress> {
    let progress = info.progress.as_ref()?;
    let total = progress.total.filter(|total| *total > 0);
    let percent = total.map(|total| {
        let parts = u128::from(progress.bytes) * 100 / u128::from(total);
        u64::try_from(parts).unwrap_or(100).min(100)
    });
    let text = match total {
        Some(total) => format!("{} of {}", bytes(progress.bytes), bytes(total)),
        None => bytes(progress.bytes),
    };
    Some(Progress { text, done: progress.bytes, total, percent })
}

/// A checkbox's value: the job's id and whose it is.
pub(super) fn picked(text: &str) -> (&str, Option<&str>) {
    match text.split_once(AT) {
        Some((id, account)) => (id, Some(account)),
        None => (text, None),
    }
}

/// How many, with a word.
pub(super) fn jobs(number: u64) -> String {
    if number == 1 { "1 job".to_owned() } else { format!("{} jobs", count(number)) }
}

#[cfg(test)]
mod tests {
    use wire::reply::ProgressInfo;

    use super::*;

    #[test]
    fn a_jobs_links_name_its_account_where_it_is_anothers() {
        let info = UrlUploadInfo {
            job_id: "ab12".to_owned(),
            status: "PENDING".to_owned(),
            ..UrlUploadInfo::default()
        };
        let own = Job::new(&info, None, 0);
        assert_eq!((own.href.as_str(), picked(&own.pick)), ("/console/jobs/ab12", ("ab12", None)));
        let other = Job::new(&info, Some("press"), 0);
        assert_eq!(other.href, "/console/jobs/ab12?account=press");
        assert_eq!(picked(&other.pick), ("ab12", Some("press")));
    }

    #[test]
    fn a_job_between_attempts_is_waiting_and_has_no_bar() {
        let progress = ProgressInfo { bytes: 5, next_attempt: Some(9), ..ProgressInfo::default() };
        let mut info = UrlUploadInfo {
            status: "PROCESSING".to_owned(),
            progress: Some(progress),
            ..UrlUploadInfo::default()
        };
        let job = Job::new(&info, None, 0);
        assert_eq!((job.status.word, job.progress), ("Waiting", None));
        info.status = "DOWNLOADING".to_owned();
        info.progress = Some(ProgressInfo { bytes: 5, total: Some(20), ..ProgressInfo::default() });
        let progress = Job::new(&info, None, 0).progress.unwrap();
        assert_eq!((progress.text.as_str(), progress.percent), ("5 B of 20 B", Some(25)));
    }
}
