//! One sequence of random calls on both backends: every answer must be the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::Disk;
use crate::domain::account::{AccessKey, AccountChange, AccountId, KeyStatus, Weight};
use crate::domain::id::Key;
use crate::domain::job::{Phase, StateKind, Token};
use crate::domain::priority::Priority;
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::store::conformance::bed::{
    Bed, at, failure, fault, new_job, referenced, refusal, retention, submission, success, url,
};
use crate::store::memory::MemoryStore;
use crate::store::{
    Beat, CancelBy, Claim, ClaimRequest, ConsoleSession, Counted, HostPlaces, MediaRef, NewJob,
    Nonce, NonceUse, PageRequest, Replacement, Retention, Session, Store, Submission, SubmitLimits,
};

/// A call; numbers stand for accounts, URLs and jobs, taken modulo what there is.
#[derive(Clone, Debug)]
enum Call {
    Submit {
        account: bool,
        urls: Vec<u8>,
        session: Option<(u8, u8)>,
        reference: Option<u8>,
        limits: (u8, u8),
    },
    Claim {
        slots: u8,
        per_account: u8,
        reserve: u8,
        per_host: u8,
    },
    Change {
        account: bool,
        weight: Option<u8>,
        paused: Option<bool>,
    },
    Places {
        jobs: Vec<u8>,
    },
    Beat {
        claim: u8,
        stale: bool,
        later: u16,
    },
    HandBack {
        claim: u8,
        later: u16,
    },
    RetryLater {
        claim: u8,
        later: u16,
    },
    Succeed {
        claim: u8,
    },
    Fail {
        claim: u8,
    },
    Expire {
        limit: u8,
        everything: bool,
    },
    Halt {
        claim: u8,
        kept: u16,
    },
    ReplaceUrl {
        account: bool,
        job: u8,
        url: u8,
        headers: bool,
    },
    Lapse {
        limit: u8,
        late: bool,
    },
    CancelKeys {
        account: bool,
        jobs: Vec<u8>,
    },
    CancelUrls {
        account: bool,
        urls: Vec<u8>,
    },
    Infos {
        account: bool,
        jobs: Vec<u8>,
        ago: u16,
    },
    InfosByUrl {
        account: bool,
        urls: Vec<u8>,
        ago: u16,
    },
    Page {
        account: Option<bool>,
        states: Vec<u8>,
        /// What else is filtered by; a bit for each.
        filters: u8,
        before: Option<u8>,
        limit: u8,
    },
    Attempts {
        jobs: Vec<u8>,
    },
    Tallies {
        account: Option<bool>,
        ago: u16,
    },
    Queues,
    OpenSession {
        n: u8,
        key: u8,
        window: u16,
    },
    FindSession {
        n: u8,
        close: bool,
    },
    Key {
        n: u8,
        delete: bool,
    },
    States {
        jobs: Vec<u8>,
    },
    Media {
        account: bool,
        job: u8,
        reference: Option<u8>,
    },
    Stats,
    Purge {
        ago: u16,
        batch: u8,
    },
    Nonce {
        value: u8,
        window: u16,
    },
    Pass {
        ms: u16,
    },
}

