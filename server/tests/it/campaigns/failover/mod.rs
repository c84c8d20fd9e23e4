//! Campaign K11: the primary of PostgreSQL goes away under load and its standby takes over, again and again,
//! while several nodes work on it. With a synchronous standby nothing acknowledged is lost, whichever
//! way the primary goes; the control, whose standby may be behind, must lose something.

mod pair;
mod patroni;
mod scene;

use std::time::Duration;

use futures_util::future::join_all;
use pair::{Pair, Standby};
use rustix::process::{Pid, Signal, kill_process};
use scene::{Scene, URLS, accepted, directory, submit_one};
use tokio::time::Instant;

use super::check::check;
use super::history::{self, Verdict};
use crate::harness::seeded::Seeded;
use crate::harness::{SOON, count_from, ledger, skip, spawn, until};

/// Switches of the slice, and nodes of the slice and of the long form.
const SWITCHES: usize = 3;
const NODES: usize = 2;
const MANY_NODES: usize = 4;
/// The longest load between two switches.
const LOAD: Duration = Duration::from_millis(1_500);
/// How long commits wait for the standby, or an unfenced primary goes on, at most.
const HELD: Duration = Duration::from_secs(1);

/// What happens to the primary, or beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The standby dies first, and is back when the primary does: commits must wait meanwhile.
    StandbyLost,
    /// The primary hangs, its standby is promoted, and then it wakes up and goes on as a second one.
    Unfenced,
    /// One node stands still from before the switch until after it.
    NodePaused,
    /// The log has not reached the standby for a while when the primary dies.
    HeldBack,
    Killed,
}

const WAYS: [Way; 5] =
    [Way::StandbyLost, Way::Unfenced, Way::NodePaused, Way::HeldBack, Way::Killed];

/// From the end of the primary until a node accepted a job again: the first one, and the last one of
/// those that were not paused.
type Gap = (Duration, Duration);

