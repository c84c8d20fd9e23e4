//! Integrity as a contract: what callers declare and origins announce is compared with what
//! arrived, and what was computed is shown to whoever asks.

use std::sync::Arc;

use haulage::domain::digest::Md5Rule;
use serde_json::{Value, json};

use crate::faults::origin::{FaultOrigin, Speech, Step, send};
use crate::flow::play_path;
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::{Client, Server, url_list};

// Of the sample, computed by another program.
const MD5: &str = "81f9dd64346bf8d2b437eec43b6b5f1c";
const MD5_BASE64: &str = "gfndZDRr+NK0N+7EO2tfHA==";
const SHA256: &str = "39c9fc29123eaa7358e5d4187066fc86a13a9aae3c6862352afa9788a98e2dbc";
const SHA256_BASE64: &str = "Ocn8KRI+qnNY5dQYcGb8hqE6mq48aGI1KvqXiKmOLbw=";
const CRC64: &str = "10661287452922685505";
const CRC32C: &str = "T6+HoA==";
const CRC32: &str = "7ongdQ==";
const CRC64_NVME: &str = "aCPiwLrH3Ts=";

// Well-formed, and of other bytes.
const WRONG_MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
const WRONG_SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
const WRONG_CRC32: &str = "mnG7TA==";

const MISMATCH: &str = "URLInvalidError.ChecksumMismatch";

