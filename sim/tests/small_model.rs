//! Every state of two small worlds: two workers, one canceller, one rescuer, crashes, stops, leases
//! that may end at any moment, and one job with many attempts or two with few. The transition function
//! is the product's own `domain::job::apply`; what is modelled is who calls it when, and what they
//! believe meanwhile.
//!
//! The simulation walks far through few of the orders in which things can happen; this walks
//! through all of them, in worlds that are small enough. Workers are alike and so are jobs, so that
//! of states that differ in their numbering alone one is looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};

use haulage::domain::fault::{FaultClass, JobFault};
use haulage::domain::job::{Event, Progress, State as JobState, StateKind, Token, apply};
use haulage::domain::time::Timestamp;

/// How much can happen in a world.
#[derive(Clone, Copy, Debug)]
struct Size {
    jobs: usize,
    /// Attempts of a job, and leases of it that may end without a word, as `worker::one_job` counts.
    attempts: u8,
    rescues: u8,
    /// Leases that may be found to have ended while their workers live, in all: so every pause is
    /// covered.
    expiries: u8,
    /// Crashes and stops of workers, in all.
    crashes: u8,
}

/// One job, through everything that can happen to it.
const DEEP: Size = Size { jobs: 1, attempts: 4, rescues: 3, expiries: 6, crashes: 6 };
/// Two jobs, which have the workers in common.
const WIDE: Size = Size { jobs: 2, attempts: 2, rescues: 1, expiries: 3, crashes: 3 };

const MOST_JOBS: usize = 2;
const WORKERS: usize = 2;

const NOW: Timestamp = Timestamp(1_000);
/// When leases end; the rescuer sees this time whenever it likes.
const LATER: Timestamp = Timestamp(2_000);

/// What a worker has in hand: a job, and the lease that it believes in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Worker {
    Dead,
    Claimed {
        job: u8,
        token: u8,
    },
    /// The source has been asked.
    Fetched {
        job: u8,
        token: u8,
    },
    /// The object lies in the store.
    Published {
        job: u8,
        token: u8,
    },
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    Pending,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Canceled,
}

/// A job, what was said of it, and what lies in the store for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Job {
    kind: Kind,
    /// Of the last claim.
    token: u8,
    attempt: u8,
    rescues: u8,
    /// Leases of it that were ended.
    ended: u8,
    /// The canceller's answer; `None` before it asked.
    canceled: Option<bool>,
    /// A cancel that reads first has read (only with [`Plant::CancelReadsFirst`]).
    read_pending: bool,
    /// The rescuer has seen its lease end (only with [`Plant::RescueReadsFirst`]).
    read_ended: bool,
    /// Its source was ever asked.
    asked: bool,
    /// The lease whose object its success names.
    medium: u8,
    /// Objects in the store, a bit for each token.
    objects: u32,
}

impl Job {
    const NEW: Self = Self {
        kind: Kind::Pending,
        token: 0,
        attempt: 0,
        rescues: 0,
        ended: 0,
        canceled: None,
        read_pending: false,
        read_ended: false,
        asked: false,
        medium: 0,
        objects: 0,
    };

    fn is_final(&self) -> bool {
        matches!(self.kind, Kind::Succeeded | Kind::Failed | Kind::Canceled)
    }

    fn progress(&self) -> Progress {
        let state = match self.kind {
            Kind::Pending => JobState::Pending,
            Kind::Running => JobState::Running { token: name(self.token), until: LATER },
            Kind::Waiting => JobState::Waiting { due: NOW },
            Kind::Succeeded => JobState::Succeeded,
            Kind::Failed => JobState::Failed(fault()),
            Kind::Canceled => JobState::Canceled,
        };
        let (attempt, rescues) = (self.attempt.into(), self.rescues.into());
        Progress { state, attempt, rescues, ..Progress::new() }
    }