fn call() -> impl Strategy<Value = Call> {
    let few = || prop::collection::vec(any::<u8>(), 0..5);
    let (yes, byte, word) = (any::<bool>, any::<u8>, any::<u16>);
    let some = || prop::option::of(0u8..3);
    prop_oneof![
        4 => (yes(), few(), prop::option::of((0u8..2, 0u8..2)), some(), (0u8..20, 0u8..20))
            .prop_map(|(account, urls, session, reference, limits)| {
                Call::Submit { account, urls, session, reference, limits }
            }),
        4 => (0u8..6, 0u8..4, 0u8..3, 0u8..3)
            .prop_map(|(slots, per_account, reserve, per_host)| {
                Call::Claim { slots, per_account, reserve, per_host }
            }),
        1 => (yes(), prop::option::of(1u8..5), prop::option::of(prop::bool::weighted(0.3)))
            .prop_map(|(account, weight, paused)| Call::Change { account, weight, paused }),
        1 => few().prop_map(|jobs| Call::Places { jobs }),
        2 => (byte(), yes(), word())
            .prop_map(|(claim, stale, later)| Call::Beat { claim, stale, later }),
        2 => (byte(), word()).prop_map(|(claim, later)| Call::HandBack { claim, later }),
        2 => (byte(), word()).prop_map(|(claim, later)| Call::RetryLater { claim, later }),
        2 => byte().prop_map(|claim| Call::Succeed { claim }),
        2 => byte().prop_map(|claim| Call::Fail { claim }),
        2 => (0u8..4, prop::bool::weighted(0.2))
            .prop_map(|(limit, everything)| Call::Expire { limit, everything }),
        2 => (byte(), word()).prop_map(|(claim, kept)| Call::Halt { claim, kept }),
        2 => (prop::bool::weighted(0.8), byte(), byte(), yes())
            .prop_map(|(account, job, url, headers)| {
                Call::ReplaceUrl { account, job, url, headers }
            }),
        1 => (0u8..4, yes()).prop_map(|(limit, late)| Call::Lapse { limit, late }),
        2 => (yes(), few()).prop_map(|(account, jobs)| Call::CancelKeys { account, jobs }),
        2 => (yes(), few()).prop_map(|(account, urls)| Call::CancelUrls { account, urls }),
        1 => (yes(), few(), word())
            .prop_map(|(account, jobs, ago)| Call::Infos { account, jobs, ago }),
        1 => (yes(), few(), word())
            .prop_map(|(account, urls, ago)| Call::InfosByUrl { account, urls, ago }),
        2 => (prop::option::of(yes()), few(), byte(), prop::option::of(byte()), 0u8..5)
            .prop_map(|(account, states, filters, before, limit)| {
                Call::Page { account, states, filters, before, limit }
            }),
        1 => few().prop_map(|jobs| Call::Attempts { jobs }),
        1 => (prop::option::of(yes()), word())
            .prop_map(|(account, ago)| Call::Tallies { account, ago }),
        1 => Just(Call::Queues),
        1 => (0u8..4, 0u8..3, word())
            .prop_map(|(n, key, window)| Call::OpenSession { n, key, window }),
        1 => (0u8..4, prop::bool::weighted(0.3))
            .prop_map(|(n, close)| Call::FindSession { n, close }),
        1 => (0u8..3, prop::bool::weighted(0.3)).prop_map(|(n, delete)| Call::Key { n, delete }),
        1 => few().prop_map(|jobs| Call::States { jobs }),
        1 => (yes(), byte(), some())
            .prop_map(|(account, job, reference)| Call::Media { account, job, reference }),
        1 => Just(Call::Stats),
        1 => (word(), 0u8..5).prop_map(|(ago, batch)| Call::Purge { ago, batch }),
        1 => (0u8..5, word()).prop_map(|(value, window)| Call::Nonce { value, window }),
        3 => word().prop_map(|ms| Call::Pass { ms }),
    ]
}

/// A job whose number says its path, host and priority.
fn some_job(n: u8) -> NewJob {
    let mut job = new_job(&format!("{}", n % 4));
    if n.is_multiple_of(3) {
        job.url = SourceUrl::new(format!("http://other.example/{}", n % 4));
    }
    job.request.priority = Priority::ALL[usize::from(n / 16 % 3)];
    job
}

/// One backend with the claims it gave out.
struct Side {
    bed: Bed,
    claims: Vec<Claim>,
    keys: Vec<Key>,
    /// Milliseconds since the start.
    now: i64,
}

impl Side {
    async fn new(store: Arc<dyn Store>) -> Self {
        Self { bed: Bed::new(store).await, claims: Vec::new(), keys: Vec::new(), now: 0 }
    }

    fn account(&self, first: bool) -> AccountId {
        if first { self.bed.account } else { self.bed.other }
    }

    /// A job, or one that there never was.
    fn key(&self, n: u8) -> Key {
        self.keys.get(usize::from(n) % (self.keys.len() + 1)).copied().unwrap_or(Key(1))
    }

    fn keys(&self, numbers: &[u8]) -> Vec<Key> {
        numbers.iter().map(|n| self.key(*n)).collect()
    }

    fn take(&mut self, n: u8) -> Option<Claim> {
        let at = usize::from(n).checked_rem(self.claims.len())?;
        Some(self.claims.remove(at))
    }

