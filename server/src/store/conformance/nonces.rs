//! Nonces: used once.

use std::sync::Arc;

use tokio::sync::Barrier;

use super::bed::{Bed, START, at, retention, submission};
use crate::domain::time::Timestamp;
use crate::run::tasks::Tasks;
use crate::store::{Nonce, NonceUse, Session, Store, Submission};

pub(super) fn nonce(value: &str, now: Timestamp, expires: Timestamp) -> Nonce<'_> {
    Nonce { access_key_id: "K1", value, expires, now }
}

async fn take(store: &Arc<dyn Store>, nonce: Nonce<'_>) -> bool {
    match store.nonce_take(nonce).await.unwrap() {
        NonceUse::Replayed => false,
        NonceUse::Fresh(written) => {
            written.await.unwrap();
            true
        }
    }
}

pub(super) async fn of_a_hundred_racing_takers_exactly_one_is_first(store: Arc<dyn Store>) {
    let tasks = Tasks::new();
    for round in 0..20 {
        let start = Arc::new(Barrier::new(100));
        let racers: Vec<_> = (0..100)
            .map(|_| {
                let (store, start) = (Arc::clone(&store), Arc::clone(&start));
                tasks.spawn("racer", async move {
                    let value = format!("n{round}");
                    start.wait().await;
                    take(&store, nonce(&value, at(0), at(60_000))).await
                })
            })
            .collect();
        let mut first = 0;
        for racer in racers {
            first += usize::from(racer.await.unwrap().unwrap());
        }
        assert_eq!(first, 1, "round {round}");
    }
}

pub(super) async fn a_nonce_is_used_up_for_its_window_and_its_key(store: Arc<dyn Store>) {
    let expires = at(100_000);
    let used = |now| nonce("n", now, expires);
    assert!(!store.nonce_seen(used(at(0))).await.unwrap());
    assert!(take(&store, used(at(0))).await);
    for now in [at(0), at(99_999), Timestamp(START - 1_000)] {
        assert!(store.nonce_seen(used(now)).await.unwrap());
        assert!(!take(&store, used(now)).await);
    }
    let other = Nonce { access_key_id: "K2", ..used(at(0)) };
    assert!(!store.nonce_seen(other).await.unwrap());
    assert!(take(&store, other).await);
    // Looking is not using.
    assert!(!store.nonce_seen(nonce("m", at(0), expires)).await.unwrap());
    assert!(take(&store, nonce("m", at(0), expires)).await);
    // The window is over.
    let again = nonce("n", expires, at(900_000));
    assert!(!store.nonce_seen(again).await.unwrap());
    assert!(take(&store, again).await);
    assert!(!take(&store, again).await);
}

pub(super) async fn purge_forgets_expired_nonces_and_sessions(store: Arc<dyn Store>) {
    let bed = Bed::new(Arc::clone(&store)).await;
    for i in 0..5 {
        assert!(take(&store, nonce(&format!("short{i}"), at(0), at(1_000))).await);
    }
    assert!(take(&store, nonce("long", at(0), at(600_000))).await);
    let window = std::time::Duration::from_secs(60);
    let session = Some(Session { id: "s".to_owned(), fingerprint: [0; 32], window });
    let call = Submission { session, ..submission(bed.account, Vec::new(), at(0)) };
    store.job_submit(call).await.unwrap();
    let small = |now| crate::store::Retention { batch: 3, ..retention(now, at(0)) };
    assert_eq!(store.purge(small(at(999))).await.unwrap(), 0);
    // Three nonces and the session, then the other two.
    assert_eq!(store.purge(small(at(120_000))).await.unwrap(), 4);
    assert_eq!(store.purge(small(at(120_000))).await.unwrap(), 2);
    assert_eq!(store.purge(small(at(120_000))).await.unwrap(), 0);
    assert!(store.nonce_seen(nonce("long", at(120_000), at(600_000))).await.unwrap());
}
