//! `haulage demo`: the main job end to end, on real input and without any set-up.
//!
//! A server with a temporary data directory and a small origin, both on loopback, and five jobs
//! through the real API with real signatures: three good links, a slow one among them, a link
//! that has expired into a login page, and one job that is cancelled while it is pending. The
//! demo ends 0 only when all came out as promised.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::follow::follow;
use super::progress::Progress;
use super::screen::{Ink, Screen, emit};
use super::serve::{Signals, until_stopped};
use super::{Failure, Outcome, human};
use crate::client::{Client, Credentials, JobInfo, Selector, UploadRequest};
use crate::config::Config;
use crate::config::load::Loaded;
use crate::door::{Clock, random};
use crate::run::serve::{Node, start};
use crate::run::tasks::Tasks;
use origin::{BROKEN, GOOD, Origin, SAMPLE, SLOW};

mod origin;
mod report;

use report::{Finding, Report};

/// Transfer slots of the demo's node: as many as the origin holds at its gate, so that the jobs
/// behind them are surely pending.
const SLOTS: usize = 2;
/// Between two looks at the jobs.
const LOOK: Duration = Duration::from_millis(80);
/// Until the slots are busy; far more than a busy machine needs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Until all jobs have ended.
const DONE_TIMEOUT: Duration = Duration::from_secs(60);

/// See it work: real pulls, a cancel and a play URL, in seconds and without any set-up
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave the server running afterwards, and say where the console is and how to sign
    #[arg(long)]
    keep: bool,
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// The jobs of the demo, in the order of submission.
struct Link {
    path: &'static str,
    title: &'static str,
}

/// The last one is cancelled: with the first two at the gate it cannot have started.
const LINKS: [Link; 5] = [
    Link { path: SLOW, title: "Night train (slow link)" },
    Link { path: GOOD[0], title: "Harbour" },
    Link { path: BROKEN, title: "Expired link" },
    Link { path: GOOD[1], title: "Market" },
    Link { path: GOOD[2], title: "Lighthouse (cancelled)" },
];

impl Args {
    pub(super) fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::Cannot(format!("cannot start: {e}")))?;
        runtime.block_on(self.perform())
    }

    async fn perform(self) -> Outcome {
        let screen = Screen::stderr();
        let began = Instant::now();
        let mut signals = Signals::new()?;
        let stage = Box::pin(Stage::set(screen)).await?;
        let report = tokio::select! {
            report = Box::pin(stage.play()) => report,
            name = signals.next() => Err(Failure::No(format!("{name}: the demo was interrupted"))),
        };
        let told = report.and_then(|report| {
            screen.say(report.render(screen));
            if self.json {
                emit(&report.json(&stage, began.elapsed(), self.keep));
            }
            report.verdict()
        });
        if told.is_ok() {
            let took = human::span(began.elapsed());
            screen.say(format!("\n{} in {took}", screen.paint(Ink::Green, "All as promised")));
        }
        let kept = self.keep && told.is_ok();
        if kept {
            stage.invite();
        } else {
            stage.node.stop().drain();
        }
        let Stage { node, data_dir, origin, client, .. } = stage;
        // Its idle connection would keep the node waiting.
        drop(client);
        until_stopped(node, &mut signals, screen).await;
        drop((origin, data_dir));
        if told.is_ok() && !kept {
            screen.say(screen.paint(
                Ink::Dim,
                "Next: `haulage demo --keep` to look around, `haulage serve` for a server of your own.",
            ));
        }
        told
    }
}

/// A server and an origin that know each other.
struct Stage {
    screen: Screen,
    node: Node,
    origin: Origin,
    client: Client,
    data_dir: TemporaryDir,
    key: Credentials,
}

