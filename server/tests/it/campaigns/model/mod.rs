//! Campaign K5: random calls of one to three clients with two accounts, at the same time, against the
//! model of a job. What each job was said to be by all of them, at whatever moment, must fit into one
//! order in which it went through its states once.

mod linear;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use linear::{MOST, Op, is_linearizable};
use serde_json::Value;

use crate::harness::origin::Origin;
use crate::harness::seeded::Seeded;
use crate::harness::{Client, Server, count_from, ledger, spawn, url_list};

const CLIENTS: usize = 3;
/// Most calls of one client.
const CALLS: usize = 8;
/// URLs of one sequence, which both accounts share.
const URLS: usize = 3;
/// The longest transfer.
const TRANSFER_MS: usize = 40;

/// States that a job may be in, as bits: more than one where nobody has looked.
type States = u8;
const NONE: States = 1;
const PENDING: States = 2;
const RUNNING: States = 4;
const STORED: States = 8;
const FAILED: States = 16;
const CANCELLED: States = 32;

/// What a call said of one job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    /// Submitted, or answered again for the same session.
    Accepted,
    Cancelled,
    /// Known, and not cancelled.
    Left,
    /// A cancel by URL did not name it.
    Passed,
    Unknown,
    Is(States),
}

/// Workers change a job whenever they like.
fn drift(states: States) -> States {
    let running = if states & PENDING != 0 { states | RUNNING } else { states };
    if running & RUNNING != 0 { running | STORED | FAILED } else { running }
}

/// The model of one job: where it may be after a call that said this.
fn step(states: States, said: &Said) -> Option<States> {
    let states = drift(states);
    let after = match said {
        Said::Accepted if states & NONE != 0 => states & !NONE | PENDING,
        Said::Accepted => states,
        Said::Cancelled if states & PENDING != 0 => CANCELLED,
        Said::Cancelled => 0,
        Said::Left => states & !(NONE | PENDING),
        Said::Passed => states & !PENDING,
        Said::Unknown => states & NONE,
        Said::Is(state) => states & state,
    };
    (after != 0).then_some(after)
}

fn state_of(status: &str) -> States {
    match status {
        "PENDING" => PENDING,
        "SUCCESS" => STORED,
        "CANCELED" => CANCELLED,
        status if status.ends_with("_FAIL") => FAILED,
        _ => RUNNING,
    }
}

/// One call with its whole answer.
#[derive(Clone, Debug)]
struct Call {
    account: usize,
    start: u64,
    end: u64,
    asked: Asked,
    reply: Value,
}

#[derive(Clone, Debug)]
enum Asked {
    Submit { session: Option<String> },
    Get { id: String },
    GetUrl { url: String },
    Cancel { id: String },
    CancelUrl { url: String },
}

/// A job, as its submission told.
#[derive(Clone, Debug)]
struct Known {
    account: usize,
    id: String,
    url: String,
}

/// What the clients of one sequence share.
#[derive(Debug)]
struct Sequence {
    accounts: [Client; 2],
    urls: Vec<String>,
    session: String,
    /// Calls begin and end at different ticks.
    ticks: AtomicU64,
    jobs: Mutex<Vec<Known>>,
    calls: Mutex<Vec<Call>>,
}

impl Sequence {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    async fn run(&self, client: usize, mut choices: Seeded) {
        for _ in 0..=choices.below(CALLS) {
            // Each client has one account; with three clients two share one.
            self.call(client % 2, &mut choices).await;
        }
    }

