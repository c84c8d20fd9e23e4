//! A disk that is really full: a small file system of the test's own, filled and emptied while the
//! server runs on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::origin::Origin;
use crate::harness::process::Process;
use crate::harness::{SOON, skip, until, url_list};

/// Whether this machine lets a process mount a file system in namespaces of its own.
fn can_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt && umount /mnt"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// A server whose data directory is a file system of 96 MiB, and that directory as seen from here.
fn start(dir: &Path, min_free: &str) -> (Process, PathBuf) {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let program = crate::harness::process::BINARY;
    let script = format!(
        "mount -t tmpfs -o size=96m,mode=700 none {0} && exec {program} serve",
        data.display()
    );
    let server = Process::start_as(dir, &data, |command| {
        let mut wrapped = Command::new("unshare");
        wrapped.args(["-rm", "sh", "-c", &script]);
        wrapped.envs(crate::harness::process::environment(command));
        wrapped.env("HAULAGE_MIN_FREE", min_free).env("HAULAGE_ATTEMPTS", "1");
        wrapped
    });
    let seen = PathBuf::from(format!("/proc/{}/root{}", server.pid(), data.display()));
    (server, seen)
}

fn free(data: &Path) -> u64 {
    let free = rustix::fs::statvfs(data).unwrap();
    free.f_bavail * free.f_frsize
}

/// Takes all room but `left` bytes; returns the file to remove.
fn fill(data: &Path, left: u64) -> PathBuf {
    let filler = data.join("filler");
    let bytes = free(data).saturating_sub(left);
    // Short of the last page, an error means that it is full, which is what is wanted.
    let _ = std::fs::write(&filler, vec![1u8; usize::try_from(bytes).unwrap()]);
    filler
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_submissions_are_refused_and_all_else_goes_on() {
    let name = "below_the_reserve_submissions_are_refused_and_all_else_goes_on";
    if !can_mount() {
        return skip(name, "it may not mount a file system in a namespace");
    }
    let dir = tempfile::tempdir().unwrap();
    let (server, data) = start(dir.path(), "32MiB");
    let (client, origin) = (server.client(), Origin::start().await);
    let held = client.submit(&[origin.url("/held/a.mp4")]).await;
    until("the transfer runs", SOON, || async { (origin.seen("/held/a.mp4") == 1).then_some(()) })
        .await;

    // More than there is room for above the reserve: the job fails, the reserve stays.
    let large = client.submit(&[origin.url("/blob/90000000/big.mp4")]).await;
    let info = client.terminal(&large[0]).await;
    assert_eq!(
        (&info["Status"], &info["ErrorCode"]),
        (&"UPLOAD_FAIL".into(), &"StorageError".into())
    );

    until("its bytes are gone", SOON, || async { (free(&data) > 64 << 20).then_some(()) }).await;

    let filler = fill(&data, 8 << 20);
    let url = origin.url("/good/b.mp4");
    let refused = client.call("UploadMediaByURL", &[("UploadURLs", &url)]).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "StorageFull"));
    assert_eq!(client.status(&held[0]).await, "PROCESSING");
    let reply = client.call("CancelUrlUploadJobs", &[("JobIds", &held[0])]).await.ok();
    assert_eq!(reply["CanceledJobs"], serde_json::json!([]), "it was answered, and truly");

    std::fs::remove_file(filler).unwrap();
    origin.open_gate();
    let ids = client.submit(&[url]).await;
    for id in held.iter().chain(&ids) {
        assert_eq!(client.terminal(id).await["Status"], "SUCCESS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_refuses_what_it_cannot_keep_and_recovers_by_itself() {
    let name = "a_database_without_room_refuses_what_it_cannot_keep_and_recovers_by_itself";
    if !can_mount() {
        return skip(name, "it may not mount a file system in a namespace");
    }
    let dir = tempfile::tempdir().unwrap();
    let (server, data) = start(dir.path(), "0");
    let client = server.client();
    let kept = client.submit(&["http://m.example/kept.mp4".into()]).await;
    let filler = fill(&data, 0);
    let urls: Vec<String> =
        (0..20).map(|i| format!("http://m.example/{i}/{}.mp4", "x".repeat(4_000))).collect();
    let params = url_list(&urls);
    let accepted = std::sync::Mutex::new(Vec::new());
    let refused = until("the disk is full", SOON, || async {
        let signed = client.signed("UploadMediaByURL", &[("UploadURLs", &params)]);
        let answer = client.send(&signed).await;
        if answer.status == 200 {
            let id = answer.json()["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
            accepted.lock().unwrap().push(id);
            return None;
        }
        Some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "StorageFull"));

    std::fs::remove_file(filler).unwrap();
    let again = client.submit(&["http://m.example/again.mp4".into()]).await;
    let accepted = accepted.into_inner().unwrap();
    for id in kept.iter().chain(&accepted).chain(&again) {
        let info = client.info(id).await;
        assert!(info["JobId"].is_string(), "{id} was acknowledged and is lost");
    }
}
