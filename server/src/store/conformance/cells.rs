//! The 77 cells of `docs/state-machine.md`, walked through verbs and compared with
//! [`crate::domain::job::apply`].

use std::sync::Arc;
use std::time::Duration;

use super::bed::{Bed, LEASE, at, failure, fault, refusal, success};
use crate::domain::id::Key;
use crate::domain::job::{Event, Phase, Progress, State, StateKind, Token, apply};
use crate::domain::time::Timestamp;
use crate::store::{CancelVerdict, Claim, Finish, Replaced, Store};

/// A new job in the state `kind`, brought there between `now` and `now + 10`.
async fn driven(bed: &Bed, kind: StateKind, now: Timestamp) -> Key {
    let key = bed.one(now).await;
    match kind {
        StateKind::Pending => {}
        StateKind::Canceled => {
            assert_eq!(bed.cancel(key, now).await, CancelVerdict::Canceled(vec![key]));
        }
        StateKind::Running => drop(bed.claim_one(now).await),
        StateKind::Waiting => {
            let claim = bed.claim_one(now).await;
            let due = now + Duration::from_millis(10);
            assert_eq!(bed.put_off(claim, due).await, Finish::Recorded);
        }
        StateKind::Succeeded => {
            let claim = bed.claim_one(now).await;
            bed.finish(claim, success(), now).await;
        }
        StateKind::Failed => {
            let claim = bed.claim_one(now).await;
            bed.finish(claim, failure(), now).await;
        }
        StateKind::AwaitingUrl => {
            let claim = bed.claim_one(now).await;
            assert_eq!(bed.halt(claim, 3_000, now).await, Finish::Recorded);
        }
    }
    assert_eq!(bed.kind(key).await, kind);
    key
}

/// Puts an event through its verb; returns the event as it happened and whether the verb said yes.
async fn put(bed: &Bed, key: Key, token: Token, event: &str, now: Timestamp) -> (Event, bool) {
    let store = &bed.store;
    let last = store.job_states(&[key]).await.unwrap()[0].2;
    let claim = Claim::new(bed.job(key).await, token);
    let recorded = |finish: Finish| finish == Finish::Recorded;
    match event {
        "claim" => {
            let claims = bed.claim(100, now).await;
            let got = claims.iter().find(|claim| claim.job().key == key);
            let given = got.map_or(Token(token.0 + 1), |claim| claim.token());
            assert!(got.is_none() || Some(given) > last, "a token must grow with each claim");
            (Event::Claim { now, token: given, until: now + LEASE }, got.is_some())
        }
        "beat" => {
            let until = now + LEASE + LEASE;
            let beat = claim.beat(Phase::Downloading, 5);
            let refused = store.job_beat(&[beat], until).await.unwrap();
            (Event::Beat { token, until }, refused.is_empty())
        }
        "hand_back" => {
            let finish = store.job_hand_back(claim, now, now).await.unwrap();
            (Event::HandBack { token, due: now }, recorded(finish))
        }
        "retry_later" => {
            let due = now + Duration::from_secs(7);
            let finish = store.job_retry_later(claim, fault(), due, now).await.unwrap();
            (Event::RetryLater { token, due }, recorded(finish))
        }
        "succeed" => {
            let finish = store.job_finish(claim, success(), now).await.unwrap();
            (Event::Succeed { token }, recorded(finish))
        }
        "fail" => {
            let finish = store.job_finish(claim, failure(), now).await.unwrap();
            (Event::Fail { token, fault: fault() }, recorded(finish))
        }
        "expire" => {
            let count = store.job_expire(now, 100, false).await.unwrap();
            (Event::Expire { now }, count == 1)
        }
        "cancel" => {
            let verdict = bed.cancel(key, now).await;
            (Event::Cancel, verdict == CancelVerdict::Canceled(vec![key]))
        }
        "halt" => {
            let until = claim.job().deadline;
            let finish = store.job_halt(claim, refusal(), 3_000, now).await.unwrap();
            (Event::Halt { token, fault: refusal(), until }, recorded(finish))
        }
        "replace_url" => {
            let replaced = bed.replace(key, "b.mp4", now).await;
            (Event::ReplaceUrl { now }, replaced == Replaced::Renewed)
        }
        "lapse" => {
            let count = store.job_lapse(now, 100).await.unwrap();
            (Event::Lapse { now }, count == 1)
        }
        other => panic!("no event {other}"),
    }
}

const EVENTS: [&str; 11] = [
    "claim",
    "beat",
    "hand_back",
    "retry_later",
    "succeed",
    "fail",
    "expire",
    "cancel",
    "halt",
    "replace_url",
    "lapse",
];

