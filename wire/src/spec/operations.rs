//! The table itself. Texts are ours; names, types and limits are §9's.

use super::ours;
use super::rows::{always, optional, our_field, our_parameter, required, sometimes};
use super::{
    Access, EXTENSIONS, FORMATS, Field, FieldKind, Kind, Operation, Parameter, SourceHeaderLimits,
    URL_LIMIT, UserDataLimits,
};
use crate::code::Code;
use crate::params::VALUE_LIMIT;

/// Common parameters (§2.1). With a V3 signature Action, Version, time, nonce and signature
/// travel in headers instead.
pub static COMMON_PARAMETERS: &[Parameter] = &[
    required(optional("Action", Kind::Text { max: 64 }, "CancelUrlUploadJobs", "The operation.")),
    required(optional("Version", Kind::Text { max: 10 }, "2017-03-21", "The API's version.")),
    optional(
        "Format",
        Kind::OneOf(&["JSON", "XML"]),
        "JSON",
        "Format of the reply; XML by default, JSON with a V3 signature.",
    ),
    required(optional("AccessKeyId", Kind::Text { max: 128 }, "testid", "The key that signs.")),
    required(optional("Signature", Kind::Text { max: 28 }, "", "The signature, Base64.")),
    required(optional("SignatureMethod", Kind::OneOf(&["HMAC-SHA1"]), "HMAC-SHA1", "Fixed.")),
    required(optional("SignatureVersion", Kind::OneOf(&["1.0"]), "1.0", "Fixed.")),
    required(optional(
        "SignatureNonce",
        Kind::Text { max: 128 },
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "Unique for every request of a key.",
    )),
    required(optional(
        "Timestamp",
        Kind::Text { max: 32 },
        "2026-01-02T03:04:05Z",
        "UTC, at most 15 minutes from the server's time.",
    )),
    optional("SecurityToken", Kind::Text { max: 8192 }, "", "Of a temporary credential."),
    optional(
        "SignatureType",
        Kind::Text { max: 16 },
        "",
        "Empty: bearer tokens are not supported.",
    ),
    optional("RegionId", Kind::Text { max: 64 }, "cn-shanghai", "Accepted, changes nothing."),
    our_parameter(optional(
        "Account",
        Kind::Text { max: 64 },
        "",
        "Whose things are meant: the name of an account, for operators; the caller's own if it \
         is left out. `*` means every account, where an operation takes it.",
    )),
];

/// Fields of an object of `UploadMetadatas` (§9.1). Keys are compared in any letter case.
pub static METADATA_FIELDS: &[Parameter] = &[
    required(optional(
        "SourceURL",
        Kind::Url { max: URL_LIMIT },
        "http://media.example/video01.mp4",
        "The item of UploadURLs this is about.",
    )),
    optional(
        "Title",
        Kind::Text { max: 128 },
        "First",
        "Without emoji; the URL's file name if there is none.",
    ),
    optional(
        "FileSize",
        Kind::Integer { min: 0, max: i64::MAX },
        "1439213",
        "Bytes, as string or number; the job fails if the source has another size.",
    ),
    optional("Description", Kind::Text { max: 1024 }, "", "Without emoji."),
    optional("CoverURL", Kind::Url { max: 1024 }, "http://media.example/cover.jpg", "The cover."),
    optional(
        "CateId",
        // Larger numbers lose digits in some clients (§7.2).
        Kind::Integer { min: -1, max: (1 << 53) - 1 },
        "100",
        "Category, as string or number.",
    ),
    optional("Tags", Kind::List { items: 16, max: 32 }, "sport,final", "Without emoji."),
    optional("TemplateGroupId", Kind::Text { max: 64 }, "", "Wins over the call's."),
    optional("WorkflowId", Kind::Text { max: 64 }, "", "Wins over TemplateGroupId."),
    optional(
        "FileExtension",
        Kind::OneOf(EXTENSIONS),
        "mp4",
        "Wins over the extension of the URL.",
    ),
    optional("ReferenceId", Kind::Word { min: 6, max: 64 }, "my-media-0001", "The caller's id."),
    our_parameter(optional(
        "Priority",
        Kind::OneOf(PRIORITIES),
        "high",
        "Among the jobs of one account: a job goes before those one level below it that became \
         ready up to 4 hours earlier. normal by default.",
    )),
    our_parameter(optional(
        "Md5",
        Kind::Text { max: 32 },
        "",
        "MD5 of the file, hexadecimal or Base64; the job fails if the bytes have another.",
    )),
    our_parameter(optional(
        "Sha256",
        Kind::Text { max: 64 },
        "",
        "SHA-256 of the file, hexadecimal or Base64; the job fails if the bytes have another.",
    )),
    our_parameter(optional(
        "Crc64",
        Kind::Text { max: 20 },
        "",
        "CRC-64/XZ of the file in decimal, as OSS's x-oss-hash-crc64ecma; the job fails if the \
         bytes have another.",
    )),
    our_parameter(optional(
        "Headers",
        Kind::Json { max: VALUE_LIMIT },
        "",
        "Object of strings: headers for the source's own origin (scheme, host, port), and for no \
         other. At most 16, with BasicAuth, and 8192 bytes. Kept encrypted, never shown.",
    )),
    our_parameter(optional(
        "BasicAuth",
        Kind::Json { max: VALUE_LIMIT },
        "",
        "Object of User and Password, sent as Authorization; treated as Headers.",
    )),
];

