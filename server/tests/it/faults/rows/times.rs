//! Origins that are slow, and TLS.

use super::*;

pub fn times() -> Vec<Row> {
    let n = SAMPLE.len();
    let half = || send(&SAMPLE[..n / 2]);
    let patience = |number, what: &str, steps| {
        fails(number, what, steps, STALLED).on(On::Hasty).asked(HASTY_ATTEMPTS)
    };
    let redirect = |n: usize, _: &str| {
        vec![
            Step::Pause(HASTE * 3 / 4),
            send(format!(
                "HTTP/1.1 302 Found\r\nLocation: /{n}.mp4\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )),
        ]
    };
    vec![
        patience(75, "no answer", vec![Step::Hang]),
        patience(
            78,
            "a head byte by byte",
            vec![Step::Dribble(b"HTTP/1.1 200 OK\r\nX-A: b\r\n".repeat(20), HASTE / 5)],
        ),
        patience(80, "a body that stops", vec![length(n), half(), Step::Hang]),
        fails(
            81,
            "a body at the floor until the deadline",
            vec![length(n), half(), Step::Dribble(vec![7; 1_000], A_MOMENT)],
            STALLED,
        )
        .on(On::Brief),
        Row {
            asked: 2..=10,
            ..Row::new(
                84,
                "redirects, each almost too slow",
                Arc::new(redirect),
                Outcome::Failed(STALLED),
            )
            .on(On::Hasty)
        },
        Row {
            speech: Speech::Raw,
            https: true,
            ..patience(89, "TLS that never answers", vec![Step::Hang])
        },
    ]
}

pub fn tls() -> Vec<Row> {
    let by = |certificate| Speech::Tls { certificate, goodbye: true };
    let refused = |number, what: &str, certificate, says| Row {
        says,
        ..fails(number, what, whole(), TLS).speaking(by(certificate))
    };
    let raw = |number, what: &str, bytes: &[u8]| Row {
        speech: Speech::Raw,
        https: true,
        ..fails(number, what, vec![send(bytes), Step::Hang], TLS)
    };
    // A ServerHello of TLS 1.0 with RC4 (RFC 2246 §7.4.1.3), and the two alerts.
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 5, 0]);
    vec![
        refused(85, "expired", "expired.pem", "expired"),
        refused(85, "not yet valid", "future.pem", "not valid yet"),
        refused(86, "another name", "elsewhere.pem", "another name"),
        refused(86, "self-signed", "self_signed.pem", ""),
        refused(86, "unknown root", "unknown.pem", "nobody"),
        refused(87, "an address that is not in the certificate", "elsewhere.pem", "name"),
        raw(88, "TLS 1.0 and RC4", &hello),
        raw(88, "alert: no version", &[21, 3, 1, 0, 2, 2, 70]),
        raw(88, "alert: no cipher", &[21, 3, 3, 0, 2, 2, 40]),
        fails(90, "TLS on an http port", vec![send([21, 3, 1, 0, 2, 2, 70]), Step::Hang], PROTOCOL)
            .speaking(Speech::Raw),
        raw(90, "plain HTTP on an https port", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        stored(92, "a client's certificate is welcome", whole())
            .speaking(Speech::AsksForCertificate { insists: false }),
        fails(92, "a client's certificate is required", whole(), TLS)
            .speaking(Speech::AsksForCertificate { insists: true }),
        fails(93, "a chain of 110 KiB", whole(), TLS).speaking(Speech::LongChain),
    ]
}
