//! Racers that start behind one barrier: of two that exclude each other, one wins.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use super::bed::{Bed, LEASE, at, referenced, submission, success, url};
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::time::Timestamp;
use crate::run::tasks::Tasks;
use crate::store::{CancelBy, CancelVerdict, Finish, MediaRef, Replaced, Store, Submitted};

/// Rounds of each race.
const ROUNDS: usize = 60;

struct Race {
    tasks: Tasks,
    start: Arc<Barrier>,
}

impl Race {
    fn of(racers: usize) -> Self {
        Self { tasks: Tasks::new(), start: Arc::new(Barrier::new(racers)) }
    }

    fn racer<F>(&self, run: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let start = Arc::clone(&self.start);
        self.tasks.spawn("racer", async move {
            start.wait().await;
            run.await
        })
    }
}

async fn end<T>(racer: JoinHandle<Option<T>>) -> T {
    racer.await.unwrap().expect("a racer does not panic")
}

/// The keys that a cancel says it cancelled.
async fn cancelled(bed: Bed, by: CancelBy) -> Vec<Key> {
    let verdicts = bed.store.job_cancel_pending(bed.account, by, at(1)).await.unwrap();
    let won = verdicts.into_iter().filter_map(|verdict| match verdict {
        CancelVerdict::Canceled(keys) => Some(keys),
        CancelVerdict::NotPending(..) | CancelVerdict::NotExist => None,
    });
    won.flatten().collect()
}

pub(super) async fn a_claim_and_a_cancel_never_both_win(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let (mut by_claim, mut by_cancel) = (0, 0);
    for round in 0..ROUNDS {
        let keys = bed.submit(bed.account, &["race"; 6], at(0)).await;
        let race = Race::of(6);
        // By id from the front, where the claims are, and by URL everything.
        let half: Vec<Key> = keys.iter().take(3).copied().collect();
        let start_claims = || {
            let claim = |bed: Bed| async move { bed.claim(1, at(1)).await };
            [(); 3].map(|()| race.racer(claim(bed.clone())))
        };
        let start_cancels = || {
            let urls = CancelBy::Urls(vec![url("race")]);
            [CancelBy::Keys(half.clone()), CancelBy::Keys(half.clone()), urls]
                .map(|by| race.racer(cancelled(bed.clone(), by)))
        };
        // Whoever comes to the barrier last leaves it first, so the sides take turns at that.
        let (claims, cancels) = if round % 2 == 0 {
            let claims = start_claims();
            (claims, start_cancels())
        } else {
            let cancels = start_cancels();
            (start_claims(), cancels)
        };
        let mut won: Vec<Key> = Vec::new();
        for cancel in cancels {
            won.extend(end(cancel).await);
        }
        by_cancel += won.len();
        let mut claimed = Vec::new();
        for claim in claims {
            claimed.extend(end(claim).await);
        }
        by_claim += claimed.len();
        won.extend(claimed.iter().map(|claim| claim.job().key));
        won.sort_unstable();
        assert_eq!(won, keys, "round {round}: each job has exactly one winner");
        for claim in claimed {
            assert_eq!(bed.kind(claim.job().key).await, StateKind::Running);
            bed.finish(claim, success(), at(2)).await;
        }
    }
    assert!(by_claim > 0 && by_cancel > 0, "{by_claim} {by_cancel}: no race took place");
}