/// Levels of urgency, the least urgent first.
const PRIORITIES: &[&str] = &["low", "normal", "high"];

/// Limits of `Headers` and `BasicAuth`: room for a session cookie or a token, not for a body.
pub static SOURCE_HEADER_LIMITS: SourceHeaderLimits =
    SourceHeaderLimits { count: 16, bytes: 8 * 1024 };

/// Limits of `UserData` (§13.4; the callback's after SetMessageCallback, §10).
pub static USER_DATA_LIMITS: UserDataLimits = UserDataLimits { callback_url: 256, extend: 512 };

/// Most URLs of one UploadMediaByURL (§9.1).
const UPLOAD_ITEMS: usize = 20;
/// Most ids or URLs of one query or cancel (§9.2, §9.3).
const SELECTOR_ITEMS: usize = 10;

const JOB_IDS: Parameter = optional(
    "JobIds",
    Kind::List { items: SELECTOR_ITEMS, max: 128 },
    "341c92e6c18dc435ee31253685f80001,0193d395194a83ad6ee2ef27a5b50002",
    "Ids of jobs, as UploadMediaByURL answers them. If given, URLs are not looked at.",
);

const EXAMPLE_URLS: &str =
    "http%3A%2F%2Fmedia.example%2Fvideo01.mp4,http%3A%2F%2Fmedia.example%2Fvideo02.mp4";

/// Every operation of this server.
pub static OPERATIONS: &[Operation] = &[
    UPLOAD_MEDIA_BY_URL,
    GET_URL_UPLOAD_INFOS,
    CANCEL_URL_UPLOAD_JOBS,
    GET_PLAY_INFO,
    ours::LIST_URL_UPLOAD_JOBS,
    ours::REPLACE_UPLOAD_URL,
    ours::GET_UPLOAD_STATISTICS,
    ours::GET_REQUEST_RECORD,
    ours::LIST_ACCOUNTS,
    ours::CREATE_ACCOUNT,
    ours::UPDATE_ACCOUNT,
    ours::LIST_ACCESS_KEYS,
    ours::CREATE_ACCESS_KEY,
    ours::UPDATE_ACCESS_KEY,
    ours::DELETE_ACCESS_KEY,
    ours::GET_CONFIGURATION,
    ours::CREATE_CONSOLE_SESSION,
];