    async fn call(&self, account: usize, choices: &mut Seeded) {
        let url = choices.pick(&self.urls).clone();
        // Any job that is known, also the other account's.
        let id = {
            let jobs = self.jobs.lock().unwrap();
            let unknown = "0123456789abcdef0123456789abcdef".to_owned();
            if jobs.is_empty() { unknown } else { choices.pick(&jobs).id.clone() }
        };
        let session = choices.chance(0.3).then(|| self.session.clone());
        let asked = match choices.below(10) {
            0..=2 => Asked::Submit { session },
            3 | 4 => Asked::Get { id },
            5 => Asked::GetUrl { url: url.clone() },
            6 | 7 => Asked::Cancel { id },
            8 => Asked::CancelUrl { url: url.clone() },
            _ => Asked::Get { id },
        };
        // A repeated session must repeat its request.
        let submitted = match &asked {
            Asked::Submit { session: Some(_) } => self.urls[0].clone(),
            Asked::Submit { session: None }
            | Asked::Get { .. }
            | Asked::GetUrl { .. }
            | Asked::Cancel { .. }
            | Asked::CancelUrl { .. } => url,
        };
        let one = url_list(std::slice::from_ref(&submitted));
        let (action, params): (&str, Vec<(&str, &str)>) = match &asked {
            Asked::Submit { session } => {
                let session = session.as_deref().map(|session| ("SessionId", session));
                let urls = ("UploadURLs", one.as_str());
                ("UploadMediaByURL", std::iter::once(urls).chain(session).collect())
            }
            Asked::Get { id } => ("GetURLUploadInfos", vec![("JobIds", id)]),
            Asked::GetUrl { .. } => ("GetURLUploadInfos", vec![("UploadURLs", &one)]),
            Asked::Cancel { id } => ("CancelUrlUploadJobs", vec![("JobIds", id)]),
            Asked::CancelUrl { .. } => ("CancelUrlUploadJobs", vec![("UploadUrls", &one)]),
        };
        let start = self.tick();
        let reply = self.accounts[account].call(action, &params).await.ok();
        let end = self.tick();
        if let Asked::Submit { .. } = &asked {
            let id = reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
            self.jobs.lock().unwrap().push(Known { account, id, url: submitted });
        }
        self.calls.lock().unwrap().push(Call { account, start, end, asked, reply });
    }
}

/// What a call said of a job; `None` where it was not about it.
fn said_of(call: &Call, job: &Known) -> Option<Said> {
    let own = call.account == job.account;
    let names = |list: &Value| list.as_array().unwrap().iter().any(|id| *id == job.id.as_str());
    let info = || {
        let infos = call.reply["URLUploadInfoList"].as_array().unwrap();
        infos.iter().find(|info| info["JobId"] == job.id.as_str())
    };
    match &call.asked {
        Asked::Submit { .. } => {
            (call.reply["UploadJobs"][0]["JobId"] == job.id.as_str()).then_some(Said::Accepted)
        }
        Asked::Get { id } if *id == job.id => Some(match info() {
            Some(info) => Said::Is(state_of(info["Status"].as_str().unwrap())),
            None => Said::Unknown,
        }),
        Asked::GetUrl { url } if *url == job.url && own => Some(match info() {
            Some(info) => Said::Is(state_of(info["Status"].as_str().unwrap())),
            None => Said::Unknown,
        }),
        Asked::Cancel { id } if *id == job.id => {
            Some(match (names(&call.reply["CanceledJobs"]), names(&call.reply["NonExists"])) {
                (true, false) => Said::Cancelled,
                (false, false) => Said::Left,
                (false, true) => Said::Unknown,
                (true, true) => panic!("in both lists: {call:?}"),
            })
        }
        Asked::CancelUrl { url } if *url == job.url && own => {
            Some(if names(&call.reply["CanceledJobs"]) { Said::Cancelled } else { Said::Passed })
        }
        Asked::Get { .. }
        | Asked::GetUrl { .. }
        | Asked::Cancel { .. }
        | Asked::CancelUrl { .. } => None,
    }
}

/// Compares a sequence with the model; the number of histories of jobs.
fn judge(sequence: &Sequence, seed: u64) -> usize {
    let calls = sequence.calls.lock().unwrap();
    let mut jobs: BTreeMap<String, Known> = BTreeMap::new();
    for job in sequence.jobs.lock().unwrap().iter() {
        let known = jobs.entry(job.id.clone()).or_insert_with(|| job.clone());
        assert_eq!(known.account, job.account, "seed {seed}: one job of two accounts");
    }
    for job in jobs.values() {
        let mut history = Vec::new();
        for call in calls.iter() {
            let Some(said) = said_of(call, job) else { continue };
            if call.account == job.account {
                history.push(Op { start: call.start, end: call.end, what: said });
            } else {
                assert_eq!(said, Said::Unknown, "seed {seed}: a stranger's call: {call:?}");
            }
        }
        assert!(history.len() <= MOST);
        assert!(
            is_linearizable(&history, NONE, step),
            "seed {seed}: job {} has no order: {history:#?}",
            job.id
        );
    }
    sessions(&calls, seed);
    jobs.len()
}

