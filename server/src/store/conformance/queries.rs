//! Reading, and forgetting.

use std::sync::Arc;

use super::bed::{
    Bed, EVER, NO_SHA256, at, facts, failure, fault, new_job, object, referenced, retention,
    submission, success, url,
};
use crate::domain::account::AccountId;
use crate::domain::digest::Declared;
use crate::domain::id::Key;
use crate::domain::job::{JobRequest, Phase, Progress, State, StateKind, Token};
use crate::domain::media::Media;
use crate::domain::priority::Priority;
use crate::domain::source_url::SourceUrl;
use crate::store::{
    INFOS_LIMIT, MediaLookup, MediaRef, NewJob, Outcome, PageRequest, Stats, Store, StoreError,
    Submitted,
};

pub(super) async fn infos_by_id_come_once_each_in_the_order_asked(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let old = bed.one(at(0)).await;
    let new = bed.submit(bed.account, &["b", "c"], at(10)).await;
    let foreign = bed.submit(bed.other, &["d"], at(10)).await[0];
    let asked = [new[1], foreign, old, Key(3), new[1], new[0]];
    let ids = |jobs: Vec<crate::domain::job::Job>| jobs.into_iter().map(|j| j.key);
    let found = bed.store.job_infos_by_id(bed.account, &asked, EVER).await.unwrap();
    assert_eq!(ids(found).collect::<Vec<_>>(), [new[1], old, new[0]]);
    let found = bed.store.job_infos_by_id(bed.account, &asked, at(10)).await.unwrap();
    assert_eq!(ids(found).collect::<Vec<_>>(), [new[1], new[0]]);
    let found = bed.store.job_infos_by_id(bed.account, &asked, at(11)).await.unwrap();
    assert!(found.is_empty());
}

pub(super) async fn infos_by_url_are_newest_first_and_limited_in_all(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let mut dup = Vec::new();
    for ms in 0..4 {
        dup.extend(bed.submit(bed.account, &["dup"; 20], at(ms)).await);
    }
    let rest = bed.submit(bed.account, &["rest"; 30], at(9)).await;
    bed.submit(bed.other, &["dup"; 3], at(9)).await;
    let asked = [url("dup"), url("none"), url("rest"), url("dup")];
    let found = bed.store.job_infos_by_url(bed.account, &asked, EVER).await.unwrap();
    let found: Vec<Vec<Key>> =
        found.into_iter().map(|jobs| jobs.into_iter().map(|job| job.key).collect()).collect();
    dup.reverse();
    let newest: Vec<Key> = rest.into_iter().rev().take(INFOS_LIMIT - 80).collect();
    assert_eq!(found, [dup.clone(), vec![], newest, vec![]]);
    let found = bed.store.job_infos_by_url(bed.account, &asked[..1], at(2)).await.unwrap();
    assert_eq!(found[0].iter().map(|job| job.key).collect::<Vec<_>>(), dup[..40]);
}

pub(super) async fn a_job_is_kept_whole(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let text = |s: &str| Some(format!("{s} \u{1F3AC} \"quoted\"\\ \u{0} '"));
    let request = JobRequest {
        title: text("title").unwrap(),
        priority: Priority::Low,
        extension: "mp4".to_owned(),
        description: text("description"),
        tags: text("tags"),
        cover_url: text("cover"),
        cate_id: Some(i64::MIN),
        file_size: Some(u64::MAX),
        declared: Declared { md5: Some([1; 16]), sha256: Some([2; 32]), crc64: Some(u64::MAX) },
        sealed_headers: text("sealed"),
        reference_id: text("reference"),
        template_group_id: text("group"),
        workflow_id: text("workflow"),
        storage_location: text("location"),
        app_id: text("app"),
        user_data: text("data"),
    };
    let url = SourceUrl::new("https://user:pw@h.example/ü%20a.mp4?Signature=s'\"&x=1");
    let jobs = vec![NewJob { url: url.clone(), request: request.clone() }];
    let sent = submission(bed.account, jobs, at(3));
    let deadline = sent.deadline;
    let Submitted::Accepted(keys) = bed.store.job_submit(sent).await.unwrap() else { panic!() };
    let job = bed.job(keys[0]).await;
    assert_eq!((job.account, &job.url, &job.request), (bed.account, &url, &request));
    assert_eq!((job.created, job.deadline, job.finished), (at(3), deadline, None));
    assert_eq!((job.phase, job.bytes), (Phase::Processing, 0));
    assert_eq!(job.progress, Progress::new());
}