const UPLOAD_MEDIA_BY_URL: Operation = Operation {
    action: "UploadMediaByURL",
    summary: "Uploads media files from URLs: one job for each URL.",
    doc: "The call returns as soon as its jobs are durable in the queue; all jobs are accepted, or \
          none. Every URL becomes a job and a media of its own, also if it was uploaded before.",
    access: Access::Create,
    qps: Some(100),
    daily: Some(200_000),
    parameters: &[
        required(optional(
            "UploadURLs",
            Kind::Urls { items: UPLOAD_ITEMS },
            EXAMPLE_URLS,
            "URLs of the source files. A URL must end in a supported extension unless its \
             metadata gives FileExtension.",
        )),
        optional(
            "UploadMetadatas",
            Kind::Json { max: VALUE_LIMIT },
            "[{\"SourceURL\":\"http://media.example/video01.mp4\",\"Title\":\"First\"}]",
            "Array of objects (or one object) with the metadata of URLs: SourceURL, Title, \
             FileSize, Description, CoverURL, CateId, Tags, TemplateGroupId, WorkflowId, \
             FileExtension, ReferenceId; additions of this server: Md5, Sha256, Crc64, Headers, \
             BasicAuth. An entry whose SourceURL is not in UploadURLs is ignored.",
        ),
        optional(
            "TemplateGroupId",
            Kind::Text { max: 64 },
            "VOD_NO_TRANSCODE",
            "Template group; a group in the metadata wins.",
        ),
        optional("WorkflowId", Kind::Text { max: 64 }, "", "Workflow; wins over TemplateGroupId."),
        optional(
            "StorageLocation",
            Kind::Text { max: 256 },
            "",
            "Where to store; the default if empty.",
        ),
        optional(
            "UserData",
            Kind::Json { max: 8 * 1024 },
            "{\"Extend\":{\"localId\":\"42\"}}",
            "Object with MessageCallback (CallbackURL, CallbackType) and Extend (at most 512 \
             bytes, returned in events).",
        ),
        optional("AppId", Kind::Text { max: 64 }, "app-1000000", "Application."),
        optional(
            "SessionId",
            Kind::Word { min: 1, max: 50 },
            "5c62d40299034bbaa4c195da330b4b8f",
            "De-duplication key. Within 10 minutes, a repeat of the same call gets the first \
             answer, another call with this key an error.",
        ),
        optional("EnableFirstFrameCover", Kind::Boolean, "true", "Accepted, changes nothing."),
        optional("GenerateThumbnail", Kind::Boolean, "true", "Accepted, changes nothing."),
    ],
    reply: &[always(
        "UploadJobs",
        FieldKind::Flat(&[
            always("JobId", FieldKind::String, "Id of the job."),
            always("SourceURL", FieldKind::String, "URL of the source, decoded."),
        ]),
        "One for each URL, in the order sent.",
    )],
    errors: &[
        Code::Missing,
        Code::InvalidParameterOf,
        Code::InvalidFileNameExtension,
        Code::IllegalCharacters,
        Code::LengthExceededMax,
        Code::TagsExceededMax,
        Code::InvalidStorageNotFound,
        Code::InvalidTemplateGroupIdNotFound,
        Code::InvalidCateIdNotFound,
        Code::QueueFull,
        Code::StorageFull,
    ],
    ours: false,
};

