//! What the staging area promises.

use std::fs;

use super::mark::tests::version;
use super::*;
use crate::domain::id::Key;
use crate::domain::job::Token;

async fn spool() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path().join("a/staging")).await.unwrap();
    (dir, spool)
}

#[tokio::test]
async fn a_staged_file_has_the_bytes_written_and_their_digests() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create("job-1", Some(9)).unwrap();
    writer.carry(&[Algorithm::Crc32c], u64::MAX);
    writer.write(b"1234").unwrap();
    // Too late for this one: it would lack the first bytes.
    writer.carry(&[Algorithm::Crc32c, Algorithm::Md5], u64::MAX);
    writer.write(b"56789").unwrap();
    assert_eq!((writer.written(), writer.head().unwrap()), (9, b"123456789".to_vec()));
    let staged = writer.finish().await.unwrap();
    assert_eq!(fs::read(staged.path()).unwrap(), b"123456789");
    assert_eq!(staged.size(), 9);
    assert_eq!(
        staged.sha256().unwrap(),
        "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
    );
    // The check value of CRC-64/XZ in the catalogue of parametrised CRC algorithms.
    assert_eq!(staged.crc64(), 0x995d_c9bb_df19_39fa);
    assert_eq!(staged.digest(Algorithm::Crc32c), Some(Digest::Crc32c(0xe306_9283)));
    assert_eq!((staged.digest(Algorithm::Md5), staged.md5()), (None, None));
}

#[tokio::test]
async fn a_staged_file_is_synced_before_it_counts_as_finished() {
    let (_dir, spool) = spool().await;
    spool.trace().take(&spool.directory);
    let mut writer = spool.create("job-1", None).unwrap();
    writer.write(b"bytes").unwrap();
    assert!(spool.trace().take(&spool.directory).is_empty());
    let _staged = writer.finish().await.unwrap();
    assert_eq!(spool.trace().take(&spool.directory), ["sync-file job-1.part"]);
}

#[tokio::test]
async fn after_a_failed_sync_the_file_is_gone() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create("job-1", None).unwrap();
    writer.write(b"bytes").unwrap();
    let path = writer.lodging.path.clone();
    spool.trace().fail("sync-file", rustix::io::Errno::IO);
    assert!(writer.finish().await.is_err());
    until_gone(&path).await;
}

#[tokio::test]
async fn an_abandoned_transfer_leaves_no_file() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create("job-1", None).unwrap();
    writer.write(b"half of").unwrap();
    let unfinished = writer.lodging.path.clone();
    assert!(unfinished.exists());
    drop(writer);
    until_gone(&unfinished).await;

    let mut writer = spool.create("job-2", None).unwrap();
    writer.write(b"all of it").unwrap();
    let staged = writer.finish().await.unwrap();
    let finished = staged.path().to_owned();
    drop(staged);
    until_gone(&finished).await;
}

#[test]
fn an_abandoned_transfer_leaves_no_file_even_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (_dir, spool) = runtime.block_on(spool());
    let writer = spool.create("job-1", None).unwrap();
    let path = writer.lodging.path.clone();
    drop(runtime);
    drop(writer);
    assert!(!path.exists());
}

