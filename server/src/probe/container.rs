//! The containers that are accepted, and their names.
//!
//! The list is the contract's list of supported extensions (contract §9.1: MP4 TS 3GP MPG MPEG …)
//! seen from the side of the bytes: several extensions share one container.

/// A container, as the bytes show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Container {
    Mp4,
    /// MP4 that declares itself audio (`M4A `).
    M4a,
    Mov,
    ThreeGp,
    /// Motion JPEG 2000.
    Mj2,
    Mkv,
    Webm,
    Flv,
    /// MPEG transport stream.
    Ts,
    /// MPEG program stream or video elementary stream: MPG, VOB, DAT.
    Mpg,
    Avi,
    /// ASF: WMV, WMA.
    Asf,
    RealMedia,
    Swf,
    Gif,
    Dv,
    /// Raw stream of JPEG pictures.
    Mjpeg,
    Mxf,
    Ogg,
    Mp3,
    /// AAC in ADTS frames.
    Aac,
    Wav,
    Flac,
    Amr,
    Caf,
    Aiff,
    Ape,
    /// AC-3 and E-AC-3.
    Ac3,
    RealAudio,
    /// HLS playlist.
    M3u8,
}

/// The names of one container.
struct Names {
    /// As `Format` of the API, and as the extension of the stored object.
    format: &'static str,
    /// Content type when it holds video.
    video: &'static str,
    /// Content type when it holds sound alone.
    audio: &'static str,
    /// Demultiplexers of ffprobe that may read it.
    demuxers: &'static str,
    /// Other extensions of the contract that mean it.
    extensions: &'static [&'static str],
}

const fn names(
    format: &'static str,
    video: &'static str,
    audio: &'static str,
    demuxers: &'static str,
    extensions: &'static [&'static str],
) -> Names {
    Names { format, video, audio, demuxers, extensions }
}

impl Container {
    pub const ALL: [Self; 30] = [
        Self::Mp4,
        Self::M4a,
        Self::Mov,
        Self::ThreeGp,
        Self::Mj2,
        Self::Mkv,
        Self::Webm,
        Self::Flv,
        Self::Ts,
        Self::Mpg,
        Self::Avi,
        Self::Asf,
        Self::RealMedia,
        Self::Swf,
        Self::Gif,
        Self::Dv,
        Self::Mjpeg,
        Self::Mxf,
        Self::Ogg,
        Self::Mp3,
        Self::Aac,
        Self::Wav,
        Self::Flac,
        Self::Amr,
        Self::Caf,
        Self::Aiff,
        Self::Ape,
        Self::Ac3,
        Self::RealAudio,
        Self::M3u8,
    ];

    /// Content types are the registered ones where browsers play them, else the customary ones.
    fn names(self) -> Names {
        match self {
            Self::Mp4 => names("mp4", "video/mp4", "audio/mp4", "mov", &["m4v", "f4v"]),
            Self::M4a => names("m4a", "video/mp4", "audio/mp4", "mov", &[]),
            Self::Mov => names("mov", "video/quicktime", "video/quicktime", "mov", &["qt"]),
            Self::ThreeGp => names("3gp", "video/3gpp", "audio/3gpp", "mov", &["3g2"]),
            Self::Mj2 => names("mj2", "video/mj2", "video/mj2", "mov", &[]),
            Self::Mkv => names("mkv", "video/x-matroska", "audio/x-matroska", "matroska", &[]),
            Self::Webm => names("webm", "video/webm", "audio/webm", "matroska", &[]),
            Self::Flv => names("flv", "video/x-flv", "video/x-flv", "flv", &[]),
            Self::Ts => names("ts", "video/mp2t", "video/mp2t", "mpegts", &["m2t", "mts", "m2ts"]),
            Self::Mpg => {
                const OTHERS: &[&str] = &["mpeg", "mpe", "vob", "dat"];
                names("mpg", "video/mpeg", "audio/mpeg", "mpeg,mpegvideo", OTHERS)
            }
            Self::Avi => names("avi", "video/x-msvideo", "video/x-msvideo", "avi", &[]),
            Self::Asf => names("wmv", "video/x-ms-wmv", "audio/x-ms-wma", "asf", &["asf", "wma"]),
            Self::RealMedia => {
                const TYPE: &str = "application/vnd.rn-realmedia";
                names("rm", TYPE, TYPE, "rm", &["rmvb"])
            }
            Self::Swf => {
                const TYPE: &str = "application/x-shockwave-flash";
                names("swf", TYPE, TYPE, "swf", &[])
            }
            Self::Gif => names("gif", "image/gif", "image/gif", "gif", &[]),
            Self::Dv => names("dv", "video/dv", "video/dv", "dv", &[]),
            Self::Mjpeg => {
                names("mjpeg", "video/x-motion-jpeg", "video/x-motion-jpeg", "mjpeg", &["mjpg"])
            }
            Self::Mxf => names("mxf", "application/mxf", "application/mxf", "mxf", &[]),
            Self::Ogg => names("ogg", "video/ogg", "audio/ogg", "ogg", &["oga", "ogv", "opus"]),
            Self::Mp3 => names("mp3", "audio/mpeg", "audio/mpeg", "mp3", &[]),
            Self::Aac => names("aac", "audio/aac", "audio/aac", "aac", &[]),
            Self::Wav => names("wav", "audio/wav", "audio/wav", "wav", &["acm"]),
            Self::Flac => names("flac", "audio/flac", "audio/flac", "flac", &[]),
            Self::Amr => names("amr", "audio/amr", "audio/amr", "amr", &[]),
            Self::Caf => names("caf", "audio/x-caf", "audio/x-caf", "caf", &[]),
            Self::Aiff => names("aiff", "audio/aiff", "audio/aiff", "aiff", &["aif"]),
            Self::Ape => names("ape", "audio/x-ape", "audio/x-ape", "ape", &[]),
            Self::Ac3 => names("ac3", "audio/ac3", "audio/ac3", "ac3,eac3", &["eac3"]),
            Self::RealAudio => names("ra", "audio/x-realaudio", "audio/x-realaudio", "rm", &[]),
            Self::M3u8 => {
                const TYPE: &str = "application/vnd.apple.mpegurl";
                names("m3u8", TYPE, TYPE, "", &["m3u"])
            }
        }
    }

