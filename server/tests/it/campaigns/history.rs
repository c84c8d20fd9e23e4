//! What happened, as independent witnesses saw it: the clients, the origin, the stored files, and
//! the server's own list of jobs at the end. Each witness writes lines of JSON to a file of its own
//! and nobody changes them; the checker (`check`) joins them by the token in a job's URL. It never
//! reads the server's logs.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haulage::blob::parse_object_key;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::origin::{Origin, blob, blob_filler, tiny, tiny_token};
use crate::harness::{Answer, Client, SOON, url_list};

/// Jobs on one page of the server's list (its limit).
const PAGE: &str = "100";

/// What a witness saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// A client submits one URL for each token.
    Submit { call: u64, tokens: Vec<String> },
    /// It was answered: the tokens with the ids of their jobs.
    Accepted { call: u64, jobs: Vec<(String, String)> },
    /// A client cancels jobs by their ids.
    Cancel { call: u64, jobs: Vec<String> },
    /// It was answered.
    Cancelled { call: u64, jobs: Vec<String>, unknown: Vec<String> },
    /// A call was answered with an error: it has had no effect.
    Refused { call: u64, code: String },
    /// A client was told how a job stands.
    Status { job: String, status: String },
    /// The origin was asked for a file.
    Request { token: String },
    /// The server lists a job, after everything.
    Final { job: String, token: String, status: String, attempts: u64, rescues: u64 },
    /// A file is stored under the key of an object, after everything.
    Object { token: String, whole: bool },
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the history began, by the witness's clock.
    pub at: u64,
    pub who: String,
    #[serde(flatten)]
    pub event: Event,
}

/// The files of all witnesses of one campaign.
#[derive(Clone, Debug)]
pub struct History {
    dir: PathBuf,
    began: Instant,
    calls: Arc<AtomicU64>,
}

/// One of them, with its pen.
#[derive(Clone, Debug)]
pub struct Witness {
    who: String,
    file: Arc<Mutex<File>>,
    history: History,
}

