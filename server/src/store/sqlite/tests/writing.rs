//! The writer: batches, failures inside them, foreign writers, a full disk.

use std::sync::{Arc, Barrier};

use rusqlite::ErrorCode;
use rusqlite::ffi::Error as SqliteCode;

use super::super::failure::Failure;
use super::super::writer::Write;
use super::super::{SqliteStore, accounts, row};
use super::Disk;
use crate::domain::account::AccountChange;
use crate::domain::job::StateKind;
use crate::run::tasks::Tasks;
use crate::store::conformance::bed::{at, new_job, submission, success, url};
use crate::store::{
    CancelBy, CancelVerdict, Counted, Desk, Nonce, NonceUse, Store, StoreError, StoreResult,
    Submitted, Tally,
};

/// Keeps the writer busy until the barrier opens, so that what is queued meanwhile is one batch.
async fn hold(store: &Arc<SqliteStore>, tasks: &Tasks) -> Arc<Barrier> {
    let gate = Arc::new(Barrier::new(2));
    let (entered, inside) = tokio::sync::oneshot::channel();
    let entered = std::sync::Mutex::new(Some(entered));
    let (writer, wait) = (store.writer.clone(), Arc::clone(&gate));
    tasks.spawn("holder", async move {
        let held = writer.call(move |_| {
            if let Some(entered) = entered.lock().unwrap().take() {
                entered.send(()).unwrap();
            }
            wait.wait();
            Ok(())
        });
        held.await.unwrap();
    });
    inside.await.unwrap();
    gate
}

fn broken(code: i32) -> Failure {
    Failure::Sqlite(rusqlite::Error::SqliteFailure(SqliteCode::new(code), None))
}

#[tokio::test]
async fn commands_queued_together_are_one_transaction_and_a_failing_one_spoils_no_other() {
    let disk = Disk::new();
    let store = disk.open().await;
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    let slot = store.writer.slot().await.unwrap();
    let first = slot.send(false, |write| accounts::create(write, "first", false, at(0)));
    let failing = store.writer.slot().await.unwrap().send(false, |write| {
        accounts::create(write, "undone", false, at(0))?;
        Err::<(), _>(row::corrupt("on purpose"))
    });
    let path = disk.path();
    let last = store.writer.slot().await.unwrap().send(false, move |write| {
        let count = "SELECT COUNT(*) FROM account";
        let inside: i64 = write.db.query_row(count, [], |row| row.get(0))?;
        let foreign = rusqlite::Connection::open(&path)?;
        let outside: i64 = foreign.query_row(count, [], |row| row.get(0))?;
        Ok((inside, outside))
    });
    gate.wait();
    assert!(first.await.unwrap().unwrap().is_some());
    assert!(matches!(failing.await.unwrap(), Err(StoreError::Corrupt(_))));
    // The third saw the first one's change, and nobody else did before the commit.
    assert_eq!(last.await.unwrap().unwrap(), (1, 0));
    assert_eq!(store.account_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_batch_counts_is_added_up_without_what_a_failing_command_counted() {
    let disk = Disk::new();
    let (store, bed) = disk.bed().await;
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    let account = bed.account;
    let mut waiting = Vec::new();
    for (jobs, fails) in [(1, false), (10, true), (100, false)] {
        waiting.push(store.writer.slot().await.unwrap().send(false, move |write| {
            write.counts.add(at(0), account, Counted::Accepted, jobs, 5);
            if fails { Err(row::corrupt("on purpose")) } else { Ok(()) }
        }));
    }
    gate.wait();
    for (answer, fails) in waiting.into_iter().zip([false, true, false]) {
        assert_eq!(answer.await.unwrap().is_err(), fails);
    }
    let tally =
        Tally { minute: at(0), account, what: Counted::Accepted, jobs: 101, bytes: 10, millis: 0 };
    assert_eq!(store.tallies(None, at(0)).await.unwrap(), [tally]);
}

#[tokio::test]
async fn an_io_error_fails_the_whole_batch_and_the_next_one_works() {
    let disk = Disk::new();
    let store = disk.open().await;
    // A setting of this connection alone tells it from the next one.
    let mark = |write: &mut Write<'_>| {
        write.db.pragma_update(None, "cache_size", 77)?;
        Ok(())
    };
    store.writer.call(mark).await.unwrap();
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    let slot = store.writer.slot().await.unwrap();
    let first = slot.send(false, |write| accounts::create(write, "lost", false, at(0)));
    let failing = store
        .writer
        .slot()
        .await
        .unwrap()
        .send(false, |_| Err::<(), _>(broken(rusqlite::ffi::SQLITE_IOERR)));
    gate.wait();
    assert!(matches!(first.await.unwrap(), Err(StoreError::Engine(_))));
    assert!(matches!(failing.await.unwrap(), Err(StoreError::Engine(_))));
    assert!(store.account_list().await.unwrap().is_empty());
    assert!(store.account_create("kept", false, at(0)).await.unwrap().is_some());
    assert_eq!(store.account_list().await.unwrap().len(), 1);
    let size = |write: &mut Write<'_>| {
        Ok(write.db.query_row("PRAGMA cache_size", [], |row| row.get::<_, i64>(0))?)
    };
    assert_ne!(store.writer.call(size).await.unwrap(), 77, "the old connection is still in use");
}

