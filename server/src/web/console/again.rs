//! Submitting a job's source once more, as a new job: same URL, title and user data. The old job
//! stays as it is; a final state never changes.

use serde_json::json;
use wire::percent;
use wire::reply::{Reply, UrlUploadInfo};

use super::form::link;
use super::job;
use super::page::{Answered, Trouble, done};
use super::visit::{Visit, unexpected};

pub(super) async fn submit(visit: &Visit, id: &str) -> Answered {
    let Some(info) = job::find(visit, id).await? else { return Err(Trouble::NoSuchPage) };
    let account = visit.account().unwrap_or_default();
    let mut params = vec![("Account", account.to_owned())];
    params.extend(params_of(&info));
    let reply = visit.call("UploadMediaByURL", params).await?;
    let Reply::UploadMediaByUrl(reply) = reply else { return Err(unexpected(&reply).into()) };
    let new = reply.upload_jobs.first().map(|job| job.job_id.as_str()).unwrap_or_default();
    done(&link(&format!("/console/jobs/{new}"), [("account", account)]), "again")
}

fn params_of(info: &UrlUploadInfo) -> Vec<(&'static str, String)> {
    let title = info.progress.as_ref().map(|progress| progress.title.as_str());
    vec![
        ("UploadURLs", percent::encode(&info.upload_url)),
        ("UploadMetadatas", titles(&[&info.upload_url], title.unwrap_or_default())),
        ("UserData", info.user_data.clone().unwrap_or_default()),
    ]
}

/// `UploadMetadatas` that gives each URL a title; nothing without a title.
pub(super) fn titles(urls: &[&str], title: &str) -> String {
    if title.is_empty() {
        return String::new();
    }
    let entry = |url: &&str| json!({ "SourceURL": percent::encode(url), "Title": title });
    serde_json::Value::Array(urls.iter().map(entry).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use wire::reply::ProgressInfo;

    use super::*;

    #[test]
    fn the_new_job_asks_for_what_the_old_one_did() {
        let info = UrlUploadInfo {
            upload_url: "http://a.example/b,c.mp4?x=1&y=%2F".to_owned(),
            user_data: Some("{\"Extend\":\"7\"}".to_owned()),
            progress: Some(ProgressInfo { title: "A \"b\"".to_owned(), ..ProgressInfo::default() }),
            ..UrlUploadInfo::default()
        };
        let params = wire::params::Params::from_pairs(params_of(&info));
        let operation = wire::spec::operation("UploadMediaByURL").unwrap();
        let request = wire::action::Request::parse(operation, &params).unwrap();
        let wire::action::Request::UploadMediaByUrl(request) = request else { panic!("an upload") };
        assert_eq!(request.sources.len(), 1);
        assert_eq!(request.sources[0].url, info.upload_url);
        assert_eq!(request.sources[0].title, "A \"b\"");
        assert_eq!(request.sources[0].user_data, info.user_data);
    }
}
