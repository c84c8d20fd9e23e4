//! Wrong input gets a documented error and changes nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::envelope::Format;
use wire::sign::client::Moment;

use haulage::domain::account::AccountChange;

use crate::harness::{Answer, Client, Server, now, owned, raw};

/// A fault in the API's shape, with this status and code.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
    let body = answer.json();
    for field in ["RequestId", "HostId", "Message", "Recommend"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
    }
    assert_eq!(answer.header("x-acs-request-id"), body["RequestId"].as_str());
    assert!(body["Recommend"].as_str().unwrap().contains(&format!("/errors/{code}")));
}

async fn queue_is_empty(client: &Client) {
    let listed = client.call("ListUrlUploadJobs", &[]).await.ok();
    assert_eq!(listed["URLUploadInfoList"], serde_json::json!([]), "nothing was accepted");
}

/// Operation, parameters, and the code they are refused with.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn operation_parameters_that_are_wrong_name_their_fault_and_accept_nothing() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let id = "0123456789abcdef0123456789abcdef";
    let eleven = (0..11).map(|i| format!("{i:032x}")).collect::<Vec<_>>().join(",");
    let many = (0..21).map(|i| format!("http://m.example/{i}.mp4")).collect::<Vec<_>>().join(",");
    let long = format!("http://m.example/{}.mp4", "a".repeat(9_000));
    let upload = "UploadMediaByURL";
    let cancel = "CancelUrlUploadJobs";
    let query = "GetURLUploadInfos";
    let url = "http://m.example/a.mp4";
    let bad_urls = "InvalidParameter.UploadURLs";
    let cases: &[Case<'_>] = &[
        (upload, &[], "MissingUploadURLs"),
        (upload, &[("UploadURLs", "")], "MissingUploadURLs"),
        (upload, &[("UploadURLs", &many)], bad_urls),
        (upload, &[("UploadURLs", "ftp://m.example/a.mp4")], bad_urls),
        (upload, &[("UploadURLs", "http://m.example/a.exe")], bad_urls),
        (upload, &[("UploadURLs", "http://m.example/a")], bad_urls),
        (upload, &[("UploadURLs", "http://m.example/a.mp4,,")], bad_urls),
        (upload, &[("UploadURLs", &long)], bad_urls),
        (upload, &[("UploadURLs", url), ("SessionId", "a b")], "InvalidParameter.SessionId"),
        (
            upload,
            &[("UploadURLs", url), ("UploadMetadatas", "{")],
            "InvalidParameter.UploadMetadatas",
        ),
        (upload, &[("UploadURLs", url), ("UserData", "[1")], "InvalidParameter.UserData"),
        (cancel, &[], "MissingParameter"),
        (cancel, &[("JobIds", "")], "MissingParameter"),
        (cancel, &[("JobIds", &eleven)], "InvalidParameter.JobIds"),
        (cancel, &[("JobIds", "a,,b")], "InvalidParameter.JobIds"),
        (cancel, &[("UploadUrls", "nonsense")], "InvalidParameter.UploadUrls"),
        (query, &[], "MissingParameter"),
        (query, &[("JobIds", &eleven)], "InvalidParameter.JobIds"),
        (query, &[("UploadURLs", "nonsense")], bad_urls),
        ("GetPlayInfo", &[("VideoId", id), ("AuthTimeout", "0")], "InvalidParameter.AuthTimeout"),
        ("GetPlayInfo", &[("VideoId", id), ("AuthTimeout", "x")], "InvalidParameter.AuthTimeout"),
        ("GetPlayInfo", &[("VideoId", id), ("Formats", "exe")], "InvalidParameter.Formats"),
    ];
    for (action, params, code) in cases {
        let answer = client.call(action, params).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, *code),
            "{action} {params:.80?}: {}",
            answer.text()
        );
        refused(&answer, 400, code);
    }
    queue_is_empty(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_refuses_what_is_not_properly_signed_in_its_documented_form() {
    let server = Server::start().await;
    let client = server.client();
    let params = [("JobIds", "0123456789abcdef0123456789abcdef")];
    let action = "CancelUrlUploadJobs";

    let wrong = Client { secret: "wrong".into(), ..client.clone() };
    let answer = wrong.send(&wrong.signed_v1("POST", action, &params, Format::Json)).await;
    refused(&answer, 400, "SignatureDoesNotMatch");
    let body = answer.json();
    let message = body["Message"].as_str().unwrap();
    let prefix =
        "Specified signature is not matched with our calculation. server string to sign is:";
    assert!(message.starts_with(&format!("{prefix}POST&%2F&AccessKeyId%3D")), "{message}");
    assert!(!answer.text().contains("testsecret"));
    refused(&wrong.call(action, &params).await, 400, "SignatureDoesNotMatch");

    let unknown = Client { key_id: "nobody".into(), ..client.clone() };
    refused(&unknown.call(action, &params).await, 404, "InvalidAccessKeyId.NotFound");

    let nonce = "n-1";
    for (seconds, code) in [
        (now() - 901, Some("InvalidTimeStamp.Expired")),
        (now() + 3_600, Some("InvalidTimeStamp.Expired")),
        (now() - 880, None),
    ] {
        let at = Moment { unix_seconds: seconds, nonce };
        let signed = client.signer().v3(&client.host(), action, &owned(&params), at);
        let answer = client.send(&signed).await;
        match code {
            Some(code) => refused(&answer, 400, code),
            None => assert_eq!(answer.status, 200, "{}", answer.text()),
        }
    }

    refused(&client.call("NoSuchAction", &[]).await, 404, "InvalidAction.NotFound");
    let unsigned = client.get("/?Action=CancelUrlUploadJobs&Version=2017-03-21&Format=JSON", &[]);
    let answer = unsigned.await;
    assert_eq!(answer.status, 400);
    assert!(answer.code().starts_with("Missing"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_and_a_foreign_token_are_refused() {
    let server = Server::start().await;
    let client = server.other_account("other").await;
    let params = [("JobIds", "0123456789abcdef0123456789abcdef")];
    client.call("CancelUrlUploadJobs", &params).await.ok();
    let status = Some(haulage::domain::account::KeyStatus::Disabled);
    server.node().store().key_set_status(&client.key_id, status).await.unwrap();
    crate::harness::until("the key stops working", crate::harness::SOON, || async {
        let answer = client.call("CancelUrlUploadJobs", &params).await;
        (answer.status == 400).then(|| refused(&answer, 400, "InvalidAccessKeyId.Inactive"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_refused_with_all_its_keys() {
    let server = Server::start().await;
    let client = server.other_account("other").await;
    let disable = AccountChange::enabled(false);
    let changed = server.node().store().account_change("other", disable).await.unwrap();
    assert!(!changed.unwrap().enabled);
    let answer = client.call("ListUrlUploadJobs", &[]).await;
    assert_eq!(answer.code(), "Forbidden.RAM", "{}", answer.text());
    server.client().call("ListUrlUploadJobs", &[]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_sent_twice_is_refused() {
    let server = Server::start().await;
    let request = b"GET /?Format=JSON HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    let answer = raw(server.client().address, request).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (400, "InvalidParameter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_jobs_and_unknown_jobs_answer_alike() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let other = server.other_account("other").await;
    let url = "http://m.example/shared.mp4".to_owned();
    let mine = client.submit(std::slice::from_ref(&url)).await;
    let theirs = other.submit(std::slice::from_ref(&url)).await;

    for (action, list) in
        [("CancelUrlUploadJobs", "CanceledJobs"), ("GetURLUploadInfos", "URLUploadInfoList")]
    {
        let reply = other.call(action, &[("JobIds", &mine[0])]).await.ok();
        assert_eq!(reply[list], serde_json::json!([]));
        assert_eq!(reply["NonExists"], serde_json::json!([mine[0]]));
    }
    let reply = other.call("CancelUrlUploadJobs", &[("UploadUrls", &url)]).await.ok();
    assert_eq!(reply["CanceledJobs"], serde_json::json!(theirs));
    assert_eq!(client.status(&mine[0]).await, "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_methods_and_broken_requests_answer_in_the_apis_shape() {
    let server = Server::start().await;
    let client = server.client();
    refused(&client.get("/no/such/path?Format=JSON", &[]).await, 404, "InvalidAction.NotFound");
    let put = client.request("PUT", "/?Format=JSON", &[]).await;
    refused(&put, 405, "UnsupportedHTTPMethod");

    let address = client.address;
    let bad_encoding =
        b"GET /?Action=%zz&Format=JSON HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let answer = raw(address, bad_encoding).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text());
    let twice = b"GET /?Format=JSON&A=1&A=1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(address, twice).await.unwrap().status, 400);

    let huge = format!(
        "POST /?Format=JSON HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        64 << 20
    );
    let answer = raw(address, huge.as_bytes()).await;
    assert!(answer.is_none_or(|a| a.status == 413 || a.status == 400));
    assert_eq!(client.get("/livez", &[]).await.status, 200, "the server goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_its_page() {
    let server = Server::start().await;
    let client = server.client();
    for explanation in wire::code::all_explanations() {
        let page = client.get(&format!("/errors/{}", explanation.code), &[]).await;
        assert_eq!(page.status, 200, "{}", explanation.code);
        assert!(page.text().contains("What to do"), "{}", explanation.code);
    }
    let page = client.get("/errors/%3Cscript%3E", &[]).await;
    assert_eq!(page.status, 404);
    assert!(!page.text().contains("<script>"));
}

/// HTTP/2 is for origins; the listener's limits are those of HTTP/1, so it speaks nothing else.
#[expect(clippy::disallowed_methods, reason = "the test's own server, on loopback")]
#[tokio::test(flavor = "multi_thread")]
async fn the_listener_does_not_speak_http2() {
    let server = Server::start().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut stream = TcpStream::connect(server.node().address()).await.unwrap();
    stream.write_all(preface).await.unwrap();
    let mut answer = [0; 64];
    // A reset after the preface is an end as good as any; a server of HTTP/2 sends its settings.
    let answer = stream.read(&mut answer).await.map_or(&[][..], |n| &answer[..n]);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
}