pub(super) async fn another_url_and_the_deadline_never_both_win(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let (mut renewals, mut lapses) = (0, 0);
    for round in 0..ROUNDS {
        let key = bed.one(at(0)).await;
        let claim = bed.claim_one(at(0)).await;
        let deadline = claim.job().deadline;
        bed.halt(claim, 1, at(0)).await;
        let race = Race::of(3);
        // Each reads its own clock: one just before the deadline, one at it.
        let replace =
            |bed: Bed| async move { bed.replace(key, "b", Timestamp(deadline.0 - 1)).await };
        let lapse = |bed: Bed| async move { bed.store.job_lapse(deadline, 9).await.unwrap() };
        let (first, second, lapsed) = if round % 2 == 0 {
            let urls = [(); 2].map(|()| race.racer(replace(bed.clone())));
            let lapsed = race.racer(lapse(bed.clone()));
            let [first, second] = urls;
            (end(first).await, end(second).await, end(lapsed).await)
        } else {
            let lapsed = race.racer(lapse(bed.clone()));
            let [first, second] = [(); 2].map(|()| race.racer(replace(bed.clone())));
            (end(first).await, end(second).await, end(lapsed).await)
        };
        let kind = bed.kind(key).await;
        match lapsed {
            0 => {
                assert_eq!(kind, StateKind::Waiting, "round {round}");
                let both = [first, second];
                assert!(both.contains(&Replaced::Renewed), "round {round}: {both:?}");
                assert!(both.contains(&Replaced::Repeated), "round {round}: {both:?}");
                renewals += 1;
            }
            1 => {
                assert_eq!(kind, StateKind::Failed, "round {round}");
                assert_eq!([first, second], [Replaced::NotAwaiting(StateKind::Failed); 2]);
                lapses += 1;
            }
            other => panic!("round {round}: {other} lapses"),
        }
        bed.drain(at(1)).await;
    }
    assert!(renewals + lapses == ROUNDS, "{renewals} {lapses}");
}

pub(super) async fn an_expiry_and_a_finish_never_both_win(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    for round in 0..ROUNDS {
        let key = bed.one(at(0)).await;
        let claim = bed.claim_one(at(0)).await;
        let race = Race::of(2);
        let store = Arc::clone(&bed.store);
        let finish = race.racer(async move { store.job_finish(claim, success(), at(1)).await });
        let store = Arc::clone(&bed.store);
        let expire = race.racer(async move { store.job_expire(at(1) + LEASE, 9, false).await });
        let (finished, expired) = (end(finish).await.unwrap(), end(expire).await.unwrap());
        let stored = bed.store.media_object(key).await.unwrap().is_some();
        match (finished, expired) {
            (Finish::Recorded, 0) => {
                assert_eq!((bed.kind(key).await, stored), (StateKind::Succeeded, true));
            }
            (Finish::Superseded, 1) => {
                assert_eq!((bed.kind(key).await, stored), (StateKind::Waiting, false));
            }
            other => panic!("round {round}: {other:?}"),
        }
        bed.drain(at(1)).await;
    }
}

pub(super) async fn of_many_cancels_exactly_one_wins(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    for round in 0..ROUNDS {
        let key = bed.one(at(0)).await;
        let race = Race::of(8);
        let racers: Vec<_> = (0..8)
            .map(|i| {
                let by = if i % 2 == 0 {
                    CancelBy::Keys(vec![key])
                } else {
                    CancelBy::Urls(vec![url("a.mp4")])
                };
                race.racer(cancelled(bed.clone(), by))
            })
            .collect();
        let mut won = Vec::new();
        for racer in racers {
            won.extend(end(racer).await);
        }
        assert_eq!(won, [key], "round {round}");
    }
}

pub(super) async fn of_many_claims_exactly_one_gets_a_job(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["a"; 100], at(0)).await;
    let race = Race::of(20);
    let racers: Vec<_> = (0..20)
        .map(|_| {
            let bed = bed.clone();
            race.racer(async move { bed.claim(7, at(0)).await })
        })
        .collect();
    let mut got = Vec::new();
    for racer in racers {
        got.extend(end(racer).await.iter().map(|claim| claim.job().key));
    }
    got.sort_unstable();
    assert_eq!(got, keys);
}

pub(super) async fn of_many_submits_with_one_reference_id_exactly_one_is_accepted(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let race = Race::of(16);
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let call = submission(bed.account, vec![referenced("a", "r")], at(0));
            let store = Arc::clone(&bed.store);
            race.racer(async move { store.job_submit(call).await.unwrap() })
        })
        .collect();
    let mut accepted = Vec::new();
    for racer in racers {
        match end(racer).await {
            Submitted::Accepted(keys) => accepted.extend(keys),
            other => assert_eq!(other, Submitted::ReferenceTaken("r".to_owned())),
        }
    }
    assert_eq!(accepted.len(), 1);
    let media = MediaRef::ReferenceId("r".to_owned());
    let found = bed.store.media_find(bed.account, media).await.unwrap();
    assert!(matches!(found, crate::store::MediaLookup::NotStored(StateKind::Pending)));
}
