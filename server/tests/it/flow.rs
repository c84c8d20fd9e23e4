//! The main job: submit, query, cancel, play.

use serde_json::json;
use wire::envelope::Format;

use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::{SOON, Server, until, url_list};

#[tokio::test(flavor = "multi_thread")]
async fn a_url_becomes_a_medium_that_plays_with_the_same_bytes() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let url = origin.url("/good/film.mp4");
    let reply = client.call("UploadMediaByURL", &[("UploadURLs", &url)]).await.ok();
    let job = &reply["UploadJobs"][0];
    assert_eq!(job["SourceURL"], json!(url));

    let info = client.terminal(job["JobId"].as_str().unwrap()).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(info["UploadURL"], json!(url));
    assert_eq!(info["FileSize"], json!(SAMPLE.len().to_string()));
    let media = info["MediaId"].as_str().unwrap();

    let play = client.call("GetPlayInfo", &[("VideoId", media)]).await.ok();
    let stream = &play["PlayInfoList"]["PlayInfo"][0];
    assert_eq!(stream["JobId"], job["JobId"], "the seed: job ids are found in PlayInfo");
    assert_eq!(stream["Size"], json!(SAMPLE.len()));
    assert!(stream["Duration"].as_str().unwrap().parse::<f64>().unwrap() > 1.0);
    assert!(stream["Width"].as_u64().unwrap() > 0);
    assert_eq!(play["VideoBase"]["Title"], "film.mp4");

    let path = play_path(stream["PlayURL"].as_str().unwrap());
    let whole = client.get(&path, &[]).await;
    assert_eq!((whole.status, whole.body.as_slice() == SAMPLE), (200, true));
    let part = client.get(&path, &[("range", "bytes=100-199")]).await;
    assert_eq!((part.status, part.body.as_slice() == &SAMPLE[100..200]), (206, true));
}

