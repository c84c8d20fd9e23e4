//! The exchange against origins in memory: whatever the reads are like, and beside the library
//! that it took the place of.

use futures_util::FutureExt;
use http::header::HeaderMap;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::run::tasks::Tasks;

fn get() -> Get {
    let uri = Uri::from_static("http://origin.example/v.mp4");
    Request::get(uri).body(Empty::new()).unwrap()
}

fn origin() -> Arc<Origin> {
    Arc::new(Origin { https: false, host: "origin.example".to_owned(), port: 80 })
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Came {
    Whole {
        status: StatusCode,
        headers: HeaderMap,
        body: Vec<u8>,
        /// Whether another request may go over the connection.
        kept: bool,
    },
    NoAnswer(String),
    NoBody(String),
}

/// Sends `raw` in pieces that end at `cuts`, and closes unless the connection is to stay.
async fn send(mut far: DuplexStream, raw: Vec<u8>, cuts: Vec<usize>, stays: bool) -> DuplexStream {
    let mut from = 0;
    for to in cuts.into_iter().chain([raw.len()]) {
        if from < to && far.write_all(&raw[from..to]).await.is_err() {
            break;
        }
        from = from.max(to);
        tokio::task::yield_now().await;
    }
    if !stays {
        drop(far.shutdown().await);
    }
    far
}

/// Asks an origin that answers `raw`.
fn ask(raw: &[u8], cuts: &[usize], stays: bool) -> Came {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (near, far) = duplex(1 << 20);
        let (kept, buffers) = (Kept::new(1), Buffers::default());
        let mut conn = Conn { wire: Wire::Memory(near), origin: origin() };
        let asking = async {
            let (head, first) = match conn.ask(&head::encode(&get()), &buffers).await {
                Ok(answer) => answer,
                Err(why) => return Came::NoAnswer(format!("{why:?}")),
            };
            let shared = (kept.clone(), buffers.clone());
            let mut body = body::Body::new(conn, head.framing, head.reusable, first, shared);
            let mut bytes = Vec::new();
            loop {
                match body.piece().await {
                    Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                    Ok(None) => break,
                    Err(why) => {
                        let again = body.piece().await;
                        assert!(again.is_err(), "a broken body never ends well: {again:?}");
                        return Came::NoBody(format!("{why:?}"));
                    }
                }
            }
            let (status, headers) = (head.status, head.headers);
            Came::Whole { status, headers, body: bytes, kept: false }
        };
        let (came, _far) = tokio::join!(asking, send(far, raw.to_vec(), cuts.to_vec(), stays));
        match came {
            Came::Whole { status, headers, body, .. } => {
                Came::Whole { status, headers, body, kept: kept.take(&origin()).is_some() }
            }
            other => other,
        }
    })
}

fn is_kept(raw: &str) -> bool {
    match ask(raw.as_bytes(), &[], true) {
        Came::Whole { kept, .. } => kept,
        other => panic!("{raw:?}: {other:?}"),
    }
}

#[test]
fn a_connection_is_kept_only_where_nothing_can_be_taken_for_the_next_answer() {
    let hello = "Content-Length: 5\r\n\r\nhello";
    let chunks = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for raw in [
        format!("HTTP/1.1 200 OK\r\n{hello}"),
        format!("HTTP/1.1 200 OK\r\n{chunks}"),
        format!("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n{hello}"),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n{hello}"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ] {
        assert!(is_kept(&raw), "{raw:?}");
    }
    for raw in [
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{hello}"),
        format!("HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\n{hello}"),
        format!("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n{hello}"),
        format!("HTTP/1.0 200 OK\r\n{hello}"),
        // Two framings at once.
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{chunks}"),
        // More than was announced.
        format!("HTTP/1.1 200 OK\r\n{hello}!"),
        format!("HTTP/1.1 200 OK\r\n{hello}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{chunks}HTTP/1.1 200 OK\r\n{hello}"),
        "HTTP/1.1 204 No Content\r\n\r\nhello".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
    ] {
        assert!(!is_kept(&raw), "{raw:?}");
    }
}

