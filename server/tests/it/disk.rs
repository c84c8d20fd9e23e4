//! Campaign K10: a disk that is really full. A small file system of the test's own is filled by each
//! of the things that can fill one, and emptied again while the server runs on it: what it cannot
//! keep it refuses, what it accepted it keeps, and it goes on by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::mounts::Mounts;
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::{BINARY, Process, command, environment};
use crate::harness::{Client, SOON, skip, until, url_list};

/// Rows of http_faults.md that are tests of this file.
pub const NUMBERS: [u32; 1] = [115];

/// What is mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// In memory: bytes, and files and directories together.
    Memory { megabytes: u64, inodes: u64 },
    /// ext4 on a file, 96 MiB: it allocates late, keeps room for its journal, and has few inodes.
    Ext4,
}

const MEMORY: Kind = Kind::Memory { megabytes: 96, inodes: 10_000 };

/// A file system in a mount namespace of its own.
struct Disk {
    mounts: Mounts,
    /// Where it is in its namespace.
    place: PathBuf,
    /// Where logs go: not on it.
    logs: PathBuf,
}

impl Disk {
    /// `None` where this machine does not let a process mount one; then the skip has been said.
    fn mount(test: &str, dir: &Path, kind: Kind) -> Option<Self> {
        let place = dir.join("data");
        std::fs::create_dir_all(&place).unwrap();
        let (at, image) = (place.display(), dir.join("image"));
        let mount = match kind {
            Kind::Memory { megabytes, inodes } => {
                format!("mount -t tmpfs -o size={megabytes}m,nr_inodes={inodes},mode=700 none {at}")
            }
            Kind::Ext4 => {
                let image = image.display();
                format!(
                    "truncate -s 96M {image} && mkfs.ext4 -q -m 0 -N 128 {image} && \
                     mount -o loop {image} {at} && chmod 700 {at}"
                )
            }
        };
        match Mounts::make(&mount) {
            Ok(mounts) => Some(Self { mounts, place, logs: dir.to_owned() }),
            Err(said) => {
                skip(test, &format!("it may not mount {kind:?} in a namespace: {said}"));
                None
            }
        }
    }

    fn inside(&self, program: &str) -> Command {
        self.mounts.inside(program)
    }

    fn start(&self, settings: &[(&str, &str)]) -> Process {
        self.try_start(settings).unwrap_or_else(|said| panic!("{said}"))
    }

    fn try_start(&self, settings: &[(&str, &str)]) -> Result<Process, String> {
        Process::try_start_as(&self.logs, &self.place, |outer| {
            let mut inner = self.inside(BINARY);
            inner.arg("serve").envs(environment(outer)).envs(settings.iter().copied());
            inner
        })
    }

    /// The file system as seen from here.
    fn path(&self) -> PathBuf {
        self.mounts.path(&self.place)
    }

    fn free(&self) -> u64 {
        free(&self.path())
    }

    /// Takes all room but `left` bytes; returns the file to remove.
    fn fill(&self, left: u64) -> PathBuf {
        fill(&self.path(), left)
    }

    /// Removes what filled it, and waits until the room is there: ext4 gives blocks back when its
    /// journal has been written.
    fn empty(&self, filler: &Path) {
        if filler.is_dir() {
            std::fs::remove_dir_all(filler).unwrap();
        } else {
            std::fs::remove_file(filler).unwrap();
        }
        rustix::fs::syncfs(std::fs::File::open(self.path()).unwrap()).unwrap();
    }

    /// Takes all inodes; returns the directory to remove.
    fn fill_inodes(&self) -> PathBuf {
        let all = self.path().join("many");
        std::fs::create_dir(&all).unwrap();
        for n in 0.. {
            if std::fs::write(all.join(n.to_string()), b"").is_err() {
                return all;
            }
        }
        unreachable!("no file system has so many");
    }
}

fn free(path: &Path) -> u64 {
    let free = rustix::fs::statvfs(path).unwrap();
    free.f_bavail * free.f_frsize
}

