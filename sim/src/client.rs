//! Clients: they sign real requests, lose requests and answers, try again, send things twice, race
//! the claims with cancels, and hold every answer against what the witness saw.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use haulage::domain::account::AccountId;
use haulage::domain::id::Key;
use haulage::domain::job::StateKind;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;
use wire::sign::client::{Moment, Signed, Signer};

use crate::chance::Rng;
use crate::origin::{HOSTS, Kind};
use crate::world::{PATIENCE, World, pause};

/// Tries of one call, the first included.
const TRIES: u32 = 6;
/// Jobs of one call, at most.
const JOBS: u64 = 4;

/// An account as clients know it.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub account: AccountId,
    /// The account's name.
    pub name: String,
    pub weight: u8,
    pub id: String,
    pub secret: String,
}

#[derive(Debug)]
pub struct Client {
    world: Arc<World>,
    rng: Rng,
    number: usize,
    own: Credentials,
    nonces: u64,
    urls: u64,
    /// Ids and URLs of own jobs, as answered.
    jobs: Vec<(String, String)>,
    /// How far each job has come, as this client saw it.
    seen: BTreeMap<String, String>,
    /// Moments of accepted queries on one process of a node: sent and answered.
    accepted: BTreeMap<(usize, u64), VecDeque<(Instant, Instant)>>,
}

/// What a client gets: an answer, with the code when it is a refusal.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    body: Value,
    /// Node and boot.
    by: (usize, u64),
    sent: Instant,
}

