//! Pages by their filters, and searches that stop.

use std::sync::Arc;

use super::bed::{Bed, at, failure, fault, new_job, submission, success};
use crate::domain::fault::{FaultClass, JobFault};
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::store::{Outcome, PageRequest, SCATTERED_BUDGET, SEARCH_BUDGET, Store, Submitted};

/// All keys of a list, page by page.
async fn walk(store: &dyn Store, request: PageRequest) -> Vec<Key> {
    let mut request = request;
    let mut keys = Vec::new();
    loop {
        let page = store.job_page(request.clone()).await.unwrap();
        assert!(page.jobs.len() <= request.limit);
        keys.extend(page.jobs.iter().map(|job| job.key));
        match page.next {
            Some(next) => request.before = Some(next),
            None => return keys,
        }
    }
}

pub(super) async fn every_filter_of_a_page_leaves_the_others_out(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let (a, b) = (bed.account, bed.other);
    let old = bed.submit(a, &["x/Cat.mp4", "x/dog.mp4"], at(0)).await;
    let new = bed.submit(b, &["x/cat.mp4"], at(100)).await;
    let newest = bed.submit(a, &["x/cat.mp4"], at(200)).await;
    let stalled = JobFault::new(FaultClass::Stalled, "too slow");
    for claim in bed.claim(3, at(200)).await {
        let outcome = match claim.job().key {
            key if key == old[0] => failure(),
            key if key == new[0] => Outcome::Failure(stalled.clone()),
            _ => success(),
        };
        bed.finish(claim, outcome, at(201)).await;
    }
    let (cat, dog, other, last) = (old[0], old[1], new[0], newest[0]);
    let any = || PageRequest { limit: 1, ..PageRequest::default() };
    let part = |part: &str| PageRequest { url_contains: Some(part.to_owned()), ..any() };
    let of_fault =
        |class: FaultClass| PageRequest { fault: Some(class.code().to_owned()), ..any() };
    let states = |states: &[StateKind]| PageRequest { states: states.to_vec(), ..any() };
    let of = |account, request: PageRequest| PageRequest { account: Some(account), ..request };
    use StateKind::{Failed, Pending, Succeeded};
    let empty = fault().class;
    let stalled = FaultClass::Stalled;
    let cases = [
        ("all", any(), vec![last, other, dog, cat]),
        ("one account", of(a, any()), vec![last, dog, cat]),
        ("states of all", states(&[Pending, Failed]), vec![last, other, cat]),
        ("states of one", of(b, states(&[Pending, Failed])), vec![other]),
        ("every state", states(&StateKind::ALL), vec![last, other, dog, cat]),
        ("a fault of all", of_fault(stalled), vec![other]),
        ("a fault of one", of(a, of_fault(empty)), vec![cat]),
        ("a fault of the other", of(a, of_fault(stalled)), vec![]),
        ("an unknown fault", PageRequest { fault: Some("None".to_owned()), ..any() }, vec![]),
        ("no code", PageRequest { fault: Some(String::new()), ..any() }, vec![]),
        (
            "a fault of other states",
            PageRequest { states: vec![Pending, Succeeded], ..of_fault(empty) },
            vec![],
        ),
        (
            "a fault among states",
            PageRequest { states: vec![Pending, Failed], ..of_fault(empty) },
            vec![cat],
        ),
        ("a part", part("/cat"), vec![last, other]),
        ("a part of one", of(a, part("/cat")), vec![last]),
        ("a part in capitals", part("/Cat"), vec![cat]),
        ("not a pattern", part("x%c"), vec![]),
        ("the empty part", part(""), vec![last, other, dog, cat]),
        ("a part of a state", PageRequest { states: vec![Succeeded], ..part("dog") }, vec![dog]),
        (
            "a part of a fault",
            PageRequest { url_contains: Some("dog".to_owned()), ..of_fault(empty) },
            vec![],
        ),
        ("since", PageRequest { since: Some(at(100)), ..any() }, vec![last, other]),
        ("just after", PageRequest { since: Some(at(101)), ..any() }, vec![last]),
        ("until", PageRequest { until: Some(at(100)), ..any() }, vec![dog, cat]),
        (
            "between",
            of(b, PageRequest { since: Some(at(100)), until: Some(at(101)), ..any() }),
            vec![other],
        ),
        (
            "nothing between",
            PageRequest { since: Some(at(200)), until: Some(at(100)), ..any() },
            vec![],
        ),
        ("since, failed", PageRequest { since: Some(at(1)), ..states(&[Failed]) }, vec![other]),
        ("until, a fault", PageRequest { until: Some(at(100)), ..of_fault(stalled) }, vec![]),
    ];
    for (name, request, expected) in cases {
        for limit in [1, 2, 9] {
            let request = PageRequest { limit, ..request.clone() };
            assert_eq!(walk(bed.store.as_ref(), request).await, expected, "{name}, by {limit}");
        }
    }
}

pub(super) async fn a_search_without_a_hit_stops_and_goes_on(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let first = bed.submit(bed.account, &["needle"], at(0)).await[0];
    let mut left = SEARCH_BUDGET + 1;
    while left > 0 {
        let size = left.min(1_000);
        let jobs = (0..size).map(|_| new_job("hay")).collect();
        let submitted = bed.store.job_submit(submission(bed.account, jobs, at(1))).await.unwrap();
        assert!(matches!(submitted, Submitted::Accepted(_)));
        left -= size;
    }
    for account in [None, Some(bed.account)] {
        let url_contains = Some("needle".to_owned());
        let mut request = PageRequest { account, url_contains, limit: 5, ..PageRequest::default() };
        // All but one of the jobs that come before the one that is looked for.
        let budget = if account.is_none() { SEARCH_BUDGET } else { SCATTERED_BUDGET };
        for _ in 0..SEARCH_BUDGET / budget {
            let page = bed.store.job_page(request.clone()).await.unwrap();
            assert!(page.jobs.is_empty());
            assert!(page.next.is_some());
            request.before = page.next;
        }
        let page = bed.store.job_page(request).await.unwrap();
        assert_eq!(page.jobs.iter().map(|job| job.key).collect::<Vec<_>>(), [first]);
        assert_eq!(page.next, None);
    }
}
