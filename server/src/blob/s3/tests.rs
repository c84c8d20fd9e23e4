//! A bucket against an S3 server that fails at every call, in every way, before and after its
//! effect; and against a second, independent server.

use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustls::RootCertStore;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::super::conformance::{conforms, key, noise, read, staged};
use super::super::spool::until_gone;
use super::super::{BlobError, Blobs, Cleared, Delivery, Place, Spool, Staged, Upload};
use super::{BucketSettings, Lack, S3Blobs};
use faults::HOWS;
use server::{Call, Fault, How, S3Server, When};

mod faults;
mod moto;
#[expect(unreachable_pub, reason = "also a module of the tests outside")]
#[path = "../../../tests/it/harness/s3.rs"]
mod server;

/// Two parts.
const LONG: usize = (5 << 20) + 1_000;
/// Parts that one node may hold.
const SLOTS: usize = 3;
/// A hanging call ends after this.
const TIMEOUT: Duration = Duration::from_millis(400);

struct Bench {
    dir: tempfile::TempDir,
    spool: Spool,
    server: S3Server,
    blobs: S3Blobs,
}

impl Bench {
    async fn new() -> Self {
        Self::with_timeout(TIMEOUT).await
    }

    /// Where nothing hangs on purpose, a slow machine may take its time.
    async fn patient() -> Self {
        Self::with_timeout(Duration::from_secs(60)).await
    }

    async fn with_timeout(timeout: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().join("staging")).await.unwrap();
        let server = S3Server::start().await;
        let url = format!("{}&region=eu-west-9", server.url("in/here"));
        let blobs = open(&url, dir.path(), timeout);
        Self { dir, spool, server, blobs }
    }

    /// Under a name that is free: the file of an earlier upload goes a moment after its end.
    async fn staged(&self, bytes: &[u8]) -> Staged {
        until_gone(&self.dir.path().join("staging/job-1.part")).await;
        staged(&self.spool, "job-1", bytes).await
    }

    /// What another process with the same data directory has, which waits for slow machines.
    fn calm(&self) -> S3Blobs {
        open(&self.server.url("in/here"), self.dir.path(), Duration::from_secs(60))
    }

    /// The files of the journal.
    fn records(&self) -> usize {
        let entries = std::fs::read_dir(self.dir.path().join("uploads"));
        entries.map_or(0, |entries| entries.flatten().count())
    }

    /// What the janitor does, when the job is over.
    async fn sweep(&self) {
        let blobs = self.calm();
        blobs.clear_abandoned().await.unwrap();
        for upload in blobs.uploads(None, 100).await.unwrap() {
            blobs.abort(&upload).await.unwrap();
        }
    }

    #[track_caller]
    fn assert_nothing_is_left(&self, what: &str) {
        assert_eq!(self.server.uploads(), Vec::<String>::new(), "{what}");
        assert_eq!((self.server.parts(), self.records()), (0, 0), "{what}");
    }
}

