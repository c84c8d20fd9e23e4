//! Headers and credentials that a caller gives for one source: they reach its origin, and nothing
//! and nobody else.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use wire::action::Request;
use wire::params::Params;

use crate::digests::submit_with;
use crate::faults::origin::{FaultOrigin, Speech, Step, send};
use crate::harness::origin::SAMPLE;
use crate::harness::process::Process;
use crate::harness::{Client, Server};

const CANARY: &str = "CANARY0123456789";
/// `Basic` credentials of user `u` and the canary as password, as RFC 7617 writes them.
const BASIC: &str = "Basic dTpDQU5BUlkwMTIzNDU2Nzg5";

fn film() -> Vec<Step> {
    let length = SAMPLE.len();
    vec![send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")), send(SAMPLE)]
}

fn hop(to: &str) -> Vec<Step> {
    vec![send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))]
}

fn refusal() -> Vec<Step> {
    vec![send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]
}

/// An origin whose answer depends on the path; `away` is where it redirects to.
async fn origin(away: &Arc<OnceLock<String>>) -> FaultOrigin {
    let away = Arc::clone(away);
    let script = move |_: usize, head: &str| match head.split(['/', ' ']).nth(2) {
        Some("away") => hop(&format!("{}/far.mp4", away.get().unwrap())),
        Some("detour") => hop(&format!("{}/detour.mp4", away.get().unwrap())),
        Some("near") => hop("/film.mp4"),
        Some("refused") => refusal(),
        Some("detour.mp4") => hop(&format!("{}/back.mp4", away.get().unwrap())),
        _ => film(),
    };
    FaultOrigin::start(Speech::Http, Arc::new(script)).await
}

/// The paths an origin was asked for, each with whether the header and the password came along.
fn seen(origin: &FaultOrigin) -> Vec<(String, bool)> {
    let seen = origin.seen.lock().unwrap();
    let of = |head: &str| {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let has_header = head.contains(&format!("x-key: {CANARY}\r\n"));
        assert_eq!(has_header, head.contains(&format!("authorization: {BASIC}\r\n")), "{head}");
        (path, has_header)
    };
    let mut seen: Vec<_> = seen.heads.iter().map(|(head, _)| of(head)).collect();
    seen.sort();
    seen
}

/// Every file below a directory that holds one of the secrets.
fn files_with_secrets(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_secrets(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let has = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
        if has(CANARY) || has(&BASIC[6..]) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_reach_their_origin_and_nothing_else() {
    let (to_other, to_first) = (Arc::default(), Arc::default());
    let first = origin(&to_other).await;
    let other = origin(&to_first).await;
    to_other.set(format!("http://{}", other.at)).unwrap();
    to_first.set(format!("http://{}", first.at)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = "trace,hyper=trace,hyper_util=trace";
    let idle = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_LOG", log).env("HAULAGE_TRANSFERS", "0");
    });
    let fields =
        json!({"Headers": {"X-Key": CANARY}, "BasicAuth": {"User": "u", "Password": CANARY}});
    let paths = ["/film.mp4", "/near/a.mp4", "/away/a.mp4", "/detour/a.mp4", "/refused/a.mp4"];
    let items = paths.map(|path| (format!("http://{}{path}", first.at), fields.clone()));
    let ids = submit_with(&idle.client(), &items).await;
    let mut replies = answers(&idle.client(), &ids).await;
    assert_eq!(files_with_secrets(dir.path()), Vec::<std::path::PathBuf>::new());
    let mut all_logs = idle.log();
    idle.kill();

    // They are opened again by the process that pulls.
    let server = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_LOG", log);
    });
    let client = server.client();
    for (id, path) in ids.iter().zip(paths) {
        let info = client.terminal(id).await;
        let expected = if path.starts_with("/refused") { "DOWNLOAD_FAIL" } else { "SUCCESS" };
        assert_eq!(info["Status"], expected, "{path}: {info}");
    }
    let with = |path: &str| (path.to_owned(), true);
    let without = |path: &str| (path.to_owned(), false);
    assert_eq!(
        seen(&first),
        [
            with("/away/a.mp4"),
            without("/back.mp4"),
            with("/detour/a.mp4"),
            with("/film.mp4"),
            with("/film.mp4"),
            with("/near/a.mp4"),
            with("/refused/a.mp4"),
        ]
    );
    assert_eq!(seen(&other), [without("/detour.mp4"), without("/far.mp4")]);

    replies.extend(answers(&client, &ids).await);
    replies.push(client.get("/metrics", &[]).await.text().to_owned());
    all_logs += &server.log();
    assert!(all_logs.lines().count() > 20, "the log was written");
    for text in replies.iter().chain([&all_logs]) {
        let leak = text.lines().find(|line| line.contains(CANARY) || line.contains(&BASIC[6..]));
        assert_eq!(leak, None);
    }
    assert_eq!(files_with_secrets(dir.path()), Vec::<std::path::PathBuf>::new());
}

