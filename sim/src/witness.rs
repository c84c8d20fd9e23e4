//! Watches every change of every job, at the moment of the change, and compares it with what the
//! pure state machine and the invariants allow. It knows jobs only by what it saw: no actor can
//! talk it into anything.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use haulage::blob::parse_object_key;
use haulage::domain::account::AccountId;
use haulage::domain::id::Key;
use haulage::domain::job::{Event, Job, Progress, State, StateKind, Token, apply};
use haulage::domain::priority::Priority;
use haulage::domain::source_url::HostId;
use haulage::domain::time::Timestamp;
use haulage::store::{Beat, ClaimRequest, Outcome, Store};
use tokio::time::Instant;

use crate::fair::Fair;
use crate::link::Side;
use crate::world::World;

/// What a verb was asked to do.
#[derive(Debug)]
pub enum Deed {
    Other,
    Submit,
    Claim(ClaimRequest),
    Beat(Vec<Beat>),
    HandBack(Key, Token),
    RetryLater(Key, Token),
    Halt(Key, Token),
    ReplaceUrl,
    Lapse,
    Finish(Key, Token, Outcome),
    Expire { everything: bool },
    Cancel,
}

impl Deed {
    fn name(&self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Submit => "submit",
            Self::Claim(_) => "claim",
            Self::Beat(_) => "beat",
            Self::HandBack(..) => "hand_back",
            Self::RetryLater(..) => "retry_later",
            Self::Halt(..) => "halt",
            Self::ReplaceUrl => "replace_url",
            Self::Lapse => "lapse",
            Self::Finish(..) => "finish",
            Self::Expire { .. } => "expire",
            Self::Cancel => "cancel",
        }
    }
}

/// A job as it was last seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In the order of acceptance, from 1: what the trace calls it.
    pub number: usize,
    pub account: AccountId,
    pub url: String,
    pub host: HostId,
    pub priority: Priority,
    pub created: Timestamp,
    /// No later than the time of acceptance by any clock.
    pub accepted: Instant,
    /// Processes that its node had had by then.
    pub boots: u64,
    pub progress: Progress,
    pub token: Token,
    pub finished: Option<Timestamp>,
    /// Before this moment nobody may take the lease away, by a clock that no fault steps.
    pub leased_until: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct Witness {
    pub jobs: BTreeMap<Key, Seen>,
    pub fair: Fair,
}

/// A URL without its query, which says for how long it is good and not what it leads to.
fn source_of(url: &str) -> &str {
    url.split_once('?').map_or(url, |(source, _)| source)
}

/// Whether a job's deadline is still to come. A lone node's clock counts from one start to the next; at
/// a start the wall clock does.
fn is_early(world: &World, side: &Side, before: &Seen, job: &Job) -> bool {
    if world.swarm.embedded {
        let restarted = world.nodes[side.node].boots() != before.boots;
        return !restarted && Instant::now() < before.accepted + world.swarm.deadline;
    }
    world.clock.now() < job.deadline
}

impl Witness {
    pub fn kind(&self, key: Key) -> Option<StateKind> {
        self.jobs.get(&key).map(|seen| seen.progress.state.kind())
    }

    /// Whether any job of this source has ever been in a worker's hands. (A replaced URL differs
    /// from the first in its query alone.)
    pub fn was_claimed(&self, source: &str) -> bool {
        self.jobs
            .values()
            .any(|seen| source_of(&seen.url) == source_of(source) && seen.token > Token(0))
    }

    /// Jobs of an account that wait for another URL.
    pub fn awaiting(&self, account: AccountId) -> Vec<(Key, String)> {
        let of_account = self.jobs.iter().filter(|(_, seen)| seen.account == account);
        let awaiting =
            of_account.filter(|(_, seen)| seen.progress.state.kind() == StateKind::AwaitingUrl);
        awaiting.map(|(key, seen)| (*key, seen.url.clone())).collect()
    }

    pub fn unfinished(&self) -> Vec<usize> {
        let open = self.jobs.values().filter(|seen| !seen.progress.state.kind().is_final());
        open.map(|seen| seen.number).collect()
    }

