//! The rows of http_faults.md as scripts and what must become of them.

mod contents;
mod ranges;
mod times;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::origin::{Script, Speech, Step, send};
use crate::harness::origin::SAMPLE;

/// Largest source of the servers, in bytes.
pub const MAX_BYTES: usize = 2 << 20;
pub const ATTEMPTS: usize = 5;
/// Attempts of the server with short timers.
pub const HASTY_ATTEMPTS: usize = 3;
/// The timers of that server.
pub const HASTE: Duration = Duration::from_millis(800);
/// The deadline of jobs of the third server.
pub const DEADLINE: Duration = Duration::from_secs(6);

/// Which server plays a row: one with the timers of the product, one with short timers, one with
/// a short deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    Patient,
    Hasty,
    Brief,
}

#[derive(Debug)]
pub enum Outcome {
    Stored(Vec<u8>),
    /// The job fails with this `ErrorCode`.
    Failed(&'static str),
}

pub struct Row {
    pub number: u32,
    pub what: String,
    pub on: On,
    pub speech: Speech,
    pub https: bool,
    pub script: Script,
    pub file: &'static str,
    pub host: &'static str,
    pub file_size: Option<usize>,
    pub outcome: Outcome,
    /// Requests the origin may see.
    pub asked: RangeInclusive<usize>,
    /// Least time between the first request and the second.
    pub gap: Duration,
    /// Where the second request must ask to go on.
    pub rest: Option<usize>,
    /// A word that `ErrorMessage` must have.
    pub says: &'static str,
}

impl Row {
    fn new(number: u32, what: impl Into<String>, script: Script, outcome: Outcome) -> Self {
        Self {
            number,
            what: what.into(),
            on: On::Patient,
            speech: Speech::Http,
            https: false,
            script,
            file: "v.mp4",
            host: "127.0.0.1",
            file_size: None,
            outcome,
            asked: 1..=1,
            gap: Duration::ZERO,
            rest: None,
            says: "",
        }
    }

    fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    fn speaking(self, speech: Speech) -> Self {
        Self { https: speech.is_tls(), speech, ..self }
    }