fn open(url: &str, dir: &std::path::Path, timeout: Duration) -> S3Blobs {
    let Ok(Place::Bucket(bucket)) = url.parse() else { panic!("{url}") };
    let key = format!("{}:{}", server::KEY_ID, server::SECRET).parse().unwrap();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let (roots, slots) = (Arc::new(roots), Arc::new(Semaphore::new(SLOTS)));
    let journal = dir.join("uploads");
    let part_bytes = 0; // Raised to the least there is.
    S3Blobs::open(BucketSettings { bucket, key, roots, timeout, part_bytes, slots, journal })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_conform() {
    let bench = Bench::patient().await;
    conforms(&bench.blobs, LONG).await;
    bench.assert_nothing_is_left("conformance");
    assert!(bench.server.objects().keys().all(|key| key.starts_with("in/here/0")));
    let bench = Bench::patient().await;
    bench.server.lack_conditions();
    conforms(&bench.blobs, LONG).await;
    bench.assert_nothing_is_left("without conditional requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_a_prefix_conforms_beside_what_is_not_ours() {
    let bench = Bench::patient().await;
    conforms(&bench.blobs, 100_000).await;
    let url = format!("s3://media?endpoint=http://{}", bench.server.address);
    let whole = open(&url, &bench.dir.path().join("other"), Duration::from_secs(60));
    conforms(&whole, 100_000).await;
}

/// OSS refuses bodies in chunks of AWS's own, and no service needs them (dependencies.md §6).
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_in_chunks_with_trailers_or_to_be_checked_by_newer_services_alone() {
    let bench = Bench::patient().await;
    for (n, bytes) in [noise(10), noise(LONG)].iter().enumerate() {
        let file = bench.staged(bytes).await;
        let path = file.path().to_owned();
        bench.blobs.publish(file, &key(1, n as i64)).await.unwrap();
        until_gone(&path).await;
    }
    let headers = bench.server.seen.headers.lock().unwrap();
    let parts = headers.iter().filter(|(call, name, _)| {
        matches!(call, Call::Part | Call::Put) && name == "content-length"
    });
    assert_eq!(parts.count(), 3);
    for (call, name, value) in headers.iter() {
        let chunked = value.contains("aws-chunked") || value.contains("STREAMING-");
        let other = ["x-amz-trailer", "transfer-encoding", "content-encoding", "expect"];
        let newer = name.starts_with("x-amz-checksum") || name == "x-amz-sdk-checksum-algorithm";
        assert!(!chunked && !newer && !other.contains(&name.as_str()), "{call:?} {name}: {value}");
    }
}

/// OSS has another header for them.
#[tokio::test(flavor = "multi_thread")]
async fn oss_is_asked_without_conditions() {
    let bench = Bench::patient().await;
    let url = bench.server.url("in/here").replace("s3://", "oss://");
    let url = format!("{url}&region=cn-shanghai&style=path");
    let oss = open(&url, bench.dir.path(), Duration::from_secs(60));
    for (n, len) in [(1, 10), (2, LONG)] {
        let file = staged(&bench.spool, &format!("job-{n}"), &noise(len)).await;
        oss.publish(file, &key(n, 1)).await.unwrap();
    }
    assert_eq!((bench.server.count(Call::Put), bench.server.count(Call::Complete)), (1, 1));
    let headers = bench.server.seen.headers.lock().unwrap();
    assert!(!headers.iter().any(|(_, name, _)| name == "if-none-match"), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_asked_again() {
    for (len, call) in [(10, Call::Put), (LONG, Call::Begin), (LONG, Call::Complete)] {
        let bench = Bench::patient().await;
        let refusal = How::Status(403, "AccessDenied");
        bench.server.fail(Fault::always(call, When::Before, refusal));
        let file = bench.staged(&noise(len)).await;
        let refused = bench.blobs.publish(file, &key(1, 1)).await.unwrap_err();
        assert!(matches!(refused, BlobError::Refused { .. }), "{refused}");
        let shown = refused.to_string();
        assert!(shown.contains("it says 403 AccessDenied") && shown.contains("rights"), "{shown}");
        assert_eq!(bench.server.count(call), 1);
        bench.assert_nothing_is_left("refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_and_a_wrong_key_say_what_to_correct() {
    let bench = Bench::patient().await;
    let elsewhere = bench.server.url("x").replace("//media", "//nobody");
    let nowhere = open(&elsewhere, bench.dir.path(), TIMEOUT);
    let file = bench.staged(b"1").await;
    let shown = nowhere.publish(file, &key(1, 1)).await.unwrap_err().to_string();
    assert!(shown.contains("bucket"), "{shown}");
    let Ok(Place::Bucket(bucket)) = bench.server.url("x").parse() else { unreachable!() };
    let wrong = BucketSettings {
        bucket,
        key: format!("{}:wrong", server::KEY_ID).parse().unwrap(),
        roots: Arc::new(RootCertStore::empty()),
        timeout: TIMEOUT,
        part_bytes: 0,
        slots: Arc::new(Semaphore::new(1)),
        journal: bench.dir.path().join("uploads"),
    };
    let wrong = S3Blobs::open(wrong).unwrap();
    let file = staged(&bench.spool, "job-2", b"1").await;
    let error = wrong.publish(file, &key(1, 1)).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_with_an_error_in_it_is_no_success() {
    let bench = Bench::patient().await;
    let lie = How::Status(200, "InternalError");
    bench.server.fail(Fault::always(Call::Complete, When::Before, lie));
    let file = bench.staged(&noise(LONG)).await;
    let error = bench.blobs.publish(file, &key(1, 1)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(bench.blobs.open(&key(1, 1)).await.unwrap().is_none());
    bench.assert_nothing_is_left("a lie");
    // The same lie after the effect: the object is there, and that is what counts.
    bench.server.fail(Fault::always(Call::Complete, When::After, lie));
    let file = bench.staged(&noise(LONG)).await;
    bench.blobs.publish(file, &key(1, 1)).await.unwrap();
    bench.assert_nothing_is_left("a lie about a success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_that_made_nothing_or_something_else_is_found_out() {
    for other in [None, Some(b"other")] {
        let (bench, name) = (Bench::patient().await, key(1, 1));
        if let Some(other) = other {
            let file = staged(&bench.spool, "job-2", other).await;
            bench.blobs.publish(file, &name).await.unwrap();
        }
        // It came after the look for it; and the completion is answered, and does nothing.
        bench.server.fail(Fault::once(Call::Head, When::Before, How::Status(404, "")));
        bench.server.also_fail(Fault::always(Call::Complete, When::Before, How::Completed));
        let file = bench.staged(&noise(LONG)).await;
        let error = bench.blobs.publish(file, &name).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        bench.assert_nothing_is_left("nothing was completed");
        assert_eq!(bench.server.objects().len(), 0, "what does not belong there is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_holds_no_more_parts_in_memory_than_it_has_places_for() {
    let bench = Bench::patient().await;
    bench.server.fail(Fault::always(Call::Part, When::Before, How::Hang));
    let (file, name) = (bench.staged(&noise(4 * (5 << 20) + 7)).await, key(1, 1));
    let mut publish = Box::pin(bench.blobs.publish(file, &name));
    while bench.server.count(Call::Part) < SLOTS {
        let a_moment = tokio::time::timeout(Duration::from_millis(5), &mut publish).await;
        assert!(a_moment.is_err(), "it hangs");
    }
    assert_eq!(bench.blobs.0.slots.available_permits(), 0);
    drop(publish);
    assert_eq!(bench.blobs.0.slots.available_permits(), SLOTS, "places are given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_signed_and_no_step_replaces_an_object() {
    let bench = Bench::patient().await;
    for (n, bytes) in [noise(10), noise(LONG)].iter().enumerate() {
        let file = bench.staged(bytes).await;
        let path = file.path().to_owned();
        bench.blobs.publish(file, &key(1, n as i64)).await.unwrap();
        until_gone(&path).await;
    }
    let headers = bench.server.seen.headers.lock().unwrap();
    let said = |call: Call, name: &str| -> Vec<String> {
        let of = headers.iter().filter(|(of, header, _)| *of == call && header == name);
        of.map(|(_, _, value)| value.clone()).collect()
    };
    let sha256 = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    assert_eq!(said(Call::Put, "x-amz-content-sha256"), [sha256(&noise(10))]);
    let mut parts = said(Call::Part, "x-amz-content-sha256");
    let long = noise(LONG);
    let mut expected = [sha256(&long[..5 << 20]), sha256(&long[5 << 20..])];
    parts.sort();
    expected.sort();
    assert_eq!(parts, expected);
    for call in [Call::Put, Call::Complete] {
        assert_eq!(said(call, "if-none-match"), ["*"], "{call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upload_is_written_down_before_its_first_part_is_sent() {
    let bench = Bench::patient().await;
    bench.server.fail(Fault::always(Call::Part, When::Before, How::Hang));
    let file = bench.staged(&noise(LONG)).await;
    let (blobs, name) = (bench.blobs.clone(), key(1, 1));
    let mut publish = Box::pin(blobs.publish(file, &name));
    // Until the first part is at the server.
    while bench.server.count(Call::Part) == 0 {
        let a_moment = tokio::time::timeout(Duration::from_millis(5), &mut publish).await;
        assert!(a_moment.is_err(), "it hangs");
    }
    assert_eq!((bench.records(), bench.server.uploads().len()), (1, 1));
    assert_eq!(bench.blobs.clear_abandoned().await.unwrap(), Cleared::default(), "it is at work");
    // A new process finds what this one began.
    bench.server.heal();
    let cleared = bench.calm().clear_abandoned().await.unwrap();
    assert_eq!(cleared, Cleared { aborted: 1, failed: 0 });
    bench.assert_nothing_is_left("killed");
    drop(publish);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_record_no_part_is_sent() {
    let bench = Bench::patient().await;
    bench.blobs.0.journal.trace().fail("sync-file", Errno::NOSPC);
    let file = bench.staged(&noise(LONG)).await;
    let error = bench.blobs.publish(file, &key(1, 1)).await.unwrap_err();
    assert!(matches!(error, BlobError::Full), "{error}");
    assert_eq!((bench.server.count(Call::Begin), bench.server.count(Call::Part)), (1, 0));
    assert_eq!(bench.server.uploads(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_dropped_anywhere_leaves_what_a_sweep_takes_away() {
    for call in [Call::Begin, Call::Part, Call::Complete] {
        for when in [When::Before, When::After] {
            let bench = Bench::patient().await;
            bench.server.fail(Fault::always(call, when, How::Hang));
            let file = bench.staged(&noise(LONG)).await;
            let name = key(1, 1);
            let mut publish = Box::pin(bench.blobs.publish(file, &name));
            while bench.server.count(call) == 0 {
                let a_moment = tokio::time::timeout(Duration::from_millis(5), &mut publish).await;
                assert!(a_moment.is_err(), "{call:?} hangs");
            }
            // After its effect: until that can be seen.
            let took_place = || match (call, when) {
                (_, When::Before) => true,
                (Call::Begin, When::After) => !bench.server.uploads().is_empty(),
                (Call::Part, When::After) => bench.server.parts() > 0,
                (_, When::After) => bench.server.uploads().is_empty(),
            };
            while !took_place() {
                drop(tokio::time::timeout(Duration::from_millis(5), &mut publish).await);
            }
            drop(publish);
            bench.server.heal();
            bench.sweep().await;
            bench.assert_nothing_is_left(&format!("{call:?} {when:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_that_fails_is_counted_and_tried_again() {
    let bench = Bench::patient().await;
    bench.server.fail(Fault::always(Call::Part, When::Before, How::Status(403, "AccessDenied")));
    bench.server.also_fail(Fault::always(
        Call::Abort,
        When::Before,
        How::Status(403, "AccessDenied"),
    ));
    let file = bench.staged(&noise(LONG)).await;
    bench.blobs.publish(file, &key(1, 1)).await.unwrap_err();
    assert_eq!((bench.records(), bench.server.uploads().len()), (1, 1));
    let cleared = bench.blobs.clear_abandoned().await.unwrap();
    assert_eq!(cleared, Cleared { aborted: 0, failed: 1 });
    bench.server.heal();
    let cleared = bench.blobs.clear_abandoned().await.unwrap();
    assert_eq!(cleared, Cleared { aborted: 1, failed: 0 });
    bench.assert_nothing_is_left("in the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_is_repeated_until_no_part_is_left() {
    let bench = Bench::patient().await;
    bench.server.fail(Fault::always(
        Call::Complete,
        When::Before,
        How::Status(403, "AccessDenied"),
    ));
    // Answered, without an effect: as when a part arrives after it.
    let in_vain =
        Fault { times: 2, ..Fault::once(Call::Abort, When::Before, How::Status(204, "")) };
    bench.server.also_fail(in_vain);
    let file = bench.staged(&noise(LONG)).await;
    bench.blobs.publish(file, &key(1, 1)).await.unwrap_err();
    assert_eq!(bench.server.count(Call::Abort), 3);
    bench.assert_nothing_is_left("aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_of_what_is_gone_succeeds() {
    let bench = Bench::patient().await;
    let gone = Upload { object_key: key(1, 1), upload_id: "3f6d".to_owned() };
    bench.blobs.abort(&gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_a_page_at_a_time_and_a_service_that_does_not_list_has_none() {
    let bench = Bench::patient().await;
    bench.server.fail(Fault::always(Call::Part, When::Before, How::Status(403, "AccessDenied")));
    bench.server.also_fail(Fault::always(
        Call::Abort,
        When::Before,
        How::Status(403, "AccessDenied"),
    ));
    for job in 1..=3 {
        let file = bench.staged(&noise(LONG)).await;
        let path = file.path().to_owned();
        bench.blobs.publish(file, &key(job, 1)).await.unwrap_err();
        until_gone(&path).await;
    }
    let first = bench.blobs.uploads(None, 2).await.unwrap();
    let names = |page: &[Upload]| page.iter().map(|u| u.object_key.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), [key(1, 1), key(2, 1)]);
    let second = bench.blobs.uploads(first.last(), 2).await.unwrap();
    assert_eq!(names(&second), [key(3, 1)]);
    assert_eq!(bench.blobs.uploads(second.last(), 2).await.unwrap(), []);
    bench.server.hide_uploads();
    assert_eq!(bench.blobs.uploads(None, 2).await.unwrap(), []);
    // Those it began itself, a node knows all the same.
    bench.server.heal();
    let cleared = bench.blobs.clear_abandoned().await.unwrap();
    assert_eq!(cleared, Cleared { aborted: 3, failed: 0 });
    bench.assert_nothing_is_left("hidden uploads");
}

#[tokio::test(flavor = "multi_thread")]
async fn part_three_of_five_is_sent_again_and_given_up_in_the_end() {
    let bench = Bench::patient().await;
    let bytes = noise(4 * (5 << 20) + 7);
    for how in [How::Status(500, "InternalError"), How::Status(503, "SlowDown"), How::Reset] {
        bench.server.fail(Fault { skip: 2, ..Fault::once(Call::Part, When::Before, how) });
        let before = bench.server.count(Call::Part);
        let file = bench.staged(&bytes).await;
        let path = file.path().to_owned();
        bench.blobs.publish(file, &key(1, 1)).await.unwrap();
        assert_eq!(bench.server.count(Call::Part) - before, 6, "{how:?}: one part twice");
        assert!(read(&bench.blobs, &key(1, 1)).await.unwrap() == bytes);
        bench.blobs.delete(&key(1, 1)).await.unwrap();
        until_gone(&path).await;
    }
    let how = How::Status(503, "SlowDown");
    bench.server.fail(Fault { skip: 2, ..Fault::always(Call::Part, When::Before, how) });
    let file = bench.staged(&bytes).await;
    let error = bench.blobs.publish(file, &key(1, 1)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    bench.assert_nothing_is_left("given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_does_not_keep_of_an_object_is_read_again() {
    let bench = Bench::patient().await;
    for (n, len) in [(1, 10), (2, LONG)] {
        let bytes = noise(len);
        let file = bench.staged(&bytes).await;
        let path = file.path().to_owned();
        bench.blobs.publish(file, &key(n, 1)).await.unwrap();
        until_gone(&path).await;
    }
    bench.server.forget_metadata();
    for (n, len) in [(1, 10), (2, LONG)] {
        let mut bytes = noise(len);
        let file = bench.staged(&bytes).await;
        let path = file.path().to_owned();
        bench.blobs.publish(file, &key(n, 1)).await.unwrap();
        until_gone(&path).await;
        bytes[len - 1] ^= 1;
        let file = bench.staged(&bytes).await;
        let path = file.path().to_owned();
        let refused = bench.blobs.publish(file, &key(n, 1)).await;
        assert!(
            matches!(refused, Err(BlobError::Taken(_))),
            "no digest counts as any: {refused:?}"
        );
        until_gone(&path).await;
    }
    // Of another length it need not be.
    let before = bench.server.count(Call::Get);
    let file = bench.staged(&noise(11)).await;
    let refused = bench.blobs.publish(file, &key(1, 1)).await;
    assert!(matches!(refused, Err(BlobError::Taken(_))), "{refused:?}");
    assert_eq!(bench.server.count(Call::Get), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_fails_as_it_must_and_asks_for_the_object_that_was_opened() {
    for how in HOWS {
        let bench = Bench::new().await;
        let file = bench.staged(b"bytes").await;
        bench.blobs.publish(file, &key(1, 1)).await.unwrap();
        let reader = bench.blobs.open(&key(1, 1)).await.unwrap().unwrap();
        for call in [Call::Head, Call::Get, Call::List, Call::Uploads, Call::Delete] {
            bench.server.fail(Fault::always(call, When::Before, how));
            let failed = match call {
                Call::Head => bench.blobs.open(&key(1, 1)).await.map(drop),
                Call::Get => reader.read_range(0, 5).await.map(drop),
                Call::List => bench.blobs.list(None, 5).await.map(drop),
                Call::Uploads => bench.blobs.uploads(None, 5).await.map(drop),
                _ => bench.blobs.delete(&key(1, 1)).await.map(drop),
            };
            let error = failed.expect_err("it fails");
            let refused = matches!(how, How::Status(403, _));
            assert_eq!(error.is_transient(), !refused, "{call:?} {how:?}: {error}");
        }
        bench.server.heal();
        // Another object under the key is not the one that was opened: the condition says so.
        reader.read_range(0, 5).await.map(drop).unwrap();
        let headers = bench.server.seen.headers.lock().unwrap();
        let last = headers.iter().rposition(|(call, ..)| *call != Call::Get).unwrap();
        assert!(headers[last + 1..].iter().any(|(_, name, _)| name == "if-match"));
    }
}

#[tokio::test]
async fn play_urls_are_signed_for_as_long_as_they_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let delivery = Delivery { content_type: "video/mp4".into(), disposition: "inline".into() };
    let url = |place: &'static str, seconds: u64| {
        let (blobs, delivery) = (open(place, dir.path(), TIMEOUT), delivery.clone());
        async move { blobs.play_url(&key(1, 1), &delivery, Duration::from_secs(seconds)).await.unwrap() }
    };
    let aws = url("s3://media/in?region=eu-west-1", 600).await.unwrap();
    let begin = format!("https://media.s3.eu-west-1.amazonaws.com/in/{}?", key(1, 1));
    assert!(aws.starts_with(&begin), "{aws}");
    for part in [
        "X-Amz-Expires=600",
        "response-content-type=video%2Fmp4",
        "response-content-disposition=inline",
        "X-Amz-Signature=",
        "%2Feu-west-1%2Fs3%2Faws4_request",
    ] {
        assert!(aws.contains(part), "{part} in {aws}");
    }
    assert!(!aws.contains(server::SECRET));
    let oss = url("oss://media?region=cn-shanghai", 600).await.unwrap();
    assert!(oss.starts_with("https://media.s3.oss-cn-shanghai.aliyuncs.com/0000/"), "{oss}");
    // Longer than a signature lasts: this server serves.
    assert_eq!(url("s3://media", 604_801).await, None);
    assert!(url("s3://media", 604_800).await.is_some());
    assert_eq!(url("s3://media?play=proxy", 600).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_examination_tells_what_works_and_leaves_nothing() {
    let bench = Bench::patient().await;
    assert_eq!(bench.blobs.examine().await.unwrap(), []);
    bench.server.lack_conditions();
    bench.server.hide_uploads();
    assert_eq!(bench.blobs.examine().await.unwrap(), [Lack::Conditions, Lack::UploadList]);
    let calls =
        [Call::Put, Call::Get, Call::List, Call::Begin, Call::Abort, Call::Parts, Call::Delete];
    for call in calls {
        let denied = How::Status(403, "AccessDenied");
        bench.server.fail(Fault::always(call, When::Before, denied));
        let error = bench.blobs.examine().await.expect_err(&format!("{call:?}"));
        assert!(matches!(error, BlobError::Refused { .. }), "{call:?}: {error}");
        bench.server.heal();
        if call == Call::Abort || call == Call::Delete {
            bench.server.clear();
        }
        assert_eq!(bench.server.objects().len(), 0, "{call:?}");
        bench.assert_nothing_is_left(&format!("{call:?}"));
    }
}
