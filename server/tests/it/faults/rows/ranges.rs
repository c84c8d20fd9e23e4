//! A second attempt asks for the rest, and what an origin may make of that.

use super::*;

/// The object of these rows, and how much of it the first answer has.
fn object() -> (Vec<u8>, usize) {
    let bytes = film(&[5; 5_000]);
    let here = bytes.len() / 2;
    (bytes, here)
}

fn answer(line: &str, fields: &str, body: &[u8]) -> Vec<Step> {
    let length = body.len();
    let head = format!("HTTP/1.1 {line}\r\n{fields}Content-Length: {length}\r\n\r\n");
    vec![send(head), send(body)]
}

fn part(range: &str, body: &[u8]) -> Vec<Step> {
    let fields = format!("ETag: \"1\"\r\nContent-Range: {range}\r\n");
    answer("206 Partial Content", &fields, body)
}

/// The first answer: whole by its head, cut off in its body.
fn cut(tag: &str) -> Vec<Step> {
    let (bytes, here) = object();
    vec![head(&format!("{tag}\r\nContent-Length: {}\r\n", bytes.len())), send(&bytes[..here])]
}

pub fn ranges() -> Vec<Row> {
    let (bytes, here) = object();
    let (n, last) = (bytes.len(), bytes.len() - 1);
    let rest = &bytes[here..];
    let whole = |tag: &str| answer("200 OK", &format!("{tag}\r\n"), &bytes);
    let tag = "ETag: \"1\"";
    let good = format!("bytes {here}-{last}/{n}");
    let row = |number, what: &str, turns: Vec<Vec<Step>>| {
        let times = turns.len();
        let row = Row::new(number, what, in_turn(turns), Outcome::Stored(bytes.clone()));
        Row { rest: Some(here), ..row.asked(times) }
    };
    // Three requests: the first, the one for the rest, and one for the whole again.
    let anew = |number, what: &str, answer| row(number, what, vec![cut(tag), answer, whole(tag)]);
    let short = vec![length(n), send(&bytes[..last])];
    let mut rows = vec![
        row(3, "half, then the rest", vec![cut(tag), part(&good, rest)]),
        Row {
            rest: Some(last),
            ..row(
                2,
                "one byte short, then that byte",
                vec![
                    short,
                    answer(
                        "206 P",
                        &format!("ETag: \"v1\"\r\nContent-Range: bytes {last}-{last}/{n}\r\n"),
                        &bytes[last..],
                    ),
                ],
            )
        },
        row(44, "Range is ignored", vec![cut(tag), whole(tag)]),
        anew(
            46,
            "the rest begins later",
            part(&format!("bytes {}-{last}/{n}", here + 9), &rest[9..]),
        ),
        anew(
            46,
            "the rest begins earlier",
            part(&format!("bytes {}-{last}/{n}", here - 9), &bytes[here - 9..]),
        ),
        anew(
            47,
            "another total",
            part(&format!("bytes {here}-{n}/{}", n + 1), &[rest, b"x"].concat()),
        ),
        row(51, "If-Range is answered by the whole", vec![cut(tag), whole("ETag: \"2\"")]),
        anew(53, "no Content-Range", answer("206 P", "ETag: \"1\"\r\n", rest)),
        anew(
            54,
            "several parts",
            answer(
                "206 P",
                "ETag: \"1\"\r\nContent-Type: multipart/byteranges; boundary=b\r\n",
                rest,
            ),
        ),
        anew(55, "416", answer("416 No", &format!("Content-Range: bytes */{here}\r\n"), b"")),
        anew(58, "a part of another version", {
            let fields = format!("ETag: \"2\"\r\nContent-Range: {good}\r\n");
            answer("206 P", &fields, &vec![9; rest.len()])
        }),
        anew(106, "a packed part", {
            let fields =
                format!("ETag: \"1\"\r\nContent-Encoding: gzip\r\nContent-Range: {good}\r\n");
            answer("206 P", &fields, rest)
        }),
        row(
            80,
            "the rest, cut off again",
            vec![
                cut(tag),
                vec![
                    send(format!(
                        "HTTP/1.1 206 P\r\nETag: \"1\"\r\nContent-Range: {good}\r\nContent-Length: {}\r\n\r\n",
                        n - here
                    )),
                    send(&rest[..100]),
                ],
                part(&format!("bytes {}-{last}/{n}", here + 100), &rest[100..]),
            ],
        ),
    ];
    let moving: Script = Arc::new(move |count, head: &str| {
        if head.contains("\r\nrange:") {
            return part(&format!("bytes {here}-{}/{}", n + count, n + count + 1), &[7; 9]);
        }
        cut(tag)
    });
    rows.push(Row {
        rest: Some(here),
        // Each of the three later attempts asks for the rest, then for the whole.
        ..Row::new(47, "a total that keeps moving", moving, Outcome::Failed(CHANGED)).asked(7)
    });
    rows
}