pub(super) async fn pages_walk_all_jobs_newest_first_without_gap_or_repeat(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let mut keys = bed.submit(bed.account, &["a"; 10], at(0)).await;
    bed.submit(bed.other, &["b"; 5], at(0)).await;
    keys.extend(bed.submit(bed.account, &["c"; 7], at(1)).await);
    // Some of each state.
    for (i, claim) in bed.claim(6, at(1)).await.into_iter().enumerate() {
        match i {
            0 | 1 => drop(bed.put_off(claim, at(5)).await),
            2 => drop(bed.store.job_finish(claim, success(), at(2)).await.unwrap()),
            3 => drop(bed.store.job_finish(claim, failure(), at(2)).await.unwrap()),
            _ => {}
        }
    }
    bed.cancel(keys[16], at(2)).await;
    keys.reverse();
    for limit in [1, 4, 17, 18] {
        let mut walked = Vec::new();
        let mut before = None;
        loop {
            let page =
                PageRequest { account: Some(bed.account), before, limit, ..PageRequest::default() };
            let page = bed.store.job_page(page).await.unwrap();
            assert!(page.jobs.len() <= limit);
            walked.extend(page.jobs.iter().map(|job| job.key));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(walked, keys, "limit {limit}");
    }
}

pub(super) async fn pages_of_some_states_hold_those_alone(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["a"; 6], at(0)).await;
    let mut claims = bed.claim(3, at(0)).await;
    bed.finish(claims.remove(0), failure(), at(1)).await;
    bed.finish(claims.remove(0), success(), at(1)).await;
    bed.cancel(keys[5], at(1)).await;
    let page = |states: Vec<StateKind>| PageRequest {
        account: Some(bed.account),
        states,
        limit: 10,
        ..PageRequest::default()
    };
    let listed = |states| async {
        let page = bed.store.job_page(page(states)).await.unwrap();
        assert_eq!(page.next, None);
        page.jobs.into_iter().map(|job| job.key).collect::<Vec<_>>()
    };
    use StateKind::{Canceled, Failed, Pending, Running, Succeeded, Waiting};
    assert_eq!(listed(vec![Failed]).await, [keys[0]]);
    assert_eq!(listed(vec![Waiting]).await, []);
    assert_eq!(listed(vec![Canceled, Succeeded, Canceled]).await, [keys[5], keys[1]]);
    assert_eq!(listed(vec![Pending, Running]).await, [keys[4], keys[3], keys[2]]);
}

pub(super) async fn a_medium_is_found_by_key_and_by_reference_id(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let mut job = referenced("a", "ref");
    job.request.user_data = Some("data".to_owned());
    job.request.cate_id = Some(7);
    let expected_request = job.request.clone();
    let call = submission(bed.account, vec![job], at(0));
    let Submitted::Accepted(keys) = bed.store.job_submit(call).await.unwrap() else { panic!() };
    let by_reference = || MediaRef::ReferenceId("ref".to_owned());
    let find = |account: AccountId, media| bed.store.media_find(account, media);
    for state in [StateKind::Pending, StateKind::Running] {
        if state == StateKind::Running {
            bed.claim_one(at(0)).await;
        }
        for media in [MediaRef::Key(keys[0]), by_reference()] {
            let found = find(bed.account, media).await.unwrap();
            assert!(matches!(found, MediaLookup::NotStored(kind) if kind == state), "{found:?}");
        }
    }
    bed.store.job_expire(at(0), 9, true).await.unwrap();
    assert!(bed.store.media_object(keys[0]).await.unwrap().is_none());
    let claim = bed.claim_one(at(1)).await;
    bed.finish(claim, success(), at(2)).await;
    let expected = Media {
        key: keys[0],
        account: bed.account,
        title: expected_request.title,
        description: None,
        tags: None,
        cover_url: None,
        cate_id: Some(7),
        reference_id: Some("ref".to_owned()),
        user_data: Some("data".to_owned()),
        facts: facts(),
        object: object(4_096),
        created: at(2),
    };
    for media in [MediaRef::Key(keys[0]), by_reference()] {
        match find(bed.account, media).await.unwrap() {
            MediaLookup::Stored(media) => assert_eq!(*media, expected),
            other => panic!("{other:?}"),
        }
    }
    let stored = bed.store.media_object(keys[0]).await.unwrap();
    assert_eq!(stored, Some((object(4_096), facts())));
    let asked = [Key(1), keys[0], Key(i64::MAX)];
    let found = bed.store.media_objects(&asked).await.unwrap();
    assert_eq!(found, [(keys[0], object(4_096))]);
    assert_eq!(bed.job(keys[0]).await.bytes, 4_096);
    // Another account learns nothing.
    for media in [MediaRef::Key(keys[0]), by_reference(), MediaRef::Key(Key(1))] {
        assert!(matches!(find(bed.other, media).await.unwrap(), MediaLookup::Unknown));
    }
}

pub(super) async fn an_object_without_a_sha256_is_kept_without_one(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    let object = object(NO_SHA256);
    assert_eq!(object.sha256, None);
    bed.finish(claim, Outcome::Success { facts: facts(), object: object.clone() }, at(1)).await;
    assert_eq!(bed.store.media_object(key).await.unwrap(), Some((object, facts())));
}

