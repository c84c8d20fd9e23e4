//! `GetPlayInfo`: what was stored, and a URL that plays it for a while.

use std::time::Duration;

use wire::action::{GetPlayInfo, MediaSelector, OutputType};
use wire::code::{Code, Fault};
use wire::reply::{GetPlayInfoReply, PlayInfo, Reply, VideoBase};

use super::{Ops, digests, store_fault};
use crate::api::media::{delivery, file_name};
use crate::domain::account::AccountId;
use crate::domain::job::StateKind;
use crate::domain::media::{Media, MediaType};
use crate::store::{MediaLookup, MediaRef};

/// A source delivered untouched (contract §9.4).
const DEFINITION: &str = "OD";
const SPECIFICATION: &str = "Original";

impl Ops {
    pub(super) async fn get_play_info(
        &self,
        account: AccountId,
        request: GetPlayInfo,
    ) -> Result<Reply, Fault> {
        let media = self.find_medium(account, &request.media).await?;
        if !matches(&media, &request) {
            return Err(no_stream(&request));
        }
        let stream = self.play_info(&media, &request).await;
        let video_base = VideoBase {
            video_id: self.codec.media_id(media.key),
            title: media.title,
            duration: media.facts.duration,
            cover_url: media.cover_url,
            status: "Normal".to_owned(),
            creation_time: media.created.seconds(),
            media_type: stream_type(media.facts.media_type).to_owned(),
            storage_class: Some("Standard".to_owned()),
        };
        Ok(Reply::GetPlayInfo(GetPlayInfoReply { video_base, play_info: vec![stream] }))
    }

    async fn find_medium(
        &self,
        account: AccountId,
        selector: &MediaSelector,
    ) -> Result<Media, Fault> {
        let unknown = || Fault::new(Code::InvalidVideoNotFound);
        let media = match selector {
            MediaSelector::VideoId(id) => {
                MediaRef::Key(self.codec.media_key(id).ok_or_else(unknown)?)
            }
            MediaSelector::ReferenceId(id) => MediaRef::ReferenceId(id.clone()),
        };
        let status = match self.store.media_find(account, media).await.map_err(store_fault)? {
            MediaLookup::Stored(media) => return Ok(*media),
            MediaLookup::Unknown => return Err(unknown()),
            MediaLookup::NotStored(StateKind::Canceled) => return Err(unknown()),
            MediaLookup::NotStored(StateKind::Failed) => "UploadFail",
            MediaLookup::NotStored(
                StateKind::Pending
                | StateKind::Running
                | StateKind::Waiting
                | StateKind::Succeeded
                | StateKind::AwaitingUrl,
            ) => "Uploading",
        };
        Err(Fault::with_message(
            Code::ForbiddenIllegalStatus,
            format!("Status of the video is illegal. Current Status is {status}."),
        ))
    }

    /// From the storage itself where it serves, else from this server.
    async fn play_url(&self, media: &Media, validity: Duration) -> String {
        let format = &media.facts.format;
        let name = file_name(&self.codec, media.key, format);
        let delivery = delivery(&media.facts, &name);
        let presigned = match self.locations.of(&media.object.location) {
            Ok(blobs) => blobs.play_url(&media.object.object_key, &delivery, validity).await,
            Err(error) => Err(error),
        };
        match presigned {
            Ok(Some(url)) => return url,
            Ok(None) => {}
            Err(error) => tracing::error!(media = media.key.0, %error, "no URL of the storage"),
        }
        let expires = self.clock.now() + validity;
        self.play_urls.sign(media.key, &self.codec, format, expires)
    }

    async fn play_info(&self, media: &Media, request: &GetPlayInfo) -> PlayInfo {
        let validity = request.auth_timeout.map_or(self.rules.auth_timeout, Duration::from_secs);
        let facts = &media.facts;
        PlayInfo {
            width: facts.width,
            height: facts.height,
            size: media.object.size,
            play_url: self.play_url(media, validity).await,
            format: facts.format.clone(),
            definition: DEFINITION.to_owned(),
            specification: SPECIFICATION.to_owned(),
            duration: facts.duration,
            bitrate: facts.bitrate,
            fps: facts.fps,
            stream_type: stream_type(facts.media_type).to_owned(),
            status: "Normal".to_owned(),
            // The stream is the source as uploaded, so its job is the URL-upload job: that makes
            // the seed's "job IDs can be obtained in PlayInfo" true.
            job_id: self.codec.job_id(media.key),
            creation_time: media.created.seconds(),
            modification_time: media.created.seconds(),
            codec_name: facts.codec.clone(),
            digests: request.include_digests.then(|| digests::of(&media.object)),
        }
    }
}

fn stream_type(media_type: MediaType) -> &'static str {
    match media_type {
        MediaType::Video => "video",
        MediaType::Audio => "audio",
    }
}

/// Whether the one stream passes the caller's filters; an empty filter passes everything. Both
/// output types lead to the same bytes here.
fn matches(media: &Media, request: &GetPlayInfo) -> bool {
    let (OutputType::Cdn | OutputType::Oss) = request.output_type;
    let facts = &media.facts;
    let any = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
    let codec = match &request.codec_name {
        Some(wanted) => facts.codec.as_deref().is_some_and(|c| c.eq_ignore_ascii_case(wanted)),
        None => true,
    };
    any(&request.formats, &facts.format)
        && any(&request.definitions, DEFINITION)
        && any(&request.stream_types, stream_type(facts.media_type))
        && codec
}

fn no_stream(request: &GetPlayInfo) -> Fault {
    let shown = |list: &[String]| if list.is_empty() { "all".to_owned() } else { list.join(",") };
    Fault::with_message(
        Code::InvalidVideoNoneStream,
        format!(
            "The video has no stream to play for the request parameter 'Formats: {}, Definition: {}, StreamType: {}'.",
            shown(&request.formats),
            shown(&request.definitions),
            shown(&request.stream_types),
        ),
    )
}
