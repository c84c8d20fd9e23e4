//! Every state of a small world: two jobs, two workers, one canceller, one rescuer, a crash for each
//! worker, leases that may end at any moment. The transition function is the product's own
//! `domain::job::apply`; what is modelled is who calls it when, and what they believe meanwhile.
//!
//! The simulation walks far through few of the orders in which things can happen; this walks
//! through all of them, in a world that is small enough.

use haulage::domain::fault::{FaultClass, JobFault};
use haulage::domain::job::{Event, Progress, State as JobState, StateKind, Token, apply};
use haulage::domain::time::Timestamp;
use stateright::{Checker, Model, Property};

const JOBS: usize = 2;
const WORKERS: usize = 2;
/// Attempts of a job, and leases of it that may end without a word, as `worker::one_job` counts.
const ATTEMPTS: u32 = 2;
const RESCUES: u32 = 2;
/// Leases that may be found to have ended, in all: they may end at any moment, also while their
/// workers live, so that every pause is covered.
const EXPIRIES: u8 = 4;

const NOW: Timestamp = Timestamp(1_000);
/// When leases end; the rescuer sees this time whenever it likes.
const LATER: Timestamp = Timestamp(2_000);

/// What a worker has in hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Worker {
    Idle,
    Claimed {
        job: usize,
        token: i64,
    },
    /// The source has been asked.
    Fetched {
        job: usize,
        token: i64,
    },
    /// The object lies in the store.
    Published {
        job: usize,
        token: i64,
    },
    Dead,
}

/// `Progress` as the checker needs it: equal states hash alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Job {
    kind: Kind,
    token: i64,
    attempt: u32,
    rescues: u32,
    /// Of the lease in force.
    held: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Pending,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Canceled,
}

impl Job {
    fn new() -> Self {
        Self { kind: Kind::Pending, token: 0, attempt: 0, rescues: 0, held: 0 }
    }

    fn is_final(&self) -> bool {
        matches!(self.kind, Kind::Succeeded | Kind::Failed | Kind::Canceled)
    }

    fn progress(&self) -> Progress {
        let state = match self.kind {
            Kind::Pending => JobState::Pending,
            Kind::Running => JobState::Running { token: Token(self.held), until: LATER },
            Kind::Waiting => JobState::Waiting { due: NOW },
            Kind::Succeeded => JobState::Succeeded,
            Kind::Failed => JobState::Failed(fault()),
            Kind::Canceled => JobState::Canceled,
        };
        let (attempt, rescues) = (self.attempt, self.rescues);
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
            (self.token, self.held) = (token.0, token.0);
        } else {
            self.held = 0;
        }
        (self.attempt, self.rescues) = (next.attempt, next.rescues);
        true
    }
}