    /// Compares what is there now with what was there before.
    pub(crate) fn after(&mut self, world: &World, side: &Side, deed: &Deed, answered: bool) {
        if matches!(deed, Deed::Other) {
            return;
        }
        let mut changed: Vec<(Job, Token)> = Vec::new();
        let mut present = 0;
        world.memory.each_job(|job, token| {
            present += 1;
            let same = self.jobs.get(&job.key).is_some_and(|seen| {
                seen.progress == job.progress
                    && seen.token == token
                    && seen.finished == job.finished
            });
            if !same {
                changed.push((job.clone(), token));
            }
        });
        let fresh = changed.iter().filter(|(job, _)| !self.jobs.contains_key(&job.key)).count();
        if present != self.jobs.len() + fresh {
            let lost = self.jobs.len() + fresh - present;
            world.violate(1, format!("{lost} jobs are gone after {}", deed.name()));
        }
        if !answered && !changed.is_empty() {
            // Only what a plant leaves half-done comes here.
            let what = format!("{} failed and changed {} jobs", deed.name(), changed.len());
            world.trace.note(format_args!("{what}"));
        }
        // Judged by what there was before, and told after what is worse.
        let unfair = if let Deed::Claim(asked) = deed
            && answered
        {
            self.fair.judge(asked, side.now(asked.now), &self.jobs, &side.granted())
        } else {
            None
        };
        for (job, token) in changed {
            self.judge(world, side, deed, &job, token);
        }
        if let Some((invariant, what)) = unfair {
            world.violate(invariant, what);
        }
        if matches!(deed, Deed::Finish(..)) {
            self.judge_objects(world);
        }
    }

    /// Invariant 9: what lies in the object store is whole, at any moment.
    pub(crate) fn judge_objects(&self, world: &World) {
        for object_key in world.objects.keys() {
            let job = parse_object_key(&object_key).and_then(|(key, _)| self.jobs.get(&key));
            let digest = world.objects.digest(&object_key);
            if let (Some(seen), Some((_, sha256))) = (job, digest)
                && !world.origin.is_a_version(&seen.url, &sha256)
            {
                let what = format!("job {}: an object is visible and not whole", seen.number);
                world.violate(9, what);
            }
        }
    }

    fn judge(&mut self, world: &World, side: &Side, deed: &Deed, job: &Job, token: Token) {
        let node = &world.nodes[side.node];
        let Some(before) = self.jobs.get(&job.key).cloned() else {
            let number = self.jobs.len() + 1;
            world.trace.note(format_args!("{node} job {number} accepted: {}", job.url.expose()));
            if !matches!(deed, Deed::Submit) || job.progress != Progress::new() {
                world.violate(5, format!("job {number} appeared in {}", deed.name()));
            }
            self.jobs.insert(
                job.key,
                Seen {
                    number,
                    account: job.account,
                    url: job.url.expose().to_owned(),
                    host: HostId::of(&job.url.host()),
                    priority: job.request.priority,
                    created: job.created,
                    accepted: side.sent,
                    boots: node.boots(),
                    progress: job.progress.clone(),
                    token,
                    finished: job.finished,
                    leased_until: None,
                },
            );
            return;
        };
        let number = before.number;
        let (from, to) = (before.progress.state.kind(), job.progress.state.kind());
        if !(from == StateKind::Running && to == StateKind::Running) {
            world.trace.note(format_args!(
                "{node} job {number} {from:?} -> {to:?}, {}, token {}, attempt {}, rescues {}",
                deed.name(),
                token.0,
                job.progress.attempt,
                job.progress.rescues
            ));
        }
        world.cover(&format!("{from:?} {} {to:?}", deed.name()));
        if let Some((invariant, why)) = self.broken(world, side, deed, &before, job, token) {
            let what = format!(
                "job {number}: {why}: {:?} -> {:?} by {} of {node}",
                before.progress,
                job.progress,
                deed.name()
            );
            world.violate(invariant, what);
        }
        if let Deed::Finish(_, token, Outcome::Success { .. }) = deed
            && to == StateKind::Succeeded
        {
            self.judge_object(world, job, *token, number);
        }
        let leased_until = match (deed, to) {
            (Deed::Claim(asked), _) => Some(side.sent + asked.lease),
            (Deed::Beat(_), _) => Some(side.sent + world.swarm.lease),
            _ => None,
        };
        let seen = Seen {
            url: job.url.expose().to_owned(),
            host: HostId::of(&job.url.host()),
            progress: job.progress.clone(),
            token,
            finished: job.finished,
            leased_until,
            ..before
        };
        self.jobs.insert(job.key, seen);
    }