    /// `Format` of the API: the container's usual extension.
    pub fn format(self, video: bool) -> &'static str {
        match self {
            Self::Asf if !video => "wma",
            _ => self.names().format,
        }
    }

    /// What to serve it as.
    pub fn content_type(self, video: bool) -> &'static str {
        if video { self.names().video } else { self.names().audio }
    }

    /// Whether it is made for sound alone.
    pub fn is_audio(self) -> bool {
        match self {
            Self::M4a
            | Self::Mp3
            | Self::Aac
            | Self::Wav
            | Self::Flac
            | Self::Amr
            | Self::Caf
            | Self::Aiff
            | Self::Ape
            | Self::Ac3
            | Self::RealAudio => true,
            Self::Mp4
            | Self::Mov
            | Self::ThreeGp
            | Self::Mj2
            | Self::Mkv
            | Self::Webm
            | Self::Flv
            | Self::Ts
            | Self::Mpg
            | Self::Avi
            | Self::Asf
            | Self::RealMedia
            | Self::Swf
            | Self::Gif
            | Self::Dv
            | Self::Mjpeg
            | Self::Mxf
            | Self::Ogg
            | Self::M3u8 => false,
        }
    }

    /// The container that [`Self::format`] names.
    pub fn from_format(format: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.names().format == format || c.format(false) == format)
    }

    /// The container that a file extension promises, in any case.
    pub fn from_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        Self::from_format(&extension).or_else(|| {
            Self::ALL.into_iter().find(|c| c.names().extensions.contains(&extension.as_str()))
        })
    }

    /// Whether a `Content-Type` names it; parameters do not count.
    pub(super) fn is_type(self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let names = self.names();
        [names.video, names.audio].iter().any(|own| own.eq_ignore_ascii_case(essence))
    }

    /// ffprobe's demultiplexers for it, as its `-format_whitelist` takes them.
    pub(super) fn demuxers(self) -> &'static str {
        self.names().demuxers
    }

    /// Of ffprobe's `format_name`, which lists alternatives: `mov,mp4,m4a,3gp,3g2,mj2`.
    pub(super) fn from_demuxer(format_name: &str) -> Option<Self> {
        let first = format_name.split(',').next().filter(|name| !name.is_empty())?;
        Self::ALL.into_iter().find(|c| c.demuxers().split(',').any(|demuxer| demuxer == first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// contract §9.1, "Supported extensions".
    const CONTRACT: &str = "MP4 TS 3GP MPG MPEG MPE DAT VOB ASF AVI WMV FLV F4V RM RMVB MOV MKV M3U8 DV \
         GIF M2T M4V MJ2 MJPEG MTS OGG QT SWF WEBM MP3 WMA WAV AAC RA M4A FLAC APE AC3 AMR CAF ACM";

    #[test]
    fn every_extension_of_the_contract_has_a_container() {
        for extension in CONTRACT.split_whitespace() {
            assert!(Container::from_extension(extension).is_some(), "{extension}");
        }
        assert_eq!(Container::from_extension("html"), None);
        assert_eq!(Container::from_extension(""), None);
    }

    #[test]
    fn a_container_is_found_again_by_its_format() {
        for container in Container::ALL {
            for video in [true, false] {
                assert_eq!(Container::from_format(container.format(video)), Some(container));
            }
        }
    }
}
