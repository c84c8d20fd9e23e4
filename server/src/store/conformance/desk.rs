//! Attempts, tallies, queues and console sessions.

use std::sync::Arc;
use std::time::Duration;

use super::bed::{Bed, at, failure, fault, object, retention, submission, success};
use crate::domain::account::{AccessKey, AccountId, KeyStatus};
use crate::domain::attempt::{Attempt, Ending};
use crate::domain::fault::{FaultClass, JobFault};
use crate::domain::id::Key;
use crate::domain::job::{Phase, Token};
use crate::domain::time::Timestamp;
use crate::store::{
    ATTEMPTS_KEPT, AccountQueue, CancelBy, Claim, ConsoleSession, Counted, Finish, Retention,
    SESSIONS_KEPT, Store, Submitted, TALLIES_KEPT, Tally,
};

fn passing() -> JobFault {
    JobFault::new(FaultClass::Unreachable, "no connection")
}

async fn attempts(bed: &Bed, key: Key) -> Vec<Attempt> {
    let mut found = bed.store.job_attempts(&[key]).await.unwrap();
    assert!(found.len() <= 1);
    found.pop().map(|(of, attempts)| (assert_eq!(of, key), attempts).1).unwrap_or_default()
}

pub(super) async fn every_attempt_is_told_with_its_ending(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let store = &bed.store;
    let key = bed.one(at(0)).await;
    assert_eq!(bed.job(key).await.claimed, None);
    assert_eq!(attempts(&bed, key).await, []);
    let mut expected: Vec<Attempt> = Vec::new();
    let mut note = |number, started: i64, ended: i64, ending, fault: Option<JobFault>, bytes| {
        let token = Token(expected.len() as i64 + 1);
        let (started, ended) = (at(started), at(ended));
        expected.push(Attempt { number, token, started, ended, ending, fault, bytes });
        expected.clone()
    };
    let received = |claim: &Claim, bytes| {
        let beat = [claim.beat(Phase::Downloading, bytes)];
        async move { assert_eq!(store.job_beat(&beat, at(99_000)).await.unwrap(), []) }
    };

    let claim = bed.claim_one(at(10)).await;
    assert_eq!(claim.job().claimed, Some(at(10)));
    received(&claim, 7).await;
    assert_eq!(attempts(&bed, key).await, [], "one that runs is not over");
    store.job_hand_back(claim, at(11), at(11)).await.unwrap();
    let told = note(1, 10, 11, Ending::HandedBack, None, 7);
    assert_eq!(attempts(&bed, key).await, told);

    let claim = bed.claim_one(at(20)).await;
    received(&claim, 8).await;
    store.job_retry_later(claim, passing(), at(30), at(21)).await.unwrap();
    let told = note(1, 20, 21, Ending::PutOff, Some(passing()), 8);
    assert_eq!(attempts(&bed, key).await, told);

    bed.claim_one(at(30)).await;
    assert_eq!(store.job_expire(at(31), 9, true).await.unwrap(), 1);
    let told = note(2, 30, 31, Ending::Expired, None, 0);
    assert_eq!(attempts(&bed, key).await, told);

    let claim = bed.claim_one(at(40)).await;
    received(&claim, 9).await;
    bed.finish(claim, success(), at(41)).await;
    let told = note(2, 40, 41, Ending::Succeeded, None, object(4_096).size);
    assert_eq!(attempts(&bed, key).await, told);
    assert_eq!(bed.job(key).await.claimed, Some(at(40)));

    let other = bed.one(at(50)).await;
    let claim = bed.claim_one(at(50)).await;
    received(&claim, 10).await;
    bed.finish(claim, failure(), at(51)).await;
    let failed = Attempt {
        number: 1,
        token: Token(1),
        started: at(50),
        ended: at(51),
        ending: Ending::Failed,
        fault: Some(fault()),
        bytes: 10,
    };
    let asked = [other, Key(3), key, other];
    let found = store.job_attempts(&asked).await.unwrap();
    assert_eq!(found, [(other, vec![failed]), (key, told)]);
}

