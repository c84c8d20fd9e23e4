//! What a published object promises.

use std::io::Write as _;

use rustix::io::Errno;

use super::super::Spool;
use super::super::conformance::{self, conforms, key, read_all};
use super::super::spool::until_gone;
use super::*;

struct Bench {
    dir: tempfile::TempDir,
    spool: Spool,
    blobs: LocalBlobs,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().join("staging")).await.unwrap();
        let blobs = LocalBlobs::open(dir.path().join("objects")).await.unwrap();
        blobs.0.disk.trace.take(dir.path());
        Self { dir, spool, blobs }
    }

    async fn staged(&self, name: &str, bytes: &[u8]) -> Staged {
        conformance::staged(&self.spool, name, bytes).await
    }

    fn steps(&self) -> Vec<String> {
        self.blobs.0.disk.trace.take(&self.dir.path().join("objects"))
    }

    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        conformance::read(&self.blobs, key).await
    }
}

#[tokio::test]
async fn local_files_conform() {
    let bench = Bench::new().await;
    conforms(&bench.blobs, CHUNK_BYTES * 2 + 77).await;
}

#[tokio::test]
async fn a_published_object_has_the_staged_bytes_and_staging_is_empty_again() {
    let bench = Bench::new().await;
    let staged = bench.staged("job-1", b"the bytes").await;
    assert_eq!(bench.read(&key(1, 1)).await, None);
    bench.blobs.publish(staged, &key(1, 1)).await.unwrap();
    assert_eq!(bench.read(&key(1, 1)).await.unwrap(), b"the bytes");
    assert!(bench.spool.partials().await.unwrap().is_empty());
}

#[tokio::test]
async fn publishing_moves_in_one_step_and_then_syncs_the_directory() {
    let bench = Bench::new().await;
    let staged = bench.staged("job-1", b"1").await;
    bench.blobs.publish(staged, &key(1, 1)).await.unwrap();
    assert_eq!(
        bench.steps(),
        [
            "make-directory 0000",
            "sync-directory .",
            "make-directory 0000/00",
            "sync-directory 0000",
            "rename 0000/00/0000000000000001-1.mp4",
            "sync-directory 0000/00",
        ]
    );
    // Known directories are not synced into their parents again.
    let staged = bench.staged("job-2", b"2").await;
    bench.blobs.publish(staged, &key(2, 1)).await.unwrap();
    assert_eq!(bench.steps(), ["rename 0000/00/0000000000000002-1.mp4", "sync-directory 0000/00"]);
}

#[tokio::test]
async fn a_directory_found_at_the_first_publish_is_synced_into_its_parent_all_the_same() {
    // Whoever made it may have died, or may still be, between making and syncing.
    let bench = Bench::new().await;
    fs::create_dir_all(bench.dir.path().join("objects/0000/00")).unwrap();
    let staged = bench.staged("job-1", b"1").await;
    bench.blobs.publish(staged, &key(1, 1)).await.unwrap();
    let steps = bench.steps();
    assert!(steps.contains(&"sync-directory .".to_owned()), "{steps:?}");
    assert!(steps.contains(&"sync-directory 0000".to_owned()), "{steps:?}");
}

#[tokio::test]
async fn an_object_that_could_not_be_made_durable_is_not_visible() {
    let bench = Bench::new().await;
    let first = bench.staged("job-1", b"1").await;
    bench.blobs.publish(first, &key(1, 1)).await.unwrap();
    let second = bench.staged("job-2", b"2").await;
    bench.blobs.0.disk.trace.fail("sync-directory", Errno::IO);
    let refused = bench.blobs.publish(second, &key(2, 1)).await;
    assert!(matches!(refused, Err(BlobError::Io { .. })), "{refused:?}");
    assert_eq!(bench.read(&key(2, 1)).await, None);
    assert_eq!(bench.read(&key(1, 1)).await.unwrap(), b"1");
}

#[tokio::test]
async fn a_refused_publish_leaves_nothing_under_the_key_and_nothing_staged() {
    let bench = Bench::new().await;
    let staged = bench.staged("job-1", b"1").await;
    let path = staged.path().to_owned();
    bench.blobs.0.disk.trace.fail("rename", Errno::NOSPC);
    assert!(matches!(bench.blobs.publish(staged, &key(1, 1)).await, Err(BlobError::Full)));
    assert_eq!(bench.read(&key(1, 1)).await, None);
    assert_eq!(bench.blobs.list(None, 10).await.unwrap(), Vec::<String>::new());
    until_gone(&path).await;
}

