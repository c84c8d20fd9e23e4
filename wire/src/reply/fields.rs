//! The fields of every reply, in the order of the documents. Names and list styles are those of
//! [`crate::spec`]; a test compares the two.

use super::node::Node;
use super::{
    AttemptInfo, CancelUrlUploadJobsReply, Digests, GetPlayInfoReply, GetUrlUploadInfosReply,
    ListUrlUploadJobsReply, Outcome, PlayInfo, ProgressInfo, QueuePlaceInfo, ReplaceUploadUrlReply,
    UploadJob, UploadMediaByUrlReply, UrlUploadInfo, VideoBase,
};
use crate::time::format_utc;

pub(super) type Fields<'a> = Vec<(&'static str, Node<'a>)>;

impl UploadMediaByUrlReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("UploadJobs", flat(&self.upload_jobs, UploadJob::node)));
    }
}

impl UploadJob {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![("JobId", text(&self.job_id)), ("SourceURL", text(&self.source_url))])
    }
}

impl ReplaceUploadUrlReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("JobId", text(&self.job_id)));
        fields.push(("UploadURL", text(&self.upload_url)));
        fields.push(("Outcome", text(if self.repeated { "Repeated" } else { "Replaced" })));
    }
}

impl GetUrlUploadInfosReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("URLUploadInfoList", flat(&self.infos, UrlUploadInfo::node)));
        fields.push(("NonExists", texts(&self.non_exists)));
    }
}

impl UrlUploadInfo {
    fn node(&self) -> Node<'_> {
        let mut fields = Fields::with_capacity(15);
        fields.push(("JobId", text(&self.job_id)));
        fields.push(("UploadURL", text(&self.upload_url)));
        push(&mut fields, "MediaId", self.media_id.as_deref().map(text));
        fields.push(("Status", text(&self.status)));
        push(&mut fields, "FileSize", self.file_size.map(|bytes| Node::from(bytes.to_string())));
        fields.push(("CreationTime", time(self.creation_time)));
        push(&mut fields, "CompleteTime", self.complete_time.map(time));
        push(&mut fields, "ErrorCode", self.error_code.as_deref().map(text));
        push(&mut fields, "ErrorMessage", self.error_message.as_deref().map(text));
        push(&mut fields, "UserData", self.user_data.as_deref().map(text));
        push(&mut fields, "Progress", self.progress.as_ref().map(ProgressInfo::node));
        push(&mut fields, "Digests", self.digests.as_ref().map(Digests::node));
        let attempts = self.attempts.as_ref();
        push(&mut fields, "Attempts", attempts.map(|list| flat(list, AttemptInfo::node)));
        push(&mut fields, "QueuePlace", self.queue_place.as_ref().map(QueuePlaceInfo::node));
        push(&mut fields, "Account", self.account.as_deref().map(text));
        Node::Object(fields)
    }
}

impl QueuePlaceInfo {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![
            ("Position", long(self.position)),
            ("PositionIsExact", Node::Bool(self.is_exact)),
            ("Priority", text(&self.priority)),
            ("Paused", Node::Bool(self.paused)),
        ];
        push(&mut fields, "EstimatedSeconds", self.estimated_seconds.map(long));
        Node::Object(fields)
    }
}

impl ProgressInfo {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![("BytesReceived", long(self.bytes))];
        push(&mut fields, "BytesTotal", self.total.map(long));
        fields.push(("Attempt", long(self.attempt)));
        fields.push(("Title", text(&self.title)));
        push(&mut fields, "NextAttemptTime", self.next_attempt.map(time));
        fields.push(("Deadline", time(self.deadline)));
        fields.push(("Rescues", long(self.rescues)));
        Node::Object(fields)
    }
}

impl AttemptInfo {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![("Number", long(self.number)), ("StartTime", time(self.start_time))];
        push(&mut fields, "EndTime", self.end_time.map(time));
        fields.push(("Ending", text(&self.ending)));
        push(&mut fields, "ErrorCode", self.error_code.as_deref().map(text));
        push(&mut fields, "ErrorMessage", self.error_message.as_deref().map(text));
        fields.push(("Bytes", long(self.bytes)));
        Node::Object(fields)
    }
}

impl CancelUrlUploadJobsReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("CanceledJobs", texts(&self.canceled_jobs)));
        fields.push(("NonExists", texts(&self.non_exists)));
        let outcomes = self.outcomes.as_ref();
        push(fields, "Outcomes", outcomes.map(|outcomes| flat(outcomes, Outcome::node)));
    }
}

