//! The official SDKs, unmodified, against the real binary: nothing proves the protocol better.
//!
//! The four command-line clients are in `tests/clients`; `tests/clients/install.sh` installs their
//! pinned SDKs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::flow::play_path;
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::Process;
use crate::harness::{KEY_ID, SECRET, skip};

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients")
}

/// One client with its switches.
#[derive(Clone, Copy, Debug)]
struct Sdk {
    name: &'static str,
    program: &'static str,
    script: &'static str,
    switches: &'static [(&'static str, &'static str)],
}

const PYTHON: &str = ".venv/bin/python";
const NODE: &str = "node";

const fn sdk(
    name: &'static str,
    program: &'static str,
    script: &'static str,
    switches: &'static [(&'static str, &'static str)],
) -> Sdk {
    Sdk { name, program, script, switches }
}

const SDKS: &[Sdk] = &[
    sdk("classic Python", PYTHON, "py_old_sdk.py", &[]),
    sdk("classic Python, GET", PYTHON, "py_old_sdk.py", &[("HTTP_METHOD", "GET")]),
    sdk("classic Python, form body", PYTHON, "py_old_sdk.py", &[("IN_BODY", "1")]),
    sdk("classic Python, generic", PYTHON, "py_old_sdk.py", &[("GENERIC", "1")]),
    sdk("new Python, V3", PYTHON, "py_new_sdk.py", &[]),
    sdk("new Python, V1", PYTHON, "py_new_sdk.py", &[("SIGNATURE", "v2")]),
    sdk("new Python, async", PYTHON, "py_new_sdk.py", &[("ASYNC", "1")]),
    sdk("pop-core, GET", NODE, "node_pop_core.js", &[]),
    sdk("pop-core, POST", NODE, "node_pop_core.js", &[("HTTP_METHOD", "POST")]),
    sdk("new Node, V3", NODE, "node_new_sdk.js", &[]),
    sdk("new Node, V3, GET", NODE, "node_new_sdk.js", &[("HTTP_METHOD", "GET")]),
    sdk("new Node, V3, form body", NODE, "node_new_sdk.js", &[("IN_BODY", "1")]),
    sdk("new Node, V1", NODE, "node_new_sdk.js", &[("SIGNATURE", "v2")]),
    sdk("new Node, previous core", NODE, "node_new_sdk.js", &[("CORE", "client")]),
];

impl Sdk {
    /// The command of one call; nothing of the caller's environment leads it elsewhere.
    fn command(&self, endpoint: &str, secret: &str, action: &str, params: &Value) -> Command {
        let dir = clients();
        let program = match self.program {
            NODE => PathBuf::from(NODE),
            local => dir.join(local),
        };
        let mut command = Command::new(program);
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
            .arg(dir.join(self.script))
            .arg(action)
            .arg(params.to_string())
            .current_dir(&dir)
            .env("ENDPOINT", endpoint)
            .env("ACCESS_KEY_ID", KEY_ID)
            .env("ACCESS_KEY_SECRET", secret)
            .envs(self.switches.iter().copied());
        command
    }

    fn run(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            !text.trim().is_empty(),
            "{}: no answer but {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    fn call(&self, endpoint: &str, action: &str, params: &Value) -> Value {
        let text = self.run(self.command(endpoint, SECRET, action, params));
        let reply: Value = serde_json::from_str(&text).unwrap();
        assert!(reply.get("Error").is_none(), "{} {action}: {reply}", self.name);
        reply
    }

    fn refused(&self, mut command: Command, token: Option<&str>) -> String {
        if let Some(token) = token {
            command.env("SECURITY_TOKEN", token);
        }
        let text = self.run(command);
        let reply: Value = serde_json::from_str(&text).unwrap();
        reply["Error"]["Code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}: {text}", self.name))
            .to_owned()
    }
}

fn installed() -> bool {
    clients().join(PYTHON).exists() && clients().join("node_modules/@alicloud/pop-core").exists()
}

