//! Readers in Rust, for machines without ffprobe: MP4 and its family, Matroska and WebM, and the
//! usual audio formats. They parse untrusted files and may panic, loop or swell on them, so they
//! run in a limited child ([`super::child`]).

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lofty::config::ParseOptions;
use lofty::file::{AudioFile, FileType};
use lofty::iff::wav::{WavFile, WavFormat};
use matroska::{Matroska, Settings, Tracktype};
use re_mp4::{Mp4, StsdBoxContent};

use super::Hint;
use super::container::Container as C;
use super::reading::Reading;

/// Which container the readers should try on a file: the sniffed one; without a signature the one
/// that is announced, where a frame sync may be found further in. `None` when no reader fits.
pub(super) fn reader_for(sniffed: Option<C>, hint: &Hint<'_>) -> Option<C> {
    let wanted = match sniffed {
        Some(container) => container,
        None => C::ALL.into_iter().find(|c| file_type(*c).is_some() && hint.names(*c))?,
    };
    (is_iso(wanted) || is_matroska(wanted) || file_type(wanted).is_some()).then_some(wanted)
}

/// Measures a file as the given container; `None` when it cannot be read as that.
pub(super) fn read(path: &Path, container: C) -> Option<Reading> {
    let read = || {
        let file = File::open(path).ok()?;
        let mut reading = if is_iso(container) {
            iso(file)?
        } else if is_matroska(container) {
            matroska(file)?
        } else {
            audio(file, file_type(container)?)?
        };
        // Which format it is was decided by the signature or the announcement, not here.
        reading.format = Some(container.format(reading.video).to_owned());
        Some(reading)
    };
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

fn is_iso(container: C) -> bool {
    matches!(container, C::Mp4 | C::M4a | C::Mov | C::ThreeGp | C::Mj2)
}

fn is_matroska(container: C) -> bool {
    matches!(container, C::Mkv | C::Webm)
}

/// The formats that lofty reads.
fn file_type(container: C) -> Option<FileType> {
    match container {
        C::Mp3 => Some(FileType::Mpeg),
        C::Aac => Some(FileType::Aac),
        C::Wav => Some(FileType::Wav),
        C::Flac => Some(FileType::Flac),
        C::Aiff => Some(FileType::Aiff),
        C::Ape => Some(FileType::Ape),
        // Which codec is inside, lofty finds out.
        C::Ogg => Some(FileType::Opus),
        C::Mp4
        | C::M4a
        | C::Mov
        | C::ThreeGp
        | C::Mj2
        | C::Mkv
        | C::Webm
        | C::Flv
        | C::Ts
        | C::Mpg
        | C::Avi
        | C::Asf
        | C::RealMedia
        | C::Swf
        | C::Gif
        | C::Dv
        | C::Mjpeg
        | C::Mxf
        | C::Amr
        | C::Caf
        | C::Ac3
        | C::RealAudio
        | C::M3u8 => None,
    }
}

fn seconds(units: u64, timescale: u64) -> Option<f64> {
    (units > 0 && timescale > 0).then(|| units as f64 / timescale as f64)
}

/// ISO base media files, also fragmented ones, whose duration only the samples tell.
fn iso(file: File) -> Option<Reading> {
    let size = file.metadata().ok()?.len();
    let mp4 = Mp4::read(BufReader::new(file), size).ok()?;
    let mut reading = Reading::default();
    let mut longest: Option<f64> = None;
    let mut audio_codec = None;
    for track in mp4.tracks().values() {
        let media = &track.trak(&mp4).mdia;
        let total = track.samples.iter().map(|sample| sample.duration).sum();
        let length = seconds(total, track.timescale);
        let content = &media.minf.stbl.stsd.contents;
        match &media.hdlr.handler_type.value {
            b"vide" if !reading.video => {
                reading.video = true;
                reading.codec = iso_codec(content);
                let (width, height) = coded_size(content).unwrap_or((track.width, track.height));
                (reading.width, reading.height) = (Some(width.into()), Some(height.into()));
                reading.fps = length.map(|seconds| track.samples.len() as f64 / seconds);
            }
            b"soun" if !reading.audio => {
                reading.audio = true;
                audio_codec = iso_codec(content);
            }
            _ => continue,
        }
        longest = match (longest, length) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
    if !reading.video {
        reading.codec = audio_codec;
    }
    let movie = seconds(mp4.moov.mvhd.duration, mp4.moov.mvhd.timescale.into());
    reading.duration = movie.filter(|_| mp4.moofs.is_empty()).or(longest);
    Some(reading)
}

fn coded_size(content: &StsdBoxContent) -> Option<(u16, u16)> {
    match content {
        StsdBoxContent::Avc1(b) => Some((b.width, b.height)),
        StsdBoxContent::Hvc1(b) | StsdBoxContent::Hev1(b) => Some((b.width, b.height)),
        StsdBoxContent::Vp08(b) => Some((b.width, b.height)),
        StsdBoxContent::Vp09(b) => Some((b.width, b.height)),
        StsdBoxContent::Av01(b) => Some((b.width, b.height)),
        StsdBoxContent::Mp4a(_) | StsdBoxContent::Tx3g(_) | StsdBoxContent::Unknown(_) => None,
    }
}

/// Short codec names are ffprobe's.
fn iso_codec(content: &StsdBoxContent) -> Option<String> {
    let name = match content {
        StsdBoxContent::Av01(_) => "av1",
        StsdBoxContent::Avc1(_) => "h264",
        StsdBoxContent::Hvc1(_) | StsdBoxContent::Hev1(_) => "hevc",
        StsdBoxContent::Vp08(_) => "vp8",
        StsdBoxContent::Vp09(_) => "vp9",
        StsdBoxContent::Mp4a(_) => "aac",
        StsdBoxContent::Tx3g(_) => return None,
        StsdBoxContent::Unknown(code) => match &code.value {
            b"mp4v" => "mpeg4",
            b"jpeg" | b"mjpa" => "mjpeg",
            b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "prores",
            b"Opus" => "opus",
            b"fLaC" => "flac",
            b"alac" => "alac",
            b"ac-3" => "ac3",
            b"ec-3" => "eac3",
            b".mp3" => "mp3",
            b"samr" => "amr_nb",
            b"sawb" => "amr_wb",
            b"h263" | b"s263" => "h263",
            b"mjp2" => "jpeg2000",
            _ => return None,
        },
    };
    Some(name.to_owned())
}

fn matroska(file: File) -> Option<Reading> {
    let file = Matroska::open(BufReader::new(file)).ok()?;
    let mut reading = Reading {
        duration: file.info.duration.map(|duration| duration.as_secs_f64()),
        ..Reading::default()
    };
    let first = |kind| file.tracks.iter().find(|track| track.tracktype == kind);
    let (video, audio) = (first(Tracktype::Video), first(Tracktype::Audio));
    if let Some(track) = video {
        if let Settings::Video(picture) = &track.settings {
            reading.width = u32::try_from(picture.pixel_width).ok();
            reading.height = u32::try_from(picture.pixel_height).ok();
        }
        reading.fps = track
            .default_duration
            .map(|frame| frame.as_secs_f64())
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| 1.0 / seconds);
    }
    reading.video = video.is_some();
    reading.audio = audio.is_some();
    reading.codec = video.or(audio).and_then(|track| matroska_codec(&track.codec_id));
    Some(reading)
}

/// Codec identifiers of the Matroska codec registry.
fn matroska_codec(id: &str) -> Option<String> {
    let name = match id {
        "V_MPEG4/ISO/AVC" => "h264",
        "V_MPEGH/ISO/HEVC" => "hevc",
        "V_MPEG4/ISO/ASP" | "V_MPEG4/ISO/SP" => "mpeg4",
        "V_MPEG2" => "mpeg2video",
        "V_MPEG1" => "mpeg1video",
        "V_MJPEG" => "mjpeg",
        "V_VP8" => "vp8",
        "V_VP9" => "vp9",
        "V_AV1" => "av1",
        "V_THEORA" => "theora",
        "V_PRORES" => "prores",
        "A_OPUS" => "opus",
        "A_VORBIS" => "vorbis",
        "A_FLAC" => "flac",
        "A_MPEG/L3" => "mp3",
        "A_MPEG/L2" => "mp2",
        "A_AC3" => "ac3",
        "A_EAC3" => "eac3",
        "A_DTS" => "dts",
        "A_TRUEHD" => "truehd",
        _ if id.starts_with("A_AAC") => "aac",
        _ => return None,
    };
    Some(name.to_owned())
}

/// The codecs of RIFF/WAVE, which ffprobe names by format, bits and byte order.
fn wav(mut file: File, options: ParseOptions) -> Option<Reading> {
    let file = WavFile::read_from(&mut file, options).ok()?;
    let properties = file.properties();
    let codec = match (properties.format(), properties.bit_depth()) {
        (WavFormat::PCM, 8) => Some("pcm_u8".to_owned()),
        (WavFormat::PCM, bits @ (16 | 24 | 32)) => Some(format!("pcm_s{bits}le")),
        (WavFormat::IEEE_FLOAT, bits @ (32 | 64)) => Some(format!("pcm_f{bits}le")),
        // RFC 2361: A-law and µ-law.
        (WavFormat::Other(6), _) => Some("pcm_alaw".to_owned()),
        (WavFormat::Other(7), _) => Some("pcm_mulaw".to_owned()),
        _ => None,
    };
    let duration = Some(properties.duration().as_secs_f64());
    Some(Reading { audio: true, duration, codec, ..Reading::default() })
}

fn audio(file: File, file_type: FileType) -> Option<Reading> {
    let options = ParseOptions::new().read_tags(false).read_cover_art(false);
    if file_type == FileType::Wav {
        return wav(file, options);
    }
    let mut probe =
        lofty::probe::Probe::with_file_type(BufReader::new(file), file_type).options(options);
    if file_type == FileType::Opus {
        probe = probe.guess_file_type().ok()?;
    }
    let file_type = probe.file_type()?;
    let file = probe.read().ok()?;
    let properties = file.properties();
    let codec = match file_type {
        FileType::Mpeg => "mp3".to_owned(),
        FileType::Aac => "aac".to_owned(),
        FileType::Flac => "flac".to_owned(),
        FileType::Ape => "ape".to_owned(),
        FileType::Opus => "opus".to_owned(),
        FileType::Vorbis => "vorbis".to_owned(),
        FileType::Speex => "speex".to_owned(),
        _ => String::new(),
    };
    Some(Reading {
        audio: true,
        duration: Some(properties.duration().as_secs_f64()),
        // Uncompressed formats hold several codecs; lofty does not tell them apart.
        codec: Some(codec).filter(|name| !name.is_empty()),
        ..Reading::default()
    })
}
