//! Extension, type and bytes disagree: `docs/content.md` says who is heard.

use std::sync::Arc;

use serde_json::Value;

use crate::faults::origin::{FaultOrigin, Speech, send};
use crate::flow::play_path;
use crate::harness::Server;
use crate::harness::origin::SAMPLE;

const WEBM: &[u8] = include_bytes!("../media/sample.webm");
const MP3: &[u8] = include_bytes!("../media/sample.mp3");
const MJPEG: &[u8] = include_bytes!("../media/sample.mjpeg");
const PLAYLIST: &[u8] = b"#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n";
const PAGE: &[u8] = b"<!doctype html><title>Sign in</title>";

/// What the origin calls a file and sends for it, and what becomes of it: format, media type and
/// the type it is served with, or the code of the fault.
struct Case {
    file: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    becomes: Result<[&'static str; 3], &'static str>,
}

const CASES: [Case; 8] = [
    Case {
        file: "a.mp4",
        content_type: "text/html",
        bytes: SAMPLE,
        becomes: Ok(["mp4", "video", "video/mp4"]),
    },
    Case {
        file: "b.mp4",
        content_type: "video/mp4",
        bytes: WEBM,
        becomes: Ok(["webm", "video", "video/webm"]),
    },
    Case {
        file: "c.mkv",
        content_type: "image/png",
        bytes: MP3,
        becomes: Ok(["mp3", "audio", "audio/mpeg"]),
    },
    Case {
        file: "d.mp4",
        content_type: "video/mp4",
        bytes: PLAYLIST,
        becomes: Ok(["m3u8", "video", "application/vnd.apple.mpegurl"]),
    },
    Case {
        file: "e.m3u8",
        content_type: "application/vnd.apple.mpegurl",
        bytes: PAGE,
        becomes: Err("URLInvalidError.NotMedia"),
    },
    Case {
        file: "f.mjpeg",
        content_type: "text/plain",
        bytes: MJPEG,
        becomes: Ok(["mjpeg", "video", "video/x-motion-jpeg"]),
    },
    Case {
        file: "g.mp4",
        content_type: "video/mp4",
        bytes: MJPEG,
        becomes: Err("URLInvalidError.NotMedia"),
    },
    Case {
        file: "h.mp3",
        content_type: "audio/mpeg",
        bytes: b"",
        becomes: Err("URLInvalidError.Empty"),
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_decide_what_a_file_is_whatever_its_name_and_its_origin_say() {
    let script = |_: usize, head: &str| {
        let case = CASES.iter().find(|case| head.starts_with(&format!("GET /{} ", case.file)));
        let Case { content_type, bytes, .. } = case.unwrap();
        let length = bytes.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        vec![send(head), send(*bytes)]
    };
    let origin = FaultOrigin::start(Speech::Http, Arc::new(script)).await;
    let server = Server::start().await;
    let client = server.client();
    let urls = CASES.map(|case| format!("http://{}/{}", origin.at, case.file));
    let ids = client.submit(&urls).await;
    for (case, id) in CASES.iter().zip(&ids) {
        let info = client.terminal(id).await;
        let [format, media_type, served] = match case.becomes {
            Ok(becomes) => becomes,
            Err(code) => {
                assert_eq!(info["ErrorCode"], code, "{}: {info}", case.file);
                continue;
            }
        };
        assert_eq!(info["Status"], "SUCCESS", "{}: {info}", case.file);
        let medium = info["MediaId"].as_str().unwrap();
        let play: Value = client.call("GetPlayInfo", &[("VideoId", medium)]).await.ok();
        let stream = &play["PlayInfoList"]["PlayInfo"][0];
        assert_eq!(
            (&stream["Format"], &stream["StreamType"]),
            (&format.into(), &media_type.into())
        );
        let answer = client.get(&play_path(stream["PlayURL"].as_str().unwrap()), &[]).await;
        assert_eq!(answer.header("content-type"), Some(served), "{}", case.file);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.body, case.bytes, "{}", case.file);
    }
}