    fn asked(self, times: usize) -> Self {
        Self { asked: times..=times, ..self }
    }
}

pub fn always(steps: Vec<Step>) -> Script {
    Arc::new(move |_, _| steps.clone())
}

/// Each request its own steps; the last ones again and again.
pub fn in_turn(turns: Vec<Vec<Step>>) -> Script {
    Arc::new(move |n, _| turns[n.min(turns.len() - 1)].clone())
}

pub fn head(fields: &str) -> Step {
    send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
}

pub fn length(n: usize) -> Step {
    head(&format!("Content-Type: video/mp4\r\nETag: \"v1\"\r\nContent-Length: {n}\r\n"))
}

fn chunked() -> Step {
    head("Content-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n")
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The sample in two chunks and the last one.
fn all_chunks(after: &str) -> Vec<u8> {
    let (first, second) = SAMPLE.split_at(SAMPLE.len() / 3);
    [chunk(first), chunk(second), b"0\r\n".to_vec(), after.into()].concat()
}

/// The sample followed by a `free` box with these bytes, which readers skip.
pub fn film(filler: &[u8]) -> Vec<u8> {
    let size = u32::try_from(filler.len() + 8).unwrap().to_be_bytes();
    [SAMPLE, &size, b"free", filler].concat()
}

pub fn whole() -> Vec<Step> {
    vec![length(SAMPLE.len()), send(SAMPLE)]
}

fn sample() -> Outcome {
    Outcome::Stored(SAMPLE.to_vec())
}

fn stored(number: u32, what: &str, steps: Vec<Step>) -> Row {
    Row::new(number, what, always(steps), sample())
}

/// Fails at the first request.
fn fails(number: u32, what: impl Into<String>, steps: Vec<Step>, code: &'static str) -> Row {
    Row::new(number, what, always(steps), Outcome::Failed(code))
}

/// Fails after all attempts.
fn gives_up(number: u32, what: impl Into<String>, steps: Vec<Step>, code: &'static str) -> Row {
    fails(number, what, steps, code).asked(ATTEMPTS)
}

fn status(line: &str, fields: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![send(format!("HTTP/1.1 {line}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"))]
}

const PROTOCOL: &str = "URLInvalidError.Protocol";
const TRUNCATED: &str = "URLInvalidError.Truncated";
const TOO_LARGE: &str = "URLInvalidError.TooLarge";
const CHANGED: &str = "URLInvalidError.Changed";
const STATUS: &str = "URLInvalidError.HttpStatus";
const STALLED: &str = "URLInvalidError.Stalled";
const NOT_MEDIA: &str = "URLInvalidError.NotMedia";
const TLS: &str = "URLInvalidError.Tls";
const A_MOMENT: Duration = Duration::from_millis(100);

/// All rows. Nothing may ever connect to `trap`, which some answers name.
pub fn all(trap: SocketAddr) -> Vec<Row> {
    [
        framing(),
        heads(trap),
        sizes(),
        again(),
        ranges::ranges(),
        statuses(),
        times::times(),
        times::tls(),
        contents::contents(trap),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn framing() -> Vec<Row> {
    let n = SAMPLE.len();
    let half = || send(&SAMPLE[..n / 2]);
    let reset = |start: Step| vec![start, half(), Step::Pause(A_MOMENT), Step::Reset];
    let tls = |goodbye| Speech::Tls { certificate: "good.pem", goodbye };
    let mut rows = vec![
        stored(1, "exactly as announced", whole()),
        gives_up(2, "one byte short", vec![length(n), send(&SAMPLE[..n - 1])], TRUNCATED),
        Row::new(3, "half, then whole", in_turn(vec![vec![length(n), half()], whole()]), sample())
            .asked(2),
        stored(4, "more than announced", [whole(), vec![send("HTTP/1.1 200 OK\r\n\r\n")]].concat()),
        gives_up(5, "announced, and nothing", vec![length(n)], TRUNCATED),
        gives_up(8, "reset without a length", reset(head("")), TRUNCATED),
        gives_up(8, "reset with a length", reset(length(n)), TRUNCATED),
        gives_up(9, "TLS cut off", vec![head(""), send(SAMPLE)], TRUNCATED).speaking(tls(false)),
        stored(9, "TLS ended", vec![head(""), send(SAMPLE)]).speaking(tls(true)),
        stored(10, "TLS cut off after the length", whole()).speaking(tls(false)),
        stored(10, "TLS cut off after the last chunk", vec![chunked(), send(all_chunks("\r\n"))])
            .speaking(tls(false)),
        gives_up(11, "no last chunk", vec![chunked(), send(chunk(SAMPLE))], TRUNCATED),
        gives_up(
            12,
            "cut inside a chunk",
            vec![chunked(), send(&chunk(SAMPLE)[..n / 2])],
            TRUNCATED,
        ),
        fails(
            13,
            "a chunk size that is no number",
            vec![chunked(), send(chunk(&SAMPLE[..9_000])), send("zz\r\n")],
            PROTOCOL,
        )
        .asked(2),
        fails(
            14,
            "a chunk of 2^64 + 1",
            vec![chunked(), send("10000000000000001\r\n"), half()],
            PROTOCOL,
        ),
        fails(
            15,
            "a chunk extension of 1 MiB",
            vec![chunked(), send("4;"), send(vec![b'x'; 1 << 20])],
            PROTOCOL,
        ),
        stored(
            17,
            "trailers",
            vec![chunked(), send(all_chunks("Content-Length: 3\r\nX-Y: z\r\n\r\n"))],
        ),
        stored(
            18,
            "a length of 0 and chunks",
            vec![
                head("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
                send(all_chunks("\r\n")),
            ],
        ),
        stored(
            20,
            "two equal lengths",
            vec![head(&format!("Content-Length: {n}\r\nContent-Length: {n}\r\n")), send(SAMPLE)],
        ),
        stored(
            20,
            "a list of equal lengths",
            vec![head(&format!("Content-Length: {n}, {n}\r\n")), send(SAMPLE)],
        ),
    ];
    for value in ["-5", "+5", "0x10", "1e3", "999999999999999999999999999999"] {
        let steps = vec![head(&format!("Content-Length: {value}\r\n")), send(SAMPLE)];
        rows.push(fails(21, format!("Content-Length: {value}"), steps, PROTOCOL));
    }
    rows
}

fn heads(trap: SocketAddr) -> Vec<Row> {
    let bare = format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n", SAMPLE.len());
    let before = |first: String| [vec![send(first)], whole()].concat();
    let mut rows = vec![
        fails(25, "shoutcast", vec![send("ICY 200 OK\r\n\r\n"), send(SAMPLE)], PROTOCOL),
        stored(26, "bare line feeds", vec![send(bare), send(SAMPLE)]),
        stored(27, "100 Continue, 50 times", before("HTTP/1.1 100 Continue\r\n\r\n".repeat(50))),
        stored(
            29,
            "103 Early Hints",
            before(format!(
                "HTTP/1.1 103 Early Hints\r\nLink: <http://{trap}/x>; rel=preload\r\n\r\n"
            )),
        ),
        fails(32, "10,000 headers", vec![head(&"X-A: b\r\n".repeat(10_000))], PROTOCOL),
        gives_up(34, "leavings before the status line", before("tail of a file".into()), PROTOCOL),
        fails(
            74,
            "a reason of 64 KiB",
            vec![send(format!("HTTP/1.1 200 {}\r\n\r\n", "r".repeat(1 << 16))), send(SAMPLE)],
            PROTOCOL,
        ),
    ];
    for (name, value) in [("NUL", "b\0c"), ("CR", "b\rc"), ("obs-fold", "b\r\n c")] {
        let steps = vec![head(&format!("X-A: {value}\r\n")), send(SAMPLE)];
        rows.push(fails(33, name, steps, PROTOCOL));
    }
    rows
}

fn sizes() -> Vec<Row> {
    let exactly = film(&vec![7; MAX_BYTES - SAMPLE.len() - 8]);
    let announced = |n: usize| vec![length(n), send(SAMPLE), Step::Hang];
    let begun = vec![length(SAMPLE.len()), send(&SAMPLE[..5_000]), Step::Hang];
    let declared = |number, what, size| Row {
        file_size: Some(size),
        // Refused by its head: the body never comes.
        ..fails(number, what, begun.clone(), "URLInvalidError.ChecksumMismatch")
    };
    vec![
        Row::new(
            37,
            "exactly the limit",
            always(vec![length(exactly.len()), send(exactly.clone())]),
            Outcome::Stored(exactly),
        ),
        fails(37, "one byte over the limit", announced(MAX_BYTES + 1), TOO_LARGE),
        fails(
            38,
            "close-delimited without end",
            vec![head(""), send(SAMPLE), Step::Forever(vec![7; 10_000])],
            TOO_LARGE,
        ),
        fails(
            39,
            "chunks without end",
            vec![chunked(), send(chunk(SAMPLE)), Step::Forever(chunk(&[7; 10_000]))],
            TOO_LARGE,
        ),
        fails(40, "a length of 2^63 - 1", announced((1 << 63) - 1), TOO_LARGE),
        declared(41, "FileSize says less", SAMPLE.len() - 1),
        Row {
            file_size: Some(SAMPLE.len() + 1),
            ..fails(
                41,
                "FileSize says more, no length",
                vec![head(""), send(SAMPLE)],
                "URLInvalidError.ChecksumMismatch",
            )
        },
        Row { file_size: Some(SAMPLE.len()), ..stored(41, "FileSize is right", whole()) },
    ]
}

/// What a second attempt gets.
fn again() -> Vec<Row> {
    let n = SAMPLE.len();
    let (v1, v2) = (film(&[1; 5_000]), film(&[2; 5_000]));
    let version = |tag: &str, bytes: &[u8]| {
        vec![head(&format!("{tag}\r\nContent-Length: {n}\r\n", n = v1.len())), send(bytes)]
    };
    let cut = |tag: &str| version(tag, &v1[..n / 2]);
    let mut rows = vec![
        Row::new(
            58,
            "replaced between attempts",
            in_turn(vec![version("ETag: \"1\"", &v1[..v1.len() - 9]), version("ETag: \"2\"", &v2)]),
            Outcome::Stored(v2.clone()),
        )
        .asked(2),
        fails(
            52,
            "206 to a plain request",
            status("206 Partial Content", "Content-Range: bytes 0-3/9\r\n", "ABCD"),
            PROTOCOL,
        )
        .asked(2),
    ];
    let spliced = [&v1[..n], &v2[n..]].concat();
    rows.push(Row::new(
        59,
        "replaced while it was read",
        always(version("ETag: \"1\"", &spliced)),
        Outcome::Stored(spliced.clone()),
    ));
    let digest = STANDARD.encode(Sha256::digest(&v1));
    rows.push(
        fails(
            59,
            "replaced while it was read, with a digest",
            version(&format!("ETag: \"1\"\r\nRepr-Digest: sha-256=:{digest}:"), &spliced),
            "URLInvalidError.ChecksumMismatch",
        )
        .asked(2),
    );
    for (number, tag) in [
        (49, "ETag: W/\"1\""),
        (49, "X-No: validator"),
        (50, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let script = in_turn(vec![cut(tag), version(tag, &v1)]);
        rows.push(Row::new(number, tag, script, Outcome::Stored(v1.clone())).asked(2));
    }
    rows
}

fn statuses() -> Vec<Row> {
    let plain = |line: &str| status(line, "", "secret words");
    let late = |fields: &str| in_turn(vec![status("429 Slow", fields, ""), whole()]);
    let refused = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let splice = "xHTTP/1.1 502 Bad Gateway\r\n\r\n<html>bad gateway</html>";
    let mut rows = vec![
        Row {
            says: "expired",
            ..fails(63, "an expired link", status("403 Forbidden", "", refused), STATUS)
        },
        Row::new(
            64,
            "403, then 200",
            in_turn(vec![plain("403 Forbidden"), whole()]),
            Outcome::Failed(STATUS),
        ),
        Row {
            gap: Duration::from_secs(2),
            ..Row::new(66, "Retry-After: 2", late("Retry-After: 2\r\n"), sample()).asked(2)
        },
        Row {
            gap: Duration::from_secs(1),
            ..Row::new(
                68,
                "Retry-After in the past",
                late("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
                sample(),
            )
            .asked(2)
        },
        Row::new(68, "Retry-After: garbage", late("Retry-After: soon\r\n"), sample()).asked(2),
        fails(
            68,
            "Retry-After past the deadline",
            status("429 Slow", "Retry-After: 1000000000\r\n", ""),
            STATUS,
        )
        .on(On::Brief),
        Row::new(
            70,
            "500 twice, then 200",
            in_turn(vec![plain("500 Oh"), plain("500 Oh"), whole()]),
            sample(),
        )
        .asked(3),
        gives_up(71, "an error page within", vec![length(SAMPLE.len()), send(splice)], TRUNCATED),
    ];
    for line in ["401 Unauthorized", "407 Proxy"] {
        let fields = "WWW-Authenticate: Basic\r\nProxy-Authenticate: Basic\r\n";
        rows.push(fails(62, line, status(line, fields, ""), STATUS));
    }
    for line in ["408 Timeout", "425 Early", "429 Slow"] {
        rows.push(gives_up(65, line, plain(line), STATUS));
    }
    for code in [500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527] {
        rows.push(gives_up(69, code.to_string(), plain(&format!("{code} X")), STATUS));
    }
    for line in ["418 Teapot", "451 Law", "499 Closed", "999 Nine"] {
        rows.push(fails(72, line, plain(line), STATUS));
    }
    rows
}