/// The primary goes, in this way; the standby takes over, and is followed by the old primary.
async fn switch(scene: &Scene, pair: &mut Pair, n: usize, way: Way, choices: &mut Seeded) -> Gap {
    // How long it lasts is what is varied.
    let held = HELD.mul_f64(choices.fraction());
    let paused = (way == Way::NodePaused).then(|| choices.below(scene.nodes.len()));
    let signal = |signal: Signal| {
        let Some(node) = paused else { return };
        let pid = i32::try_from(scene.nodes[node].pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    };
    match way {
        Way::StandbyLost => commits_wait_for_the_standby(scene, pair, n).await,
        Way::HeldBack => {
            pair.hold_back();
            tokio::time::sleep(held).await;
        }
        Way::Unfenced | Way::NodePaused | Way::Killed => {}
    }
    signal(Signal::STOP);
    let began = Instant::now();
    match way {
        Way::Unfenced => pair.freeze_primary(),
        Way::StandbyLost | Way::NodePaused | Way::HeldBack | Way::Killed => pair.kill_primary(),
    }
    let probes = scene.probe(n, began);
    pair.promote();
    if way == Way::Unfenced {
        pair.wake_old_primary();
        tokio::time::sleep(held).await;
    }
    pair.rejoin();
    signal(Signal::CONT);
    let times = join_all(probes).await.into_iter().enumerate();
    let counted = times.filter(|(node, _)| Some(*node) != paused);
    let counted: Vec<Duration> = counted.map(|(_, time)| time.unwrap()).collect();
    (*counted.iter().min().unwrap(), *counted.iter().max().unwrap())
}

/// Without its standby the primary answers no commit; with it again it does.
async fn commits_wait_for_the_standby(scene: &Scene, pair: &mut Pair, n: usize) {
    pair.kill_standby();
    let told = scene.told(0, "alone");
    let name = format!("alone-{n}");
    let call = spawn(async move { submit_one(&told, &name).await });
    until("a commit waits for the standby", SOON, || async {
        pair.has_waiting_commits().then_some(())
    })
    .await;
    assert!(!call.is_finished(), "what no standby has was answered");
    pair.restart_standby();
    // Whether it was answered in time; the checker wants to know no more.
    drop(call.await.unwrap());
}

/// The server answers a commit with success when somebody ends its wait for the standby. That is no
/// acknowledgement: what was committed goes away with the primary.
async fn a_cancelled_wait_acknowledges_nothing(scene: &Scene, pair: &mut Pair) {
    pair.hold_back();
    let told = scene.told(0, "cancelled");
    let call = {
        let told = told.clone();
        spawn(async move { submit_one(&told, "cancelled").await })
    };
    until("the call is answered", SOON, || async {
        pair.cancel_waits();
        call.is_finished().then_some(())
    })
    .await;
    assert!(call.await.unwrap().is_err(), "what the standby never had was acknowledged");
    pair.kill_primary();
    pair.promote();
    pair.rejoin();
    accepted(&told, "cancelled").await;
}

fn enter(campaign: &str, seed: u64, switches: usize, verdict: &Verdict) {
    ledger::enter(
        campaign,
        Some(seed),
        &[
            ("switches", switches),
            ("acknowledged", verdict.acknowledged),
            ("cancelled", verdict.cancelled),
            ("stored", verdict.successes),
            ("unanswered and done", verdict.unanswered.0),
            ("unanswered and not", verdict.unanswered.1),
            ("lost", verdict.violations.get(&1).map_or(0, Vec::len)),
            ("violations", verdict.violations.values().map(Vec::len).sum()),
        ],
    );
}

fn tell(campaign: &str, gaps: Vec<Gap>) {
    let (mut first, mut last): (Vec<Duration>, Vec<Duration>) = gaps.into_iter().unzip();
    first.sort_unstable();
    last.sort_unstable();
    let of = |times: &[Duration]| {
        let ms = |at: usize| times[at].as_millis();
        format!("{} ms in the middle, {} ms at most", ms(times.len() / 2), ms(times.len() - 1))
    };
    println!(
        "{campaign}: from the end of the primary to the first accepted job {}; to that of the last node {}",
        of(&first),
        of(&last),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_synchronous_standby_loses_nothing_acknowledged() {
    let name = "a_failover_to_a_synchronous_standby_loses_nothing_acknowledged";
    if !pair::is_there() {
        return skip(name, "there is no PostgreSQL 15");
    }
    let switches = count_from("HAULAGE_TEST_FAILOVERS", SWITCHES);
    let nodes = if switches > SWITCHES { MANY_NODES } else { NODES };
    let nodes = count_from("HAULAGE_TEST_FAILOVER_NODES", nodes);
    let mut choices = Seeded::from_environment();
    let dir = directory();
    let mut pair = Pair::start(&dir.path().join("postgres"), Standby::Synchronous);
    let scene = Scene::new(dir.path(), &pair.url(), nodes).await;
    let load = scene.begin(&mut choices);
    let mut gaps = Vec::new();
    for n in 0..switches {
        load.goes_on(URLS).await;
        // The moment of the switch is what is varied.
        tokio::time::sleep(LOAD.mul_f64(choices.fraction())).await;
        gaps.push(switch(&scene, &mut pair, n, WAYS[n % WAYS.len()], &mut choices).await);
    }
    load.goes_on(URLS).await;
    load.stop().await;
    until("every node listens at the primary of now", SOON, || async {
        (pair.listeners() == nodes).then_some(())
    })
    .await;
    a_cancelled_wait_acknowledges_nothing(&scene, &mut pair).await;
    let verdict = scene.judge().await;
    enter("K11", choices.seed(), switches, &verdict);
    tell("K11", gaps);
    verdict.sound(&format!("seed {}", choices.seed()));
    assert!(verdict.acknowledged > 0 && verdict.cancelled > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_failover_to_a_standby_that_is_behind_loses_what_was_acknowledged() {
    let name = "control_a_failover_to_a_standby_that_is_behind_loses_what_was_acknowledged";
    if !pair::is_there() {
        return skip(name, "there is no PostgreSQL 15");
    }
    let mut choices = Seeded::from_environment();
    let dir = directory();
    let mut pair = Pair::start(&dir.path().join("postgres"), Standby::Asynchronous);
    let scene = Scene::new(dir.path(), &pair.url(), 1).await;
    let load = scene.begin(&mut choices);
    load.goes_on(5 * URLS).await;
    pair.hold_back();
    load.goes_on(5 * URLS).await;
    pair.kill_primary();
    pair.promote();
    load.goes_on(URLS).await;
    load.stop().await;
    // Only whether it is there is asked: what has happened to it is of no interest.
    let jobs = history::list(&scene.nodes[0].client(), None).await;
    history::dump(&scene.history.witness("server"), &jobs);
    let verdict = check(&scene.history.read(), None);
    enter("K11 control: asynchronous standby", choices.seed(), 1, &verdict);
    assert!(verdict.violations.contains_key(&1), "the checker saw nothing lost");
}