    /// The places that the claims still held take.
    fn hosts(&self, per_host: usize) -> HostPlaces {
        let mut used = BTreeMap::new();
        for claim in &self.claims {
            *used.entry(HostId::of(&claim.job().url.host())).or_default() += 1;
        }
        HostPlaces { per_host, used }
    }

    fn submission(&self, call: &Call) -> Submission {
        let Call::Submit { account, urls, session, reference, limits } = call else {
            panic!("a submission")
        };
        let mut jobs: Vec<_> = urls.iter().map(|n| some_job(*n)).collect();
        jobs.extend(reference.map(|n| referenced("r", &format!("r{n}"))));
        Submission {
            session: session.map(|(id, print)| Session {
                id: format!("s{id}"),
                fingerprint: [print; 32],
                window: Duration::from_secs(60),
            }),
            limits: SubmitLimits {
                calls_per_day: u32::from(limits.0),
                pending: u64::from(limits.1),
            },
            ..submission(self.account(*account), jobs, at(self.now))
        }
    }

    /// Makes the call; the answer as text.
    async fn make(&mut self, call: &Call) -> String {
        let store = Arc::clone(&self.bed.store);
        let now = at(self.now);
        let later = |ms: u16| at(self.now + i64::from(ms));
        let ago = |ms: u16| at(self.now - i64::from(ms));
        let urls = |numbers: &[u8]| -> Vec<_> {
            numbers.iter().map(|n| url(&format!("{}", n % 5))).collect()
        };
        match call {
            Call::Submit { .. } => {
                let answer = store.job_submit(self.submission(call)).await.unwrap();
                if let crate::store::Submitted::Accepted(keys) = &answer {
                    self.keys.extend(keys);
                }
                format!("{answer:?}")
            }
            Call::Claim { slots, per_account, reserve, per_host } => {
                let request = ClaimRequest {
                    slots: usize::from(*slots),
                    spare: usize::from(*reserve / 2),
                    shares: Shares {
                        per_account: usize::from(*per_account),
                        reserve: usize::from(*reserve),
                    },
                    hosts: self.hosts(usize::from(*per_host)),
                    now,
                    lease: Duration::from_secs(30),
                };
                let claims = store.job_claim(request).await.unwrap();
                let text = format!("{claims:?}");
                self.claims.extend(claims);
                text
            }
            Call::Beat { claim, stale, later: by } => {
                let Some(at) = usize::from(*claim).checked_rem(self.claims.len()) else {
                    return String::new();
                };
                let beat = self.claims[at].beat(Phase::Downloading, u64::from(*by));
                let token = Token(beat.token.0 - i64::from(*stale));
                let beat = Beat { token, ..beat };
                format!("{:?}", store.job_beat(&[beat], later(*by)).await.unwrap())
            }
            Call::Change { account, weight, paused } => {
                let name = if *account { "first" } else { "second" };
                let weight = weight.and_then(Weight::new);
                let change = AccountChange { enabled: None, weight, paused: *paused };
                format!("{:?}", store.account_change(name, change).await.unwrap())
            }
            Call::Places { jobs } => {
                format!("{:?}", store.queue_places(&self.keys(jobs), now).await.unwrap())
            }
            Call::HandBack { claim, later: by } => {
                let due = later(*by);
                match self.take(*claim) {
                    Some(claim) => {
                        format!("{:?}", store.job_hand_back(claim, due, now).await.unwrap())
                    }
                    None => String::new(),
                }
            }
            Call::RetryLater { claim, later: by } => {
                let due = later(*by);
                match self.take(*claim) {
                    Some(claim) => {
                        format!(
                            "{:?}",
                            store.job_retry_later(claim, fault(), due, now).await.unwrap()
                        )
                    }
                    None => String::new(),
                }
            }
            Call::Succeed { claim } => match self.take(*claim) {
                Some(claim) => {
                    format!("{:?}", store.job_finish(claim, success(), now).await.unwrap())
                }
                None => String::new(),
            },
            Call::Fail { claim } => match self.take(*claim) {
                Some(claim) => {
                    format!("{:?}", store.job_finish(claim, failure(), now).await.unwrap())
                }
                None => String::new(),
            },
            Call::Expire { limit, everything } => {
                let limit = usize::from(*limit);
                format!("{:?}", store.job_expire(now, limit, *everything).await.unwrap())
            }
            Call::Halt { claim, kept } => match self.take(*claim) {
                Some(claim) => {
                    let kept = u64::from(*kept);
                    format!("{:?}", store.job_halt(claim, refusal(), kept, now).await.unwrap())
                }
                None => String::new(),
            },
            Call::ReplaceUrl { account, job, url: n, headers } => {
                let replacement = Replacement {
                    account: self.account(*account),
                    key: self.key(*job),
                    url: url(&format!("{}", n % 5)),
                    sealed_headers: headers.then(|| format!("h{n}")),
                };
                format!("{:?}", store.job_replace_url(replacement, now).await.unwrap())
            }
            Call::Lapse { limit, late } => {
                let then = if *late { at(self.now + 86_400_000) } else { now };
                format!("{:?}", store.job_lapse(then, usize::from(*limit)).await.unwrap())
            }
            Call::CancelKeys { account, jobs } => {
                let by = CancelBy::Keys(self.keys(jobs));
                let account = self.account(*account);
                format!("{:?}", store.job_cancel_pending(account, by, now).await.unwrap())
            }
            Call::CancelUrls { account, urls: numbers } => {
                let by = CancelBy::Urls(urls(numbers));
                let account = self.account(*account);
                format!("{:?}", store.job_cancel_pending(account, by, now).await.unwrap())
            }
            Call::Infos { account, jobs, ago: since } => {
                let (account, keys) = (self.account(*account), self.keys(jobs));
                format!("{:?}", store.job_infos_by_id(account, &keys, ago(*since)).await.unwrap())
            }
            Call::InfosByUrl { account, urls: numbers, ago: since } => {
                let account = self.account(*account);
                let urls = urls(numbers);
                format!("{:?}", store.job_infos_by_url(account, &urls, ago(*since)).await.unwrap())
            }
            Call::Page { account, states, filters, before, limit } => {
                let is_set = |bit: u8| filters & (1 << bit) != 0;
                let page = PageRequest {
                    account: account.map(|first| self.account(first)),
                    fault: (filters % 5 == 0).then(|| fault().class.code().to_owned()),
                    url_contains: is_set(1).then(|| format!("{}", filters % 4)),
                    since: is_set(2).then(|| ago(u16::from(*filters) * 100)),
                    until: is_set(3).then(|| ago(u16::from(*filters) * 30)),
                    states: states.iter().map(|n| StateKind::ALL[usize::from(n % 7)]).collect(),
                    before: before.map(|n| self.key(n)),
                    limit: usize::from(*limit),
                };
                format!("{:?}", store.job_page(page).await.unwrap())
            }
            Call::Attempts { jobs } => {
                format!("{:?}", store.job_attempts(&self.keys(jobs)).await.unwrap())
            }
            Call::Tallies { account, ago: since } => {
                let account = account.map(|first| self.account(first));
                format!("{:?}", store.tallies(account, ago(*since)).await.unwrap())
            }
            Call::Queues => format!("{:?}", store.queues().await.unwrap()),
            Call::OpenSession { n, key, window } => {
                let session = ConsoleSession {
                    hash: [*n; 32],
                    access_key_id: format!("K{key}"),
                    created: now,
                    expires: later(*window),
                };
                format!("{}", store.session_open(session).await.is_ok())
            }
            Call::FindSession { n, close } => {
                let found = store.session_find(&[*n; 32], now).await.unwrap();
                let closed = *close && store.session_close(&[*n; 32]).await.unwrap();
                format!("{found:?} {closed}")
            }
            Call::Key { n, delete } => {
                let id = format!("K{n}");
                if *delete {
                    return format!("{}", store.key_set_status(&id, None).await.unwrap());
                }
                let (account, status, created) = (self.bed.other, KeyStatus::Enabled, now);
                let key = AccessKey { id, account, sealed_secret: vec![*n], status, created };
                format!("{}", store.key_create(key).await.unwrap())
            }
            Call::States { jobs } => {
                format!("{:?}", store.job_states(&self.keys(jobs)).await.unwrap())
            }
            Call::Media { account, job, reference } => {
                let media = match reference {
                    Some(n) => MediaRef::ReferenceId(format!("r{n}")),
                    None => MediaRef::Key(self.key(*job)),
                };
                let found = store.media_find(self.account(*account), media).await.unwrap();
                format!("{found:?} {:?}", store.media_object(self.key(*job)).await.unwrap())
            }
            Call::Stats => format!("{:?}", store.stats().await.unwrap()),
            Call::Purge { ago: before, batch } => {
                let batch = usize::from(*batch);
                let retention = Retention { batch, ..retention(now, ago(*before)) };
                format!("{:?}", store.purge(retention).await.unwrap())
            }
            Call::Nonce { value, window } => {
                let value = format!("n{value}");
                let expires = later(*window);
                let nonce = Nonce { access_key_id: "K", value: &value, expires, now };
                let seen = store.nonce_seen(nonce).await.unwrap();
                let used = store.nonce_take(nonce).await.unwrap();
                let text = format!("{seen} {used:?}");
                if let NonceUse::Fresh(written) = used {
                    written.await.unwrap();
                }
                text
            }
            Call::Pass { ms } => {
                self.now += i64::from(*ms);
                String::new()
            }
        }
    }