impl Outcome {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![("Input", text(&self.input))];
        push(&mut fields, "JobId", self.job_id.as_deref().map(text));
        fields.push(("Outcome", text(self.outcome.as_str())));
        push(&mut fields, "Status", self.status.as_deref().map(text));
        Node::Object(fields)
    }
}

impl GetPlayInfoReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("VideoBase", self.video_base.node()));
        let streams = self.play_info.iter().map(PlayInfo::node).collect();
        fields.push(("PlayInfoList", Node::Wrapped("PlayInfo", streams)));
    }
}

impl VideoBase {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![("VideoId", text(&self.video_id)), ("Title", text(&self.title))];
        push(&mut fields, "Duration", self.duration.and_then(decimal));
        push(&mut fields, "CoverURL", self.cover_url.as_deref().map(text));
        fields.push(("Status", text(&self.status)));
        fields.push(("CreationTime", time(self.creation_time)));
        fields.push(("MediaType", text(&self.media_type)));
        push(&mut fields, "StorageClass", self.storage_class.as_deref().map(text));
        Node::Object(fields)
    }
}

impl PlayInfo {
    fn node(&self) -> Node<'_> {
        let mut fields = Fields::with_capacity(19);
        push(&mut fields, "Width", self.width.map(long));
        push(&mut fields, "Height", self.height.map(long));
        fields.push(("Size", long(self.size)));
        fields.push(("PlayURL", text(&self.play_url)));
        fields.push(("Format", text(&self.format)));
        fields.push(("Definition", text(&self.definition)));
        fields.push(("Specification", text(&self.specification)));
        push(&mut fields, "Duration", self.duration.and_then(decimal));
        push(&mut fields, "Bitrate", self.bitrate.and_then(decimal));
        push(&mut fields, "Fps", self.fps.and_then(decimal));
        fields.push(("Encrypt", Node::Int(0)));
        fields.push(("StreamType", text(&self.stream_type)));
        fields.push(("Status", text(&self.status)));
        fields.push(("JobId", text(&self.job_id)));
        fields.push(("CreationTime", time(self.creation_time)));
        fields.push(("ModificationTime", time(self.modification_time)));
        fields.push(("NarrowBandType", text("0")));
        push(&mut fields, "CodecName", self.codec_name.as_deref().map(text));
        push(&mut fields, "Digests", self.digests.as_ref().map(Digests::node));
        Node::Object(fields)
    }
}

impl Digests {
    fn node(&self) -> Node<'_> {
        let mut fields = Vec::new();
        push(&mut fields, "Sha256", self.sha256.as_deref().map(text));
        fields.push(("Crc64", Node::from(self.crc64.to_string())));
        push(&mut fields, "Md5", self.md5.as_deref().map(text));
        Node::Object(fields)
    }
}

impl ListUrlUploadJobsReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("URLUploadInfoList", flat(&self.infos, UrlUploadInfo::node)));
        push(fields, "NextToken", self.next_token.as_deref().map(text));
    }
}

/// A field that may be absent: the key is then left out (§7.2).
pub(super) fn push<'a>(fields: &mut Fields<'a>, name: &'static str, node: Option<Node<'a>>) {
    fields.extend(node.map(|node| (name, node)));
}

pub(super) fn text(value: &str) -> Node<'_> {
    Node::from(value)
}

fn texts(values: &[String]) -> Node<'_> {
    Node::Flat(values.iter().map(|value| text(value)).collect())
}

pub(super) fn flat<'a, T>(items: &'a [T], node: impl Fn(&'a T) -> Node<'a>) -> Node<'a> {
    Node::Flat(items.iter().map(node).collect())
}

pub(super) fn time(unix_seconds: i64) -> Node<'static> {
    Node::from(format_utc(unix_seconds))
}

/// A count; what would not fit the clients' 64-bit type is its largest.
pub(super) fn long(value: impl TryInto<i64>) -> Node<'static> {
    Node::Int(value.try_into().unwrap_or(i64::MAX))
}

/// A measurement as the string the API has for it: at most four decimals, at least one. `None`
/// for what is no number.
fn decimal(value: f64) -> Option<Node<'static>> {
    if !value.is_finite() {
        return None;
    }
    let mut digits = format!("{value:.4}");
    while digits.ends_with('0') && !digits.ends_with(".0") {
        digits.pop();
    }
    Some(Node::from(digits))
}