#[test]
fn the_framing_of_an_answer_is_the_standard_s() {
    let body = |head: &str, raw: &str| {
        let raw = format!("HTTP/1.1 200 OK\r\n{head}\r\n{raw}");
        match ask(raw.as_bytes(), &[], false) {
            Came::Whole { body, .. } => String::from_utf8(body).unwrap(),
            Came::NoAnswer(why) | Came::NoBody(why) => why,
        }
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(body("", "hello"), "hello");
    assert_eq!(body("Content-Length: 5\r\n", "hello"), "hello");
    assert_eq!(body("Content-Length: 5, 5\r\nContent-Length: 5\r\n", "hello"), "hello");
    assert_eq!(body(chunked, chunks), "hello");
    assert_eq!(body("Transfer-Encoding:  Chunked , \r\n", chunks), "hello");
    assert_eq!(body(&format!("Content-Length: 3\r\n{chunked}"), chunks), "hello");
    assert_eq!(body("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunks), "hello");
    // Whatever is not chunked at last goes on to the end of the connection.
    assert_eq!(body("Transfer-Encoding: gzip\r\nContent-Length: 2\r\n", "hello"), "hello");
    for head in [
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: \r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 5\r\n",
    ] {
        assert_eq!(body(head, "hello"), "Head(Broken, Http)", "{head:?}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(ask(old.as_bytes(), &[], false), Came::NoAnswer("Head(Broken, Http)".to_owned()));
}

#[test]
fn heads_have_a_size_and_so_have_all_the_heads_before_an_answer() {
    let hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let too_large = Came::NoAnswer("Head(TooLarge, Http)".to_owned());
    let with = |fields: String| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let fields = |n| with("X-A: b\r\n".repeat(n));
    assert!(matches!(ask(fields(99).as_bytes(), &[], false), Came::Whole { .. }));
    assert_eq!(ask(fields(100).as_bytes(), &[], false), too_large);
    let filled = |n| with(format!("X-A: {}\r\n", "b".repeat(n)));
    assert!(matches!(ask(filled(32_000).as_bytes(), &[], false), Came::Whole { .. }));
    assert_eq!(ask(filled(33_000).as_bytes(), &[], false), too_large);
    let endless = format!("HTTP/1.1 200 {}", "r".repeat(100_000));
    assert_eq!(ask(endless.as_bytes(), &[], true), too_large, "before its end has come");
    let interim = |n| format!("{}{hello}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(n));
    assert!(matches!(ask(interim(1_000).as_bytes(), &[], false), Came::Whole { .. }));
    assert_eq!(ask(interim(20_000).as_bytes(), &[], false), too_large);
}

#[test]
fn an_answer_that_comes_before_the_request_was_read_is_heard() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = duplex(64);
        let mut conn = Conn { wire: Wire::Memory(near), origin: origin() };
        far.write_all(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n").await.unwrap();
        // It reads nothing: the other side's writes fail.
        drop(far);
        let (head, _) = conn.ask(&vec![b'x'; 4_096].into(), &Buffers::default()).await.unwrap();
        assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn no_body_ends_with_a_connection_that_broke_while_the_request_was_sent() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = duplex(64);
        let mut conn = Conn { wire: Wire::Memory(near), origin: origin() };
        far.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        drop(far);
        let buffers = Buffers::default();
        let (head, behind) = conn.ask(&vec![b'x'; 4_096].into(), &buffers).await.unwrap();
        let shared = (Kept::new(1), buffers);
        let mut body = body::Body::new(conn, head.framing, head.reusable, behind, shared);
        assert_eq!(body.piece().await.unwrap().as_deref(), Some(&b"hello"[..]));
        assert!(body.piece().await.is_err());
    });
}

/// A reset that came together with the head, because we were slow to read, is no end of a body.
#[tokio::test]
async fn a_reset_behind_the_first_bytes_is_not_forgotten() {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    #[expect(clippy::disallowed_methods, reason = "to the test's own listener")]
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let mut conn = Conn { wire: Wire::Plain(near), origin: origin() };
    let (request, buffers) = (head::encode(&get()), Buffers::default());
    let mut asking = Box::pin(conn.ask(&request, &buffers));
    assert!(asking.as_mut().now_or_never().is_none(), "it waits for an answer");
    far.read_exact(&mut vec![0; request.len()]).unwrap();
    far.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
    rustix::net::sockopt::set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
    drop(far);
    let (head, behind) = asking.await.unwrap();
    let shared = (Kept::new(1), buffers);
    let mut body = body::Body::new(conn, head.framing, head.reusable, behind, shared);
    assert_eq!(body.piece().await.unwrap().as_deref(), Some(&b"hello"[..]));
    assert!(body.piece().await.is_err());
}

#[test]
fn a_kept_connection_that_speaks_or_ends_while_it_waits_is_not_used() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let kept = Kept::new(1);
        let put = || {
            let (near, far) = duplex(1_024);
            kept.put(Conn { wire: Wire::Memory(near), origin: origin() });
            far
        };
        let quiet = put();
        assert!(kept.take(&origin()).is_some(), "it waits");
        drop(quiet);
        let mut chatty = put();
        chatty.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        assert!(kept.take(&origin()).is_none());
        let ended = put();
        drop(ended);
        assert!(kept.take(&origin()).is_none());
        let other = Origin { https: true, ..(*origin()).clone() };
        let _quiet = put();
        assert!(kept.take(&other).is_none(), "plain is not TLS");
    });
}

#[tokio::test]
async fn kept_connections_are_so_many_and_go_after_a_while() {
    let kept = Kept::new(1);
    let mut ends: Vec<DuplexStream> = Vec::new();
    for _ in 0..20 {
        let (near, far) = duplex(64);
        kept.put(Conn { wire: Wire::Memory(near), origin: origin() });
        ends.push(far);
    }
    assert_eq!(format!("{kept:?}"), "Kept(8)");
    let mut byte = [0];
    let closed = |end: &mut DuplexStream| end.read(&mut byte).now_or_never().is_some();
    assert_eq!(ends.iter_mut().map(closed).filter(|closed| *closed).count(), 12);
    kept.tidy(Duration::MAX);
    assert_eq!(format!("{kept:?}"), "Kept(8)", "they are quiet, and it is not long");
    kept.tidy(Duration::ZERO);
    assert_eq!(format!("{kept:?}"), "Kept(0)");
    let closed = |end: &mut DuplexStream| end.read(&mut byte).now_or_never().is_some();
    assert_eq!(ends.iter_mut().map(closed).filter(|closed| *closed).count(), 20);
}

/// An answer as some origin may send it.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..5);
    let field = ("X-[A-Za-z]{1,8}", "[ -~]{0,20}");
    let fields = prop::collection::vec(field, 0..5);
    let status = prop::sample::select(vec![200u16, 203, 206, 302, 404, 503]);
    (0..5u8, 0..3usize, status, fields, pieces).prop_map(
        |(kind, interim, status, fields, pieces)| {
            let mut raw = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(interim);
            let version = if kind == 1 { "1.0" } else { "1.1" };
            raw.extend_from_slice(format!("HTTP/{version} {status} Some Words\r\n").as_bytes());
            for (name, value) in fields {
                raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            let body = pieces.concat();
            match kind {
                0 | 1 => {
                    let length = body.len();
                    let fields = format!("Content-Length: {length}\r\n\r\n");
                    raw.extend_from_slice(fields.as_bytes());
                    raw.extend_from_slice(&body);
                }
                2 | 3 => {
                    raw.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for piece in pieces {
                        let extension = if kind == 3 { ";a=b" } else { "" };
                        let size = format!("{:X}{extension}\r\n", piece.len());
                        raw.extend_from_slice(size.as_bytes());
                        raw.extend_from_slice(&piece);
                        raw.extend_from_slice(b"\r\n");
                    }
                    let trailers = if kind == 3 { "X-Sum: 1\r\n" } else { "" };
                    raw.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
                }
                _ => {
                    raw.extend_from_slice(b"\r\n");
                    raw.extend_from_slice(&body);
                }
            }
            raw
        },
    )
}

/// What the library makes of an answer: status, fields, body.
fn by_the_library(raw: &[u8]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = duplex(1 << 20);
        #[expect(clippy::disallowed_methods, reason = "to memory: the peer of a comparison")]
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(near));
        let (mut sender, connection) = handshake.await.unwrap();
        drop(Tasks::new().spawn("library", connection));
        let raw = raw.to_vec();
        drop(Tasks::new().spawn("origin", async move {
            // The library takes an answer that nobody has asked for yet for an error.
            far.read_u8().await.unwrap();
            far.write_all(&raw).await.unwrap();
            far.shutdown().await.unwrap();
            let mut rest = Vec::new();
            drop(far.read_to_end(&mut rest).await);
        }));
        let (head, body) = sender.send_request(get()).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
    })
}

proptest! {
    #[test]
    fn any_split_into_reads_gives_the_same_answer_or_the_same_fault(
        raw in answers(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        end in prop::option::of(any::<prop::sample::Index>()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut raw = raw;
        if let Some((at, byte)) = damage {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        if let Some(end) = end {
            raw.truncate(end.index(raw.len()) + 1);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(raw.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(ask(&raw, &cuts, false), ask(&raw, &[], false));
        let each: Vec<usize> = (1..raw.len().min(400)).collect();
        prop_assert_eq!(ask(&raw, &each, false), ask(&raw, &[], false), "byte by byte");
    }

    #[test]
    fn the_library_makes_the_same_of_a_good_answer(raw in answers()) {
        let (status, headers, body) = by_the_library(&raw);
        match ask(&raw, &[], false) {
            Came::Whole { status: our_status, headers: our_headers, body: our_body, .. } => {
                prop_assert_eq!((our_status, our_headers), (status, headers));
                prop_assert_eq!(our_body, body);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