    /// Everything that can be asked.
    async fn everything(&mut self) -> String {
        let mut out = String::new();
        for account in [true, false] {
            let account_too = Some(account);
            out += &self.make(&Call::Tallies { account: account_too, ago: u16::MAX }).await;
            for n in 0..3 {
                out += &self.make(&Call::Media { account, job: n, reference: Some(n) }).await;
            }
        }
        let (account, states, before) = (None, Vec::new(), None);
        out += &self.make(&Call::Page { account, states, filters: 1, before, limit: 255 }).await;
        let store = Arc::clone(&self.bed.store);
        out += &format!("{:?}", store.job_attempts(&self.keys).await.unwrap());
        out += &format!("{:?}", store.tallies(None, Timestamp(0)).await.unwrap());
        out += &self.make(&Call::Stats).await;
        out += &self.make(&Call::Queues).await;
        for n in 0..4 {
            out += &self.make(&Call::FindSession { n, close: false }).await;
        }
        for value in 0..5 {
            out += &self.make(&Call::Nonce { value, window: 1 }).await;
        }
        out
    }

    /// Jobs that were accepted and did not end by the tallies, and jobs in the queue. The length of
    /// the queue in the past is reckoned from that.
    async fn unfinished(&self) -> (u64, u64) {
        let (mut accepted, mut ended) = (0, 0);
        for tally in self.bed.store.tallies(None, Timestamp(0)).await.unwrap() {
            match tally.what {
                Counted::Accepted => accepted += tally.jobs,
                Counted::Succeeded | Counted::Failed(_) | Counted::Canceled => ended += tally.jobs,
                Counted::PutOff(_) => {}
            }
        }
        let queues = self.bed.store.queues().await.unwrap();
        let queued = queues
            .iter()
            .map(|queue| queue.pending + queue.running + queue.waiting + queue.awaiting);
        (accepted - ended, queued.sum())
    }
}

#[test]
fn the_durable_store_answers_as_the_one_in_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let config = Config {
        cases: 60,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_170_321),
        max_shrink_iters: 300,
        ..Config::default()
    };
    let sequence = prop::collection::vec(call(), 1..120);
    let outcome = TestRunner::new(config).run(&sequence, |calls| {
        runtime.block_on(async {
            let disk = Disk::new();
            let store = disk.open().await;
            let mut model = Side::new(Arc::new(MemoryStore::new())).await;
            let mut suspect = Side::new(store).await;
            for (i, call) in calls.iter().enumerate() {
                let (expected, given) = (model.make(call).await, suspect.make(call).await);
                prop_assert_eq!(expected, given, "call {}: {:?}", i, call);
            }
            suspect.bed.store.close().await.unwrap();
            suspect.bed.store = disk.open().await;
            let (expected, given) = (model.everything().await, suspect.everything().await);
            prop_assert_eq!(expected, given, "after reopening");
            // A purge forgets old tallies.
            if !calls.iter().any(|call| matches!(call, Call::Purge { .. })) {
                let (counted, queued) = suspect.unfinished().await;
                prop_assert_eq!(counted, queued, "tallies and queues");
            }
            Ok(())
        })
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}
