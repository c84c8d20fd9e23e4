//! What a cancel means, and what it leaves alone.

use std::sync::Arc;

use super::bed::{Bed, at, failure, new_job, submission, success, url};
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::SourceUrl;
use crate::store::{CancelBy, CancelVerdict, NewJob, Store, Submitted};

pub(super) async fn each_input_gets_its_verdict_in_order(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["a", "b", "c", "d"], at(0)).await;
    let mut claims = bed.claim(3, at(0)).await;
    bed.finish(claims.remove(0), success(), at(1)).await;
    bed.finish(claims.remove(0), failure(), at(1)).await;
    let foreign = bed.submit(bed.other, &["e"], at(1)).await[0];
    let asked = vec![keys[3], Key(12), keys[2], keys[1], foreign, keys[0]];
    let by = CancelBy::Keys(asked.clone());
    let verdicts = bed.store.job_cancel_pending(bed.account, by, at(2)).await.unwrap();
    assert_eq!(
        verdicts,
        [
            CancelVerdict::Canceled(vec![keys[3]]),
            CancelVerdict::NotExist,
            CancelVerdict::NotPending(keys[2], StateKind::Running),
            CancelVerdict::NotPending(keys[1], StateKind::Failed),
            CancelVerdict::NotExist,
            CancelVerdict::NotPending(keys[0], StateKind::Succeeded),
        ]
    );
    assert_eq!(bed.job(keys[3]).await.finished, Some(at(2)));
    let again = bed.cancel(keys[3], at(3)).await;
    assert_eq!(again, CancelVerdict::NotPending(keys[3], StateKind::Canceled));
    assert_eq!(bed.job(keys[3]).await.finished, Some(at(2)));
    // Never claimed again.
    assert_eq!(bed.claim(9, at(9)).await.len(), 1);
}

pub(super) async fn a_url_means_every_pending_job_of_the_account_for_it(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let started = bed.submit(bed.account, &["dup"], at(0)).await[0];
    bed.claim_one(at(0)).await;
    let pending = bed.submit(bed.account, &["dup", "else", "dup", "dup"], at(1)).await;
    let foreign = bed.submit(bed.other, &["dup"], at(1)).await[0];
    let by = || CancelBy::Urls(vec![url("dup"), url("unknown"), url("else")]);
    let verdicts = bed.store.job_cancel_pending(bed.account, by(), at(2)).await.unwrap();
    assert_eq!(
        verdicts,
        [
            CancelVerdict::Canceled(vec![pending[0], pending[2], pending[3]]),
            CancelVerdict::NotExist,
            CancelVerdict::Canceled(vec![pending[1]]),
        ]
    );
    assert_eq!(bed.kind(started).await, StateKind::Running);
    let states = bed.store.job_states(&[foreign]).await.unwrap();
    assert_eq!(states, [(foreign, StateKind::Pending, None)]);
    let verdicts = bed.store.job_cancel_pending(bed.account, by(), at(3)).await.unwrap();
    assert_eq!(verdicts[0], CancelVerdict::NotPending(pending[3], StateKind::Canceled));
    assert_eq!(verdicts[2], CancelVerdict::NotPending(pending[1], StateKind::Canceled));
}

pub(super) async fn urls_are_told_apart_to_the_byte(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let texts = ["https://h.example/a?t=1", "https://h.example/a?t=2", "https://h.example/A?t=1"];
    let jobs = texts
        .iter()
        .map(|text| NewJob { url: SourceUrl::new(*text), ..new_job("x") })
        .collect::<Vec<_>>();
    let answer = bed.store.job_submit(submission(bed.account, jobs, at(0))).await.unwrap();
    let Submitted::Accepted(keys) = answer else { panic!("{answer:?}") };
    let by = CancelBy::Urls(vec![SourceUrl::new(texts[0])]);
    let verdicts = bed.store.job_cancel_pending(bed.account, by, at(1)).await.unwrap();
    assert_eq!(verdicts, [CancelVerdict::Canceled(vec![keys[0]])]);
    assert_eq!(bed.kind(keys[1]).await, StateKind::Pending);
    assert_eq!(bed.kind(keys[2]).await, StateKind::Pending);
}

pub(super) async fn a_foreign_job_is_unknown_and_untouched(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    for by in [CancelBy::Keys(vec![key]), CancelBy::Urls(vec![url("a.mp4")])] {
        let verdicts = bed.store.job_cancel_pending(bed.other, by, at(1)).await.unwrap();
        assert_eq!(verdicts, [CancelVerdict::NotExist]);
    }
    assert_eq!(bed.kind(key).await, StateKind::Pending);
}
