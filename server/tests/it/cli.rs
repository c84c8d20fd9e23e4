//! The verbs as people and scripts run them: the real binary against a real server.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::origin::Origin;
use crate::harness::process::{Process, command};
use crate::harness::{SECRET, SOON, until};

/// What a verb ended with and said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    out: String,
    pub err: String,
}

impl Ran {
    /// The one JSON value on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}: {:?} {}", self.out, self.err))
    }
}

pub async fn run(data_dir: &Path, server: Option<&Process>, line: &[&str]) -> Ran {
    let mut command = command(data_dir);
    command.args(line);
    if let Some(server) = server {
        command.env("HAULAGE_SERVER", server.address.to_string());
    }
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran =
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "a secret is shown");
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_keeps_its_promises_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(dir.path());
    command.args(["demo", "--json"]).env("TMPDIR", dir.path());
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["Ok"], true);
    assert_eq!(summary["PlayedBytesMatch"], true);
    let statuses: Vec<&str> =
        summary["Jobs"].as_array().unwrap().iter().map(|j| j["Status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["SUCCESS", "SUCCESS", "DOWNLOAD_FAIL", "SUCCESS", "CANCELED"]);
    assert_eq!(summary["Jobs"][2]["ErrorCode"], "URLInvalidError.NotMedia");
    assert!(summary.get("AccessKeySecret").is_none(), "the key is gone with its server");
    assert!(!err.contains('\u{1b}'), "no colours in a pipe: {err}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn submit_cancel_watch_and_jobs_go_the_whole_way() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_TRANSFERS", "1");
    });
    let here = (dir.path(), Some(&server));
    let (held, good) = (origin.url("/held/a.mp4?token=t1"), origin.url("/good/b,c.mp4"));
    let submitted = run(here.0, here.1, &["submit", &held, &good, "--title", "T", "--json"]).await;
    assert_eq!(submitted.code, Some(0), "{}", submitted.err);
    assert!(!submitted.err.contains("t1"), "a query is shown: {}", submitted.err);
    let jobs = submitted.json()["UploadJobs"].clone();
    assert_eq!(jobs[1]["SourceURL"], good.as_str());
    let id = |at: usize| jobs[at]["JobId"].as_str().unwrap().to_owned();
    let (first, second) = (id(0), id(1));
    until("the first transfer runs", SOON, || async {
        (origin.seen("/held/a.mp4?token=t1") + origin.seen("/held/a.mp4") > 0).then_some(())
    })
    .await;

    let pending = run(here.0, here.1, &["jobs", "--status", "pending", "--json"]).await;
    assert_eq!(pending.json()["URLUploadInfoList"].as_array().unwrap().len(), 1);
    let canceled = run(here.0, here.1, &["cancel", &good, &first, "nope", "--json"]).await;
    assert_eq!(canceled.code, Some(1), "not all were pending");
    let canceled = canceled.json();
    assert_eq!(canceled["CanceledJobs"], json!([second]));
    assert_eq!(canceled["NonExists"], json!(["nope"]));
    let outcome = |input: &str| {
        let all = canceled["Outcomes"].as_array().unwrap();
        all.iter().find(|o| o["Input"] == input).unwrap()["Outcome"].clone()
    };
    assert_eq!(outcome(&good), "Canceled");
    assert_eq!(outcome(&first), "NotPending");
    assert_eq!(outcome("nope"), "NotExist");

    origin.open_gate();
    let watched = run(here.0, here.1, &["watch", &first, "--json"]).await;
    assert_eq!(watched.code, Some(0), "{}", watched.err);
    let last: Value = serde_json::from_str(watched.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["Status"], &last["Progress"]["Title"]), (&json!("SUCCESS"), &json!("T")));

    let shown = run(here.0, here.1, &["jobs"]).await;
    assert_eq!((shown.code, shown.out.as_str()), (Some(0), ""));
    assert!(shown.err.contains("SUCCESS") && shown.err.contains("CANCELED"), "{}", shown.err);
    assert!(!shown.err.contains("t1"), "a query is shown: {}", shown.err);
    let unknown = run(here.0, here.1, &["jobs", "nope"]).await;
    assert_eq!(unknown.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_and_a_refused_call_end_with_1_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Process::start(dir.path());
    let page = origin.url("/page/a.mp4");
    let failed = run(dir.path(), Some(&server), &["submit", &page, "--watch"]).await;
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("URLInvalidError.NotMedia"), "{}", failed.err);

    let refused = run(dir.path(), Some(&server), &["submit", "ftp://h/a.mp4", "--json"]).await;
    assert_eq!(refused.code, Some(1));
    for part in ["InvalidParameter.UploadURLs", "request ", "/errors/InvalidParameter.UploadURLs"] {
        assert!(refused.err.contains(part), "{part} in {}", refused.err);
    }
    let said: Value = serde_json::from_str(refused.out.lines().last().unwrap()).unwrap();
    assert_eq!(said["Code"], "InvalidParameter.UploadURLs");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_urls_than_one_call_takes_become_several_calls() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Process::start(dir.path());
    let urls: Vec<String> = (0..45).map(|n| origin.url(&format!("/good/{n}.mp4"))).collect();
    let mut line = vec!["submit", "--json", "--session-id", "batch"];
    line.extend(urls.iter().map(String::as_str));
    let first = run(dir.path(), Some(&server), &line).await;
    assert_eq!(first.json()["UploadJobs"].as_array().unwrap().len(), 45, "{}", first.err);
    // The same command again is the same jobs, not 45 more.
    assert_eq!(run(dir.path(), Some(&server), &line).await.json(), first.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_used_disabled_and_deleted_beside_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());
    let offline = async |line: &[&str]| run(dir.path(), None, line).await;
    assert_eq!(offline(&["account", "create", "acme"]).await.code, Some(0));
    assert_eq!(offline(&["account", "create", "acme"]).await.code, Some(1), "it is taken");
    assert_eq!(offline(&["account", "create", "no/name"]).await.code, Some(2));
    let made = offline(&["account", "create", "ops", "--operator", "--json"]).await;
    assert_eq!(made.json()["Operator"], true);
    let accounts = offline(&["account", "list", "--json"]).await.json();
    let operators: Vec<&Value> = accounts["Accounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|account| account["Operator"] == true)
        .map(|account| &account["Name"])
        .collect();
    assert_eq!(operators, ["default", "ops"], "the first account is one too");
    assert_eq!(offline(&["key", "create", "--account", "nobody"]).await.code, Some(1));
    let made = offline(&["key", "create", "--account", "acme", "--json"]).await;
    assert_eq!(made.err, "", "a secret goes to one place only");
    let made = made.json();
    let id = made["AccessKeyId"].as_str().unwrap();
    let secret = made["AccessKeySecret"].as_str().unwrap();
    let as_acme = async || {
        let mut command = command(dir.path());
        command.args(["jobs", "--server", &server.address.to_string(), "--access-key-id", id]);
        command.env("HAULAGE_ACCESS_KEY_SECRET", secret);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(as_acme().await.0, Some(0));
    let listed = offline(&["key", "list", "--account", "acme", "--json"]).await;
    assert_eq!(listed.json()["Keys"][0]["AccessKeyId"], id);
    assert!(!listed.out.contains(secret) && !listed.err.contains(secret));
    assert_eq!(offline(&["key", "disable", id]).await.code, Some(0));
    until("the server has heard of it", SOON, || async {
        let (code, said) = as_acme().await;
        (code == Some(1) && said.contains("InvalidAccessKeyId.Inactive")).then_some(())
    })
    .await;
    assert_eq!(offline(&["key", "delete", id]).await.code, Some(0));
    assert_eq!(offline(&["key", "delete", id]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_ends_a_verb_with_75() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    let ran = run(dir.path(), None, &["jobs", "--server", &nobody]).await;
    assert_eq!(ran.code, Some(75), "{}", ran.err);
    assert!(ran.err.contains("haulage serve"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_node_well_or_says_what_to_fix() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());
    let well = run(dir.path(), None, &["doctor", "--json"]).await;
    assert_eq!(well.code, Some(0), "{}", well.err);
    let well = well.json();
    let level = |name: &str| {
        let checks = well["Checks"].as_array().unwrap();
        checks.iter().find(|c| c["Name"] == name).unwrap()["Level"].clone()
    };
    assert_eq!(level("database"), "ok");
    assert_eq!(level("egress"), "warn", "127.0.0.0/8 is broad");
    drop(server);

    std::fs::write(dir.path().join("haulage.db"), "no database at all").unwrap();
    let ill = run(dir.path(), None, &["doctor", "--json"]).await;
    assert_eq!(ill.code, Some(1), "{}", ill.err);
    assert_eq!(ill.json()["Ok"], false);
}