/// What the API says of jobs and media, in all its ways.
async fn answers(client: &Client, ids: &[String]) -> Vec<String> {
    let ids = ids.join(",");
    let infos = [("JobIds", ids.as_str()), ("IncludeProgress", "true")];
    let infos = client.call("GetURLUploadInfos", &infos).await;
    let mut answers = vec![
        infos.text().to_owned(),
        client.call("ListUrlUploadJobs", &[]).await.text().to_owned(),
    ];
    for info in infos.json()["URLUploadInfoList"].as_array().unwrap() {
        if let Some(id) = info["MediaId"].as_str() {
            let play = client.call("GetPlayInfo", &[("VideoId", id)]).await;
            answers.push(play.text().to_owned());
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_headers_refuse_the_whole_call_and_are_not_repeated() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    for fields in [
        json!({"Headers": {"Host": CANARY}}),
        json!({"Headers": {"Range": CANARY}}),
        json!({"Headers": {"X-Key": format!("{CANARY}\r\nHost: h")}}),
        json!({"Headers": {format!("{CANARY} x"): "v"}}),
        json!({"Headers": CANARY}),
        json!({"BasicAuth": {"User": CANARY}}),
        json!({"Headers": {"Authorization": "x"}, "BasicAuth": {"User": "u", "Password": CANARY}}),
    ] {
        let mut metadata = fields.clone();
        metadata["SourceURL"] = json!("http://h.example/b.mp4");
        let metadata = metadata.to_string();
        let urls = "http://h.example/a.mp4,http://h.example/b.mp4";
        let params = [("UploadURLs", urls), ("UploadMetadatas", metadata.as_str())];
        let answer = client.call("UploadMediaByURL", &params).await;
        assert_eq!(answer.code(), "InvalidParameter.UploadMetadatas", "{fields}");
        assert!(!answer.text().contains(CANARY), "{}", answer.text());
    }
    let listed = client.call("ListUrlUploadJobs", &[]).await.ok();
    assert_eq!(listed["URLUploadInfoList"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_covers_headers_without_a_hash_that_passwords_could_be_tried_against() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let metadata = |password: &str| {
        let auth = json!({"User": "u", "Password": password});
        json!({"SourceURL": "http://h.example/a.mp4", "BasicAuth": auth}).to_string()
    };
    let (first, other) = (metadata("secret"), metadata("Secret"));
    let call = |metadata| {
        [
            ("UploadURLs", "http://h.example/a.mp4"),
            ("UploadMetadatas", metadata),
            ("SessionId", "s"),
        ]
    };
    let accepted = client.call("UploadMediaByURL", &call(&first)).await.ok();
    let again = client.call("UploadMediaByURL", &call(&first)).await.ok();
    assert_eq!(accepted["UploadJobs"], again["UploadJobs"]);
    let refused = client.call("UploadMediaByURL", &call(&other)).await;
    assert_eq!(refused.code(), "InvalidParameter.SessionId");

    let operation = wire::spec::operation("UploadMediaByURL").unwrap();
    let request = Request::parse(operation, &Params::from_pairs(call(&first))).unwrap();
    let Request::UploadMediaByUrl(request) = request else { panic!("an upload") };
    let mut stored = Vec::new();
    for entry in std::fs::read_dir(server.dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("haulage.db") {
            stored.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(stored.windows(18).any(|w| w == b"http://h.example/a"), "the job is in these files");
    assert!(!stored.windows(32).any(|w| w == request.fingerprint), "the bare hash is stored");
}
