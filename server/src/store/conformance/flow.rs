//! Whose job goes next: weights, shares of slots, pauses, priorities, and hosts without a place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bed::{Bed, at, new_job, request, submission};
use crate::domain::account::{AccountChange, AccountId, Weight};
use crate::domain::id::Key;
use crate::domain::priority::{HEAD_START, Priority};
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::store::{
    AGAIN_LIMIT, CancelVerdict, Claim, ClaimRequest, HostPlaces, NewJob, PLACES_LIMIT, QueuePlace,
    SKIP_LIMIT, Store, Submitted,
};

fn of(claims: &[Claim], account: AccountId) -> usize {
    claims.iter().filter(|claim| claim.job().account == account).count()
}

fn keys(claims: &[Claim]) -> Vec<Key> {
    claims.iter().map(|claim| claim.job().key).collect()
}

async fn change(bed: &Bed, name: &str, change: AccountChange) {
    assert!(bed.store.account_change(name, change).await.unwrap().is_some());
}

async fn accept(bed: &Bed, account: AccountId, jobs: Vec<NewJob>, now: Timestamp) -> Vec<Key> {
    match bed.store.job_submit(submission(account, jobs, now)).await.unwrap() {
        Submitted::Accepted(keys) => keys,
        other => panic!("not accepted: {other:?}"),
    }
}

fn at_host(host: &str) -> NewJob {
    NewJob { url: SourceUrl::new(format!("http://{host}/a.mp4")), ..new_job("a") }
}

fn urgent(priority: Priority) -> NewJob {
    let mut job = new_job("a");
    job.request.priority = priority;
    job
}

pub(super) async fn slots_are_shared_by_weight_while_both_want_them(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    change(&bed, "second", AccountChange::weight(Weight::new(3).unwrap())).await;
    for account in [bed.account, bed.other] {
        bed.submit(account, &["a"; 20], at(0)).await;
    }
    let claims = bed.claim(8, at(0)).await;
    assert_eq!((of(&claims, bed.account), of(&claims, bed.other)), (2, 6));
    // With few slots at once the turns are shared alike.
    let mut turns = (0, 0);
    let mut held = claims;
    for _ in 0..8 {
        let claim = held.remove(0);
        assert_eq!(bed.put_off(claim, at(1_000_000)).await, crate::store::Finish::Recorded);
        let claims = bed.claim(1, at(1)).await;
        turns = (turns.0 + of(&claims, bed.account), turns.1 + of(&claims, bed.other));
        held.extend(claims);
    }
    assert_eq!(turns, (2, 6));
}

pub(super) async fn an_account_that_holds_its_share_gets_no_more_while_another_wants(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    bed.submit(bed.account, &["slow"; 100], at(0)).await;
    assert_eq!(bed.claim(40, at(0)).await.len(), 40, "nobody else wants them");
    bed.submit(bed.other, &["b"; 100], at(1)).await;
    let claims = bed.claim(40, at(1)).await;
    assert_eq!((of(&claims, bed.account), of(&claims, bed.other)), (0, 40));
    let claims = bed.claim(20, at(1)).await;
    assert_eq!((of(&claims, bed.account), of(&claims, bed.other)), (10, 10));
}

pub(super) async fn the_last_slots_are_for_accounts_that_hold_few(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let third = bed.store.account_create("third", false, at(0)).await.unwrap().unwrap().id;
    let shares = Shares { per_account: 0, reserve: 2 };
    let claim = async |slots| {
        let request = ClaimRequest { shares, ..request(slots, at(9)) };
        bed.store.job_claim(request).await.unwrap()
    };
    bed.submit(bed.account, &["slow"; 100], at(0)).await;
    assert_eq!(claim(8).await.len(), 6);
    assert_eq!(claim(2).await.len(), 0, "whatever it has waiting");
    bed.submit(bed.other, &["b"; 100], at(1)).await;
    let claims = claim(2).await;
    assert_eq!((claims.len(), of(&claims, bed.other)), (1, 1));
    bed.submit(third, &["c"], at(2)).await;
    let claims = claim(1).await;
    assert_eq!((claims.len(), of(&claims, third)), (1, 1), "its first job finds the last slot");
}