/// A session has one answer.
fn sessions(calls: &[Call], seed: u64) {
    let mut answers: BTreeMap<(usize, &str), &Value> = BTreeMap::new();
    for call in calls {
        let Asked::Submit { session: Some(session) } = &call.asked else { continue };
        let id = &call.reply["UploadJobs"][0]["JobId"];
        let first = answers.entry((call.account, session)).or_insert(id);
        assert_eq!(*first, id, "seed {seed}: session {session} was answered in two ways");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_clients_do_at_the_same_time_each_job_has_one_story() {
    let count = count_from("HAULAGE_TEST_SEQUENCES", 60);
    let mut choices = Seeded::from_environment();
    let seed = choices.seed();
    let origin = Origin::start().await;
    let server = Server::start_with(|c| {
        c.transfers = 2;
        for operation in ["UploadMediaByURL", "GetURLUploadInfos", "CancelUrlUploadJobs"] {
            c.qps.insert(operation.into(), 0);
        }
    })
    .await;
    let accounts = [server.other_account("north").await, server.other_account("south").await];
    let (mut calls, mut jobs, mut cancelled) = (0, 0, 0);
    for n in 0..count {
        let mut choices = choices.branch();
        let url = |u: usize, choices: &mut Seeded| match choices.below(4) {
            0 => origin.url(&format!("/gone/{n}-{u}.mp4")),
            _ => origin.url(&format!("/tiny/{n}-{u}.mp4?ms={}", 20 + choices.below(TRANSFER_MS))),
        };
        let urls = (0..URLS).map(|u| url(u, &mut choices)).collect();
        let sequence = Arc::new(Sequence {
            accounts: accounts.clone(),
            urls,
            session: format!("{seed}-{n}"),
            ticks: AtomicU64::new(0),
            jobs: Mutex::default(),
            calls: Mutex::default(),
        });
        let clients: Vec<_> = (0..=choices.below(CLIENTS))
            .map(|client| {
                let (sequence, choices) = (sequence.clone(), choices.branch());
                spawn(async move { sequence.run(client, choices).await })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        jobs += judge(&sequence, seed);
        let all = sequence.calls.lock().unwrap();
        calls += all.len();
        let named = |call: &&Call| {
            call.reply["CanceledJobs"].as_array().is_some_and(|jobs| !jobs.is_empty())
        };
        cancelled += all.iter().filter(named).count();
    }
    ledger::enter(
        "K5",
        Some(seed),
        &[("sequences", count), ("calls", calls), ("jobs", jobs), ("cancels", cancelled)],
    );
    assert!(jobs > 0 && cancelled > 0, "there was something to compare");
}

#[test]
fn the_model_refuses_what_cannot_be() {
    let op = |start, end, what| Op { start, end, what };
    let accepted = op(0, 1, Said::Accepted);
    let holds = |rest: &[Op<Said>]| {
        let history: Vec<Op<Said>> =
            std::iter::once(accepted.clone()).chain(rest.to_vec()).collect();
        is_linearizable(&history, NONE, step)
    };
    assert!(holds(&[op(2, 3, Said::Is(PENDING)), op(4, 5, Said::Is(STORED))]));
    assert!(holds(&[op(2, 3, Said::Left), op(4, 5, Said::Is(RUNNING))]));
    // Accepted, and not to be found.
    assert!(!holds(&[op(2, 3, Said::Unknown)]));
    // It did not wait any more, and waits.
    assert!(!holds(&[op(2, 3, Said::Left), op(4, 5, Said::Is(PENDING))]));
    assert!(!holds(&[op(2, 3, Said::Passed), op(4, 5, Said::Cancelled)]));
    // Cancelled, and run; cancelled twice; ended twice.
    assert!(!holds(&[op(2, 3, Said::Cancelled), op(4, 5, Said::Is(STORED))]));
    assert!(!holds(&[op(2, 3, Said::Cancelled), op(4, 5, Said::Cancelled)]));
    assert!(!holds(&[op(2, 3, Said::Is(STORED)), op(4, 5, Said::Is(FAILED))]));
    // Two cancels at once: one of them comes first.
    assert!(holds(&[op(2, 5, Said::Cancelled), op(3, 4, Said::Left)]));
    assert!(!holds(&[op(2, 5, Said::Cancelled), op(3, 4, Said::Cancelled)]));
}