fn fill(path: &Path, left: u64) -> PathBuf {
    use std::io::Write;
    let filler = path.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    for piece in [vec![1; 1 << 20], vec![1; 4 << 10]] {
        let enough = left + piece.len() as u64;
        // An error means that it is full. Synced, so that what is free is told as it is.
        while free(path) > enough && file.write_all(&piece).and_then(|()| file.sync_all()).is_ok() {
        }
    }
    if left == 0 {
        // To the last byte.
        while file.write_all(&[1; 512]).and_then(|()| file.sync_all()).is_ok() {}
    }
    filler
}

/// Settings with which a job outlasts a full disk.
const PATIENT: [(&str, &str); 3] =
    [("HAULAGE_ATTEMPTS", "10000"), ("HAULAGE_BACKOFF_MAX", "200ms"), ("HAULAGE_PER_HOST", "1000")];

/// Waits until a server has met the full disk in a transfer.
async fn retried(server: &Process) {
    until("a transfer met the full disk", SOON, || async {
        let log = server.log();
        let met = |line: &&str| line.contains("will try again") && line.contains("disk");
        log.lines().any(|line| met(&line) || line.contains("StorageError")).then_some(())
    })
    .await;
}

/// Asks for a job while there is no room and nothing is kept back. Even a query's nonce needs some:
/// it is answered, or refused for that reason, and never says that the job is not there.
async fn asked(client: &Client, job: &str) {
    let answer = client.call("GetURLUploadInfos", &[("JobIds", job)]).await;
    match answer.status {
        200 => assert_eq!(answer.json()["URLUploadInfoList"][0]["JobId"], job),
        _ => assert_eq!((answer.status, answer.code().as_str()), (503, "StorageFull")),
    }
}

async fn plays(client: &Client, info: &Value) -> bool {
    let media = info["MediaId"].as_str().unwrap();
    let play = client.call("GetPlayInfo", &[("VideoId", media)]).await.ok();
    let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
    let stored = client.get(&crate::flow::play_path(&url), &[]).await;
    stored.status == 200 && stored.body.starts_with(SAMPLE)
}

/// What a server must still do while there is no room, and once there is room again.
async fn goes_on(client: &Client, origin: &Origin, jobs: &[String]) {
    let after = client.submit(&[origin.url("/good/after.mp4")]).await;
    for job in jobs.iter().chain(&after) {
        let info = client.terminal(job).await;
        assert_eq!(info["Status"], "SUCCESS", "{info}");
        assert!(plays(client, &info).await, "{info}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_submissions_are_refused_and_all_else_goes_on() {
    let name = "below_the_reserve_submissions_are_refused_and_all_else_goes_on";
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(name, dir.path(), MEMORY) else { return };
    let server = disk.start(&[("HAULAGE_MIN_FREE", "32MiB"), ("HAULAGE_ATTEMPTS", "1")]);
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

    until("its bytes are gone", SOON, || async { (disk.free() > 64 << 20).then_some(()) }).await;

    let filler = disk.fill(8 << 20);
    let url = origin.url("/good/b.mp4");
    let refused = client.call("UploadMediaByURL", &[("UploadURLs", &url)]).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "StorageFull"));
    assert_eq!(client.status(&held[0]).await, "PROCESSING");
    let reply = client.call("CancelUrlUploadJobs", &[("JobIds", &held[0])]).await.ok();
    assert_eq!(reply["CanceledJobs"], serde_json::json!([]), "it was answered, and truly");

    disk.empty(&filler);
    origin.open_gate();
    let ids = client.submit(&[url]).await;
    for id in held.iter().chain(&ids) {
        assert_eq!(client.terminal(id).await["Status"], "SUCCESS");
    }
}

