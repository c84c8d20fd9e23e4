//! What is this file? Decides whether bytes are media, and measures them.
//!
//! Three voices can name a type: the file extension, the origin's `Content-Type`, and the bytes.
//! **The bytes win.** An HTML page is an HTML page although its URL ends in `.mp4` and its origin
//! says `video/mp4`; an MP4 served as `text/plain` is an MP4. The other two are heard in two cases
//! only, both where the bytes are not conclusive:
//!
//! * A raw MJPEG stream begins like a JPEG picture. It passes only under its own extension, and
//!   only when a second picture follows the first.
//! * A stream without a signature of its own (an MP3 after junk, an elementary stream) that a
//!   reader recognises but is not sure of passes when extension or content type agree with it.
//!
//! Then the file is measured: by pure-Rust readers, and by `ffprobe`, where it is installed, when
//! they do not know the format or cannot tell all of it (ffprobe's start alone costs more than
//! measuring a small file). Either runs in a child process with limits (see [`child`] and
//! [`crew`]), because parsers of untrusted files crash, loop and swell. A file that carries a media signature but that nobody can read is
//! accepted, with its measures unknown: the origin's files are not ours to judge.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::domain::media::{MediaFacts, MediaType};

pub mod child;
mod container;
pub mod crew;
mod ffprobe;
mod playlist;
mod readers;
mod reading;
mod sniff;

use child::Answer;
pub use container::Container;
use reading::Reading;
pub use sniff::{SNIFF_BYTES, Sniffed, sniff};

/// What others say about a file. See the module's text for how little it counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint<'a> {
    /// Of the URL or the caller's `FileExtension`, without the dot, in any case; may be empty.
    pub extension: &'a str,
    /// The origin's `Content-Type`.
    pub content_type: Option<&'a str>,
}

impl Hint<'_> {
    fn names(&self, container: Container) -> bool {
        Container::from_extension(self.extension) == Some(container)
            || self.content_type.is_some_and(|text| container.is_type(text))
    }
}

/// How probing is done.
#[derive(Clone, Debug)]
pub struct ProbeSettings {
    /// The `ffprobe` program, where one was found.
    pub ffprobe: Option<PathBuf>,
    /// The `haulage` program, which runs itself as `haulage probe-child`.
    pub self_exe: PathBuf,
    /// Wall-clock time for one child.
    pub timeout: Duration,
    /// Processor time for one child; whole seconds count.
    pub cpu: Duration,
    /// Address space of one child, bytes.
    pub address_space: u64,
    /// Children at work at once; each can use `address_space`.
    pub slots: Arc<Semaphore>,
    /// Children that read file after file.
    pub crew: crew::Crew,
}

impl ProbeSettings {
    /// Wall-clock limit of a child. Reading the tables of a 20 GiB file from a cold disk takes
    /// seconds.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// Processor limit of a child.
    pub const CPU: Duration = Duration::from_secs(20);
    /// Address-space limit of a child, bytes: room for ffprobe with its libraries (about 0.3 GiB
    /// mapped, measured) and for the sample tables of a day of video.
    pub const ADDRESS_SPACE: u64 = 1024 * 1024 * 1024;
    /// Children at once.
    pub const SLOTS: usize = 4;

    /// Settings with the default limits.
    pub fn new(ffprobe: Option<PathBuf>, self_exe: PathBuf) -> Self {
        Self {
            ffprobe,
            self_exe,
            timeout: Self::TIMEOUT,
            cpu: Self::CPU,
            address_space: Self::ADDRESS_SPACE,
            slots: Arc::new(Semaphore::new(Self::SLOTS)),
            crew: crew::Crew::default(),
        }
    }
}

/// Why there are no facts.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The bytes are no audio or video. The sentence is for the caller of the API; it contains
    /// nothing of the bytes.
    #[error("{0}")]
    NotMedia(String),
    /// Probing itself failed; the file may be sound.
    #[error("the media probe failed: {0}")]
    Failed(ProbeFailure),
}

/// Our side of a failed probe.
#[derive(Debug)]
pub enum ProbeFailure {
    /// The file cannot be read.
    Read(io::Error),
    /// The child cannot be started.
    Start(io::Error),
    /// No reader came to an end within its limits, and the bytes say nothing by themselves.
    Limits,
    /// The probe is closed; the node is stopping.
    Closed,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read the file: {error}"),
            Self::Start(error) => write!(f, "cannot start the probe's child process: {error}"),
            Self::Limits => f.write_str("no reader came to an end within its limits"),
            Self::Closed => f.write_str("the node is stopping"),
        }
    }
}