/// Submits each URL with its metadata in one call; ids in that order.
pub async fn submit_with(client: &Client, items: &[(String, Value)]) -> Vec<String> {
    let urls: Vec<String> = items.iter().map(|(url, _)| url.clone()).collect();
    let metadatas: Vec<Value> = items
        .iter()
        .map(|(url, fields)| {
            let mut fields = fields.clone();
            fields["SourceURL"] = json!(url);
            fields
        })
        .collect();
    let (list, metadatas) = (url_list(&urls), Value::Array(metadatas).to_string());
    let params = [("UploadURLs", list.as_str()), ("UploadMetadatas", metadatas.as_str())];
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    let jobs = reply["UploadJobs"].as_array().unwrap().iter();
    jobs.map(|job| job["JobId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_digest_lets_its_own_bytes_pass_and_no_others() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let client = server.client();
    let rows = [
        (json!({"Md5": MD5}), true),
        (json!({"Md5": MD5_BASE64}), true),
        (json!({"Sha256": SHA256.to_ascii_uppercase()}), true),
        (json!({"sha256": SHA256_BASE64}), true),
        (json!({"Crc64": CRC64}), true),
        (json!({"Md5": MD5, "Sha256": SHA256, "Crc64": CRC64, "FileSize": SAMPLE.len()}), true),
        (json!({"Md5": WRONG_MD5}), false),
        (json!({"Sha256": WRONG_SHA256}), false),
        (json!({"Crc64": "1"}), false),
        (json!({"Md5": MD5, "Sha256": SHA256, "Crc64": 1}), false),
    ];
    let path = |at: usize| format!("/good/{at}.mp4");
    let items: Vec<(String, Value)> = rows
        .iter()
        .enumerate()
        .map(|(at, (fields, _))| (origin.url(&path(at)), fields.clone()))
        .collect();
    let ids = submit_with(&client, &items).await;
    for (at, ((fields, is_right), id)) in rows.iter().zip(&ids).enumerate() {
        let info = client.terminal(id).await;
        if *is_right {
            assert_eq!(info["Status"], "SUCCESS", "{fields}: {info}");
        } else {
            assert_eq!(info["Status"], "DOWNLOAD_FAIL", "{fields}: {info}");
            assert_eq!(info["ErrorCode"], MISMATCH, "{fields}: {info}");
            assert!(info["ErrorMessage"].as_str().unwrap().contains("declared"), "{info}");
        }
        assert_eq!(origin.seen(&path(at)), 1, "a file that is another one stays so: {fields}");
    }
}

/// An origin that sends the sample with the header lines of `rows`, by the number in the path.
async fn announcing(rows: Vec<String>) -> FaultOrigin {
    let script = move |_: usize, head: &str| -> Vec<Step> {
        let number = head.split(['/', '.']).nth(1).and_then(|text| text.parse::<usize>().ok());
        let lines = &rows[number.unwrap()];
        let length = SAMPLE.len();
        vec![
            send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{lines}\r\n\r\n")),
            send(SAMPLE),
        ]
    };
    FaultOrigin::start(Speech::Http, Arc::new(script)).await
}

/// How often a path was asked for.
fn asked(origin: &FaultOrigin, path: &str) -> usize {
    let line = format!("GET {path} ");
    origin.seen.lock().unwrap().heads.iter().filter(|(head, _)| head.starts_with(&line)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_digest_is_compared_and_a_wrong_one_is_tried_once_more() {
    let right = [
        format!("Content-MD5: {MD5_BASE64}"),
        format!("Digest: MD5={MD5_BASE64},SHA-256={SHA256_BASE64}"),
        format!("Repr-Digest: sha-256=:{SHA256_BASE64}:"),
        format!("Content-Digest: sha-512=:AAAA:, sha-256=:{SHA256_BASE64}:"),
        format!("x-oss-hash-crc64ecma: {CRC64}"),
        format!("x-goog-hash: crc32c={CRC32C}\r\nx-goog-hash: md5={MD5_BASE64}"),
        format!("x-amz-checksum-crc32: {CRC32}\r\nx-amz-checksum-type: FULL_OBJECT"),
        format!("x-amz-checksum-crc64nvme: {CRC64_NVME}"),
        format!("x-amz-checksum-sha256: {SHA256_BASE64}"),
        // What cannot be read, or is not of these bytes, is passed over.
        "Content-MD5: nonsense\r\nDigest: \u{1}=,;\"\r\nRepr-Digest: sha-256=:"
            .replace('\u{1}', "x"),
        format!("x-goog-hash: md5={WRONG_MD5}\r\nx-goog-stored-content-encoding: gzip"),
        format!("x-amz-checksum-crc32: {WRONG_CRC32}\r\nx-amz-checksum-type: COMPOSITE"),
    ];
    let wrong = [
        ("Content-MD5", format!("Content-MD5: {WRONG_MD5}")),
        ("Digest", format!("Digest: sha-256={WRONG_SHA256}")),
        ("Repr-Digest", format!("Repr-Digest: sha-256=:{WRONG_SHA256}:")),
        ("Content-Digest", format!("Content-Digest: md5=:{WRONG_MD5}:")),
        ("x-oss-hash-crc64ecma", "x-oss-hash-crc64ecma: 7".to_owned()),
        ("x-goog-hash", format!("x-goog-hash: md5={MD5_BASE64},crc32c={WRONG_CRC32}")),
        ("x-amz-checksum-crc32c", format!("x-amz-checksum-crc32c: {WRONG_CRC32}")),
    ];
    let lines = right.iter().chain(wrong.iter().map(|(_, line)| line));
    let origin = announcing(lines.cloned().collect()).await;
    let server = Server::start().await;
    let client = server.client();
    let path = |at: usize| format!("/{at}.mp4");
    let url = |at: usize| format!("http://{}{}", origin.at, path(at));
    let urls: Vec<String> = (0..right.len() + wrong.len()).map(url).collect();
    let ids = client.submit(&urls).await;
    for (at, id) in ids.iter().enumerate() {
        let info = client.terminal(id).await;
        if at < right.len() {
            assert_eq!(info["Status"], "SUCCESS", "{}: {info}", right[at]);
            assert_eq!(asked(&origin, &path(at)), 1);
        } else {
            let (field, line) = &wrong[at - right.len()];
            assert_eq!(info["ErrorCode"], MISMATCH, "{line}: {info}");
            assert!(info["ErrorMessage"].as_str().unwrap().contains(field), "{info}");
            assert_eq!(asked(&origin, &path(at)), 2, "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_spoilt_on_the_way_are_fetched_again() {
    let script = |number: usize, _: &str| -> Vec<Step> {
        let mut bytes = SAMPLE.to_vec();
        if number == 0 {
            // In the media data: still an MP4.
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let length = bytes.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nx-oss-hash-crc64ecma: {CRC64}\r\n\r\n"
        );
        vec![send(head), send(bytes)]
    };
    let origin = FaultOrigin::start(Speech::Http, Arc::new(script)).await;
    let server = Server::start().await;
    let client = server.client();
    let url = format!("http://{}/a.mp4", origin.at);
    // What the caller declared differs at first too, which alone would be final.
    let id = submit_with(&client, &[(url, json!({"Sha256": SHA256}))]).await.remove(0);
    let info = client.terminal(&id).await;
    assert_eq!((info["Status"].as_str(), origin.asked()), (Some("SUCCESS"), 2), "{info}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_digest_refuses_the_whole_call() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    for fields in [r#""Md5":"xyz""#, r#""Sha256":"00""#, r#""Crc64":"0x1""#] {
        let metadatas = format!(r#"[{{"SourceURL":"http://h.example/b.mp4",{fields}}}]"#);
        let urls = "http://h.example/a.mp4,http://h.example/b.mp4";
        let params = [("UploadURLs", urls), ("UploadMetadatas", metadatas.as_str())];
        let answer = client.call("UploadMediaByURL", &params).await;
        assert_eq!(answer.code(), "InvalidParameter.UploadMetadatas", "{fields}");
        assert!(answer.json()["Message"].as_str().unwrap().contains("Object 1: "));
    }
    let listed = client.call("ListUrlUploadJobs", &[]).await.ok();
    assert_eq!(listed["URLUploadInfoList"], json!([]));
}

/// `Digests` of a job that succeeded, as both operations that can show them answer.
async fn digests(client: &Client, job: &str, params: &[(&str, &str)]) -> Value {
    let info = client.terminal(job).await;
    let with = |asked: (&'static str, &str)| {
        let mut all = vec![(asked.0, asked.1.to_owned())];
        all.extend(params.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all
    };
    let medium = with(("VideoId", info["MediaId"].as_str().unwrap()));
    let medium: Vec<_> = medium.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let play = client.call("GetPlayInfo", &medium).await.ok();
    let of_stream = play["PlayInfoList"]["PlayInfo"][0]["Digests"].clone();
    let jobs = with(("JobIds", job));
    let jobs: Vec<_> = jobs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let infos = client.call("GetURLUploadInfos", &jobs).await.ok();
    assert_eq!(infos["URLUploadInfoList"][0]["Digests"], of_stream);
    of_stream
}

#[tokio::test(flavor = "multi_thread")]
async fn computed_digests_are_shown_to_those_who_ask_and_md5_where_somebody_had_one() {
    let (server, origin) = (Server::start().await, Origin::start().await);
    let announcing = announcing(vec![format!("Content-MD5: {MD5_BASE64}")]).await;
    let client = server.client();
    let asking = [("IncludeDigests", "True")];
    let bare = client.submit(&[origin.url("/good/a.mp4")]).await.remove(0);
    assert_eq!(digests(&client, &bare, &[]).await, Value::Null);
    let without = json!({"Sha256": SHA256, "Crc64": CRC64});
    assert_eq!(digests(&client, &bare, &asking).await, without);

    let with = json!({"Sha256": SHA256, "Crc64": CRC64, "Md5": MD5});
    let url = format!("http://{}/0.mp4", announcing.at);
    let announced = client.submit(&[url]).await.remove(0);
    assert_eq!(digests(&client, &announced, &asking).await, with);
    let declared = [(origin.url("/good/b.mp4"), json!({"Md5": MD5}))];
    let declared = submit_with(&client, &declared).await.remove(0);
    assert_eq!(digests(&client, &declared, &asking).await, with);

    let server = server.restart_with(|c| c.md5 = Md5Rule::Always).await;
    let client = server.client();
    let always = client.submit(&[origin.url("/good/c.mp4")]).await.remove(0);
    assert_eq!(digests(&client, &always, &asking).await, with);
    assert_eq!(digests(&client, &bare, &asking).await, without, "what was not computed stays so");

    let small = SAMPLE.len() as u64 - 1;
    let server = server.restart_with(|c| (c.md5, c.sha256_max) = (Md5Rule::Asked, small)).await;
    let client = server.client();
    let large = client.submit(&[origin.url("/good/large.mp4")]).await.remove(0);
    let only_crc = json!({"Crc64": CRC64});
    assert_eq!(digests(&client, &large, &asking).await, only_crc, "too large for SHA-256");
    let declared = [(origin.url("/good/asked.mp4"), json!({"Sha256": SHA256}))];
    let declared = submit_with(&client, &declared).await.remove(0);
    assert_eq!(digests(&client, &declared, &asking).await, without, "asked for");
    let media = client.terminal(&large).await["MediaId"].as_str().unwrap().to_owned();
    let play = client.call("GetPlayInfo", &[("VideoId", &media)]).await.ok();
    let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
    let played = client.get(&play_path(&url), &[]).await;
    assert_eq!(played.body, SAMPLE);
    let tag = played.header("etag").unwrap().to_owned();
    let again = client.get(&play_path(&url), &[("if-none-match", &tag)]).await;
    assert_eq!(again.status, 304, "it has a tag all the same: {tag}");

    let gone = client.submit(&[origin.url("/gone/d.mp4")]).await.remove(0);
    assert_eq!(client.terminal(&gone).await["Status"], "DOWNLOAD_FAIL");
    let asked = [("JobIds", gone.as_str()), ("IncludeDigests", "true")];
    let infos = client.call("GetURLUploadInfos", &asked).await.ok();
    assert!(infos["URLUploadInfoList"][0].get("Digests").is_none(), "{infos}");
}
