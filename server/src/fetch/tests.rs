//! The fetcher against origins that misbehave. Row numbers are those of http_faults.md.

mod confided;
mod http2;
mod kept;
mod origin;
mod peer;
mod pem;
mod policy;
mod ranges;
mod redirects;
pub(super) mod road;
mod several;
mod spread;
mod ssrf;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::domain::fault::FaultClass;
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::door::Clock;
use origin::{Origin, Step, Written, send};

const SHORT: Duration = Duration::from_millis(300);
/// What has not ended by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings() -> FetchSettings {
    FetchSettings {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        own_listeners: Vec::new(),
        resolvers: Vec::new(),
        extra_ca: None,
        http2: false,
        connect_timeout: Duration::from_secs(5),
        header_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(5),
        min_speed: 0,
        min_speed_window: Duration::from_secs(60),
        redirects: 10,
        per_host: 8,
        parallel_ranges: 1,
        parallel_from: 0,
        max_bytes: 1 << 20,
    }
}

fn fetcher_with(settings: FetchSettings, resolver: Written) -> (Fetcher, Arc<Written>) {
    let resolver = Arc::new(resolver);
    let asked: Arc<dyn Resolve> = Arc::clone(&resolver) as Arc<dyn Resolve>;
    let clock = Clock::manual(Timestamp::from_seconds(784_111_777));
    (Fetcher::with_resolver(settings, asked, clock).unwrap(), resolver)
}

fn fetcher(settings: FetchSettings) -> Fetcher {
    fetcher_with(settings, Written::default()).0
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
    let mut source = fetcher.open(Wanted::whole(&SourceUrl::new(url))).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = source.chunk().await? {
        bytes.extend_from_slice(&piece);
        assert!(bytes.len() < 64 << 20, "a body without end is not stopped");
    }
    assert_eq!(source.chunk().await, Ok(None), "an end stays the end");
    Ok(bytes)
}

/// Fetches from an origin that does these steps with every request.
async fn fetch_steps(settings: FetchSettings, steps: Vec<Step>) -> Result<Vec<u8>, FetchError> {
    let origin = Origin::start(move |_| steps.clone()).await;
    fetch(&fetcher(settings), &origin.url("/v.mp4?Signature=s3cret")).await
}

fn verdict(result: Result<Vec<u8>, FetchError>) -> (FaultClass, Retry) {
    let error = result.unwrap_err();
    let message = &error.fault.message;
    assert!(!message.contains("s3cret") && !message.contains("BODY"), "{message}");
    assert!(message.ends_with('.') && message.starts_with(char::is_uppercase), "{message}");
    (error.fault.class, error.retry)
}

fn head(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
}

