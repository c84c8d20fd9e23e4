//! Planted bugs: verbs of the store as they are written when one does not think of everything. Each
//! of them must be found by the checkers within a stated number of seeds (`tests/plants.rs`).

use std::sync::Arc;

use haulage::domain::account::AccountId;
use haulage::domain::id::Key;
use haulage::domain::job::{State, StateKind};
use haulage::domain::time::Timestamp;
use haulage::store::{
    Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, Finish, Nonce, Outcome, Store, StoreResult,
    Submission, Submitted,
};

use crate::link::{Link, Side};

/// A planted bug; the numbers B… are those of `docs/testing.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// B1: the rescue reads which leases have ended, and then writes by id alone.
    RescueWritesByIdOnly,
    /// B2: a worker's last word is taken whatever lease is in force.
    FinishWithoutGeneration,
    /// B3: a cancel reads the state, and then writes.
    CancelReadsThenWrites,
    /// B4: a claim chooses, and then writes without looking at the state again.
    ClaimWithoutState,
    /// B10 for several nodes: each remembers the nonces that it saw itself.
    NonceOfEachNode,
    /// B15: the rescue goes by the clock of its node.
    RescueByLocalClock,
    /// A beat prolongs the lease of a job whoever has it.
    BeatWithoutToken,
    /// Our own stop is charged as an attempt.
    StopIsCharged,
    /// A submission is acknowledged and lost.
    AcknowledgedAndLost,
    /// Half of a submission is stored.
    HalfASubmission,
    /// Objects become visible while they are written.
    ObjectsGrowVisibly,
    /// Publishing says yes before anything is stored.
    PublishedBeforeStored,
    /// A lease that ends is no rescue: a poisonous job goes round for ever.
    RescuesAreNotCounted,
    /// Every account but the first waits until the first has nothing left.
    FirstAccountFirst,
}

impl Plant {
    pub const ALL: [Self; 14] = [
        Self::RescueWritesByIdOnly,
        Self::FinishWithoutGeneration,
        Self::CancelReadsThenWrites,
        Self::ClaimWithoutState,
        Self::NonceOfEachNode,
        Self::RescueByLocalClock,
        Self::BeatWithoutToken,
        Self::StopIsCharged,
        Self::AcknowledgedAndLost,
        Self::HalfASubmission,
        Self::ObjectsGrowVisibly,
        Self::PublishedBeforeStored,
        Self::RescuesAreNotCounted,
        Self::FirstAccountFirst,
    ];
}

/// Jobs as they were when a verb was sent.
pub(crate) type Known = Vec<Key>;

fn in_state(link: &Link, wanted: impl Fn(&State) -> bool) -> Known {
    let mut keys = Vec::new();
    link.world.memory.each_job(|job, _| {
        if wanted(&job.progress.state) {
            keys.push(job.key);
        }
    });
    keys
}

fn kind_of(side: &Side, key: Key) -> Option<StateKind> {
    let mut kind = None;
    side.world.memory.each_job(|job, _| {
        if job.key == key {
            kind = Some(job.progress.state.kind());
        }
    });
    kind
}

/// The key under which a nonce is remembered.
pub(crate) fn nonce_owner(link: &Link, nonce: &Nonce<'_>) -> String {
    match link.world.plant {
        Some(Plant::NonceOfEachNode) => format!("{}@{}", nonce.access_key_id, link.node),
        _ => nonce.access_key_id.to_owned(),
    }
}

pub(crate) async fn submit(side: &Arc<Side>, mut submission: Submission) -> StoreResult<Submitted> {
    let memory = &side.world.memory;
    match side.world.plant {
        Some(Plant::AcknowledgedAndLost) if side.world.chance().is(0.1) => {
            let last = Key::first_at(submission.now);
            let keys = (0..submission.jobs.len()).map(|n| Key(last.0 + n as i64));
            Ok(Submitted::Accepted(keys.collect()))
        }
        Some(Plant::HalfASubmission)
            if submission.jobs.len() > 1 && submission.session.is_none() =>
        {
            let half = submission.jobs.len() / 2;
            submission.jobs.truncate(half);
            memory.job_submit(submission).await?;
            Err(haulage::store::StoreError::Engine("half-way".to_owned()))
        }
        _ => memory.job_submit(submission).await,
    }
}

pub(crate) fn before_claim(link: &Link) -> Known {
    match link.world.plant {
        Some(Plant::ClaimWithoutState) => {
            in_state(link, |state| matches!(state, State::Pending | State::Waiting { .. }))
        }
        _ => Vec::new(),
    }
}

