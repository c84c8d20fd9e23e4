//! Continuing a transfer: what an origin may answer to a request for the rest (http_faults.md rows
//! 44 to 58, ssrf_redirects.jsonl row R78).

use super::*;
use crate::domain::version::{Validator, Version};
use crate::fetch::Link;

/// The object, of which `HERE` bytes are here already.
const BODY: &str = "the first half, the second half";
const HERE: usize = 16;

fn resume(fetcher: &Fetcher, url: &str) -> Resume {
    let version = Version {
        validator: Validator::Tag("\"v1\"".to_owned()),
        total: Some(BODY.len() as u64),
        place: fetcher.guard().target(url).unwrap().place(),
    };
    Resume { offset: HERE as u64, version, link: Link::Same }
}

fn whole(tag: &str) -> Vec<Step> {
    let fields = format!("{tag}Content-Length: {}\r\n", BODY.len());
    vec![send(head(&fields)), send(BODY)]
}

fn partial(fields: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    let head = format!("HTTP/1.1 206 Partial Content\r\n{fields}Content-Length: {length}\r\n\r\n");
    vec![send(head), send(body)]
}

fn range(text: &str) -> String {
    format!("ETag: \"v1\"\r\nContent-Range: {text}\r\n")
}

/// Where the body began and why, and what came.
type Went = (u64, Option<Restart>, Result<Vec<u8>, FetchError>);

/// Asks for the rest from an origin that answers in turn; the last answer again and again.
async fn go_on(turns: Vec<Vec<Step>>) -> (Result<Went, FetchError>, Vec<String>) {
    let script = move |n: usize| turns[n.min(turns.len() - 1)].clone();
    let origin = Origin::start(script).await;
    let (fetcher, url) = (fetcher(settings()), origin.url("/v.mp4?Signature=s3cret"));
    let from = Some(resume(&fetcher, &url));
    let url = SourceUrl::new(url);
    let went = match fetcher.open(Wanted { from, ..Wanted::whole(&url) }).await {
        Err(error) => Err(error),
        Ok(mut source) => {
            let mut bytes = Vec::new();
            let end = loop {
                match source.chunk().await {
                    Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                    Ok(None) => break Ok(bytes),
                    Err(error) => break Err(error),
                }
            };
            Ok((source.offset(), source.restart(), end))
        }
    };
    let heads = origin.seen.lock().unwrap().heads.clone();
    (went, heads)
}

#[tokio::test]
async fn the_rest_is_asked_for_on_condition_that_nothing_changed() {
    let n = BODY.len();
    let rest = range(&format!("bytes {HERE}-{}/{n}", n - 1));
    let (went, heads) = go_on(vec![partial(&rest, &BODY[HERE..])]).await;
    assert_eq!(went.unwrap(), (HERE as u64, None, Ok(BODY.as_bytes()[HERE..].to_vec())));
    let [head] = &heads[..] else { panic!("{heads:?}") };
    assert!(head.contains(&format!("\r\nrange: bytes={HERE}-\r\n")), "{head}");
    assert!(head.contains("\r\nif-range: \"v1\"\r\n"), "{head}");
}