fn files(spool: &Spool) -> Vec<String> {
    let entries = fs::read_dir(&spool.directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const JOB: Key = Key(0x4d);

fn name(token: i64) -> String {
    staged_name(JOB, Token(token))
}

/// Nine bytes of which the first `at` were received, parked under `token`.
async fn park(spool: &Spool, token: i64, at: usize) {
    let mut writer = spool.create(&name(token), None).unwrap();
    writer.write(&b"123456789"[..at]).unwrap();
    writer.park(&version(), Tally::default()).await.unwrap();
}

#[tokio::test]
async fn a_parked_file_is_continued_by_a_later_attempt_with_the_digests_of_the_whole() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create(&name(1), Some(9)).unwrap();
    writer.write(b"12345").unwrap();
    let tally = Tally { forgiven: 1, best: 5, changes: 2, renewal: 0 };
    writer.park(&version(), tally).await.unwrap();
    let (mut writer, mark) = spool.take_up(JOB).await.unwrap().unwrap();
    assert_eq!((mark.offset, mark.tally, mark.version), (5, tally, version()));
    assert_eq!((writer.written(), writer.head().unwrap()), (5, b"12345".to_vec()));
    writer.write(b"6789").unwrap();
    let staged = writer.finish().await.unwrap();
    assert_eq!(fs::read(staged.path()).unwrap(), b"123456789");
    assert_eq!(staged.crc64(), 0x995d_c9bb_df19_39fa);
    assert_eq!(staged.digest(Algorithm::Crc32c), Some(Digest::Crc32c(0xe306_9283)));
    assert_eq!(staged.md5().as_deref(), Some("25f9e794323b453885f5181f1b624d0b"));
    assert_eq!(
        staged.sha256().unwrap(),
        "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
    );
}

#[tokio::test]
async fn what_came_after_the_checkpoint_is_cut_off() {
    let (_dir, spool) = spool().await;
    park(&spool, 1, 5).await;
    let mut file = OpenOptions::new().append(true).open(spool.path(&name(1), PART)).unwrap();
    file.write_all(b"never synced").unwrap();
    let (writer, _) = spool.take_up(JOB).await.unwrap().unwrap();
    assert_eq!(writer.written(), 5);
    assert_eq!(fs::read(spool.path(&name(1), PART)).unwrap(), b"12345");
}

#[tokio::test]
async fn a_complete_file_asks_for_its_last_byte_again_as_often_as_need_be() {
    let (_dir, spool) = spool().await;
    park(&spool, 1, 9).await;
    for _ in 0..2 {
        let (writer, mark) = spool.take_up(JOB).await.unwrap().unwrap();
        assert_eq!((writer.written(), mark.offset), (8, 9));
        drop(writer);
    }
    let (mut writer, _) = spool.take_up(JOB).await.unwrap().unwrap();
    writer.write(b"9").unwrap();
    assert_eq!(writer.finish().await.unwrap().crc64(), 0x995d_c9bb_df19_39fa);
}

#[tokio::test]
async fn what_disagrees_with_its_checkpoint_is_removed_and_not_continued() {
    let (_dir, spool) = spool().await;
    type Damage = fn(&Spool);
    let damage: [(&str, Damage); 5] = [
        ("other bytes", |s| fs::write(s.path(&name(1), PART), b"12x45").unwrap()),
        ("too short", |s| fs::write(s.path(&name(1), PART), b"1234").unwrap()),
        ("a torn checkpoint", |s| fs::write(s.path(&name(1), MARK), b"haulage che").unwrap()),
        ("no checkpoint", |s| fs::remove_file(s.path(&name(1), MARK)).unwrap()),
        ("no file", |s| fs::remove_file(s.path(&name(1), PART)).unwrap()),
    ];
    for (what, damage) in damage {
        park(&spool, 1, 5).await;
        damage(&spool);
        assert!(spool.take_up(JOB).await.unwrap().is_none(), "{what}");
        until_gone(&spool.path(&name(1), PART)).await;
        assert_eq!(files(&spool), [""; 0], "{what}");
    }
}

#[tokio::test]
async fn a_file_without_a_sha256_is_continued_by_its_crc64_alone() {
    let (_dir, spool) = spool().await;
    let park = async || {
        let mut writer = spool.create(&name(1), None).unwrap();
        writer.carry(&[], 4);
        writer.write(b"12345").unwrap();
        writer.park(&version(), Tally::default()).await.unwrap();
    };
    park().await;
    fs::write(spool.path(&name(1), PART), b"12x45").unwrap();
    assert!(spool.take_up(JOB).await.unwrap().is_none(), "other bytes");
    until_gone(&spool.path(&name(1), PART)).await;
    park().await;
    let (mut writer, mark) = spool.take_up(JOB).await.unwrap().unwrap();
    assert_eq!(mark.sha256, None);
    writer.carry(&[], 4);
    writer.write(b"6789").unwrap();
    let staged = writer.finish().await.unwrap();
    assert_eq!((staged.sha256(), staged.crc64()), (None, 0x995d_c9bb_df19_39fa));
}

#[tokio::test]
async fn a_checkpoint_that_vouches_for_nothing_continues_nothing() {
    let (_dir, spool) = spool().await;
    park(&spool, 1, 5).await;
    let place = spool.path(&name(1), MARK);
    let bare = Mark { sha256: None, crc64: None, ..Mark::read(&place).unwrap().unwrap() };
    bare.replace(&spool.disk, &spool.path(&name(1), FRESH), &place).unwrap();
    assert!(spool.take_up(JOB).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_that_a_paused_writer_still_holds_is_left_alone() {
    let (_dir, spool) = spool().await;
    park(&spool, 1, 5).await;
    let (mut paused, _) = spool.take_up(JOB).await.unwrap().unwrap();
    assert!(spool.take_up(JOB).await.unwrap().is_none());
    assert_eq!(spool.forget(JOB).await.unwrap(), 0);
    // The successor has a file of its own; the old writer wakes and writes into the old one.
    let mut next = spool.create(&name(2), None).unwrap();
    next.write(b"abc").unwrap();
    paused.write(b"6789").unwrap();
    let staged = next.finish().await.unwrap();
    assert_eq!(fs::read(staged.path()).unwrap(), b"abc");
    paused.park(&version(), Tally::default()).await.unwrap();
    assert_eq!(spool.forget(JOB).await.unwrap(), 1);
}

#[tokio::test]
async fn of_several_unfinished_files_the_longest_is_continued_and_the_others_go() {
    let (_dir, spool) = spool().await;
    for (token, bytes) in [(1, 3), (2, 7), (3, 5)] {
        park(&spool, token, bytes).await;
    }
    let other = staged_name(Key(JOB.0 + 1), Token(2));
    let _other = spool.create(&other, None).unwrap();
    let (writer, _) = spool.take_up(JOB).await.unwrap().unwrap();
    assert_eq!(writer.written(), 7);
    until_gone(&spool.path(&name(1), PART)).await;
    until_gone(&spool.path(&name(3), PART)).await;
    assert_eq!(
        files(&spool),
        [format!("{}.mark", name(2)), format!("{}.part", name(2)), format!("{other}.part")]
    );
}

#[tokio::test]
async fn a_checkpoint_is_made_of_synced_bytes_and_survives_the_loss_of_its_writer() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create(&name(1), None).unwrap();
    writer.write(b"12345").unwrap();
    spool.trace().take(&spool.directory);
    writer.checkpoint(&version(), Tally::default()).unwrap();
    writer.write(b"67").unwrap();
    writer.settle().await.unwrap();
    let steps: Vec<String> = spool.trace().take(&spool.directory);
    let [part, mark, fresh] = [PART, MARK, FRESH].map(|s| format!("{}{s}", name(1)));
    assert_eq!(
        steps,
        [
            format!("sync-file {part}"),
            format!("sync-file {fresh}"),
            format!("rename-over {mark}"),
            "sync-directory .".to_owned()
        ]
    );
    drop(writer);
    let (writer, _) = spool.take_up(JOB).await.unwrap().unwrap();
    assert_eq!(writer.written(), 5);
}

#[tokio::test]
async fn after_a_failed_checkpoint_nothing_of_the_file_is_trusted() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create(&name(1), None).unwrap();
    writer.write(b"12345").unwrap();
    writer.checkpoint(&version(), Tally::default()).unwrap();
    writer.settle().await.unwrap();
    spool.trace().fail("sync-file", rustix::io::Errno::IO);
    writer.write(b"67").unwrap();
    writer.checkpoint(&version(), Tally::default()).unwrap();
    assert!(writer.settle().await.is_err());
    assert!(writer.write(b"89").is_err());
    drop(writer);
    until_gone(&spool.path(&name(1), PART)).await;
    assert_eq!(files(&spool), [""; 0], "the earlier checkpoint goes too");
}

#[tokio::test]
async fn a_finished_file_with_a_checkpoint_stays_until_it_is_given_away() {
    let (_dir, spool) = spool().await;
    let mut writer = spool.create(&name(1), None).unwrap();
    writer.write(b"12345").unwrap();
    writer.checkpoint(&version(), Tally::default()).unwrap();
    writer.write(b"6789").unwrap();
    drop(writer.finish().await.unwrap());
    let (mut writer, mark) = spool.take_up(JOB).await.unwrap().unwrap();
    assert_eq!(mark.offset, 9);
    writer.write(b"9").unwrap();
    let staged = writer.finish().await.unwrap();
    fs::remove_file(staged.path()).unwrap();
    staged.give_away();
    assert_eq!(files(&spool), [""; 0]);
}

#[tokio::test]
async fn what_lies_there_is_listed_and_foreign_files_are_not_touched() {
    let (_dir, spool) = spool().await;
    park(&spool, 1, 5).await;
    for file in ["README", "old-1.part", "lone.mark"] {
        fs::write(spool.directory.join(file), b"x").unwrap();
    }
    let found = spool.partials().await.unwrap();
    let shown: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.key, p.bytes, p.marked)).collect();
    let mine = name(1);
    assert_eq!(
        shown,
        [(mine.as_str(), Some(JOB), 5, true), ("lone", None, 0, false), ("old-1", None, 1, false),]
    );
    let names = found.into_iter().map(|partial| partial.name).collect();
    assert_eq!(spool.remove(names).await.unwrap(), 3);
    assert_eq!(files(&spool), ["README"]);
}

