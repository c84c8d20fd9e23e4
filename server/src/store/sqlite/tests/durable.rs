//! What outlives the process.

use std::time::Duration;

use super::{Disk, SqliteStore};
use crate::domain::account::AccountChange;
use crate::domain::account::{AccessKey, KeyStatus};
use crate::domain::job::StateKind;
use crate::store::conformance::bed::{
    Bed, EVER, at, failure, new_job, referenced, retention, submission, success, url,
};
use crate::store::{
    CancelVerdict, MediaLookup, MediaRef, Nonce, NonceUse, PageRequest, Session, Store, Submission,
    SubmitLimits, Submitted,
};

fn nonce(value: &str) -> Nonce<'_> {
    Nonce { access_key_id: "K1", value, expires: at(900_000), now: at(0) }
}

async fn everything(bed: &Bed) -> String {
    let page = PageRequest { account: Some(bed.account), limit: 1_000, ..PageRequest::default() };
    let store = &bed.store;
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        store.account_list().await.unwrap(),
        store.key_list(None).await.unwrap(),
        store.job_page(page).await.unwrap(),
        store.job_infos_by_url(bed.account, &[url("a"), url("r")], EVER).await.unwrap(),
        store.stats().await.unwrap(),
    )
}

fn call(bed: &Bed) -> Submission {
    let id = "s".to_owned();
    let window = Duration::from_secs(600);
    Submission {
        session: Some(Session { id, fingerprint: [9; 32], window }),
        limits: SubmitLimits { calls_per_day: 3, pending: 100 },
        ..submission(bed.account, vec![new_job("a"), referenced("r", "ref")], at(0))
    }
}

/// Fills a store with something of each kind.
async fn fill(bed: &Bed) -> Vec<crate::domain::id::Key> {
    let key = AccessKey {
        id: "K1".to_owned(),
        account: bed.account,
        sealed_secret: vec![1, 2, 3],
        status: KeyStatus::Disabled,
        created: at(0),
    };
    assert!(bed.store.key_create(key).await.unwrap());
    let change = AccountChange { paused: Some(true), ..AccountChange::enabled(false) };
    assert!(bed.store.account_change("second", change).await.unwrap().is_some());
    match bed.store.nonce_take(nonce("n1")).await.unwrap() {
        NonceUse::Fresh(written) => written.await.unwrap(),
        NonceUse::Replayed => panic!("new"),
    }
    let Submitted::Accepted(mut keys) = bed.store.job_submit(call(bed)).await.unwrap() else {
        panic!("accepted")
    };
    keys.extend(bed.submit(bed.account, &["a"; 6], at(0)).await);
    let mut claims = bed.claim(5, at(0)).await;
    bed.finish(claims.remove(0), failure(), at(1)).await;
    bed.finish(claims.remove(0), success(), at(1)).await;
    bed.put_off(claims.remove(0), at(5)).await;
    bed.store.job_hand_back(claims.remove(0), at(6), at(6)).await.unwrap();
    assert_eq!(bed.cancel(keys[7], at(1)).await, CancelVerdict::Canceled(vec![keys[7]]));
    keys
}