#[tokio::test]
async fn an_answer_that_does_not_continue_what_is_here_begins_at_byte_0() {
    use Restart::{Changed, NotContinued};
    let n = BODY.len();
    let last = n - 1;
    let good = range(&format!("bytes {HERE}-{last}/{n}"));
    let rest = &BODY[HERE..];
    let rows: Vec<(&str, Vec<Step>, Restart)> = vec![
        (
            "row 46, a later start",
            partial(&range(&format!("bytes {}-{last}/{n}", HERE + 1)), &rest[1..]),
            NotContinued,
        ),
        ("an earlier start", partial(&range(&format!("bytes 0-{last}/{n}")), BODY), NotContinued),
        (
            "row 47, a new total",
            partial(&range(&format!("bytes {HERE}-{n}/{}", n + 1)), rest),
            Changed,
        ),
        ("row 53, no range", partial("ETag: \"v1\"\r\n", rest), NotContinued),
        (
            "row 54, several parts",
            partial(&format!("{good}Content-Type: multipart/byteranges; boundary=b\r\n"), rest),
            NotContinued,
        ),
        ("another tag", partial(&good.replace("v1", "v2"), rest), Changed),
        ("a weak tag", partial(&good.replace("\"v1\"", "W/\"v1\""), rest), Changed),
        ("no tag", partial(&good.replace("ETag", "X-Tag"), rest), NotContinued),
        ("packed", partial(&format!("{good}Content-Encoding: gzip\r\n"), rest), NotContinued),
        ("another length than its range", partial(&good, &rest[1..]), NotContinued),
        (
            "row 55, nothing behind what is here",
            vec![send(format!(
                "HTTP/1.1 416 No\r\nContent-Range: bytes */{HERE}\r\nContent-Length: 0\r\n\r\n"
            ))],
            NotContinued,
        ),
        ("a Range is a bad request", vec![send("HTTP/1.1 400 No\r\n\r\n")], NotContinued),
    ];
    for (what, answer, why) in rows {
        let (went, heads) = go_on(vec![answer, whole("ETag: \"v1\"\r\n")]).await;
        let expected = (0, Some(why), Ok(BODY.as_bytes().to_vec()));
        assert_eq!(went, Ok(expected), "{what}");
        assert_eq!(heads.len(), 2, "{what}");
        assert!(!heads[1].contains("range:"), "{what}: {}", heads[1]);
    }
    // Rows 44, 51 and 58: a whole answer is taken as it is, without another request.
    for (tag, why) in [
        ("ETag: \"v1\"\r\n", NotContinued),
        ("ETag: \"v2\"\r\n", Changed),
        ("ETag: W/\"v1\"\r\n", Changed),
        ("", Changed),
    ] {
        let (went, heads) = go_on(vec![whole(tag)]).await;
        assert_eq!(went, Ok((0, Some(why), Ok(BODY.as_bytes().to_vec()))), "{tag}");
        assert_eq!(heads.len(), 1, "{tag}");
    }
}

#[tokio::test]
async fn a_part_that_is_not_the_whole_rest_is_no_end() {
    let n = BODY.len();
    let short = range(&format!("bytes {HERE}-{}/{n}", HERE + 3));
    let (went, _) = go_on(vec![partial(&short, &BODY[HERE..HERE + 4])]).await;
    let (offset, _, end) = went.unwrap();
    assert_eq!(offset, HERE as u64);
    assert_eq!(verdict(end), (FaultClass::Truncated, Retry::Backoff));
    // Chunks that say more than the range does: which of the two to believe?
    let long = format!(
        "HTTP/1.1 206 P\r\n{short}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let (went, _) = go_on(vec![vec![send(long)]]).await;
    assert_eq!(verdict(went.unwrap().2), (FaultClass::Protocol, Retry::Once));
}

#[tokio::test]
async fn a_refusal_of_the_rest_is_the_refusal_of_any_request() {
    for (line, expected) in [
        ("403 Forbidden", (FaultClass::HttpStatus, Retry::AnotherUrl)),
        ("404 Not Found", (FaultClass::HttpStatus, Retry::Never)),
        ("503 Busy", (FaultClass::HttpStatus, Retry::Backoff)),
    ] {
        let answer = send(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"));
        let (went, heads) = go_on(vec![vec![answer]]).await;
        let error = went.unwrap_err();
        assert_eq!((error.fault.class, error.retry), expected, "{line}");
        assert_eq!(heads.len(), 1, "{line}");
    }
}

#[tokio::test]
async fn a_rest_that_a_redirect_finds_elsewhere_is_not_spliced() {
    let n = BODY.len();
    let rest = range(&format!("bytes {HERE}-{}/{n}", n - 1));
    let to = |path: &str| {
        vec![send(format!("HTTP/1.1 302 F\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n"))]
    };
    let (went, _) = go_on(vec![
        to("/other.mp4"),
        partial(&rest, &BODY[HERE..]),
        to("/other.mp4"),
        whole("ETag: \"v1\"\r\n"),
    ])
    .await;
    assert_eq!(went, Ok((0, Some(Restart::Changed), Ok(BODY.as_bytes().to_vec()))));
    // A link that is only signed anew is the same resource.
    let (went, _) = go_on(vec![to("/v.mp4?Signature=later"), partial(&rest, &BODY[HERE..])]).await;
    assert_eq!(went.unwrap().0, HERE as u64);
}

#[tokio::test]
async fn the_guard_is_passed_again_for_the_rest() {
    let origin = Origin::start(|_| whole("ETag: \"v1\"\r\n")).await;
    let url = origin.url("/v.mp4");
    let closed = fetcher(FetchSettings { allow: Vec::new(), ..settings() });
    let from = Some(resume(&fetcher(settings()), &url));
    let url = SourceUrl::new(url);
    let refused = closed.open(Wanted { from, ..Wanted::whole(&url) }).await.unwrap_err();
    assert_eq!(refused.fault.class, FaultClass::ForbiddenAddress);
    assert_eq!(origin.connections(), 0);
}