#[tokio::test]
async fn a_name_is_used_once_and_never_a_path() {
    let (_dir, spool) = spool().await;
    let _first = spool.create("job-1", None).unwrap();
    assert!(matches!(spool.create("job-1", None), Err(BlobError::Io { .. })));
    for bad in ["", "..", "a/b", "A", "a.b", "a b", &"a".repeat(NAME_LIMIT + 1)] {
        assert!(matches!(spool.create(bad, None), Err(BlobError::BadName(_))), "{bad}");
    }
}

#[tokio::test]
async fn a_transfer_that_cannot_fit_is_refused_before_its_first_byte() {
    let (_dir, spool) = spool().await;
    assert!(matches!(spool.create("job-1", Some(u64::MAX)), Err(BlobError::Full)));
    assert_eq!(files(&spool), [""; 0]);
    assert!(spool.create("job-1", Some(1)).is_ok());
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full_and_the_transfer_cannot_go_on() {
    // The device that is always full stands in for the staged file.
    let (_dir, spool) = spool().await;
    let mut writer = spool.create("job-1", None).unwrap();
    writer.lodging.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(matches!(writer.write(b"x"), Err(BlobError::Full)));
    assert_eq!(writer.written(), 0);
    // Space again: but what the failed write left behind, nobody knows.
    let path = writer.lodging.path.clone();
    writer.lodging.file = Some(OpenOptions::new().write(true).open(path).unwrap());
    assert!(writer.write(b"x").is_err());
    assert!(writer.finish().await.is_err());
}