async fn check(bed: &Bed, keys: &[crate::domain::id::Key], before: &str) {
    assert_eq!(everything(bed).await, before);
    assert!(bed.store.nonce_seen(nonce("n1")).await.unwrap());
    assert!(!bed.store.nonce_seen(nonce("n2")).await.unwrap());
    assert!(matches!(bed.store.nonce_take(nonce("n1")).await.unwrap(), NonceUse::Replayed));
    let replayed = bed.store.job_submit(call(bed)).await.unwrap();
    assert_eq!(replayed, Submitted::Replayed(keys[..2].to_vec()));
    let fresh = |limits| Submission { session: None, limits, ..call(bed) };
    let taken = bed.store.job_submit(fresh(SubmitLimits { calls_per_day: 3, pending: 100 }));
    assert_eq!(taken.await.unwrap(), Submitted::ReferenceTaken("ref".to_owned()));
    let quota = bed.store.job_submit(fresh(SubmitLimits { calls_per_day: 2, pending: 0 }));
    assert!(matches!(quota.await.unwrap(), Submitted::DayQuota { .. }));
    // 4 are pending or waiting.
    let queue = bed.store.job_submit(fresh(SubmitLimits { calls_per_day: 0, pending: 5 }));
    assert_eq!(queue.await.unwrap(), Submitted::QueueFull);
    let media = MediaRef::ReferenceId("ref".to_owned());
    let found = bed.store.media_find(bed.account, media).await.unwrap();
    assert!(matches!(found, MediaLookup::Stored(_)), "{found:?}");
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_close() {
    let disk = Disk::new();
    let (store, mut bed) = disk.bed().await;
    let keys = fill(&bed).await;
    let before = everything(&bed).await;
    bed.store.close().await.unwrap();
    drop(store);
    assert!(!disk.0.path().join("haulage.db-wal").exists(), "the log was folded in");
    bed.store = disk.open().await;
    check(&bed, &keys, &before).await;
    let again = bed.one(at(0)).await;
    assert!(keys.iter().all(|key| *key < again));
    assert_eq!(bed.kind(keys[4]).await, StateKind::Running);
    assert_eq!(bed.store.job_expire(at(0), 10, true).await.unwrap(), 1);
}

#[tokio::test]
async fn everything_acknowledged_is_there_without_a_close() {
    let disk = Disk::new();
    let (store, mut bed) = disk.bed().await;
    let keys = fill(&bed).await;
    let before = everything(&bed).await;
    // What a kill leaves: the files as they are, while the old process is still there.
    let copy = Disk::new();
    for name in ["haulage.db", "haulage.db-wal"] {
        std::fs::copy(disk.0.path().join(name), copy.0.path().join(name)).unwrap();
    }
    bed.store = copy.open().await;
    check(&bed, &keys, &before).await;
    drop(store);
}

#[tokio::test]
async fn a_forgotten_nonce_does_not_come_back_with_a_restart() {
    let disk = Disk::new();
    let (store, _bed) = disk.bed().await;
    match store.nonce_take(nonce("n1")).await.unwrap() {
        NonceUse::Fresh(written) => written.await.unwrap(),
        NonceUse::Replayed => panic!("new"),
    }
    assert_eq!(store.purge(retention(at(2_000_000), at(0))).await.unwrap(), 1);
    store.close().await.unwrap();
    let store = disk.open().await;
    // Asked at the old time, to see the set itself.
    assert!(!store.nonce_seen(nonce("n1")).await.unwrap());
    let rows: i64 =
        disk.foreign().query_row("SELECT COUNT(*) FROM nonce", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_store_dropped_without_a_close_ends_its_thread() {
    let disk = Disk::new();
    let (store, bed) = disk.bed().await;
    bed.one(at(0)).await;
    drop(store);
    drop(bed);
    // The last connection to go folds the log in and removes it.
    let log = disk.0.path().join("haulage.db-wal");
    let gone = async {
        while log.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the thread ends");
}

/// The state between the write to a database file and the end of its transaction, from before it had
/// its write-ahead log: campaign K7 found that a server killed there never started again.
#[tokio::test]
async fn a_file_whose_making_was_killed_half_way_opens_all_the_same() {
    let (killed, disk) = (Disk::new(), Disk::new());
    let db = killed.foreign();
    // More than the cache holds, so that the file is written before the transaction ends.
    db.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; CREATE TABLE half (text); BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
         INSERT INTO half SELECT zeroblob(1000) FROM n;",
    )
    .unwrap();
    let beside = |disk: &Disk| disk.0.path().join("haulage.db-journal");
    std::fs::copy(killed.path(), disk.path()).unwrap();
    std::fs::copy(beside(&killed), beside(&disk)).unwrap();

    // Whoever looks without the right to write must be refused here, or nothing was shown.
    assert!(SqliteStore::inspect(&disk.path()).is_err());
    let store = disk.open().await;
    let half: i64 =
        disk.foreign().query_row("SELECT COUNT(*) FROM half", [], |row| row.get(0)).unwrap();
    assert_eq!(half, 0, "what was not committed is undone");
    store.close().await.unwrap();
}
