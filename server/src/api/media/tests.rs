//! Real requests to play URLs, against real objects on disk.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use http_body_util::BodyExt;

use super::*;
use crate::blob::{Blobs, LocalBlobs, Locations, Spool, object_key};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use crate::domain::attempt::Attempt;
use crate::domain::fault::JobFault;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::MediaType;
use crate::store::{
    AccountQueue, Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, ConsoleSession, Desk, Finish,
    JobPage, MediaLookup, MediaRef, Nonce, NonceUse, Outcome, PageRequest, QueuePlace, Replaced,
    Replacement, Retention, Stats, StoreError, StoreResult, Submission, Submitted, Tally,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const MEDIA: Key = Key(4711);

/// A player, its node and one medium of 1,000,000 bytes.
struct Bench {
    dir: tempfile::TempDir,
    deps: MediaDeps,
    store: Arc<OneMedium>,
    bytes: Vec<u8>,
    etag: String,
    object: StoredObject,
}

impl Bench {
    async fn new() -> Self {
        Self::with("video/mp4").await
    }

    async fn with(content_type: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().join("staging")).await.unwrap();
        let blobs = LocalBlobs::open(dir.path().join("objects")).await.unwrap();
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut writer = spool.create("job-1", None).unwrap();
        writer.write(&bytes).unwrap();
        let staged = writer.finish().await.unwrap();
        let object = StoredObject {
            location: "default".to_owned(),
            object_key: object_key(MEDIA, Token(1), "mp4"),
            size: staged.size(),
            sha256: staged.sha256(),
            crc64: staged.crc64(),
            md5: None,
        };
        blobs.publish(staged, &object.object_key).await.unwrap();
        let facts = MediaFacts {
            media_type: MediaType::Video,
            format: "mp4".to_owned(),
            content_type: content_type.to_owned(),
            duration: None,
            width: None,
            height: None,
            bitrate: None,
            fps: None,
            codec: None,
        };
        let etag = format!("\"{}\"", object.sha256.as_deref().unwrap());
        let store = Arc::new(OneMedium(Mutex::new((Some((object.clone(), facts)), 0))));
        let deps = MediaDeps {
            store: Arc::clone(&store) as Arc<dyn Store>,
            locations: Locations::new(Arc::new(blobs)),
            urls: PlayUrls::new("http://node.example/".to_owned(), [3; 32]),
            codec: IdCodec::new([7; 16]),
            clock: Clock::manual(NOW),
        };
        Self { dir, deps, store, bytes, etag, object }
    }

    /// Path and query of a URL that is good for ten minutes.
    fn url(&self) -> String {
        let expires = Timestamp(NOW.0 + 600_000);
        let url = self.deps.urls.sign(MEDIA, &self.deps.codec, "mp4", expires);
        url.strip_prefix("http://node.example").unwrap().to_owned()
    }

    async fn ask(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Reply {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (url, None),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let response = serve(&self.deps, &method, path, query, &map).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        self.ask(Method::GET, &self.url(), headers).await
    }

    fn look_ups(&self) -> usize {
        self.store.0.lock().unwrap().1
    }
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }
}

#[tokio::test]
async fn a_play_url_gives_the_whole_medium_with_everything_a_player_needs() {
    let bench = Bench::new().await;
    let reply = bench.get(&[]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == bench.bytes);
    let id = bench.deps.codec.media_id(MEDIA);
    for (name, wanted) in [
        ("content-type", "video/mp4"),
        ("content-length", "1000000"),
        ("accept-ranges", "bytes"),
        ("etag", bench.etag.as_str()),
        ("x-content-type-options", "nosniff"),
        ("access-control-allow-origin", "*"),
        ("cache-control", "private, max-age=600"),
        (
            "content-disposition",
            &format!("inline; filename=\"{id}.mp4\"; filename*=UTF-8''{id}.mp4"),
        ),
    ] {
        assert_eq!(reply.header(name), Some(wanted), "{name}");
    }
    assert!(reply.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(reply.header("content-range"), None);
}

#[tokio::test]
async fn any_single_range_can_be_sought() {
    let bench = Bench::new().await;
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-499999", 0, 499_999),
        ("bytes=999999-", 999_999, 999_999),
        ("bytes=262143-262145", 262_143, 262_145),
        ("bytes=-1", 999_999, 999_999),
        ("bytes=-5000000", 0, 999_999),
        ("bytes=5-99999999999999999999", 5, 999_999),
    ] {
        let reply = bench.get(&[("range", range)]).await;
        assert_eq!(reply.status, 206, "{range}");
        assert!(reply.body == bench.bytes[first..=last], "{range}");
        let wanted = format!("bytes {first}-{last}/1000000");
        assert_eq!(reply.header("content-range"), Some(wanted.as_str()), "{range}");
        let length = (last - first + 1).to_string();
        assert_eq!(reply.header("content-length"), Some(length.as_str()), "{range}");
        assert_eq!(reply.header("content-type"), Some("video/mp4"), "{range}");
    }
}

