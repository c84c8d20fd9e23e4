//! What a reader measured, before it is believed.

use serde::{Deserialize, Serialize};

/// Longest believable duration: three years, in seconds. Damaged headers say more.
const DURATION_LIMIT: f64 = 1e8;
/// Most believable frames a second.
const FPS_LIMIT: f64 = 1000.0;
/// Largest believable side of a picture, in pixels.
const SIDE_LIMIT: u32 = 65_536;
/// Longest codec name, in characters.
const CODEC_LIMIT: usize = 32;

/// A reader's word on a file. It crosses a process boundary as JSON.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reading {
    /// The container, as [`super::Container::format`] names it, where the reader recognised one.
    pub(super) format: Option<String>,
    /// Whether the reader is sure of the container.
    pub(super) sure: bool,
    /// Whether there is a video stream; cover art is none.
    pub(super) video: bool,
    /// Whether there is an audio stream.
    pub(super) audio: bool,
    /// Seconds.
    pub(super) duration: Option<f64>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) fps: Option<f64>,
    /// Of the first video stream, else of the first audio stream.
    pub(super) codec: Option<String>,
}

impl Reading {
    /// Whether nothing is left that another reader could tell.
    pub(super) fn is_complete(&self) -> bool {
        let picture = self.width.is_some() && self.height.is_some() && self.fps.is_some();
        self.duration.is_some()
            && self.codec.is_some()
            && (self.audio || self.video)
            && (picture || !self.video)
    }

    /// Without what cannot be true: unknown is better than wrong, and never zero.
    pub(super) fn checked(mut self) -> Self {
        self.duration = self.duration.filter(|s| *s > 0.0 && *s < DURATION_LIMIT);
        self.fps = self.fps.filter(|f| *f > 0.0 && *f <= FPS_LIMIT);
        self.width = self.width.filter(|w| (1..=SIDE_LIMIT).contains(w));
        self.height = self.height.filter(|h| (1..=SIDE_LIMIT).contains(h));
        self.codec = self.codec.filter(|name| {
            (1..=CODEC_LIMIT).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        if !self.video {
            (self.width, self.height, self.fps) = (None, None, None);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_true_becomes_unknown_and_never_zero() {
        let absurd = Reading {
            video: true,
            duration: Some(f64::NAN),
            fps: Some(0.0),
            width: Some(0),
            height: Some(u32::MAX),
            codec: Some("<script>".to_owned()),
            ..Reading::default()
        };
        let unknown = Reading { video: true, ..Reading::default() };
        assert_eq!(absurd.checked(), unknown);
        let endless = Reading { duration: Some(f64::INFINITY), ..Reading::default() };
        assert_eq!(endless.checked(), Reading::default());
        let sound = Reading {
            video: true,
            duration: Some(6.0),
            fps: Some(25.0),
            width: Some(320),
            height: Some(180),
            codec: Some("h264".to_owned()),
            ..Reading::default()
        };
        assert_eq!(sound.clone().checked(), sound);
    }
}
