//! Databases of older versions.

use std::collections::BTreeMap;

use refinery::{Migration, Runner};

use super::Disk;
use crate::domain::account::{AccountId, Weight};
use crate::domain::attempt::Ending;
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::media::DEFAULT_LOCATION;
use crate::domain::priority::Priority;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::store::conformance::bed::{EVER, at, object, refusal, request, retention, url};
use crate::store::{
    CancelBy, ClaimRequest, Desk, Finish, HostPlaces, MediaLookup, MediaRef, PageRequest, Replaced,
    Replacement, Store,
};

/// Two accounts, a job in each state (its key is its state's number plus one), and one of
/// everything else, as version 1 wrote them.
const ROWS_OF_VERSION_1: &str = r#"
    INSERT INTO account (id, name, enabled, created) VALUES (3, 'first', 1, 10), (7, 'second', 0, 11);
    INSERT INTO access_key (id, account, sealed_secret, enabled, created) VALUES ('K', 3, x'00ff', 1, 12);
    INSERT INTO nonce (expires, hash) VALUES (9000000000000, x'000102030405060708090a0b0c0d0e0f');
    INSERT INTO session (account, id, fingerprint, keys, expires) VALUES (3, 's', x'01', '[1]', 9000000000000);
    INSERT INTO quota (day, account, calls) VALUES (20833, 3, 5);
    INSERT INTO job (key, account, state, attempt, rescues, token, due, lease_until, phase, bytes,
        created, deadline, finished, url_hash, reference_id, fault_code, fault_message, url, request)
    VALUES
        (1, 3, 0, 0, 0, 0, 20, NULL, 0, 0, 20, 99, NULL, 5, 'r', NULL, NULL, 'http://h/0', '{"title":"a"}'),
        (2, 3, 1, 1, 0, 1, NULL, 50, 1, 7, 20, 99, NULL, 5, NULL, NULL, NULL, 'http://h/1', '{}'),
        (3, 3, 2, 1, 1, 2, 60, NULL, 0, 0, 20, 99, NULL, 5, NULL, NULL, NULL, 'http://h/2', '{}'),
        (4, 7, 3, 1, 0, 1, NULL, NULL, 4, 4096, 20, 99, 70, 5, NULL, NULL, NULL, 'http://h/3', '{}'),
        (5, 7, 4, 1, 0, 1, NULL, NULL, 1, 3, 20, 99, 71, 5, NULL, 'URLInvalidError.Empty', 'm', 'http://h/4', '{}'),
        (6, 7, 5, 0, 0, 0, NULL, NULL, 0, 0, 20, 99, 72, 5, NULL, NULL, NULL, 'http://h/5', '{}');
    INSERT INTO media (key, account, created, title, media_type, format, content_type, object_key, size, sha256, crc64)
    VALUES (4, 7, 70, 't', 0, 'mp4', 'video/mp4', 'a/4096', 4096, 'ab', -1);
"#;

/// The states that there were before version 3, in the order of a page.
fn states_of_old() -> Vec<StateKind> {
    let all = StateKind::ALL.into_iter().rev();
    all.filter(|kind| *kind != StateKind::AwaitingUrl).collect()
}

fn version_1(disk: &Disk) {
    let sql = include_str!("../migrations/V1__initial.sql");
    let initial = Migration::unapplied("V1__initial", sql).unwrap();
    let mut db = disk.foreign();
    Runner::new(&[initial]).run(&mut db).unwrap();
    db.execute_batch(ROWS_OF_VERSION_1).unwrap();
}

#[tokio::test]
async fn a_database_of_version_1_keeps_every_row() {
    let disk = Disk::new();
    version_1(&disk);
    let store = disk.open().await;

    let accounts = store.account_list().await.unwrap();
    let seen: Vec<_> =
        accounts.iter().map(|a| (a.id.0, a.name.as_str(), a.enabled, a.operator)).collect();
    assert_eq!(seen, [(3, "first", true, true), (7, "second", false, false)]);
    let (key, account) = store.key_find("K").await.unwrap().unwrap();
    assert_eq!((key.sealed_secret, account.operator), (vec![0, 255], true));

    let all = PageRequest { limit: 9, ..PageRequest::default() };
    let jobs = store.job_page(all).await.unwrap().jobs;
    let kinds: Vec<StateKind> = jobs.iter().map(|job| job.progress.state.kind()).collect();
    assert_eq!(kinds, states_of_old());
    assert!(jobs.iter().all(|job| job.claimed.is_none() && job.created == Timestamp(20)));
    assert_eq!(jobs[5].request.title, "a");
    for kind in states_of_old() {
        let of_state = PageRequest { states: vec![kind], limit: 9, ..PageRequest::default() };
        let found = store.job_page(of_state).await.unwrap().jobs;
        assert_eq!(found.iter().map(|job| job.key.0).collect::<Vec<_>>(), [kind as i64 + 1]);
    }
    let fault = Some("URLInvalidError.Empty".to_owned());
    let of_fault = PageRequest { fault, limit: 9, ..PageRequest::default() };
    assert_eq!(store.job_page(of_fault).await.unwrap().jobs[0].key, Key(5));

    let found = store.media_find(AccountId(7), MediaRef::Key(Key(4))).await.unwrap();
    let MediaLookup::Stored(media) = found else { panic!("{found:?}") };
    assert_eq!((media.object.location.as_str(), media.object.md5), (DEFAULT_LOCATION, None));
    assert_eq!((media.object.size, media.object.crc64), (4_096, u64::MAX));

    let keys: Vec<Key> = (1..=6).map(Key).collect();
    assert_eq!(store.job_attempts(&keys).await.unwrap(), []);
    assert_eq!(store.tallies(None, EVER).await.unwrap(), []);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.pending, stats.running, stats.waiting), (1, 1, 1));
    let queues = store.queues().await.unwrap();
    assert_eq!((queues.len(), queues[0].account, queues[0].pending), (1, AccountId(3), 1));
}