pub(super) const JOB_FIELDS: &[Field] = &[
    always("JobId", FieldKind::String, "Id of the job."),
    always("UploadURL", FieldKind::String, "URL of the source."),
    sometimes("MediaId", FieldKind::String, "Id of the media, once it exists."),
    always(
        "Status",
        FieldKind::String,
        "PENDING, PROCESSING, DOWNLOADING, DOWNLOAD_SUCCESS, DOWNLOAD_FAIL, UPLOADING, \
         UPLOAD_SUCCESS, UPLOAD_FAIL, SUCCESS or CANCELED. With IncludeProgress also AWAITING_URL: \
         see ReplaceUploadUrl. (Else such a job is PROCESSING.)",
    ),
    sometimes("FileSize", FieldKind::String, "Bytes of the source, once known."),
    always("CreationTime", FieldKind::String, "UTC."),
    sometimes("CompleteTime", FieldKind::String, "UTC, once the job is finished."),
    sometimes(
        "ErrorCode",
        FieldKind::String,
        "Why the job failed; with IncludeProgress also why it awaits a URL.",
    ),
    sometimes("ErrorMessage", FieldKind::String, "The same, in a sentence."),
    sometimes("UserData", FieldKind::String, "As sent with the job."),
    our_field(
        "Progress",
        FieldKind::Object(&[
            always("BytesReceived", FieldKind::Long, "Of this attempt and those it resumed."),
            sometimes("BytesTotal", FieldKind::Long, "If the source says it."),
            always("Attempt", FieldKind::Long, "1 for the first."),
            always("Title", FieldKind::String, "Title of the media."),
            sometimes(
                "NextAttemptTime",
                FieldKind::String,
                "UTC; when a job that waits after a fault tries again.",
            ),
            always("Deadline", FieldKind::String, "UTC; a job not done by then fails."),
            always("Rescues", FieldKind::Long, "Attempts that ended without a word."),
        ]),
        "With IncludeProgress.",
    ),
    our_field(
        "Digests",
        FieldKind::Object(DIGEST_FIELDS),
        "With IncludeDigests of GetURLUploadInfos, once the job succeeded.",
    ),
    our_field(
        "Attempts",
        FieldKind::Flat(&[
            always("Number", FieldKind::Long, "1 for the first."),
            always("StartTime", FieldKind::String, "UTC."),
            sometimes("EndTime", FieldKind::String, "UTC; absent while it runs."),
            always(
                "Ending",
                FieldKind::String,
                "Running, HandedBack (the server stopped, or the source's host had no free place), \
                 PutOff (a fault, tried again later), Succeeded, Failed or Expired (its worker fell silent).",
            ),
            sometimes("ErrorCode", FieldKind::String, "What went wrong."),
            sometimes("ErrorMessage", FieldKind::String, "The same, in a sentence."),
            always("Bytes", FieldKind::Long, "Received when it ended, of it and those it resumed."),
        ]),
        "With IncludeAttempts: the newest 50 attempts, oldest first.",
    ),
    our_field(
        "QueuePlace",
        FieldKind::Object(&[
            always(
                "Position",
                FieldKind::Long,
                "In the line of the job's own account: 1 is the next. Jobs whose hosts have no \
                 free place are passed over.",
            ),
            always(
                "PositionIsExact",
                FieldKind::Boolean,
                "Whether it is that; otherwise it is at least that.",
            ),
            always("Priority", FieldKind::String, "low, normal or high."),
            always("Paused", FieldKind::Boolean, "Whether the account's queue is paused."),
            sometimes(
                "EstimatedSeconds",
                FieldKind::Long,
                "Until it starts, if the account's jobs go on ending as in the last 15 minutes; \
                 absent if fewer than 5 ended, the position is not exact, or the queue is paused.",
            ),
        ]),
        "With IncludePosition, while the job is PENDING.",
    ),
    our_field("Account", FieldKind::String, "With Account=*: whose job it is."),
];

pub(super) const INCLUDE_POSITION: Parameter = our_parameter(optional(
    "IncludePosition",
    Kind::Boolean,
    "true",
    "Adds QueuePlace to the jobs that are PENDING.",
));

