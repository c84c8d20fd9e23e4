//! How `ffprobe` is asked, and what is believed of its answer.
//!
//! ffprobe can open far more than one file: playlists, concatenation scripts, image sequences, URLs.
//! It may use the `file` protocol only, and only the demultiplexers of containers on our list; of
//! all the tags of a file it prints none.

use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use super::container::Container;
use super::reading::Reading;

/// ffprobe's score of a guess. It gives 50 when only a file name spoke for a format, 51 to 100 when
/// the bytes did, and 25 and less to a possibility (libavformat, `AVPROBE_SCORE_*`).
const SURE_SCORE: u32 = 51;

/// The demultiplexers that may read a file: those of its container, or of all where no signature
/// was found.
pub(super) fn demuxers(container: Option<Container>) -> String {
    match container {
        Some(container) => container.demuxers().to_owned(),
        None => {
            let mut all: Vec<_> =
                Container::ALL.into_iter().flat_map(|c| c.demuxers().split(',')).collect();
            all.retain(|name| !name.is_empty());
            all.sort_unstable();
            all.dedup();
            all.join(",")
        }
    }
}

/// The arguments that measure `file`, an absolute path.
pub(super) fn arguments(demuxers: &str, file: &Path) -> Vec<OsString> {
    const ENTRIES: &str = "format=format_name,duration,probe_score:\
        stream=codec_type,codec_name,width,height,avg_frame_rate,r_frame_rate:\
        stream_disposition=attached_pic";
    let mut url = OsString::from("file:");
    url.push(file);
    let mut arguments: Vec<OsString> = [
        "-v",
        "quiet",
        "-hide_banner",
        "-of",
        "json",
        "-show_entries",
        ENTRIES,
        "-threads",
        "1",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        demuxers,
        "-i",
    ]
    .map(OsString::from)
    .into();
    arguments.push(url);
    arguments
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    format_name: Option<String>,
    duration: Option<String>,
    probe_score: Option<u32>,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    disposition: Option<Disposition>,
}

#[derive(Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

impl Stream {
    fn is(&self, kind: &str) -> bool {
        self.codec_type.as_deref() == Some(kind)
    }

    fn is_cover(&self) -> bool {
        self.disposition.as_ref().is_some_and(|d| d.attached_pic != 0)
    }
}

/// Reads ffprobe's JSON; `None` when it is none or tells of no stream.
pub(super) fn parse(json: &[u8]) -> Option<Reading> {
    let output: Output = serde_json::from_slice(json).ok()?;
    let format = output.format?;
    if output.streams.is_empty() {
        return None;
    }
    let video = output.streams.iter().find(|s| s.is("video") && !s.is_cover());
    let audio = output.streams.iter().find(|s| s.is("audio"));
    let name = format.format_name.unwrap_or_default();
    let rate = |text: &Option<String>| text.as_deref().and_then(ratio);
    Some(Reading {
        format: Container::from_demuxer(&name).map(|c| c.format(video.is_some()).to_owned()),
        sure: format.probe_score.unwrap_or(0) >= SURE_SCORE,
        video: video.is_some(),
        audio: audio.is_some(),
        duration: format.duration.and_then(|text| text.parse().ok()),
        width: video.and_then(|s| s.width),
        height: video.and_then(|s| s.height),
        fps: video.and_then(|s| rate(&s.avg_frame_rate).or_else(|| rate(&s.r_frame_rate))),
        codec: video.or(audio).and_then(|s| s.codec_name.clone()),
    })
}

/// `30000/1001`; `None` for `0/0`.
fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let value = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ffprobe_may_open_one_local_file_and_only_as_what_it_is() {
        let arguments = arguments(&demuxers(Some(Container::Mp4)), Path::new("/spool/-i.part"));
        let text: Vec<_> = arguments.iter().map(|a| a.to_str().unwrap()).collect();
        let value = |flag| text[text.iter().position(|a| *a == flag).unwrap() + 1];
        assert_eq!(value("-protocol_whitelist"), "file");
        assert_eq!(value("-format_whitelist"), "mov");
        assert_eq!(value("-i"), "file:/spool/-i.part");
        // Readers that follow what a file says to other files are on no list.
        let all = demuxers(None);
        for follower in ["hls", "concat", "dash", "image2", "sdp", "rtsp", "imf", "tty", "lavfi"] {
            assert!(!all.split(',').any(|name| name == follower), "{follower}");
        }
    }

    #[test]
    fn cover_art_makes_no_video() {
        let json = br#"{"streams":[
            {"codec_type":"audio","codec_name":"mp3","avg_frame_rate":"0/0"},
            {"codec_type":"video","codec_name":"png","width":500,"height":500,
             "avg_frame_rate":"0/0","disposition":{"attached_pic":1}}],
            "format":{"format_name":"mp3","duration":"2.5","probe_score":51}}"#;
        let reading = parse(json).unwrap();
        assert_eq!((reading.video, reading.audio, reading.sure), (false, true, true));
        assert_eq!(reading.codec.as_deref(), Some("mp3"));
        assert_eq!((reading.width, reading.duration), (None, Some(2.5)));
    }

    #[test]
    fn an_unknown_measure_stays_unknown() {
        let json = br#"{"streams":[{"codec_type":"video","codec_name":"mjpeg","width":64,
            "height":36,"avg_frame_rate":"0/0","r_frame_rate":"0/0"}],
            "format":{"format_name":"mjpeg","probe_score":25}}"#;
        let reading = parse(json).unwrap();
        assert_eq!((reading.duration, reading.fps, reading.sure), (None, None, false));
        assert_eq!(parse(br#"{"streams":[],"format":{"format_name":"mp3"}}"#), None);
        assert_eq!(parse(b"{}"), None);
        assert_eq!(parse(b"Segmentation fault"), None);
    }
}