#[tokio::test]
async fn jobs_of_an_older_version_are_claimed_in_their_old_order() {
    let disk = Disk::new();
    version_1(&disk);
    let db = disk.foreign();
    db.execute_batch(
        "INSERT INTO job (key, account, state, attempt, rescues, token, due, phase, bytes, created,
            deadline, url_hash, url, request)
        VALUES (7, 7, 0, 0, 0, 0, 30, 0, 0, 30, 99, 5, 'http://h/6', '{}'),
            (8, 3, 0, 0, 0, 0, 40, 0, 0, 40, 99, 5, 'http://h/7', '{}')",
    )
    .unwrap();
    let store = disk.open().await;
    let accounts = store.account_list().await.unwrap();
    assert!(accounts.iter().all(|a| a.weight == Weight::default() && !a.paused));
    // Nothing is known of their hosts, so none counts as full.
    let hosts = HostPlaces { per_host: 1, used: BTreeMap::from([(HostId::of("h"), 1)]) };
    let request = ClaimRequest { hosts, ..request(9, Timestamp(100)) };
    let claims = store.job_claim(request).await.unwrap();
    let claimed: Vec<i64> = claims.iter().map(|claim| claim.job().key.0).collect();
    // Of account 3 what is pending since 20 and 40 and due again at 60; account 7's in its turn.
    assert_eq!(claimed, [1, 7, 8, 3]);
    assert!(claims.iter().all(|claim| claim.job().request.priority == Priority::Normal));
}

#[tokio::test]
async fn a_database_of_version_1_works_on() {
    let disk = Disk::new();
    version_1(&disk);
    let store = disk.open().await;
    // When the running job was claimed is not known; it was not before it was accepted.
    assert_eq!(store.job_expire(at(0), 9, true).await.unwrap(), 1);
    let attempts = store.job_attempts(&[Key(2)]).await.unwrap().remove(0).1;
    assert_eq!((attempts[0].started, attempts[0].ending), (Timestamp(20), Ending::Expired));
    let by = CancelBy::Keys(vec![Key(1)]);
    store.job_cancel_pending(AccountId(3), by, at(0)).await.unwrap();
    assert_eq!(store.tallies(None, EVER).await.unwrap().len(), 1);
    // The failed and the cancelled job, the session, and the newly cancelled one stays.
    let gone = store.purge(retention(Timestamp(9_100_000_000_000), Timestamp(80))).await.unwrap();
    assert_eq!(gone, 2 + 1 + 1 + 1, "two jobs, a nonce, a session and a tally");
    assert_eq!(
        store.media_object(Key(4)).await.unwrap().map(|(o, _)| o.size),
        Some(object(4_096).size)
    );
    store.close().await.unwrap();
    drop(store);
    let again = disk.open().await;
    assert_eq!(again.account_list().await.unwrap().len(), 2);
}

/// What version 2 added to the rows of version 1: an attempt of each kind, a tally, a session.
const ROWS_OF_VERSION_2: &str = r#"
    UPDATE job SET claimed = 40 WHERE key = 2;
    INSERT INTO attempt (job, token, number, started, ended, ending, bytes, fault_code, fault_message)
    VALUES
        (3, 1, 1, 30, 31, 1, 5, 'URLInvalidError.Stalled', 'm'), (3, 2, 1, 40, 41, 4, 6, NULL, NULL),
        (4, 1, 1, 50, 70, 2, 4096, NULL, NULL), (5, 1, 1, 50, 71, 3, 3, 'URLInvalidError.Empty', 'm');
    INSERT INTO tally (minute, account, what, code, jobs, bytes, millis) VALUES (0, 7, 1, '', 1, 4096, 50);
    INSERT INTO console_session (hash, access_key_id, created, expires)
    VALUES (zeroblob(32), 'K', 80, 9000000000000);
"#;