pub(super) async fn every_state_and_event_does_what_the_state_machine_says(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let mut cells = 0;
    let mut now = at(0);
    for kind in StateKind::ALL {
        for event in EVENTS {
            let key = driven(&bed, kind, now).await;
            let before = bed.job(key).await;
            let token = match &before.progress.state {
                State::Running { token, .. } => *token,
                _ => bed.store.job_states(&[key]).await.unwrap()[0].2.unwrap_or(Token(1)),
            };
            // Past every lease and due time, or past the deadline.
            let then = if event == "lapse" { before.deadline } else { now + LEASE + LEASE };
            let (happened, yes) = put(&bed, key, token, event, then).await;
            assert_eq!(happened.name(), event);
            let after = bed.job(key).await;
            match apply(&before.progress, &happened) {
                Ok(next) => {
                    assert!(yes, "{kind:?} × {event}: refused");
                    assert_eq!(after.progress, next, "{kind:?} × {event}");
                    let ended = next.state.kind().is_final().then_some(then);
                    assert_eq!(after.finished, ended, "{kind:?} × {event}");
                }
                Err(_) => {
                    assert!(!yes, "{kind:?} × {event}: not refused");
                    assert_eq!(after, before, "{kind:?} × {event}: changed");
                }
            }
            cells += 1;
            now = then + LEASE;
            bed.drain(now).await;
        }
    }
    assert_eq!(cells, 77);
}

pub(super) async fn a_worker_with_an_old_token_changes_nothing(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    for event in ["beat", "hand_back", "retry_later", "succeed", "fail", "halt"] {
        let key = bed.one(at(0)).await;
        let old = bed.claim_one(at(0)).await;
        assert_eq!(bed.store.job_expire(at(0), 10, true).await.unwrap(), 1);
        let new = bed.claim_one(at(1)).await;
        assert_eq!(new.job().key, key);
        assert!(new.token() > old.token());
        let before = bed.job(key).await;
        let (_, yes) = put(&bed, key, old.token(), event, at(2)).await;
        assert!(!yes, "{event}");
        assert_eq!(bed.job(key).await, before, "{event}");
        let media = crate::store::MediaRef::Key(key);
        let found = bed.store.media_find(bed.account, media).await.unwrap();
        assert!(matches!(found, crate::store::MediaLookup::NotStored(_)), "{event}: {found:?}");
        // The new holder is untouched.
        bed.finish(new, success(), at(3)).await;
    }
}

pub(super) async fn a_lease_in_force_does_not_expire_unless_everything_does(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    drop(bed.claim_one(at(0)).await);
    let end = at(0) + LEASE;
    assert_eq!(bed.store.job_expire(Timestamp(end.0 - 1), 10, false).await.unwrap(), 0);
    assert_eq!(bed.kind(key).await, StateKind::Running);
    assert_eq!(bed.store.job_expire(at(7), 10, true).await.unwrap(), 1);
    let state = State::Waiting { due: at(7) };
    let expected = Progress { state, attempt: 0, rescues: 1, renewals: 0 };
    assert_eq!(bed.job(key).await.progress, expected);
    drop(bed.claim_one(at(7)).await);
    assert_eq!(bed.store.job_expire(at(7) + LEASE, 10, false).await.unwrap(), 1);
}

pub(super) async fn an_attempt_is_charged_once_and_a_rescue_apart(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    let counts = |progress: Progress| (progress.attempt, progress.rescues);
    let claim = bed.claim_one(at(0)).await;
    assert_eq!(counts(bed.job(key).await.progress), (1, 0));
    bed.store.job_hand_back(claim, at(1), at(1)).await.unwrap();
    assert_eq!(counts(bed.job(key).await.progress), (0, 0));
    let claim = bed.claim_one(at(2)).await;
    bed.put_off(claim, at(3)).await;
    assert_eq!(counts(bed.job(key).await.progress), (1, 0));
    drop(bed.claim_one(at(4)).await);
    assert_eq!(counts(bed.job(key).await.progress), (2, 0));
    bed.store.job_expire(at(5), 10, true).await.unwrap();
    assert_eq!(counts(bed.job(key).await.progress), (1, 1));
}

pub(super) async fn expiry_goes_in_pages(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    bed.submit(bed.account, &["x"; 25], at(0)).await;
    let first = bed.claim(5, at(0)).await;
    bed.claim(20, at(1)).await;
    let late = at(1) + LEASE;
    assert_eq!(bed.store.job_expire(late, 5, false).await.unwrap(), 5);
    for claim in &first {
        assert_eq!(bed.kind(claim.job().key).await, StateKind::Waiting, "the oldest lease first");
    }
    assert_eq!(bed.store.job_expire(late, 15, false).await.unwrap(), 15);
    assert_eq!(bed.store.job_expire(late, 15, false).await.unwrap(), 5);
    assert_eq!(bed.store.job_expire(late, 15, false).await.unwrap(), 0);
}

pub(super) async fn a_beat_prolongs_the_lease_and_shows_progress(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["x", "y"], at(0)).await;
    let claims = bed.claim(2, at(0)).await;
    let mut gone = claims[0].beat(Phase::Processing, 0);
    gone.token = Token(gone.token.0 + 1);
    let alive = claims[1].beat(Phase::Uploading, u64::from(u32::MAX) * 3);
    let until = at(90_000);
    assert_eq!(bed.store.job_beat(&[gone, alive], until).await.unwrap(), [gone]);
    assert_eq!(bed.store.job_expire(at(0) + LEASE, 10, false).await.unwrap(), 1);
    assert_eq!(bed.kind(keys[0]).await, StateKind::Waiting);
    let job = bed.job(keys[1]).await;
    assert_eq!(job.progress.state, State::Running { token: alive.token, until });
    assert_eq!((job.phase, job.bytes), (Phase::Uploading, u64::from(u32::MAX) * 3));
}
