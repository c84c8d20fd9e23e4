//! HLS playlists (RFC 8216). They are stored as they are; what they point at is not fetched, and no
//! reader that would follow their lines ever sees them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a playlist that are read; a longer one has an unknown duration.
const PLAYLIST_LIMIT: u64 = 4 * 1024 * 1024;

/// Seconds of all segments of the playlist at `path`; `None` for a list of variants.
pub(super) fn duration(path: &Path) -> io::Result<Option<f64>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(PLAYLIST_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PLAYLIST_LIMIT {
        return Ok(None);
    }
    Ok(sum(&String::from_utf8_lossy(&bytes)))
}

/// Sums `#EXTINF:<seconds>,[title]` (RFC 8216 §4.3.2.1).
fn sum(text: &str) -> Option<f64> {
    let mut total = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("#EXTINF:") else { continue };
        let seconds: f64 = rest.split(',').next()?.trim().parse().ok()?;
        // Players of plain M3U write -1 for "unknown".
        if !seconds.is_finite() || seconds < 0.0 {
            return None;
        }
        total = Some(total.unwrap_or(0.0) + seconds);
    }
    total.filter(|seconds| *seconds > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segments_of_a_playlist_add_up() {
        let media = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.5,\na.ts\r\n#EXTINF:4,x\nb.ts\n";
        assert_eq!(sum(media), Some(13.5));
        assert_eq!(sum("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n"), None);
        assert_eq!(sum("#EXTM3U\n#EXTINF:-1,radio\nhttp://h.example/\n"), None);
        assert_eq!(sum("#EXTM3U\n#EXTINF:nan,\na\n"), None);
    }
}