impl History {
    /// A history without witnesses yet, in a directory of its own.
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        Self { dir: dir.to_owned(), began: Instant::now(), calls: Arc::default() }
    }

    /// A witness of that name; who has been one before goes on in the same file.
    pub fn witness(&self, who: &str) -> Witness {
        let path = self.dir.join(format!("{who}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Witness { who: who.to_owned(), file: Arc::new(Mutex::new(file)), history: self.clone() }
    }

    /// The time of the history: what was written before has a smaller one.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    /// All lines, each witness's in their order.
    pub fn read(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut files: Vec<_> =
            std::fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files {
            for line in BufReader::new(File::open(&path).unwrap()).lines() {
                lines.push(serde_json::from_str(&line.unwrap()).unwrap());
            }
        }
        lines
    }
}

impl Witness {
    pub fn say(&self, event: Event) {
        let line = Line { at: self.history.now(), who: self.who.clone(), event };
        let mut text = serde_json::to_string(&line).unwrap();
        text.push('\n');
        self.file.lock().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn call(&self) -> u64 {
        self.history.calls.fetch_add(1, Ordering::SeqCst)
    }

    /// Lets an origin tell what it is asked for.
    pub async fn origin(self) -> Origin {
        Origin::start_seen(move |path| {
            if let Some(token) = token_of(path) {
                self.say(Event::Request { token });
            }
        })
        .await
    }
}

/// The token of a file at the origin.
fn token_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("/tiny/")?;
    let name = rest.split('?').next()?;
    Some(name.strip_suffix(".mp4")?.to_owned())
}

/// A client whose calls and answers are in the history.
#[derive(Clone, Debug)]
pub struct Told {
    pub client: Client,
    witness: Witness,
    origin: String,
    /// Asks the origin for a pace.
    query: String,
}

/// The server is gone, or refused.
#[derive(Debug)]
pub struct NoAnswer;

impl Told {
    pub fn new(client: Client, witness: Witness, origin: &Origin) -> Self {
        Self { client, witness, origin: origin.url(""), query: String::new() }
    }

    /// From now on files come over so long a time.
    pub fn slowly(self, over: Duration) -> Self {
        Self { query: format!("?ms={}", over.as_millis()), ..self }
    }

    /// Submits a URL for each token; the ids of their jobs.
    pub async fn submit(&self, tokens: &[String]) -> Result<Vec<String>, NoAnswer> {
        self.submit_with(tokens, &[]).await
    }

    /// The same in a session: repeated, it is answered with the jobs of the first call.
    pub async fn submit_in(
        &self,
        session: &str,
        tokens: &[String],
    ) -> Result<Vec<String>, NoAnswer> {
        self.submit_with(tokens, &[("SessionId", session)]).await
    }

    async fn submit_with(
        &self,
        tokens: &[String],
        more: &[(&str, &str)],
    ) -> Result<Vec<String>, NoAnswer> {
        let call = self.witness.call();
        let url = |token: &String| format!("{}/tiny/{token}.mp4{}", self.origin, self.query);
        let urls: Vec<String> = tokens.iter().map(url).collect();
        self.witness.say(Event::Submit { call, tokens: tokens.to_vec() });
        let list = url_list(&urls);
        let params = [&[("UploadURLs", list.as_str())][..], more].concat();
        let reply = self.ask(call, "UploadMediaByURL", &params).await?;
        let ids: Vec<String> = strings(&reply["UploadJobs"], |job| &job["JobId"]);
        let jobs = tokens.iter().cloned().zip(ids.iter().cloned()).collect();
        self.witness.say(Event::Accepted { call, jobs });
        Ok(ids)
    }

    /// Cancels jobs; those that were cancelled.
    pub async fn cancel(&self, jobs: &[String]) -> Result<Vec<String>, NoAnswer> {
        let call = self.witness.call();
        self.witness.say(Event::Cancel { call, jobs: jobs.to_vec() });
        let ids = jobs.join(",");
        let reply = self.ask(call, "CancelUrlUploadJobs", &[("JobIds", &ids)]).await?;
        let jobs = strings(&reply["CanceledJobs"], |id| id);
        let unknown = strings(&reply["NonExists"], |id| id);
        self.witness.say(Event::Cancelled { call, jobs: jobs.clone(), unknown });
        Ok(jobs)
    }

    /// How jobs stand; at most ten.
    pub async fn look(&self, jobs: &[String]) -> Result<Vec<String>, NoAnswer> {
        let call = self.witness.call();
        let ids = jobs.join(",");
        let reply = self.ask(call, "GetURLUploadInfos", &[("JobIds", &ids)]).await?;
        let infos = reply["URLUploadInfoList"].as_array().unwrap();
        for info in infos {
            let text = |name: &str| info[name].as_str().unwrap().to_owned();
            self.witness.say(Event::Status { job: text("JobId"), status: text("Status") });
        }
        Ok(strings(&reply["URLUploadInfoList"], |info| &info["Status"]))
    }

    /// Looks at jobs until each has ended.
    pub async fn wait(&self, jobs: &[String]) -> Result<(), NoAnswer> {
        while !self.look(jobs).await?.iter().all(|status| is_final(status)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn ask(
        &self,
        call: u64,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<Value, NoAnswer> {
        let signed = self.client.signed(action, params);
        let answer: Answer = self.client.try_send(&signed).await.ok_or(NoAnswer)?;
        // An answer cut off by a kill is none.
        let reply: Value = serde_json::from_slice(&answer.body).map_err(|_| NoAnswer)?;
        if answer.status != 200 {
            let code = reply["Code"].as_str().unwrap_or_default().to_owned();
            // A failure of the server's is no statement about the effect.
            if answer.status < 500 {
                self.witness.say(Event::Refused { call, code });
            }
            return Err(NoAnswer);
        }
        Ok(reply)
    }
}

fn strings(list: &Value, of: impl Fn(&Value) -> &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| of(item).as_str().unwrap().to_owned()).collect()
}

pub fn is_final(status: &str) -> bool {
    status == "SUCCESS" || status == "CANCELED" || status.ends_with("FAIL")
}

/// How long it takes at most until the next job of a server at work has ended.
const STALL: Duration = SOON.saturating_mul(2);
/// Statuses of jobs that have not ended.
const OPEN: &str = "PENDING,PROCESSING,DOWNLOADING,DOWNLOAD_SUCCESS,UPLOADING,UPLOAD_SUCCESS";

/// Waits until every job of a server has ended; `Err` with what has not when for [`STALL`] none did.
pub async fn settle(client: &Client) -> Result<(), String> {
    let (mut least, mut end) = (usize::MAX, Instant::now() + STALL);
    loop {
        let open = list(client, Some(OPEN)).await;
        let Some(one) = open.first() else { return Ok(()) };
        if open.len() < least {
            (least, end) = (open.len(), Instant::now() + STALL);
        }
        if Instant::now() >= end {
            return Err(format!("{} jobs do not end, such as {one}", open.len()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a server lists, of some statuses or of all.
pub async fn list(client: &Client, statuses: Option<&str>) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut params = vec![("PageSize", PAGE)];
        params.extend(statuses.map(|statuses| ("Status", statuses)));
        params.extend(next.iter().map(|next| ("NextToken", next.as_str())));
        let reply = client.call("ListUrlUploadJobs", &params).await.ok();
        all.extend(reply["URLUploadInfoList"].as_array().unwrap().iter().cloned());
        match reply["NextToken"].as_str() {
            Some(token) => next = Some(token.to_owned()),
            None => return all,
        }
    }
}

/// Writes down what the server lists.
pub fn dump(witness: &Witness, jobs: &[Value]) {
    for info in jobs {
        let text = |name: &str| info[name].as_str().unwrap().to_owned();
        let Some(token) = token_of(&text("UploadURL")) else { continue };
        let number = |name: &str| info["Progress"][name].as_u64().unwrap_or(0);
        witness.say(Event::Final {
            job: text("JobId"),
            token,
            status: text("Status"),
            attempts: number("Attempt"),
            rescues: number("Rescues"),
        });
    }
}

/// Files under the keys of objects.
pub fn keys(objects: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![objects.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let key = path.strip_prefix(objects).unwrap().to_str().unwrap();
            if path.is_dir() {
                todo.push(path);
            } else if parse_object_key(key).is_some() {
                found.push(path);
            }
        }
    }
    found
}

/// Writes down which objects are stored. Each file says itself whose it is; those of other paths
/// than `/tiny/` are left out.
pub fn walk(witness: &Witness, objects: &Path) {
    for path in keys(objects) {
        let bytes = std::fs::read(&path).unwrap();
        if blob_filler(bytes.len()).is_some_and(|filler| bytes == blob(filler)) {
            continue;
        }
        let token = tiny_token(&bytes);
        let whole = token.as_ref().is_some_and(|token| bytes == tiny(token));
        let token = token.unwrap_or_else(|| path.display().to_string());
        witness.say(Event::Object { token, whole });
    }
}

/// Counts, and what contradicts an invariant of reliability.md §4, by its number.
#[derive(Debug, Default)]
pub struct Verdict {
    pub acknowledged: usize,
    pub cancelled: usize,
    pub successes: usize,
    /// Attempts that ended without a word.
    pub rescues: usize,
    /// Submissions without an answer that happened, and that did not.
    pub unanswered: (usize, usize),
    pub violations: BTreeMap<u32, Vec<String>>,
}

impl Verdict {
    pub(super) fn violates(&mut self, invariant: u32, what: impl Into<String>) {
        self.violations.entry(invariant).or_default().push(what.into());
    }

    /// Fails with what was found.
    #[track_caller]
    pub fn sound(&self, context: &str) {
        let few: BTreeMap<_, _> = self
            .violations
            .iter()
            .map(|(n, all)| (n, (all.len(), &all[..all.len().min(5)])))
            .collect();
        assert!(few.is_empty(), "{context}: violated invariants: {few:#?}");
    }
}
