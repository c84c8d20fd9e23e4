//! How pages are walked: by which index, and within which budget.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rusqlite::params_from_iter;

use super::super::pages;
use super::Disk;
use crate::domain::account::AccountId;
use crate::domain::fault::{FaultClass, JobFault};
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::store::conformance::bed::{Bed, at, success};
use crate::store::memory::MemoryStore;
use crate::store::{JobPage, Outcome, PageRequest, Store};

const FAULTS: [FaultClass; 2] = [FaultClass::Empty, FaultClass::Stalled];

/// Every combination of filters that there is or is not.
fn shapes() -> Vec<PageRequest> {
    let mut shapes = Vec::new();
    for bits in 0..32u8 {
        let has = |bit: u8| bits & (1 << bit) != 0;
        let base = PageRequest {
            account: has(0).then_some(AccountId(1)),
            fault: has(1).then(|| FaultClass::Empty.code().to_owned()),
            url_contains: has(2).then(|| "x".to_owned()),
            since: has(3).then_some(at(0)),
            until: has(4).then_some(at(9)),
            limit: 20,
            ..PageRequest::default()
        };
        for states in [vec![], vec![StateKind::Failed], StateKind::ALL.to_vec()] {
            shapes.push(PageRequest { states, ..base.clone() });
        }
    }
    shapes
}

#[tokio::test]
async fn every_shape_of_a_page_walks_an_index_of_its_hits_in_order() {
    let disk = Disk::new();
    disk.open().await;
    let db = disk.foreign();
    for request in shapes() {
        let statement = pages::statement(&request);
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let none = vec![None::<i64>; explain.parameter_count()];
        let plan: Vec<String> = explain
            .query_map(params_from_iter(none), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let [plan] = &plan[..] else { panic!("{request:?}: {plan:?}") };
        // A search within a range of keys, and not a word about sorting.
        assert!(plan.starts_with("SEARCH job USING"), "{request:?}: {plan}");
        assert!(plan.ends_with("rowid>? AND rowid<?)"), "{request:?}: {plan}");
        let of_states = !request.states.is_empty() && request.states.len() < StateKind::ALL.len();
        let chosen = [
            ("account=?", request.account.is_some() || request.fault.is_some() || of_states),
            ("fault_code=?", request.fault.is_some()),
        ];
        for (term, wanted) in chosen {
            assert_eq!(plan.contains(term), wanted, "{request:?}: {plan}");
        }
    }
}

/// What one job is: its account, its URL, what becomes of it.
type Made = (bool, u8, u8);

/// The same jobs in a store; one millisecond lies between two of them, unless they are twins.
async fn fill(bed: &Bed, jobs: &[Made]) {
    for (i, (first, path, _)) in jobs.iter().enumerate() {
        let account = if *first { bed.account } else { bed.other };
        bed.submit(account, &[&format!("{}", path % 4)], at(i as i64 / 2)).await;
    }
    let mut made = jobs.iter().map(|(_, _, end)| *end);
    let keys: Vec<Key> = {
        let all = PageRequest { limit: 1_000, ..PageRequest::default() };
        let mut jobs = bed.store.job_page(all).await.unwrap().jobs;
        jobs.reverse();
        jobs.into_iter().map(|job| job.key).collect()
    };
    let ends: std::collections::HashMap<Key, u8> = keys.into_iter().zip(&mut made).collect();
    for claim in bed.claim(jobs.len() / 2, at(1_000)).await {
        match ends[&claim.job().key] % 5 {
            0 => bed.finish(claim, success(), at(1_001)).await,
            n @ (1 | 2) => {
                let fault = JobFault::new(FAULTS[usize::from(n) - 1], "m");
                bed.finish(claim, Outcome::Failure(fault), at(1_001)).await;
            }
            3 => drop(bed.put_off(claim, at(2_000)).await),
            _ => {}
        }
    }
}

fn request() -> impl Strategy<Value = PageRequest> {
    let maybe = |most: i64| prop::option::of(0..most);
    (
        prop::option::of(1i64..4),
        prop::collection::vec(0usize..6, 0..4),
        prop::option::weighted(0.3, 0usize..2),
        prop::option::of("[0-4]|/|e/|"),
        (maybe(20), maybe(20)),
        1usize..5,
    )
        .prop_map(|(account, states, fault, url_contains, (since, until), limit)| {
            PageRequest {
                account: account.map(AccountId),
                states: states.into_iter().map(|n| StateKind::ALL[n]).collect(),
                fault: fault.map(|n| FAULTS[n].code().to_owned()),
                url_contains,
                since: since.map(at),
                until: until.map(at),
                before: None,
                limit,
            }
        })
}

/// Walks a list to its end; the keys in order.
fn walk(request: &PageRequest, budget: usize, page: impl Fn(PageRequest) -> JobPage) -> Vec<Key> {
    let mut request = request.clone();
    let mut keys = Vec::new();
    for _ in 0..1_000 {
        let found = page(request.clone());
        assert!(found.jobs.len() <= request.limit.min(budget));
        keys.extend(found.jobs.iter().map(|job| job.key));
        match found.next {
            Some(next) => request.before = Some(next),
            None => return keys,
        }
    }
    panic!("the list does not end");
}

#[test]
fn a_search_that_stops_goes_on_without_losing_or_repeating_a_job() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let config = Config {
        cases: 40,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_170_321),
        max_shrink_iters: 300,
        ..Config::default()
    };
    let jobs = prop::collection::vec(any::<Made>(), 0..40);
    let input = (jobs, prop::collection::vec((request(), 1usize..8), 1..30));
    let outcome = TestRunner::new(config).run(&input, |(jobs, lists)| {
        let disk = Disk::new();
        let (model, suspect) = runtime.block_on(async {
            let model = std::sync::Arc::new(MemoryStore::new());
            fill(&Bed::new(model.clone()).await, &jobs).await;
            let suspect = disk.open().await;
            fill(&Bed::new(suspect.clone()).await, &jobs).await;
            (model, suspect)
        });
        for (request, budget) in lists {
            // All in one page, by the model.
            let whole = PageRequest { limit: 1_000, ..request.clone() };
            let expected: Vec<Key> =
                model.page_within(&whole, usize::MAX).jobs.iter().map(|job| job.key).collect();
            let given = walk(&request, budget, |request| {
                let read = suspect.readers.read(move |db| pages::page(db, &request, budget));
                runtime.block_on(read).unwrap()
            });
            prop_assert_eq!(&given, &expected, "{:?} within {}", &request, budget);
            let modelled = walk(&request, budget, |request| model.page_within(&request, budget));
            prop_assert_eq!(modelled, expected, "the model: {:?} within {}", request, budget);
        }
        runtime.block_on(suspect.close()).unwrap();
        Ok(())
    });
    outcome.unwrap();
}