#[tokio::test]
async fn whole_bodies_come_through_in_every_framing() {
    let chunk = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n";
    let rows: Vec<(&str, Vec<Step>)> = vec![
        ("row 1, length", vec![send(head("Content-Length: 11\r\n")), send("hello world")]),
        (
            "row 4, more than announced",
            vec![send(head("Content-Length: 11\r\n")), send("hello worldHTTP/1.1 200 OK\r\n\r\n")],
        ),
        ("close-delimited", vec![send(head("")), send("hello"), send(" world")]),
        ("HTTP/1.0", vec![send("HTTP/1.0 200 OK\r\n\r\nhello world")]),
        ("chunked", vec![send(head("Transfer-Encoding: chunked\r\n")), send(chunk), send("\r\n")]),
        (
            "row 17, trailers",
            vec![
                send(head("Transfer-Encoding: chunked\r\n")),
                send(chunk),
                send("Content-Length: 3\r\nX-Y: z\r\n\r\n"),
            ],
        ),
        (
            "row 18, chunked wins",
            vec![
                send(head("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")),
                send(chunk),
                send("\r\n"),
                Step::KeepAlive,
            ],
        ),
        (
            "row 20, equal lengths",
            vec![send(head("Content-Length: 11\r\nContent-Length: 11\r\n")), send("hello world")],
        ),
        ("row 20, a list", vec![send(head("Content-Length: 11, 11\r\n")), send("hello world")]),
        (
            "row 27, interim answers",
            vec![
                send("HTTP/1.1 100 Continue\r\n\r\n".repeat(50)),
                send(head("Content-Length: 11\r\n")),
                send("hello world"),
            ],
        ),
        (
            "row 29, early hints",
            vec![
                send("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
                send(head("Content-Length: 11\r\n")),
                send("hello world"),
            ],
        ),
        (
            "identity is no coding",
            vec![
                send(head("Content-Encoding: identity\r\nContent-Length: 11\r\n")),
                send("hello world"),
            ],
        ),
    ];
    for (row, steps) in rows {
        let result = fetch_steps(settings(), steps).await;
        assert_eq!(result.as_deref(), Ok(&b"hello world"[..]), "{row}");
    }
}

#[tokio::test]
async fn broken_framing_and_short_bodies_are_never_taken_for_whole() {
    use FaultClass::{Empty, Protocol, Truncated};
    use Retry::{Backoff, Never, Once};
    let length = || send(head("Content-Length: 11\r\n"));
    let chunked = || send(head("Transfer-Encoding: chunked\r\n"));
    let rows: Vec<(&str, Vec<Step>, FaultClass, Retry)> = vec![
        ("row 2", vec![length(), send("BODY worl")], Truncated, Backoff),
        ("row 5", vec![length()], Truncated, Backoff),
        (
            "row 8",
            vec![send(head("")), send("BODY"), Step::Pause(SHORT), Step::Reset],
            Truncated,
            Backoff,
        ),
        (
            "row 8, length",
            vec![length(), send("BODY"), Step::Pause(SHORT), Step::Reset],
            Truncated,
            Backoff,
        ),
        ("row 11", vec![chunked(), send("4\r\nBODY\r\n")], Truncated, Backoff),
        ("row 12", vec![chunked(), send("9\r\nBODY")], Truncated, Backoff),
        ("row 13", vec![chunked(), send("4\r\nBODY\r\nzz\r\n")], Protocol, Once),
        ("row 14", vec![chunked(), send("10000000000000001\r\nBODY")], Protocol, Never),
        ("row 15", vec![chunked(), send("4;"), send(vec![b'x'; 1 << 20])], Protocol, Never),
        ("an empty file", vec![send(head("Content-Length: 0\r\n"))], Empty, Never),
        ("an empty chunked file", vec![chunked(), send("0\r\n\r\n")], Empty, Never),
        ("nothing after the head", vec![send(head(""))], Empty, Backoff),
        ("row 25", vec![send("ICY 200 OK\r\n\r\nBODY")], Protocol, Never),
        ("row 32", vec![send(head(&"X-A: b\r\n".repeat(10_000)))], Protocol, Never),
        ("row 33, NUL", vec![send(head("X-A: b\0c\r\n"))], Protocol, Never),
        ("row 33, CR", vec![send(head("X-A: b\rc\r\n"))], Protocol, Never),
        ("row 33, obs-fold", vec![send(head("X-A: b\r\n c\r\n"))], Protocol, Never),
        (
            "a huge field",
            vec![send(head(&format!("X-A: {}\r\n", "b".repeat(1 << 20))))],
            Protocol,
            Never,
        ),
        (
            "a large field",
            vec![send(head(&format!("X-A: {}\r\n", "b".repeat(40_000))))],
            Protocol,
            Never,
        ),
        (
            "row 74",
            vec![send(format!("HTTP/1.1 200 {}\r\n\r\nBODY", "r".repeat(1 << 16)))],
            Protocol,
            Never,
        ),
        ("row 34", vec![send(vec![0xfe; 100])], Protocol, Backoff),
        (
            "row 34, leavings",
            vec![send("BODY"), Step::Pause(SHORT), send(head("Content-Length: 0\r\n"))],
            Protocol,
            Backoff,
        ),
        ("a bad status line", vec![send("HTTP/1.1 2000 OK\r\n\r\nBODY")], Protocol, Never),
        ("SSH", vec![send("SSH-2.0-x\r\n")], Protocol, Never),
        (
            "row 106",
            vec![send(head("Content-Encoding: gzip\r\nContent-Length: 4\r\n")), send("BODY")],
            Protocol,
            Never,
        ),
        (
            "a coding below the chunks",
            vec![
                send(head("Transfer-Encoding: gzip, chunked\r\n")),
                send("4\r\nBODY\r\n0\r\n\r\n"),
            ],
            Protocol,
            Never,
        ),
        (
            "a coding without chunks",
            vec![send(head("Transfer-Encoding: gzip\r\n")), send("BODY")],
            Protocol,
            Never,
        ),
        ("no answer", vec![], Protocol, Backoff),
    ];
    for (row, steps, class, retry) in rows {
        assert_eq!(verdict(fetch_steps(settings(), steps).await), (class, retry), "{row}");
    }
    for value in ["-1", "+5", "0x10", "1e3", "999999999999999999999999999999", "5, 6", "5 5", ""] {
        let steps = vec![send(head(&format!("Content-Length: {value}\r\n"))), send("BODY")];
        let result = verdict(fetch_steps(settings(), steps).await);
        assert_eq!(result, (Protocol, Never), "row 21, {value:?}");
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_by_its_length_or_at_the_limit() {
    let announced = |length: u64| vec![send(head(&format!("Content-Length: {length}\r\n")))];
    let large = (FaultClass::TooLarge, Retry::Never);
    for length in [(1 << 20) + 1, (1 << 63) - 1] {
        let steps = [announced(length), vec![Step::Hang]].concat();
        assert_eq!(verdict(fetch_steps(settings(), steps).await), large, "rows 37, 40");
    }
    let whole = [announced(1 << 20), vec![send(vec![7; 1 << 20])]].concat();
    assert_eq!(fetch_steps(settings(), whole).await.unwrap().len(), 1 << 20);

    let endless = vec![send(head("")), Step::Forever(vec![7; 10_000])];
    assert_eq!(verdict(fetch_steps(settings(), endless).await), large, "row 38");
    let endless = vec![
        send(head("Transfer-Encoding: chunked\r\n")),
        Step::Forever(b"5\r\nhello\r\n".repeat(1_000)),
    ];
    assert_eq!(verdict(fetch_steps(settings(), endless).await), large, "row 39");
}

#[tokio::test]
async fn what_was_handed_on_never_exceeds_the_limit() {
    let origin = Origin::start(|_| vec![send(head("")), Step::Forever(vec![7; 10_000])]).await;
    let fetcher = fetcher(FetchSettings { max_bytes: 100_000, ..settings() });
    let mut source = fetcher.open(Wanted::whole(&SourceUrl::new(origin.url("/")))).await.unwrap();
    let mut received = 0;
    let error = loop {
        match source.chunk().await {
            Ok(piece) => received += piece.unwrap().len(),
            Err(error) => break error,
        }
        assert!(received < 64 << 20, "a body without end is not stopped");
    };
    assert!(received <= 100_000, "{received}");
    assert_eq!(source.chunk().await, Err(error), "a failed body never ends well");
}

#[tokio::test]
async fn an_origin_that_stops_or_dribbles_is_a_stall() {
    let stalled = (FaultClass::Stalled, Retry::Backoff);
    // Whoever goes by another limit waits for ever.
    let endless = Duration::from_secs(86_400);
    let (header_timeout, stall_timeout) = (SHORT, SHORT);
    let impatient = || FetchSettings {
        connect_timeout: endless,
        header_timeout,
        stall_timeout,
        min_speed_window: endless,
        ..settings()
    };
    let rows: Vec<(&str, Vec<Step>)> = vec![
        ("row 75, no answer", vec![Step::Hang]),
        ("row 80", vec![send(head("Content-Length: 9\r\n")), send("BODY"), Step::Hang]),
        (
            "row 78, a head byte by byte",
            head("X-A: a slow head\r\n")
                .bytes()
                .flat_map(|b| [send([b]), Step::Pause(SHORT / 3)])
                .collect(),
        ),
    ];
    for (row, steps) in rows {
        let ended = tokio::time::timeout(PATIENCE, fetch_steps(impatient(), steps)).await;
        assert_eq!(verdict(ended.expect("its own timer ends it")), stalled, "{row}");
    }

    // Each byte comes before the stall timer ends; together they are too slow.
    let floor = FetchSettings { min_speed: 1_000, min_speed_window: SHORT, ..settings() };
    let dribble = || {
        let bytes = (0..100).flat_map(|_| [send("B"), Step::Pause(SHORT / 10)]);
        [send(head("Content-Length: 100\r\n"))].into_iter().chain(bytes).collect::<Vec<_>>()
    };
    assert_eq!(verdict(fetch_steps(floor.clone(), dribble()).await), stalled);
    let patient = FetchSettings { min_speed: 10, ..floor };
    assert_eq!(fetch_steps(patient, dribble()).await.unwrap().len(), 100, "above the floor");
}

#[tokio::test]
async fn the_stall_timer_begins_anew_with_each_byte() {
    // Far apart, so that a slow machine does not make a pause as long as the limit.
    let (limit, pause) = (10 * SHORT, 2 * SHORT);
    let bytes = (0..8).flat_map(|_| [send("B"), Step::Pause(pause)]);
    let steps = [send(head("Content-Length: 8\r\n"))].into_iter().chain(bytes).collect();
    let settings = FetchSettings { stall_timeout: limit, ..settings() };
    assert_eq!(fetch_steps(settings, steps).await.unwrap(), b"BBBBBBBB");
}

#[tokio::test]
async fn a_slow_taker_is_not_the_origin_s_fault() {
    let body = vec![7u8; 400_000];
    let steps = vec![send(head("Content-Length: 400000\r\n")), send(body)];
    let origin = Origin::start(move |_| steps.clone()).await;
    let fetcher = fetcher(FetchSettings {
        stall_timeout: SHORT,
        min_speed: 1 << 30,
        min_speed_window: SHORT,
        ..settings()
    });
    let mut source = fetcher.open(Wanted::whole(&SourceUrl::new(origin.url("/")))).await.unwrap();
    let mut received = 0;
    let mut pauses = 0;
    while let Some(piece) = source.chunk().await.unwrap() {
        received += piece.len();
        if pauses < 4 {
            pauses += 1;
            tokio::time::sleep(SHORT / 2).await; // the pause is what is tested: row 83
        }
    }
    assert_eq!(received, 400_000);
}

#[tokio::test]
async fn statuses_fail_the_job_or_wait_as_the_origin_asks() {
    use FaultClass::{Empty, HttpStatus, Protocol};
    let rows: [(&str, FaultClass, Retry); 16] = [
        ("404 Not Found\r\n", HttpStatus, Retry::Never),
        ("401 Unauthorized\r\nRetry-After: 5\r\n", HttpStatus, Retry::AnotherUrl),
        ("410 Gone\r\n", HttpStatus, Retry::AnotherUrl),
        ("407 Proxy\r\nProxy-Authenticate: Basic\r\n", HttpStatus, Retry::Never),
        ("999 Nine\r\n", HttpStatus, Retry::Never),
        ("304 Not Modified\r\n", HttpStatus, Retry::Never),
        ("300 Choices\r\nLocation: /v.mp4\r\n", HttpStatus, Retry::Never),
        ("408 Timeout\r\n", HttpStatus, Retry::Backoff),
        ("429 Slow\r\nRetry-After: 2\r\n", HttpStatus, Retry::NotBefore(2_000)),
        (
            "503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n",
            HttpStatus,
            Retry::NotBefore(60_000),
        ),
        ("503 Busy\r\nRetry-After: soon\r\n", HttpStatus, Retry::Backoff),
        ("522 Cloud\r\n", HttpStatus, Retry::Backoff),
        ("204 No Content\r\n", Empty, Retry::Never),
        ("205 Reset\r\nContent-Length: 0\r\n", Empty, Retry::Never),
        ("206 Part\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n", Protocol, Retry::Once),
        ("101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", Protocol, Retry::Never),
    ];
    for (head, class, retry) in rows {
        let steps = vec![send(format!("HTTP/1.1 {head}\r\nBODY"))];
        assert_eq!(verdict(fetch_steps(settings(), steps).await), (class, retry), "{head}");
    }
}

#[tokio::test]
async fn an_expired_link_is_called_so_without_a_word_of_the_answer() {
    let body =
        "<Error><Code>AccessDenied</Code><Message>Request has EXPIRED BODY</Message></Error>";
    let refusal = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let error = fetch_steps(settings(), vec![send(refusal)]).await.unwrap_err();
    assert_eq!(error.fault.message, "The origin answered 403: the link has expired.");
    let silent = vec![send("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n"), Step::Hang];
    let error = fetch_steps(settings(), silent).await.unwrap_err();
    assert_eq!(error.fault.message, "The origin answered 403 (Forbidden).");
}

#[tokio::test]
async fn a_request_says_nothing_but_what_it_wants_and_what_came_is_kept() {
    let origin = Origin::start(|_| {
        vec![
            send(head(
                "Content-Length: 5\r\nContent-Type: video/mp4\r\nETag: W/\"a\"\r\n\
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nSet-Cookie: a=b\r\n",
            )),
            send("hello"),
            Step::KeepAlive,
        ]
    })
    .await;
    let fetcher = fetcher(settings());
    for _ in 0..2 {
        let url = origin.url("/a%2Fb%0d%0a.mp4?S=a%2Fb+c%3D#t=10");
        let mut source = fetcher.open(Wanted::whole(&SourceUrl::new(url))).await.unwrap();
        assert_eq!(source.length(), Some(5));
        assert_eq!(source.content_type(), Some("video/mp4"));
        assert_eq!(source.version(), None, "neither validator is strong");
        while source.chunk().await.unwrap().is_some() {}
    }
    let expected = format!(
        "GET /a%2Fb%0d%0a.mp4?S=a%2Fb+c%3D HTTP/1.1\r\nuser-agent: Haulage/{}\r\naccept: */*\r\n\
         accept-encoding: identity\r\nhost: {}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        origin.at
    );
    assert_eq!(origin.heads(), [expected.clone(), expected]);
    assert_eq!(origin.connections(), 1, "the connection is kept");
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_no_attempt_once() {
    // Every connection answers its first request and, asked again, closes without a word (row 97).
    let origin = Origin::start(|n| match n {
        0 | 2 => vec![send(head("Content-Length: 5\r\n")), send("hello"), Step::KeepAlive],
        _ => vec![],
    })
    .await;
    let fetcher = fetcher(settings());
    for _ in 0..2 {
        assert_eq!(fetch(&fetcher, &origin.url("/")).await.unwrap(), b"hello");
    }
    assert_eq!((origin.connections(), origin.heads().len()), (2, 3));
    // Asked a fourth time the connection dies again, and so does the fresh one.
    assert!(fetch(&fetcher, &origin.url("/")).await.is_err());
    assert_eq!(origin.heads().len(), 5, "once, not again and again");
}

#[tokio::test]
async fn a_connection_with_two_framings_at_once_is_not_used_again() {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let origin = Origin::start(move |_| {
        vec![send(head(both)), send("5\r\nhello\r\n0\r\n\r\n"), Step::KeepAlive]
    })
    .await;
    let fetcher = fetcher(settings());
    for connections in 1..=2 {
        assert_eq!(fetch(&fetcher, &origin.url("/")).await.unwrap(), b"hello");
        assert_eq!(origin.connections(), connections, "row 18");
    }
}

#[tokio::test]
async fn one_host_gets_no_more_transfers_at_once_than_allowed() {
    let origin = Origin::start(|_| vec![send(head("")), send("hello"), Step::Hang]).await;
    let fetcher = fetcher(FetchSettings { per_host: 2, ..settings() });
    let url = SourceUrl::new(origin.url("/"));
    let held =
        join_all([fetcher.open(Wanted::whole(&url)), fetcher.open(Wanted::whole(&url))]).await;
    let third = fetcher.open(Wanted::whole(&url)).await.unwrap_err();
    assert_eq!((third.retry, origin.connections()), (Retry::AtNoCost, 2), "no third one");
    assert!(fetcher.place(&url).is_none());
    drop(held);
    // A place that was taken in advance is used, and not a second one.
    let place = fetcher.place(&url);
    let _other = fetcher.place(&url);
    assert!(place.is_some());
    assert!(fetcher.open(Wanted { place, ..Wanted::whole(&url) }).await.is_ok());
}
