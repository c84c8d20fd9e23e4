//! The load of the campaigns: clients that submit, cancel and look, all of it written down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::check::check;
use super::history::{self, History, Told, Verdict};
use crate::harness::origin::Origin;
use crate::harness::process::{Process, command};
use crate::harness::seeded::Seeded;
use crate::harness::{SOON, spawn, until};

/// Clients at the same time.
const LANES: usize = 4;
/// URLs of one submission.
const URLS: usize = 5;
/// The longest pause of a client between two calls.
const PACE: Duration = Duration::from_millis(20);

/// Where a server of the campaigns has its data, and its settings: no limits of calls, many
/// transfers, no patience.
#[derive(Clone, Debug)]
pub struct Home {
    data: PathBuf,
    objects: PathBuf,
    settings: Vec<(String, String)>,
}

impl Home {
    /// A directory, made if need be.
    pub fn at(data: &Path) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let free =
            "UploadMediaByURL=0,CancelUrlUploadJobs=0,GetURLUploadInfos=0,ListUrlUploadJobs=0";
        Self { data: data.to_owned(), objects: data.join("objects"), settings: Vec::new() }
            .with("HAULAGE_QPS", free)
            .with("HAULAGE_CALLS_PER_DAY", "0")
            .with("HAULAGE_TRANSFERS", "16")
            .with("HAULAGE_PER_HOST", "1000")
            .with("HAULAGE_RESCUES", "100000")
            .with("HAULAGE_LOG", "warn")
            // Without ffprobe, whose start takes longer than all else in a job of this size.
            .with("PATH", "")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With its objects elsewhere.
    pub fn storing(self, objects: PathBuf) -> Self {
        let url = format!("file://{}", objects.display());
        Self { objects, ..self.with("HAULAGE_STORAGE_URL", &url) }
    }

    /// Makes the tables of a database that several nodes share.
    pub fn migrate(&self) {
        let mut command = command(&self.data);
        command.arg("migrate").envs(self.settings.iter().map(|(name, value)| (name, value)));
        let said = command.output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }

    pub fn start(&self) -> Process {
        Process::start_with(&self.data, |command| {
            command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        })
    }

    fn spool_is_empty(&self) -> bool {
        std::fs::read_dir(self.data.join("spool")).is_ok_and(|mut files| files.next().is_none())
    }
}

/// Clients that work until `steps` are done or the server is gone. `name` makes their tokens unlike
/// those of any other load.
pub fn begin(
    server: &Process,
    history: &History,
    origin: &Origin,
    name: &str,
    steps: usize,
    choices: &mut Seeded,
) -> Vec<JoinHandle<()>> {
    let lanes = 0..LANES;
    lanes
        .map(|lane| {
            let witness = history.witness(&format!("client-{lane}"));
            let told = Told::new(server.client(), witness, origin);
            let (name, choices) = (format!("{name}-{lane}"), choices.branch());
            spawn(async move {
                // A server that is gone ends a client.
                drop(work(&told, &name, steps, choices).await);
            })
        })
        .collect()
}

/// Submits several, cancels one of them, and looks at one of the earlier ones.
async fn work(
    told: &Told,
    name: &str,
    steps: usize,
    mut choices: Seeded,
) -> Result<(), history::NoAnswer> {
    let mut mine: Vec<String> = Vec::new();
    for step in 0..steps {
        // Spreads the load over the time.
        tokio::time::sleep(PACE.mul_f64(choices.fraction())).await;
        let tokens: Vec<String> = (0..URLS).map(|n| format!("{name}-{step}-{n}")).collect();
        let jobs = told.submit(&tokens).await?;
        let one = choices.pick(&jobs).clone();
        told.cancel(std::slice::from_ref(&one)).await?;
        mine.extend(jobs);
        let earlier = choices.pick(&mine).clone();
        told.look(&[earlier]).await?;
    }
    Ok(())
}

/// Waits until all that a server knows has ended and its sweep is over, stops it, and judges the
/// history. `told_until` is as in [`check`].
pub async fn judge(home: &Home, history: &History, told_until: Option<u64>) -> Verdict {
    let server = home.start();
    if let Err(open) = history::settle(&server.client()).await {
        panic!("{open}: {}", server.log());
    }
    server.terminate();
    // The sweep runs when a server starts, and now no job is under way.
    let server = home.start();
    let jobs = history::list(&server.client(), None).await;
    let successes = jobs.iter().filter(|job| job["Status"] == "SUCCESS").count();
    let swept = tokio::time::timeout(
        SOON,
        until("orphans are swept", SOON * 2, || async {
            let clean = history::keys(&home.objects).len() == successes && home.spool_is_empty();
            clean.then_some(())
        }),
    );
    // What is left is the checker's to say.
    drop(swept.await);
    assert!(home.spool_is_empty(), "unfinished files of nobody are left");
    history::dump(&history.witness("server"), &jobs);
    history::walk(&history.witness("objects"), &home.objects);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    server.kill();
    check(&history.read(), told_until)
}
