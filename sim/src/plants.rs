//! Planted bugs: verbs of the store as they are written when one does not think of everything. Each
//! of them must be found by the checkers within a stated number of seeds (`tests/simulation.rs`).

use std::sync::Arc;

use haulage::domain::account::{Account, AccountChange, AccountId, Weight};
use haulage::domain::id::Key;
use haulage::domain::job::{State, StateKind};
use haulage::domain::priority::Priority;
use haulage::domain::source_url::HostId;
use haulage::domain::time::Timestamp;
use haulage::store::{
    Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, Finish, Nonce, Outcome, Store, StoreError,
    StoreResult, Submission, Submitted,
};

use crate::link::{Link, Side};
use crate::world::World;

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
    /// B15 for a lone node: leases, pauses and deadlines go by the wall clock.
    LoneNodeGoesByTheWallClock,
    /// More jobs are handed out than slots are free.
    SlotsAreNotCounted,
    /// Places at hosts are not looked at.
    HostsAreNotCounted,
    /// An account's jobs go by age alone.
    PriorityIsIgnored,
    /// Accounts take turns as if they all weighed the same.
    WeightsAreIgnored,
    /// The first account's jobs go first.
    OneAccountGoesFirst,
    /// A paused queue goes on.
    PausedQueuesStart,
}

