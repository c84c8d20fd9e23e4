//! Whole files, with and without ffprobe, in this process and in children.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Marks the run of this test binary as a probe's child; holds its arguments, one a line.
const CHILD_ARGUMENTS: &str = "HAULAGE_TEST_PROBE_CHILD";

/// A file of `server/tests/media`.
pub(super) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(name)
}

/// What ffprobe 5.1 says of a sample: seconds, size, frames a second, codec.
struct Known {
    file: &'static str,
    format: &'static str,
    content_type: &'static str,
    seconds: f64,
    picture: Option<(u32, u32, f64)>,
    codec: &'static str,
    /// Whether the pure-Rust readers can read it too.
    read: bool,
}

const fn known(
    file: &'static str,
    format: &'static str,
    content_type: &'static str,
    seconds: f64,
    picture: Option<(u32, u32, f64)>,
    codec: &'static str,
    read: bool,
) -> Known {
    Known { file, format, content_type, seconds, picture, codec, read }
}

const SMALL: Option<(u32, u32, f64)> = Some((160, 90, 25.0));

const SAMPLES: [Known; 15] = [
    known("sample.mp4", "mp4", "video/mp4", 6.0, Some((320, 180, 25.0)), "h264", true),
    known("fragmented.mp4", "mp4", "video/mp4", 2.08, SMALL, "h264", true),
    known("hevc.mp4", "mp4", "video/mp4", 2.0, SMALL, "hevc", true),
    known("sample.mov", "mov", "video/quicktime", 2.0, SMALL, "h264", true),
    known("sample.m4a", "m4a", "audio/mp4", 2.0, None, "aac", true),
    known("sample.mkv", "mkv", "video/x-matroska", 2.023, SMALL, "h264", true),
    known("sample.webm", "webm", "video/webm", 2.008, SMALL, "vp9", true),
    known("sample.flv", "flv", "video/x-flv", 2.08, SMALL, "h264", false),
    known("sample.ts", "ts", "video/mp2t", 2.023, SMALL, "h264", false),
    known("sample.gif", "gif", "image/gif", 1.0, Some((64, 36, 5.0)), "gif", false),
    known("sample.mp3", "mp3", "audio/mpeg", 2.0375, None, "mp3", true),
    known("sample.aac", "aac", "audio/aac", 2.0336, None, "aac", true),
    known("sample.flac", "flac", "audio/flac", 1.0, None, "flac", true),
    known("sample.wav", "wav", "audio/wav", 1.0, None, "pcm_s16le", true),
    known("sample.ogg", "ogg", "audio/ogg", 2.0065, None, "opus", true),
];

/// The facts of a sample against what is known of it.
fn check(known: &Known, facts: &MediaFacts) {
    let file = known.file;
    let close = |found: Option<f64>, wanted: f64, by: f64| {
        let found = found.unwrap_or_else(|| panic!("{file}: a measure is unknown: {facts:?}"));
        assert!((found - wanted).abs() <= by, "{file}: {found} instead of {wanted}");
    };
    assert_eq!(facts.format, known.format, "{file}");
    assert_eq!(facts.content_type, known.content_type, "{file}");
    let video = known.picture.is_some();
    assert_eq!(facts.media_type == MediaType::Video, video, "{file}");
    // Frames of raw AAC carry no length: both readers estimate it.
    close(facts.duration, known.seconds, if known.format == "aac" { 0.2 } else { 0.1 });
    let size = fs::metadata(sample(file)).unwrap().len() as f64;
    let kbits = size * 8.0 / 1000.0 / facts.duration.unwrap();
    close(facts.bitrate, kbits, 0.001);
    match known.picture {
        Some((width, height, fps)) => {
            assert_eq!((facts.width, facts.height), (Some(width), Some(height)), "{file}");
            close(facts.fps, fps, 1.1);
        }
        None => assert_eq!((facts.width, facts.height, facts.fps), (None, None, None), "{file}"),
    }
    if facts.codec.is_some() || !known.file.ends_with("wav") {
        assert_eq!(facts.codec.as_deref(), Some(known.codec), "{file}");
    }
}