pub(super) async fn a_worker_with_an_old_token_leaves_no_trace(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let store = &bed.store;
    let key = bed.one(at(0)).await;
    bed.claim_one(at(0)).await;
    store.job_expire(at(1), 9, true).await.unwrap();
    bed.claim_one(at(2)).await;
    let (told, counted) =
        (attempts(&bed, key).await, store.tallies(None, Timestamp(0)).await.unwrap());
    let stale = || async { Claim::new(bed.job(key).await, Token(1)) };
    let put_off = store.job_retry_later(stale().await, passing(), at(9), at(3)).await.unwrap();
    let back = store.job_hand_back(stale().await, at(3), at(3)).await.unwrap();
    let done = store.job_finish(stale().await, success(), at(3)).await.unwrap();
    let failed = store.job_finish(stale().await, failure(), at(3)).await.unwrap();
    assert_eq!([put_off, back, done, failed], [Finish::Superseded; 4]);
    assert_eq!(attempts(&bed, key).await, told);
    assert_eq!(store.tallies(None, Timestamp(0)).await.unwrap(), counted);
}

pub(super) async fn the_newest_attempts_are_kept(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    let all = ATTEMPTS_KEPT as i64 + 3;
    for ms in 0..all {
        let claim = bed.claim_one(at(ms)).await;
        // By each of the ways in turn.
        match ms % 3 {
            0 => drop(bed.store.job_hand_back(claim, at(ms), at(ms)).await.unwrap()),
            1 => drop(bed.put_off(claim, at(ms)).await),
            _ => drop(bed.store.job_expire(at(ms), 9, true).await.unwrap()),
        }
        let kept = attempts(&bed, key).await;
        let tokens: Vec<i64> = kept.iter().map(|attempt| attempt.token.0).collect();
        let first = (ms + 2 - ATTEMPTS_KEPT as i64).max(1);
        assert_eq!(tokens, (first..=ms + 1).collect::<Vec<_>>());
    }
}

pub(super) async fn attempts_are_forgotten_with_their_job(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["a", "b"], at(0)).await;
    let mut claims = bed.claim(2, at(0)).await;
    bed.finish(claims.remove(0), failure(), at(1)).await;
    bed.finish(claims.remove(0), success(), at(1)).await;
    assert_eq!(bed.store.purge(retention(at(9), at(2))).await.unwrap(), 1);
    let left = bed.store.job_attempts(&keys).await.unwrap();
    assert_eq!(left.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [keys[1]]);
}

fn tally(
    minute: i64,
    account: AccountId,
    what: Counted,
    jobs: u64,
    bytes: u64,
    millis: u64,
) -> Tally {
    Tally { minute: at(minute * 60_000), account, what, jobs, bytes, millis }
}

