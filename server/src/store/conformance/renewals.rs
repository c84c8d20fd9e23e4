//! Jobs that await another URL.

use std::sync::Arc;

use super::bed::{
    Bed, EVER, at, new_job, referenced, refusal, retention, submission, success, url,
};
use crate::domain::attempt::Ending;
use crate::domain::fault::FaultClass;
use crate::domain::id::Key;
use crate::domain::job::{Phase, State, StateKind};
use crate::domain::time::Timestamp;
use crate::store::{
    CancelVerdict, Counted, Finish, PageRequest, Replaced, Replacement, Stats, Store, SubmitLimits,
    Submitted,
};

/// A job that received some bytes and now awaits a URL.
async fn halted(bed: &Bed, now: Timestamp) -> Key {
    let key = bed.one(now).await;
    let claim = bed.claim_one(now).await;
    let beat = claim.beat(Phase::Downloading, 17);
    bed.store.job_beat(&[beat], now).await.unwrap();
    assert_eq!(bed.halt(claim, 3_000, now).await, Finish::Recorded);
    key
}

pub(super) async fn another_url_takes_the_place_of_the_one_before(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let mut job = new_job("a.mp4");
    job.request.sealed_headers = Some("of the URL before".to_owned());
    job.request.title = "kept".to_owned();
    let call = submission(bed.account, vec![job], at(0));
    let Submitted::Accepted(keys) = bed.store.job_submit(call).await.unwrap() else {
        panic!("not accepted")
    };
    let key = keys[0];
    let claim = bed.claim_one(at(0)).await;
    bed.halt(claim, 3_000, at(1)).await;
    let before = bed.job(key).await;
    let until = before.deadline;
    assert_eq!(before.progress.state, State::AwaitingUrl { fault: refusal(), until });
    assert_eq!((before.bytes, before.finished), (3_000, None));
    assert!(bed.claim(9, at(9)).await.is_empty(), "it waits for no time of its own");

    let replacement = Replacement {
        account: bed.account,
        key,
        url: url("b.mp4?other=1"),
        sealed_headers: Some("of the new URL".to_owned()),
    };
    let replaced = bed.store.job_replace_url(replacement, at(20)).await.unwrap();
    assert_eq!(replaced, Replaced::Renewed);
    let after = bed.job(key).await;
    assert_eq!(after.url, url("b.mp4?other=1"));
    assert_eq!(after.request.sealed_headers.as_deref(), Some("of the new URL"));
    assert_eq!((after.request.title.as_str(), after.deadline), ("kept", before.deadline));
    assert_eq!(after.progress.state, State::Waiting { due: at(20) });
    assert_eq!((after.progress.attempt, after.progress.renewals), (0, 1));
    // It is found under the new URL and no longer under the old one.
    let urls = [url("b.mp4?other=1"), url("a.mp4")];
    let found = bed.store.job_infos_by_url(bed.account, &urls, EVER).await.unwrap();
    assert_eq!([found[0].len(), found[1].len()], [1, 0]);

    let claim = bed.claim_one(at(20)).await;
    assert_eq!((claim.job().key, claim.job().progress.attempt), (key, 1));
    bed.finish(claim, success(), at(21)).await;
    let attempts = bed.store.job_attempts(&[key]).await.unwrap().remove(0).1;
    let told: Vec<_> = attempts.iter().map(|a| (a.number, a.ending, a.bytes)).collect();
    assert_eq!(told, [(1, Ending::PutOff, 3_000), (1, Ending::Succeeded, 4_096)]);
    assert_eq!(attempts[0].fault, Some(refusal()));
}

pub(super) async fn a_job_is_given_a_url_only_while_it_awaits_one(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    let refused = |kind| Replaced::NotAwaiting(kind);
    assert_eq!(bed.replace(key, "b", at(0)).await, refused(StateKind::Pending));
    // Not even its own: nobody has replaced anything.
    assert_eq!(bed.replace(key, "a.mp4", at(0)).await, refused(StateKind::Pending));
    let claim = bed.claim_one(at(0)).await;
    assert_eq!(bed.replace(key, "b", at(0)).await, refused(StateKind::Running));
    bed.halt(claim, 1, at(1)).await;
    assert_eq!(bed.replace(key, "b", at(2)).await, Replaced::Renewed);
    // Again the same: its caller may have missed the answer. Another one is another matter.
    assert_eq!(bed.replace(key, "b", at(3)).await, Replaced::Repeated);
    assert_eq!(bed.replace(key, "c", at(3)).await, refused(StateKind::Waiting));
    let job = bed.job(key).await;
    assert_eq!((job.url, job.progress.renewals), (url("b"), 1));
    let claim = bed.claim_one(at(3)).await;
    assert_eq!(bed.replace(key, "b", at(3)).await, Replaced::Repeated);
    // Refused once more, the same URL counts as another: its owner may have opened it again.
    bed.halt(claim, 1, at(4)).await;
    assert_eq!(bed.replace(key, "b", at(5)).await, Replaced::Renewed);
    assert_eq!(bed.job(key).await.progress.renewals, 2);
    let claim = bed.claim_one(at(5)).await;
    bed.finish(claim, success(), at(6)).await;
    assert_eq!(bed.replace(key, "b", at(7)).await, Replaced::Repeated);
    assert_eq!(bed.replace(key, "c", at(7)).await, refused(StateKind::Succeeded));
    assert_eq!(bed.kind(key).await, StateKind::Succeeded);
}