/// Two servers: one that pulls, one that keeps everything pending.
struct Stage {
    _dirs: [tempfile::TempDir; 2],
    pulling: Process,
    keeping: Process,
    origin: Origin,
}

async fn stage(test: &str) -> Option<Stage> {
    if !installed() {
        skip(test, "the SDKs are not installed; run tests/clients/install.sh");
        return None;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let pulling = Process::start(dirs[0].path());
    let keeping = Process::start_with(dirs[1].path(), |c| {
        c.env("HAULAGE_TRANSFERS", "0");
    });
    Some(Stage { _dirs: dirs, pulling, keeping, origin: Origin::start().await })
}

/// A URL that every layer of encoding would like to break.
fn awkward(origin: &Origin, at: usize) -> String {
    origin.url(&format!("/good/{at}/a%20b*~%252B+%C3%A9(1)!.mp4?x=1&y='2'"))
}

fn main_job(sdk: &Sdk, at: usize, stage: &Stage) -> Value {
    let endpoint = format!("http://{}", stage.pulling.address);
    let url = awkward(&stage.origin, at);
    let encoded = wire::percent::encode(&url);
    let metadata =
        json!([{"SourceURL": encoded, "Title": format!("{} é&<", sdk.name)}]).to_string();
    let params = json!({"UploadURLs": encoded, "UploadMetadatas": metadata});
    let reply = sdk.call(&endpoint, "UploadMediaByURL", &params);
    assert_eq!(reply["UploadJobs"][0]["SourceURL"], json!(url), "{}", sdk.name);
    let job = reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
    let media = (0..60)
        .find_map(|_| {
            let by_url = json!({"UploadURLs": encoded});
            let reply = sdk.call(&endpoint, "GetURLUploadInfos", &by_url);
            let info = &reply["URLUploadInfoList"][0];
            assert_eq!(info["JobId"], json!(job), "{}", sdk.name);
            match info["Status"].as_str().unwrap() {
                "SUCCESS" => info["MediaId"].as_str().map(str::to_owned),
                "DOWNLOAD_FAIL" | "UPLOAD_FAIL" => panic!("{}: {info}", sdk.name),
                _ => {
                    std::thread::sleep(Duration::from_millis(100));
                    None
                }
            }
        })
        .unwrap_or_else(|| panic!("{}: the job does not end", sdk.name));
    let play = sdk.call(&endpoint, "GetPlayInfo", &json!({"VideoId": media, "AuthTimeout": 600}));
    assert_eq!(play["VideoBase"]["Title"], json!(format!("{} é&<", sdk.name)));
    assert_eq!(play["PlayInfoList"]["PlayInfo"][0]["JobId"], json!(job));
    play
}

fn cancel_job(sdk: &Sdk, at: usize, stage: &Stage) {
    let endpoint = format!("http://{}", stage.keeping.address);
    let encoded = wire::percent::encode(&awkward(&stage.origin, at));
    let upload = json!({"UploadURLs": encoded});
    let reply = sdk.call(&endpoint, "UploadMediaByURL", &upload);
    let job = reply["UploadJobs"][0]["JobId"].as_str().unwrap();
    let unknown = "0123456789abcdef0123456789abcdef";
    let params = json!({"JobIds": format!("{job},{unknown}")});
    let reply = sdk.call(&endpoint, "CancelUrlUploadJobs", &params);
    assert_eq!(reply["CanceledJobs"], json!([job]), "{}", sdk.name);
    assert_eq!(reply["NonExists"], json!([unknown]), "{}", sdk.name);

    let reply = sdk.call(&endpoint, "UploadMediaByURL", &upload);
    let job = reply["UploadJobs"][0]["JobId"].as_str().unwrap();
    let reply = sdk.call(&endpoint, "CancelUrlUploadJobs", &json!({"UploadUrls": encoded}));
    assert_eq!(reply["CanceledJobs"], json!([job]), "{}: by URL", sdk.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_official_sdk_submits_queries_cancels_and_plays() {
    let name = "every_official_sdk_submits_queries_cancels_and_plays";
    let Some(stage) = stage(name).await else { return };
    let stage = std::sync::Arc::new(stage);
    let mut runs = Vec::new();
    for (at, sdk) in SDKS.iter().enumerate() {
        let stage = stage.clone();
        runs.push(tokio::task::spawn_blocking(move || {
            cancel_job(sdk, at, &stage);
            main_job(sdk, at, &stage)
        }));
    }
    for (run, sdk) in runs.into_iter().zip(SDKS) {
        let play = run.await.unwrap_or_else(|e| panic!("{}: {e}", sdk.name));
        let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap();
        let client = stage.pulling.client();
        let whole = client.get(&play_path(url), &[]).await;
        assert!(whole.body == SAMPLE, "{}: the bytes are the origin's", sdk.name);
        let part = client.get(&play_path(url), &[("range", "bytes=1000-1999")]).await;
        assert_eq!((part.status, part.body.as_slice()), (206, &SAMPLE[1000..2000]));
    }
    eprintln!("{} ways of {} official SDKs did the main job", SDKS.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sdk_reports_a_wrong_secret_and_a_foreign_token_as_against_the_cloud() {
    let name = "every_sdk_reports_a_wrong_secret_and_a_foreign_token_as_against_the_cloud";
    let Some(stage) = stage(name).await else { return };
    let endpoint = format!("http://{}", stage.keeping.address);
    let params = json!({"JobIds": "0123456789abcdef0123456789abcdef"});
    let action = "CancelUrlUploadJobs";
    let runs: Vec<_> = SDKS
        .iter()
        .map(|sdk| {
            let (endpoint, params) = (endpoint.clone(), params.clone());
            tokio::task::spawn_blocking(move || {
                let wrong = sdk.command(&endpoint, "wrong", action, &params);
                let right = sdk.command(&endpoint, SECRET, action, &params);
                (sdk.refused(wrong, None), sdk.refused(right, Some("tok+/=")))
            })
        })
        .collect();
    for (run, sdk) in runs.into_iter().zip(SDKS) {
        let (wrong, token) = run.await.unwrap();
        // The classic Python core compares the string to sign with its own (contract §0.1.4).
        // Its generic request keeps no string to compare with.
        let classic = sdk.script == "py_old_sdk.py" && sdk.switches != [("GENERIC", "1")];
        let expected = if classic { "InvalidAccessKeySecret" } else { "SignatureDoesNotMatch" };
        assert_eq!(wrong, expected, "{}", sdk.name);
        assert_eq!(token, "InvalidSecurityToken.MismatchWithAccessKey", "{}", sdk.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_is_refused_in_a_form_the_sdks_understand() {
    let name = "what_is_not_implemented_is_refused_in_a_form_the_sdks_understand";
    let Some(stage) = stage(name).await else { return };
    let endpoint = format!("http://{}", stage.keeping.address);
    let params = json!({"JobIds": "0123456789abcdef0123456789abcdef"});
    let sm3 = sdk("new Python, SM3", PYTHON, "py_new_sdk.py", &[("SIGNATURE", "sm3")]);
    let bearer = sdk("new Python, bearer", PYTHON, "py_new_sdk.py", &[("BEARER_TOKEN", "btok")]);
    for sdk in [sm3, bearer] {
        let command = sdk.command(&endpoint, SECRET, "CancelUrlUploadJobs", &params);
        let code = sdk.refused(command, None);
        assert_eq!(code, "UnsupportedSignatureMethod", "{}", sdk.name);
    }
    let xml = sdk("classic Python, XML", PYTHON, "py_old_sdk.py", &[("FORMAT", "XML")]);
    let command = xml.command(&endpoint, SECRET, "CancelUrlUploadJobs", &params);
    let text = xml.run(command);
    assert!(text.contains("<CancelUrlUploadJobsResponse><RequestId>"), "{text}");
    assert!(text.contains("<NonExists>0123456789abcdef0123456789abcdef</NonExists>"), "{text}");
}