#[tokio::test]
async fn several_ranges_or_a_malformed_one_get_the_whole_medium() {
    let bench = Bench::new().await;
    for range in ["bytes=0-1,5-6", "bytes=9-5", "items=0-1", "bytes=x-y"] {
        let reply = bench.get(&[("range", range)]).await;
        assert_eq!((reply.status, reply.body.len()), (200, 1_000_000), "{range}");
        assert_eq!(reply.header("content-range"), None, "{range}");
    }
    let twice = bench.get(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]).await;
    assert_eq!((twice.status, twice.body.len()), (200, 1_000_000));
}

#[tokio::test]
async fn a_range_beyond_the_end_is_refused_with_the_size() {
    let bench = Bench::new().await;
    for range in ["bytes=1000000-", "bytes=2000000-3000000", "bytes=-0"] {
        let reply = bench.get(&[("range", range)]).await;
        assert_eq!(reply.status, 416, "{range}");
        assert_eq!(reply.header("content-range"), Some("bytes */1000000"), "{range}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let bench = Bench::new().await;
    let get = bench.get(&[]).await;
    let head = bench.ask(Method::HEAD, &bench.url(), &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers, get.headers);
    let refused = bench.ask(Method::HEAD, "/media/x.mp4", &[]).await;
    assert_eq!((refused.status, refused.body.len()), (403, 0));
}

#[tokio::test]
async fn a_copy_that_is_still_good_is_not_sent_again() {
    let bench = Bench::new().await;
    let weak = format!("\"other\", W/{}", bench.etag);
    let modified = bench.get(&[]).await.header("last-modified").unwrap().to_owned();
    for condition in [
        ("if-none-match", bench.etag.as_str()),
        ("if-none-match", &weak),
        ("if-none-match", "*"),
        ("if-modified-since", &modified),
    ] {
        let reply = bench.get(&[condition, ("range", "bytes=0-1")]).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{condition:?}");
        assert_eq!(reply.header("etag"), Some(bench.etag.as_str()));
        assert_eq!(reply.header("content-length"), None);
    }
    for condition in [
        ("if-none-match", "\"other\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-modified-since", "yesterday"),
    ] {
        assert_eq!(bench.get(&[condition]).await.status, 200, "{condition:?}");
    }
    // A tag, where there is one, outweighs a date.
    let both = [("if-none-match", "\"other\""), ("if-modified-since", modified.as_str())];
    assert_eq!(bench.get(&both).await.status, 200);
}

#[tokio::test]
async fn a_failed_precondition_is_said() {
    let bench = Bench::new().await;
    let weak = format!("W/{}", bench.etag);
    for condition in [
        ("if-match", "\"other\""),
        ("if-match", &weak),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        assert_eq!(bench.get(&[condition]).await.status, 412, "{condition:?}");
    }
    for condition in [("if-match", bench.etag.as_str()), ("if-match", "*")] {
        assert_eq!(bench.get(&[condition]).await.status, 200, "{condition:?}");
    }
}

#[tokio::test]
async fn a_range_continues_only_the_very_object_it_began() {
    let bench = Bench::new().await;
    let weak = format!("W/{}", bench.etag);
    let modified = bench.get(&[]).await.header("last-modified").unwrap().to_owned();
    for (condition, status) in [
        (bench.etag.as_str(), 206),
        (&modified, 206),
        ("\"other\"", 200),
        (&weak, 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        let reply = bench.get(&[("if-range", condition), ("range", "bytes=10-19")]).await;
        assert_eq!(reply.status, status, "{condition}");
        let wanted = if status == 206 { &bench.bytes[10..20] } else { &bench.bytes[..] };
        assert!(reply.body == wanted, "{condition}");
    }
}

#[tokio::test]
async fn an_altered_play_url_is_refused_before_anything_is_looked_up() {
    let bench = Bench::new().await;
    let good = bench.url();
    let (path, query) = good.split_once('?').unwrap();
    let (expires, signature) = query.split_once('&').unwrap();
    let other = bench.deps.codec.media_id(Key(4712));
    let foreign = PlayUrls::new(String::new(), [4; 32]);
    let foreign = foreign.sign(MEDIA, &bench.deps.codec, "mp4", Timestamp(NOW.0 + 600_000));
    let mut flipped = good.clone().into_bytes();
    let last = flipped.len() - 10;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    for bad in [
        path.to_owned(),
        format!("{path}?{expires}"),
        format!("{path}?{signature}"),
        format!("{path}?{expires}&Signature="),
        format!("{path}?Expires=99999999999&{signature}"),
        format!("{path}?Expires=+1700000600&{signature}"),
        format!("/media/{other}.mp4?{query}"),
        format!("{}?{query}", path.replace(".mp4", ".html")),
        format!("{}?{query}", path.replace(".mp4", "")),
        format!("{path}/?{query}"),
        format!("{good}&{expires}"),
        format!("{good}&{signature}"),
        format!("{good}="),
        format!("{good}&x={}", "y".repeat(QUERY_LIMIT)),
        String::from_utf8(flipped).unwrap(),
        foreign,
        "/media/".to_owned(),
        "/media/../etc/passwd".to_owned(),
        "/elsewhere".to_owned(),
    ] {
        let reply = bench.ask(Method::GET, &bad, &[]).await;
        assert_eq!(reply.status, 403, "{bad}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(reply.body.starts_with(b"The signature"), "{bad}");
    }
    assert_eq!(bench.look_ups(), 0);
    assert_eq!(bench.ask(Method::GET, &format!("{good}&t=30"), &[]).await.status, 200);
}

#[tokio::test]
async fn a_play_url_ends_at_the_second_it_was_given() {
    let bench = Bench::new().await;
    let url = bench.url();
    bench.deps.clock.set(Timestamp(NOW.0 + 599_999));
    let last = bench.ask(Method::GET, &url, &[]).await;
    assert_eq!((last.status, last.header("cache-control")), (200, Some("private, max-age=1")));
    let seen = bench.look_ups();
    bench.deps.clock.set(Timestamp(NOW.0 + 600_000));
    let expired = bench.ask(Method::GET, &url, &[]).await;
    assert_eq!(expired.status, 403);
    assert_eq!(expired.body, b"This play URL has expired. Ask GetPlayInfo for a new one.\n");
    assert_eq!(bench.look_ups(), seen);
}

#[tokio::test]
async fn no_content_type_makes_a_browser_run_the_bytes() {
    for dangerous in [
        "text/html",
        "image/svg+xml",
        "application/x-shockwave-flash",
        "application/xhtml+xml",
        "text/xml",
        "",
    ] {
        let bench = Bench::with(dangerous).await;
        let reply = bench.get(&[("range", "bytes=0-1")]).await;
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"), "{dangerous}");
        assert!(reply.header("content-disposition").unwrap().starts_with("attachment"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    for container in crate::probe::Container::ALL {
        let playable = is_playable(container.content_type(true));
        assert_eq!(playable, container != crate::probe::Container::Swf, "{container:?}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_browsers_may_ask_first() {
    let bench = Bench::new().await;
    let post = bench.ask(Method::POST, &bench.url(), &[]).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    let ask = bench.ask(Method::OPTIONS, &bench.url(), &[]).await;
    assert_eq!((ask.status, ask.body.len()), (204, 0));
    assert!(ask.header("access-control-allow-headers").unwrap().contains("Range"));
    assert_eq!(bench.look_ups(), 0);
}

#[tokio::test]
async fn a_medium_that_is_gone_and_an_object_that_is_damaged_have_their_own_answers() {
    let bench = Bench::new().await;
    let file = bench.dir.path().join("objects").join(&bench.object.object_key);
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(10).unwrap();
    assert_eq!(bench.get(&[]).await.status, 500);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bench.get(&[]).await.status, 500);
    bench.store.0.lock().unwrap().0 = None;
    assert_eq!(bench.get(&[]).await.status, 404);
}

#[tokio::test]
async fn a_body_is_read_only_as_fast_as_it_is_taken() {
    let bench = Bench::new().await;
    let url = bench.url();
    let (path, query) = url.split_once('?').unwrap();
    let headers = HeaderMap::new();
    let response = serve(&bench.deps, &Method::GET, path, Some(query), &headers).await;
    let mut stream = response.into_body().into_data_stream();
    let first = stream.try_next().await.unwrap().unwrap();
    assert!(first.len() <= crate::blob::CHUNK_BYTES);
    // What has not been asked for has not been read: cut it off, and the stream cannot go on.
    let file = bench.dir.path().join("objects").join(&bench.object.object_key);
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(first.len() as u64).unwrap();
    assert!(stream.try_next().await.is_err());
}

#[test]
fn a_play_url_names_the_medium_and_shows_no_key() {
    let codec = IdCodec::new([7; 16]);
    let urls = PlayUrls::new("https://media.example".to_owned(), [3; 32]);
    let url = urls.sign(MEDIA, &codec, "mp4", Timestamp(NOW.0 + 600_999));
    let start = format!(
        "https://media.example/media/{}.mp4?Expires=1700000600&Signature=",
        codec.media_id(MEDIA)
    );
    assert!(url.starts_with(&start), "{url}");
    let (path, query) = url["https://media.example".len()..].split_once('?').unwrap();
    assert_eq!(urls.verify(&codec, path, Some(query), NOW), Ok(MEDIA));
    let odd = urls.sign(MEDIA, &codec, "m/../p\"4", NOW);
    assert!(odd.contains(&format!("/media/{}.mp4?", codec.media_id(MEDIA))), "{odd}");
    assert_eq!(format!("{urls:?}"), "PlayUrls(https://media.example)");
}

/// A store that knows at most one medium and counts who asks for it.
#[derive(Debug)]
struct OneMedium(Mutex<(Option<(StoredObject, MediaFacts)>, usize)>);

#[async_trait]
impl Desk for OneMedium {
    async fn job_attempts(&self, _: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>> {
        Err(StoreError::Closed)
    }
    async fn queues(&self) -> StoreResult<Vec<AccountQueue>> {
        Err(StoreError::Closed)
    }
    async fn queue_places(&self, _: &[Key], _: Timestamp) -> StoreResult<Vec<(Key, QueuePlace)>> {
        unreachable!("a play URL does not ask for it")
    }

    async fn tallies(&self, _: Option<AccountId>, _: Timestamp) -> StoreResult<Vec<Tally>> {
        Err(StoreError::Closed)
    }
    async fn session_open(&self, _: ConsoleSession) -> StoreResult<()> {
        Err(StoreError::Closed)
    }
    async fn session_find(
        &self,
        _: &[u8; 32],
        _: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>> {
        Err(StoreError::Closed)
    }
    async fn session_close(&self, _: &[u8; 32]) -> StoreResult<bool> {
        Err(StoreError::Closed)
    }
}

#[async_trait]
impl Store for OneMedium {
    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>> {
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        Ok(inner.0.clone().filter(|_| key == MEDIA))
    }

    // The rest is never called; a call shows as an error.

    async fn media_objects(&self, _: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>> {
        Err(StoreError::Closed)
    }
    async fn account_create(&self, _: &str, _: bool, _: Timestamp) -> StoreResult<Option<Account>> {
        Err(StoreError::Closed)
    }
    async fn account_list(&self) -> StoreResult<Vec<Account>> {
        Err(StoreError::Closed)
    }
    async fn account_change(&self, _: &str, _: AccountChange) -> StoreResult<Option<Account>> {
        Err(StoreError::Closed)
    }
    async fn key_create(&self, _: AccessKey) -> StoreResult<bool> {
        Err(StoreError::Closed)
    }
    async fn key_list(&self, _: Option<AccountId>) -> StoreResult<Vec<AccessKey>> {
        Err(StoreError::Closed)
    }
    async fn key_set_status(&self, _: &str, _: Option<KeyStatus>) -> StoreResult<bool> {
        Err(StoreError::Closed)
    }
    async fn key_find(&self, _: &str) -> StoreResult<Option<(AccessKey, Account)>> {
        Err(StoreError::Closed)
    }
    async fn nonce_seen(&self, _: Nonce<'_>) -> StoreResult<bool> {
        Err(StoreError::Closed)
    }
    async fn nonce_take(&self, _: Nonce<'_>) -> StoreResult<NonceUse> {
        Err(StoreError::Closed)
    }
    async fn job_submit(&self, _: Submission) -> StoreResult<Submitted> {
        Err(StoreError::Closed)
    }
    async fn job_claim(&self, _: ClaimRequest) -> StoreResult<Vec<Claim>> {
        Err(StoreError::Closed)
    }
    async fn job_beat(&self, _: &[Beat], _: Timestamp) -> StoreResult<Vec<Beat>> {
        Err(StoreError::Closed)
    }
    async fn job_hand_back(&self, _: Claim, _: Timestamp, _: Timestamp) -> StoreResult<Finish> {
        Err(StoreError::Closed)
    }
    async fn job_retry_later(
        &self,
        _: Claim,
        _: JobFault,
        _: Timestamp,
        _: Timestamp,
    ) -> StoreResult<Finish> {
        Err(StoreError::Closed)
    }
    async fn job_halt(&self, _: Claim, _: JobFault, _: u64, _: Timestamp) -> StoreResult<Finish> {
        Err(StoreError::Closed)
    }
    async fn job_replace_url(&self, _: Replacement, _: Timestamp) -> StoreResult<Replaced> {
        Err(StoreError::Closed)
    }
    async fn job_lapse(&self, _: Timestamp, _: usize) -> StoreResult<usize> {
        Err(StoreError::Closed)
    }
    async fn job_finish(&self, _: Claim, _: Outcome, _: Timestamp) -> StoreResult<Finish> {
        Err(StoreError::Closed)
    }
    async fn job_expire(&self, _: Timestamp, _: usize, _: bool) -> StoreResult<usize> {
        Err(StoreError::Closed)
    }
    async fn job_cancel_pending(
        &self,
        _: AccountId,
        _: CancelBy,
        _: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>> {
        Err(StoreError::Closed)
    }
    async fn job_infos_by_id(
        &self,
        _: AccountId,
        _: &[Key],
        _: Timestamp,
    ) -> StoreResult<Vec<Job>> {
        Err(StoreError::Closed)
    }
    async fn job_infos_by_url(
        &self,
        _: AccountId,
        _: &[crate::domain::source_url::SourceUrl],
        _: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>> {
        Err(StoreError::Closed)
    }
    async fn job_page(&self, _: PageRequest) -> StoreResult<JobPage> {
        Err(StoreError::Closed)
    }
    async fn job_states(&self, _: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>> {
        Err(StoreError::Closed)
    }
    async fn media_find(&self, _: AccountId, _: MediaRef) -> StoreResult<MediaLookup> {
        Err(StoreError::Closed)
    }
    async fn stats(&self) -> StoreResult<Stats> {
        Err(StoreError::Closed)
    }
    async fn purge(&self, _: Retention) -> StoreResult<usize> {
        Err(StoreError::Closed)
    }
    async fn close(&self) -> StoreResult<()> {
        Err(StoreError::Closed)
    }
}