pub(crate) async fn claim(
    side: &Arc<Side>,
    known: Known,
    request: ClaimRequest,
) -> StoreResult<Vec<Claim>> {
    let memory = &side.world.memory;
    for key in known {
        if kind_of(side, key).is_some_and(|kind| kind != StateKind::Pending) {
            memory.tamper(key, |job| job.progress.state = State::Waiting { due: request.now });
        }
    }
    if side.world.plant == Some(Plant::FirstAccountFirst) {
        let (mut ready, mut first) = (Vec::new(), false);
        memory.each_job(|job, _| {
            if matches!(job.progress.state, State::Pending) {
                first |= job.account == AccountId(1);
                if job.account != AccountId(1) {
                    ready.push(job.key);
                }
            }
        });
        if first {
            let later = |key: &Key| {
                memory.tamper(*key, |job| job.progress.state = State::Succeeded);
            };
            ready.iter().for_each(later);
            let claims = memory.job_claim(request).await;
            for key in &ready {
                memory.tamper(*key, |job| job.progress.state = State::Pending);
            }
            return claims;
        }
    }
    memory.job_claim(request).await
}

pub(crate) async fn beat(
    side: &Arc<Side>,
    beats: &[Beat],
    until: Timestamp,
) -> StoreResult<Vec<Beat>> {
    let memory = &side.world.memory;
    let refused = memory.job_beat(beats, until).await?;
    if side.world.plant != Some(Plant::BeatWithoutToken) {
        return Ok(refused);
    }
    for beat in refused {
        memory.tamper(beat.key, |job| {
            if let State::Running { until: lease, .. } = &mut job.progress.state {
                *lease = until;
            }
        });
    }
    Ok(Vec::new())
}

pub(crate) async fn hand_back(
    side: &Arc<Side>,
    claim: Claim,
    now: Timestamp,
) -> StoreResult<Finish> {
    let key = claim.job().key;
    let finish = side.world.memory.job_hand_back(claim, now).await?;
    if side.world.plant == Some(Plant::StopIsCharged) && finish == Finish::Recorded {
        side.world.memory.tamper(key, |job| job.progress.attempt += 1);
    }
    Ok(finish)
}

pub(crate) async fn finish(
    side: &Arc<Side>,
    claim: Claim,
    outcome: Outcome,
    now: Timestamp,
) -> StoreResult<Finish> {
    let memory = &side.world.memory;
    if side.world.plant == Some(Plant::FinishWithoutGeneration) {
        let token = claim.token();
        memory.tamper(claim.job().key, |job| {
            job.progress.state = State::Running { token, until: now };
        });
    }
    memory.job_finish(claim, outcome, now).await
}

pub(crate) fn before_expire(link: &Link, now: Timestamp) -> Known {
    match link.world.plant {
        Some(Plant::RescueWritesByIdOnly) => {
            let now = if link.world.swarm.embedded { now } else { link.world.clock.now() };
            in_state(link, |state| matches!(state, State::Running { until, .. } if *until <= now))
        }
        _ => Vec::new(),
    }
}

pub(crate) async fn expire(
    side: &Arc<Side>,
    known: Known,
    told: Timestamp,
    limit: usize,
    everything: bool,
) -> StoreResult<usize> {
    let memory = &side.world.memory;
    let now = side.now(told);
    match side.world.plant {
        Some(Plant::RescueWritesByIdOnly) if !everything => {
            for key in &known {
                memory.tamper(*key, |job| {
                    job.progress.state = State::Waiting { due: now };
                    job.progress.attempt = job.progress.attempt.saturating_sub(1);
                    job.progress.rescues += 1;
                });
            }
            // A batch that does not shrink would be asked for again and again.
            Ok(0)
        }
        Some(Plant::RescueByLocalClock) => memory.job_expire(told, limit, everything).await,
        Some(Plant::RescuesAreNotCounted) => {
            let mut before = Vec::new();
            memory.each_job(|job, _| before.push((job.key, job.progress.rescues)));
            let ended = memory.job_expire(now, limit, everything).await?;
            for (key, rescues) in before {
                memory.tamper(key, |job| job.progress.rescues = rescues);
            }
            Ok(ended)
        }
        _ => memory.job_expire(now, limit, everything).await,
    }
}

pub(crate) fn before_cancel(link: &Link) -> Known {
    match link.world.plant {
        Some(Plant::CancelReadsThenWrites) => {
            in_state(link, |state| matches!(state, State::Pending))
        }
        _ => Vec::new(),
    }
}

pub(crate) async fn cancel(
    side: &Arc<Side>,
    known: Known,
    account: AccountId,
    by: CancelBy,
    now: Timestamp,
) -> StoreResult<Vec<CancelVerdict>> {
    if side.world.plant == Some(Plant::CancelReadsThenWrites)
        && let CancelBy::Keys(asked) = &by
    {
        for key in asked.iter().filter(|key| known.contains(key)) {
            side.world.memory.tamper(*key, |job| {
                if job.account == account {
                    job.progress.state = State::Pending;
                }
            });
        }
    }
    side.world.memory.job_cancel_pending(account, by, now).await
}