pub(super) async fn a_failed_job_makes_no_medium(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let key = bed.one(at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    bed.finish(claim, failure(), at(1)).await;
    let job = bed.job(key).await;
    assert_eq!(job.progress.state, State::Failed(fault()));
    assert_eq!(job.finished, Some(at(1)));
    let found = bed.store.media_find(bed.account, MediaRef::Key(key)).await.unwrap();
    assert!(matches!(found, MediaLookup::NotStored(StateKind::Failed)), "{found:?}");
    assert!(bed.store.media_object(key).await.unwrap().is_none());
}

pub(super) async fn counts_follow_the_jobs(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    assert_eq!(bed.store.stats().await.unwrap(), Stats::default());
    bed.submit(bed.account, &["a"; 3], at(5)).await;
    let last = bed.submit(bed.other, &["b"; 2], at(3)).await[1];
    let counts = |pending, running, waiting, oldest: Option<i64>| Stats {
        pending,
        running,
        waiting,
        awaiting: 0,
        oldest_ready: oldest.map(at),
    };
    assert_eq!(bed.store.stats().await.unwrap(), counts(5, 0, 0, Some(3)));
    let mut claims = bed.claim(4, at(5)).await;
    assert_eq!(bed.store.stats().await.unwrap(), counts(1, 4, 0, Some(5)));
    bed.put_off(claims.remove(0), at(9)).await;
    bed.store.job_hand_back(claims.remove(0), at(4), at(4)).await.unwrap();
    assert_eq!(bed.store.stats().await.unwrap(), counts(1, 2, 2, Some(4)));
    bed.finish(claims.remove(0), success(), at(9)).await;
    bed.finish(claims.remove(0), failure(), at(9)).await;
    assert_eq!(bed.store.stats().await.unwrap(), counts(1, 0, 2, Some(4)));
    for claim in bed.claim(9, at(9)).await {
        bed.finish(claim, failure(), at(9)).await;
    }
    assert_eq!(bed.store.stats().await.unwrap(), Stats::default());
    let states = bed.store.job_states(&[last]).await.unwrap();
    assert_eq!(states.len(), 1);
}

pub(super) async fn states_of_unknown_keys_are_left_out(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["a", "b"], at(0)).await;
    let foreign = bed.submit(bed.other, &["c"], at(0)).await[0];
    let claim = bed.claim_one(at(0)).await;
    let asked = [Key(1), foreign, keys[1], keys[0]];
    let states = bed.store.job_states(&asked).await.unwrap();
    assert_eq!(
        states,
        [
            (foreign, StateKind::Pending, None),
            (keys[1], StateKind::Pending, None),
            (keys[0], StateKind::Running, Some(claim.token())),
        ]
    );
    let token: Token = claim.token();
    bed.finish(claim, success(), at(1)).await;
    let states = bed.store.job_states(&keys[..1]).await.unwrap();
    assert_eq!(states, [(keys[0], StateKind::Succeeded, Some(token))]);
}

pub(super) async fn purge_forgets_failed_and_cancelled_records_alone(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let keys = bed.submit(bed.account, &["a"; 8], at(0)).await;
    let mut claims = bed.claim(5, at(0)).await;
    bed.finish(claims.remove(0), success(), at(1)).await;
    for claim in claims.drain(..2) {
        bed.finish(claim, failure(), at(1)).await;
    }
    bed.put_off(claims.remove(0), at(1)).await;
    bed.cancel(keys[6], at(1)).await;
    bed.cancel(keys[7], at(2)).await;
    assert_eq!(bed.store.purge(retention(at(9), at(1))).await.unwrap(), 0);
    let small = crate::store::Retention { batch: 2, ..retention(at(9), at(2)) };
    assert_eq!(bed.store.purge(small).await.unwrap(), 2);
    assert_eq!(bed.store.purge(small).await.unwrap(), 1);
    assert_eq!(bed.store.purge(small).await.unwrap(), 0);
    let left = bed.store.job_states(&keys).await.unwrap();
    let left: Vec<Key> = left.into_iter().map(|(key, _, _)| key).collect();
    assert_eq!(left, [keys[0], keys[3], keys[4], keys[5], keys[7]]);
    assert!(bed.store.media_object(keys[0]).await.unwrap().is_some());
    // A forgotten key does not come back.
    assert!(bed.one(at(0)).await > keys[7]);
}

pub(super) async fn a_closed_store_answers_closed(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    bed.one(at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    bed.store.close().await.unwrap();
    let store = &bed.store;
    let closed = |error: Option<StoreError>| matches!(error, Some(StoreError::Closed));
    assert!(closed(store.account_create("x", false, at(0)).await.err()));
    assert!(closed(store.account_list().await.err()));
    assert!(closed(store.stats().await.err()));
    assert!(closed(store.key_find("K").await.err()));
    let nonce = super::nonces::nonce("n", at(0), at(9));
    assert!(closed(store.nonce_seen(nonce).await.err()));
    assert!(closed(store.nonce_take(nonce).await.err()));
    assert!(closed(store.job_finish(claim, success(), at(1)).await.err()));
    let call = submission(bed.account, vec![new_job("a")], at(1));
    assert!(closed(store.job_submit(call).await.err()));
    store.close().await.unwrap();
}
