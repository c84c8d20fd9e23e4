//! What a call accepts, and why it does not.

use std::sync::Arc;
use std::time::Duration;

use super::bed::{Bed, START, at, failure, new_job, referenced, submission, success};
use crate::domain::account::AccountId;
use crate::domain::time::Timestamp;
use crate::store::{
    NewJob, PageRequest, Session, Store, StoreError, Submission, SubmitLimits, Submitted,
};

const WINDOW: Duration = Duration::from_secs(600);
/// The UTC midnight after the start.
const MIDNIGHT: Timestamp = Timestamp(START - 8 * 3_600_000 + 86_400_000);

fn session(id: &str, fingerprint: u8) -> Option<Session> {
    Some(Session { id: id.to_owned(), fingerprint: [fingerprint; 32], window: WINDOW })
}

fn limits(calls_per_day: u32, pending: u64) -> SubmitLimits {
    SubmitLimits { calls_per_day, pending }
}

async fn put(bed: &Bed, submission: Submission) -> Submitted {
    bed.store.job_submit(submission).await.unwrap()
}

async fn jobs_in_all(bed: &Bed) -> usize {
    let page = PageRequest { account: Some(bed.account), limit: 10_000, ..PageRequest::default() };
    bed.store.job_page(page).await.unwrap().jobs.len()
}

pub(super) async fn keys_come_in_the_order_of_the_call_and_grow(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let first = bed.submit(bed.account, &["a", "b", "c"], at(0)).await;
    // The clock stepped back.
    let second = bed.submit(bed.other, &["d"], Timestamp(START - 5_000)).await;
    assert!(first[0] < first[1] && first[1] < first[2] && first[2] < second[0]);
    assert_eq!(bed.job(first[1]).await.url.expose(), "https://origin.example/b");
    let none = put(&bed, submission(bed.account, Vec::new(), at(1))).await;
    assert_eq!(none, Submitted::Accepted(Vec::new()));
}

pub(super) async fn a_repeated_session_replays_or_is_taken_until_its_window_ends(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let call = |fingerprint, now| {
        let jobs = vec![new_job("a"), new_job("b")];
        Submission { session: session("s1", fingerprint), ..submission(bed.account, jobs, now) }
    };
    let Submitted::Accepted(keys) = put(&bed, call(1, at(0))).await else { panic!() };
    let last = Timestamp(START + 599_999);
    assert_eq!(put(&bed, call(1, last)).await, Submitted::Replayed(keys.clone()));
    assert_eq!(put(&bed, call(2, last)).await, Submitted::SessionTaken);
    assert_eq!(jobs_in_all(&bed).await, 2);
    let after = at(0) + WINDOW;
    let Submitted::Accepted(fresh) = put(&bed, call(2, after)).await else { panic!() };
    assert!(fresh[0] > keys[1]);
    assert_eq!(put(&bed, call(2, after)).await, Submitted::Replayed(fresh));
    assert_eq!(put(&bed, call(1, after)).await, Submitted::SessionTaken);
}

pub(super) async fn sessions_of_two_accounts_are_apart(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    for account in [bed.account, bed.other] {
        let call = Submission { session: session("s1", 1), ..submission(account, vec![], at(0)) };
        assert!(matches!(put(&bed, call).await, Submitted::Accepted(_)));
    }
}

pub(super) async fn the_day_quota_opens_at_midnight_utc(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let call = |account, now| Submission {
        limits: limits(2, 0),
        ..submission(account, vec![new_job("a")], now)
    };
    let last = Timestamp(MIDNIGHT.0 - 1);
    assert!(matches!(put(&bed, call(bed.account, at(0))).await, Submitted::Accepted(_)));
    assert!(matches!(put(&bed, call(bed.account, last)).await, Submitted::Accepted(_)));
    let refused = put(&bed, call(bed.account, last)).await;
    assert_eq!(refused, Submitted::DayQuota { opens: MIDNIGHT });
    assert!(matches!(put(&bed, call(bed.other, last)).await, Submitted::Accepted(_)));
    assert!(matches!(put(&bed, call(bed.account, MIDNIGHT)).await, Submitted::Accepted(_)));
    assert_eq!(jobs_in_all(&bed).await, 3);
}

