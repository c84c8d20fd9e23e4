//! What the first bytes say.
//!
//! Signatures are those of the formats' specifications. Two-byte signatures (MP3, AAC, AC-3) and
//! the one-byte sync of a transport stream count only when the next frame or packet is in its
//! place too. Text is recognised before media: no accepted container is readable text throughout,
//! but text can begin with letters that look like a signature.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::container::Container;

/// How many bytes of a file's beginning are looked at. Give [`sniff`] that many, or the whole of a
/// shorter file.
pub const SNIFF_BYTES: usize = crate::blob::spool::HEAD_BYTES;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sniffed {
    /// It carries a container's signature.
    Media(Container),
    /// It is certainly something else: "an HTML page", "a ZIP archive", …
    NotMedia(&'static str),
    /// The bytes do not say.
    Unknown,
}

use Container as C;
use Sniffed::{Media, NotMedia, Unknown};

const HTML: Sniffed = NotMedia("an HTML page");

/// Judges a file by its first [`SNIFF_BYTES`] bytes.
///
/// A JPEG picture is [`Sniffed::Unknown`] here, because a raw MJPEG stream begins like one; only
/// the whole file tells (see `has_second_picture`).
pub fn sniff(head: &[u8]) -> Sniffed {
    if let Some(text) = utf16(head) {
        return markup(text.as_bytes()).unwrap_or(NotMedia("plain text"));
    }
    let visible = trim_start(head);
    if visible.starts_with(b"#EXTM3U") {
        return Media(C::M3u8);
    }
    if head.starts_with(b"#!AMR") {
        return Media(C::Amr);
    }
    if let Some(verdict) = markup(visible) {
        return verdict;
    }
    // Before the test for text: the head of a PDF may well be text.
    if let Some(verdict) = other(head) {
        return verdict;
    }
    if is_text(head) {
        let json = matches!(visible.first(), Some(b'{' | b'['));
        return NotMedia(if json { "JSON" } else { "plain text" });
    }
    media(head).map_or(Unknown, Media)
}

/// Without a UTF-8 byte order mark and leading white space.
fn trim_start(head: &[u8]) -> &[u8] {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start()
}

/// The ASCII of a UTF-16 text, recognised by its byte order mark or a first `<`.
fn utf16(head: &[u8]) -> Option<String> {
    let (low_first, body) = match head {
        [0xff, 0xfe, body @ ..] => (true, body),
        [0xfe, 0xff, body @ ..] => (false, body),
        [b'<', 0, ..] => (true, head),
        [0, b'<', ..] => (false, head),
        _ => return None,
    };
    let unit = |pair: &[u8; 2]| {
        if low_first { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) }
    };
    let pairs = body.as_chunks::<2>().0;
    let text = String::from_utf16_lossy(&pairs.iter().map(unit).collect::<Vec<_>>());
    // FF FE also begins an MPEG layer I frame; text shows itself by its letters.
    let ascii = text.chars().filter(|c| matches!(c, ' '..='~' | '\t' | '\r' | '\n')).count();
    (ascii > 0 && ascii * 2 >= pairs.len()).then(|| text.trim_start().to_owned())
}

/// Markup: text whose first visible character opens a tag, a comment or a declaration.
fn markup(visible: &[u8]) -> Option<Sniffed> {
    const HTML_TAGS: [&[u8]; 20] = [
        b"<!doctype html",
        b"<html",
        b"<head",
        b"<body",
        b"<script",
        b"<title",
        b"<meta",
        b"<link",
        b"<style",
        b"<div",
        b"<iframe",
        b"<table",
        b"<form",
        b"<center",
        b"<font",
        b"<h1",
        b"<br",
        b"<p>",
        b"<a href",
        b"<pre",
    ];
    let opens = matches!(visible, [b'<', b'!' | b'?' | b'/', ..])
        || matches!(visible, [b'<', letter, ..] if letter.is_ascii_alphabetic());
    if !opens {
        return None;
    }
    let lower = visible.to_ascii_lowercase();
    let contains = |tag: &[u8]| lower.windows(tag.len()).any(|window| window == tag);
    Some(if lower.starts_with(b"<svg") || (lower.starts_with(b"<?xml") && contains(b"<svg")) {
        NotMedia("an SVG image")
    } else if HTML_TAGS.iter().any(|tag| contains(tag)) {
        HTML
    } else {
        NotMedia("XML")
    })
}