impl ProbeError {
    fn not_media(what: &str) -> Self {
        Self::NotMedia(format!("The source is {what}, not audio or video."))
    }

    fn unrecognised() -> Self {
        Self::NotMedia("The source is in no audio or video format that is known here.".to_owned())
    }

    fn no_streams() -> Self {
        Self::NotMedia("The source is a media container without audio or video.".to_owned())
    }
}

/// Who examines staged files. A trait so that simulations can do without child processes.
#[async_trait]
pub trait Examine: fmt::Debug + Send + Sync {
    /// Decides whether the file at `path` is media and measures it.
    ///
    /// # Errors
    /// As [`probe`].
    async fn examine(&self, path: &Path, hint: Hint<'_>) -> Result<MediaFacts, ProbeError>;

    /// Gives back what has not been used for a while.
    fn rest(&self);
}

#[async_trait]
impl Examine for ProbeSettings {
    async fn examine(&self, path: &Path, hint: Hint<'_>) -> Result<MediaFacts, ProbeError> {
        probe(path, &hint, self).await
    }

    fn rest(&self) {
        self.crew.retire_idle();
    }
}

/// What the bytes alone established.
enum Judged {
    /// A container by its signature.
    Media(Container),
    /// No signature: a reader has to recognise it.
    Unknown,
    /// A playlist, whole: nothing is left to ask. Never given to a reader that would follow it.
    Playlist { duration: Option<f64> },
}

/// Decides whether the file at `path` is media and measures it.
///
/// # Errors
/// [`ProbeError::NotMedia`] when it is not; [`ProbeError::Failed`] when that could not be found
/// out.
pub async fn probe(
    path: &Path,
    hint: &Hint<'_>,
    settings: &ProbeSettings,
) -> Result<MediaFacts, ProbeError> {
    let (judged, size) = judge_aside(path, hint).await?;
    let container = match judged {
        Judged::Playlist { duration } => return Ok(playlist_facts(duration)),
        Judged::Media(container) => Some(container),
        Judged::Unknown => None,
    };

    let slot = settings.slots.acquire().await;
    let _slot = slot.map_err(|_| ProbeError::Failed(ProbeFailure::Closed))?;
    let mut gave_up = false;
    let mut incomplete = None;
    let reader = readers::reader_for(container, hint);
    // Where only a name speaks for a format, ffprobe's judgement of the bytes comes first.
    let trusted = reader.filter(|_| container.is_some() || settings.ffprobe.is_none());
    if let Some(reader) = trusted {
        match settings.crew.ask(settings, reader, path).await? {
            Answer::Reading(reading) if reading.is_complete() => {
                return facts(container, hint, reading, size);
            }
            Answer::Reading(reading) => incomplete = Some(reading),
            Answer::Unreadable | Answer::NoTool => {}
            Answer::GaveUp => gave_up = true,
        }
    }
    if let Some(program) = &settings.ffprobe {
        match child::ask_ffprobe(settings, program, container, path).await? {
            Answer::Reading(reading) => return facts(container, hint, reading, size),
            Answer::Unreadable => {}
            Answer::GaveUp => gave_up = true,
            Answer::NoTool => {
                tracing::warn!(program = %program.display(), "ffprobe does not start; reading media without it");
            }
        }
    }
    if let (None, Some(reader)) = (trusted, reader) {
        match settings.crew.ask(settings, reader, path).await? {
            Answer::Reading(reading) => incomplete = Some(reading),
            Answer::Unreadable | Answer::NoTool => {}
            Answer::GaveUp => gave_up = true,
        }
    }
    match (incomplete, container) {
        (Some(reading), _) => facts(container, hint, reading, size),
        (None, Some(container)) => Ok(unknown_facts(container)),
        (None, None) if gave_up => Err(ProbeError::Failed(ProbeFailure::Limits)),
        (None, None) => Err(ProbeError::unrecognised()),
    }
}

/// [`probe`] with the pure-Rust readers in this very process, for tests. A hostile file can exhaust
/// the memory of the process that calls this.
///
/// # Errors
/// As [`probe`].
pub async fn probe_in_process(path: &Path, hint: &Hint<'_>) -> Result<MediaFacts, ProbeError> {
    let (judged, size) = judge_aside(path, hint).await?;
    let container = match judged {
        Judged::Playlist { duration } => return Ok(playlist_facts(duration)),
        Judged::Media(container) => Some(container),
        Judged::Unknown => None,
    };
    let Some(wanted) = readers::reader_for(container, hint) else {
        return container.map(unknown_facts).ok_or_else(ProbeError::unrecognised);
    };
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || readers::read(&file, wanted));
    match (read.await.ok().flatten(), container) {
        (Some(reading), _) => facts(container, hint, reading, size),
        (None, Some(container)) => Ok(unknown_facts(container)),
        (None, None) => Err(ProbeError::unrecognised()),
    }
}

