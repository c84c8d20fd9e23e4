//! What every kind of storage promises. Each runs the whole suite.

use futures_util::TryStreamExt;

use super::spool::until_gone;
use super::{BlobError, Blobs, CHUNK_BYTES, Delivery, ObjectReader, Spool, Staged, object_key};
use crate::domain::id::Key;
use crate::domain::job::Token;

/// A staged file with these bytes.
pub(super) async fn staged(spool: &Spool, name: &str, bytes: &[u8]) -> Staged {
    let mut writer = spool.create(name, None).unwrap();
    writer.write(bytes).unwrap();
    writer.finish().await.unwrap()
}

pub(super) fn key(job: i64, token: i64) -> String {
    object_key(Key(job), Token(token), "mp4")
}

pub(super) async fn read_all(
    reader: &ObjectReader,
    start: u64,
    len: u64,
) -> Result<Vec<u8>, BlobError> {
    let mut stream = reader.read_range(start, len).await?;
    let mut all = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        assert!(piece.len() <= CHUNK_BYTES);
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

pub(super) async fn read(blobs: &dyn Blobs, key: &str) -> Option<Vec<u8>> {
    let reader = blobs.open(key).await.unwrap()?;
    Some(read_all(&reader, 0, reader.size()).await.unwrap())
}

/// Bytes that differ from place to place.
pub(super) fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()[0]).collect()
}

/// The suite. `long` bytes are published too: more than fit in one piece or part.
pub(super) async fn conforms(blobs: &dyn Blobs, long: usize) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path().join("staging")).await.unwrap();
    what_is_published_is_read_whole_and_in_ranges(blobs, &spool, long).await;
    the_same_may_come_again_and_nothing_else(blobs, &spool, long).await;
    a_superseded_attempt_overwrites_nothing(blobs, &spool).await;
    what_is_deleted_is_gone(blobs, &spool).await;
    lists_are_in_key_order_a_page_at_a_time(blobs, &spool).await;
    no_other_name_is_a_key(blobs, &spool).await;
    assert!(spool.partials().await.unwrap().is_empty(), "nothing stays staged");
    assert_eq!(blobs.uploads(None, 10).await.unwrap(), []);
    assert_eq!(blobs.clear_abandoned().await.unwrap(), super::Cleared::default());
}

async fn what_is_published_is_read_whole_and_in_ranges(
    blobs: &dyn Blobs,
    spool: &Spool,
    long: usize,
) {
    for (job, len) in [(10, 1), (11, 70_000), (12, long)] {
        let bytes = noise(len);
        let file = staged(spool, &format!("job-{job}"), &bytes).await;
        let path = file.path().to_owned();
        assert!(blobs.open(&key(job, 1)).await.unwrap().is_none());
        blobs.publish(file, &key(job, 1)).await.unwrap();
        until_gone(&path).await;
        let reader = blobs.open(&key(job, 1)).await.unwrap().unwrap();
        assert_eq!(reader.size(), len as u64);
        assert!(reader.modified().is_some());
        for (start, count) in [(0, len), (len / 3, len / 2), (len - 1, 1), (len / 2, 0)] {
            let part = read_all(&reader, start as u64, count as u64).await.unwrap();
            assert!(part == bytes[start..start + count], "{len} bytes: {count} from {start}");
        }
        assert!(read_all(&reader, 0, len as u64 + 1).await.is_err(), "an end before its time");
    }
}

async fn the_same_may_come_again_and_nothing_else(blobs: &dyn Blobs, spool: &Spool, long: usize) {
    for (job, len) in [(20, 9), (21, long)] {
        let bytes = noise(len);
        for name in ["first", "again"] {
            let file = staged(spool, &format!("{name}-{job}"), &bytes).await;
            blobs.publish(file, &key(job, 1)).await.unwrap();
        }
        let mut other = bytes.clone();
        other[len / 2] ^= 1;
        for other in [other, [&bytes[..], b"more"].concat()] {
            let file = staged(spool, &format!("other-{job}"), &other).await;
            let path = file.path().to_owned();
            let refused = blobs.publish(file, &key(job, 1)).await;
            assert!(matches!(refused, Err(BlobError::Taken(_))), "{refused:?}");
            assert!(read(blobs, &key(job, 1)).await.unwrap() == bytes);
            until_gone(&path).await;
        }
    }
}

async fn a_superseded_attempt_overwrites_nothing(blobs: &dyn Blobs, spool: &Spool) {
    let (new, old) = (staged(spool, "new", b"new").await, staged(spool, "old", b"old").await);
    blobs.publish(new, &key(30, 2)).await.unwrap();
    blobs.publish(old, &key(30, 1)).await.unwrap();
    assert_eq!(read(blobs, &key(30, 2)).await.unwrap(), b"new");
}

async fn what_is_deleted_is_gone(blobs: &dyn Blobs, spool: &Spool) {
    let file = staged(spool, "gone", b"1").await;
    blobs.publish(file, &key(40, 1)).await.unwrap();
    assert!(blobs.delete(&key(40, 1)).await.unwrap());
    assert!(!blobs.delete(&key(40, 1)).await.unwrap());
    assert!(blobs.open(&key(40, 1)).await.unwrap().is_none());
    let file = staged(spool, "again", b"2").await;
    blobs.publish(file, &key(40, 1)).await.unwrap();
    assert_eq!(read(blobs, &key(40, 1)).await.unwrap(), b"2");
}

async fn lists_are_in_key_order_a_page_at_a_time(blobs: &dyn Blobs, spool: &Spool) {
    for job in [1 << 40, 53, (1 << 48) + (7 << 40), 51, (1 << 40) + 5, 52] {
        let file = staged(spool, &format!("listed-{job}"), b"x").await;
        blobs.publish(file, &key(job, 1)).await.unwrap();
    }
    let all = blobs.list(None, 1_000).await.unwrap();
    let mut wanted = vec![key(10, 1), key(11, 1), key(12, 1), key(20, 1), key(21, 1)];
    wanted.extend([key(30, 1), key(30, 2), key(40, 1), key(51, 1), key(52, 1), key(53, 1)]);
    wanted.extend([key(1 << 40, 1), key((1 << 40) + 5, 1), key((1 << 48) + (7 << 40), 1)]);
    assert_eq!(all, wanted);
    let mut paged: Vec<String> = Vec::new();
    loop {
        let page = blobs.list(paged.last().map(String::as_str), 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        paged.extend(page);
    }
    assert_eq!(paged, wanted);
}

async fn no_other_name_is_a_key(blobs: &dyn Blobs, spool: &Spool) {
    let delivery = Delivery { content_type: "video/mp4".into(), disposition: "inline".into() };
    let hour = std::time::Duration::from_secs(3_600);
    for bad in ["../staging/job-1.part", "0000/00/../../x", "/etc/passwd", ""] {
        assert!(matches!(blobs.open(bad).await, Err(BlobError::BadName(_))));
        assert!(matches!(blobs.delete(bad).await, Err(BlobError::BadName(_))));
        let file = staged(spool, "job-1", b"1").await;
        let path = file.path().to_owned();
        assert!(matches!(blobs.publish(file, bad).await, Err(BlobError::BadName(_))));
        until_gone(&path).await;
        match blobs.play_url(bad, &delivery, hour).await {
            Ok(None) | Err(BlobError::BadName(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