pub(super) async fn tallies_count_what_happened_in_its_minute(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let store = &bed.store;
    let (a, b) = (bed.account, bed.other);
    let failed = || Counted::Failed(fault().class.code().to_owned());
    let put_off = || Counted::PutOff(passing().class.code().to_owned());
    let nothing = store.job_submit(submission(a, Vec::new(), at(0))).await.unwrap();
    assert_eq!(nothing, Submitted::Accepted(Vec::new()));
    assert_eq!(store.tallies(None, Timestamp(0)).await.unwrap(), []);

    let keys = bed.submit(a, &["a"; 6], at(0)).await;
    bed.submit(b, &["b"; 2], at(59_999)).await;
    let minute = 60_000;
    let mut claims = bed.claim(5, at(minute)).await.into_iter();
    let of_a = |claims: &mut std::vec::IntoIter<Claim>| {
        claims.find(|claim| claim.job().account == a).expect("a job of the first account")
    };
    let claim = of_a(&mut claims);
    store.job_beat(&[claim.beat(Phase::Downloading, 70)], at(99_000)).await.unwrap();
    store.job_retry_later(claim, passing(), at(minute * 9), at(minute + 1)).await.unwrap();
    bed.finish(of_a(&mut claims), success(), at(minute + 250)).await;
    // Two ends of one kind in one minute, and a hand-back, which is not counted.
    assert_eq!(
        bed.cancel(keys[5], at(minute + 2)).await,
        crate::store::CancelVerdict::Canceled(vec![keys[5]])
    );
    let by_url = CancelBy::Urls(vec![super::bed::url("a")]);
    store.job_cancel_pending(a, by_url, at(minute + 4)).await.unwrap();
    let claim = of_a(&mut claims);
    store.job_beat(&[claim.beat(Phase::Downloading, 5)], at(99_000)).await.unwrap();
    bed.finish(claim, failure(), at(2 * minute)).await;

    let second = [
        tally(1, a, Counted::Succeeded, 1, object(4_096).size, 60_250),
        tally(1, a, Counted::Canceled, 3, 0, 180_000 + 2 + 4 + 4),
        tally(1, a, put_off(), 1, 70, 0),
    ];
    let all = store.tallies(None, Timestamp(0)).await.unwrap();
    let accepted = |account, jobs| tally(0, account, Counted::Accepted, jobs, 0, 0);
    let mut expected = vec![accepted(a, 6), accepted(b, 2)];
    expected.extend(second.clone());
    expected.push(tally(2, a, failed(), 1, 5, 120_000));
    // Jobs of one account that were not claimed above count as pending; none may be left over.
    assert_eq!(all, expected);
    assert_eq!(store.tallies(Some(b), Timestamp(0)).await.unwrap(), [accepted(b, 2)]);
    let since = store.tallies(Some(a), at(minute)).await.unwrap();
    assert_eq!(since, expected[2..]);
    assert_eq!(store.tallies(None, at(minute + 1)).await.unwrap(), expected[5..]);
    assert_eq!(store.tallies(Some(AccountId(999)), at(0)).await.unwrap(), []);
}

pub(super) async fn tallies_are_kept_for_two_days(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    for minute in 0..3 {
        bed.submit(bed.account, &["a"], at(minute * 60_000)).await;
        bed.submit(bed.other, &["b"], at(minute * 60_000)).await;
    }
    let end = at(60_000) + TALLIES_KEPT;
    let batch = |batch| Retention { batch, ..retention(end, at(0)) };
    assert_eq!(bed.store.purge(batch(1)).await.unwrap(), 1);
    assert_eq!(bed.store.purge(batch(9)).await.unwrap(), 1);
    assert_eq!(bed.store.purge(batch(9)).await.unwrap(), 0);
    let left = bed.store.tallies(None, Timestamp(0)).await.unwrap();
    let minutes: Vec<Timestamp> = left.iter().map(|tally| tally.minute).collect();
    assert_eq!(minutes, [at(60_000), at(60_000), at(120_000), at(120_000)]);
}

pub(super) async fn queues_tell_who_has_something_the_largest_first(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let third = bed.store.account_create("third", false, at(0)).await.unwrap().unwrap().id;
    assert_eq!(bed.store.queues().await.unwrap(), []);
    bed.submit(bed.account, &["a"], at(5)).await;
    bed.submit(third, &["c"; 2], at(6)).await;
    bed.submit(bed.other, &["b"; 4], at(7)).await;
    let queue = |account, pending, running, waiting, oldest: Option<i64>| AccountQueue {
        account,
        pending,
        running,
        waiting,
        awaiting: 0,
        oldest_ready: oldest.map(at),
    };
    let (a, b, c) = (bed.account, bed.other, third);
    let before =
        [queue(b, 4, 0, 0, Some(7)), queue(c, 2, 0, 0, Some(6)), queue(a, 1, 0, 0, Some(5))];
    assert_eq!(bed.store.queues().await.unwrap(), before);
    for claim in bed.claim(6, at(8)).await {
        match claim.job().account {
            of if of == b => drop(bed.put_off(claim, at(50)).await),
            of if of == c => bed.finish(claim, success(), at(9)).await,
            _ => {}
        }
    }
    // Equals come in the order of the accounts' ids.
    let after = [queue(b, 1, 0, 3, Some(7)), queue(a, 0, 1, 0, None)];
    assert_eq!(bed.store.queues().await.unwrap(), after);
    bed.submit(third, &["c"], at(60)).await;
    let after = [after[0], after[1], queue(c, 1, 0, 0, Some(60))];
    assert_eq!(bed.store.queues().await.unwrap(), after);
}

