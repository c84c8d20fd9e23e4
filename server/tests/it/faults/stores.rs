//! Rows in which it is the object store that fails.

use std::time::Duration;

use super::{files, settled, submit};
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::Process;
use crate::harness::s3::{Call, Fault, How, S3Server, When};
use crate::storage::on_bucket;

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 3] = [117, 118, 119];

/// Five parts of the least size, behind a real MP4.
const FIVE_PARTS: &str = "/blob/25000000/five.mp4";
const TWO_PARTS: &str = "/blob/6000000/two.mp4";
/// Where nothing hangs on purpose, a slow machine may take its time.
const PATIENT: Duration = Duration::from_secs(60);
/// Hanging calls end after this; also on a slow machine, a part takes less.
const HASTY: Duration = Duration::from_secs(8);

struct Bed {
    bucket: S3Server,
    origin: Origin,
    server: Process,
    dir: tempfile::TempDir,
}

impl Bed {
    /// With time enough where nothing hangs.
    async fn start(how: How) -> Self {
        let timeout = if how == How::Hang { HASTY } else { PATIENT };
        let (bucket, origin) = (S3Server::start().await, Origin::start().await);
        let dir = tempfile::tempdir().unwrap();
        let server = Process::start_with(dir.path(), |c| {
            on_bucket(c, &bucket, "&play=proxy");
            c.env("HAULAGE_STORAGE_TIMEOUT", format!("{}ms", timeout.as_millis()))
                .env("HAULAGE_ATTEMPTS", "2");
        });
        Self { bucket, origin, server, dir }
    }

    /// How a transfer of `path` ends.
    async fn transfer(&self, path: &str) -> serde_json::Value {
        let job = submit(&self.server.client(), &self.origin.url(path), None).await;
        settled(&self.server.client(), &job).await.unwrap()
    }

    /// Nothing of an upload is left: what could be aborted at once was.
    #[track_caller]
    fn assert_no_part_is_left(&self, what: &str) {
        let left = (self.bucket.uploads().len(), self.bucket.parts());
        assert_eq!(left, (0, 0), "{what}");
        assert!(files(&self.dir.path().join("uploads")).is_empty(), "{what}");
        assert!(files(&self.dir.path().join("spool")).is_empty(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_117_a_part_that_fails_is_sent_again_and_an_upload_that_fails_is_aborted() {
    let hows =
        [How::Status(500, "InternalError"), How::Status(503, "SlowDown"), How::Hang, How::Reset];
    for how in hows {
        let bed = Bed::start(how).await;
        // Part 3 of 5, once.
        bed.bucket.fail(Fault { skip: 2, ..Fault::once(Call::Part, When::Before, how) });
        let asked = bed.origin.seen(FIVE_PARTS);
        let info = bed.transfer(FIVE_PARTS).await;
        assert_eq!(info["Status"], "SUCCESS", "{how:?}: {info}");
        assert_eq!(bed.origin.seen(FIVE_PARTS) - asked, 1, "{how:?}: the part alone was repeated");
        bed.assert_no_part_is_left("repeated");
    }
    for how in [How::Status(503, "SlowDown"), How::Reset] {
        let bed = Bed::start(how).await;
        bed.bucket.fail(Fault { skip: 2, ..Fault::always(Call::Part, When::Before, how) });
        let info = bed.transfer(FIVE_PARTS).await;
        assert_eq!(info["ErrorCode"], "StorageError", "{how:?}: {info}");
        assert!(bed.bucket.objects().is_empty(), "nothing half-done is visible");
        bed.assert_no_part_is_left("given up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_118_a_completion_that_is_an_error_under_a_success_is_a_failure() {
    let lie = How::Status(200, "InternalError");
    let bed = Bed::start(lie).await;
    bed.bucket.fail(Fault::always(Call::Complete, When::Before, lie));
    let info = bed.transfer(TWO_PARTS).await;
    assert_eq!(info["ErrorCode"], "StorageError", "{info}");
    assert!(bed.bucket.objects().is_empty());
    bed.assert_no_part_is_left("failed");
    // Once: the completion is asked for again, and nothing else is.
    bed.bucket.fail(Fault::once(Call::Complete, When::Before, lie));
    let (parts, asked) = (bed.bucket.count(Call::Part), bed.origin.seen(TWO_PARTS));
    let info = bed.transfer(TWO_PARTS).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(bed.bucket.count(Call::Part) - parts, 2);
    assert_eq!(bed.origin.seen(TWO_PARTS) - asked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_119_a_completion_whose_answer_is_lost_is_a_success_with_one_object() {
    for how in [How::Reset, How::Hang, How::Status(500, "InternalError")] {
        let bed = Bed::start(how).await;
        bed.bucket.fail(Fault::always(Call::Complete, When::After, how));
        let asked = bed.origin.seen(TWO_PARTS);
        let info = bed.transfer(TWO_PARTS).await;
        assert_eq!(info["Status"], "SUCCESS", "{how:?}: {info}");
        assert_eq!(bed.origin.seen(TWO_PARTS) - asked, 1, "{how:?}");
        let objects = bed.bucket.objects();
        assert_eq!(objects.len(), 1, "{how:?}: exactly one object");
        assert!(objects.values().all(|bytes| bytes.starts_with(SAMPLE)), "{how:?}");
        bed.assert_no_part_is_left("one object");
    }
}
