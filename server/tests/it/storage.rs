//! Buckets through the whole product: chosen, filled, played from, swept, and refused where the
//! storage refuses.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::flow::play_path;
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::{Process, command};
use crate::harness::s3::{self, Call, Fault, How, S3Server, When};
use crate::harness::{Answer, Client, SOON, raw, until};

/// More than fits in one part of the least size, behind a real MP4.
const BLOB: &str = "/blob/6000000/long.mp4";

/// The environment of a server whose default location is this bucket.
pub fn on_bucket(command: &mut Command, bucket: &S3Server, query: &str) {
    command
        .env("HAULAGE_STORAGE_URL", format!("{}{query}", bucket.url("in")))
        .env("HAULAGE_STORAGE_KEYS", format!("default={}:{}", s3::KEY_ID, s3::SECRET))
        .env("HAULAGE_STORAGE_PART_BYTES", "5MiB")
        // Nobody listens there: whoever asked a proxy of the environment would fail.
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1");
}

/// What GetPlayInfo says of the one stream.
async fn stream(client: &Client, info: &Value, more: &[(&str, &str)]) -> Value {
    let mut params = vec![("VideoId", info["MediaId"].as_str().unwrap())];
    params.extend(more);
    client.call("GetPlayInfo", &params).await.ok()["PlayInfoList"]["PlayInfo"][0].clone()
}

/// As a player asks, at the host of the URL.
async fn play(url: &str, range: Option<&str>) -> Answer {
    let host = url.split('/').nth(2).unwrap();
    let range = range.map_or_else(String::new, |range| format!("range: bytes={range}\r\n"));
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {host}\r\n{range}connection: close\r\n\r\n",
        play_path(url)
    );
    raw(host.parse().unwrap(), head.as_bytes()).await.unwrap()
}

