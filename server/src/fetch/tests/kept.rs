//! Connections that are used again, over real sockets: what an origin may do to the next request.

use super::*;

const HELLO: &str = "Content-Length: 5\r\n";

/// Fetches `times` over from an origin that answers in turn; what came, and over how many
/// connections.
async fn again(turns: Vec<Vec<Step>>) -> (Vec<Result<Vec<u8>, FetchError>>, usize) {
    let times = turns.len();
    let origin = Origin::start(move |n| turns[n.min(turns.len() - 1)].clone()).await;
    let fetcher = fetcher(settings());
    let mut came = Vec::new();
    for _ in 0..times {
        came.push(fetch(&fetcher, &origin.url("/")).await);
    }
    (came, origin.connections())
}

fn answer(fields: &str, body: &str) -> Vec<Step> {
    vec![send(head(fields)), send(body), Step::KeepAlive]
}

#[tokio::test]
async fn a_connection_carries_request_after_request_in_both_framings() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let turns = vec![
        answer(HELLO, "hello"),
        answer(chunked, "5\r\nhello\r\n0\r\n\r\n"),
        answer(HELLO, "hello"),
    ];
    let (came, connections) = again(turns).await;
    assert!(came.iter().all(|came| came.as_deref() == Ok(b"hello")), "{came:?}");
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn what_an_origin_says_unasked_never_becomes_an_answer() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
    let behind = vec![answer(HELLO, &format!("hello{evil}")), answer(HELLO, "right")];
    let (came, connections) = again(behind).await;
    assert_eq!(came[0].as_deref(), Ok(&b"hello"[..]));
    assert_eq!(came[1].as_deref(), Ok(&b"right"[..]), "excess in the same breath");
    assert_eq!(connections, 2);

    let origin = Origin::start(move |n| match n {
        0 => {
            let first = [send(head(HELLO)), send("hello"), Step::Pause(SHORT), send(evil)];
            [&first[..], &[Step::KeepAlive]].concat()
        }
        _ => answer(HELLO, "right"),
    })
    .await;
    let fetcher = fetcher(settings());
    assert_eq!(fetch(&fetcher, &origin.url("/")).await.unwrap(), b"hello");
    tokio::time::sleep(2 * SHORT).await; // the origin's own pause is what is tested
    assert_eq!(fetch(&fetcher, &origin.url("/")).await.unwrap(), b"right", "excess later");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_is_said_to_end_is_not_used_again() {
    for fields in ["Connection: close\r\n", "Connection: x, CLOSE\r\nConnection: keep-alive\r\n"] {
        let turn = || answer(&format!("{HELLO}{fields}"), "hello");
        let (came, connections) = again(vec![turn(), turn()]).await;
        assert!(came.iter().all(Result::is_ok), "{came:?}");
        assert_eq!(connections, 2, "{fields}");
    }
}

#[tokio::test]
async fn redirects_and_refusals_give_their_connection_back() {
    let to = |place: &str| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 4\r\n\r\n");
        vec![send(format!("{head}gone")), Step::KeepAlive]
    };
    let turns = [to("/a"), to("/b"), answer(HELLO, "hello")];
    let origin = Origin::start(move |n| turns[n.min(2)].clone()).await;
    let fetcher = fetcher(settings());
    assert_eq!(fetch(&fetcher, &origin.url("/")).await.unwrap(), b"hello");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_body_that_is_given_up_takes_its_connection_along() {
    let length = "Content-Length: 1000000\r\n";
    let origin = Origin::start(move |n| match n {
        0 => vec![send(head(length)), send("hello"), Step::Hang],
        _ => answer(HELLO, "right"),
    })
    .await;
    let fetcher = fetcher(settings());
    let url = SourceUrl::new(origin.url("/"));
    let mut source = fetcher.open(Wanted::whole(&url)).await.unwrap();
    assert_eq!(source.chunk().await.unwrap().as_deref(), Some(&b"hello"[..]));
    drop(source);
    assert_eq!(fetch(&fetcher, &origin.url("/")).await.unwrap(), b"right");
    assert_eq!(origin.connections(), 2);
}
