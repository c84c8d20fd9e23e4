//! What is known of a stored medium.

use super::account::AccountId;
use super::id::Key;
use super::time::Timestamp;

/// Whether a medium is watched or only listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaType {
    Video,
    Audio,
}

/// What the probe measured. `None` means unknown, never zero.
#[derive(Clone, PartialEq, Debug)]
pub struct MediaFacts {
    pub media_type: MediaType,
    /// Container as VOD names it in `Format`: `mp4`, `m3u8`, `mp3`, `flv`, `mkv`, `webm`, …
    pub format: String,
    /// Content type to serve the bytes with.
    pub content_type: String,
    /// Seconds.
    pub duration: Option<f64>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Kbit/s over the whole file.
    pub bitrate: Option<f64>,
    /// Frames a second.
    pub fps: Option<f64>,
    /// Short codec name of the main stream (`h264`, `hevc`, `aac`, …).
    pub codec: Option<String>,
}

/// Name of the storage location that a node has without further configuration, and of every object
/// stored before locations had names.
pub const DEFAULT_LOCATION: &str = "default";

/// The stored bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredObject {
    /// Name of the storage location that holds it.
    pub location: String,
    /// Name in the object store, made by us, never from the URL.
    pub object_key: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hex, when the file was small enough or somebody needed it. An absent one
    /// says nothing: it is not equal to another absent one.
    pub sha256: Option<String>,
    /// CRC-64/XZ, as OSS computes it, decimal.
    pub crc64: u64,
    /// MD5, lower-case hex, when somebody needed it.
    pub md5: Option<String>,
}

/// A stored medium: made by exactly one successful job, whose key it shares.
#[derive(Clone, PartialEq, Debug)]
pub struct Media {
    pub key: Key,
    pub account: AccountId,
    pub title: String,
    pub description: Option<String>,
    pub tags: Option<String>,
    pub cover_url: Option<String>,
    pub cate_id: Option<i64>,
    pub reference_id: Option<String>,
    pub user_data: Option<String>,
    pub facts: MediaFacts,
    pub object: StoredObject,
    pub created: Timestamp,
}