/// Submits until it is refused; returns what was accepted.
async fn fill_by_submissions(client: &Client) -> Vec<String> {
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
    accepted.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_refuses_what_it_cannot_keep_and_recovers_by_itself() {
    let name = "a_database_without_room_refuses_what_it_cannot_keep_and_recovers_by_itself";
    for kind in [MEMORY, Kind::Ext4] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::mount(name, dir.path(), kind) else { continue };
        let server =
            disk.start(&[("HAULAGE_TRANSFERS", "0"), ("HAULAGE_QPS", "UploadMediaByURL=0")]);
        let client = server.client();
        let kept = client.submit(&["http://m.example/kept.mp4".into()]).await;
        let filler = disk.fill(0);
        let accepted = fill_by_submissions(&client).await;
        asked(&client, &kept[0]).await;

        disk.empty(&filler);
        let again = client.submit(&["http://m.example/again.mp4".into()]).await;
        for id in kept.iter().chain(&accepted).chain(&again) {
            let info = client.info(id).await;
            assert!(info["JobId"].is_string(), "{id} was acknowledged and is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_115_a_disk_that_gets_full_in_the_middle_of_a_transfer_only_delays_it() {
    let name = "row_115_a_disk_that_gets_full_in_the_middle_of_a_transfer_only_delays_it";
    for kind in [MEMORY, Kind::Ext4] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::mount(name, dir.path(), kind) else { continue };
        let server = disk.start(&PATIENT);
        let (client, origin) = (server.client(), Origin::start().await);
        let before = client.submit(&[origin.url("/good/before.mp4")]).await;
        assert_eq!(client.terminal(&before[0]).await["Status"], "SUCCESS");
        // Several at once: each announces less than there is, together they are too much.
        let filler = disk.fill(20 << 20);
        let urls: Vec<String> =
            (0..6).map(|n| origin.url(&format!("/blob/8000000/{n}.mp4"))).collect();
        let jobs = client.submit(&urls).await;
        retried(&server).await;
        for job in before.iter().chain(&jobs) {
            asked(&client, job).await;
        }
        // Nothing of a transfer that did not end is visible.
        let whole = [SAMPLE.len(), SAMPLE.len() + 8_000_008].map(|size| size as u64);
        for object in objects(&disk) {
            assert!(whole.contains(&object.metadata().unwrap().len()), "{}", object.display());
        }
        disk.empty(&filler);
        let all: Vec<String> = before.into_iter().chain(jobs).collect();
        goes_on(&client, &origin, &all).await;
    }
}

fn objects(disk: &Disk) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![disk.path().join("objects")];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            if entry.path().is_dir() { todo.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_inodes_only_delays_transfers() {
    let name = "a_disk_without_inodes_only_delays_transfers";
    for kind in [Kind::Memory { megabytes: 96, inodes: 400 }, Kind::Ext4] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::mount(name, dir.path(), kind) else { continue };
        let server = disk.start(&PATIENT);
        let (client, origin) = (server.client(), Origin::start().await);
        let before = client.submit(&[origin.url("/good/before.mp4")]).await;
        assert_eq!(client.terminal(&before[0]).await["Status"], "SUCCESS");
        let many = disk.fill_inodes();
        // The record needs no file of its own: it is accepted.
        let jobs = client.submit(&[origin.url("/good/a.mp4"), origin.url("/good/b.mp4")]).await;
        retried(&server).await;
        assert!(!["SUCCESS", "UPLOAD_FAIL"].contains(&client.status(&jobs[0]).await.as_str()));
        disk.empty(&many);
        goes_on(&client, &origin, &[before, jobs].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_log_stops_nothing() {
    let name = "a_full_disk_under_the_log_stops_nothing";
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(name, dir.path(), MEMORY) else { return };
    // Its log, and nothing else, is on the file system: as /var/log may be one of its own.
    let data = tempfile::tempdir().unwrap();
    let log = disk.place.join("server.log");
    let mut inner = disk.inside("sh");
    let script = format!("exec {BINARY} serve 2>>{}", log.display());
    inner.args(["-c", &script]).envs(environment(command(data.path())));
    let mut server = Process::start_as(dir.path(), data.path(), |_| inner);
    let (client, origin) = (server.client(), Origin::start().await);
    let before = client.submit(&[origin.url("/good/before.mp4")]).await;
    assert_eq!(client.terminal(&before[0]).await["Status"], "SUCCESS");
    let filler = disk.fill(0);
    // More lines than the log's last page has room for.
    let mut jobs = before;
    for n in 0..60 {
        jobs.extend(client.submit(&[origin.url(&format!("/good/{n}.mp4"))]).await);
    }
    for job in &jobs {
        assert_eq!(client.terminal(job).await["Status"], "SUCCESS");
    }
    assert_eq!(server.ended(), None);
    let seen = disk.path().join("server.log");
    let lost = std::fs::metadata(&seen).unwrap().len();
    disk.empty(&filler);
    goes_on(&client, &origin, &jobs[..1]).await;
    until("lines are written again", SOON, || async {
        (std::fs::metadata(&seen).unwrap().len() > lost).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_objects_alone_leaves_no_half_object() {
    let name = "a_full_disk_of_the_objects_alone_leaves_no_half_object";
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(name, dir.path(), MEMORY) else { return };
    let data = tempfile::tempdir().unwrap();
    let mut inner = disk.inside(BINARY);
    let place = format!("file://{}/objects", disk.place.display());
    inner.arg("serve").envs(environment(command(data.path()))).envs(PATIENT);
    inner.env("HAULAGE_STORAGE_URL", place);
    let server = Process::start_as(dir.path(), data.path(), |_| inner);
    let (client, origin) = (server.client(), Origin::start().await);
    let before = client.submit(&[origin.url("/good/before.mp4")]).await;
    assert_eq!(client.terminal(&before[0]).await["Status"], "SUCCESS");
    // Half of a copy fits.
    let filler = disk.fill(1 << 20);
    let jobs = client.submit(&[origin.url("/blob/2000000/a.mp4")]).await;
    retried(&server).await;
    assert_eq!(objects(&disk).iter().filter(|o| !o.ends_with("filler")).count(), 1);
    disk.empty(&filler);
    goes_on(&client, &origin, &[before, jobs].concat()).await;
    until("no copy is left half-way", SOON, || async { (objects(&disk).len() == 3).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_a_full_disk_says_so_or_serves_and_has_lost_nothing() {
    let name = "a_server_on_a_full_disk_says_so_or_serves_and_has_lost_nothing";
    for kind in [MEMORY, Kind::Ext4] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::mount(name, dir.path(), kind) else { continue };
        let origin = Origin::start().await;
        let server = disk.start(&PATIENT);
        let held = server.client().submit(&[origin.url("/held/a.mp4")]).await;
        let done = server.client().submit(&[origin.url("/good/b.mp4")]).await;
        assert_eq!(server.client().terminal(&done[0]).await["Status"], "SUCCESS");
        server.kill();
        let filler = disk.fill(0);
        let started = disk.try_start(&PATIENT);
        let server = match started {
            Ok(server) => {
                asked(&server.client(), &done[0]).await;
                disk.empty(&filler);
                server
            }
            Err(said) => {
                assert!(said.contains("full") || said.contains("space"), "no clear word: {said}");
                disk.empty(&filler);
                disk.start(&PATIENT)
            }
        };
        origin.open_gate();
        goes_on(&server.client(), &origin, &[held, done].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_does_not_fit_says_so_and_the_server_goes_on() {
    let name = "a_backup_that_does_not_fit_says_so_and_the_server_goes_on";
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(name, dir.path(), MEMORY) else { return };
    let server = disk.start(&PATIENT);
    let (client, origin) = (server.client(), Origin::start().await);
    let urls: Vec<String> = (0..6).map(|n| origin.url(&format!("/blob/9500000/{n}.mp4"))).collect();
    let jobs = client.submit(&urls).await;
    for job in &jobs {
        assert_eq!(client.terminal(job).await["Status"], "SUCCESS");
    }
    // A backup on the same file system, which has no room for the objects twice.
    let mut backup = disk.inside(BINARY);
    backup.arg("backup").arg(disk.place.join("backup")).envs(environment(command(&disk.place)));
    let output = backup.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("full") || said.contains("space"), "no clear word: {said}");
    disk.empty(&disk.path().join("backup"));
    goes_on(&client, &origin, &jobs).await;
}
