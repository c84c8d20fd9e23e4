//! Pages of a million jobs, by every kind of filter, straight from the store.

use std::path::Path;
use std::time::Instant;

use haulage::domain::job::StateKind;
use haulage::store::sqlite::SqliteStore;
use haulage::store::{Desk, PageRequest, Store};

use crate::server::fill_with_history;
use crate::{median, p99};

const JOBS: usize = 1_000_000;
const ACCOUNTS: usize = 1_000;
/// Pages of one kind.
const PAGES: usize = 200;

/// Milliseconds for pages of 20 jobs.
pub async fn lists() {
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    fill_with_history(dir.path(), ACCOUNTS, JOBS).await;
    println!(
        "\npages of 20 of {JOBS} jobs of {ACCOUNTS} accounts ({:.0?} to fill)",
        began.elapsed()
    );
    let store = SqliteStore::open(&dir.path().join("haulage.db")).await.unwrap();
    let account = store.account_list().await.unwrap()[0].id;
    let any = || PageRequest { limit: 20, ..PageRequest::default() };
    let failed = || PageRequest { states: vec![StateKind::Failed], ..any() };
    let fault = || PageRequest { fault: Some("StorageError".into()), ..any() };
    let nowhere = |request: PageRequest| PageRequest {
        url_contains: Some("nowhere-to-be-found".into()),
        ..request
    };
    let own = |request: PageRequest| PageRequest { account: Some(account), ..request };
    let shapes = [
        ("all", any()),
        ("one account", own(any())),
        ("failed", failed()),
        ("failed, one account", own(failed())),
        ("one fault", fault()),
        ("one fault, one account", own(fault())),
        ("a URL that is not there", nowhere(any())),
        ("such a URL, one account", nowhere(own(any()))),
        ("such a URL, failed", nowhere(failed())),
        ("such a URL, one fault", nowhere(fault())),
    ];
    for (name, request) in shapes {
        let times = times(&store, request).await;
        println!("  {name:28} p50 {:6.2} ms, p99 {:6.2} ms", median(times.clone()), p99(times));
    }
    let began = Instant::now();
    let queues = store.queues().await.unwrap().len();
    println!("  {:28} {:10.2?}", format!("{queues} queues"), began.elapsed());
    let began = Instant::now();
    let since = haulage::door::Clock::System.now() - haulage::store::TALLIES_KEPT;
    let tallies = store.tallies(None, since).await.unwrap().len();
    println!("  {:28} {:10.2?}", format!("{tallies} tallies"), began.elapsed());
    store.close().await.unwrap();
    described(dir.path());
}

/// Walks a list; begins anew at its end.
async fn times(store: &SqliteStore, mut request: PageRequest) -> Vec<f64> {
    let mut times = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let began = Instant::now();
        let page = store.job_page(request.clone()).await.unwrap();
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
        request.before = page.next;
    }
    times
}

fn described(dir: &Path) {
    let size = std::fs::metadata(dir.join("haulage.db")).unwrap().len();
    println!("  the database takes {} bytes for each job", size / JOBS as u64);
}