/// `ffprobe`, or `None` after saying so; fails where everything is required.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
fn ffprobe_or_skip() -> Option<PathBuf> {
    let found = ["/usr/bin/ffprobe", "/usr/local/bin/ffprobe", "/opt/homebrew/bin/ffprobe"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists());
    if found.is_none() {
        let required = std::env::var("HAULAGE_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!required, "ffprobe is required and not installed");
        // Past the capture of the test runner, which hides what a passing test prints.
        std::io::stderr().write_all(b"SKIPPED: ffprobe is not installed\n").unwrap();
    }
    found
}

/// A program made of a shell script. The directory goes with the first value.
fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

/// Stands in for the `haulage` program: this test binary, told to be the child, and what the test
/// harness prints around it taken away. A child that stays is answered for line by line.
fn stand_in() -> (tempfile::TempDir, PathBuf) {
    let this = std::env::current_exe().unwrap();
    script(&format!(
        "shift\n\
         {CHILD_ARGUMENTS}=$(printf '%s\\n' \"$@\")\n\
         export {CHILD_ARGUMENTS}\n\
         if [ \"$1\" = serve ]; then\n\
         '{0}' --exact probe::tests::the_child --nocapture --test-threads 1 |\
         sed -u -n 's/^test .* \\.\\.\\. //; /^{{/p; /^null$/p'\n\
         exit\n\
         fi\n\
         out=$('{0}' --exact probe::tests::the_child --nocapture --test-threads 1)\n\
         code=$?\n\
         printf '%s' \"$out\" | sed -n 's/^test .* \\.\\.\\. {{/{{/; /^{{/,$p'\n\
         exit $code",
        this.display()
    ))
}

/// Not a test of its own: the body of the child when [`stand_in`] runs this binary.
#[test]
fn the_child() {
    let Some(arguments) = std::env::var_os(CHILD_ARGUMENTS) else { return };
    let arguments: Vec<_> = arguments.to_str().unwrap().lines().map(OsString::from).collect();
    let code = child_main(&arguments);
    // Without the harness's own last words on stdout.
    std::process::exit((0..=255).find(|n| ExitCode::from(*n) == code).unwrap().into());
}

fn hint(extension: &str) -> Hint<'_> {
    Hint { extension, content_type: None }
}

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job-1.part");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[tokio::test]
async fn the_readers_agree_with_what_ffprobe_says_of_each_sample() {
    for known in SAMPLES.iter().filter(|known| known.read) {
        let facts = probe_in_process(&sample(known.file), &hint("")).await.unwrap();
        check(known, &facts);
    }
}

#[tokio::test]
async fn a_child_that_becomes_ffprobe_measures_each_sample() {
    let Some(ffprobe) = ffprobe_or_skip() else { return };
    let (_dir, program) = stand_in();
    let settings = ProbeSettings::new(Some(ffprobe), program);
    for known in &SAMPLES {
        let facts = probe(&sample(known.file), &hint("bin"), &settings).await.unwrap();
        check(known, &facts);
        assert_eq!(facts.codec.as_deref(), Some(known.codec), "{}", known.file);
    }
}

#[tokio::test]
async fn without_ffprobe_a_child_of_our_own_reads_the_file() {
    let (_dir, program) = stand_in();
    let missing = Some(PathBuf::from("/nowhere/ffprobe"));
    for ffprobe in [None, missing] {
        let settings = ProbeSettings::new(ffprobe, program.clone());
        let facts = probe(&sample("sample.mp4"), &hint("mp4"), &settings).await.unwrap();
        check(&SAMPLES[0], &facts);
    }
}

#[test]
fn the_child_takes_its_limits_before_it_reads() {
    let (_dir, program) = stand_in();
    let (_other, limits) = script("echo '{'; for l in v t f n c; do ulimit -$l; done");
    let output = std::process::Command::new(program)
        .args(["probe-child", "ffprobe", "1073741824", "7", "mov", "/dev/null"])
        .arg(limits)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // KiB of address space, seconds, blocks written, files open, blocks of core.
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["{", "1048576", "7", "0", "64", "0"]);
}

