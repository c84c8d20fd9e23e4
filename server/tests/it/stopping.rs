//! Starting, stopping, and starting where one cannot: what an operator meets.

use std::process::Stdio;

use crate::harness::origin::Origin;
use crate::harness::process::{Process, command};
use crate::harness::{SOON, until};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_running_jobs_back_without_charging_an_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_DRAIN", "100ms").env("HAULAGE_ATTEMPTS", "1");
    });
    let client = server.client();
    let ids = client.submit(&[origin.url("/held/a.mp4")]).await;
    until("the transfer runs", SOON, || async { (origin.seen("/held/a.mp4") == 1).then_some(()) })
        .await;
    assert_eq!(server.terminate(), Some(0));

    let server = Process::start(dir.path());
    let client = server.client();
    origin.open_gate();
    let info = client.terminal(&ids[0]).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    let params = [("JobIds", ids[0].as_str()), ("IncludeProgress", "true")];
    let reply = client.call("GetURLUploadInfos", &params).await.ok();
    let attempt = &reply["URLUploadInfoList"][0]["Progress"]["Attempt"];
    assert_eq!(attempt, 1, "our own stop is not charged: {reply}");
    let cancel = client.call("CancelUrlUploadJobs", &[("JobIds", &ids[0])]).await.ok();
    assert_eq!(cancel["CanceledJobs"], serde_json::json!([]));
}

fn fails(command: &mut std::process::Command) -> (Option<i32>, String) {
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());

    let (code, text) = fails(command(dir.path()).arg("serve"));
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("another haulage serves"), "{text}");

    let elsewhere = tempfile::tempdir().unwrap();
    let taken = server.address.to_string();
    let (code, text) = fails(command(elsewhere.path()).arg("serve").env("HAULAGE_LISTEN", taken));
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("HAULAGE_LISTEN"), "{text}");

    let file = elsewhere.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let (code, text) = fails(command(&file).arg("serve"));
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("HAULAGE_DATA_DIR"), "{text}");

    let toml = elsewhere.path().join("haulage.toml");
    std::fs::write(&toml, "transfres = 3\n").unwrap();
    let (code, text) = fails(command(elsewhere.path()).args(["serve", "--config"]).arg(&toml));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("transfres") && text.contains("transfers"), "{text}");

    let mut bad = command(elsewhere.path());
    let (code, text) = fails(bad.arg("serve").env("HAULAGE_LEASE", "soon"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("HAULAGE_LEASE"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Process::start(dir.path()).terminate(), Some(0));
    let database = rusqlite::Connection::open(dir.path().join("haulage.db")).unwrap();
    database
        .execute(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (999, 'future', '2030-01-01T00:00:00Z', '1')",
            [],
        )
        .unwrap();
    drop(database);
    let (code, text) = fails(command(dir.path()).arg("serve"));
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("newer"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_draining_from_alive() {
    let server = crate::harness::Server::start().await;
    let client = server.client();
    assert_eq!(client.get("/livez", &[]).await.status, 200);
    assert_eq!(client.get("/readyz", &[]).await.status, 200);
    client.call("ListUrlUploadJobs", &[]).await.ok();
    let page = client.get("/metrics", &[]).await;
    for name in ["haulage_jobs_pending", "haulage_requests", "haulage_free_bytes"] {
        assert!(page.text().contains(name), "{name}");
    }
}
