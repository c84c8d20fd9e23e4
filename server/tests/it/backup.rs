//! `haulage backup` while the server works, and life from the copy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::command;
use crate::harness::{SOON, Server, spawn, until};

/// Takes a backup with the program; returns what it printed as JSON.
fn backup(data_dir: &Path, to: &Path) -> Result<serde_json::Value, String> {
    let ran = command(data_dir).args(["backup", "--json"]).arg(to).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(serde_json::from_slice(&ran.stdout).unwrap()) } else { Err(said) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_holds_everything_acknowledged_before_it() {
    let origin = Origin::start().await;
    let server = Server::start().await;
    let client = server.client();
    let ids = client.submit(&[origin.url("/good/a.mp4"), origin.url("/gone/b.mp4")]).await;
    for id in &ids {
        client.terminal(id).await;
    }
    let held = client.submit(&[origin.url("/held/c.mp4")]).await.remove(0);

    let (writing, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let load = {
        let (writing, stop) = (writing.clone(), stop.clone());
        let (client, url) = (client.clone(), origin.url("/good/load.mp4"));
        spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                client.submit(std::slice::from_ref(&url)).await;
                writing.store(true, Ordering::SeqCst);
            }
        })
    };
    until("the load runs", SOON, || async { writing.load(Ordering::SeqCst).then_some(()) }).await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("copy");
    let (from, target) = (server.dir().to_owned(), to.clone());
    let first = tokio::task::spawn_blocking(move || backup(&from, &target)).await.unwrap().unwrap();
    assert!(first["Objects"].as_u64().unwrap() >= 1, "{first}");
    stop.store(true, Ordering::SeqCst);
    load.await.unwrap();
    origin.open_gate();
    client.terminal(&held).await;

    // Brought up to date: what was copied is not copied again.
    let second = backup(server.dir(), &to).unwrap();
    let objects = |saved: &serde_json::Value, name: &str| saved[name].as_u64().unwrap();
    assert_eq!(
        objects(&second, "Objects") - objects(&second, "NewObjects"),
        objects(&first, "Objects")
    );
    assert!(objects(&second, "NewObjects") >= 1, "{second}");
    drop(server);

    let restored = Server::start_with(|c| c.data_dir = to).await;
    let client = restored.client();
    let info = client.info(&ids[0]).await;
    assert_eq!(info["Status"], "SUCCESS");
    assert_eq!(client.status(&ids[1]).await, "DOWNLOAD_FAIL");
    assert_eq!(client.status(&held).await, "SUCCESS");
    let media = info["MediaId"].as_str().unwrap();
    let play = client.call("GetPlayInfo", &[("VideoId", media)]).await.ok();
    let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
    let path = url.splitn(4, '/').nth(3).unwrap();
    let played = client.get(&format!("/{path}"), &[]).await;
    assert_eq!((played.status, played.body.as_slice()), (200, SAMPLE));
    let again = client.submit(&[origin.url("/good/after.mp4")]).await.remove(0);
    assert_eq!(client.terminal(&again).await["Status"], "SUCCESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_never_writes_over_what_is_not_one() {
    let server = Server::start().await;
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("letters.txt"), b"dear").unwrap();
    let refused = backup(server.dir(), place.path()).unwrap_err();
    assert!(refused.contains("not an earlier backup"), "{refused}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    let refused = backup(server.dir(), server.dir()).unwrap_err();
    assert!(refused.contains("not an earlier backup"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_makes_no_whole_backup() {
    let origin = Origin::start().await;
    let server = Server::start().await;
    let client = server.client();
    let id = client.submit(&[origin.url("/good/a.mp4")]).await.remove(0);
    client.terminal(&id).await;
    std::fs::remove_dir_all(server.dir().join("objects")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("copy");
    let failed = backup(server.dir(), &to).unwrap_err();
    assert!(failed.contains("cannot be copied"), "{failed}");
    assert!(!to.join("BACKUP.json").exists());
}
