//! What the bytes are, and what their heads claim.

use super::*;

pub fn contents(trap: SocketAddr) -> Vec<Row> {
    let page = "<!doctype html><title>Sign in</title><form>password</form>";
    let body = |fields: &str, body: &str| status("200 OK", fields, body);
    let n = SAMPLE.len();
    let sent_as =
        |fields: String| vec![head(&format!("{fields}Content-Length: {n}\r\n")), send(SAMPLE)];
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nhttp://{trap}/a.ts\n\
                    #EXTINF:6,\nfile:///etc/passwd\n#EXTINF:6,\nhttp://10.0.0.1/b.ts\n"
    );
    let polyglot = film(b"<html><script>alert(1)</script></html>");
    let mut rows = vec![
        fails(102, "a login page", body("Content-Type: text/html\r\n", page), NOT_MEDIA),
        fails(
            102,
            "a login page that says video",
            body("Content-Type: video/mp4\r\n", page),
            NOT_MEDIA,
        ),
        fails(103, "JSON", body("", "{\"error\": \"not found\", \"code\": 404}"), NOT_MEDIA),
        fails(
            103,
            "XML",
            body("", "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>"),
            NOT_MEDIA,
        ),
        stored(104, "octet-stream", sent_as("Content-Type: application/octet-stream\r\n".into())),
        stored(104, "no type", sent_as(String::new())),
        fails(
            106,
            "gzip that nobody asked for",
            body("Content-Encoding: gzip\r\n", "\x1f\u{b}packed"),
            PROTOCOL,
        ),
        gives_up(
            109,
            "a length of the unpacked file",
            vec![length(n), send(&SAMPLE[..999])],
            TRUNCATED,
        ),
        fails(
            111,
            "a cookie and a check page",
            body("Set-Cookie: a=b\r\nContent-Type: text/html\r\n", page),
            NOT_MEDIA,
        ),
        Row {
            file: "v.m3u8",
            ..Row::new(
                112,
                "a playlist of private places",
                always(body("", &playlist)),
                Outcome::Stored(playlist.into()),
            )
        },
        Row::new(
            114,
            "an MP4 with HTML inside",
            always(vec![length(polyglot.len()), send(polyglot.clone())]),
            Outcome::Stored(polyglot),
        ),
    ];
    let long = "n".repeat(4_096);
    for name in [
        "filename=\"../../etc/passwd\"",
        "filename*=UTF-8''..%2f..%2fetc%2fpasswd",
        "filename*=UTF-8''a%00b.mp4",
        "filename=\"CON\"",
        &format!("filename=\"{long}\""),
    ] {
        let fields = format!("Content-Disposition: attachment; {name}\r\n");
        rows.push(stored(110, &name[..name.len().min(50)], sent_as(fields)));
    }
    rows
}