fn version_2(disk: &Disk) {
    version_1(disk);
    let sql = include_str!("../migrations/V2__console.sql");
    let first = include_str!("../migrations/V1__initial.sql");
    let initial = Migration::unapplied("V1__initial", first).unwrap();
    let console = Migration::unapplied("V2__console", sql).unwrap();
    let mut db = disk.foreign();
    Runner::new(&[initial, console]).run(&mut db).unwrap();
    db.execute_batch(ROWS_OF_VERSION_2).unwrap();
}

/// Every row of every table, as text.
fn rows(db: &rusqlite::Connection, tables: &[(&str, &str)]) -> Vec<String> {
    let mut out = Vec::new();
    for (table, columns) in tables {
        let query = format!("SELECT json_array({columns}) FROM {table} ORDER BY 1");
        let mut statement = db.prepare(&query).unwrap();
        let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        out.extend(found.map(|row| format!("{table} {}", row.unwrap())));
    }
    out
}

#[tokio::test]
async fn a_database_of_version_2_keeps_every_row_and_is_sound() {
    let disk = Disk::new();
    version_2(&disk);
    let tables = [
        (
            "job",
            "key, account, state, attempt, rescues, token, due, lease_until, phase, bytes, created, \
             deadline, finished, url_hash, reference_id, fault_code, fault_message, url, request, \
             claimed",
        ),
        ("attempt", "job, token, number, started, ended, ending, bytes, fault_code, fault_message"),
        ("media", "key, account, created, title, size, hex(sha256), crc64, location"),
        ("tally", "minute, account, what, code, jobs, bytes, millis"),
        ("queue", "account, pending, running, waiting"),
        ("console_session", "hex(hash), access_key_id, created, expires"),
        ("session", "account, id, hex(fingerprint), keys, expires"),
        ("quota", "day, account, calls"),
    ];
    // A connection that has read the schema before, as another process of the old version has.
    let old = disk.foreign();
    let before = rows(&old, &tables);
    assert_eq!(before.len(), 6 + 4 + 1 + 1 + 2 + 1 + 1 + 1);
    let store = disk.open().await;
    assert_eq!(rows(&old, &tables), before);
    let fresh = disk.foreign();
    assert_eq!(rows(&fresh, &tables), before);
    for db in [&old, &fresh] {
        let check = |pragma: &str| -> Vec<String> {
            let mut statement = db.prepare(pragma).unwrap();
            let lines = statement.query_map([], |row| row.get(0)).unwrap();
            lines.collect::<Result<_, _>>().unwrap()
        };
        assert_eq!(check("PRAGMA integrity_check"), ["ok"]);
        assert!(check("PRAGMA foreign_key_check").is_empty());
        // The rules hold for whoever writes: those of old, and the new one.
        for (change, taken) in [
            ("UPDATE job SET state = 6, due = NULL WHERE key = 3", false),
            ("UPDATE job SET state = 7, due = NULL WHERE key = 3", false),
            ("UPDATE job SET finished = 1 WHERE key = 3", false),
            ("UPDATE job SET bytes = 1 WHERE key = 4", false),
            ("UPDATE job SET bytes = 1 WHERE key = 5", false),
            ("UPDATE job SET bytes = 1 WHERE key = 6", false),
            (
                "UPDATE job SET state = 6, due = NULL, halt_code = 'URLInvalidError.HttpStatus', \
                 halt_message = 'm' WHERE key = 3",
                true,
            ),
            (
                "UPDATE job SET state = 2, due = 60, halt_code = NULL, halt_message = NULL \
                 WHERE key = 3",
                true,
            ),
        ] {
            assert_eq!(db.execute_batch(change).is_ok(), taken, "{change}");
        }
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.pending, stats.running, stats.waiting, stats.awaiting), (1, 1, 1, 0));
    let jobs =
        store.job_page(PageRequest { limit: 9, ..PageRequest::default() }).await.unwrap().jobs;
    let kinds: Vec<StateKind> = jobs.iter().map(|job| job.progress.state.kind()).collect();
    assert_eq!(kinds, states_of_old());
    assert!(jobs.iter().all(|job| job.progress.renewals == 0));
}

#[tokio::test]
async fn a_job_of_a_database_of_version_2_can_await_a_url() {
    let disk = Disk::new();
    version_2(&disk);
    let store = disk.open().await;
    let claims = store.job_claim(request(9, Timestamp(90))).await.unwrap();
    assert_eq!(claims.len(), 2);
    for claim in claims {
        let halted = store.job_halt(claim, refusal(), 9, Timestamp(91)).await.unwrap();
        assert_eq!(halted, Finish::Recorded);
    }
    let (account, key, url) = (AccountId(3), Key(3), url("b"));
    let replacement = Replacement { account, key, url, sealed_headers: None };
    let replaced = store.job_replace_url(replacement, Timestamp(92)).await.unwrap();
    assert_eq!(replaced, Replaced::Renewed);
    assert_eq!(store.job_lapse(Timestamp(99), 9).await.unwrap(), 1);
    let attempts = store.job_attempts(&[Key(3)]).await.unwrap().remove(0).1;
    assert_eq!(attempts.len(), 3, "those of version 2 are still there");
}