pub fn play_path(url: &str) -> String {
    let after_scheme = url.split_once("://").unwrap().1;
    after_scheme[after_scheme.find('/').unwrap()..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_makes_no_request_and_stays_queryable() {
    let server = Server::start_with(|c| c.transfers = 1).await;
    let origin = Origin::start().await;
    let client = server.client();
    let ids = client.submit(&[origin.url("/held/first.mp4"), origin.url("/good/second.mp4")]).await;
    until("the first job runs", SOON, || async {
        (origin.seen("/held/first.mp4") == 1).then_some(())
    })
    .await;

    let both = ids.join(",");
    let unknown = "0123456789abcdef0123456789abcdef";
    // What cannot be an id comes first: each verdict must still meet its own id.
    let asked = format!("{unknown},{both}");
    let params = [("JobIds", asked.as_str()), ("IncludeOutcomes", "True")];
    let reply = client.call("CancelUrlUploadJobs", &params).await.ok();
    assert_eq!(reply["CanceledJobs"], json!([ids[1]]));
    assert_eq!(reply["NonExists"], json!([unknown]));
    let outcomes: Vec<(&str, &str)> = reply["Outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| (o["Input"].as_str().unwrap(), o["Outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        outcomes,
        [(unknown, "NotExist"), (ids[0].as_str(), "NotPending"), (&ids[1], "Canceled")]
    );

    origin.open_gate();
    assert_eq!(client.terminal(&ids[0]).await["Status"], "SUCCESS");
    assert_eq!(client.status(&ids[1]).await, "CANCELED");
    assert_eq!(origin.seen("/good/second.mp4"), 0, "a cancelled job makes no request");

    let again = client.call("CancelUrlUploadJobs", &[("JobIds", &ids[1])]).await.ok();
    assert_eq!((&again["CanceledJobs"], &again["NonExists"]), (&json!([]), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_by_url_cancels_every_pending_job_of_it_and_job_ids_win_over_urls() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let url = "http://media.example/a%20b.mp4".to_owned();
    let ids = client.submit(&[url.clone(), url.clone(), "http://media.example/c.mp4".into()]).await;
    let list = url_list(&[url.clone(), "http://media.example/never.mp4".into()]);

    let wins = [("JobIds", ids[2].as_str()), ("UploadUrls", list.as_str())];
    let reply = client.call("CancelUrlUploadJobs", &wins).await.ok();
    assert_eq!(reply["CanceledJobs"], json!([ids[2]]));
    assert_eq!(client.status(&ids[0]).await, "PENDING");

    let reply = client.call("CancelUrlUploadJobs", &[("UploadUrls", &list)]).await.ok();
    assert_eq!(reply["CanceledJobs"], json!([ids[0], ids[1]]));
    assert_eq!(reply["NonExists"], json!(["http://media.example/never.mp4"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_samples_are_answered_field_for_field_in_both_formats() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let ids = client.submit(&["http://www.example.aliyundoc.com/video01.mp4".into()]).await;
    let asked = format!("{},0193d395194a83ad6ee2ef27a5b50000", ids[0]);
    let params = [("JobIds", asked.as_str())];

    // V1 without Format answers XML (contract §2.1).
    let mut xml = client.signed_v1("GET", "CancelUrlUploadJobs", &params, Format::Xml);
    xml.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
    let answer = client.send(&xml).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().contains("xml"));
    let request_id = answer.header("x-acs-request-id").unwrap();
    assert_eq!(
        answer.text(),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CancelUrlUploadJobsResponse><RequestId>{request_id}</RequestId><CanceledJobs>{}</CanceledJobs><NonExists>0193d395194a83ad6ee2ef27a5b50000</NonExists></CancelUrlUploadJobsResponse>",
            ids[0]
        )
    );

    let answer = client.call("CancelUrlUploadJobs", &params).await;
    let request_id = answer.header("x-acs-request-id").unwrap();
    assert_eq!(
        answer.text(),
        format!(
            "{{\"RequestId\":\"{request_id}\",\"CanceledJobs\":[],\"NonExists\":[\"0193d395194a83ad6ee2ef27a5b50000\"]}}"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_fault_is_tried_again_and_a_permanent_one_fails_with_its_code() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let paths = ["/flaky/a.mp4", "/gone/b.mp4", "/page/c.mp4", "/short/d.mp4"];
    let ids = client.submit(&paths.map(|path| origin.url(path))).await;

    let flaky = client.terminal(&ids[0]).await;
    assert_eq!(flaky["Status"], "SUCCESS", "{flaky}");
    assert_eq!(origin.seen("/flaky/a.mp4"), 2);

    let expected =
        ["URLInvalidError.HttpStatus", "URLInvalidError.NotMedia", "URLInvalidError.Truncated"];
    for (id, code) in ids[1..].iter().zip(expected) {
        let info = client.terminal(id).await;
        assert_eq!(info["Status"], "DOWNLOAD_FAIL", "{info}");
        assert_eq!(info["ErrorCode"], code, "{info}");
        assert!(!info["ErrorMessage"].as_str().unwrap().is_empty());
        assert!(info.get("MediaId").is_none());
    }
    assert_eq!(origin.seen("/gone/b.mp4"), 1, "404 is permanent");
    assert_eq!(origin.seen("/short/d.mp4"), 5, "a cut transfer is tried as often as configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_address_fails_its_job_and_not_the_others_of_the_call() {
    let origin = Origin::start().await;
    let allowed = origin.address.to_string();
    let server = Server::start_with(|c| c.egress_allow = vec![allowed.parse().unwrap()]).await;
    let other = Origin::start().await;
    let client = server.client();
    let urls = [
        origin.url("/good/a.mp4"),
        other.url("/good/b.mp4"),
        "http://169.254.169.254/latest/meta-data.mp4".to_owned(),
        "http://[::ffff:127.0.0.1]/x.mp4".to_owned(),
    ];
    let ids = client.submit(&urls).await;
    assert_eq!(client.terminal(&ids[0]).await["Status"], "SUCCESS");
    for id in &ids[1..] {
        let info = client.terminal(id).await;
        assert_eq!(info["ErrorCode"], "URLInvalidError.ForbiddenAddress", "{info}");
    }
    assert_eq!(other.seen("/good/b.mp4"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_listener_is_not_a_source_even_when_its_network_is_allowed() {
    let server = Server::start().await;
    let client = server.client();
    let url = format!("http://{}/media/x.mp4", server.node().address());
    let ids = client.submit(&[url]).await;
    let info = client.terminal(&ids[0]).await;
    assert_eq!(info["ErrorCode"], "URLInvalidError.ForbiddenAddress", "{info}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_a_call_reaches_query_and_play() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let url = origin.url("/good/raw");
    let metadata = json!([{
        "SourceURL": url, "Title": "Première & co", "FileExtension": "mp4",
        "ReferenceId": "ref-000001", "CoverURL": "http://media.example/c.jpg",
        "FileSize": SAMPLE.len().to_string(), "Tags": "a,b", "CateId": 12
    }])
    .to_string();
    let user_data = r#"{"Extend":{"localId":"42"}}"#;
    let params =
        [("UploadURLs", url.as_str()), ("UploadMetadatas", &metadata), ("UserData", user_data)];
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    let id = reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
    let info = client.terminal(&id).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(info["UserData"], user_data);

    let play = client.call("GetPlayInfo", &[("ReferenceId", "ref-000001")]).await.ok();
    assert_eq!(play["VideoBase"]["Title"], "Première & co");
    assert_eq!(play["VideoBase"]["CoverURL"], "http://media.example/c.jpg");

    let taken = client.call("UploadMediaByURL", &params).await;
    assert_eq!((taken.status, taken.code()), (400, "InvalidParameter.ReferenceId".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_session_answers_the_first_jobs_or_refuses_another_request() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let first = [("UploadURLs", "http://media.example/a.mp4"), ("SessionId", "s-1")];
    let other = [("UploadURLs", "http://media.example/b.mp4"), ("SessionId", "s-1")];
    let accepted = client.call("UploadMediaByURL", &first).await.ok();
    let server = server.restart().await;
    let client = server.client();
    let replayed = client.call("UploadMediaByURL", &first).await.ok();
    assert_eq!(accepted["UploadJobs"], replayed["UploadJobs"]);
    let refused = client.call("UploadMediaByURL", &other).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidParameter.SessionId".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_page_by_page_and_by_status() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let urls: Vec<String> = (0..7).map(|i| format!("http://media.example/{i}.mp4")).collect();
    let mut ids = client.submit(&urls).await;
    let _ = client.call("CancelUrlUploadJobs", &[("JobIds", &ids[3])]).await.ok();
    ids.reverse();

    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let mut params = vec![("PageSize", "3")];
        if !token.is_empty() {
            params.push(("NextToken", &token));
        }
        let page = client.call("ListUrlUploadJobs", &params).await.ok();
        for info in page["URLUploadInfoList"].as_array().unwrap() {
            listed.push(info["JobId"].as_str().unwrap().to_owned());
        }
        match page["NextToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed, ids);
    let canceled = client.call("ListUrlUploadJobs", &[("Status", "CANCELED")]).await.ok();
    let infos = canceled["URLUploadInfoList"].as_array().unwrap();
    assert_eq!((infos.len(), &infos[0]["JobId"]), (1, &json!(ids[3])));
}