impl Plant {
    pub const ALL: [Self; 20] = [
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
        Self::LoneNodeGoesByTheWallClock,
        Self::SlotsAreNotCounted,
        Self::HostsAreNotCounted,
        Self::PriorityIsIgnored,
        Self::WeightsAreIgnored,
        Self::OneAccountGoesFirst,
        Self::PausedQueuesStart,
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

impl World {
    /// Whether this bug is planted.
    pub(crate) fn has(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }
}

/// The key under which a nonce is remembered.
pub(crate) fn nonce_owner(link: &Link, nonce: &Nonce<'_>) -> String {
    if link.world.has(Plant::NonceOfEachNode) {
        format!("{}@{}", nonce.access_key_id, link.node)
    } else {
        nonce.access_key_id.to_owned()
    }
}

pub(crate) async fn submit(side: &Arc<Side>, mut submission: Submission) -> StoreResult<Submitted> {
    let world = &side.world;
    if world.has(Plant::AcknowledgedAndLost) && world.chance().is(0.1) {
        let first = Key::first_at(submission.now).0;
        let keys = submission.jobs.iter().zip(first..).map(|(_, key)| Key(key));
        return Ok(Submitted::Accepted(keys.collect()));
    }
    if world.has(Plant::HalfASubmission)
        && submission.jobs.len() > 1
        && submission.session.is_none()
    {
        let half = submission.jobs.len() / 2;
        submission.jobs.truncate(half);
        world.memory.job_submit(submission).await?;
        return Err(StoreError::Engine("half-way".to_owned()));
    }
    world.memory.job_submit(submission).await
}

pub(crate) fn before_claim(link: &Link) -> Known {
    if !link.world.has(Plant::ClaimWithoutState) {
        return Vec::new();
    }
    in_state(link, |state| matches!(state, State::Pending | State::Waiting { .. }))
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
    let claims = hand_out(&side.world, request).await?;
    side.grant(&claims);
    Ok(claims)
}

/// The claim itself, or one that forgets something.
async fn hand_out(world: &World, mut request: ClaimRequest) -> StoreResult<Vec<Claim>> {
    let memory = &world.memory;
    if world.has(Plant::SlotsAreNotCounted) {
        request.slots += 2;
    }
    if world.has(Plant::HostsAreNotCounted) {
        request.hosts.per_host = 0;
    }
    if world.has(Plant::PriorityIsIgnored) {
        return by_age_alone(world, request).await;
    }
    if world.has(Plant::OneAccountGoesFirst) {
        return one_by_one(world, request).await;
    }
    if !world.has(Plant::WeightsAreIgnored) && !world.has(Plant::PausedQueuesStart) {
        return memory.job_claim(request).await;
    }
    let accounts = memory.account_list().await?;
    for account in &accounts {
        let change = if world.has(Plant::WeightsAreIgnored) {
            AccountChange::weight(Weight::default())
        } else {
            AccountChange::paused(false)
        };
        memory.account_change(&account.name, change).await?;
    }
    let claims = memory.job_claim(request).await;
    for account in &accounts {
        put_back(world, account).await?;
    }
    claims
}

async fn put_back(world: &World, account: &Account) -> StoreResult<()> {
    let (weight, paused) = (Some(account.weight), Some(account.paused));
    let change = AccountChange { weight, paused, enabled: None };
    world.memory.account_change(&account.name, change).await.map(drop)
}

async fn by_age_alone(world: &World, request: ClaimRequest) -> StoreResult<Vec<Claim>> {
    let mut priorities = Vec::new();
    world.memory.each_job(|job, _| priorities.push((job.key, job.request.priority)));
    for (key, _) in &priorities {
        world.memory.tamper(*key, |job| job.request.priority = Priority::Normal);
    }
    let claims = world.memory.job_claim(request).await;
    for (key, priority) in priorities {
        world.memory.tamper(key, |job| job.request.priority = priority);
    }
    claims
}

async fn one_by_one(world: &World, mut request: ClaimRequest) -> StoreResult<Vec<Claim>> {
    let accounts = world.memory.account_list().await?;
    let mut claims = Vec::new();
    for goes in accounts.iter().filter(|account| !account.paused) {
        for other in accounts.iter().filter(|other| other.id != goes.id) {
            world.memory.account_change(&other.name, AccountChange::paused(true)).await?;
        }
        let got = world.memory.job_claim(request.clone()).await?;
        request.slots -= got.len();
        for claim in &got {
            *request.hosts.used.entry(HostId::of(&claim.job().url.host())).or_default() += 1;
        }
        claims.extend(got);
        for account in &accounts {
            put_back(world, account).await?;
        }
    }
    Ok(claims)
}

pub(crate) async fn beat(
    side: &Arc<Side>,
    beats: &[Beat],
    until: Timestamp,
) -> StoreResult<Vec<Beat>> {
    let memory = &side.world.memory;
    let refused = memory.job_beat(beats, until).await?;
    if !side.world.has(Plant::BeatWithoutToken) {
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
    due: Timestamp,
    now: Timestamp,
) -> StoreResult<Finish> {
    let key = claim.job().key;
    let finish = side.world.memory.job_hand_back(claim, due, now).await?;
    if side.world.has(Plant::StopIsCharged) && finish == Finish::Recorded {
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
    if side.world.has(Plant::FinishWithoutGeneration) {
        let token = claim.token();
        memory.tamper(claim.job().key, |job| {
            job.progress.state = State::Running { token, until: now };
        });
    }
    memory.job_finish(claim, outcome, now).await
}

pub(crate) fn before_expire(link: &Link, now: Timestamp) -> Known {
    if !link.world.has(Plant::RescueWritesByIdOnly) {
        return Vec::new();
    }
    let now = if link.world.swarm.embedded { now } else { link.world.clock.now() };
    in_state(link, |state| matches!(state, State::Running { until, .. } if *until <= now))
}

pub(crate) async fn expire(
    side: &Arc<Side>,
    known: Known,
    told: Timestamp,
    limit: usize,
    everything: bool,
) -> StoreResult<usize> {
    let (world, memory) = (&side.world, &side.world.memory);
    let now = side.now(told);
    if world.has(Plant::RescueWritesByIdOnly) && !everything {
        for key in &known {
            memory.tamper(*key, |job| {
                job.progress.state = State::Waiting { due: now };
                job.progress.attempt = job.progress.attempt.saturating_sub(1);
                job.progress.rescues += 1;
            });
        }
        // A batch that does not shrink would be asked for again and again.
        return Ok(0);
    }
    if world.has(Plant::RescueByLocalClock) {
        return memory.job_expire(told, limit, everything).await;
    }
    if !world.has(Plant::RescuesAreNotCounted) {
        return memory.job_expire(now, limit, everything).await;
    }
    let mut before = Vec::new();
    memory.each_job(|job, _| before.push((job.key, job.progress.rescues)));
    let ended = memory.job_expire(now, limit, everything).await?;
    for (key, rescues) in before {
        memory.tamper(key, |job| job.progress.rescues = rescues);
    }
    Ok(ended)
}

pub(crate) fn before_cancel(link: &Link) -> Known {
    if !link.world.has(Plant::CancelReadsThenWrites) {
        return Vec::new();
    }
    in_state(link, |state| *state == State::Pending)
}

pub(crate) async fn cancel(
    side: &Arc<Side>,
    known: Known,
    account: AccountId,
    by: CancelBy,
    now: Timestamp,
) -> StoreResult<Vec<CancelVerdict>> {
    if side.world.has(Plant::CancelReadsThenWrites)
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