fn fault() -> JobFault {
    JobFault::new(FaultClass::Stalled, "")
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    jobs: [Job; JOBS],
    workers: [Worker; WORKERS],
    crashes: [u8; WORKERS],
    expiries: u8,
    /// The canceller's answer for each job; `None` before it asked.
    canceled: [Option<bool>; JOBS],
    /// What a cancel that reads first has read (only with [`Plant::CancelReadsFirst`]).
    read_pending: [bool; JOBS],
    /// What the rescuer has seen run out of time (only with [`Plant::RescueReadsFirst`]).
    read_ended: [bool; JOBS],
    /// The sources that were ever asked for.
    asked: [bool; JOBS],
    /// The lease whose object the job's success names.
    medium: [i64; JOBS],
    /// Objects in the store, a bit for each token.
    objects: [u16; JOBS],
    /// Some final state changed, or a job succeeded twice.
    broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plant {
    None,
    CancelReadsFirst,
    RescueReadsFirst,
    FinishUnfenced,
}

struct Small(Plant);

impl Small {
    fn finish(&self, world: &mut World, job: usize, event: &Event) -> bool {
        let before = world.jobs[job].clone();
        let done = if self.0 == Plant::FinishUnfenced {
            world.jobs[job].kind = Kind::Running;
            if let Event::Succeed { token } | Event::Fail { token, .. } = event {
                world.jobs[job].held = token.0;
            }
            world.jobs[job].apply(event)
        } else {
            world.jobs[job].apply(event)
        };
        world.broken |= before.is_final() && done;
        done
    }

    /// The end of an attempt that met a transient fault, as `worker::one_job` writes it down.
    fn put_off(&self, world: &mut World, job: usize, token: i64) {
        let token = Token(token);
        let event = if world.jobs[job].attempt >= ATTEMPTS {
            Event::Fail { token, fault: fault() }
        } else {
            Event::RetryLater { token, due: NOW }
        };
        self.finish(world, job, &event);
    }
}

impl Model for Small {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            jobs: std::array::from_fn(|_| Job::new()),
            workers: [Worker::Idle; WORKERS],
            crashes: [1; WORKERS],
            expiries: EXPIRIES,
            canceled: [None; JOBS],
            read_pending: [false; JOBS],
            read_ended: [false; JOBS],
            asked: [false; JOBS],
            medium: [0; JOBS],
            objects: [0; JOBS],
            broken: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (w, worker) in world.workers.iter().enumerate() {
            match worker {
                Worker::Idle => {
                    actions.extend((0..JOBS).map(|job| Action::Claim(w, job)));
                }
                Worker::Claimed { .. } => {
                    actions.extend([Action::Fetch(w), Action::Stop(w)]);
                }
                Worker::Fetched { .. } => {
                    actions.extend([Action::Publish(w), Action::Fault(w), Action::Stop(w)]);
                }
                Worker::Published { .. } => actions.push(Action::Succeed(w)),
                Worker::Dead => actions.push(Action::Restart(w)),
            }
            if *worker != Worker::Dead && world.crashes[w] > 0 {
                actions.push(Action::Crash(w));
            }
        }
        for job in 0..JOBS {
            if world.canceled[job].is_none() && !world.read_pending[job] {
                actions.push(Action::Cancel(job));
            }
            if world.read_pending[job] {
                actions.push(Action::WriteCancel(job));
            }
            if world.jobs[job].kind == Kind::Running
                && !world.read_ended[job]
                && (world.expiries > 0 || !is_worked_on(world, job))
            {
                actions.push(Action::Expire(job));
            }
            if world.read_ended[job] {
                actions.push(Action::WriteExpire(job));
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut next = last.clone();
        let world = &mut next;
        match action {
            Action::Claim(w, job) => {
                let token = Token(world.jobs[job].token + 1);
                let event = Event::Claim { now: NOW, token, until: LATER };
                if !world.jobs[job].apply(&event) {
                    return None;
                }
                world.workers[w] = Worker::Claimed { job, token: token.0 };
                if world.jobs[job].rescues > RESCUES {
                    // It stopped its workers too often.
                    self.finish(world, job, &Event::Fail { token, fault: fault() });
                    world.workers[w] = Worker::Idle;
                }
            }
            Action::Fetch(w) => {
                let Worker::Claimed { job, token } = world.workers[w] else { return None };
                world.asked[job] = true;
                world.workers[w] = Worker::Fetched { job, token };
            }
            Action::Publish(w) => {
                let Worker::Fetched { job, token } = world.workers[w] else { return None };
                world.objects[job] |= 1 << token;
                world.workers[w] = Worker::Published { job, token };
            }
            Action::Fault(w) => {
                let Worker::Fetched { job, token } = world.workers[w] else { return None };
                self.put_off(world, job, token);
                world.workers[w] = Worker::Idle;
            }
            Action::Succeed(w) => {
                let Worker::Published { job, token } = world.workers[w] else { return None };
                if self.finish(world, job, &Event::Succeed { token: Token(token) }) {
                    world.medium[job] = token;
                } else {
                    // Superseded: nobody will ever ask for this lease's object.
                    world.objects[job] &= !(1 << token);
                }
                world.workers[w] = Worker::Idle;
            }
            Action::Stop(w) => {
                let (Worker::Claimed { job, token } | Worker::Fetched { job, token }) =
                    world.workers[w]
                else {
                    return None;
                };
                // A node is stopped once in this world, as it is killed once.
                if world.crashes[w] == 0 {
                    return None;
                }
                world.crashes[w] -= 1;
                world.jobs[job].apply(&Event::HandBack { token: Token(token), due: NOW });
                world.workers[w] = Worker::Idle;
            }
            Action::Crash(w) => {
                world.crashes[w] -= 1;
                world.workers[w] = Worker::Dead;
            }
            Action::Restart(w) => world.workers[w] = Worker::Idle,
            Action::Cancel(job) if self.0 == Plant::CancelReadsFirst => {
                world.read_pending[job] = world.jobs[job].kind == Kind::Pending;
                if !world.read_pending[job] {
                    world.canceled[job] = Some(false);
                }
            }
            Action::Cancel(job) => {
                world.canceled[job] = Some(world.jobs[job].apply(&Event::Cancel));
            }
            Action::WriteCancel(job) => {
                world.read_pending[job] = false;
                world.broken |= world.jobs[job].is_final();
                world.jobs[job].kind = Kind::Canceled;
                world.canceled[job] = Some(true);
            }
            Action::Expire(job) => {
                if is_worked_on(world, job) {
                    world.expiries -= 1;
                }
                if self.0 == Plant::RescueReadsFirst {
                    world.read_ended[job] = true;
                } else if !world.jobs[job].apply(&Event::Expire { now: LATER }) {
                    return None;
                }
            }
            Action::WriteExpire(job) => {
                world.read_ended[job] = false;
                world.broken |= world.jobs[job].is_final();
                world.jobs[job].kind = Kind::Waiting;
                world.jobs[job].rescues += 1;
                world.jobs[job].held = 0;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("4: a final state never changes", |_, world: &World| !world.broken),
            Property::always("6: a cancelled job's source is never asked", |_, world: &World| {
                (0..JOBS).all(|job| world.canceled[job] != Some(true) || !world.asked[job])
            }),
            Property::always("8: what was cancelled stays so", |_, world: &World| {
                (0..JOBS).all(|job| {
                    world.canceled[job] != Some(true) || world.jobs[job].kind == Kind::Canceled
                })
            }),
            Property::always("10: a success has its object", |_, world: &World| {
                (0..JOBS).all(|job| {
                    world.jobs[job].kind != Kind::Succeeded
                        || world.objects[job] & (1 << world.medium[job]) != 0
                })
            }),
            Property::always("11: a success is of the lease in force", |_, world: &World| {
                (0..JOBS).all(|job| {
                    world.jobs[job].kind != Kind::Succeeded
                        || world.medium[job] == world.jobs[job].token
                })
            }),
            Property::always("12: no more attempts than configured", |_, world: &World| {
                world.jobs.iter().all(|job| job.attempt <= ATTEMPTS)
            }),
            // Tokens, crashes, stops and expiries only grow or run out, so every path ends; that none
            // ends too early is liveness.
            Property::always(
                "3: where nothing can happen any more all jobs have ended",
                goes_on_or_is_done,
            ),
            Property::eventually("3: every job comes to its end", |_, world: &World| {
                world.jobs.iter().all(Job::is_final)
            }),
            Property::sometimes("a cancel wins", |_, world: &World| {
                world.canceled.contains(&Some(true))
            }),
            Property::sometimes("a claim wins", |_, world: &World| {
                world.canceled.contains(&Some(false))
            }),
            Property::sometimes("a poisonous job fails", |_, world: &World| {
                world.jobs.iter().any(|job| job.kind == Kind::Failed && job.rescues > RESCUES)
            }),
        ]
    }
}

fn goes_on_or_is_done(model: &Small, world: &World) -> bool {
    let mut actions = Vec::new();
    model.actions(world, &mut actions);
    let goes_on = actions.iter().any(|action| model.next_state(world, *action).is_some());
    goes_on || world.jobs.iter().all(Job::is_final)
}

/// Whether a live worker believes that it holds the lease in force.
fn is_worked_on(world: &World, job: usize) -> bool {
    let held = world.jobs[job].held;
    world.workers.iter().any(|worker| match worker {
        Worker::Claimed { job: j, token }
        | Worker::Fetched { job: j, token }
        | Worker::Published { job: j, token } => *j == job && *token == held,
        Worker::Idle | Worker::Dead => false,
    })
}

#[test]
fn no_order_of_cancels_claims_rescues_and_crashes_breaks_an_invariant() {
    let checker = Small(Plant::None).checker().threads(2).spawn_dfs().join();
    println!(
        "{} states, {} of them different",
        checker.state_count(),
        checker.unique_state_count()
    );
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000, "the world is not as small as that");
}

#[test]
fn the_small_model_finds_what_is_planted_in_it() {
    for (plant, property) in [
        (Plant::CancelReadsFirst, "6: a cancelled job's source is never asked"),
        (Plant::RescueReadsFirst, "4: a final state never changes"),
        (Plant::FinishUnfenced, "4: a final state never changes"),
    ] {
        let checker = Small(plant).checker().threads(2).spawn_bfs().join();
        let path = checker.discovery(property);
        assert!(path.is_some(), "{plant:?} breaks no invariant of {property:?}");
    }
}