    /// The invariant that a change breaks, if any, and how.
    fn broken(
        &self,
        world: &World,
        side: &Side,
        deed: &Deed,
        before: &Seen,
        job: &Job,
        token: Token,
    ) -> Option<(u8, String)> {
        let (old, new) = (&before.progress, &job.progress);
        if old.state.kind().is_final() {
            return Some((4, "a final state changed".to_owned()));
        }
        // A poisonous job is failed at its next claim. That may itself be cut short, but not often.
        if new.rescues > 3 * world.swarm.rescues() {
            return Some((12, "rescued without end".to_owned()));
        }
        if new.attempt > world.swarm.attempts() {
            return Some((12, "more attempts than configured".to_owned()));
        }
        let event = match (deed, &new.state) {
            (Deed::Claim(asked), State::Running { token: held, until }) => {
                if *held != token || token <= before.token {
                    return Some((11, "a claim without a new token".to_owned()));
                }
                Event::Claim { now: side.now(asked.now), token, until: *until }
            }
            (Deed::Beat(beats), State::Running { until, .. }) => {
                let given = beats.iter().find(|beat| beat.key == job.key);
                let token = given.map_or(Token(-1), |beat| beat.token);
                Event::Beat { token, until: *until }
            }
            (Deed::HandBack(_, token), State::Waiting { due }) => {
                Event::HandBack { token: *token, due: *due }
            }
            (Deed::RetryLater(_, token), State::Waiting { due }) => {
                Event::RetryLater { token: *token, due: *due }
            }
            (Deed::Halt(_, token), State::AwaitingUrl { fault, until }) => {
                Event::Halt { token: *token, fault: fault.clone(), until: *until }
            }
            (Deed::ReplaceUrl, State::Waiting { due }) => Event::ReplaceUrl { now: *due },
            (Deed::Lapse, State::Failed(_)) => {
                if is_early(world, side, before, job) {
                    return Some((24, "it lapsed before its deadline".to_owned()));
                }
                Event::Lapse { now: job.deadline }
            }
            (Deed::Finish(_, token, _), State::Succeeded) => Event::Succeed { token: *token },
            (Deed::Finish(_, token, _), State::Failed(fault)) => {
                let early = is_early(world, side, before, job);
                if fault.message.contains("deadline passed") && early {
                    return Some((
                        24,
                        "the deadline was found to have passed, and has not".to_owned(),
                    ));
                }
                let broke = fault.message.contains("stopped its worker too often");
                if broke && old.rescues <= world.swarm.rescues() {
                    return Some((12, "given up before its rescues were used up".to_owned()));
                }
                Event::Fail { token: *token, fault: fault.clone() }
            }
            (Deed::Expire { everything }, State::Waiting { due }) => {
                let early = before.leased_until.is_some_and(|until| Instant::now() < until);
                if early && !everything {
                    return Some((24, "a lease was ended before its time".to_owned()));
                }
                let ended = match &old.state {
                    State::Running { until, .. } => *until,
                    _ => *due,
                };
                let expired = apply(old, &Event::Expire { now: ended.max(*due) });
                let expired = expired.map(|next| Progress { state: new.state.clone(), ..next });
                return (expired.as_ref() != Ok(new))
                    .then(|| (5, "not what an end of a lease does".to_owned()));
            }
            (Deed::Cancel, State::Canceled) => {
                if before.token > Token(0) {
                    return Some((6, "cancelled after it was claimed".to_owned()));
                }
                Event::Cancel
            }
            _ => return Some((5, "no listed transition".to_owned())),
        };
        match apply(old, &event) {
            Ok(next) if next == *new => None,
            Ok(_) => Some((12, "counted otherwise than the rules do".to_owned())),
            Err(_) => {
                let stale = matches!(
                    event,
                    Event::Beat { .. }
                        | Event::HandBack { .. }
                        | Event::RetryLater { .. }
                        | Event::Halt { .. }
                        | Event::Succeed { .. }
                        | Event::Fail { .. }
                );
                let (invariant, why) = match (&event, &old.state) {
                    (_, State::Running { .. }) if stale => (11, "written under a stale lease"),
                    (Event::Cancel, _) => (8, "cancelled though not pending"),
                    _ => (5, "refused by the rules, and done"),
                };
                Some((invariant, why.to_owned()))
            }
        }
    }

    /// What a success promises: its object is there, whole, one version's bytes, and of the lease
    /// that succeeded.
    fn judge_object(&self, world: &World, job: &Job, token: Token, number: usize) {
        let media = world.memory.media_objects(&[job.key]).now_or_never();
        let Some((_, object)) = media.and_then(Result::ok).and_then(|mut found| found.pop()) else {
            world.violate(10, format!("job {number} succeeded without a medium"));
            return;
        };
        if parse_object_key(&object.object_key) != Some((job.key, token)) {
            world.violate(11, format!("job {number}: its object is another lease's"));
        }
        match world.objects.digest(&object.object_key) {
            None => world.violate(10, format!("job {number} succeeded without an object")),
            Some((size, sha256)) => {
                let said = object.sha256.as_ref().unwrap_or(&sha256);
                if (size, &sha256) != (object.size, said) {
                    world.violate(10, format!("job {number}: the object is not what is recorded"));
                }
                if !world.origin.is_a_version(job.url.expose(), &sha256) {
                    world.violate(9, format!("job {number}: the bytes are no version's"));
                }
            }
        }
    }

    /// The object of a success is never deleted.
    pub(crate) fn judge_delete(&self, world: &World, object_key: &str) {
        let Some((key, token)) = parse_object_key(object_key) else { return };
        if let Some(seen) = self.jobs.get(&key)
            && seen.progress.state == State::Succeeded
            && seen.token == token
        {
            world.violate(10, format!("job {}: the object of a success was deleted", seen.number));
        }
    }
}
