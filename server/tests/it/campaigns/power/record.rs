//! The product at work on disks that write down what reaches them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haulage::blob::object_key;
use haulage::domain::id::Key;
use haulage::domain::job::Token;
use haulage::door::Clock;
use wire::sign::client::Signed;

use super::device::{Disks, Entry, Log};
use crate::harness::mounts::Mounts;
use crate::harness::origin::Origin;
use crate::harness::process::{BINARY, Process, environment};
use crate::harness::{Answer, Client, SOON, spawn, until, url_list};

/// Clients that work at the same time, and the URLs of one submission.
const LANES: usize = 3;
const URLS: usize = 3;
/// A directory of objects takes those of about nine minutes (`blob::object_key`).
const DIRECTORY_TIME: Duration = Duration::from_secs(9 * 60);

/// What a client was told, and may rely on from then on.
#[derive(Clone, Debug)]
pub enum Told {
    /// Its nonce is used up.
    Answered(Signed),
    Accepted(String),
    Cancelled(String),
    /// The job is a success; its file has so many bytes more than the smallest of the origin's.
    Stored {
        id: String,
        filler: usize,
    },
}

/// A sync that the kernel is made to skip, though it says that it was done: what the product would
/// be without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    Nothing,
    /// Of the database's log: `synchronous=NORMAL`.
    LogSync,
    /// Of the directory after an object was published into it.
    DirectorySync,
}

/// What is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// 1: all on one. 2: the objects on a second one.
    pub disks: usize,
    /// Jobs accepted, cancelled and stored, together.
    pub operations: usize,
    pub skipped: Skipped,
}

/// A server's disks, mounted in a namespace of their own.
#[derive(Debug)]
pub struct Place {
    pub mounts: Mounts,
    dir: PathBuf,
    disks: usize,
}

impl Place {
    /// Mounts the files `0`, `1`, … of `images`; `prepare` is a shell command for each before.
    ///
    /// # Errors
    /// What `mount` said.
    pub fn mount(dir: &Path, images: &Path, disks: usize, prepare: &str) -> Result<Self, String> {
        let mut script = String::from("true");
        for disk in 0..disks {
            let (at, image) = (dir.join(format!("at-{disk}")), images.join(disk.to_string()));
            std::fs::create_dir_all(&at).unwrap();
            let (at, image) = (at.display(), image.display());
            let prepare = prepare.replace("IMAGE", &image.to_string());
            script += &format!(" && {prepare} && mount -o loop {image} {at} && chmod 700 {at}");
        }
        Ok(Self { mounts: Mounts::make(&script)?, dir: dir.to_owned(), disks })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("at-0")
    }

    /// The directory of objects, as the server sees it.
    fn objects(&self) -> PathBuf {
        self.dir.join(format!("at-{}", self.disks - 1)).join("objects")
    }

    pub fn data_seen_from_here(&self) -> PathBuf {
        self.mounts.path(&self.data())
    }

    pub fn objects_seen_from_here(&self) -> PathBuf {
        self.mounts.path(&self.objects())
    }

    /// Starts the product on it.
    ///
    /// # Errors
    /// What it said when it did not start.
    pub fn start(&self, transfers: usize, skipped: Skipped) -> Result<Process, String> {
        Process::try_start_as(&self.dir, &self.data(), |outer| {
            let strace = self.skipping(skipped);
            let mut inner = match strace {
                None => self.mounts.inside("env"),
                Some(_) => self.mounts.inside("strace"),
            };
            inner.args(strace.into_iter().flatten());
            // Without ffprobe, whose start takes longer than all else in a job of this size.
            inner.args(["PATH=", BINARY, "serve"]);
            inner.envs(environment(outer));
            inner.env("HAULAGE_STORAGE_URL", format!("file://{}", self.objects().display()));
            inner.env("HAULAGE_TRANSFERS", transfers.to_string());
            let free = "UploadMediaByURL=0,CancelUrlUploadJobs=0,GetURLUploadInfos=0,GetPlayInfo=0";
            inner.env("HAULAGE_QPS", free).env("HAULAGE_LOG", "warn");
            inner
        })
    }

