//! Rate limits, quotas, replays: what an account may do, and when.

use std::collections::BTreeMap;

use crate::harness::origin::Origin;
use crate::harness::{Client, Server, url_list};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_cancels_a_second_pass_and_the_rest_is_throttled_for_that_account_alone() {
    let server = Server::start().await;
    let client = server.client();
    let other = server.other_account("other").await;
    // Signed before, so that all of them fall into one second even on a busy machine.
    let unknown = [("JobIds", "0123456789abcdef0123456789abcdef")];
    let requests: Vec<_> =
        (0..60).map(|_| client.signed("CancelUrlUploadJobs", &unknown)).collect();
    let started = tokio::time::Instant::now();
    let answers = futures_util::future::join_all(requests.iter().map(|r| client.send(r))).await;
    let took = started.elapsed();
    let passed = answers.iter().filter(|a| a.status == 200).count();
    // In one second exactly 50; on a stalled machine no more than 50 for each second begun.
    let most = 50 * (1 + usize::try_from(took.as_secs()).unwrap());
    assert!((50..=most.min(60)).contains(&passed), "{passed} passed in {took:?}");
    let throttled: Vec<_> = answers.iter().filter(|a| a.status == 400).collect();
    assert_eq!(throttled.len() + passed, 60);
    if took.as_millis() < 1_000 {
        assert_eq!(throttled.len(), 10);
    }
    for answer in throttled {
        assert_eq!(answer.code(), "Throttling.User");
        let wait: u64 = answer.header("x-acs-retry-after").unwrap().parse().unwrap();
        assert!((1..=1_000).contains(&wait));
    }
    let answer = other.call("CancelUrlUploadJobs", &unknown).await;
    assert_eq!(answer.status, 200, "another account is untouched: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_can_be_set_and_lifted_by_operation() {
    let server = Server::start_with(|c| {
        c.qps = BTreeMap::from([
            ("CancelUrlUploadJobs".to_owned(), 0),
            ("GetURLUploadInfos".to_owned(), 1),
        ]);
    })
    .await;
    let client = server.client();
    let unknown = [("JobIds", "0123456789abcdef0123456789abcdef")];
    for _ in 0..60 {
        client.call("CancelUrlUploadJobs", &unknown).await.ok();
    }
    let requests: Vec<_> = (0..2).map(|_| client.signed("GetURLUploadInfos", &unknown)).collect();
    let answers = futures_util::future::join_all(requests.iter().map(|r| client.send(r))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|a| a.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_refused_also_after_a_restart() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let upload = client.signed("UploadMediaByURL", &[("UploadURLs", "http://m.example/a.mp4")]);
    let copies = futures_util::future::join_all((0..20).map(|_| client.send(&upload))).await;
    let accepted = copies.iter().filter(|a| a.status == 200).count();
    assert_eq!(accepted, 1, "of racing copies exactly one is accepted");

    let server = server.restart().await;
    // The port may be another one now: only the address of the connection changes, not the signed host.
    let mut again = server.client();
    again.key_id = client.key_id.clone();
    let replay = again.send(&upload).await;
    assert_eq!((replay.status, replay.code().as_str()), (400, "SignatureNonceUsed"));
    let listed = again.call("ListUrlUploadJobs", &[]).await.ok();
    assert_eq!(listed["URLUploadInfoList"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_quota_counts_calls_and_says_so() {
    let server = Server::start_with(|c| {
        c.transfers = 0;
        c.calls_per_day = 2;
    })
    .await;
    let client = server.client();
    let two = url_list(&["http://m.example/a.mp4".into(), "http://m.example/b.mp4".into()]);
    for _ in 0..2 {
        client.call("UploadMediaByURL", &[("UploadURLs", &two)]).await.ok();
    }
    let answer = client.call("UploadMediaByURL", &[("UploadURLs", &two)]).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "Throttling.User"));
    assert!(answer.header("x-acs-retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_submissions_while_cancel_and_query_answer() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let ids = server.client().submit(&["http://m.example/a.mp4".into()]).await;
    let server = server.restart_with(|c| c.min_free = u64::MAX).await;
    let client = server.client();
    let refused =
        client.call("UploadMediaByURL", &[("UploadURLs", "http://m.example/b.mp4")]).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(client.status(&ids[0]).await, "PENDING");
    let reply = client.call("CancelUrlUploadJobs", &[("JobIds", &ids[0])]).await.ok();
    assert_eq!(reply["CanceledJobs"], serde_json::json!([ids[0]]));
}

/// Lower bounds alone are asserted: a slow machine cannot break them, a missing limit does.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_and_an_account_keep_their_bandwidth() {
    const RATE: u64 = 1 << 20;
    let origin = Origin::start().await;
    let server = Server::start_with(|c| c.bandwidth = RATE).await;
    let took = pulled_twice(&server.client(), &origin).await;
    // Two MiB and two samples, less the burst of a quarter of a second.
    assert!(took.as_millis() >= 1_500, "both together kept the node's rate: {took:?}");

    let server = server
        .restart_with(|c| {
            c.bandwidth = 0;
            c.account_bandwidth = RATE;
        })
        .await;
    let took = pulled_twice(&server.client(), &origin).await;
    assert!(took.as_millis() >= 1_500, "both together kept the account's rate: {took:?}");
}

/// How long two transfers of 1 MiB beside each other take.
async fn pulled_twice(client: &Client, origin: &Origin) -> std::time::Duration {
    let started = tokio::time::Instant::now();
    let urls = [origin.url("/blob/1048576/a.mp4"), origin.url("/blob/1048576/b.mp4")];
    for id in client.submit(&urls).await {
        assert_eq!(client.terminal(&id).await["Status"], "SUCCESS");
    }
    started.elapsed()
}
