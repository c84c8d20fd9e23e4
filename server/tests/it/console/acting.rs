//! Many jobs at once, and pages that stay true.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::browser::{Browser, form};
use crate::harness::{SOON, Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_cancel_says_what_will_happen_and_then_what_did() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let press = server.other_account("press").await;
    let urls: Vec<String> = (0..14).map(|n| format!("http://media.example/{n}.mp4")).collect();
    let ids = client.submit(&urls).await;
    let theirs = press.submit(&["http://media.example/press.mp4".to_owned()]).await;
    client.call("CancelUrlUploadJobs", &[("JobIds", &ids[0])]).await.ok();
    let mut browser = Browser::signed_in(&client).await;

    let bulk = form(browser.get("/console/jobs").await.text(), "/console/jobs/cancel");
    let of_press = format!("{}@press", theirs[0]);
    let mut chosen = vec![("csrf", bulk.fields[0].1.as_str()), ("some", "1")];
    chosen.extend(ids[..12].iter().map(|id| ("job", id.as_str())));
    chosen.extend([("job", of_press.as_str()), ("job", "00000000000000000000000000000000")]);
    let preview = browser.post("/console/jobs/cancel", &chosen).await;
    let count = |page: &crate::harness::Answer, words: &str| page.text().matches(words).count();
    assert_eq!(count(&preview, "Will be cancelled"), 12);
    assert_eq!(count(&preview, "Is not pending any more"), 1);
    assert_eq!(count(&preview, "There is no such job"), 1);
    assert_eq!(client.status(&ids[1]).await, "PENDING", "a preview does nothing");

    // One starts, or ends, in between.
    client.call("CancelUrlUploadJobs", &[("JobIds", &ids[2])]).await.ok();
    let sure = form(preview.text(), "/console/jobs/cancel");
    let done = browser.send(&sure, &[]).await;
    assert!(done.text().contains("11 of 14 cancelled"), "{}", done.text());
    assert_eq!(count(&done, "Was not pending any more"), 2);
    assert_eq!(client.status(&ids[1]).await, "CANCELED");
    assert_eq!(press.status(&theirs[0]).await, "CANCELED");
    assert_eq!(client.status(&ids[12]).await, "PENDING", "what was not chosen stays");

    let all = form(browser.get("/console/jobs").await.text(), "/console/jobs/cancel");
    let preview = browser.send_all(&all, &[("all", "1")]).await;
    assert_eq!(count(&preview, "Will be cancelled"), 2);
}

/// Reads events until `text` has come; the whole stream so far.
async fn events_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let reading = async {
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the stream ended before {text}: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buffer[..n]);
            if String::from_utf8_lossy(&all).contains(text) {
                break;
            }
        }
    };
    let ended = tokio::time::timeout(SOON, reading).await;
    let all = String::from_utf8_lossy(&all).into_owned();
    assert!(ended.is_ok(), "waited in vain for {text} in {all}");
    all
}

#[expect(clippy::disallowed_methods, reason = "the test's own server, on loopback")]
async fn watch(browser: &Browser, page: &str) -> TcpStream {
    let mut stream = TcpStream::connect(browser.client.address).await.unwrap();
    let cookie = browser.cookie.clone().unwrap_or_default();
    let request = format!(
        "GET /console/live?page={} HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\n\r\n",
        wire::percent::encode(page),
        browser.client.address
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_page_changes_when_its_job_is_cancelled() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let id = client.submit(&["http://media.example/a.mp4".to_owned()]).await.remove(0);
    let browser = Browser::signed_in(&client).await;
    let mut job = watch(&browser, &format!("/console/jobs/{id}")).await;
    let mut list = watch(&browser, "/console/jobs").await;
    let first = events_until(&mut job, "Cancel this job").await;
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    events_until(&mut list, "Pending").await;
    client.call("CancelUrlUploadJobs", &[("JobIds", &id)]).await.ok();
    let change = events_until(&mut job, "Cancelled").await;
    assert!(
        change.contains("event: part\ndata: {\"id\":\"state\",\"html\":\"<div id=\\\"state\\\""),
        "{change}"
    );
    events_until(&mut list, "Cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_for_those_who_are_signed_in_and_ends_with_the_session() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server.client());
    events_until(&mut watch(&browser, "/console").await, "401 Unauthorized").await;
    browser = Browser::signed_in(&server.client()).await;
    let mut stream = watch(&browser, "/console").await;
    events_until(&mut stream, "id=\\\"tiles\\\"").await;
    browser.fill_in("/console", "/console/sign-out", &[]).await;
    events_until(&mut stream, "event: over").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_watches_so_many_pages_and_a_closed_one_makes_room() {
    let server = Server::start().await;
    let browser = Browser::signed_in(&server.client()).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = watch(&browser, "/console/keys").await;
        events_until(&mut stream, "event: part").await;
        streams.push(stream);
    }
    events_until(&mut watch(&browser, "/console").await, "429 Too Many Requests").await;
    streams.clear();
    until("there is room again", SOON, || async {
        let mut stream = watch(&browser, "/console").await;
        let mut head = vec![0; 12];
        stream.read_exact(&mut head).await.ok()?;
        (head == b"HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_watches() {
    let server = Server::start_with(|c| c.drain = Duration::from_secs(60)).await;
    let browser = Browser::signed_in(&server.client()).await;
    let mut stream = watch(&browser, "/console").await;
    events_until(&mut stream, "event: part").await;
    server.node().stop().drain();
    events_until(&mut stream, "event: draining").await;
}
