//! Bytes and what they are.

use super::super::tests::sample;
use super::*;

#[test]
fn every_sample_is_known_by_its_signature() {
    for (file, container) in [
        ("sample.mp4", C::Mp4),
        ("fragmented.mp4", C::Mp4),
        ("hevc.mp4", C::Mp4),
        ("sample.m4a", C::M4a),
        ("sample.mov", C::Mov),
        ("sample.mkv", C::Mkv),
        ("sample.webm", C::Webm),
        ("sample.flv", C::Flv),
        ("sample.ts", C::Ts),
        ("sample.gif", C::Gif),
        ("sample.mp3", C::Mp3),
        ("sample.aac", C::Aac),
        ("sample.flac", C::Flac),
        ("sample.wav", C::Wav),
        ("sample.ogg", C::Ogg),
    ] {
        let bytes = std::fs::read(sample(file)).unwrap();
        assert_eq!(sniff(&bytes[..bytes.len().min(SNIFF_BYTES)]), Media(container), "{file}");
    }
    let mjpeg = std::fs::read(sample("sample.mjpeg")).unwrap();
    assert_eq!(sniff(&mjpeg), Unknown);
}

#[test]
fn signatures_without_a_sample_are_known_too() {
    let packets = |lead: usize, size: usize| {
        let mut bytes = vec![0xff; size * 4];
        (0..4).for_each(|n| bytes[lead + n * size] = 0x47);
        bytes
    };
    let ac3 = {
        // 48 kHz, 192 kbit/s: 768 bytes a frame.
        let mut bytes = vec![0; 1600];
        for at in [0, 768] {
            bytes[at..at + 6].copy_from_slice(&[0x0b, 0x77, 0, 0, 20, 0x40]);
        }
        bytes
    };
    for (bytes, container) in [
        (&b"\0\0\0\x14ftyp3gp5\0\0\0\0isom"[..], C::ThreeGp),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2\0\0\0\0mjp2", C::Mj2),
        (b"\0\0\0\x08wide\0\0\x10\0mdat\x01\x02", C::Mov),
        (b"\0\0\x10\0moov\0\0\0\x6cmvhd\0\0\0\0", C::Mov),
        (b"RIFF\0\0\0\x01AVI LIST\0\0", C::Avi),
        (b"RIFF\0\0\0\x01CDXAfmt \0\0", C::Mpg),
        (b"RF64\xff\xff\xff\xffWAVEds64\0", C::Wav),
        (b"FORM\0\0\0\x01AIFCFVER\0", C::Aiff),
        (b"\0\0\x01\xbaD\0\x04\0", C::Mpg),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c\x01", C::Asf),
        (b".RMF\0\0\0\x12\0\x01", C::RealMedia),
        (b".ra\xfd\0\x04\0\0.ra4", C::RealAudio),
        (b"CWS\x09\x01\x02\0\0x\x9c", C::Swf),
        (b"#!AMR\n<\x08!", C::Amr),
        (b"#!AMR-WB\n\x04", C::Amr),
        (b"caff\0\x01\0\0desc", C::Caf),
        (b"MAC \x96\x0f\0\0\x34\0", C::Ape),
        (b"\x1f\x07\x00\x3f\xf8\x78\x78\x78", C::Dv),
        (b"ID3\x04\0\0\0\0\0\0fLaC\0\0\0\x22", C::Flac),
        (b"ID3\x03\0\0\0\0\x10\0TIT2\0\0", C::Mp3),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", C::M3u8),
        (b"\xef\xbb\xbf#EXTM3U\r\n", C::M3u8),
        (&packets(0, 188), C::Ts),
        (&packets(4, 192), C::Ts),
        (&packets(0, 204), C::Ts),
        (&ac3, C::Ac3),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]);
        assert_eq!(sniff(bytes), Media(container), "{shown:?}");
    }
}

#[test]
fn an_html_page_is_an_html_page_in_every_disguise() {
    let utf16 = |text: &str, mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        let mut out = mark.to_vec();
        text.encode_utf16().for_each(|unit| out.extend(bytes(unit)));
        out
    };
    let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
    for bytes in [
        page.as_bytes(),
        b"<html>",
        b"\n\n\t  <HTML lang=en>",
        b"\xef\xbb\xbf<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">",
        b"\xef\xbb\xbf \r\n<!-- cached --><!-- twice -->\n<html>",
        b"<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"x\"><html xmlns=\"y\">",
        b"<script>location='/login'</script>",
        b"<head><title>404</title>",
        b"<body>",
        b"<a href=\"/elsewhere\">Found</a>.",
        // Signatures and binary rubbish further on change nothing.
        b"<html>\0\0\0\x18ftypmp42\xff\xfb\x90\x64",
        &utf16(page, b"\xff\xfe", u16::to_le_bytes),
        &utf16(page, b"\xfe\xff", u16::to_be_bytes),
        &utf16(page, b"", u16::to_le_bytes),
        &utf16(page, b"", u16::to_be_bytes),
    ] {
        assert_eq!(sniff(bytes), HTML, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_is_no_media_is_called_by_its_name() {
    let gbk = b"\xb4\xed\xce\xf3\xa3\xba\xce\xc4\xbc\xfe\xb2\xbb\xb4\xe6\xd4\xda\r\n".repeat(20);
    for (bytes, what) in [
        (&b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"[..], "XML"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "XML"),
        (b"<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"/>", "XML"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>", "an SVG image"),
        (b"{\"error\":\"expired\"}", "JSON"),
        (b"  [1,2,3]", "JSON"),
        (b"Not found", "plain text"),
        (b"GGGGGGGG", "plain text"),
        (b"ID3 tags explained, for the curious reader", "plain text"),
        (b"FWS stands for fixed wireless something", "plain text"),
        ("找不到文件".as_bytes(), "plain text"),
        (&"找不到文件".as_bytes()[..13], "plain text"),
        (&gbk, "plain text"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "plain text"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (b"PK\x03\x04\x14\0\0\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip archive"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP image"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "a HEIF or AVIF image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIF or AVIF image"),
        (b"\x7fELF\x02\x01\x01\0", "a program"),
    ] {
        assert_eq!(sniff(bytes), NotMedia(what), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn chance_is_no_signature() {
    // One sync word proves nothing; the next has to be where the first says.
    let mut lonely = vec![0u8; 2048];
    lonely[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
    assert_eq!(sniff(&lonely), Unknown);
    let mut lonely = vec![0u8; 2048];
    lonely[..7].copy_from_slice(&[0xff, 0xf1, 0x50, 0x80, 0x10, 0x1f, 0xfc]);
    assert_eq!(sniff(&lonely), Unknown);
    let mut packets = vec![0u8; 2048];
    (0..3).for_each(|n| packets[n * 188] = 0x47);
    assert_eq!(sniff(&packets), Unknown);
    assert_eq!(sniff(b""), Unknown);
    assert_eq!(sniff(&[0; 64]), Unknown);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_sniffing_panic(bytes in proptest::collection::vec(0u8.., 0..512)) {
        sniff(&bytes);
    }

    /// Random bytes behind each beginning that leads into a parser.
    #[test]
    fn no_rest_makes_a_parser_of_frames_panic(
        start in proptest::sample::select(vec![
            &b"ID3\x04\0\0"[..], b"\xff\xfb", b"\xff\xf1", b"\x0b\x77", b"RIFF", b"\x1a\x45\xdf\xa3",
            b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\xfe", b"<",
        ]),
        rest in proptest::collection::vec(0u8.., 0..64),
    ) {
        sniff(&[start, &rest].concat());
    }
}