pub(super) async fn a_paused_account_starts_nothing_and_everything_else_goes_on(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let first = bed.submit(bed.account, &["a", "b", "c"], at(0)).await;
    let running = bed.claim_one(at(0)).await;
    let retried = bed.claim_one(at(0)).await;
    bed.put_off(retried, at(5)).await;
    change(&bed, "first", AccountChange::paused(true)).await;
    assert!(bed.claim(9, at(10)).await.is_empty(), "neither what is pending nor what is due again");
    // What is paused does not wait for a slot, so it makes nobody's wait longer.
    assert_eq!(bed.store.stats().await.unwrap().oldest_ready, None);
    let other = bed.submit(bed.other, &["x"], at(10)).await;
    assert_eq!(keys(&bed.claim(9, at(10)).await), other);
    let more = bed.submit(bed.account, &["d"], at(11)).await;
    assert_eq!(bed.cancel(first[2], at(12)).await, CancelVerdict::Canceled(vec![first[2]]));
    bed.finish(running, super::bed::success(), at(13)).await;
    change(&bed, "first", AccountChange::paused(false)).await;
    assert_eq!(bed.store.stats().await.unwrap().oldest_ready, Some(at(5)));
    assert_eq!(keys(&bed.claim(9, at(14)).await), [first[1], more[0]]);
}

pub(super) async fn urgent_jobs_go_first_and_the_others_age(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let [low, normal, high] = Priority::ALL;
    let jobs = || Priority::ALL.map(urgent).to_vec();
    let first = accept(&bed, bed.account, jobs(), at(0)).await;
    assert_eq!(keys(&bed.claim(9, at(0)).await), [first[2], first[1], first[0]]);
    // A low one waits while normal ones come, until its head start is over.
    let head = i64::try_from(HEAD_START.as_millis()).unwrap();
    let old = accept(&bed, bed.account, vec![urgent(low)], at(1)).await[0];
    let before = accept(&bed, bed.account, vec![urgent(normal)], at(head)).await[0];
    let after = accept(&bed, bed.account, vec![urgent(normal)], at(head + 2)).await[0];
    let last = accept(&bed, bed.account, vec![urgent(high)], at(2 * head + 2)).await[0];
    let order = keys(&bed.claim(9, at(2 * head + 2)).await);
    assert_eq!(order, [before, old, after, last]);
    // A retry keeps its urgency, and is not due any earlier for it.
    let late = at(4 * head);
    let again = accept(&bed, bed.account, vec![urgent(high)], late).await[0];
    let claim = bed.claim_one(late).await;
    assert_eq!(claim.job().key, again);
    bed.put_off(claim, late + Duration::from_millis(50)).await;
    let plain = accept(&bed, bed.account, vec![urgent(normal); 2], late).await;
    assert_eq!(keys(&bed.claim(1, late).await), [plain[0]]);
    let due = late + Duration::from_millis(50);
    assert_eq!(keys(&bed.claim(9, due).await), [again, plain[1]]);
    // It is a matter within one account.
    accept(&bed, bed.account, vec![urgent(high); 4], due).await;
    accept(&bed, bed.other, vec![urgent(low); 4], due).await;
    let claims = bed.claim(4, due).await;
    assert!(of(&claims, bed.other) >= 2, "{claims:?}");
}

/// A request of a node with one place at each host, some of them taken.
fn with_hosts(slots: usize, now: Timestamp, taken: &[&str]) -> ClaimRequest {
    let used: BTreeMap<HostId, usize> = taken.iter().map(|host| (HostId::of(host), 1)).collect();
    ClaimRequest { hosts: HostPlaces { per_host: 1, used }, ..request(slots, now) }
}

pub(super) async fn jobs_of_full_hosts_keep_their_place_and_hold_nobody_up(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let jobs = ["a", "a", "b", "a", "c", "b"].map(at_host).to_vec();
    let sent = accept(&bed, bed.account, jobs, at(0)).await;
    // One of each host, although slots are left.
    let claims = bed.store.job_claim(with_hosts(9, at(1), &[])).await.unwrap();
    assert_eq!(keys(&claims), [sent[0], sent[2], sent[4]]);
    let claim = async |taken: &[&str]| {
        keys(&bed.store.job_claim(with_hosts(9, at(1), taken)).await.unwrap())
    };
    assert_eq!(claim(&["a", "b", "c"]).await, []);
    // They are pending as before: a cancel takes them.
    assert_eq!(bed.cancel(sent[3], at(2)).await, CancelVerdict::Canceled(vec![sent[3]]));
    assert_eq!(claim(&["a", "c"]).await, [sent[5]]);
    assert_eq!(claim(&["c"]).await, [sent[1]]);
    // Another account's jobs of the same host wait for the same places.
    accept(&bed, bed.other, vec![at_host("a"), at_host("d")], at(3)).await;
    let claims = bed.store.job_claim(with_hosts(9, at(3), &["a"])).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].job().url.host(), "d");
}