/// Well-known formats that are no media.
fn other(head: &[u8]) -> Option<Sniffed> {
    const SIGNATURES: [(&[u8], &str); 27] = [
        (b"%PDF-", "a PDF document"),
        (b"%!PS", "a PostScript document"),
        (b"{\\rtf", "an RTF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"PK\x05\x06", "a ZIP archive"),
        (b"PK\x07\x08", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"BZh", "a bzip2 archive"),
        (b"\xfd7zXZ\0", "an XZ archive"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"\0\0\x01\0\x01\0", "an icon"),
        (b"8BPS", "a Photoshop image"),
        (b"\xff\x0a", "a JPEG XL image"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
        (b"\x7fELF", "a program"),
        (b"MZ\x90\0", "a program"),
        (b"\xcf\xfa\xed\xfe", "a program"),
        (b"\0asm", "a program"),
        (b"SQLite format 3\0", "a database"),
        (b"d8:announce", "a torrent file"),
        (b"MThd\0\0\0\x06", "a MIDI score"),
    ];
    if let Some((_, what)) = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes)) {
        return Some(NotMedia(what));
    }
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            Some(NotMedia("a WebP image"))
        }
        // A bitmap: "BM", file size, four zero bytes.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(NotMedia("a bitmap image")),
        _ if head.get(257..262) == Some(b"ustar") => Some(NotMedia("a tar archive")),
        _ => brand(head).and_then(|brand| match &brand {
            b"avif" | b"avis" | b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1"
            | b"msf1" => Some(NotMedia("a HEIF or AVIF image")),
            b"jp2 " | b"jpx " => Some(NotMedia("a JPEG 2000 image")),
            b"crx " => Some(NotMedia("a raw camera image")),
            _ => None,
        }),
    }
}

/// Readable text: UTF-8, or a legacy encoding when there is enough to judge by.
fn is_text(head: &[u8]) -> bool {
    /// Fewer bytes without a control character can be chance.
    const LEGACY_BYTES: usize = 256;
    let plain =
        |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x20..=0x7e | 0x80..=0xfe);
    if head.is_empty() || !head.iter().all(plain) {
        return false;
    }
    match std::str::from_utf8(head) {
        Ok(_) => true,
        // The head may end within a character.
        Err(e) => e.error_len().is_none() || head.len() >= LEGACY_BYTES,
    }
}

/// The major brand of an ISO base media file, also behind a JPEG 2000 signature box.
fn brand(head: &[u8]) -> Option<[u8; 4]> {
    const JPEG_2000: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
    let rest = head.strip_prefix(JPEG_2000).unwrap_or(head);
    (rest.get(4..8)? == b"ftyp").then(|| rest.get(8..12)?.try_into().ok()).flatten()
}

fn media(head: &[u8]) -> Option<Container> {
    if let Some(brand) = brand(head) {
        return Some(match &brand {
            b"qt  " => C::Mov,
            b"M4A " | b"M4B " | b"M4P " => C::M4a,
            b"mj2s" | b"mjp2" => C::Mj2,
            [b'3', b'g', b'p' | b'g' | b'e' | b'r' | b's' | b'2', _] => C::ThreeGp,
            _ => C::Mp4,
        });
    }
    const SIGNATURES: [(&[u8], Container); 18] = [
        (b"FLV\x01", C::Flv),
        (b"OggS\0", C::Ogg),
        (b"fLaC", C::Flac),
        (b"GIF87a", C::Gif),
        (b"GIF89a", C::Gif),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", C::Asf),
        (b".RMF\0\0", C::RealMedia),
        (b".ra\xfd", C::RealAudio),
        (b"caff\0", C::Caf),
        (b"MAC ", C::Ape),
        (b"\0\0\x01\xba", C::Mpg),
        (b"\0\0\x01\xb3", C::Mpg),
        (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", C::Mxf),
        (b"\x1f\x07\x00\x3f", C::Dv),
        (b"\x1f\x07\x00\xbf", C::Dv),
        (b"FWS", C::Swf),
        (b"CWS", C::Swf),
        (b"ZWS", C::Swf),
    ];
    if let Some((_, container)) = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes)) {
        return Some(*container);
    }
    match head {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some(matroska(head)),
        [b'R', b'I', b'F', b'F' | b'X', _, _, _, _, kind @ ..] => riff(kind),
        [b'R', b'F', b'6', b'4', _, _, _, _, kind @ ..]
        | [b'B', b'W', b'6', b'4', _, _, _, _, kind @ ..] => riff(kind),
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => Some(C::Aiff),
        // ID3v2: version below 0xff, size of four seven-bit digits.
        [b'I', b'D', b'3', 2..=4, _, _, a, b, c, d, ..] if (a | b | c | d) < 0x80 => {
            let size = [a, b, c, d].iter().fold(0, |sum, digit| sum << 7 | usize::from(**digit));
            let rest = head.get(10 + size..).unwrap_or_default();
            Some(if rest.starts_with(b"fLaC") {
                C::Flac
            } else if adts_frame(rest).is_some() {
                C::Aac
            } else {
                C::Mp3
            })
        }
        // A QuickTime file from before `ftyp`: size and type of its first atom.
        [0 | 1, _, _, _, b'm', b'o', b'o', b'v', ..]
        | [_, _, _, _, b'm', b'd', b'a', b't', ..]
        | [0, 0, 0, _, b'w', b'i', b'd', b'e', ..]
        | [0, 0, _, _, b'p', b'n', b'o', b't', ..]
        | [0, _, _, _, b'f', b'r', b'e', b'e', ..]
        | [0, _, _, _, b's', b'k', b'i', b'p', ..] => Some(C::Mov),
        _ => framed(head),
    }
}