#[tokio::test]
async fn staging_on_another_file_system_is_copied_synced_and_then_moved() {
    // /dev/shm is a file system of its own on Linux; elsewhere there is nothing to show.
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        let required = std::env::var_os("HAULAGE_TEST_REQUIRE_ALL").is_some();
        assert!(!required, "this test must run here, but there is no /dev/shm to stage on");
        // Past the capture of the test runner, which hides what a passing test prints.
        std::io::stderr().write_all(b"SKIPPED: no /dev/shm to stage on\n").unwrap();
        return;
    };
    let bench = Bench::new().await;
    let spool = Spool::open(elsewhere.path().join("staging")).await.unwrap();
    let mut writer = spool.create("job-1", None).unwrap();
    writer.write(b"from afar").unwrap();
    let staged = writer.finish().await.unwrap();
    bench.blobs.publish(staged, &key(1, 1)).await.unwrap();
    assert_eq!(bench.read(&key(1, 1)).await.unwrap(), b"from afar");
    assert!(spool.partials().await.unwrap().is_empty());
    let steps = bench.steps();
    let tail: Vec<_> = steps.iter().rev().take(3).rev().collect();
    assert_eq!(
        tail,
        [
            "sync-file .incoming/0000000000000001-1.mp4",
            "rename 0000/00/0000000000000001-1.mp4",
            "sync-directory 0000/00"
        ]
    );
}

#[tokio::test]
async fn interrupted_copies_are_cleared_at_the_start_and_never_listed() {
    let bench = Bench::new().await;
    let leftover = bench.dir.path().join("objects/.incoming/0000000000000001-1.mp4");
    fs::write(&leftover, b"half").unwrap();
    assert_eq!(bench.blobs.list(None, 10).await.unwrap(), Vec::<String>::new());
    LocalBlobs::open(bench.dir.path().join("objects")).await.unwrap();
    assert!(!leftover.exists());
}

#[tokio::test]
async fn objects_are_listed_in_key_order_a_page_at_a_time() {
    let bench = Bench::new().await;
    let jobs = [3, 1, 1 << 40, (1 << 40) + 5, 1 << 48, (1 << 48) + (7 << 40), 2];
    for (n, job) in jobs.into_iter().enumerate() {
        let staged = bench.staged(&format!("job-{n}"), b"x").await;
        bench.blobs.publish(staged, &key(job, 1)).await.unwrap();
    }
    fs::write(bench.dir.path().join("objects/0000/00/foreign.txt"), b"x").unwrap();
    let mut wanted: Vec<_> = jobs.map(|job| key(job, 1)).into();
    wanted.sort();
    assert_eq!(bench.blobs.list(None, 100).await.unwrap(), wanted);
    let mut paged: Vec<String> = Vec::new();
    loop {
        let page = bench.blobs.list(paged.last().map(String::as_str), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(paged, wanted);
}

#[tokio::test]
async fn a_deleted_object_is_gone_and_deleting_it_again_says_so() {
    let bench = Bench::new().await;
    let staged = bench.staged("job-1", b"1").await;
    bench.blobs.publish(staged, &key(1, 1)).await.unwrap();
    let reader = bench.blobs.open(&key(1, 1)).await.unwrap().unwrap();
    bench.steps();
    assert!(bench.blobs.delete(&key(1, 1)).await.unwrap());
    assert_eq!(bench.steps(), ["sync-directory 0000/00"]);
    assert!(!bench.blobs.delete(&key(1, 1)).await.unwrap());
    assert!(bench.blobs.open(&key(1, 1)).await.unwrap().is_none());
    // Whoever was reading it reads on.
    assert_eq!(read_all(&reader, 0, 1).await.unwrap(), b"1");
}

#[tokio::test]
async fn an_object_that_ends_early_ends_its_stream_with_an_error() {
    let bench = Bench::new().await;
    let staged = bench.staged("job-1", b"123456").await;
    bench.blobs.publish(staged, &key(1, 1)).await.unwrap();
    let reader = bench.blobs.open(&key(1, 1)).await.unwrap().unwrap();
    let file = bench.dir.path().join("objects").join(key(1, 1));
    OpenOptions::new().write(true).open(file).unwrap().set_len(3).unwrap();
    assert!(read_all(&reader, 0, 6).await.is_err());
}