pub(super) async fn a_foreign_job_is_given_no_url(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = halted(&bed, at(0)).await;
    let before = bed.job(key).await;
    for (account, key) in [(bed.other, key), (bed.account, Key(1))] {
        let replacement = Replacement { account, key, url: url("b"), sealed_headers: None };
        let replaced = bed.store.job_replace_url(replacement, at(1)).await.unwrap();
        assert_eq!(replaced, Replaced::NotExist);
    }
    assert_eq!(bed.job(before.key).await, before);
}

pub(super) async fn at_its_deadline_a_job_without_another_url_fails_with_the_refusal(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let key = halted(&bed, at(0)).await;
    let deadline = bed.job(key).await.deadline;
    assert_eq!(
        bed.cancel(key, at(1)).await,
        CancelVerdict::NotPending(key, StateKind::AwaitingUrl)
    );
    assert_eq!(bed.store.job_expire(deadline, 9, true).await.unwrap(), 0);
    assert_eq!(bed.store.job_lapse(Timestamp(deadline.0 - 1), 9).await.unwrap(), 0);
    let late = Replaced::NotAwaiting(StateKind::AwaitingUrl);
    assert_eq!(bed.replace(key, "b", deadline).await, late);
    assert_eq!(bed.store.job_lapse(deadline, 9).await.unwrap(), 1);
    let job = bed.job(key).await;
    assert_eq!(job.progress.state, State::Failed(refusal().lapsed()));
    assert_eq!((job.finished, job.bytes), (Some(deadline), 3_000));
    assert_eq!(bed.store.job_lapse(deadline, 9).await.unwrap(), 0);
    assert_eq!(bed.replace(key, "b", deadline).await, Replaced::NotAwaiting(StateKind::Failed));
    // It counts as a failure of its minute, and as any other it can be found and forgotten.
    let code = FaultClass::HttpStatus.code().to_owned();
    let tallies = bed.store.tallies(None, EVER).await.unwrap();
    let counted: Vec<_> = tallies.into_iter().map(|t| (t.what, t.jobs, t.bytes)).collect();
    assert!(counted.contains(&(Counted::PutOff(code.clone()), 1, 3_000)), "{counted:?}");
    assert!(counted.contains(&(Counted::Failed(code.clone()), 1, 3_000)), "{counted:?}");
    let page = PageRequest { fault: Some(code), limit: 9, ..PageRequest::default() };
    assert_eq!(bed.store.job_page(page).await.unwrap().jobs.len(), 1);
    let then = Timestamp(deadline.0 + 1);
    bed.store.purge(retention(then, then)).await.unwrap();
    assert_eq!(bed.store.job_states(&[key]).await.unwrap(), []);
}

pub(super) async fn a_job_that_awaits_a_url_is_counted_and_holds_its_reference(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let submit = |limit| {
        let limits = SubmitLimits { calls_per_day: 0, pending: limit };
        let jobs = vec![referenced("a", "r")];
        let call = crate::store::Submission { limits, ..submission(bed.account, jobs, at(0)) };
        bed.store.job_submit(call)
    };
    assert!(matches!(submit(0).await.unwrap(), Submitted::Accepted(_)));
    let claim = bed.claim_one(at(0)).await;
    let key = claim.job().key;
    bed.halt(claim, 1, at(0)).await;
    assert_eq!(submit(1).await.unwrap(), Submitted::QueueFull);
    assert_eq!(submit(0).await.unwrap(), Submitted::ReferenceTaken("r".to_owned()));
    let stats = Stats { awaiting: 1, ..Stats::default() };
    assert_eq!(bed.store.stats().await.unwrap(), stats);
    let queues = bed.store.queues().await.unwrap();
    assert_eq!((queues.len(), queues[0].awaiting, queues[0].oldest_ready), (1, 1, None));
    let listed = |kind, fault: Option<&str>| {
        let states = vec![kind];
        let fault = fault.map(str::to_owned);
        let account = Some(bed.account);
        bed.store.job_page(PageRequest {
            account,
            states,
            fault,
            limit: 9,
            ..PageRequest::default()
        })
    };
    assert_eq!(listed(StateKind::AwaitingUrl, None).await.unwrap().jobs[0].key, key);
    assert!(listed(StateKind::Waiting, None).await.unwrap().jobs.is_empty());
    let code = refusal().class.code();
    assert!(listed(StateKind::Failed, Some(code)).await.unwrap().jobs.is_empty());
    // It ends like any other, and lets go of its reference then.
    bed.drain(at(9)).await;
    assert_eq!(bed.store.stats().await.unwrap(), Stats::default());
    assert!(matches!(submit(1).await.unwrap(), Submitted::Accepted(_)));
}

pub(super) async fn lapses_go_in_pages(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let mut keys = Vec::new();
    for n in [3, 1, 2] {
        keys.push(halted(&bed, at(n * 1_000)).await);
    }
    let late = bed.job(keys[0]).await.deadline;
    assert_eq!(bed.store.job_lapse(late, 2).await.unwrap(), 2);
    assert_eq!(bed.kind(keys[0]).await, StateKind::AwaitingUrl, "the oldest deadline first");
    assert_eq!(bed.store.job_lapse(late, 2).await.unwrap(), 1);
    assert_eq!(bed.store.job_lapse(late, 2).await.unwrap(), 0);
}