impl Answer {
    fn code(&self) -> &str {
        self.body.get("Code").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Client {
    pub fn new(world: Arc<World>, number: usize, own: Credentials) -> Self {
        let rng = Rng::new(world.seed, &format!("client {number}"));
        Self {
            world,
            rng,
            number,
            own,
            nonces: 0,
            urls: 0,
            jobs: Vec::new(),
            seen: BTreeMap::new(),
            accepted: BTreeMap::new(),
        }
    }

    /// Makes its calls; ends early when something is wrong.
    pub async fn run(mut self) {
        for _ in 0..self.world.swarm.calls {
            if self.world.is_violated() {
                return;
            }
            let rest = self.rng.millis(0, 900);
            pause(rest).await;
            match self.rng.below(10) {
                0..4 => self.submit().await,
                4..7 => self.cancel().await,
                7 => self.renew().await,
                _ => self.query().await,
            }
        }
    }

    fn new_url(&mut self) -> String {
        self.urls += 1;
        let poison = self.rng.is(self.world.swarm.origin.poison);
        let kind = match self.rng.below(20) {
            _ if poison => Kind::Poison,
            0 => Kind::Missing,
            1 => Kind::Page,
            2 => Kind::Empty,
            _ => Kind::Sound,
        };
        let host = self.rng.index(HOSTS);
        format!("http://o{host}.example/v{}{}-{}.mp4", kind.letter(), self.number, self.urls)
    }

    /// Invariants 1, 2, 18 and 25.
    async fn submit(&mut self) {
        let many = if self.rng.is(self.world.swarm.client.burst) { 3 * JOBS } else { JOBS };
        let count = self.rng.range(1, many);
        let urls: Vec<String> = (0..count).map(|_| self.new_url()).collect();
        let mut params = vec![("UploadURLs".to_owned(), joined(&urls))];
        if self.rng.is(self.world.swarm.client.priority) {
            params.push(("UploadMetadatas".to_owned(), self.priorities(&urls)));
        }
        let with_session = self.rng.is(0.6);
        if with_session {
            params.push(("SessionId".to_owned(), format!("s{}-{}", self.number, self.urls)));
        }
        let mut answers: Vec<Vec<String>> = Vec::new();
        for _ in 0..TRIES {
            let answer = self.call("UploadMediaByURL", &params).await;
            if let Some(answer) = answer.filter(|answer| answer.status == 200) {
                answers.push(list(&answer.body, "UploadJobs", "JobId"));
                // Now and then a client that has its answer asks once more.
                if !(with_session && self.rng.is(0.2)) {
                    break;
                }
            } else if !with_session {
                break;
            }
            let rest = self.rng.millis(50, 600);
            pause(rest).await;
        }
        self.judge_submit(&urls, &answers, with_session);
        if let Some(ids) = answers.pop() {
            for (id, url) in ids.iter().zip(&urls) {
                self.jobs.push((id.clone(), url.clone()));
            }
            self.look_at(&ids).await;
        }
    }

    /// Some of the jobs are more urgent or less.
    fn priorities(&mut self, urls: &[String]) -> String {
        let mut entries = Vec::new();
        for url in urls {
            let level = ["low", "normal", "high"][self.rng.index(3)];
            entries.push(serde_json::json!({ "SourceURL": url, "Priority": level }));
        }
        Value::Array(entries).to_string()
    }

    fn judge_submit(&self, urls: &[String], answers: &[Vec<String>], with_session: bool) {
        // Such a node may take a session that was used a moment ago for one of yesterday.
        let is_kept = !self.world.has_started_wrongly();
        let violate = |invariant, what: String| self.world.violate(invariant, what);
        for ids in answers {
            if ids.len() != urls.len() || is_kept && answers[0] != *ids {
                violate(25, format!("one session, two answers: {answers:?}"));
            }
            for (id, url) in ids.iter().zip(urls) {
                let witness = self.world.witness();
                let seen = self.world.codec.job_key(id).and_then(|key| witness.jobs.get(&key));
                if seen.is_none_or(|seen| !seen.url.starts_with(url)) {
                    violate(1, format!("{url} was accepted as {id}, which does not exist"));
                }
            }
        }
        let witness = self.world.witness();
        let jobs =
            |url: &String| witness.jobs.values().filter(|seen| seen.url.starts_with(url)).count();
        let counts: Vec<usize> = urls.iter().map(jobs).collect();
        if counts.iter().any(|count| *count != counts[0]) {
            violate(2, format!("of one submission some exist: {counts:?} for {urls:?}"));
        }
        if with_session && is_kept && counts[0] > 1 {
            violate(25, format!("one session made {} jobs of one URL", counts[0]));
        }
    }

    /// A job is visible everywhere as soon as its submission was answered.
    async fn look_at(&mut self, ids: &[String]) {
        let params = [("JobIds".to_owned(), ids.join(","))];
        let Some(answer) = self.call("GetURLUploadInfos", &params).await else { return };
        if answer.status == 200 {
            self.judge_infos(&answer, ids, true);
        }
    }

    async fn query(&mut self) {
        let burst = self.rng.is(self.world.swarm.client.burst);
        let calls = if burst { 2 * self.world.swarm.get_qps } else { 1 };
        for _ in 0..calls {
            let (ids, foreign) = self.some_ids();
            let params = [("JobIds".to_owned(), ids.join(","))];
            let Some(answer) = self.call("GetURLUploadInfos", &params).await else { continue };
            if answer.status == 200 {
                self.judge_infos(&answer, &ids, !foreign);
                self.judge_throttle(&answer);
            }
        }
    }

    /// Some of its own ids; now and then ids that are not its own.
    fn some_ids(&mut self) -> (Vec<String>, bool) {
        let foreign = self.rng.is(0.15);
        let mut ids = Vec::new();
        if foreign {
            let witness = self.world.witness();
            let others = witness.jobs.iter().filter(|(_, seen)| seen.account != self.own.account);
            ids.extend(others.take(3).map(|(key, _)| self.world.codec.job_id(*key)));
            ids.push("0123456789abcdef0123456789abcdef".to_owned());
        } else {
            for _ in 0..self.rng.range(1, 4) {
                // The newest are the likeliest to be pending still.
                let back = self.rng.index(self.jobs.len().max(1)).min(self.rng.index(8));
                if let Some((id, _)) = self.jobs.iter().rev().nth(back)
                    && !ids.contains(id)
                {
                    ids.push(id.clone());
                }
            }
        }
        if ids.is_empty() {
            ids.push("fedcba9876543210fedcba9876543210".to_owned());
            return (ids, true);
        }
        (ids, foreign)
    }

    /// Invariants 1, 17, 18 and 19.
    fn judge_infos(&mut self, answer: &Answer, ids: &[String], own: bool) {
        let missing = list(&answer.body, "NonExists", "");
        if own && !missing.is_empty() {
            self.world.violate(18, format!("acknowledged jobs are not there: {missing:?}"));
        }
        if !own && missing.len() != ids.len() {
            self.world.violate(19, format!("foreign jobs were shown: {:?}", answer.body));
        }
        let infos = answer.body.get("URLUploadInfoList").and_then(Value::as_array);
        for info in infos.into_iter().flatten() {
            let text = |name: &str| info.get(name).and_then(Value::as_str).unwrap_or_default();
            let (id, status) = (text("JobId").to_owned(), text("Status").to_owned());
            let before = self.seen.insert(id.clone(), status.clone());
            if let Some(before) = before
                && (rank(&before) > rank(&status) || rank(&before) == 2 && before != status)
            {
                self.world.violate(17, format!("{id} was {before} and is {status}"));
            }
        }
    }

    /// Invariant 20, for one node: no more queries were accepted whole within one second than the
    /// limit says.
    fn judge_throttle(&mut self, answer: &Answer) {
        let now = Instant::now();
        let accepted = self.accepted.entry(answer.by).or_default();
        accepted.push_back((answer.sent, now));
        while accepted.front().is_some_and(|(_, end)| now - *end > Duration::from_secs(2)) {
            accepted.pop_front();
        }
        let second = Duration::from_millis(999);
        let within = accepted.iter().filter(|(sent, end)| now - *sent < second && *end <= now);
        let within = within.count();
        if within > self.world.swarm.get_qps as usize {
            self.world.violate(20, format!("{within} queries of one second were accepted"));
        }
    }

    /// Invariants 6, 7, 8 and 19.
    async fn cancel(&mut self) {
        if self.rng.is(self.world.swarm.client.burst) {
            self.submit().await;
        }
        let (ids, _) = self.some_ids();
        let by_url = self.rng.is(0.3);
        let urls: Vec<String> = self
            .jobs
            .iter()
            .filter(|(id, _)| by_url && ids.contains(id))
            .map(|(_, url)| url.clone())
            .collect();
        let params = if urls.is_empty() {
            [("JobIds".to_owned(), ids.join(","))]
        } else {
            [("UploadUrls".to_owned(), joined(&urls))]
        };
        for _ in 0..TRIES {
            let answer = self.call("CancelUrlUploadJobs", &params).await;
            if let Some(answer) = answer.filter(|answer| answer.status == 200) {
                let asked = if urls.is_empty() { &ids } else { &urls };
                self.judge_cancel(&answer, asked, urls.is_empty());
                return;
            }
            let rest = self.rng.millis(20, 300);
            pause(rest).await;
        }
    }

    /// Gives a job that awaits one another URL; which of this and the job's deadline wins is the
    /// witness's to judge.
    async fn renew(&mut self) {
        let awaiting = self.world.witness().awaiting(self.own.account);
        let Some((key, url)) = self.rng.pick(&awaiting).cloned() else {
            return self.query().await;
        };
        self.urls += 1;
        let source = url.split('?').next().unwrap_or_default();
        let fresh = format!("{source}?k={}", self.urls);
        let params = [
            ("JobId".to_owned(), self.world.codec.job_id(key)),
            ("UploadURL".to_owned(), fresh.clone()),
        ];
        for _ in 0..TRIES {
            let answer = self.call("ReplaceUploadUrl", &params).await;
            if answer.is_some_and(|answer| answer.status == 200) {
                if self.world.witness().kind(key) == Some(StateKind::AwaitingUrl)
                    && self.world.witness().awaiting(self.own.account).contains(&(key, url))
                {
                    let what = format!("{fresh} was taken, and the job awaits a URL still");
                    self.world.violate(1, what);
                }
                return;
            }
            let rest = self.rng.millis(20, 300);
            pause(rest).await;
        }
    }

    fn judge_cancel(&self, answer: &Answer, asked: &[String], by_id: bool) {
        let canceled = list(&answer.body, "CanceledJobs", "");
        let missing = list(&answer.body, "NonExists", "");
        let witness = self.world.witness();
        for id in &canceled {
            let key = self.world.codec.job_key(id);
            let seen = key.and_then(|key| witness.jobs.get(&key));
            let held = seen.is_some_and(|seen| {
                seen.account == self.own.account
                    && seen.progress.state.kind() == StateKind::Canceled
                    && seen.token.0 == 0
            });
            if !held || (by_id && !asked.contains(id)) {
                self.world.violate(6, format!("{id} was said to be cancelled and is {seen:?}"));
            }
        }
        let own =
            |key: &Key| witness.jobs.get(key).is_some_and(|seen| seen.account == self.own.account);
        for input in asked {
            let (in_canceled, in_missing) = (canceled.contains(input), missing.contains(input));
            if in_canceled && in_missing {
                self.world.violate(7, format!("{input} is in both lists"));
            }
            if !by_id {
                continue;
            }
            let known = self.world.codec.job_key(input).filter(own);
            match known {
                Some(_) if in_missing => {
                    self.world.violate(7, format!("{input} exists and was said not to"));
                }
                Some(key) if !in_canceled && witness.kind(key) == Some(StateKind::Pending) => {
                    self.world.violate(7, format!("{input} is pending and was not cancelled"));
                }
                None if !in_missing => {
                    self.world.violate(19, format!("{input} is not the caller's: {canceled:?}"));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Signs and sends a call, to any node; `None` when there is no answer.
    async fn call(&mut self, action: &str, params: &[(String, String)]) -> Option<Answer> {
        self.nonces += 1;
        let nonce = format!("c{}-{}", self.number, self.nonces);
        let at = Moment { unix_seconds: self.world.clock.now().seconds(), nonce: &nonce };
        let signer = Signer {
            access_key_id: &self.own.id,
            access_key_secret: &self.own.secret,
            security_token: None,
        };
        let signed = signer.v3("haulage.test", action, params, at);
        let faults = self.world.swarm.client;
        let twice = self.world.strikes(faults.twice);
        let (one, other) =
            (self.rng.index(self.world.swarm.nodes), self.rng.index(self.world.swarm.nodes));
        let second = twice.then(|| {
            let (world, signed) = (self.world.clone(), signed.clone());
            let late = self.rng.millis(0, 400);
            crate::world::spawn(async move {
                pause(late).await;
                deliver(&world, other, signed).await
            })
        });
        let answer = deliver(&self.world, one, signed).await;
        let again = match second {
            Some(second) => second.await.ok().flatten(),
            None => None,
        };
        let of = |answer: &Option<Answer>| answer.as_ref().map_or(0, |answer| answer.status);
        let codes = answer.as_ref().map(|answer| answer.code().to_owned());
        self.world.trace.note(format_args!(
            "c{} {action} at n{one}: {} {}",
            self.number,
            of(&answer),
            codes.unwrap_or_default()
        ));
        if of(&answer) == 200 && of(&again) == 200 {
            self.world
                .violate(21, format!("{action}: one nonce was accepted by n{one} and n{other}"));
        }
        // An answer that gets lost on its way back was given all the same.
        let answer = answer.or(again);
        if self.world.strikes(faults.lost_reply) {
            self.world.cover("client: lost reply");
            return None;
        }
        answer
    }
}

/// Brings a request to a node and its answer back.
async fn deliver(world: &Arc<World>, node: usize, signed: Signed) -> Option<Answer> {
    let faults = world.swarm.client;
    let slow = world.strikes(faults.slow);
    let late = world.late(0, if slow { 1_000 } else { 10 });
    pause(late).await;
    if world.strikes(faults.lost_request) {
        world.cover("client: lost request");
        pause(PATIENCE).await;
        return None;
    }
    let sent = Instant::now();
    let process = world.nodes[node].process()?;
    let by = (node, world.nodes[node].boots());
    if !process.listens() {
        return None;
    }
    let mut request = Request::builder().method(signed.method).uri(&signed.path_and_query);
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(signed.body)).ok()?;
    let router = process.router.clone();
    let made = process.tasks.spawn("connection", async move {
        let response = router.oneshot(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, body))
    });
    // A client waits longer than a node waits for its store, and not for ever.
    let made = tokio::time::timeout(4 * PATIENCE, made).await.ok()?.ok()??;
    let (status, body) = made?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Answer { status, body, by, sent })
}

/// How far a status is: accepted, begun, ended.
fn rank(status: &str) -> u8 {
    match status {
        "PENDING" => 0,
        "SUCCESS" | "UPLOAD_FAIL" | "DOWNLOAD_FAIL" | "CANCELED" => 2,
        _ => 1,
    }
}

/// A list of URLs, as the contract joins them.
fn joined(urls: &[String]) -> String {
    let encode = |url: &String| {
        let mut out = String::new();
        wire::percent::encode_into(&mut out, url);
        out
    };
    urls.iter().map(encode).collect::<Vec<_>>().join(",")
}

/// The texts of a list, or the field of its items.
fn list(body: &Value, name: &str, field: &str) -> Vec<String> {
    let found = body.get(name);
    let array = found.and_then(|value| {
        value.as_array().or_else(|| value.as_object()?.values().next()?.as_array())
    });
    let text = |item: &Value| {
        let item = if field.is_empty() { Some(item) } else { item.get(field) };
        item.and_then(Value::as_str).map(str::to_owned)
    };
    array.into_iter().flatten().filter_map(text).collect()
}