const GET_URL_UPLOAD_INFOS: Operation = Operation {
    action: "GetURLUploadInfos",
    summary: "Queries URL-based upload jobs by id or by URL.",
    doc: "Give JobIds or UploadURLs. Jobs of the last year are found, at most 100 of them in one \
          answer.",
    access: Access::Get,
    qps: Some(100),
    daily: None,
    parameters: &[
        JOB_IDS,
        optional(
            "UploadURLs",
            Kind::Urls { items: SELECTOR_ITEMS },
            EXAMPLE_URLS,
            "URLs of sources: all jobs of these URLs.",
        ),
        our_parameter(optional(
            "IncludeProgress",
            Kind::Boolean,
            "true",
            "Adds Progress to the jobs.",
        )),
        our_parameter(optional(
            "IncludeDigests",
            Kind::Boolean,
            "true",
            "Adds Digests to the jobs that succeeded.",
        )),
        our_parameter(optional(
            "IncludeAttempts",
            Kind::Boolean,
            "true",
            "Adds Attempts to the jobs: when each began and how it ended.",
        )),
        INCLUDE_POSITION,
    ],
    reply: &[
        always("URLUploadInfoList", FieldKind::Flat(JOB_FIELDS), "The jobs found."),
        always("NonExists", FieldKind::FlatStrings, "Ids or URLs for which there is no job."),
    ],
    errors: &[Code::MissingParameter, Code::InvalidParameterOf],
    ours: false,
};

const CANCEL_URL_UPLOAD_JOBS: Operation = Operation {
    action: "CancelUrlUploadJobs",
    summary: "Cancels URL-based upload jobs that wait in the queue.",
    doc: "Give JobIds or UploadUrls. Only jobs in the status PENDING are cancelled; a job that has \
          started is not, and is then in neither list.",
    access: Access::Update,
    qps: Some(50),
    daily: None,
    parameters: &[
        JOB_IDS,
        optional(
            "UploadUrls",
            Kind::Urls { items: SELECTOR_ITEMS },
            EXAMPLE_URLS,
            "URLs of sources: every pending job of these URLs is cancelled.",
        ),
        our_parameter(optional(
            "IncludeOutcomes",
            Kind::Boolean,
            "true",
            "Adds Outcomes: what happened to each job, also to those in neither list.",
        )),
    ],
    reply: &[
        always("CanceledJobs", FieldKind::FlatStrings, "Ids of the jobs this call cancelled."),
        always("NonExists", FieldKind::FlatStrings, "Ids or URLs for which there is no job."),
        our_field(
            "Outcomes",
            FieldKind::Flat(&[
                always("Input", FieldKind::String, "The id or URL as asked."),
                sometimes("JobId", FieldKind::String, "The job, if there is one."),
                always("Outcome", FieldKind::String, "Canceled, NotPending or NotExist."),
                sometimes("Status", FieldKind::String, "Status of the job after the call."),
            ]),
            "With IncludeOutcomes: one for each job, or for an input without a job.",
        ),
    ],
    errors: &[Code::MissingParameter, Code::InvalidParameterOf],
    ours: false,
};