    /// Whether the product's rules let the event pass; then it has happened.
    fn apply(&mut self, event: &Event) -> bool {
        let Ok(next) = apply(&self.progress(), event) else { return false };
        self.kind = match next.state.kind() {
            StateKind::Pending => Kind::Pending,
            StateKind::Running => Kind::Running,
            StateKind::Waiting => Kind::Waiting,
            StateKind::Succeeded => Kind::Succeeded,
            StateKind::Failed => Kind::Failed,
            StateKind::Canceled => Kind::Canceled,
            StateKind::AwaitingUrl => unreachable!("nothing here halts a job"),
        };
        if let JobState::Running { token, .. } = next.state {
            self.token = u8::try_from(token.0).unwrap();
        }
        self.attempt = u8::try_from(next.attempt).unwrap();
        self.rescues = u8::try_from(next.rescues).unwrap();
        true
    }
}

fn name(token: u8) -> Token {
    Token(token.into())
}

fn fault() -> JobFault {
    JobFault::new(FaultClass::Stalled, "")
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct World {
    jobs: [Job; MOST_JOBS],
    workers: [Worker; WORKERS],
    /// What is left of them.
    crashes: u8,
    expiries: u8,
    /// Some final state changed.
    broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Action {
    Claim(usize, usize),
    Fetch(usize),
    Fault(usize),
    Publish(usize),
    Succeed(usize),
    Stop(usize),
    Crash(usize),
    Restart(usize),
    Cancel(usize),
    WriteCancel(usize),
    Expire(usize),
    WriteExpire(usize),
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Claim(..) => "claim",
            Self::Fetch(_) => "fetch",
            Self::Fault(_) => "fault",
            Self::Publish(_) => "publish",
            Self::Succeed(_) => "succeed",
            Self::Stop(_) => "stop",
            Self::Crash(_) => "crash",
            Self::Restart(_) => "restart",
            Self::Cancel(_) => "cancel",
            Self::WriteCancel(_) => "write cancel",
            Self::Expire(_) => "expire",
            Self::WriteExpire(_) => "write expire",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plant {
    None,
    CancelReadsFirst,
    RescueReadsFirst,
    FinishUnfenced,
    RescuesUncounted,
}

#[derive(Clone, Copy)]
struct Model {
    size: Size,
    plant: Plant,
}

impl Model {
    fn start(self) -> World {
        World {
            jobs: [Job::NEW; MOST_JOBS],
            workers: [Worker::Idle; WORKERS],
            crashes: self.size.crashes,
            expiries: self.size.expiries,
            broken: false,
        }
    }

    fn actions(self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        for (w, worker) in world.workers.iter().enumerate() {
            match worker {
                Worker::Idle => actions.extend((0..self.size.jobs).map(|j| Action::Claim(w, j))),
                Worker::Claimed { .. } => actions.push(Action::Fetch(w)),
                Worker::Fetched { .. } => actions.extend([Action::Publish(w), Action::Fault(w)]),
                Worker::Published { .. } => actions.push(Action::Succeed(w)),
                Worker::Dead => actions.push(Action::Restart(w)),
            }
            if *worker != Worker::Dead && world.crashes > 0 {
                actions.extend([Action::Crash(w), Action::Stop(w)]);
            }
        }
        for (j, job) in world.jobs.iter().enumerate().take(self.size.jobs) {
            if job.read_pending {
                actions.push(Action::WriteCancel(j));
            } else if job.canceled.is_none() {
                actions.push(Action::Cancel(j));
            }
            if job.read_ended {
                actions.push(Action::WriteExpire(j));
            } else if job.kind == Kind::Running && (world.expiries > 0 || !is_worked_on(world, j)) {
                actions.push(Action::Expire(j));
            }
        }
        actions
    }

    fn finish(self, world: &mut World, job: usize, event: &Event) -> bool {
        let before = world.jobs[job];
        if self.plant == Plant::FinishUnfenced
            && let Event::Succeed { token } | Event::Fail { token, .. } = event
        {
            world.jobs[job].kind = Kind::Running;
            world.jobs[job].token = u8::try_from(token.0).unwrap();
        }
        let done = world.jobs[job].apply(event);
        world.broken |= before.is_final() && done;
        done
    }

    /// The end of an attempt that met a transient fault, as `worker::one_job` writes it down.
    fn put_off(self, world: &mut World, job: usize, token: Token) {
        let event = if world.jobs[job].attempt >= self.size.attempts {
            Event::Fail { token, fault: fault() }
        } else {
            Event::RetryLater { token, due: NOW }
        };
        self.finish(world, job, &event);
    }

    /// What comes of an action; `None` when it cannot be done.
    fn next(self, last: &World, action: Action) -> Option<World> {
        let mut world = *last;
        match action {
            Action::Claim(w, j) => self.claim(&mut world, w, j)?,
            Action::Fetch(w) => {
                let Worker::Claimed { job, token } = world.workers[w] else { return None };
                world.jobs[usize::from(job)].asked = true;
                world.workers[w] = Worker::Fetched { job, token };
            }
            Action::Publish(w) => {
                let Worker::Fetched { job, token } = world.workers[w] else { return None };
                world.jobs[usize::from(job)].objects |= 1 << token;
                world.workers[w] = Worker::Published { job, token };
            }
            Action::Fault(w) => {
                let Worker::Fetched { job, token } = world.workers[w] else { return None };
                self.put_off(&mut world, usize::from(job), name(token));
                world.workers[w] = Worker::Idle;
            }
            Action::Succeed(w) => {
                let Worker::Published { job, token } = world.workers[w] else { return None };
                let j = usize::from(job);
                if self.finish(&mut world, j, &Event::Succeed { token: name(token) }) {
                    world.jobs[j].medium = token;
                } else {
                    // Superseded: nobody will ever ask for this lease's object.
                    world.jobs[j].objects &= !(1 << token);
                }
                world.workers[w] = Worker::Idle;
            }
            Action::Stop(w) => {
                let (Worker::Claimed { job, token } | Worker::Fetched { job, token }) =
                    world.workers[w]
                else {
                    return None;
                };
                world.crashes -= 1;
                let event = Event::HandBack { token: name(token), due: NOW };
                world.jobs[usize::from(job)].apply(&event);
                world.workers[w] = Worker::Idle;
            }
            Action::Crash(w) => {
                world.crashes -= 1;
                world.workers[w] = Worker::Dead;
            }
            Action::Restart(w) => world.workers[w] = Worker::Idle,
            Action::Cancel(j) => self.cancel(&mut world.jobs[j]),
            Action::WriteCancel(j) => {
                let job = &mut world.jobs[j];
                world.broken |= job.is_final();
                (job.read_pending, job.kind, job.canceled) = (false, Kind::Canceled, Some(true));
            }
            Action::Expire(j) => {
                if is_worked_on(&world, j) {
                    world.expiries -= 1;
                }
                self.expire(&mut world.jobs[j])?;
            }
            Action::WriteExpire(j) => {
                let job = &mut world.jobs[j];
                world.broken |= job.is_final();
                (job.read_ended, job.kind) = (false, Kind::Waiting);
                (job.rescues, job.ended) = (job.rescues + 1, job.ended + 1);
            }
        }
        Some(self.one_of_the_like(world))
    }

    fn claim(self, world: &mut World, w: usize, j: usize) -> Option<()> {
        let token = world.jobs[j].token + 1;
        let event = Event::Claim { now: NOW, token: name(token), until: LATER };
        if !world.jobs[j].apply(&event) {
            return None;
        }
        world.workers[w] = Worker::Claimed { job: u8::try_from(j).unwrap(), token };
        if world.jobs[j].rescues > self.size.rescues {
            // It stopped its workers too often.
            self.finish(world, j, &Event::Fail { token: name(token), fault: fault() });
            world.workers[w] = Worker::Idle;
        }
        Some(())
    }

    fn cancel(self, job: &mut Job) {
        if self.plant == Plant::CancelReadsFirst && job.kind == Kind::Pending {
            job.read_pending = true;
        } else {
            job.canceled = Some(job.apply(&Event::Cancel));
        }
    }

    fn expire(self, job: &mut Job) -> Option<()> {
        if self.plant == Plant::RescueReadsFirst {
            job.read_ended = true;
            return Some(());
        }
        let rescues = job.rescues;
        if !job.apply(&Event::Expire { now: LATER }) {
            return None;
        }
        job.ended += 1;
        if self.plant == Plant::RescuesUncounted {
            job.rescues = rescues;
        }
        Some(())
    }

    /// The invariant of docs/testing.md that does not hold, if one does not.
    fn broken(self, world: &World) -> Option<&'static str> {
        if world.broken {
            return Some("4: a final state never changes");
        }
        for job in world.jobs.iter().take(self.size.jobs) {
            let (said, is_success) = (job.canceled == Some(true), job.kind == Kind::Succeeded);
            let rules = [
                (said && job.asked, "6: the source of a cancelled job is never asked"),
                (said && job.kind != Kind::Canceled, "8: of a cancel and a claim one wins"),
                (
                    is_success && job.objects & (1 << job.medium) == 0,
                    "10: a success has its object",
                ),
                (is_success && job.medium != job.token, "11: a success is of the lease in force"),
                (job.attempt > self.size.attempts, "12: attempts are bounded"),
                (job.rescues != job.ended, "12: each lease that is ended counts"),
                (job.rescues > self.size.rescues + 1, "12: rescues are bounded"),
            ];
            if let Some((_, rule)) = rules.into_iter().find(|(is_broken, _)| *is_broken) {
                return Some(rule);
            }
        }
        None
    }

    /// The same world with its workers in order, and its jobs, without what nobody can look at.
    fn one_of_the_like(self, mut world: World) -> World {
        for (j, job) in (0..).zip(&mut world.jobs) {
            let mut looked_at = 0;
            for worker in &world.workers {
                if let Worker::Published { job, token } = worker
                    && *job == j
                {
                    looked_at |= 1 << token;
                }
            }
            if job.kind == Kind::Succeeded {
                looked_at |= 1 << job.medium;
            }
            job.objects &= looked_at;
        }
        if self.size.jobs == MOST_JOBS && world.jobs[0] > world.jobs[1] {
            world.jobs.swap(0, 1);
            for worker in &mut world.workers {
                if let Worker::Claimed { job, .. }
                | Worker::Fetched { job, .. }
                | Worker::Published { job, .. } = worker
                {
                    *job = 1 - *job;
                }
            }
        }
        world.workers.sort_unstable();
        world
    }

    /// Grows with every step, so that every path ends.
    fn distance(self, world: &World) -> (u32, u32, u32, u32, u32) {
        let sum = |of: fn(&Job) -> u32| world.jobs.iter().map(of).sum();
        let stage = |worker: &Worker| match worker {
            Worker::Dead => 0,
            Worker::Claimed { .. } => 1,
            Worker::Fetched { .. } => 2,
            Worker::Published { .. } => 3,
            Worker::Idle => 4,
        };
        let spent = (self.size.crashes - world.crashes) + (self.size.expiries - world.expiries);
        (
            sum(|job| job.token.into()),
            sum(|job| job.rescues.into()),
            spent.into(),
            sum(|job| job.canceled.is_some().into()),
            world.workers.iter().map(stage).sum(),
        )
    }
}

/// Whether a live worker believes that it holds the lease in force.
fn is_worked_on(world: &World, j: usize) -> bool {
    world.workers.iter().any(|worker| match worker {
        Worker::Claimed { job, token }
        | Worker::Fetched { job, token }
        | Worker::Published { job, token } => {
            usize::from(*job) == j && *token == world.jobs[j].token
        }
        Worker::Idle | Worker::Dead => false,
    })
}

/// What a walk through all states came by.
#[derive(Debug, Default)]
struct Walk {
    states: usize,
    steps: usize,
    /// How often each action was done.
    actions: BTreeMap<&'static str, usize>,
    /// How often jobs ended so.
    ends: BTreeMap<Kind, usize>,
    poisoned: usize,
    /// The first invariant that was broken, by a shortest way.
    found: Option<(&'static str, Vec<Action>)>,
}

/// Walks through all states, the nearest first, or until an invariant is broken.
fn walk(model: Model) -> Walk {
    let start = model.start();
    let mut known: HashMap<World, usize> = HashMap::from([(start, 0)]);
    let mut states: Vec<(World, usize, Option<Action>)> = vec![(start, 0, None)];
    let mut walk = Walk::default();
    let mut at = 0;
    while at < states.len() {
        let world = states[at].0;
        let mut goes_on = false;
        for action in model.actions(&world) {
            let Some(next) = model.next(&world, action) else { continue };
            goes_on = true;
            walk.steps += 1;
            *walk.actions.entry(action.name()).or_default() += 1;
            if model.plant == Plant::None {
                let (here, there) = (model.distance(&world), model.distance(&next));
                assert!(there > here, "{action:?} leads back: {here:?}, {there:?}");
            }
            if let std::collections::hash_map::Entry::Vacant(place) = known.entry(next) {
                place.insert(states.len());
                states.push((next, at, Some(action)));
                if let Some(rule) = model.broken(&next) {
                    walk.found = Some((rule, path(&states)));
                    walk.states = states.len();
                    return walk;
                }
            }
        }
        if !goes_on {
            let jobs = &world.jobs[..model.size.jobs];
            if !jobs.iter().all(Job::is_final) {
                walk.found = Some(("3: every job comes to its end", path(&states[..=at])));
                break;
            }
            jobs.iter().for_each(|job| *walk.ends.entry(job.kind).or_default() += 1);
            let poisoned =
                |job: &&Job| job.kind == Kind::Failed && job.rescues > model.size.rescues;
            walk.poisoned += jobs.iter().filter(poisoned).count();
        }
        at += 1;
    }
    walk.states = states.len();
    walk
}

/// The way to the last of these states.
fn path(states: &[(World, usize, Option<Action>)]) -> Vec<Action> {
    let mut path = Vec::new();
    let mut at = states.len() - 1;
    while let (_, from, Some(action)) = states[at] {
        path.push(action);
        at = from;
    }
    path.reverse();
    path
}

#[test]
fn no_order_of_cancels_claims_rescues_and_crashes_breaks_an_invariant() {
    for size in [DEEP, WIDE] {
        let walk = walk(Model { size, plant: Plant::None });
        println!("{size:?}: {} states, {} steps", walk.states, walk.steps);
        assert!(walk.found.is_none(), "{:?}", walk.found);
        for action in
            ["claim", "fetch", "fault", "publish", "succeed", "stop", "crash", "cancel", "expire"]
        {
            assert!(walk.actions.contains_key(action), "nobody does {action}");
        }
        for kind in [Kind::Succeeded, Kind::Failed, Kind::Canceled] {
            assert!(walk.ends.contains_key(&kind), "no job ends {kind:?}");
        }
        assert!(walk.poisoned > 0, "no poisonous job fails");
        assert!(walk.states > 10_000, "{} states are no world", walk.states);
    }
}

#[test]
fn the_small_model_finds_what_is_planted_in_it() {
    for (plant, rules) in [
        (Plant::CancelReadsFirst, ["6:", "4:", "8:"].as_slice()),
        (Plant::RescueReadsFirst, &["4:"]),
        (Plant::FinishUnfenced, &["4:", "11:", "6:", "8:"]),
        (Plant::RescuesUncounted, &["12:"]),
    ] {
        let size = Size { jobs: 1, attempts: 2, rescues: 1, expiries: 2, crashes: 2 };
        let walk = walk(Model { size, plant });
        let (rule, path) = walk.found.unwrap_or_else(|| panic!("{plant:?} breaks nothing"));
        println!("{plant:?} breaks {rule:?}: {path:?}");
        assert!(rules.iter().any(|wanted| rule.starts_with(wanted)), "{plant:?} breaks {rule}");
    }
}
