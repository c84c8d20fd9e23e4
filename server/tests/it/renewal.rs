//! Links that end before their transfer does: what was received is kept, a new link goes on with it
//! if it leads to the same file, and without one the job fails at its deadline.

use std::time::Duration;

use serde_json::Value;

use crate::cli::run;
use crate::console::browser::{Browser, form};
use crate::harness::{Client, SOON, Server, until};
use crate::resume::origin::{Answer, Asked, Ranged, object};
use crate::resume::{HALF, SIZE, marks, metric, spool, start, stored, until_empty};

/// As S3 answers when a link's time is over.
const EXPIRED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 83\r\nConnection: close\r\n\r\n\
    <Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>\n\n\n\n\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const GONE: &str = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The old link gives the first half and is over then; any other is good.
fn old_link(asked: &Asked, refusal: &'static str) -> Answer {
    let old = asked.path.contains("link=old");
    Answer {
        cut: if old { HALF } else { usize::MAX },
        instead: (old && asked.nth > 0).then_some(refusal),
        ..Answer::whole()
    }
}

async fn origin() -> Ranged {
    Ranged::start(|asked| old_link(asked, EXPIRED)).await
}

fn link(origin: &Ranged, query: &str) -> String {
    format!("{}?link={query}&Signature=CANARY", origin.url(SIZE, "v"))
}

/// What the server says of a job to whoever asks for all it adds.
async fn full(client: &Client, job: &str) -> Value {
    let params = [("JobIds", job), ("IncludeProgress", "true"), ("IncludeAttempts", "true")];
    client.call("GetURLUploadInfos", &params).await.ok()["URLUploadInfoList"][0].clone()
}

async fn until_awaiting(client: &Client, job: &str) -> Value {
    until("the job awaits another URL", SOON, || async {
        let info = full(client, job).await;
        (info["Status"] == "AWAITING_URL").then_some(info)
    })
    .await
}

async fn replace(client: &Client, job: &str, url: &str) -> crate::harness::Answer {
    client.call("ReplaceUploadUrl", &[("JobId", job), ("UploadURL", url)]).await
}

/// A job whose link has expired when it had `HALF` bytes.
async fn halted(client: &Client, origin: &Ranged) -> String {
    let job = client.submit(&[link(origin, "old")]).await.remove(0);
    until_awaiting(client, &job).await;
    job
}