    /// Arguments of strace that make the kernel skip syncs of some files.
    fn skipping(&self, skipped: Skipped) -> Option<Vec<String>> {
        let files = match skipped {
            Skipped::Nothing => return None,
            Skipped::LogSync => vec![self.data().join("haulage.db-wal")],
            Skipped::DirectorySync => {
                let now = Clock::System.now();
                let directory = |at| {
                    let key = object_key(Key::first_at(at), Token(1), "mp4");
                    self.objects().join(Path::new(&key).parent().unwrap())
                };
                vec![directory(now), directory(now + DIRECTORY_TIME)]
            }
        };
        // The tracer stands aside (-D), so that the child is the server itself.
        let mut args: Vec<String> =
            ["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
                .map(Into::into)
                .into();
        args.extend(["-e".into(), "inject=fsync,fdatasync:retval=0".into()]);
        for file in files {
            args.extend(["-P".into(), file.display().to_string()]);
        }
        args.push("env".into());
        Some(args)
    }
}

/// A recording: the log, and where in it the clients began.
#[derive(Debug)]
pub struct Recording {
    pub log: Vec<Entry<Told>>,
    pub first: usize,
}

/// Runs the product on recording disks until it has done what the plan says.
///
/// # Errors
/// Where this machine does not let a test make disks.
pub async fn record(dir: &Path, plan: Plan, origin: &Origin) -> Result<Recording, String> {
    let images = dir.join("disks");
    std::fs::create_dir_all(&images).unwrap();
    let disks: Disks<Told> =
        Disks::plug_in(&images, plan.disks).map_err(|e| format!("no FUSE: {e}"))?;
    // Small groups, so that there is a second superblock, as on any disk of a usual size.
    let make = "mkfs.ext4 -q -b 4096 -g 8192 -m 0 -N 4096 -J size=4 \
                -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 IMAGE";
    let place = Place::mount(dir, &images, plan.disks, make)?;
    // Directories and schema are made by a sound server: the plants are about what comes later.
    let server = place.start(1, Skipped::Nothing)?;
    let made = server.client().submit(&[origin.url("/blob/8/first.mp4")]).await;
    assert_eq!(server.client().terminal(&made[0]).await["Status"], "SUCCESS");
    server.terminate();
    let server = place.start(2, plan.skipped)?;
    let first = disks.log.len();
    work(&server.client(), origin, &disks.log, plan.operations).await;
    let log = disks.log.take();
    server.kill();
    drop(place);
    disks.unplug();
    Ok(Recording { log, first })
}

/// What the lanes share.
#[derive(Debug)]
struct Shared {
    client: Client,
    origin: String,
    log: Log<Told>,
    /// Numbers the files, and so makes each as long as no other.
    files: AtomicUsize,
    operations: AtomicUsize,
    enough: usize,
}

async fn work(client: &Client, origin: &Origin, log: &Log<Told>, enough: usize) {
    let shared = Arc::new(Shared {
        client: client.clone(),
        origin: origin.url(""),
        log: log.clone(),
        files: AtomicUsize::new(1),
        operations: AtomicUsize::new(0),
        enough,
    });
    let lanes: Vec<_> = (0..LANES).map(|_| spawn(lane(shared.clone()))).collect();
    for lane in lanes {
        lane.await.unwrap();
    }
}

/// Submits, cancels the last of the jobs, and waits for the others, again and again.
async fn lane(shared: Arc<Shared>) {
    while shared.operations.load(Ordering::SeqCst) < shared.enough {
        let fillers: Vec<usize> =
            (0..URLS).map(|_| 8 + shared.files.fetch_add(1, Ordering::SeqCst)).collect();
        let urls: Vec<String> =
            fillers.iter().map(|n| format!("{}/blob/{n}/file.mp4", shared.origin)).collect();
        let reply = shared.call("UploadMediaByURL", ("UploadURLs", &url_list(&urls))).await.json();
        let jobs = reply["UploadJobs"].as_array().unwrap();
        let ids: Vec<String> =
            jobs.iter().map(|job| job["JobId"].as_str().unwrap().to_owned()).collect();
        for id in &ids {
            shared.done(Told::Accepted(id.clone()));
        }
        let last = &ids[URLS - 1];
        let reply = shared.call("CancelUrlUploadJobs", ("JobIds", last)).await.json();
        let cancelled = reply["CanceledJobs"][0] == last.as_str();
        if cancelled {
            shared.done(Told::Cancelled(last.clone()));
        }
        let running = if cancelled { URLS - 1 } else { URLS };
        for (id, filler) in ids.iter().zip(fillers).take(running) {
            until("the job is done", SOON, || async {
                let reply = shared.call("GetURLUploadInfos", ("JobIds", id)).await.json();
                let status = reply["URLUploadInfoList"][0]["Status"].clone();
                assert!(!status.as_str().unwrap().ends_with("FAIL"), "{reply}");
                (status == "SUCCESS").then_some(())
            })
            .await;
            shared.done(Told::Stored { id: id.clone(), filler });
        }
    }
}

impl Shared {
    fn done(&self, what: Told) {
        self.log.told(what);
        self.operations.fetch_add(1, Ordering::SeqCst);
    }

    async fn call(&self, action: &str, parameter: (&str, &str)) -> Answer {
        let signed = self.client.signed(action, &[parameter]);
        let answer = self.client.send(&signed).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.log.told(Told::Answered(signed));
        answer
    }
}

/// The command that says whether a program is there.
pub fn there_is(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|said| said.status.success())
}