const GET_PLAY_INFO: Operation = Operation {
    action: "GetPlayInfo",
    summary: "Gets the playback URLs of a media.",
    doc: "Give VideoId, or ReferenceId if the media has one; VideoId wins. The media must be in \
          the status Normal.",
    access: Access::Get,
    qps: Some(360),
    daily: None,
    parameters: &[
        optional(
            "VideoId",
            Kind::Text { max: 128 },
            "93ab850b4f6f44b0a54b6e91d24d81d4",
            "Id of the media.",
        ),
        optional(
            "ReferenceId",
            Kind::Word { min: 6, max: 64 },
            "my-media-0001",
            "The caller's own id of the media.",
        ),
        optional("Formats", Kind::SomeOf(FORMATS), "mp4,m3u8", "Only these formats."),
        optional(
            "Definition",
            Kind::SomeOf(&["FD", "LD", "SD", "HD", "OD", "2K", "4K", "SQ", "HQ", "AUTO"]),
            "OD",
            "Only these definitions; OD is the source as it was.",
        ),
        optional("StreamType", Kind::SomeOf(&["video", "audio"]), "video", "Only these streams."),
        optional(
            "OutputType",
            Kind::OneOf(&["cdn", "oss"]),
            "cdn",
            "Both give URLs of this server.",
        ),
        optional(
            "AuthTimeout",
            Kind::Integer { min: 1, max: 31_536_000 },
            "3600",
            "Seconds that the URLs stay valid.",
        ),
        optional(
            "ResultType",
            Kind::OneOf(&["Single", "Multiple"]),
            "Single",
            "Single: the newest stream of each definition and format. Multiple: all.",
        ),
        optional("CodecName", Kind::Text { max: 32 }, "h264", "Only streams of this codec."),
        optional("AdditionType", Kind::Text { max: 64 }, "danmu", "Accepted, changes nothing."),
        optional("PlayConfig", Kind::Json { max: 8192 }, "{}", "Accepted, changes nothing."),
        optional("ReAuthInfo", Kind::Json { max: 8192 }, "{}", "Accepted, changes nothing."),
        optional(
            "DigitalWatermarkType",
            Kind::Text { max: 64 },
            "TraceMark",
            "Accepted, changes nothing.",
        ),
        optional("Trace", Kind::Text { max: 4096 }, "", "Accepted, changes nothing."),
        our_parameter(optional(
            "IncludeDigests",
            Kind::Boolean,
            "true",
            "Adds Digests to the streams.",
        )),
    ],
    reply: &[
        always(
            "VideoBase",
            FieldKind::Object(&[
                always("VideoId", FieldKind::String, "Id of the media."),
                always("Title", FieldKind::String, "Title."),
                sometimes("Duration", FieldKind::String, "Seconds."),
                sometimes("CoverURL", FieldKind::String, "URL of the cover."),
                always("Status", FieldKind::String, "Normal."),
                always("CreationTime", FieldKind::String, "UTC."),
                always("MediaType", FieldKind::String, "video or audio."),
                sometimes("StorageClass", FieldKind::String, "Standard."),
            ]),
            "The media.",
        ),
        always("PlayInfoList", FieldKind::Wrapped("PlayInfo", PLAY_INFO_FIELDS), "The streams."),
    ],
    errors: &[
        Code::MissingParameter,
        Code::InvalidParameterOf,
        Code::InvalidVideoNotFound,
        Code::InvalidVideoNoneStream,
        Code::ForbiddenIllegalStatus,
    ],
    ours: false,
};

const PLAY_INFO_FIELDS: &[Field] = &[
    sometimes("Width", FieldKind::Long, "Pixels."),
    sometimes("Height", FieldKind::Long, "Pixels."),
    always("Size", FieldKind::Long, "Bytes."),
    always("PlayURL", FieldKind::String, "Where to play it."),
    always("Format", FieldKind::String, "mp4, m3u8, mp3, …"),
    always("Definition", FieldKind::String, "OD is the source as it was."),
    always("Specification", FieldKind::String, "Original for the source as it was."),
    sometimes("Duration", FieldKind::String, "Seconds."),
    sometimes("Bitrate", FieldKind::String, "Kilobits per second."),
    sometimes("Fps", FieldKind::String, "Frames per second."),
    always("Encrypt", FieldKind::Long, "0: not encrypted."),
    always("StreamType", FieldKind::String, "video or audio."),
    always("Status", FieldKind::String, "Normal or Invisible."),
    always("JobId", FieldKind::String, "Id of the job that made the stream."),
    always("CreationTime", FieldKind::String, "UTC."),
    always("ModificationTime", FieldKind::String, "UTC."),
    always("NarrowBandType", FieldKind::String, "0: ordinary transcoding, or none."),
    sometimes("CodecName", FieldKind::String, "Of the first video stream, or of the audio."),
    our_field("Digests", FieldKind::Object(DIGEST_FIELDS), "With IncludeDigests."),
];

/// Of the stored bytes, computed by this server while they arrived.
const DIGEST_FIELDS: &[Field] = &[
    sometimes("Sha256", FieldKind::String, "Hexadecimal, where it was computed."),
    always("Crc64", FieldKind::String, "CRC-64/XZ in decimal, as OSS computes it."),
    sometimes("Md5", FieldKind::String, "Hexadecimal, where it was computed."),
];
