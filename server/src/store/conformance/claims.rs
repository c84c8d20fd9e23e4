//! Who gets the next slot.

use std::sync::Arc;
use std::time::Duration;

use super::bed::{Bed, LEASE, at, request};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::{Phase, State};
use crate::domain::turns::Shares;
use crate::store::{Claim, ClaimRequest, Finish, Store};

fn accounts(claims: &[Claim]) -> Vec<AccountId> {
    claims.iter().map(|claim| claim.job().account).collect()
}

fn keys(claims: &[Claim]) -> Vec<Key> {
    claims.iter().map(|claim| claim.job().key).collect()
}

pub(super) async fn an_account_with_many_jobs_does_not_delay_anothers_first(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    for _ in 0..50 {
        bed.submit(bed.account, &["many"; 20], at(0)).await;
    }
    // Both in the middle of the other's turns and from the start.
    for round in 1..4 {
        let late = bed.submit(bed.other, &["single"], at(round)).await;
        let claims = bed.claim(2, at(round)).await;
        assert_eq!(claims.len(), 2);
        assert!(keys(&claims).contains(&late[0]), "served within the first two");
        bed.claim(1, at(round)).await;
    }
}

pub(super) async fn jobs_of_one_account_come_in_the_order_of_becoming_ready(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let first = bed.submit(bed.account, &["a", "b"], at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    assert_eq!(claim.job().key, first[0]);
    bed.put_off(claim, at(50)).await;
    let second = bed.submit(bed.account, &["c"], at(10)).await;
    let third = bed.submit(bed.account, &["d"], at(60)).await;
    // A waiting job that is not due does not hold up those behind it.
    assert_eq!(keys(&bed.claim(9, at(49)).await), [first[1], second[0]]);
    assert_eq!(keys(&bed.claim(9, at(60)).await), [first[0], third[0]]);
}

pub(super) async fn no_more_than_the_limit_of_one_account_runs_at_once(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    bed.submit(bed.account, &["a"; 10], at(0)).await;
    bed.submit(bed.other, &["b"; 2], at(0)).await;
    let shares = Shares { per_account: 3, reserve: 0 };
    let limited = |slots| ClaimRequest { shares, ..request(slots, at(0)) };
    let claims = bed.store.job_claim(limited(100)).await.unwrap();
    let of = |claims: &[Claim], account| {
        accounts(claims).into_iter().filter(|other| *other == account).count()
    };
    assert_eq!((of(&claims, bed.account), of(&claims, bed.other)), (3, 2));
    assert!(bed.store.job_claim(limited(100)).await.unwrap().is_empty());
    let mut claims = claims.into_iter().filter(|claim| claim.job().account == bed.account);
    let back = bed.store.job_hand_back(claims.next().unwrap(), at(1), at(1)).await.unwrap();
    assert_eq!(back, Finish::Recorded);
    assert_eq!(bed.store.job_claim(limited(100)).await.unwrap().len(), 1);
}

pub(super) async fn free_slots_are_used_by_whoever_has_work(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    bed.submit(bed.account, &["a"; 10], at(0)).await;
    bed.submit(bed.other, &["b"; 3], at(0)).await;
    assert!(bed.claim(0, at(0)).await.is_empty());
    let served = accounts(&bed.claim(9, at(0)).await);
    let (a, b) = (bed.account, bed.other);
    assert_eq!(served, [a, b, a, b, a, b, a, a, a]);
    assert_eq!(bed.claim(99, at(0)).await.len(), 4);
    assert!(bed.claim(99, at(0)).await.is_empty());
}

pub(super) async fn turns_go_on_after_the_account_served_last(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let third = bed.store.account_create("third", false, at(0)).await.unwrap().unwrap().id;
    for account in [third, bed.other, bed.account] {
        bed.submit(account, &["a"; 4], at(0)).await;
    }
    let (a, b, c) = (bed.account, bed.other, third);
    assert_eq!(accounts(&bed.claim(2, at(0)).await), [a, b]);
    assert_eq!(accounts(&bed.claim(2, at(0)).await), [c, a]);
    assert_eq!(accounts(&bed.claim(1, at(0)).await), [b]);
    assert_eq!(accounts(&bed.claim(9, at(0)).await), [c, a, b, c, a, b, c]);
}

pub(super) async fn a_claimed_job_is_whole_and_starts_anew(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    let claim = bed.claim_one(at(5)).await;
    assert_eq!(*claim.job(), bed.job(key).await);
    let until = at(5) + LEASE;
    assert_eq!(claim.job().progress.state, State::Running { token: claim.token(), until });
    bed.store.job_beat(&[claim.beat(Phase::Uploading, 99)], until).await.unwrap();
    bed.put_off(claim, at(6)).await;
    let again = bed.claim_one(at(5) + Duration::from_secs(1)).await;
    assert_eq!((again.job().phase, again.job().bytes), (Phase::Processing, 0));
    assert_eq!(again.job().progress.attempt, 2);
}