async fn stored(client: &Client, url: String, location: Option<&str>) -> Value {
    let mut params = vec![("UploadURLs", url.as_str())];
    params.extend(location.map(|name| ("StorageLocation", name)));
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    let info = client.terminal(reply["UploadJobs"][0]["JobId"].as_str().unwrap()).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    info
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_becomes_an_object_of_a_bucket_and_plays_from_there_by_a_signed_url() {
    let (bucket, origin) = (S3Server::start().await, Origin::start().await);
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_with(dir.path(), |c| {
        on_bucket(c, &bucket, "");
        c.env("HAULAGE_LOG", "trace,hyper=debug");
    });
    let client = server.client();
    for (path, parts) in [("/good/short.mp4", 0), (BLOB, 2)] {
        let before = bucket.count(Call::Part);
        let info = stored(&client, origin.url(path), None).await;
        assert_eq!(bucket.count(Call::Part) - before, parts, "{path}");
        let stream = stream(&client, &info, &[("AuthTimeout", "600")]).await;
        let url = stream["PlayURL"].as_str().unwrap();
        let at = format!("http://{}/media/in/", bucket.address);
        assert!(url.starts_with(&at) && url.contains("X-Amz-Expires=600&"), "{url}");
        let whole = play(url, None).await;
        let size = stream["Size"].as_u64().unwrap();
        assert_eq!((whole.status, whole.body.len() as u64), (200, size));
        assert_eq!(&whole.body[..SAMPLE.len()], SAMPLE);
        let part = play(url, Some("100-199")).await;
        assert_eq!((part.status, &part.body[..]), (206, &SAMPLE[100..200]));
        assert_eq!(part.header("content-type"), Some("video/mp4"));
        let name = format!("{}.mp4", info["MediaId"].as_str().unwrap());
        let disposition = part.header("content-disposition").unwrap();
        assert!(disposition.starts_with("inline") && disposition.contains(&name), "{disposition}");
        let forged = url.replacen("X-Amz-Expires=600", "X-Amz-Expires=601", 1);
        assert_eq!(play(&forged, None).await.status, 403);
    }
    assert_eq!((bucket.uploads().len(), bucket.parts()), (0, 0));
    assert_eq!(bucket.objects().len(), 2);
    // The console's player may play from there.
    let console = client.get("/console", &[]).await;
    let policy = console.header("content-security-policy").unwrap();
    let media = policy.split("media-src ").nth(1).unwrap().split(';').next().unwrap();
    assert!(media.ends_with(&format!(" http://{}", bucket.address)), "{policy}");
    let log = server.log();
    for secret in [s3::SECRET, "X-Amz-Signature"] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_ends_when_it_should() {
    let (bucket, origin) = (S3Server::start().await, Origin::start().await);
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_with(dir.path(), |c| on_bucket(c, &bucket, ""));
    let client = server.client();
    let info = stored(&client, origin.url("/good/a.mp4"), None).await;
    let brief = stream(&client, &info, &[("AuthTimeout", "1")]).await;
    let brief = brief["PlayURL"].as_str().unwrap().to_owned();
    until("the URL has ended", SOON, || async {
        (play(&brief, None).await.status == 403).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_chooses_among_locations_and_each_object_stays_where_it_was_put() {
    let [first, second] = [S3Server::start().await, S3Server::start().await];
    let origin = Origin::start().await;
    let (dir, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let named = "outin-1.oss-cn-shanghai.aliyuncs.com";
    let locations = |c: &mut Command| {
        let proxied = format!("{named}={}&play=proxy", second.url("their/s"));
        c.env(
            "HAULAGE_STORAGE_LOCATIONS",
            format!("{proxied},disk=file://{}", disk.path().display()),
        );
        let key = format!("{}:{}", s3::KEY_ID, s3::SECRET);
        c.env("HAULAGE_STORAGE_KEYS", format!("default={key},{named}={key}"));
    };
    let server = Process::start_with(dir.path(), |c| {
        on_bucket(c, &first, "");
        locations(c);
    });
    let client = server.client();
    let refused = client
        .call(
            "UploadMediaByURL",
            &[("UploadURLs", &origin.url("/good/no.mp4")), ("StorageLocation", "nowhere")],
        )
        .await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "InvalidStorage.NotFound"));
    assert_eq!(origin.seen("/good/no.mp4"), 0);

    let default = stored(&client, origin.url("/good/a.mp4"), None).await;
    let proxied = stored(&client, origin.url("/good/b.mp4"), Some(named)).await;
    let local = stored(&client, origin.url("/good/c.mp4"), Some("disk")).await;
    assert_eq!((first.objects().len(), second.objects().len()), (1, 1));
    assert!(second.objects().keys().all(|key| key.starts_with("their/s/")));
    let plays = async |info: &Value, at: &str| {
        let stream = stream(&client, info, &[]).await;
        let url = stream["PlayURL"].as_str().unwrap().to_owned();
        assert!(url.starts_with(at), "{url}");
        let part = play(&url, Some("7-16")).await;
        assert_eq!((part.status, &part.body[..]), (206, &SAMPLE[7..17]), "{url}");
        let whole = play(&url, None).await;
        assert_eq!((whole.status, whole.body == SAMPLE), (200, true), "{url}");
    };
    let own = format!("http://{}/media/", client.address);
    plays(&default, &format!("http://{}/media/in/", first.address)).await;
    plays(&proxied, &own).await;
    plays(&local, &own).await;
    assert_eq!(server.terminate(), Some(0));

    // Another default: what was stored is played from where it lies, and told when that is gone.
    let server = Process::start_with(dir.path(), |c| {
        locations(c);
        c.env("HAULAGE_STORAGE_URL", format!("file://{}", dir.path().join("objects").display()));
    });
    let client = server.client();
    let stream = stream(&client, &proxied, &[]).await;
    let whole = play(stream["PlayURL"].as_str().unwrap(), None).await;
    assert_eq!((whole.status, whole.body == SAMPLE), (200, true));
    drop(server);
    let server = Process::start(dir.path());
    let client = server.client();
    let lost = self::stream(&client, &proxied, &[]).await;
    assert_eq!(play(lost["PlayURL"].as_str().unwrap(), None).await.status, 503);
    assert!(server.log().contains("put it back"), "{}", server.log());
}

/// What a query tells of the one attempt of a failed job.
async fn fails_at_once(client: &Client, job: &str) {
    let info = client.terminal(job).await;
    assert_eq!(
        (&info["Status"], &info["ErrorCode"]),
        (&json!("UPLOAD_FAIL"), &json!("StorageError"))
    );
    let params = [("JobIds", job), ("IncludeProgress", "true")];
    let reply = client.call("GetURLUploadInfos", &params).await.ok();
    assert_eq!(reply["URLUploadInfoList"][0]["Progress"]["Attempt"], 1, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_refuses_by_rights_is_asked_once() {
    let (bucket, origin) = (S3Server::start().await, Origin::start().await);
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_with(dir.path(), |c| {
        on_bucket(c, &bucket, "");
        c.env(
            "HAULAGE_STORAGE_LOCATIONS",
            format!("disk=file://{}", dir.path().join("disk").display()),
        );
    });
    let client = server.client();
    bucket.fail(Fault::always(Call::Put, When::Before, How::Status(403, "AccessDenied")));
    let job = client.submit(&[origin.url("/good/a.mp4")]).await.remove(0);
    fails_at_once(&client, &job).await;
    assert_eq!((bucket.count(Call::Put), origin.seen("/good/a.mp4")), (1, 1));
    assert!(server.log().contains("it says 403 AccessDenied; give the key the rights"));
    // A local one too: where its directory was, there is a file.
    std::fs::remove_dir_all(dir.path().join("disk")).unwrap();
    std::fs::write(dir.path().join("disk"), b"").unwrap();
    let url = origin.url("/good/b.mp4");
    let params = [("UploadURLs", url.as_str()), ("StorageLocation", "disk")];
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    fails_at_once(&client, reply["UploadJobs"][0]["JobId"].as_str().unwrap()).await;
    assert_eq!(origin.seen("/good/b.mp4"), 1);
}

/// A moment of an upload at which the process is killed, and the next call hangs.
const MOMENTS: [(&str, Call, When, usize); 6] = [
    ("after the upload was begun, before that was known", Call::Begin, When::After, 0),
    ("before the first part", Call::Part, When::Before, 0),
    ("between parts", Call::Part, When::After, 0),
    ("after the last part", Call::Complete, When::Before, 0),
    ("after the completion, before the commit", Call::Complete, When::After, 0),
    ("after a small object was stored, before the commit", Call::Put, When::After, 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_anywhere_in_an_upload_leaves_one_object_and_nothing_else() {
    for (what, call, when, skip) in MOMENTS {
        let (bucket, origin) = (S3Server::start().await, Origin::start().await);
        let dir = tempfile::tempdir().unwrap();
        let start = || {
            Process::start_with(dir.path(), |c| {
                on_bucket(c, &bucket, "");
                c.env("HAULAGE_LEASE", "1s").env("HAULAGE_RESCUES", "100").env("PATH", "");
            })
        };
        let path = if call == Call::Put { "/good/short.mp4" } else { BLOB };
        if call != Call::Begin {
            // The journal alone is enough for whatever was acknowledged.
            bucket.hide_uploads();
        }
        let server = start();
        let client = server.client();
        bucket.fail(Fault { skip, ..Fault::always(call, when, How::Hang) });
        let job = client.submit(&[origin.url(path)]).await.remove(0);
        until("the upload is where it hangs", SOON, || async {
            let there = bucket.count(call) > skip;
            let took_place = match (call, when) {
                (_, When::Before) => true,
                (Call::Begin, When::After) => !bucket.uploads().is_empty(),
                (Call::Part, When::After) => bucket.parts() > 0,
                (_, When::After) => !bucket.objects().is_empty(),
            };
            (there && took_place).then_some(())
        })
        .await;
        server.kill();
        bucket.heal();
        let server = start();
        let client = server.client();
        let info = client.terminal(&job).await;
        assert_eq!(info["Status"], "SUCCESS", "{what}: {info}");
        let stream = stream(&client, &info, &[]).await;
        let whole = play(stream["PlayURL"].as_str().unwrap(), None).await;
        assert_eq!(&whole.body[..SAMPLE.len()], SAMPLE, "{what}");
        drop(server);
        // A sweep runs at each start; by now it is certain what the job has come to.
        let server = start();
        until(what, SOON, || async {
            let left = (bucket.objects().len(), bucket.uploads().len(), bucket.parts());
            let records = records(dir.path());
            (left == (1, 0, 0) && records == 0).then_some(())
        })
        .await;
        let kept = bucket.objects().into_values().next().unwrap();
        assert!(kept == whole.body, "{what}");
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

fn records(dir: &Path) -> usize {
    let uploads = std::fs::read_dir(dir.join("uploads/default"));
    uploads.map_or(0, |entries| entries.flatten().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tries_a_bucket_and_says_what_to_fix() {
    let bucket = S3Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let doctor = |keys: String, query: &str| {
        let mut command = command(dir.path());
        on_bucket(&mut command, &bucket, query);
        let ran = command.args(["doctor", "--json"]).env("HAULAGE_STORAGE_KEYS", keys).output();
        let ran = ran.unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        assert!(!said.contains(s3::SECRET) && !said.contains("wrong-secret"), "{said}");
        let checks: Value =
            serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{said}"));
        let checks = checks["Checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["Name"] == "storage").unwrap()
    };
    let good = format!("default={}:{}", s3::KEY_ID, s3::SECRET);
    let check = tokio::task::block_in_place(|| doctor(good.clone(), ""));
    assert_eq!(check["Level"], "warn", "in the clear: {check}");
    assert!(check["Found"].as_str().unwrap().contains("put, read, listed, deleted"), "{check}");
    assert!(bucket.objects().is_empty() && bucket.uploads().is_empty());
    let wrong = format!("default={}:wrong-secret", s3::KEY_ID);
    let check = tokio::task::block_in_place(|| doctor(wrong, ""));
    assert_eq!(check["Level"], "fail", "{check}");
    assert!(check["Fix"].as_str().unwrap().contains("HAULAGE_STORAGE_KEYS"), "{check}");
    bucket.fail(Fault::always(Call::Delete, When::Before, How::Status(403, "AccessDenied")));
    let check = tokio::task::block_in_place(|| doctor(good, ""));
    assert!(check["Found"].as_str().unwrap().contains("cannot delete an object"), "{check}");
    assert!(check["Fix"].as_str().unwrap().contains("rights"), "{check}");
    assert!(!dir.path().join("uploads").exists(), "a doctor changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_counts_what_lies_in_a_bucket_and_leaves_it_there() {
    let (bucket, origin) = (S3Server::start().await, Origin::start().await);
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_with(dir.path(), |c| on_bucket(c, &bucket, ""));
    let info = stored(&server.client(), origin.url("/good/a.mp4"), None).await;
    let to = tempfile::tempdir().unwrap();
    let copy = to.path().join("copy");
    let mut command = command(dir.path());
    on_bucket(&mut command, &bucket, "");
    let ran = command.args(["backup", "--json"]).arg(&copy).output().unwrap();
    let saved: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&saved["Objects"], &saved["ObjectsElsewhere"]), (&json!(0), &json!(1)));
    drop(server);
    // Restored, with the same bucket, it plays.
    let server = Process::start_with(&copy, |c| on_bucket(c, &bucket, ""));
    let stream = stream(&server.client(), &info, &[]).await;
    let whole = play(stream["PlayURL"].as_str().unwrap(), None).await;
    assert_eq!((whole.status, whole.body == SAMPLE), (200, true));
}