#[tokio::test]
async fn an_html_page_is_never_media_whatever_its_name_and_type_say() {
    let (_dir, page) = file(b"\n<!DOCTYPE html><title>Log in</title>");
    let (_other, never) = script("exit 99");
    let settings = ProbeSettings::new(None, never);
    let hint = Hint { extension: "mp4", content_type: Some("video/mp4") };
    let refused = probe(&page, &hint, &settings).await;
    let Err(ProbeError::NotMedia(sentence)) = refused else { panic!("{refused:?}") };
    assert_eq!(sentence, "The source is an HTML page, not audio or video.");
}

#[tokio::test]
async fn an_empty_file_and_random_bytes_are_no_media() {
    let noise: Vec<u8> =
        (0u32..9000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (_dir, program) = stand_in();
    for ffprobe in [None, ffprobe_or_skip()] {
        let settings = ProbeSettings::new(ffprobe, program.clone());
        for bytes in [&b""[..], &noise] {
            let (_dir, path) = file(bytes);
            let refused = probe(&path, &hint("mp4"), &settings).await;
            assert!(matches!(refused, Err(ProbeError::NotMedia(_))), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_media_file_that_nobody_can_read_is_accepted_with_unknown_measures() {
    let whole = fs::read(sample("sample.mp4")).unwrap();
    let (_dir, broken) = file(&whole[..600]);
    let (_other, program) = stand_in();
    for ffprobe in [None, ffprobe_or_skip()] {
        let settings = ProbeSettings::new(ffprobe, program.clone());
        let facts = probe(&broken, &hint("mp4"), &settings).await.unwrap();
        assert_eq!(facts, unknown_facts(Container::Mp4));
        assert_eq!((facts.duration, facts.bitrate, facts.width), (None, None, None));
    }
}

#[tokio::test]
async fn a_reader_that_hangs_is_killed_and_its_file_stays_what_the_bytes_say() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let (_dir, hangs) = script(&format!("echo $$ > {}; exec sleep 600", pid.display()));
    let mut settings = ProbeSettings::new(None, hangs);
    settings.timeout = Duration::from_secs(1);
    let facts = probe(&sample("sample.mp4"), &hint("mp4"), &settings).await.unwrap();
    assert_eq!(facts, unknown_facts(Container::Mp4));
    let pid = fs::read_to_string(&pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the child still runs");

    // Where the bytes say nothing, nobody may conclude anything.
    let (_dir, junk) = file(&[7; 4096]);
    let failed = probe(&junk, &hint("mp3"), &settings).await;
    assert!(matches!(failed, Err(ProbeError::Failed(ProbeFailure::Limits))), "{failed:?}");
}

#[tokio::test]
async fn a_reader_that_prints_too_much_is_not_listened_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let through = dir.path().join("through");
    let (_dir, floods) =
        script(&format!("head -c 8388608 /dev/zero && echo x > {}", through.display()));
    let settings = ProbeSettings::new(None, floods);
    let asked = settings.crew.ask(&settings, Container::Mp4, Path::new("/x")).await;
    assert!(matches!(asked, Ok(Answer::GaveUp | Answer::Unreadable)), "{asked:?}");
    assert!(!through.exists(), "somebody took all of it");
}

#[tokio::test]
async fn a_child_that_cannot_be_started_is_our_failure_and_not_the_files() {
    let settings = ProbeSettings::new(None, PathBuf::from("/nowhere/haulage"));
    let failed = probe(&sample("sample.mp4"), &hint("mp4"), &settings).await;
    assert!(matches!(failed, Err(ProbeError::Failed(ProbeFailure::Start(_)))), "{failed:?}");
}

#[tokio::test]
async fn a_stream_of_pictures_passes_only_under_its_own_name() {
    let (_dir, program) = stand_in();
    let settings = ProbeSettings::new(ffprobe_or_skip(), program);
    let stream = sample("sample.mjpeg");
    let facts = probe(&stream, &hint("MJPEG"), &settings).await.unwrap();
    assert_eq!((facts.format.as_str(), facts.duration), ("mjpeg", None));
    let one = fs::read(&stream).unwrap();
    let end = one.windows(2).position(|w| w == [0xff, 0xd9]).unwrap() + 2;
    let (_dir, picture) = file(&one[..end]);
    for (path, extension) in [(&stream, "mp4"), (&picture, "mjpeg"), (&picture, "jpg")] {
        let refused = probe(path, &hint(extension), &settings).await;
        assert!(matches!(refused, Err(ProbeError::NotMedia(_))), "{extension}: {refused:?}");
    }
}

#[tokio::test]
async fn sound_behind_junk_passes_when_its_name_agrees() {
    let mut bytes = vec![0x01; 700];
    bytes.extend(fs::read(sample("sample.mp3")).unwrap());
    let (_dir, junk) = file(&bytes);
    let agreed = Hint { extension: "", content_type: Some("audio/mpeg; x=y") };
    for hint in [hint("mp3"), agreed] {
        let facts = probe_in_process(&junk, &hint).await.unwrap();
        assert_eq!((facts.format.as_str(), facts.media_type), ("mp3", MediaType::Audio));
    }
    let refused = probe_in_process(&junk, &hint("mp4")).await;
    assert!(matches!(refused, Err(ProbeError::NotMedia(_))), "{refused:?}");
}

#[tokio::test]
async fn a_playlist_is_measured_by_its_segments_and_shown_to_no_reader() {
    let (_dir, list) = file(b"#EXTM3U\n#EXTINF:4.5,\nfile:///etc/passwd\n#EXTINF:1.5,\nb.ts\n");
    let (_other, never) = script("exit 99");
    let settings = ProbeSettings::new(Some(never.clone()), never);
    let facts = probe(&list, &hint("mp4"), &settings).await.unwrap();
    assert_eq!((facts.format.as_str(), facts.duration), ("m3u8", Some(6.0)));
    assert_eq!(facts.content_type, "application/vnd.apple.mpegurl");
    assert_eq!(facts.bitrate, None);
}

#[test]
fn a_container_without_audio_or_video_is_no_media() {
    let subtitles = Reading { sure: true, ..Reading::default() };
    let refused = facts(Some(Container::Mkv), &hint("mkv"), subtitles, 1000);
    assert!(matches!(refused, Err(ProbeError::NotMedia(_))), "{refused:?}");
}

#[test]
fn an_unsure_reader_is_believed_only_when_a_name_or_a_type_agrees() {
    let unsure = Reading { format: Some("mp3".to_owned()), audio: true, ..Reading::default() };
    let sure = Reading { sure: true, ..unsure.clone() };
    let refused = facts(None, &hint("mp4"), unsure.clone(), 1000);
    assert!(matches!(refused, Err(ProbeError::NotMedia(_))), "{refused:?}");
    assert_eq!(facts(None, &hint("mp3"), unsure, 1000).unwrap().format, "mp3");
    assert_eq!(facts(None, &hint("mp4"), sure, 1000).unwrap().format, "mp3");
}

#[tokio::test]
async fn a_child_that_stays_reads_file_after_file_and_is_replaced_when_it_dies() {
    let (_dir, program) = stand_in();
    // ffprobe is not asked where our own readers tell everything.
    let (_other, never) = script("exit 99");
    let settings = ProbeSettings::new(Some(never), program);
    for known in SAMPLES.iter().filter(|known| known.read) {
        let facts = probe(&sample(known.file), &hint("bin"), &settings).await.unwrap();
        assert_eq!(facts.format, known.format, "{}", known.file);
        assert_eq!(settings.crew.waiting(), 1, "one child, again and again: {}", known.file);
    }
    settings.crew.kill_waiting();
    let facts = probe(&sample("sample.mp4"), &hint("mp4"), &settings).await.unwrap();
    check(&SAMPLES[0], &facts);
    assert_eq!(settings.crew.waiting(), 1);
}

#[tokio::test]
async fn what_the_readers_cannot_tell_ffprobe_is_asked_for() {
    let Some(ffprobe) = ffprobe_or_skip() else { return };
    let (_dir, program) = stand_in();
    let settings = ProbeSettings::new(Some(ffprobe), program);
    // No reader of ours for the first two; without a frame rate in the header of the third.
    for file in ["sample.flv", "sample.ts", "sample.webm"] {
        let known = SAMPLES.iter().find(|known| known.file == file).unwrap();
        check(known, &probe(&sample(file), &hint("bin"), &settings).await.unwrap());
    }
}
