//! kill -9, again and again, under load: nothing acknowledged is lost, no job is stuck, nothing
//! half-done is visible.

use std::collections::HashMap;
use std::time::Duration;

use haulage::door::random;

use crate::flow::play_path;
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::Process;
use crate::harness::{SOON, count_from, spawn, until, url_list};

/// What a client was told of a job.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Accepted,
    Canceled,
}

/// Calls of one client before a kill, and the longest pause between two of them.
const STEPS: usize = 16;
const PACE: Duration = Duration::from_millis(40);

/// One cycle: load from several clients, SIGKILL at a random moment, restart. At the end every
/// acknowledged job is final with the bytes of its origin, every acknowledged cancel holds, and
/// the storage has exactly the objects of the successes.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_over_kills_under_load() {
    let cycles = count_from("HAULAGE_TEST_KILLS", 12);
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let mut told: HashMap<String, (Told, String)> = HashMap::new();
    let mut next = 0;
    for _ in 0..cycles {
        let server = start(dir.path());
        let load: Vec<_> = (0..4)
            .map(|lane| {
                let client = server.client();
                let base = next + lane * 1_000;
                let address = origin.address;
                spawn(async move {
                    let mut log = Vec::new();
                    // Bounded; normally the kill ends it.
                    for step in 0..STEPS {
                        // Spreads the load over the time until the kill.
                        tokio::time::sleep(PACE.mul_f64(random::fraction())).await;
                        let urls: Vec<String> = (0..5)
                            .map(|i| format!("http://{address}/good/{}-{i}.mp4", base + step))
                            .collect();
                        let list = url_list(&urls);
                        let params = [("UploadURLs", list.as_str())];
                        let Some(reply) = try_call(&client, "UploadMediaByURL", &params).await
                        else {
                            return log;
                        };
                        let ids: Vec<String> = reply["UploadJobs"]
                            .as_array()
                            .unwrap()
                            .iter()
                            .map(|j| j["JobId"].as_str().unwrap().to_owned())
                            .collect();
                        for (id, url) in ids.iter().zip(&urls) {
                            log.push((id.clone(), Told::Accepted, url.clone()));
                        }
                        let params = [("JobIds", ids[4].as_str())];
                        let Some(reply) = try_call(&client, "CancelUrlUploadJobs", &params).await
                        else {
                            return log;
                        };
                        if reply["CanceledJobs"][0] == ids[4].as_str() {
                            log.push((ids[4].clone(), Told::Canceled, urls[4].clone()));
                        }
                    }
                    log
                })
            })
            .collect();
        next += 10_000;
        // The moment of the kill is what is varied; the time itself is not awaited for anything.
        tokio::time::sleep(Duration::from_millis(50).mul_f64(1.0 + 8.0 * random::fraction())).await;
        server.kill();
        for lane in load {
            for (id, what, url) in lane.await.unwrap() {
                told.insert(id, (what, url));
            }
        }
    }
    let server = start(dir.path());
    let successes = check(&server, &told).await;
    let canceled = told.values().filter(|(what, _)| *what == Told::Canceled).count();
    eprintln!(
        "{cycles} kills: {} acknowledged jobs, {canceled} acknowledged cancels, {successes} successes, 0 lost",
        told.len()
    );
    assert!(!told.is_empty());
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn start(dir: &std::path::Path) -> Process {
    Process::start_with(dir, |command| {
        command
            .env(
                "HAULAGE_QPS",
                "UploadMediaByURL=0,CancelUrlUploadJobs=0,GetURLUploadInfos=0,GetPlayInfo=0",
            )
            .env("HAULAGE_TRANSFERS", "16")
            .env("HAULAGE_RESCUES", "1000")
            // Without ffprobe, whose start takes longer than all else in a job of this size.
            .env("PATH", "")
            .env("HAULAGE_LOG", "warn");
    })
}

/// The reply of a success; `None` when the server died over it.
async fn try_call(
    client: &crate::harness::Client,
    action: &str,
    params: &[(&str, &str)],
) -> Option<serde_json::Value> {
    let signed = client.signed(action, params);
    let mut head = format!("{} {} HTTP/1.1\r\n", signed.method, signed.path_and_query);
    for (name, value) in &signed.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", signed.body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&signed.body);
    let answer = crate::harness::raw(client.address, &bytes).await?;
    // An answer cut off by the kill is no acknowledgement.
    let reply: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    assert_eq!(answer.status, 200, "{reply}");
    Some(reply)
}

/// Every acknowledged job is final as told; returns the number of successes.
async fn check(server: &Process, told: &HashMap<String, (Told, String)>) -> usize {
    let client = server.client();
    let mut successes = 0;
    for (at, (id, (what, url))) in told.iter().enumerate() {
        let info = until("an acknowledged job is final", SOON * 4, || async {
            let info = client.info(id).await;
            assert!(info["JobId"].is_string(), "job {id} for {url} is lost");
            let status = info["Status"].as_str().unwrap();
            (status == "SUCCESS" || status == "CANCELED" || status.ends_with("FAIL"))
                .then_some(info.clone())
        })
        .await;
        match what {
            Told::Canceled => assert_eq!(info["Status"], "CANCELED", "{info}"),
            // A cancel whose answer was cut off may have happened.
            Told::Accepted if info["Status"] == "CANCELED" => {}
            Told::Accepted => {
                assert_eq!(info["Status"], "SUCCESS", "{info}");
                successes += 1;
                if at % 50 == 0 {
                    let media = info["MediaId"].as_str().unwrap();
                    let play = client.call("GetPlayInfo", &[("VideoId", media)]).await.ok();
                    let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap();
                    let body = client.get(&play_path(url), &[]).await.body;
                    assert!(body == SAMPLE, "the stored bytes are the origin's");
                }
            }
        }
    }
    successes
}