pub(super) async fn a_long_line_of_a_full_host_hides_nothing_for_long(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let long = accept(&bed, bed.account, vec![at_host("full"); SKIP_LIMIT + 500], at(0)).await;
    let behind = accept(&bed, bed.account, vec![at_host("free"); 2], at(1)).await;
    let claim = async |now, taken: &[&str]| {
        let claims = bed.store.job_claim(with_hosts(1, at(now), taken)).await.unwrap();
        keys(&claims)
    };
    // One claim goes no further than the limit; the next goes on from there.
    assert_eq!(claim(2, &["full"]).await, []);
    assert_eq!(claim(2, &["full"]).await, [behind[0]]);
    // What is more urgent is found at once.
    let high = NewJob { url: at_host("third").url, ..urgent(Priority::High) };
    let high = accept(&bed, bed.account, vec![high], at(3)).await;
    assert_eq!(claim(3, &["full"]).await, high);
    // What comes to stand in what was passed over is found by one of the next claims.
    let held = bed.store.job_claim(with_hosts(1, at(3), &["full"])).await.unwrap().remove(0);
    assert_eq!(held.job().key, behind[1]);
    bed.store.job_hand_back(held, at(-5), at(3)).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..long.len() / AGAIN_LIMIT + 2 {
        found.extend(claim(3, &["full"]).await);
    }
    assert_eq!(found, [behind[1]]);
    // Once there is a place, the first of the line has it, and at once.
    assert_eq!(claim(4, &[]).await, [long[0]]);
    assert_eq!(claim(4, &["full"]).await, []);
    // Another account's first job does not wait behind any of it.
    let other = accept(&bed, bed.other, vec![at_host("other")], at(5)).await;
    assert_eq!(claim(5, &["full"]).await, other);
}

/// The transfers of the long line's host are short: at each claim it has a place.
pub(super) async fn a_long_line_that_moves_on_hides_nothing_for_long(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let long = accept(&bed, bed.account, vec![at_host("busy"); SKIP_LIMIT + 500], at(0)).await;
    let behind = accept(&bed, bed.account, vec![at_host("free")], at(1)).await[0];
    let claim = async || {
        let claims = bed.store.job_claim(with_hosts(9, at(2), &[])).await.unwrap();
        let found = keys(&claims);
        for claim in claims {
            bed.finish(claim, super::bed::failure(), at(2)).await;
        }
        found
    };
    assert_eq!(claim().await, [long[0]]);
    assert_eq!(claim().await, [long[1], behind], "the line keeps its order, and holds nobody up");
    assert_eq!(claim().await, [long[2]]);
}

pub(super) async fn a_place_in_line_counts_what_goes_before_of_the_own_account(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    bed.submit(bed.other, &["x"; 30], at(0)).await;
    let sent = bed.submit(bed.account, &["a", "b", "c", "d"], at(1)).await;
    let high = accept(&bed, bed.account, vec![urgent(Priority::High)], at(2)).await[0];
    let low = accept(&bed, bed.account, vec![urgent(Priority::Low)], at(0)).await[0];
    let places = async |keys: &[Key], now| bed.store.queue_places(keys, now).await.unwrap();
    let ahead = async |key| {
        let place = places(&[key], at(9)).await[0].1;
        assert!(place.is_exact);
        place.ahead
    };
    for (n, key) in [high, sent[0], sent[1], sent[2], sent[3], low].into_iter().enumerate() {
        assert_eq!(ahead(key).await, n as u64);
    }
    // In the order of the claims, and only what is pending has a place.
    let claim = bed.claim(2, at(9)).await.into_iter().find(|c| c.job().account == bed.account);
    let claim = claim.unwrap();
    assert_eq!(claim.job().key, high);
    bed.put_off(claim, at(20)).await;
    assert_eq!((ahead(sent[0]).await, ahead(low).await), (0, 4));
    let at_twenty = places(&[high, sent[0], Key(1)], at(20)).await;
    assert_eq!(at_twenty, [(sent[0], QueuePlace { ahead: 1, is_exact: true })]);
    // So far and no further.
    let many = accept(&bed, bed.account, vec![new_job("m"); 1_010], at(30)).await;
    let exact = |ahead| QueuePlace { ahead, is_exact: true };
    // Six went before at first, and the low one comes after.
    let before = |n: usize| n as u64 + 5;
    assert_eq!(places(&[many[995]], at(40)).await[0].1, exact(before(995)));
    assert_eq!(before(995), PLACES_LIMIT);
    let more = QueuePlace { ahead: PLACES_LIMIT, is_exact: false };
    let far = places(&[many[996], many[1_009]], at(40)).await;
    assert_eq!(far, [(many[996], more), (many[1_009], more)]);
}