/// The document type of an EBML file; element 0x4282.
fn matroska(head: &[u8]) -> Container {
    let header = &head[..head.len().min(64)];
    match header.windows(7).any(|w| w[..2] == [0x42, 0x82] && &w[3..] == b"webm") {
        true => C::Webm,
        false => C::Mkv,
    }
}

fn riff(kind: &[u8]) -> Option<Container> {
    match kind.get(..4)? {
        b"AVI " | b"AVIX" => Some(C::Avi),
        b"WAVE" => Some(C::Wav),
        // A video CD's track.
        b"CDXA" => Some(C::Mpg),
        _ => None,
    }
}

/// Streams without a header: a frame, and where it ends the next one.
fn framed(head: &[u8]) -> Option<Container> {
    let follows = |frame: fn(&[u8]) -> Option<usize>| {
        frame(head).is_some_and(|size| head.get(size..).is_some_and(|next| frame(next).is_some()))
    };
    if follows(adts_frame) {
        return Some(C::Aac);
    }
    if follows(mpeg_audio_frame) {
        return Some(C::Mp3);
    }
    if follows(ac3_frame) {
        return Some(C::Ac3);
    }
    // Transport streams: plain, with time codes (M2TS), with parity bytes (DVB).
    let packets =
        |first: usize, size: usize| (0..4).all(|n| head.get(first + n * size) == Some(&0x47));
    (packets(0, 188) || packets(4, 192) || packets(0, 204)).then_some(C::Ts)
}

/// Size of the ADTS frame that begins here (ISO/IEC 13818-7 §6.2).
fn adts_frame(head: &[u8]) -> Option<usize> {
    let [0xff, b1, b2, b3, b4, b5, ..] = *head else { return None };
    let rate = b2 >> 2 & 0xf;
    if b1 & 0xf6 != 0xf0 || rate > 12 {
        return None;
    }
    let size = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
    (size > 7).then_some(size)
}

/// Size of the MPEG audio frame that begins here (ISO/IEC 11172-3 §2.4.2.3, 13818-3).
fn mpeg_audio_frame(head: &[u8]) -> Option<usize> {
    // kbit/s of layer III, versions 1 and 2; layers I and II are no format of the contract.
    const KBIT_1: [usize; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const KBIT_2: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    const HERTZ: [usize; 3] = [44_100, 48_000, 32_000];
    let [0xff, b1, b2, ..] = *head else { return None };
    let (version, layer, padding) = (b1 >> 3 & 3, b1 >> 1 & 3, usize::from(b2 >> 1 & 1));
    let hertz = HERTZ.get(usize::from(b2 >> 2 & 3))?;
    let bitrate = usize::from(b2 >> 4).checked_sub(1)?;
    if b1 & 0xe0 != 0xe0 || layer != 1 {
        return None;
    }
    Some(match version {
        3 => 144_000 * KBIT_1.get(bitrate)? / hertz + padding,
        2 => 72_000 * KBIT_2.get(bitrate)? / (hertz / 2) + padding,
        0 => 72_000 * KBIT_2.get(bitrate)? / (hertz / 4) + padding,
        _ => return None,
    })
}

/// Size of the AC-3 or E-AC-3 frame that begins here (ETSI TS 102 366 §4.3, §E.1.2).
fn ac3_frame(head: &[u8]) -> Option<usize> {
    const KBIT: [usize; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let [0x0b, 0x77, b2, b3, b4, b5, ..] = *head else { return None };
    if b5 >> 3 > 10 {
        return (b5 >> 3 <= 16).then(|| (usize::from(b2 & 7) << 8 | usize::from(b3)) * 2 + 2);
    }
    let kbit = KBIT.get(usize::from(b4 & 0x3f) / 2)?;
    let odd = usize::from(b4 & 1);
    match b4 >> 6 {
        0 => Some(kbit * 4),
        1 => Some((kbit * 320 / 147 + odd) * 2),
        2 => Some(kbit * 6),
        _ => None,
    }
}

/// Whether a file begins as a JPEG picture.
pub(super) fn is_jpeg(head: &[u8]) -> bool {
    head.starts_with(&[0xff, 0xd8, 0xff])
}

/// Whether in a JPEG file a picture's end is followed by another's beginning: a raw MJPEG stream.
///
/// Pictures with several images in one file look the same, which is why an announcement as MJPEG
/// must come with it.
pub(super) fn has_second_picture(path: &Path) -> io::Result<bool> {
    /// Room for one big picture.
    const LIMIT: u64 = 16 * 1024 * 1024;
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes.windows(5).any(|w| w == [0xff, 0xd9, 0xff, 0xd8, 0xff]))
}

#[cfg(test)]
mod tests;