fn session(n: u8, key: &str, created: i64) -> ConsoleSession {
    let created = at(created);
    let expires = created + Duration::from_secs(60);
    ConsoleSession { hash: [n; 32], access_key_id: key.to_owned(), created, expires }
}

async fn with_keys(store: Arc<dyn Store>) -> Bed {
    let bed = Bed::new(store).await;
    for id in ["K1", "K2"] {
        let (id, sealed_secret) = (id.to_owned(), vec![1]);
        let (account, status, created) = (bed.account, KeyStatus::Enabled, at(0));
        let key = AccessKey { id, account, sealed_secret, status, created };
        assert!(bed.store.key_create(key).await.unwrap());
    }
    bed
}

pub(super) async fn a_console_session_ends_by_time_by_closing_or_with_its_key(
    store: Arc<dyn Store>,
) {
    let bed = with_keys(store).await;
    let store = &bed.store;
    for (n, key) in [(1, "K1"), (2, "K1"), (3, "K2"), (4, "K2")] {
        store.session_open(session(n, key, 0)).await.unwrap();
    }
    assert!(store.session_open(session(9, "K9", 0)).await.is_err(), "of no key");
    let find = |n, now| async move { store.session_find(&[n; 32], now).await.unwrap() };
    assert_eq!(find(1, at(59_999)).await, Some(session(1, "K1", 0)));
    assert_eq!(find(1, at(60_000)).await, None);
    assert_eq!(find(9, at(0)).await, None);
    assert!(store.session_close(&[1; 32]).await.unwrap());
    assert!(!store.session_close(&[1; 32]).await.unwrap());
    assert_eq!(find(1, at(0)).await, None);
    // A disabled key keeps its sessions; whether it may act is asked with each request.
    assert!(store.key_set_status("K1", Some(KeyStatus::Disabled)).await.unwrap());
    assert_eq!(find(2, at(0)).await, Some(session(2, "K1", 0)));
    assert!(store.key_set_status("K1", None).await.unwrap());
    assert_eq!(find(2, at(0)).await, None);
    assert_eq!(find(3, at(0)).await, Some(session(3, "K2", 0)));
    assert_eq!(store.purge(retention(at(59_999), at(0))).await.unwrap(), 0);
    let one = Retention { batch: 1, ..retention(at(60_000), at(0)) };
    assert_eq!(store.purge(one).await.unwrap(), 1);
    assert_eq!(store.purge(one).await.unwrap(), 1);
    // Asked at the old time, to see what is kept.
    assert_eq!(find(3, at(0)).await, None);
    assert_eq!(find(4, at(0)).await, None);
}

pub(super) async fn a_key_has_so_many_sessions_and_one_more_ends_the_oldest(store: Arc<dyn Store>) {
    let bed = with_keys(store).await;
    let store = &bed.store;
    store.session_open(session(200, "K2", 0)).await.unwrap();
    let most = u8::try_from(SESSIONS_KEPT).unwrap();
    for n in 0..=most {
        store.session_open(session(n, "K1", i64::from(n))).await.unwrap();
    }
    let mut open = Vec::new();
    for n in (0..=most).chain([200]) {
        open.extend(store.session_find(&[n; 32], at(0)).await.unwrap().map(|_| n));
    }
    assert_eq!(open, (1..=most).chain([200]).collect::<Vec<u8>>());
}