fn asked_from(origin: &Ranged) -> Vec<Option<usize>> {
    origin.asked().iter().map(|asked| asked.from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_link_goes_on_where_the_old_one_expired() {
    let origin = origin().await;
    let server = Server::start().await;
    let client = server.client();
    let old = link(&origin, "old");
    let job = client.submit(std::slice::from_ref(&old)).await.remove(0);
    let info = until_awaiting(&client, &job).await;
    assert_eq!(info["Progress"]["BytesReceived"], HALF as u64, "{info}");
    assert_eq!(info["ErrorCode"], "URLInvalidError.HttpStatus");
    assert!(info["ErrorMessage"].as_str().unwrap().contains("expired"), "{info}");
    // To a client of the cloud it is in progress, without a fault.
    let plain = client.info(&job).await;
    assert_eq!((&plain["Status"], &plain["ErrorCode"]), (&Value::from("PROCESSING"), &Value::Null));
    let listed = client.call("ListUrlUploadJobs", &[("Status", "AWAITING_URL")]).await.ok();
    assert_eq!(listed["URLUploadInfoList"][0]["JobId"], job.as_str());
    let others = client.call("ListUrlUploadJobs", &[("Status", "PROCESSING")]).await.ok();
    assert_eq!(others["URLUploadInfoList"], serde_json::json!([]));
    let statistics = client.call("GetUploadStatistics", &[]).await.ok();
    assert_eq!(statistics["Queue"]["AwaitingUrl"], 1, "{statistics}");
    // It holds no place of a transfer, and its bytes lie ready.
    assert_eq!(metric(&client, "jobs_awaiting_url").await, 1);
    assert_eq!(metric(&client, "transfers").await, 0);
    assert_eq!((spool(server.dir()).len(), marks(server.dir())), (2, 1));
    let cancelled = client.call("CancelUrlUploadJobs", &[("JobIds", &job)]).await.ok();
    assert_eq!(cancelled["CanceledJobs"], serde_json::json!([]), "a started job is not cancelled");

    let new = link(&origin, "new");
    let reply = replace(&client, &job, &new).await.ok();
    assert_eq!(
        (&reply["JobId"], &reply["UploadURL"]),
        (&job.as_str().into(), &new.as_str().into())
    );
    assert_eq!(reply["Outcome"], "Replaced");
    assert_eq!(replace(&client, &job, &new).await.ok()["Outcome"], "Repeated");
    let info = client.terminal(&job).await;
    let whole = object(&origin.asked()[0].path, 1);
    assert!(stored(&client, &info).await == whole, "the stored bytes are the origin's");
    assert_eq!(asked_from(&origin), [None, Some(HALF), Some(HALF)]);
    assert_eq!(origin.sent(), whole.len() as u64, "no byte was sent twice");
    assert_eq!(replace(&client, &job, &new).await.ok()["Outcome"], "Repeated");
    // The job is found under the URL it has.
    let found = |url: String| {
        let client = client.clone();
        async move {
            let list = wire::percent::encode(&url);
            let reply = client.call("GetURLUploadInfos", &[("UploadURLs", &list)]).await.ok();
            reply["URLUploadInfoList"].as_array().unwrap().len()
        }
    };
    assert_eq!((found(new).await, found(old).await), (1, 0));
    until_empty(server.dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_place_goes_on_if_it_is_the_same_file() {
    let (first, second) = (origin().await, origin().await);
    let server = Server::start().await;
    let client = server.client();
    let job = halted(&client, &first).await;
    replace(&client, &job, &link(&second, "new")).await.ok();
    let info = client.terminal(&job).await;
    let whole = object(&first.asked()[0].path, 1);
    assert!(stored(&client, &info).await == whole);
    assert_eq!(asked_from(&second), [Some(HALF)]);
    assert_eq!(first.sent() + second.sent(), whole.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_version_begins_anew_and_nothing_is_mixed() {
    let first = origin().await;
    let second = Ranged::start(|_| Answer { version: 2, ..Answer::whole() }).await;
    let server = Server::start().await;
    let client = server.client();
    let job = halted(&client, &first).await;
    replace(&client, &job, &link(&second, "new")).await.ok();
    let info = client.terminal(&job).await;
    assert!(stored(&client, &info).await == object(&first.asked()[0].path, 2));
    assert_eq!(asked_from(&second), [Some(HALF)], "it answers the whole, and that is used");
    assert_eq!(metric(&client, "resumed_transfers_total").await, 0);
    until_empty(server.dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_link_the_job_fails_at_its_deadline() {
    let origin = origin().await;
    let server = Server::start_with(|c| {
        c.job_deadline = Duration::from_secs(3);
        c.lease = Duration::from_secs(1);
    })
    .await;
    let client = server.client();
    let job = halted(&client, &origin).await;
    let info = client.terminal(&job).await;
    assert_eq!(info["Status"], "DOWNLOAD_FAIL");
    assert_eq!(info["ErrorCode"], "URLInvalidError.HttpStatus", "{info}");
    let message = info["ErrorMessage"].as_str().unwrap();
    assert!(message.contains("the link has expired"), "{message}");
    assert!(message.contains("No other URL was given"), "{message}");
    let late = replace(&client, &job, &link(&origin, "new")).await;
    assert_eq!((late.status, late.code().as_str()), (403, "IncorrectJobStatus"));
    assert_eq!(metric(&client, "jobs_awaiting_url").await, 0);
    assert_eq!(origin.asked().len(), 2, "nothing was asked while it waited");
    let attempts = full(&client, &job).await["Attempts"].clone();
    assert_eq!(attempts.as_array().unwrap().len(), 2, "{attempts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_first_byte_ends_the_job_at_once() {
    let origin = Ranged::start(|_| Answer { instead: Some(EXPIRED), ..Answer::whole() }).await;
    let server = Server::start().await;
    let client = server.client();
    let job = client.submit(&[link(&origin, "old")]).await.remove(0);
    let info = client.terminal(&job).await;
    assert_eq!(info["ErrorCode"], "URLInvalidError.HttpStatus", "{info}");
    assert!(info["ErrorMessage"].as_str().unwrap().contains("expired"), "{info}");
    let refused = replace(&client, &job, &link(&origin, "new")).await;
    assert_eq!(refused.code(), "IncorrectJobStatus");
    assert!(refused.json()["Message"].as_str().unwrap().contains("It has failed."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gone_file_waits_and_a_missing_one_only_behind_a_link_that_says_it_has_expired() {
    let gone = Ranged::start(|asked| old_link(asked, GONE)).await;
    let missing = Ranged::start(|asked| old_link(asked, NOT_FOUND)).await;
    let server = Server::start().await;
    let client = server.client();
    halted(&client, &gone).await;
    let job = client.submit(&[link(&missing, "old")]).await.remove(0);
    let info = client.terminal(&job).await;
    assert_eq!(info["Status"], "DOWNLOAD_FAIL", "a missing file is missing: {info}");
    let expired = format!("{}&Expires=1700000000", link(&missing, "old-2"));
    let job = client.submit(&[expired]).await.remove(0);
    let info = until_awaiting(&client, &job).await;
    assert!(info["ErrorMessage"].as_str().unwrap().contains("404: the link has expired"), "{info}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_or_no_url_is_refused_and_changes_nothing() {
    let origin = origin().await;
    let server = Server::start().await;
    let client = server.client();
    let job = halted(&client, &origin).await;
    let new = link(&origin, "new");
    for (id, url, code) in [
        ("", new.as_str(), "MissingJobId"),
        (&job, "", "MissingUploadURL"),
        ("341c92e6c18dc435ee31253685f80001", &new, "InvalidJobId.NotFound"),
        ("no id at all", &new, "InvalidJobId.NotFound"),
        (&job, "ftp://h/a.mp4", "InvalidParameter.UploadURLs"),
        (&job, "http://", "InvalidParameter.UploadURLs"),
        (&job, "http%3A%2F%2Fh%2F%zz", "InvalidParameter.UploadURLs"),
    ] {
        let answer = replace(&client, id, url).await;
        assert_eq!(answer.code(), code, "{id} {url}: {}", answer.text());
        assert!(!answer.text().contains("CANARY"), "{}", answer.text());
    }
    let params = [("JobId", job.as_str()), ("UploadURL", &new), ("Headers", "{\"Host\":\"x\"}")];
    let answer = client.call("ReplaceUploadUrl", &params).await;
    assert_eq!(answer.code(), "InvalidParameter.Headers");
    // Another account's job is as unknown as one that never was.
    let other = server.other_account("press").await;
    let (foreign, unknown) =
        (replace(&other, &job, &new).await, replace(&other, &"0".repeat(32), &new).await);
    assert_eq!((foreign.status, foreign.code()), (unknown.status, unknown.code()));
    assert_eq!(until_awaiting(&client, &job).await["UploadURL"], link(&origin, "old").as_str());
    // An operator may act for the account that owns it.
    let params = [("Account", "default"), ("JobId", job.as_str()), ("UploadURL", &new)];
    client.call("ReplaceUploadUrl", &params).await.ok();
    client.terminal(&job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_url_passes_the_same_firewall() {
    let origin = origin().await;
    let server = Server::start().await;
    let client = server.client();
    let job = halted(&client, &origin).await;
    replace(&client, &job, "http://10.255.255.1/700000/v.mp4").await.ok();
    let info = client.terminal(&job).await;
    assert_eq!(info["ErrorCode"], "URLInvalidError.ForbiddenAddress", "{info}");
    until_empty(server.dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confided_for_the_old_link_is_not_sent_to_the_new_one() {
    let (first, second) = (origin().await, origin().await);
    let server = Server::start().await;
    let client = server.client();
    for (n, given) in [None, Some("new")].into_iter().enumerate() {
        let url = link(&first, &format!("old-{n}"));
        let metadata = serde_json::json!({ "SourceURL": url, "Headers": { "X-Key": "old" } });
        let (list, metadata) = (wire::percent::encode(&url), metadata.to_string());
        let params = [("UploadURLs", list.as_str()), ("UploadMetadatas", &metadata)];
        let reply = client.call("UploadMediaByURL", &params).await.ok();
        let job = reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
        until_awaiting(&client, &job).await;
        let new = link(&second, &format!("new-{n}"));
        let headers = given.map(|key| serde_json::json!({ "X-Key": key }).to_string());
        let mut params = vec![("JobId", job.as_str()), ("UploadURL", &new)];
        params.extend(headers.as_deref().map(|headers| ("Headers", headers)));
        client.call("ReplaceUploadUrl", &params).await.ok();
        let info = client.terminal(&job).await;
        assert_eq!(info["Status"], "SUCCESS", "{info}");
        assert_eq!(second.asked()[n].key.as_deref(), given);
    }
    assert!(first.asked().iter().all(|asked| asked.key.as_deref() == Some("old")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_still_awaits_the_url_and_keeps_the_one_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Ranged::start(|asked| {
        let gate = if asked.path.contains("link=old") { usize::MAX } else { HALF + 100_000 };
        Answer { gate, ..old_link(asked, EXPIRED) }
    })
    .await;
    let server = start(dir.path(), |_| {});
    let job = halted(&server.client(), &origin).await;
    server.kill();
    // Files of waiting jobs would be too old by now; a person is asked to save these.
    let server = start(dir.path(), |c| {
        c.env("HAULAGE_PARTIAL_AGE", "1ms");
    });
    let info = until_awaiting(&server.client(), &job).await;
    assert_eq!(info["Progress"]["BytesReceived"], HALF as u64);
    assert_eq!((spool(dir.path()).len(), marks(dir.path())), (2, 1), "its bytes are not swept");
    let new = link(&origin, "new");
    assert_eq!(replace(&server.client(), &job, &new).await.ok()["Outcome"], "Replaced");
    // Acknowledged, so on stable storage.
    server.kill();
    let server = start(dir.path(), |_| {});
    let client = server.client();
    assert_eq!(replace(&client, &job, &new).await.ok()["Outcome"], "Repeated");
    origin.open_gate();
    let info = client.terminal(&job).await;
    let whole = object(&origin.asked()[0].path, 1);
    assert!(stored(&client, &info).await == whole);
    let from = asked_from(&origin);
    assert!(from[1..].iter().all(|from| from.is_some_and(|from| from >= HALF)), "{from:?}");
    let log = server.log();
    assert!(!log.contains("CANARY") && !log.contains("panicked"), "{log}");
    until_empty(dir.path()).await;
}

/// Several callers with the same and with other links, and one job.
#[tokio::test(flavor = "multi_thread")]
async fn of_racing_links_exactly_one_is_taken() {
    let origin = origin().await;
    let server = Server::start().await;
    let client = server.client();
    let job = halted(&client, &origin).await;
    let racers: Vec<_> = (0..12)
        .map(|n| {
            let (client, job) = (client.clone(), job.clone());
            let url = link(&origin, &format!("new-{}", n % 3));
            crate::harness::spawn(async move { (url.clone(), replace(&client, &job, &url).await) })
        })
        .collect();
    let mut taken = Vec::new();
    let mut repeated = Vec::new();
    for racer in racers {
        let (url, answer) = racer.await.unwrap();
        match answer.status {
            200 if answer.json()["Outcome"] == "Replaced" => taken.push(url),
            200 => repeated.push(url),
            _ => assert_eq!(answer.code(), "IncorrectJobStatus"),
        }
    }
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(repeated.iter().all(|url| *url == taken[0]) && repeated.len() == 3, "{repeated:?}");
    let info = client.terminal(&job).await;
    assert_eq!(info["UploadURL"], taken[0].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_says_what_to_do_and_takes_the_new_link() {
    let origin = origin().await;
    let server = Server::start().await;
    let client = server.client();
    let job = halted(&client, &origin).await;
    let mut browser = Browser::signed_in(&client).await;
    let overview = browser.get("/console").await;
    assert!(overview.text().contains("1 job needs another URL"), "{}", overview.text());
    let list = browser.get("/console/jobs?status=awaiting").await;
    assert!(list.text().contains("Needs a URL") && list.text().contains(&job));
    let (page, action) = (format!("/console/jobs/{job}"), format!("/console/jobs/{job}/url"));
    let shown = browser.get(&page).await;
    assert!(shown.text().contains("The origin answered 403: the link has expired."));
    // What is no URL stays in the form, with the reason.
    let refused = browser.fill_in(&page, &action, &[("url", "ftp://h/\"x\".mp4")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("it does not begin with http://"), "{}", refused.text());
    assert!(refused.text().contains("ftp://h/&#34;x&#34;.mp4"), "{}", refused.text());
    let new = link(&origin, "new");
    let done = browser.fill_in(&page, &action, &[("url", &new)]).await;
    assert_eq!(done.header("location"), Some(format!("{page}?done=url-replaced").as_str()));
    let info = client.terminal(&job).await;
    assert!(stored(&client, &info).await == object(&origin.asked()[0].path, 1));
    // The form is gone; sent again from an old page, it changes nothing and says so.
    assert!(!browser.get(&page).await.text().contains(&action));
    let csrf = form(shown.text(), &action);
    let late = browser.send(&csrf, &[("url", "http://h/other.mp4")]).await;
    assert_eq!(late.status, 422);
    assert!(late.text().contains("It has succeeded."), "{}", late.text());
    let nobody = browser.send(&csrf, &[("url", &new), ("csrf", "")]).await;
    assert_eq!(nobody.status, 403, "without the session's token nothing is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_takes_the_new_link() {
    let dir = tempfile::tempdir().unwrap();
    let origin = origin().await;
    let server = start(dir.path(), |_| {});
    let client = server.client();
    let job = halted(&client, &origin).await;
    let new = link(&origin, "new,1");
    let jobs = run(dir.path(), Some(&server), &["jobs", "--status", "awaiting_url"]).await;
    assert!(jobs.err.contains(&format!("haulage replace {job} URL")), "{}", jobs.err);
    assert!(!jobs.err.contains("CANARY"), "{}", jobs.err);
    let no = run(dir.path(), Some(&server), &["replace", &job, "ftp://h/a.mp4", "--json"]).await;
    assert_eq!((no.code, &no.json()["Code"]), (Some(1), &"InvalidParameter.UploadURLs".into()));
    let line = ["replace", job.as_str(), &new, "--watch"];
    let ran = run(dir.path(), Some(&server), &line).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("goes on with the new URL") && !ran.err.contains("CANARY"));
    assert_eq!(client.info(&job).await["UploadURL"], new.as_str());
    let again = run(dir.path(), Some(&server), &["replace", &job, &new, "--json"]).await;
    assert_eq!((again.code, &again.json()["Outcome"]), (Some(0), &"Repeated".into()));
}
