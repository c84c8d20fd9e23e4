//! Headers that were given for one origin, on real connections.

use super::*;
use crate::domain::source_headers::SourceHeaders;

fn hop(to: &str) -> Vec<Step> {
    vec![send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))]
}

fn body() -> Vec<Step> {
    vec![send(head("Content-Length: 5\r\n")), send("hello")]
}

fn headers(pairs: &[(&str, &str)]) -> SourceHeaders {
    SourceHeaders::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
}

async fn open(origin: &Origin, headers: &SourceHeaders) -> Result<Source, FetchError> {
    let url = SourceUrl::new(origin.url("/start.mp4"));
    fetcher(settings()).open(Wanted { url: &url, headers, ..Wanted::whole(&url) }).await
}

#[tokio::test]
async fn headers_stay_with_their_origin_and_do_not_come_back_with_a_detour() {
    let confided = headers(&[("X-Key", "CANARY"), ("Authorization", "Basic CANARY")]);
    let back = Arc::new(std::sync::OnceLock::<String>::new());
    let to_back = Arc::clone(&back);
    let other = Origin::start(move |_| hop(to_back.get().unwrap())).await;
    let away = other.url("/there.mp4");
    let script = move |n| match n {
        0 => hop("/moved.mp4"),
        1 => hop(&away),
        _ => body(),
    };
    let origin = Origin::start(script).await;
    back.set(origin.url("/back.mp4")).unwrap();
    assert!(open(&origin, &confided).await.is_ok());
    let has_headers = |head: &String| {
        let head = head.to_ascii_lowercase();
        assert_eq!(
            head.contains("x-key: canary\r\n"),
            head.contains("authorization: basic canary")
        );
        head.contains("canary")
    };
    assert_eq!(origin.heads().iter().map(has_headers).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(other.heads().iter().map(has_headers).collect::<Vec<_>>(), [false]);
}

#[tokio::test]
async fn a_caller_may_be_another_agent_but_is_never_sent_another_coding() {
    let origin = Origin::start(|_| body()).await;
    let confided =
        headers(&[("user-agent", "Player/1"), ("Accept", "video/*"), ("Accept-Encoding", "gzip")]);
    assert!(open(&origin, &confided).await.is_ok());
    let head = origin.heads().remove(0).to_ascii_lowercase();
    for (name, line) in [
        ("user-agent", "user-agent: player/1\r\n"),
        ("accept", "accept: video/*\r\n"),
        ("accept-encoding", "accept-encoding: identity\r\n"),
    ] {
        assert!(head.contains(line), "{head}");
        assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{head}");
    }
}

#[tokio::test]
async fn what_http_cannot_carry_is_not_sent() {
    let origin = Origin::start(|_| body()).await;
    for pair in [("X-Key", "a\r\nb"), ("X Key", "a"), ("", "a")] {
        let refused = open(&origin, &headers(&[pair])).await.map(|_| Vec::new());
        assert_eq!(verdict(refused), (FaultClass::Url, Retry::Never));
    }
    assert_eq!(origin.connections(), 0);
}