pub(super) async fn only_accepted_calls_count(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let limits = limits(2, 1);
    let call = |session| Submission {
        session,
        limits,
        ..submission(bed.account, vec![new_job("a")], at(0))
    };
    assert!(matches!(put(&bed, call(session("s", 1))).await, Submitted::Accepted(_)));
    assert!(matches!(put(&bed, call(session("s", 1))).await, Submitted::Replayed(_)));
    assert_eq!(put(&bed, call(session("s", 2))).await, Submitted::SessionTaken);
    assert_eq!(put(&bed, call(None)).await, Submitted::QueueFull);
    bed.claim_one(at(0)).await;
    assert!(matches!(put(&bed, call(None)).await, Submitted::Accepted(_)));
    assert!(matches!(put(&bed, call(None)).await, Submitted::DayQuota { .. }));
}

pub(super) async fn the_queue_limit_counts_pending_and_waiting(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let call = |count: usize| Submission {
        limits: limits(0, 4),
        ..submission(bed.account, vec![new_job("a"); count], at(0))
    };
    assert_eq!(put(&bed, call(5)).await, Submitted::QueueFull);
    assert_eq!(jobs_in_all(&bed).await, 0, "all or none");
    assert!(matches!(put(&bed, call(4)).await, Submitted::Accepted(_)));
    assert_eq!(put(&bed, call(1)).await, Submitted::QueueFull);
    let mut claims = bed.claim(2, at(0)).await;
    assert!(matches!(put(&bed, call(1)).await, Submitted::Accepted(_)));
    assert_eq!(put(&bed, call(2)).await, Submitted::QueueFull);
    bed.put_off(claims.remove(0), at(99)).await;
    assert_eq!(put(&bed, call(1)).await, Submitted::QueueFull);
    bed.submit(bed.other, &["b"; 9], at(0)).await;
}

pub(super) async fn a_reference_id_is_held_until_its_job_fails_or_is_cancelled(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let call = |account, jobs| submission(account, jobs, at(0));
    let taken = Submitted::ReferenceTaken("r".to_owned());
    let twice = vec![referenced("a", "r"), new_job("b"), referenced("c", "r")];
    assert_eq!(put(&bed, call(bed.account, twice)).await, taken);
    assert_eq!(jobs_in_all(&bed).await, 0, "all or none");
    let one = || vec![new_job("b"), referenced("a", "r")];
    let Submitted::Accepted(keys) = put(&bed, call(bed.account, one())).await else { panic!() };
    assert_eq!(put(&bed, call(bed.account, one())).await, taken);
    assert!(matches!(put(&bed, call(bed.other, one())).await, Submitted::Accepted(_)));
    // Cancelled: free again.
    bed.cancel(keys[1], at(1)).await;
    let Submitted::Accepted(keys) = put(&bed, call(bed.account, one())).await else { panic!() };
    // Failed: free again. Succeeded: held for good.
    for (outcome, free) in [(failure(), true), (success(), false)] {
        let claims = bed.claim(99, at(2)).await;
        let all = bed.store.job_states(&keys).await.unwrap();
        assert_eq!(all.len(), 2);
        for claim in claims {
            bed.finish(claim, outcome.clone(), at(2)).await;
        }
        let answer = put(&bed, call(bed.account, one())).await;
        assert_eq!(matches!(answer, Submitted::Accepted(_)), free, "{answer:?}");
    }
}

pub(super) async fn reasons_are_judged_in_the_documented_order(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let jobs = || vec![referenced("a", "r")];
    let first = Submission { session: session("s", 1), ..submission(bed.account, jobs(), at(0)) };
    assert!(matches!(put(&bed, first).await, Submitted::Accepted(_)));
    let call =
        |session, limits| Submission { session, limits, ..submission(bed.account, jobs(), at(1)) };
    let tight = limits(1, 1);
    assert_eq!(put(&bed, call(session("s", 2), tight)).await, Submitted::SessionTaken);
    let quota = put(&bed, call(session("t", 2), tight)).await;
    assert_eq!(quota, Submitted::DayQuota { opens: MIDNIGHT });
    assert_eq!(put(&bed, call(session("t", 2), limits(2, 1))).await, Submitted::QueueFull);
    let taken = Submitted::ReferenceTaken("r".to_owned());
    assert_eq!(put(&bed, call(session("t", 2), limits(2, 2))).await, taken);
    // A refused call leaves no session behind.
    let other = Submission {
        session: session("t", 3),
        limits: limits(2, 2),
        ..submission(bed.account, vec![new_job("z")], at(1))
    };
    assert!(matches!(put(&bed, other).await, Submitted::Accepted(_)));
}

pub(super) async fn an_unknown_account_cannot_submit(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let jobs: Vec<NewJob> = vec![new_job("a")];
    let answer = bed.store.job_submit(submission(AccountId(999), jobs, at(0))).await;
    assert!(matches!(answer, Err(StoreError::Engine(_))), "{answer:?}");
    assert_eq!(bed.store.stats().await.unwrap().pending, 0);
}
