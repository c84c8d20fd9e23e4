//! No secret, no query of a source URL and no signature reaches logs, errors or metrics.

use crate::harness::origin::Origin;
use crate::harness::process::Process;
use crate::harness::{Client, KEY_ID, SECRET};

#[tokio::test(flavor = "multi_thread")]
async fn canaries_in_keys_and_urls_appear_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_LOG", "trace,hyper=debug").env("HAULAGE_ATTEMPTS", "2");
    });
    let client = server.client();
    let canary = "CANARY0123456789";
    let urls = [
        format!("{}?Signature={canary}", origin.url("/good/a.mp4")),
        format!("{}?Signature={canary}", origin.url("/gone/b.mp4")),
        format!("{}?Signature={canary}", origin.url("/short/c.mp4")),
        format!("{}?Signature={canary}", origin.url("/page/d.mp4")),
        format!("http://no-such-host.invalid/e.mp4?Signature={canary}"),
        format!("http://169.254.169.254/f.mp4?Signature={canary}"),
    ];
    let ids = client.submit(&urls).await;
    for id in &ids {
        let info = client.terminal(id).await;
        let message = info["ErrorMessage"].as_str().unwrap_or_default();
        assert!(!message.contains(canary), "{message}");
    }
    let wrong = Client::new(server.address, KEY_ID, "WRONGSECRET98765");
    let answer = wrong.call("GetPlayInfo", &[("VideoId", "x")]).await;
    assert!(!answer.text().contains("WRONGSECRET98765") && !answer.text().contains(SECRET));
    let metrics = client.get("/metrics", &[]).await.text().to_owned();

    let log = server.log();
    for file in ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4", "f.mp4"] {
        assert!(log.contains(file), "the log tells of {file}: {log}");
    }
    for (name, text) in [("log", &log), ("metrics", &metrics)] {
        for secret in [canary, SECRET, "WRONGSECRET98765"] {
            assert!(!text.contains(secret), "{secret} in the {name}");
        }
    }
}
