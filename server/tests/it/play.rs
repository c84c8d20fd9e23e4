//! GetPlayInfo's refusals and filters, and the life of a play URL.

use crate::flow::play_path;
use crate::harness::origin::Origin;
use crate::harness::{SOON, Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_match_nothing_and_media_that_are_not_there_have_their_codes() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let ids = client.submit(&[origin.url("/good/a.mp4")]).await;
    let info = client.terminal(&ids[0]).await;
    let media = info["MediaId"].as_str().unwrap();

    for (name, value) in [("Formats", "mp3"), ("Definition", "HD"), ("StreamType", "audio")] {
        let answer = client.call("GetPlayInfo", &[("VideoId", media), (name, value)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "InvalidVideo.NoneStream"));
    }
    let filters = [
        ("VideoId", media),
        ("Formats", "mp4,m3u8"),
        ("Definition", "OD,HD"),
        ("StreamType", "video"),
        ("ResultType", "Multiple"),
        ("OutputType", "oss"),
    ];
    client.call("GetPlayInfo", &filters).await.ok();
    let unknown = "0123456789abcdef0123456789abcdef";
    for id in [unknown, ids[0].as_str(), "", "x"] {
        let answer = client.call("GetPlayInfo", &[("VideoId", id)]).await;
        let expected = if id.is_empty() { 400 } else { 404 };
        assert_eq!(answer.status, expected, "{id:?} {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_in_the_making_is_refused_with_its_status() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let metadata = |path: &str, reference: &str| {
        let url = origin.url(path);
        serde_json::json!([{"SourceURL": url, "Title": "t", "ReferenceId": reference}]).to_string()
    };
    for (path, reference) in [("/held/a.mp4", "ref-running"), ("/gone/b.mp4", "ref-failed")] {
        let url = origin.url(path);
        let metadata = metadata(path, reference);
        let params = [("UploadURLs", url.as_str()), ("UploadMetadatas", &metadata)];
        client.call("UploadMediaByURL", &params).await.ok();
    }
    let running = client.call("GetPlayInfo", &[("ReferenceId", "ref-running")]).await;
    assert_eq!((running.status, running.code().as_str()), (403, "Forbidden.IllegalStatus"));
    assert!(running.text().contains("Current Status is Uploading."));
    origin.open_gate();
    until("the held medium is there", SOON, || async {
        let answer = client.call("GetPlayInfo", &[("ReferenceId", "ref-running")]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_play_url_is_bound_to_its_medium_and_ends() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let ids = client.submit(&[origin.url("/good/a.mp4")]).await;
    let info = client.terminal(&ids[0]).await;
    let media = info["MediaId"].as_str().unwrap();
    let url = |timeout: &'static str| {
        let client = client.clone();
        let media = media.to_owned();
        async move {
            let params = [("VideoId", media.as_str()), ("AuthTimeout", timeout)];
            let play = client.call("GetPlayInfo", &params).await.ok();
            play_path(play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap())
        }
    };
    let lasting = url("3600").await;
    let head = client.request("HEAD", &lasting, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("video/mp4"));
    assert_eq!(head.header("x-content-type-options"), Some("nosniff"));
    let etag = head.header("etag").unwrap().to_owned();
    let same = client.get(&lasting, &[("if-none-match", &etag)]).await;
    assert_eq!(same.status, 304);

    let tampered = lasting.replacen("Expires=", "Expires=9", 1);
    assert_eq!(client.get(&tampered, &[]).await.status, 403);
    let brief = url("1").await;
    until("the play URL has ended", SOON, || async {
        (client.get(&brief, &[]).await.status == 403).then_some(())
    })
    .await;
}