#[tokio::test]
async fn urls_with_one_hash_are_still_told_apart() {
    let disk = Disk::new();
    let (_store, bed) = disk.bed().await;
    let keys = bed.submit(bed.account, &["a", "b"], at(0)).await;
    let (hash, key) = (url("a").hash64(), keys[1].0);
    let collide = "UPDATE job SET url_hash = ?1 WHERE key = ?2";
    assert_eq!(disk.foreign().execute(collide, [hash, key]).unwrap(), 1);
    let asked = [url("a")];
    let found = bed.store.job_infos_by_url(bed.account, &asked, at(0)).await.unwrap();
    assert_eq!(found[0].iter().map(|job| job.key).collect::<Vec<_>>(), keys[..1]);
    for expected in [
        CancelVerdict::Canceled(vec![keys[0]]),
        CancelVerdict::NotPending(keys[0], StateKind::Canceled),
    ] {
        let by = CancelBy::Urls(asked.to_vec());
        let verdicts = bed.store.job_cancel_pending(bed.account, by, at(1)).await.unwrap();
        assert_eq!(verdicts, [expected]);
    }
    assert_eq!(bed.kind(keys[1]).await, StateKind::Pending);
}

#[tokio::test]
async fn a_panic_in_a_verb_is_an_error_of_its_batch_alone() {
    let disk = Disk::new();
    let store = disk.open().await;
    let answer: StoreResult<()> = store.writer.call(|_| panic!("on purpose")).await;
    assert!(matches!(answer, Err(StoreError::Engine(_))), "{answer:?}");
    assert!(store.account_create("kept", false, at(0)).await.unwrap().is_some());
    let answer: StoreResult<()> = store.readers.read(|_| panic!("on purpose")).await;
    assert!(matches!(answer, Err(StoreError::Engine(_))), "{answer:?}");
    assert_eq!(store.account_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_caller_that_went_away_claims_nothing() {
    let disk = Disk::new();
    let (store, bed) = disk.bed().await;
    let key = bed.one(at(0)).await;
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    let mut claim = Box::pin(bed.claim(1, at(0)));
    assert!(futures_util::poll!(&mut claim).is_pending());
    drop(claim);
    gate.wait();
    bed.store.account_change("nobody", AccountChange::enabled(true)).await.unwrap();
    assert_eq!(bed.kind(key).await, StateKind::Pending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_and_a_foreign_process_never_see_busy() {
    let disk = Disk::new();
    let (_store, bed) = disk.bed().await;
    // Two stores on one file, as `haulage key create` beside `haulage serve`.
    let foreign: Arc<dyn Store> = disk.open().await;
    let tasks = Tasks::new();
    let mut writers = Vec::new();
    for n in 0..8 {
        let bed = bed.clone();
        writers.push(tasks.spawn("writer", async move {
            for i in 0..40 {
                let key = bed.submit(bed.account, &["a", "b"], at(i)).await[0];
                if n % 2 == 0 {
                    bed.cancel(key, at(i)).await;
                } else {
                    drop(bed.claim(1, at(i)).await);
                }
            }
        }));
    }
    writers.push(tasks.spawn("foreign", async move {
        for i in 0..100 {
            foreign.account_create(&format!("x{i}"), false, at(0)).await.unwrap().unwrap();
        }
    }));
    for writer in writers {
        writer.await.unwrap().expect("no writer meets an error");
    }
    assert_eq!(bed.store.account_list().await.unwrap().len(), 102);
    let stats = bed.store.stats().await.unwrap();
    let page = crate::store::PageRequest {
        account: Some(bed.account),
        limit: 1_000,
        ..crate::store::PageRequest::default()
    };
    let jobs = bed.store.job_page(page).await.unwrap().jobs;
    let count = |kind| jobs.iter().filter(|job| job.progress.state.kind() == kind).count() as u64;
    assert_eq!(jobs.len(), 640);
    assert_eq!(
        (stats.pending, stats.running),
        (count(StateKind::Pending), count(StateKind::Running))
    );
}

#[tokio::test]
async fn a_foreign_write_waits_for_ours_and_cannot_fail_it() {
    let disk = Disk::new();
    let store = disk.open().await;
    let path = disk.path();
    let answer = store.writer.call(move |write| {
        // A verb that reads before it writes, and a foreign process that comes in between.
        let accounts = accounts::list(write.db)?;
        assert!(accounts.is_empty());
        let foreign = rusqlite::Connection::open(&path)?;
        foreign.busy_timeout(std::time::Duration::ZERO)?;
        let insert = "INSERT INTO account (name, enabled, created) VALUES ('foreign', 1, 0)";
        let busy = foreign.execute(insert, []).map_err(Failure::from);
        assert!(matches!(&busy, Err(failure) if failure.is_busy()), "{busy:?}");
        accounts::create(write, "ours", false, at(0))
    });
    assert!(answer.await.unwrap().is_some());
}

/// The reply of a command: it did what it should.
type Done = tokio::sync::oneshot::Receiver<StoreResult<()>>;

#[tokio::test]
async fn of_takers_that_wait_for_the_writer_exactly_one_is_first() {
    let disk = Disk::new();
    let store = disk.open().await;
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    // Fill the queue, so that the takers wait between looking and taking.
    let mut queued: Vec<Done> = Vec::new();
    while let std::task::Poll::Ready(slot) = futures_util::poll!(Box::pin(store.writer.slot())) {
        queued.push(slot.unwrap().send(false, |_| Ok(())));
    }
    let nonce = Nonce { access_key_id: "K", value: "n", expires: at(1_000), now: at(0) };
    let takers = futures_util::future::join_all((0..100).map(|_| store.nonce_take(nonce)));
    let mut takers = Box::pin(takers);
    assert!(futures_util::poll!(&mut takers).is_pending());
    gate.wait();
    let uses = takers.await;
    let fresh = uses.iter().filter(|used| matches!(used, Ok(NonceUse::Fresh(_)))).count();
    assert_eq!(fresh, 1);
    for done in queued {
        done.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_does_not_fit_together_is_tried_one_by_one() {
    let disk = Disk::new();
    let store = disk.open().await;
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    let slot = store.writer.slot().await.unwrap();
    let small = slot.send(false, |write| accounts::create(write, "small", false, at(0)));
    let large = store.writer.slot().await.unwrap().send(false, |write| {
        // What SQLite does when a page does not fit: it gives the whole transaction up.
        write.db.execute_batch("ROLLBACK")?;
        Err::<(), _>(broken(rusqlite::ffi::SQLITE_FULL))
    });
    gate.wait();
    assert!(matches!(large.await.unwrap(), Err(StoreError::Full)));
    assert!(small.await.unwrap().unwrap().is_some());
    assert_eq!(store.account_list().await.unwrap().len(), 1);
}

/// Limits the file to its present size plus `more` pages, or lifts the limit.
async fn limit_pages(store: &SqliteStore, more: Option<i64>) {
    let set = move |write: &mut Write<'_>| {
        let read = |sql: &str| write.db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let now = read("PRAGMA page_count")?;
        let limit = more.map_or(i64::from(u32::MAX - 1), |more| now + more);
        read(&format!("PRAGMA max_page_count = {limit}"))?;
        Ok(())
    };
    store.writer.call(set).await.unwrap();
}

#[tokio::test]
async fn on_a_full_disk_submits_are_refused_and_the_rest_goes_on() {
    let disk = Disk::new();
    let (store, bed) = disk.bed().await;
    let kept = bed.submit(bed.account, &["a"; 20], at(0)).await;
    limit_pages(&store, Some(2)).await;
    let mut accepted = kept.len();
    let refused = loop {
        let call = submission(bed.account, vec![new_job("b"); 20], at(1));
        match bed.store.job_submit(call).await {
            Ok(Submitted::Accepted(keys)) => accepted += keys.len(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(accepted < 10_000, "the limit has no effect");
    };
    assert!(matches!(refused, StoreError::Full), "{refused}");
    // A cancel that shares its batch with a submission that does not fit.
    let tasks = Tasks::new();
    let gate = hold(&store, &tasks).await;
    let (store_2, account) = (Arc::clone(&bed.store), bed.account);
    let too_much = tasks.spawn("submit", async move {
        store_2.job_submit(submission(account, vec![new_job("c"); 500], at(1))).await
    });
    let (bed_2, key) = (bed.clone(), kept[0]);
    let cancel = tasks.spawn("cancel", async move { bed_2.cancel(key, at(1)).await });
    tokio::task::yield_now().await;
    gate.wait();
    let too_much = too_much.await.unwrap().unwrap();
    assert!(matches!(too_much, Err(StoreError::Full)), "{too_much:?}");
    assert_eq!(cancel.await.unwrap().unwrap(), CancelVerdict::Canceled(vec![kept[0]]));
    assert_eq!(bed.kind(kept[1]).await, StateKind::Pending);
    let stats = bed.store.stats().await.unwrap();
    assert_eq!(stats.pending, accepted as u64 - 1, "nothing lost, nothing half done");
    // Room again: no restart.
    limit_pages(&store, None).await;
    bed.submit(bed.account, &["d"; 20], at(2)).await;
    let claim = bed.claim_one(at(2)).await;
    bed.finish(claim, success(), at(3)).await;
}

#[test]
fn failures_are_told_apart() {
    let full = broken(rusqlite::ffi::SQLITE_FULL);
    assert!(full.is_full() && !full.spoils_the_connection());
    assert!(matches!(full.to_store_error(), StoreError::Full));
    for code in [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_CORRUPT] {
        assert!(broken(code).spoils_the_connection());
    }
    assert!(!broken(rusqlite::ffi::SQLITE_CONSTRAINT).spoils_the_connection());
    assert!(broken(rusqlite::ffi::SQLITE_BUSY).is_busy());
    let code = SqliteCode::new(rusqlite::ffi::SQLITE_BUSY_SNAPSHOT).code;
    assert_eq!(code, ErrorCode::DatabaseBusy);
}