/// Entry of the hidden subcommand `haulage probe-child`; see [`child`].
///
/// `args` are the arguments after `probe-child`. Call it before any thread or runtime is started.
pub fn child_main(args: &[OsString]) -> ExitCode {
    child::run(args)
}

/// [`judge`], off the async threads.
async fn judge_aside(path: &Path, hint: &Hint<'_>) -> Result<(Judged, u64), ProbeError> {
    let file = path.to_owned();
    let mjpeg = hint.names(Container::Mjpeg);
    let judged = tokio::task::spawn_blocking(move || judge(&file, mjpeg)).await;
    match judged {
        Ok(result) => result,
        Err(gone) => Err(ProbeError::Failed(ProbeFailure::Read(io::Error::other(gone)))),
    }
}

/// Judges a file by its bytes; `mjpeg` says that it was announced as a raw MJPEG stream. Returns
/// its size too.
fn judge(path: &Path, mjpeg: bool) -> Result<(Judged, u64), ProbeError> {
    let failed = |error| ProbeError::Failed(ProbeFailure::Read(error));
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    (&file).take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    let judged = match sniff(&head) {
        Sniffed::NotMedia(what) => return Err(ProbeError::not_media(what)),
        Sniffed::Media(Container::M3u8) => {
            Judged::Playlist { duration: playlist::duration(path).map_err(failed)? }
        }
        Sniffed::Media(container) => Judged::Media(container),
        Sniffed::Unknown if head.is_empty() => return Err(ProbeError::not_media("empty")),
        Sniffed::Unknown if sniff::is_jpeg(&head) => {
            if !mjpeg || !sniff::has_second_picture(path).map_err(failed)? {
                return Err(ProbeError::not_media("a JPEG image"));
            }
            Judged::Media(Container::Mjpeg)
        }
        Sniffed::Unknown => Judged::Unknown,
    };
    Ok((judged, size))
}

/// The facts of a file that a reader has measured; `sniffed` by its signature, if it has one.
fn facts(
    sniffed: Option<Container>,
    hint: &Hint<'_>,
    reading: Reading,
    size: u64,
) -> Result<MediaFacts, ProbeError> {
    let reading = reading.checked();
    if !reading.video && !reading.audio {
        return Err(ProbeError::no_streams());
    }
    let recognised = reading.format.as_deref().and_then(Container::from_format);
    let container = match (sniffed, recognised) {
        (Some(container), _) => container,
        // Not by its signature: the reader must be sure, or somebody else must agree.
        (None, Some(container)) if reading.sure || hint.names(container) => container,
        (None, _) => return Err(ProbeError::unrecognised()),
    };
    let bitrate = reading.duration.map(|seconds| size as f64 * 8.0 / 1000.0 / seconds);
    Ok(MediaFacts {
        media_type: if reading.video { MediaType::Video } else { MediaType::Audio },
        format: container.format(reading.video).to_owned(),
        content_type: container.content_type(reading.video).to_owned(),
        duration: reading.duration,
        width: reading.width,
        height: reading.height,
        bitrate,
        fps: reading.fps,
        codec: reading.codec,
    })
}

/// The facts of a file with a signature that nobody could read.
fn unknown_facts(container: Container) -> MediaFacts {
    let video = !container.is_audio();
    MediaFacts {
        media_type: if video { MediaType::Video } else { MediaType::Audio },
        format: container.format(video).to_owned(),
        content_type: container.content_type(video).to_owned(),
        duration: None,
        width: None,
        height: None,
        bitrate: None,
        fps: None,
        codec: None,
    }
}

/// The facts of an HLS playlist. Its own size says nothing of the media's bit rate.
fn playlist_facts(duration: Option<f64>) -> MediaFacts {
    MediaFacts { duration, ..unknown_facts(Container::M3u8) }
}

#[cfg(test)]
mod tests;