impl Stage {
    async fn set(screen: Screen) -> Result<Self, Failure> {
        let cannot = |e: std::io::Error| Failure::Cannot(format!("cannot set up the demo: {e}"));
        let data_dir = TemporaryDir::make().map_err(cannot)?;
        let origin = Origin::start(&Tasks::new()).await.map_err(cannot)?;
        // Nothing but the origin's exact address is opened in the egress firewall.
        let allow = origin.address.to_string().parse();
        let allow = allow.map_err(|e| Failure::Cannot(format!("cannot allow the origin: {e}")))?;
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: data_dir.0.clone(),
            egress_allow: vec![allow],
            transfers: SLOTS,
            // There is nobody else.
            reserve: Some(0),
            drain: Duration::from_secs(1),
            ..Config::default()
        };
        let loaded = Loaded { config, in_force: Vec::new(), warnings: Vec::new() };
        let node = Box::pin(start(loaded)).await.map_err(|e| Failure::Cannot(e.to_string()))?;
        let Some(key) = node.first_key() else {
            return Err(Failure::Cannot("the first start made no access key".to_owned()));
        };
        let key = Credentials {
            access_key_id: key.access_key_id.clone(),
            access_key_secret: key.access_key_secret.clone(),
        };
        let server =
            node.base_url().parse().map_err(|e| Failure::Cannot(format!("the server: {e}")))?;
        let client = Client::new(server, key.clone(), Clock::System);
        let stage = Self { screen, node, origin, client, data_dir, key };
        screen.say(
            screen.paint(
                Ink::Bold,
                "Haulage demo: five links, one slow, one broken, one cancelled\n",
            ),
        );
        stage.step("server", stage.node.base_url());
        stage.step(
            "origin",
            format!(
                "http://{} (a real MP4 of {})",
                stage.origin.address,
                human::bytes(SAMPLE.len() as u64)
            ),
        );
        Ok(stage)
    }

    /// A line that says what is being done.
    fn step(&self, name: &str, what: impl std::fmt::Display) {
        self.screen.say(format!("  {}  {what}", self.screen.paint(Ink::Dim, format!("{name:<8}"))));
    }

    async fn play(&self) -> Result<Report, Failure> {
        let ids = self.submit().await?;
        self.cancel_the_last(&ids).await?;
        self.origin.open();
        let jobs = self.watch(ids).await?;
        let mut findings = Vec::with_capacity(jobs.len());
        for (job, link) in jobs.into_iter().zip(&LINKS) {
            findings.push(self.look_at(job, link).await?);
        }
        let canceled_asked = self.origin.was_asked_for(LINKS[LINKS.len() - 1].path);
        let mut report = Report { findings, canceled_asked, compared: None };
        report.compared = self.compare(&report).await?;
        Ok(report)
    }

    async fn submit(&self) -> Result<Vec<String>, Failure> {
        let urls: Vec<String> = LINKS.iter().map(|link| self.origin.url(link.path)).collect();
        let titled =
            |(url, link): (&String, &Link)| json!({ "SourceURL": url, "Title": link.title });
        let metadata = urls.iter().zip(&LINKS).map(titled).collect();
        let request = UploadRequest { urls, metadata, session_id: None };
        let submitted = self.client.upload(&request, |_| ()).await?;
        let ids: Vec<String> = submitted.upload_jobs.into_iter().map(|job| job.job_id).collect();
        if ids.len() != LINKS.len() {
            return Err(Failure::No(format!("{} for five links", human::count(ids.len(), "job"))));
        }
        self.step(
            "submit",
            format!("{} accepted by UploadMediaByURL, signed (V3)", human::count(ids.len(), "job")),
        );
        Ok(ids)
    }

    /// Cancels the last job once all slots are busy with others.
    async fn cancel_the_last(&self, ids: &[String]) -> Result<(), Failure> {
        let busy = timeout(BUSY_TIMEOUT, self.origin.has_seen(SLOTS)).await;
        busy.map_err(|_| Failure::No("the transfers did not start".to_owned()))?;
        let last = Selector::Ids(ids[ids.len() - 1..].to_vec());
        let status =
            |infos: crate::client::Infos| infos.infos.into_iter().next().map(|job| job.status);
        let before = status(self.client.infos(&last).await?).unwrap_or_default();
        let canceled = self.client.cancel(&last).await?;
        if !canceled.outcomes.iter().any(crate::client::Outcome::is_canceled) {
            return Err(Failure::No("the pending job was not cancelled".to_owned()));
        }
        let title = LINKS[LINKS.len() - 1].title;
        self.step("cancel", format!("{title:?} was {before}, all {SLOTS} slots busy: CANCELED"));
        Ok(())
    }

    async fn watch(&self, ids: Vec<String>) -> Result<Vec<JobInfo>, Failure> {
        self.screen.say("");
        let order = ids.clone();
        let mut progress = Progress::new(self.screen);
        let following = follow(&self.client, ids, Some(LOOK), |jobs| progress.show(jobs));
        let followed = timeout(DONE_TIMEOUT, following).await;
        progress.finish();
        let late = |_| Failure::No("the jobs did not end in time".to_owned());
        let mut jobs = followed.map_err(late)??.jobs;
        jobs.sort_by_key(|job| order.iter().position(|id| *id == job.job_id));
        Ok(jobs)
    }

    /// What there is to know of a job.
    async fn look_at(&self, job: JobInfo, link: &Link) -> Result<Finding, Failure> {
        let play = match job.media_id.as_deref().filter(|_| job.is_success()) {
            Some(id) => self.client.play_info(id).await?.original().cloned(),
            None => None,
        };
        Ok(Finding { title: link.title, job, play })
    }

    /// Plays the first success: whether the bytes of its play URL are the origin's, as a whole
    /// and from the middle.
    async fn compare(&self, report: &Report) -> Result<Option<bool>, Failure> {
        let Some(play) = report.findings.iter().find_map(|finding| finding.play.as_ref()) else {
            return Ok(None);
        };
        let limit = SAMPLE.len() + 1;
        let whole = self.client.fetch(&play.play_url, None, limit).await?;
        let middle = SAMPLE.len() / 2;
        let range = format!("bytes={middle}-");
        let part = self.client.fetch(&play.play_url, Some(&range), limit).await?;
        let seeks = part.status == 206 && part.body == SAMPLE[middle..];
        Ok(Some(whole.body == SAMPLE && seeks))
    }

    /// Says how to go on with the server that is left running.
    fn invite(&self) {
        let base = self.node.base_url();
        self.screen.say(format!(
            "\nThe server keeps running until Ctrl-C:\n  console          {base}/console\n  explorer         {base}/explorer\n  AccessKeyId      {}\n  AccessKeySecret  {}\n\nIn another terminal:\n  haulage jobs --server {base} --data-dir {}",
            self.key.access_key_id,
            self.key.access_key_secret,
            self.data_dir.0.display(),
        ));
    }
}

/// A directory of its own for the demo, removed when this is dropped.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn make() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("haulage-demo-{}", random::alphanumeric(8));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever tidies the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
